//! Where a command goes: to a server elsewhere, or to the one of this machine.
//!
//! What is said on the command line counts before what the environment says, and that before what was
//! chosen once with `login` or `contexts use`: a command never goes elsewhere than it was told.

use std::path::PathBuf;

use clap::Args;

use super::contexts::{Contexts, Entry, LOCAL};
use super::remote::{Key, Origin, Server};
use super::{Exit, Failure, Output};

/// Where the settings are looked for when nobody says, in this order.
const SETTINGS_FILES: [&str; 2] = ["portcullis.yaml", "/etc/portcullis/portcullis.yaml"];

/// Which server is meant, as the command line says.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Place {
    #[arg(
        help = "Ask the admin API of this server, and not the server of this machine [env: PORTCULLIS_SERVER=]"
    )]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "context")]
    #[arg(help_heading = "Servers elsewhere")]
    pub(super) server: Option<String>,
    #[arg(
        help = "Ask the server of this context, `local` for the one of this machine [env: PORTCULLIS_CONTEXT=]"
    )]
    #[arg(long, global = true, value_name = "NAME")]
    #[arg(help_heading = "Servers elsewhere")]
    pub(super) context: Option<String>,
    /// File with the key that the server is asked with, `-` for stdin; without it, the key of its context
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_KEY_FILE")]
    #[arg(help_heading = "Servers elsewhere")]
    pub(super) key_file: Option<PathBuf>,
    /// File with the roots that the server is believed by; without it, those of this machine
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_CA_FILE")]
    #[arg(help_heading = "Servers elsewhere")]
    pub(super) ca_file: Option<PathBuf>,
}

/// What was found out.
pub(super) enum Found {
    /// The server of this machine.
    Machine,
    /// The server at this URL, with or without a context.
    At(Origin),
    /// The server of this context.
    Context(String),
}

impl Place {
    /// Says whether the command line itself names a server elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.server.is_some() || self.context.as_deref().is_some_and(|name| name != LOCAL)
    }

    /// The server of this machine, and no other.
    pub(super) fn of_this_machine() -> Self {
        Self {
            context: Some(LOCAL.to_owned()),
            ..Self::default()
        }
    }

    /// Which server is meant, where `names_file` says that a settings file was named: on the command
    /// line, or by the environment.
    ///
    /// # Errors
    ///
    /// When what names it is not well formed.
    pub(super) fn find(&self, names_file: Option<By>) -> Result<Found, Failure> {
        if let Some(url) = &self.server {
            return at(url, "--server");
        }
        if let Some(name) = &self.context {
            return Ok(in_context(name));
        }
        if names_file == Some(By::CommandLine) {
            return Ok(Found::Machine);
        }
        let said = |name| std::env::var(name).ok().filter(|said| !said.is_empty());
        if let Some(url) = said("PORTCULLIS_SERVER") {
            return at(&url, "PORTCULLIS_SERVER");
        }
        if let Some(name) = said("PORTCULLIS_CONTEXT") {
            return Ok(in_context(&name));
        }
        if names_file.is_some() {
            return Ok(Found::Machine);
        }
        let current = Contexts::load()?.current;
        Ok(current.map_or(Found::Machine, |name| in_context(name.as_str())))
    }

    /// The server that was found, and the key it is asked with.
    ///
    /// # Errors
    ///
    /// When there is no key for it.
    pub(super) fn server(
        &self,
        found: Found,
        output: &mut Output,
    ) -> Result<Option<Server>, Failure> {
        let key = self.key_file.as_ref();
        let mut key = || key.map(|file| Key::read(file, output)).transpose();
        let (origin, entry) = match found {
            Found::Machine => return Ok(None),
            Found::At(origin) => (origin, None),
            Found::Context(name) => {
                let contexts = Contexts::load()?;
                let entry = contexts.named(&name)?;
                (entry.server.clone(), Some(kept(entry)))
            }
        };
        let given = key()?;
        let entry = match (entry, &given) {
            (Some(entry), _) => Some(entry),
            // Whoever brings a key of his own needs no file of contexts, and is not held up by one.
            (None, Some(_)) => None,
            (None, None) => Contexts::load()?.at(&origin).map(kept),
        };
        let (kept_key, kept_roots) = entry.unzip();
        let key = given.or(kept_key).ok_or_else(|| not_logged_in(&origin))?;
        let roots = self.ca_file.clone().or(kept_roots.flatten());
        Server::new(origin, roots.as_deref(), key).map(Some)
    }
}

/// How something was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    CommandLine,
    Environment,
}

fn at(url: &str, by: &str) -> Result<Found, Failure> {
    let origin = url.parse();
    origin
        .map(Found::At)
        .map_err(|error| Failure::usage(format_args!("{by}: {error}")))
}

fn in_context(name: &str) -> Found {
    match name {
        LOCAL => Found::Machine,
        name => Found::Context(name.to_owned()),
    }
}

fn kept(entry: &Entry) -> (Key, Option<PathBuf>) {
    (entry.key.again(), entry.authorities.clone())
}

fn not_logged_in(origin: &Origin) -> Failure {
    Failure::new(
        Exit::NotPermitted,
        format_args!(
            "there is no key for `{origin}`: run `portcullis login {origin}`, or name a file that holds \
             one with `--key-file` or PORTCULLIS_KEY_FILE"
        ),
    )
}

/// The settings file: the one that is named, or the first that is there.
///
/// # Errors
///
/// When none is named, and none is there.
pub(super) fn file_of(named: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(file) = named {
        return Ok(file.clone());
    }
    let found = SETTINGS_FILES
        .iter()
        .map(PathBuf::from)
        .find(|file| file.exists());
    found.ok_or_else(|| {
        Failure::usage(format_args!(
            "no settings file: looked for {}; name one with `--config` or `PORTCULLIS_CONFIG`, write a \
             first one with `portcullis init`, or manage a server elsewhere with `portcullis login URL`",
            SETTINGS_FILES.map(|file| format!("`{file}`")).join(" and "),
        ))
    })
}
