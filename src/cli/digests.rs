//! Digests of secrets as people have them: one on the command line, or a file with one a line, such
//! as `sha256sum` prints.
//!
//! A digest is no secret, but what stands on a line that is none may be one, so faults name the line
//! and never repeat it.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use super::transport::ImportedKey;
use super::{Context, Failure};
use crate::words::SecretDigest;

/// Longest list read, in bytes: some thousands of lines, more than one account may have keys.
const LIST_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a digest, with or without `sha256:` before it.
pub(super) fn digest(text: &str) -> Result<SecretDigest, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let digest = format!("sha256:{}", hex.to_ascii_lowercase());
    digest
        .parse()
        .map_err(|_| "expected 64 hexadecimal digits".to_owned())
}

/// The digests given, or those in `file`, or those on stdin.
pub(super) fn read(
    given: Vec<SecretDigest>,
    file: Option<&Path>,
    context: &mut Context<'_>,
) -> Result<Vec<ImportedKey>, Failure> {
    if !given.is_empty() {
        let plain = |digest| ImportedKey {
            id: None,
            digest,
            description: String::new(),
        };
        return Ok(given.into_iter().map(plain).collect());
    }
    let file = file.filter(|file| *file != Path::new("-"));
    let from = file.map_or("stdin".to_owned(), |file| format!("`{}`", file.display()));
    let mut text = String::new();
    let read = match file {
        Some(file) => File::open(file)
            .and_then(|file| file.take(LIST_BYTES_MAX + 1).read_to_string(&mut text)),
        None => {
            if std::io::stdin().is_terminal() {
                context
                    .output
                    .remark("type one digest a line, then press Ctrl-D")?;
            }
            let stdin = std::io::stdin().lock();
            stdin.take(LIST_BYTES_MAX + 1).read_to_string(&mut text)
        }
    };
    let read = read.map_err(|error| {
        Failure::usage(format_args!("cannot read digests from {from}: {error}"))
    })?;
    if u64::try_from(read).unwrap_or(u64::MAX) > LIST_BYTES_MAX {
        return Err(Failure::usage(format_args!(
            "{from} has more than {LIST_BYTES_MAX} bytes: import in parts"
        )));
    }
    lines(&text, &from)
}

fn lines(text: &str, from: &str) -> Result<Vec<ImportedKey>, Failure> {
    let lines = text.lines().zip(1_usize..);
    let lines = lines.map(|(line, number)| (line.trim(), number));
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(line, number)| {
        one(line).map_err(|what| Failure::invalid(format_args!("{from}, line {number}: {what}")))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(Failure::invalid(format_args!("{from} holds no digest")));
    }
    Ok(keys)
}

/// `[pck_…] DIGEST [description]`.
fn one(line: &str) -> Result<ImportedKey, String> {
    let (first, rest) = word(line);
    let (id, text, rest) = if first.starts_with("pck_") {
        let id = first
            .parse()
            .map_err(|_| "the word that begins with `pck_` is not a key id".to_owned())?;
        let (second, rest) = word(rest);
        (Some(id), second, rest)
    } else {
        (None, first, rest)
    };
    if text.starts_with("pcs_") {
        return Err(
            "this is a secret, not its digest: `printf %s \"$SECRET\" | sha256sum` makes one; \
             whoever could read this file could use the key"
                .to_owned(),
        );
    }
    Ok(ImportedKey {
        id,
        digest: digest(text)?,
        // `sha256sum` writes `-` for stdin and `*` before a file it read as bytes.
        description: rest
            .trim_start_matches('*')
            .trim_matches('-')
            .trim()
            .to_owned(),
    })
}

fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{KeyId, Secret};

    #[test]
    fn a_line_is_a_digest_perhaps_with_an_id_and_a_description() {
        let digest = Secret::random().digest();
        let hex = digest.to_string().trim_start_matches("sha256:").to_owned();
        let id = KeyId::random();
        let text = format!(
            "# old keys\n{hex}  -\n\nsha256:{hex} build server\n{id} {} *ci.key\n",
            hex.to_ascii_uppercase()
        );
        let read = lines(&text, "stdin").unwrap();
        let told: Vec<_> = read
            .iter()
            .map(|key| (key.id, key.digest == digest, key.description.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (None, true, ""),
                (None, true, "build server"),
                (Some(id), true, "ci.key")
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_digest_is_named_by_its_number_and_not_repeated() {
        let secret = Secret::random();
        for (text, expected) in [
            (secret.reveal().to_owned(), "line 1: this is a secret"),
            ("hunter2".to_owned(), "line 1: expected 64"),
            (format!("\n{}", "0".repeat(63)), "line 2: expected 64"),
            ("pck_x 00".to_owned(), "line 1: the word"),
            ("# nothing\n".to_owned(), "stdin holds no digest"),
        ] {
            let said = lines(&text, "stdin").unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
            assert!(
                !said.contains("hunter2") && !said.contains(secret.reveal()),
                "{said}"
            );
        }
    }
}
