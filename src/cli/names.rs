//! Names for shells to complete: accounts, roles, groups, keys, permissions from the server that the
//! line is about, contexts from the file of the user.
//!
//! The scripts that `completions` prints ask this program itself, with the words typed so far. What an
//! argument takes is known by its type, so a command that is new completes its names without a word
//! here. Somebody waits with a finger on a key: what does not come at once does not come, and nothing is
//! ever said. Only a server that runs is asked; no store is opened for a name.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::sync::mpsc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::Value;

use super::contexts::{Contexts, LOCAL};
use super::output::{Format, Output, Talk};
use super::place::{By, Place, file_of};
use super::transport::{Operation, Reach};
use super::{Failure, audit};
use crate::settings::Settings;
use crate::words::{
    AccountName, ContextName, GroupName, KeyId, Permission, PermissionPattern, RoleName, TokenId,
    UnixTime,
};

/// Set by the scripts: which shell asks.
const ASKED: &str = "PORTCULLIS_COMPLETE";
/// How this program is called.
const NAME: &str = "portcullis";
/// Longest wait for names.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most names that are offered: nobody reads more.
const OFFERED_MAX: usize = 200;

/// What names there are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Account,
    Role,
    Group,
    Key,
    Permission,
    Context,
    Event,
    Token,
}

/// Answers a shell, if it is one that asks.
pub(super) fn answer(arguments: &[OsString], tree: fn() -> Command) -> bool {
    if std::env::var_os(ASKED).is_none() {
        return false;
    }
    let words = arguments.to_vec();
    let factory = move || completed(tree(), &words, tree);
    let folder = std::env::current_dir().ok();
    let done = CompleteEnv::with_factory(factory)
        .var(ASKED)
        .bin(NAME)
        .completer(NAME)
        .try_complete(arguments, folder.as_deref());
    // A shell that cannot be answered shows nothing rather than an error between two keys.
    done.unwrap_or(true)
}

/// The script that has a shell ask.
pub(super) fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let known = shells.completer(shell);
    let known =
        known.ok_or_else(|| Failure::usage(format_args!("`{shell}` is no shell that is known")))?;
    known
        .write_registration(ASKED, NAME, NAME, NAME, &mut script)
        .map_err(Failure::server)?;
    Ok(script)
}

/// The tree, with the names that each argument takes.
fn completed(command: Command, words: &[OsString], tree: fn() -> Command) -> Command {
    let makes = command.get_name() == "create" || command.get_name() == "login";
    let name = |arg: Arg| {
        // What is to be made has no name yet.
        let kind = kind(&arg).filter(|_| !(makes && arg.get_id() == "name"));
        let Some(kind) = kind else { return arg };
        let words = words.to_vec();
        let names = move |begun: &OsStr| offered(kind, begun, &words, tree);
        arg.add(ArgValueCompleter::new(names))
    };
    let command = command.mut_args(name);
    command.mut_subcommands(|sub| completed(sub, words, tree))
}

fn kind(arg: &Arg) -> Option<Kind> {
    let known = [
        (TypeId::of::<AccountName>(), Kind::Account),
        (TypeId::of::<RoleName>(), Kind::Role),
        (TypeId::of::<GroupName>(), Kind::Group),
        (TypeId::of::<KeyId>(), Kind::Key),
        (TypeId::of::<Permission>(), Kind::Permission),
        (TypeId::of::<PermissionPattern>(), Kind::Permission),
        (TypeId::of::<ContextName>(), Kind::Context),
        (TypeId::of::<TokenId>(), Kind::Token),
    ];
    // Of a server elsewhere, `local` is a name too.
    if arg.get_id() == "context" {
        return Some(Kind::Context);
    }
    if arg.get_id() == "event" {
        return Some(Kind::Event);
    }
    let takes = arg.get_value_parser().type_id();
    let found = known.into_iter().find(|(kind, _)| takes == *kind);
    found.map(|(_, kind)| kind)
}

/// The names that go on with `begun`; none if they do not come at once.
fn offered(
    kind: Kind,
    begun: &OsStr,
    words: &[OsString],
    tree: fn() -> Command,
) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str().map(str::to_owned) else {
        return Vec::new();
    };
    let words = words.to_vec();
    let (tell, told) = mpsc::channel();
    // It is left behind if it takes too long, and ends with the process.
    std::thread::spawn(move || {
        let names = names(kind, &begun, words, tree).unwrap_or_default();
        let kept = names
            .into_iter()
            .filter(|(name, _)| name.starts_with(&begun));
        // Nobody may be waiting any more.
        let _ = tell.send(kept.take(OFFERED_MAX).collect::<Vec<_>>());
    });
    let names = told.recv_timeout(PATIENCE).unwrap_or_default();
    let candidate = |(name, about): (String, String)| {
        let about = (!about.is_empty()).then(|| about.into());
        CompletionCandidate::new(name).help(about)
    };
    names.into_iter().map(candidate).collect()
}

