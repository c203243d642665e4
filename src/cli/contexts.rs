//! The servers that somebody manages from this machine, and the keys he does it with: one file in his
//! own configuration folder, which nobody else may read.
//!
//! It is read strictly, as every file of ours, and written whole: beside its place, on the disk, then
//! renamed. Whoever changes it holds a lock, so that two logins at once are both kept.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::remote::{Key, Origin};
use super::{Failure, yaml};
use crate::words::{ContextName, Faults, KeyId, Secret};
use crate::yaml::shape::{Keys, Known, Shape, Word};
use crate::yaml::{Fields, Node, parse};

/// What this machine's own server is called, which is asked through the control socket.
pub(super) const LOCAL: &str = "local";
/// What the owner alone may not share.
const OF_OTHERS: u32 = 0o077;

const TEXT: Shape = Shape::Text(Word::any("a text", &[]));
const FILE: Keys = Keys {
    what: "the file of contexts",
    known: &[
        Known::new(
            "current",
            TEXT,
            "The context that is meant when none is named.",
        ),
        Known::new("contexts", Shape::Keys(&ENTRY), "The contexts, by name."),
    ],
    later: &[],
    rules: &[],
};
const ENTRY: Keys = Keys {
    what: "a context",
    known: &[
        Known::new("server", TEXT, "The URL of the admin API.").required(),
        Known::new("ca_file", TEXT, "Roots that the server is believed by."),
        Known::new("key_id", TEXT, "The id of the key.").required(),
        Known::new("key_secret", TEXT, "The secret of the key.").required(),
    ],
    later: &[],
    rules: &[],
};

/// A server, and how it is managed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: ContextName,
    pub(super) server: Origin,
    /// Roots that it is believed by; those of this machine without.
    pub(super) authorities: Option<PathBuf>,
    pub(super) key: Key,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Contexts {
    file: PathBuf,
    pub(super) current: Option<ContextName>,
    pub(super) entries: Vec<Entry>,
}

impl Contexts {
    /// What the file of this user says; nothing if there is none.
    ///
    /// # Errors
    ///
    /// When it is not this user's alone, or not well formed.
    pub(super) fn load() -> Result<Self, Failure> {
        let file = place()?;
        let mut contexts = Self {
            file,
            current: None,
            entries: Vec::new(),
        };
        let Some(text) = read(&contexts.file)? else {
            return Ok(contexts);
        };
        let (current, entries) = decode(&contexts.file, &text)?;
        contexts.current = current;
        contexts.entries = entries;
        Ok(contexts)
    }

    /// Changes the file, alone.
    ///
    /// # Errors
    ///
    /// As for [`Contexts::load`], what `change` says, and when it cannot be written.
    pub(super) fn change<T>(
        change: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let file = place()?;
        let folder = file.parent().unwrap_or_else(|| Path::new("."));
        let failed = |error: io::Error| cannot_write(&file, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut contexts = Self::load()?;
        let changed = change(&mut contexts)?;
        contexts.write(folder).map_err(failed)?;
        Ok(changed)
    }

    /// The context called `name`.
    ///
    /// # Errors
    ///
    /// A sentence with those there are, when there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Entry, Failure> {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.name.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
            let known = match known.as_slice() {
                [] => "there is none yet".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            Failure::new(
                super::Exit::NotFound,
                format_args!(
                    "there is no context `{name}`: {known}; `portcullis login URL --name {name}` makes one"
                ),
            )
        })
    }

    /// The context of the server at `origin`, if there is one.
    pub(super) fn at(&self, origin: &Origin) -> Option<&Entry> {
        let current = self.current.as_ref();
        let mut entries = self.entries.iter().filter(|entry| entry.server == *origin);
        let first = entries.clone().next();
        entries.find(|entry| Some(&entry.name) == current).or(first)
    }

    /// Puts `entry` in, in the place of one of the same name.
    pub(super) fn put(&mut self, entry: Entry) {
        let same = self
            .entries
            .iter_mut()
            .find(|known| known.name == entry.name);
        match same {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let text = Zeroizing::new(self.text());
        let beside = self.file.with_extension("yaml.new");
        // One that is left over from a crash may have another owner's mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        File::open(folder)?.sync_all()
    }

    fn text(&self) -> String {
        let mut contexts = Map::new();
        for entry in &self.entries {
            let mut fields = Map::new();
            fields.insert("server".into(), json!(entry.server.to_string()));
            if let Some(file) = &entry.authorities {
                fields.insert("ca_file".into(), json!(file.to_string_lossy()));
            }
            fields.insert("key_id".into(), json!(entry.key.id));
            fields.insert("key_secret".into(), json!(entry.key.secret.reveal()));
            contexts.insert(entry.name.to_string(), Value::Object(fields));
        }
        let mut file = Map::new();
        if let Some(current) = &self.current {
            file.insert("current".into(), json!(current));
        }
        file.insert("contexts".into(), Value::Object(contexts));
        let head = "# Written by `portcullis login`. It holds secrets: keep it to yourself.\n";
        head.to_owned() + &yaml::to_string(&Value::Object(file))
    }
}

