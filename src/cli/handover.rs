//! How a new key's secret reaches its owner: once.
//!
//! On stdout in the form that was asked for, or in a file that only its owner can read. The file is
//! made before the key, with room for it and its name on the disk, so that one that cannot be written
//! costs nothing. Should writing fail after all, or whoever reads stdout be gone, the key is ended, and
//! one that it was to replace gets back the end it had. What a reader does with what it took, nobody knows.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::VIEW;
use super::output::Format;
use super::transport::Operation;
use super::{Context, Exit, Failure};
use crate::words::{KeyId, UnixTime};

/// The forms that only a secret has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Two `export` lines for a shell.
    Env,
    /// A manifest of a Kubernetes Secret.
    KubernetesSecret,
}

/// The file a secret goes into, if not to stdout.
pub(super) struct Into(pub(super) Option<PathBuf>);

/// Room taken on the disk before the key is made, in bytes: more than any form needs.
const RESERVED: usize = 2048;

/// Carries out `operation`, which makes a key, and hands its secret over.
pub(super) fn perform(
    operation: Operation,
    Into(file): Into,
    context: &mut Context<'_>,
) -> Result<Exit, Failure> {
    let Some(path) = file else {
        return print(operation, context);
    };
    let mut made = create(&path)?;
    let answer = match context.ask(operation) {
        Ok(answer) => answer,
        Err(failure) => {
            // It is ours and holds no secret.
            drop(fs::remove_file(&path));
            return Err(failure);
        }
    };
    let written = content(context, &answer).and_then(|text| {
        let done = fill(&mut made, text.as_bytes());
        done.map_err(|error| cannot(&path, "written", &error))
    });
    if let Err(failure) = written {
        drop(fs::remove_file(&path));
        return Err(withdrawn(&failure, &answer, context));
    }
    told(&path, answer, context)
}

/// Carries out `operation`, and prints the key with its secret.
fn print(operation: Operation, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let answer = context.ask(operation)?;
    let printed = match context.form {
        None => context.output.answer(&answer, &VIEW),
        Some(form) => text(form, &answer).and_then(|text| context.output.data(text)),
    };
    // Elsewhere a reader that leaves is no error. This one has left with nothing.
    let taken = printed.and_then(|()| context.output.flush_to_reader());
    if let Err(failure) = taken {
        return Err(withdrawn(&failure, &answer, context));
    }
    instead_of(&answer, context)?;
    context
        .output
        .remark("the secret is shown this once and kept nowhere; store it now")?;
    Ok(Exit::Ok)
}

/// What goes into the file: the form that was asked for, or the secret alone.
fn content(context: &Context<'_>, answer: &Value) -> Result<String, Failure> {
    match (context.form, context.output.format()) {
        (Some(form), _) => text(form, answer),
        (None, Format::Json | Format::Jsonl) => Ok(format!("{answer}\n")),
        (None, Format::Yaml) => Ok(super::yaml::to_string(answer)),
        (None, Format::Table | Format::Name | Format::Sarif) => {
            let secret = field(answer, "secret")?;
            Ok(format!("{secret}\n"))
        }
    }
}

/// Prints the key without its secret, and where that is.
fn told(path: &Path, mut answer: Value, context: &mut Context<'_>) -> Result<Exit, Failure> {
    if let Some(fields) = answer.as_object_mut() {
        fields.shift_remove("secret");
    }
    if context.form.is_none() {
        context.output.answer(&answer, &VIEW)?;
    }
    instead_of(&answer, context)?;
    let key = field(&answer, "id")?;
    context.output.remark(format_args!(
        "the secret of key {key} is in `{}`, and nowhere else",
        path.display()
    ))?;
    Ok(Exit::Ok)
}

/// Says what the form that was asked for does not: until when the key it is instead of works, and that it
/// ends before that one was meant to, if it does.
fn instead_of(answer: &Value, context: &mut Context<'_>) -> Result<(), Failure> {
    if let (Some(_), Ok(old), Ok(end)) = (
        context.form,
        field(answer, "replaces"),
        field(answer, "replaces_expires_at"),
    ) {
        context
            .output
            .remark(format_args!("key {old} works until {end}"))?;
    }
    inherited(answer, context)?;
    let Some(before) = answer.get("shortened_from").and_then(Value::as_str) else {
        return Ok(());
    };
    context.output.remark(format_args!(
        "the old key was meant to end at {before}; `keys.max_lifetime` lets the new one live until {}",
        field(answer, "expires_at")?
    ))
}

/// Says that a key ends with the one it is instead of: who rotates late, or twice, would not expect it.
fn inherited(answer: &Value, context: &mut Context<'_>) -> Result<(), Failure> {
    let moment = |name| -> Option<UnixTime> { field(answer, name).ok()?.parse().ok() };
    match (moment("expires_at"), moment("replaces_expires_at")) {
        (Some(end), Some(old)) if end <= old => context.output.remark(format_args!(
            "the new key ends at {end}, as the old one was meant to: rotate again with `--expires`, such as \
             `--expires 90d`, if it shall live longer"
        )),
        _ => Ok(()),
    }
}

