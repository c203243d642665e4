//! What helps after a command line that nobody understood: which commands there are, and what this one
//! takes.
//!
//! The parser knows which word it stumbled over, and looks for a similar one. Where there is none, whoever
//! typed `keys revoke` would have to ask again to learn that it is called `expire`.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// Adds to `error` what `tree` says about the place where it happened.
pub(super) fn help(error: &mut clap::Error, tree: &mut Command) {
    // Names of subcommands are known once it is built.
    tree.build();
    let Some(command) = place(error, tree) else {
        return;
    };
    let kind = error.kind();
    let tip = if kind == ErrorKind::InvalidSubcommand {
        commands(command)
    } else if kind == ErrorKind::UnknownArgument {
        options(command)
    } else {
        None
    };
    // A similar word says more than all words.
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg];
    if suggested.into_iter().any(|kind| error.get(kind).is_some()) {
        return;
    }
    if let Some(tip) = tip {
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

/// The command that was being read, by what its usage says.
fn place<'t>(error: &clap::Error, tree: &'t Command) -> Option<&'t Command> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return None;
    };
    let usage = usage.to_string();
    let words = usage.split_whitespace();
    let names = words.skip_while(|word| *word != tree.get_name()).skip(1);
    let mut command = tree;
    for name in names {
        let Some(next) = command.find_subcommand(name) else {
            break;
        };
        command = next;
    }
    Some(command)
}

fn commands(command: &Command) -> Option<String> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let names: Vec<_> = shown.map(Command::get_name).collect();
    (!names.is_empty()).then(|| format!("there are {}", quoted(&names)))
}

/// What the command takes besides what every command does.
fn options(command: &Command) -> Option<String> {
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    let own = own.filter(|arg| !arg.is_hide_set() && arg.get_id() != "help");
    let names: Vec<_> = own.filter_map(Arg::get_long).collect();
    let names: Vec<_> = names.iter().map(|name| format!("--{name}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let path = command.get_bin_name().unwrap_or(command.get_name());
    (!names.is_empty()).then(|| format!("`{path}` takes {}", quoted(&names)))
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let mut tree = super::super::tree();
        let words = line.split(' ');
        let mut error = tree.try_get_matches_from_mut(words).unwrap_err();
        help(&mut error, &mut tree);
        error.to_string()
    }

    #[test]
    fn who_mistypes_a_command_or_an_option_is_told_which_there_are() {
        for (line, tip) in [
            (
                "portcullis keys revoke pck_1",
                "there are `create`, `list`, `update`, `rotate`, `import`, `expire` and `help`",
            ),
            (
                "portcullis accounts update ci --enabled false",
                "`portcullis accounts update` takes `--description`, `--allow-from` and \
                 `--allow-from-anywhere`",
            ),
            (
                "portcullis accounts grant ci operator",
                "`portcullis accounts grant` takes `--role` and `--within`",
            ),
            (
                "portcullis keys lsit",
                "a similar subcommand exists: 'list'",
            ),
            (
                "portcullis accounts create ci --rol a",
                "a similar argument exists: '--role'",
            ),
        ] {
            let told = told(line);
            assert!(told.contains(tip), "{line}: {told}");
            assert!(!told.contains("as a value"), "{line}: {told}");
            assert_eq!(told.matches("tip:").count(), 1, "{line}: {told}");
        }
        let elsewhere = told("portcullis keys list --unused");
        assert!(!elsewhere.contains("tip:"), "{elsewhere}");
    }
}
