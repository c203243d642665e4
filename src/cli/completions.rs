//! `portcullis completions` and `portcullis man`: from the same tree that reads the command line, so
//! they cannot say anything else. A completion script asks this program; see `names`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use super::{Context, Exit, Failure, names, tree};

/// Which shell.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > ~/.zfunc/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish")]
pub(super) struct Completions {
    /// The shell; the one of `$SHELL` if left out
    shell: Option<Shell>,
}

/// Where the pages go.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis man | man -l -
  portcullis man --dir /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Folder for one page per command; the main page on stdout if left out
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints a completion script.
pub(super) fn run(completions: &Completions, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let shell = completions.shell.or_else(Shell::from_env).ok_or_else(|| {
        Failure::usage("say for which shell, such as `portcullis completions bash`: `$SHELL` names none that is known")
    })?;
    let script = names::script(&shell.to_string())?;
    context.output.bytes(&script)?;
    Ok(Exit::Ok)
}

/// Prints the main page, or writes all of them.
pub(super) fn man(man: &Man, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match &man.dir {
        Some(folder) => write_pages(folder, context)?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(tree())
                .render(&mut page)
                .map_err(Failure::server)?;
            context.output.bytes(&page)?;
        }
    }
    Ok(Exit::Ok)
}

fn write_pages(folder: &Path, context: &mut Context<'_>) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(tree(), folder))
        .map_err(|error| {
            Failure::server(format_args!(
                "cannot write pages into `{}`: {error}",
                folder.display()
            ))
        })?;
    context
        .output
        .remark(format_args!("wrote the pages into `{}`", folder.display()))
}