/// A file that was not there before, private from its first moment, with room for what will stand in
/// it: a disk that is full is found out before there is a key.
fn create(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = made.map_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            return cannot(path, "made, and no key was", &error);
        }
        Failure::new(
            Exit::Conflict,
            format_args!(
                "`{}` is there already, and nothing is written over a secret: no key was made",
                path.display()
            ),
        )
    })?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let reserved = file
        .write_all(&[b' '; RESERVED])
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(folder)?.sync_all());
    if let Err(error) = reserved {
        drop(fs::remove_file(path));
        return Err(cannot(path, "written, and no key was made", &error));
    }
    Ok(file)
}

fn cannot(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::server(format_args!(
        "`{}` cannot be {what}: {error}",
        path.display()
    ))
}

fn fill(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text)?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    file.sync_all()
}

/// Ends the key whose secret nobody has, gives the one it replaces the end it had, and says so.
fn withdrawn(failure: &Failure, answer: &Value, context: &mut Context<'_>) -> Failure {
    let parsed = |field| -> Option<KeyId> { answer.get(field)?.as_str()?.parse().ok() };
    let mut told = failure.to_string();
    let mut say = |text: String| told += &format!("; {text}");
    if let Some(key) = parsed("id") {
        match context.ask(Operation::KeysExpire { key, at: None }) {
            Ok(_) => say(format!(
                "key {key} was ended, because nobody has its secret"
            )),
            Err(_) => say(format!(
                "key {key} could not be ended: `portcullis keys expire {key}`"
            )),
        }
    }
    if let Some(key) = parsed("replaces") {
        let before = field(answer, "replaces_was_to_end_at").ok();
        let before: Option<UnixTime> = before.and_then(|end| end.parse().ok());
        let restored = before.map(|end| {
            let operation = Operation::KeysExpire { key, at: Some(end) };
            context.ask(operation).map(|_| end)
        });
        match restored {
            Some(Ok(end)) => say(format!("key {key} ends at {end}, as before")),
            Some(Err(_)) | None => {
                let end = field(answer, "replaces_expires_at").unwrap_or("the end of the overlap");
                say(format!(
                    "key {key} works until {end}: rotate it again before then"
                ));
            }
        }
    }
    Failure::new(failure.exit, told)
}

/// The key in a form that only secrets have.
fn text(form: Form, answer: &Value) -> Result<String, Failure> {
    let (id, secret) = (field(answer, "id")?, field(answer, "secret")?);
    Ok(match form {
        // Letters, digits and `_`: nothing a shell or YAML would read in its own way.
        Form::Env => {
            format!("export PORTCULLIS_KEY_ID={id}\nexport PORTCULLIS_KEY_SECRET={secret}\n")
        }
        Form::KubernetesSecret => {
            let mut manifest = String::from("apiVersion: v1\nkind: Secret\nmetadata:\n");
            let name = object_name(field(answer, "account")?);
            // Writing to a string does not fail.
            let _ = write!(
                manifest,
                "  name: {name}\ntype: Opaque\nstringData:\n  PORTCULLIS_KEY_ID: {id}\n  \
                 PORTCULLIS_KEY_SECRET: {secret}\n"
            );
            manifest
        }
    })
}

/// An account's name as Kubernetes wants one: letters, digits, `-` and `.`, with a letter or digit at
/// both ends of each part.
fn object_name(account: &str) -> String {
    let plain = account.replace('_', "-");
    let parts = plain.split('.').map(|part| part.trim_matches('-'));
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    format!("{}-key", parts.join("."))
}

fn field<'a>(answer: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let field = answer.get(name).and_then(Value::as_str);
    field.ok_or_else(|| Failure::server("the service made no key"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_two_lines_for_a_shell_or_a_manifest_for_kubernetes() {
        let key = json!({ "id": "pck_1", "secret": "pcs_2", "account": "night_export" });
        assert_eq!(
            text(Form::Env, &key).unwrap(),
            "export PORTCULLIS_KEY_ID=pck_1\nexport PORTCULLIS_KEY_SECRET=pcs_2\n"
        );
        let manifest = text(Form::KubernetesSecret, &key).unwrap();
        let manifest: Value = serde_saphyr::from_str(&manifest).unwrap();
        assert_eq!(
            manifest,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": { "name": "night-export-key" },
                "stringData": { "PORTCULLIS_KEY_ID": "pck_1", "PORTCULLIS_KEY_SECRET": "pcs_2" },
            })
        );
    }

    #[test]
    fn every_account_name_makes_a_name_that_kubernetes_takes() {
        for (account, name) in [
            ("ci", "ci-key"),
            ("a_b.c-", "a-b.c-key"),
            ("x..y", "x.y-key"),
            ("7.-.z", "7.z-key"),
        ] {
            assert_eq!(object_name(account), name);
        }
    }
}