/// All names of a kind, or those from `begun` on where there may be many; each with what it is.
fn names(
    kind: Kind,
    begun: &str,
    words: Vec<OsString>,
    tree: fn() -> Command,
) -> Option<Vec<(String, String)>> {
    let operation = match kind {
        Kind::Context => {
            let contexts = Contexts::load().ok()?;
            let local = (LOCAL.to_owned(), "the server of this machine".to_owned());
            let known = contexts.entries.iter();
            let known = known.map(|entry| (entry.name.to_string(), entry.server.to_string()));
            return Some(std::iter::once(local).chain(known).collect());
        }
        Kind::Account => Operation::AccountsList {
            after: before(begun),
            limit: Some(OFFERED_MAX),
        },
        Kind::Role => Operation::RolesList {},
        Kind::Group => Operation::GroupsList {},
        Kind::Key => Operation::KeysList {
            account: None,
            unused_since: None,
            ends_before: None,
            after: None,
            limit: None,
        },
        Kind::Permission => Operation::PermissionsList {},
        Kind::Token => Operation::TokensList { account: None },
        Kind::Event => {
            let kinds = audit::KINDS.iter();
            return Some(
                kinds
                    .map(|kind| ((*kind).to_owned(), String::new()))
                    .collect(),
            );
        }
    };
    let reach = reach(words, tree)?;
    let answer = reach.ask_running(&operation).ok()??;
    let text = |item: &Value, field| item.get(field).and_then(Value::as_str).map(str::to_owned);
    let named = |item: &Value| match kind {
        Kind::Key | Kind::Token => Some((text(item, "id")?, text(item, "account")?)),
        Kind::Account
        | Kind::Role
        | Kind::Group
        | Kind::Permission
        | Kind::Context
        | Kind::Event => Some((
            text(item, "name")?,
            text(item, "description").unwrap_or_default(),
        )),
    };
    let items = answer.get("tokens").unwrap_or(&answer).as_array()?;
    Some(items.iter().filter_map(named).collect())
}

/// A name that comes right before those that begin with `begun`: itself without its last character,
/// and what follows as late as a name may be.
fn before(begun: &str) -> Option<AccountName> {
    let mut characters = begun.chars();
    let last = characters.next_back()?;
    let previous = match last {
        'b'..='z' | '1'..='9' => char::from_u32(u32::from(last) - 1)?,
        _ => return characters.as_str().parse().ok(),
    };
    // The longest name of the last letters there are: nothing that begins with `previous` is later.
    let mut name = format!("{}{previous}", characters.as_str());
    while name.len() < 64 {
        name.push('z');
    }
    name.parse().ok()
}

/// Where the line goes that is typed.
fn reach(words: Vec<OsString>, tree: fn() -> Command) -> Option<Reach> {
    let typed = words.into_iter().skip_while(|word| word != "--").skip(1);
    let matches = tree()
        .ignore_errors(true)
        .try_get_matches_from(typed)
        .ok()?;
    let place = Place::from_arg_matches(&matches).ok()?;
    let writers: (Box<dyn std::io::Write>, Box<dyn std::io::Write>) =
        (Box::new(std::io::sink()), Box::new(std::io::sink()));
    let mut output = Output::to(writers, Format::Name, Talk::Quiet, UnixTime::default());
    let found = place.find(named_by(&matches)).ok()?;
    match place.server(found, &mut output).ok()? {
        Some(server) => Some(Reach::Server(Box::new(server))),
        None => {
            let file = matches.get_one::<std::path::PathBuf>("config").cloned();
            let settings = Settings::load(&file_of(file.as_ref()).ok()?).ok()?;
            Some(Reach::Machine(Box::new(settings)))
        }
    }
}

/// How a settings file was named, if it was.
pub(super) fn named_by(matches: &ArgMatches) -> Option<By> {
    let source = matches.value_source("config")?;
    if source == ValueSource::CommandLine {
        return Some(By::CommandLine);
    }
    (source == ValueSource::EnvVariable).then_some(By::Environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_from_where_it_begins() {
        for begun in ["b", "ci", "ci-", "a.b", "x9", "0", "z"] {
            let Some(after) = before(begun) else {
                assert!(begun == "0" || begun == "a", "{begun}");
                continue;
            };
            let first: AccountName = match begun.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                true => begun.parse().unwrap(),
                false => format!("{begun}0").parse().unwrap(),
            };
            assert!(after < first, "{begun}: {after}");
        }
        assert_eq!(before(""), None);
        assert_eq!(before("ci-").unwrap().as_str(), "ci");
    }

    #[test]
    fn what_a_command_takes_is_known_by_its_type() {
        let tree = super::super::tree();
        let arg = |path: &[&str], id: &str| {
            let mut command = &tree;
            for name in path {
                command = command.find_subcommand(name).unwrap();
            }
            let arg = command.get_arguments().find(|arg| arg.get_id() == id);
            format!("{:?}", kind(arg.unwrap()))
        };
        for (path, id, expected) in [
            (&["accounts", "show"][..], "name", "Some(Account)"),
            (&["accounts", "grant"], "role", "Some(Role)"),
            (&["groups", "add"], "group", "Some(Group)"),
            (&["keys", "expire"], "key", "Some(Key)"),
            (&["keys", "create"], "only", "Some(Permission)"),
            (&["permissions", "who"], "permission", "Some(Permission)"),
            (&["contexts", "use"], "name", "Some(Context)"),
            (&["tokens", "revoke"], "id", "Some(Token)"),
            (&["audit", "tail"], "event", "Some(Event)"),
            (&["routes", "match"], "path", "None"),
        ] {
            assert_eq!(arg(path, id), expected, "{path:?} {id}");
        }
    }
}