/// Where the file is.
fn place() -> Result<PathBuf, Failure> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let absolute = |folder: &PathBuf| folder.is_absolute();
    let chosen = folder("XDG_CONFIG_HOME").filter(absolute);
    let usual = || Some(folder("HOME").filter(absolute)?.join(".config"));
    let folder = chosen.or_else(usual).ok_or_else(|| {
        Failure::usage("there is no place for contexts: set `HOME` or `XDG_CONFIG_HOME`")
    })?;
    Ok(folder.join("portcullis/contexts.yaml"))
}

/// The text of the file, if there is one and it is this user's alone.
fn read(file: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let shown = file.display();
    let failed =
        |error: io::Error| Failure::usage(format_args!("`{shown}` cannot be read: {error}"));
    let opened = match File::open(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        opened => opened.map_err(failed)?,
    };
    let about = opened.metadata().map_err(failed)?;
    let me = rustix::process::geteuid().as_raw();
    if about.uid() != me {
        return Err(Failure::usage(format_args!(
            "`{shown}` belongs to another user (id {}): what it says is not believed; move it away, \
             and log in again",
            about.uid()
        )));
    }
    if about.mode() & OF_OTHERS != 0 {
        return Err(Failure::usage(format_args!(
            "`{shown}` holds secrets and others may open it (mode {:o}): `chmod 600` it, and make new \
             keys if somebody has read it",
            about.mode() & 0o777
        )));
    }
    let text = io::read_to_string(opened).map_err(failed)?;
    Ok(Some(Zeroizing::new(text)))
}

type Decoded = (Option<ContextName>, Vec<Entry>);

fn decode(file: &Path, text: &str) -> Result<Decoded, Failure> {
    let mut faults = Faults::default();
    let shown: Arc<Path> = file.into();
    let read = parse(&shown, text, &mut faults).and_then(|node| tree(&node, &mut faults));
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        Some(_) | None => Err(Failure::invalid(faults)),
    }
}

fn tree(node: &Node, faults: &mut Faults) -> Option<Decoded> {
    let fields = Fields::of(node, &FILE, faults)?;
    let current = fields.get("current");
    let current = current.and_then(|node| node.word("the name of a context", faults));
    let mut entries = Vec::new();
    let listed = fields.get("contexts");
    let listed = listed.and_then(|node| node.entries("contexts", faults));
    for (key, node) in listed.unwrap_or_default() {
        match key.text.parse() {
            Ok(name) => entries.extend(entry(name, node, faults)),
            Err(error) => faults.push(crate::words::Fault::new(
                key.place.clone(),
                format!("{error}"),
            )),
        }
    }
    Some((current, entries))
}

