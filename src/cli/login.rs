//! `portcullis login`, `logout`, `whoami` and `contexts`: which servers are managed from here, and as
//! whom.
//!
//! A key is taken only after the server has taken it. It is typed where nobody sees it, or read from a
//! file or a pipe, and kept where nobody else can read it.

use std::io::{self, BufRead, IsTerminal, Read as _};
use std::path::Path;

use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::contexts::{Contexts, Entry, LOCAL};
use super::remote::{Key, Origin, Server};
use super::table::View;
use super::transport::{Operation, Reach};
use super::{Context, Exit, Failure};
use crate::words::{ContextName, KeyId, Secret};

/// What somebody looks like to a server.
const VIEW: View = View {
    plural: "identities",
    name: "account",
    columns: &[],
};

/// What contexts look like.
const CONTEXTS: View = View {
    plural: "contexts",
    name: "name",
    columns: &[
        ("current", "current"),
        ("name", "name"),
        ("server", "server"),
        ("key", "key"),
        ("roots", "ca_file"),
    ],
};

/// Longest line that is typed, in bytes: a secret has 53.
const LINE_BYTES_MAX: u64 = 4096;
/// How a context is called after a host that has no such name.
const NAME_FALLBACK: &str = "server";

/// A server to manage from here.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis login https://gate.example.com:7081                     asks for key id and secret
  portcullis login https://gate.example.com:7081 --name prod --key-file ops.key
  portcullis keys create ops -o env | portcullis login http://127.0.0.1:7081
  portcullis login https://10.0.0.7:7081 --ca-file ca.pem

The key is kept in ~/.config/portcullis/contexts.yaml, which only you can read.")]
pub(super) struct Login {
    /// The URL of the server's admin API
    #[arg(value_name = "URL")]
    url: Origin,
    /// What to call it here; after its host if left out
    #[arg(long, value_name = "NAME")]
    name: Option<ContextName>,
}

/// A context that is not wanted any more.
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  portcullis logout
  portcullis logout prod && portcullis keys expire pck_…     the key itself is good until it is ended")]
pub(super) struct Logout {
    /// The context; the current one if left out
    name: Option<ContextName>,
}

/// Contexts: the servers that are managed from here
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the servers that `login` was said to
    List,
    /// Choose the server that is meant when none is named; `local` is the one of this machine
    #[command(before_help = "Examples:
  portcullis contexts use prod
  portcullis contexts use local")]
    Use {
        /// The context
        name: ContextName,
    },
}

/// Takes a key for a server, once the server has taken it.
pub(super) fn login(login: Login, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let name = match login.name {
        Some(name) => name,
        None => called(login.url.host())?,
    };
    if name.as_str() == LOCAL {
        return Err(Failure::usage(
            "`local` is the server of this machine, which needs no key: take another `--name`",
        ));
    }
    let key = match context.place.key_file.clone() {
        Some(file) => Key::read(&file, context.output)?,
        None if io::stdin().is_terminal() => typed(&login.url, context)?,
        None => Key::read(Path::new("-"), context.output)?,
    };
    let authorities = context.place.ca_file.as_deref().map(std::path::absolute);
    let authorities = authorities.transpose().map_err(Failure::usage)?;
    let server = Server::new(login.url.clone(), authorities.as_deref(), key.again())?;
    let asked = server.ask(&Operation::Whoami {})?;
    let entry = Entry {
        name: name.clone(),
        server: login.url,
        authorities,
        key,
    };
    let told = described(Some(&entry), asked);
    Contexts::change(|contexts| {
        contexts.put(entry);
        contexts.current = Some(name.clone());
        Ok(())
    })?;
    context.output.answer(&told, &VIEW)?;
    if !manages(&told) {
        context.output.remark(
            "this account may do nothing here yet: its permissions are for the APIs behind; the role \
             `portcullis-admin` is for whoever manages, `portcullis-viewer` for whoever looks",
        )?;
    }
    context.output.remark(format_args!(
        "commands now go to this server: `portcullis contexts use local` leads back to this machine"
    ))?;
    Ok(Exit::Ok)
}

/// Says whether a caller has any permission of the gateway's own.
fn manages(told: &Value) -> bool {
    let held = told.get("permissions").and_then(Value::as_array);
    let mut held = held.into_iter().flatten().filter_map(Value::as_str);
    held.any(|name| name.starts_with("portcullis."))
}

/// Forgets a key.
pub(super) fn logout(logout: Logout, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let (name, key) = Contexts::change(|contexts| {
        let name = logout.name.or_else(|| contexts.current.clone());
        let name = name.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                "you are not logged in anywhere; `portcullis contexts list` shows where you were",
            )
        })?;
        let key = contexts.named(name.as_str())?.key.id;
        contexts.entries.retain(|entry| entry.name != name);
        contexts.current = contexts.current.take().filter(|current| *current != name);
        Ok((name, key))
    })?;
    context.output.remark(format_args!(
        "context `{name}` is gone from here; key {key} is good until it is ended: `portcullis keys \
         expire {key}`"
    ))?;
    Ok(Exit::Ok)
}

/// Says as whom the server knows whoever asks.
pub(super) fn whoami(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let reach = context.reach()?;
    let told = match &*reach {
        Reach::Machine(_) => described(None, reach.ask(Operation::Whoami {})?),
        Reach::Server(server) => {
            let asked = server.ask(&Operation::Whoami {})?;
            let contexts = Contexts::load().ok();
            let entry = contexts
                .as_ref()
                .and_then(|known| known.at(server.origin()));
            let entry = entry.filter(|entry| entry.key.id == server.key().id);
            match entry {
                Some(entry) => described(Some(entry), asked),
                None => prefixed([("server", json!(server.origin().to_string()))], asked),
            }
        }
    };
    context.output.answer(&told, &VIEW)?;
    Ok(Exit::Ok)
}

