//! The key somebody manages a server with, out of a file.
//!
//! `keys create` hands a key over in several forms: lines for a shell, JSON, YAML, a manifest. Rather
//! than ask which it is, this looks for the one id and the one secret in it, which no other word looks
//! like: both have a checksum. The secret of a key made elsewhere looks like anything, so it is named.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::{Failure, Output};
use crate::words::{KeyId, Secret};

/// Longest file read, in bytes: a manifest with remarks is a tenth of that.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Everybody may read it.
const OTHERS_READ: u32 = 0o004;
/// How secrets of ours begin.
const SECRET_BEGINS: &str = "pcs_";
/// What stands before one that has another form, on its line.
const SECRET_IS: &str = "PORTCULLIS_KEY_SECRET=";

/// A key, and what proves it.
#[derive(Debug)]
pub(in crate::cli) struct Key {
    pub(in crate::cli) id: KeyId,
    pub(in crate::cli) secret: Secret,
}

impl Key {
    /// The same once more: secrets are not copied by accident.
    pub(in crate::cli) fn again(&self) -> Self {
        let secret = Secret::parse(self.secret.reveal());
        Self {
            id: self.id,
            secret: secret.expect("it was parsed before"),
        }
    }

    /// The key in `file`, or on stdin where that is `-`.
    ///
    /// # Errors
    ///
    /// A sentence that holds nothing of what was read.
    pub(in crate::cli) fn read(file: &Path, output: &mut Output) -> Result<Self, Failure> {
        let mut text = Zeroizing::new(String::new());
        let (shown, read) = if file.as_os_str() == "-" {
            let stdin = io::stdin().lock().take(FILE_BYTES_MAX);
            ("stdin".to_owned(), { stdin }.read_to_string(&mut text))
        } else {
            let read = open(file, output);
            let read = read.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
            (format!("`{}`", file.display()), read)
        };
        read.map_err(|error| {
            Failure::usage(format_args!("cannot read a key from {shown}: {error}"))
        })?;
        Self::find(&text).map_err(|lacks| Failure::usage(format_args!("{shown} {lacks}")))
    }

    /// The one key in `text`.
    fn find(text: &str) -> Result<Self, &'static str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = || text.split(|c| !is_word(c));
        let mut ids: Vec<KeyId> = words().filter_map(|word| word.parse().ok()).collect();
        ids.dedup();
        let ours = words().filter(|word| word.starts_with(SECRET_BEGINS));
        let mut secrets = ours.filter_map(|word| Secret::parse(word).ok());
        let named = || {
            let mut lines = text.lines();
            let (_, secret) = lines.find_map(|line| line.split_once(SECRET_IS))?;
            Secret::parse(secret.trim()).ok()
        };
        match (
            ids.as_slice(),
            secrets.next().or_else(named),
            secrets.next(),
        ) {
            ([id], Some(secret), None) => Ok(Self { id: *id, secret }),
            ([], Some(_), _) => Err(
                "has a secret and no key id: `portcullis keys create NAME -o env --secret-file FILE` \
                 writes both",
            ),
            (_, None, _) => Err(
                "holds no key: expected an id, `pck_…`, and its secret, as `keys create` prints them",
            ),
            (_, Some(_), _) => Err("holds more than one key: leave one of them"),
        }
    }
}

fn open(file: &Path, output: &mut Output) -> io::Result<File> {
    let opened = File::open(file)?;
    let about = opened.metadata()?;
    // Mounted secrets are often so, in containers nobody shares; elsewhere it is a slip.
    if about.is_file() && about.mode() & OTHERS_READ != 0 {
        let said = format_args!(
            "everybody on this machine can read the key in `{}`: `chmod 600` it",
            file.display()
        );
        output.remark(said).map_err(io::Error::other)?;
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_every_form_it_is_handed_over_in() {
        let (id, secret) = (KeyId::random(), Secret::random());
        let plain = secret.reveal();
        for text in [
            format!("export PORTCULLIS_KEY_ID={id}\nexport PORTCULLIS_KEY_SECRET={plain}\n"),
            format!("{{\"id\":\"{id}\",\"secret\":\"{plain}\",\"account\":\"ci\"}}\n"),
            format!("id: {id}\nsecret: {plain}\n"),
            format!("{id}.{plain}"),
            format!("{id}:{plain}\n"),
            format!("stringData:\n  PORTCULLIS_KEY_ID: {id}\n  PORTCULLIS_KEY_SECRET: {plain}\n"),
        ] {
            let found = Key::find(&text).unwrap();
            assert_eq!((found.id, found.secret.reveal()), (id, plain), "{text}");
        }
        let foreign = format!("PORTCULLIS_KEY_ID={id}\nPORTCULLIS_KEY_SECRET=a secret: of 2019\n");
        let found = Key::find(&foreign).unwrap();
        assert_eq!((found.id, found.secret.reveal()), (id, "a secret: of 2019"));
    }

    #[test]
    fn what_is_no_key_is_told_apart_and_not_repeated() {
        let (id, secret) = (KeyId::random(), Secret::random());
        let plain = secret.reveal();
        for (text, told) in [
            (String::new(), "holds no key"),
            (id.to_string(), "holds no key"),
            (format!("{plain}\n"), "no key id"),
            (format!("{id} {plain}x"), "holds no key"),
            (format!("{id} {} {plain}", KeyId::random()), "more than one"),
            (
                format!("{id} {plain} {}", Secret::random().reveal()),
                "more than one",
            ),
        ] {
            let refused = Key::find(&text).unwrap_err();
            assert!(
                refused.contains(told) && !refused.contains(plain),
                "{refused}"
            );
        }
    }
}