fn entry(name: ContextName, node: &Node, faults: &mut Faults) -> Option<Entry> {
    let fields = Fields::of(node, &ENTRY, faults)?;
    let server = value::<Origin>(&fields, "server", faults);
    let id = value::<KeyId>(&fields, "key_id", faults);
    let secret = value::<Shut>(&fields, "key_secret", faults);
    let authorities = fields.get("ca_file");
    let authorities = authorities.and_then(|node| node.text("a file", faults));
    Some(Entry {
        name,
        server: server?,
        authorities: authorities.map(PathBuf::from),
        key: Key {
            id: id?,
            secret: secret?.0,
        },
    })
}

/// A secret out of a file. Its error says nothing of what stands there.
struct Shut(Secret);

impl FromStr for Shut {
    type Err = crate::words::SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Secret::parse(text).map(Self)
    }
}

fn value<T>(fields: &Fields<'_>, name: &str, faults: &mut Faults) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let Some(node) = fields.get(name) else {
        let message = format!("`{name}` is missing: `portcullis login` writes it");
        faults.push(crate::words::Fault::new(fields.place.clone(), message));
        return None;
    };
    node.word(name, faults)
}

fn cannot_write(file: &Path, error: &io::Error) -> Failure {
    Failure::server(format_args!(
        "`{}` cannot be written: {error}",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, server: &str) -> Entry {
        Entry {
            name: name.parse().unwrap(),
            server: server.parse().unwrap(),
            authorities: (name == "prod").then(|| "/etc/ca.pem".into()),
            key: Key {
                id: KeyId::random(),
                secret: Secret::random(),
            },
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let contexts = Contexts {
            file: "contexts.yaml".into(),
            current: Some("prod".parse().unwrap()),
            entries: vec![
                entry("prod", "https://gate.example.com:7081"),
                entry("7", "http://127.0.0.1:7081"),
            ],
        };
        let (current, entries) = decode(&contexts.file, &contexts.text()).unwrap();
        assert_eq!(current, contexts.current);
        assert_eq!(entries.len(), 2);
        for (read, written) in entries.iter().zip(&contexts.entries) {
            assert_eq!((&read.name, &read.server), (&written.name, &written.server));
            assert_eq!(read.authorities, written.authorities);
            assert_eq!(read.key.id, written.key.id);
            assert_eq!(read.key.secret.reveal(), written.key.secret.reveal());
        }
        let none = Contexts {
            current: None,
            entries: Vec::new(),
            ..contexts
        };
        assert!(decode(&none.file, &none.text()).unwrap().1.is_empty());
        assert!(decode(&none.file, "").unwrap().1.is_empty());
    }

    #[test]
    fn a_file_that_says_something_else_is_told_where_and_repeats_no_secret() {
        let secret = Secret::random();
        let plain = secret.reveal();
        let key = format!("key_id: {}, key_secret: {plain}", KeyId::random());
        for (text, told) in [
            ("context: {}".to_owned(), ":1:1: "),
            (
                format!("contexts:\n  prod: {{ {key} }}\n"),
                "`server` is missing",
            ),
            (
                format!("contexts:\n  prod: {{ server: 'http://gate', {key} }}\n"),
                ":2:19: keys and tokens are not sent over plain `http`",
            ),
            (
                format!("contexts:\n  Prod: {{ server: 'https://gate', {key} }}\n"),
                ":2:3: `Prod` is not the name of a context",
            ),
            (
                format!(
                    "contexts:\n  p: {{ server: 'https://gate', key_id: pck_1, key_secret: {plain}x }}\n"
                ),
                "not a key secret",
            ),
        ] {
            let refused = decode(Path::new("contexts.yaml"), &text).unwrap_err();
            let said = refused.to_string();
            assert!(
                said.contains(told) && !said.contains(plain),
                "{text}: {said}"
            );
        }
    }
}