/// Runs one of `contexts`.
pub(super) fn contexts(command: Command, context: &mut Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let contexts = Contexts::load()?;
            context.output.answer(&listed(&contexts), &CONTEXTS)?;
        }
        Command::Use { name } => {
            Contexts::change(|contexts| {
                contexts.current = match name.as_str() {
                    LOCAL => None,
                    other => Some(contexts.named(other)?.name.clone()),
                };
                Ok(())
            })?;
            context
                .output
                .remark(format_args!("commands now go to `{name}`"))?;
        }
    }
    Ok(Exit::Ok)
}

fn listed(contexts: &Contexts) -> Value {
    let mut rows = vec![json!({
        "name": LOCAL,
        "current": contexts.current.is_none(),
        "server": "this machine",
        "key": null,
        "ca_file": null,
    })];
    rows.extend(contexts.entries.iter().map(|entry| {
        json!({
            "name": entry.name,
            "current": contexts.current.as_ref() == Some(&entry.name),
            "server": entry.server.to_string(),
            "key": entry.key.id,
            "ca_file": entry.authorities,
        })
    }));
    rows.into()
}

/// What a server says of whoever asks, with what is known here.
fn described(entry: Option<&Entry>, asked: Value) -> Value {
    match entry {
        None => prefixed([("server", json!("this machine"))], asked),
        Some(entry) => prefixed(
            [
                ("context", json!(entry.name)),
                ("server", json!(entry.server.to_string())),
            ],
            asked,
        ),
    }
}

fn prefixed<const N: usize>(known: [(&str, Value); N], asked: Value) -> Value {
    let mut told: Map<String, Value> = known
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    if let Value::Object(asked) = asked {
        told.extend(asked);
    }
    Value::Object(told)
}

/// A context's name, after the host of its server.
fn called(host: &str) -> Result<ContextName, Failure> {
    let first = match host.parse::<std::net::IpAddr>() {
        Ok(_) => host,
        Err(_) => host.split('.').next().unwrap_or(host),
    };
    let plain = first.to_ascii_lowercase().replace(':', "-");
    let plain = plain.trim_start_matches('-');
    let name = if plain.is_empty() {
        NAME_FALLBACK
    } else {
        plain
    };
    // `localhost` is called so; `local` is taken.
    name.parse()
        .map_err(|error| Failure::usage(format_args!("{error}: say what to call it with `--name`")))
}

/// A key that is typed.
fn typed(server: &Origin, context: &mut Context<'_>) -> Result<Key, Failure> {
    let ask = |context: &mut Context<'_>, what: &str| {
        context
            .output
            .prompt(format_args!("{what} for `{server}`: "))
    };
    ask(context, "Key id")?;
    let id: KeyId = line()?.trim().parse().map_err(Failure::usage)?;
    // Hidden before it is asked for: who is quick would see it, and it would be lost.
    let hidden = hide()?;
    ask(context, "Secret (it is not shown)")?;
    let secret = hidden_line();
    drop(hidden);
    context.output.complain("")?;
    let secret = secret?.ok_or_else(|| Failure::usage("interrupted: nothing was kept"))?;
    let secret = Secret::parse(secret.trim()).map_err(Failure::usage)?;
    Ok(Key { id, secret })
}

fn line() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut text);
    read.map_err(|error| Failure::usage(format_args!("nothing could be read: {error}")))?;
    Ok(text)
}

/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 3;

/// What is typed is not shown until this goes away.
struct Hidden(rustix::termios::Termios);

fn hide() -> Result<Hidden, Failure> {
    let failed = |error| {
        Failure::usage(format_args!(
            "this terminal cannot hide what is typed ({error}): use `--key-file`"
        ))
    };
    let before = tcgetattr(io::stdin()).map_err(failed)?;
    let mut hidden = before.clone();
    // A signal would end this process and leave the terminal silent, so Ctrl-C ends the line instead.
    hidden
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(failed)?;
    Ok(Hidden(before))
}

/// What is typed until the end of the line, while it is hidden; nothing after Ctrl-C.
fn hidden_line() -> Result<Option<Zeroizing<String>>, Failure> {
    let failed = |error| Failure::usage(format_args!("nothing could be read: {error}"));
    let mut text = Zeroizing::new(Vec::new());
    let mut stdin = io::stdin().lock().take(LINE_BYTES_MAX);
    loop {
        let read = stdin.fill_buf().map_err(failed)?;
        if read.contains(&CTRL_C) {
            return Ok(None);
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(read.len(), |end| end + 1);
        text.extend_from_slice(read.get(..taken).unwrap_or_default());
        let is_over = end.is_some() || read.is_empty();
        stdin.consume(taken);
        if is_over {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Ok(Some(Zeroizing::new(text)));
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Whoever is left with a silent terminal has closed it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_called_after_its_host() {
        for (host, name) in [
            ("gate.example.com", "gate"),
            ("GATE", "gate"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("2001:db8::7", "2001-db8--7"),
            ("::1", "1"),
        ] {
            assert_eq!(called(host).unwrap().as_str(), name);
        }
        assert!(called("höst").is_err());
    }
}
