//! Certificates and keys in files, PEM, and the sentence about those that nobody can use.
//!
//! Listeners and upstreams read the same kinds of files, and `check` reads them without starting
//! either; whoever it is, what is wrong with a file is said once, here.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// What the settings name and nobody can use, mostly a file.
#[derive(Debug, Error)]
#[error("{said}")]
pub struct Unusable {
    /// The file, if it is one.
    pub file: Option<PathBuf>,
    /// What is wrong, and what to do about it.
    pub said: String,
}

impl Unusable {
    /// What is wrong with `file`.
    pub fn file(file: &Path, said: String) -> Self {
        Self {
            file: Some(file.to_owned()),
            said,
        }
    }

    /// What is wrong without any one file being so.
    pub fn other(said: &impl ToString) -> Self {
        Self {
            file: None,
            said: said.to_string(),
        }
    }

    /// A certificate chain and a key that belong to different certificates.
    pub fn apart(chain: &Path, key: &Path, error: &rustls::Error) -> Self {
        let said = format!(
            "`{}` and `{}` do not go together ({error}): name the key that the certificate was made for",
            chain.display(),
            key.display()
        );
        Self::file(key, said)
    }
}

/// The certificates in a file, at least one.
///
/// # Errors
///
/// When the file cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(path, "certificate", error))?;
    if found.is_empty() {
        return Err(unusable(path, "certificate", pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// The private key in a file.
///
/// # Errors
///
/// When the file cannot be read, or holds none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, "private key", error))
}

/// The authorities in a file, at least one.
///
/// # Errors
///
/// When the file cannot be read, holds none, or one that cannot be an authority.
pub fn roots(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            let path_shown = path.display();
            let said = format!(
                "`{path_shown}` holds a certificate that no authority can have ({error}): take it out"
            );
            Unusable::file(path, said)
        })?;
    }
    Ok(roots)
}

/// The authorities that this machine believes; none if it has no such list.
pub fn roots_of_host() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn unusable(path: &Path, what: &str, error: pem::Error) -> Unusable {
    let shown = path.display();
    let said = match error {
        pem::Error::Io(error) => return unread(path, what, &error),
        pem::Error::NoItemsFound => format!(
            "there is no {what} in `{shown}`: it has to be PEM, which has a line `-----BEGIN {}-----`",
            what.to_uppercase()
        ),
        error @ (pem::Error::MissingSectionEnd { .. }
        | pem::Error::IllegalSectionStart { .. }
        | pem::Error::Base64Decode(_)
        | pem::Error::SectionTooLarge
        | _) => format!("`{shown}` is not whole ({error}): write the {what} there anew"),
    };
    Unusable::file(path, said)
}

/// What is said of a file that cannot be read.
pub fn unread(path: &Path, what: &str, error: &io::Error) -> Unusable {
    let shown = path.display();
    let said = if error.kind() == io::ErrorKind::NotFound {
        format!("there is no file `{shown}`: put the {what} there, or say where it is")
    } else {
        format!("`{shown}` cannot be read ({error}): let the user that serves read it")
    };
    Unusable::file(path, said)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn a_file_that_does_not_do_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = generate_simple_self_signed(["gate.test".to_owned()]).unwrap();
        fs::write(file("good.crt"), made.cert.pem()).unwrap();
        fs::write(file("half.crt"), made.cert.pem().replace("-----END", "")).unwrap();
        fs::write(file("empty"), "").unwrap();
        assert_eq!(certificates(&file("good.crt")).unwrap().len(), 1);
        let said = |unusable: Unusable| {
            assert!(unusable.file.is_some());
            let folder = format!("{}/", folder.path().display());
            unusable.to_string().replace(&folder, "")
        };
        for (found, expected) in [
            (
                said(certificates(&file("none.crt")).unwrap_err()),
                "there is no file `none.crt`: put the certificate there, or say where it is",
            ),
            (
                said(certificates(&file("empty")).unwrap_err()),
                "there is no certificate in `empty`: it has to be PEM, which has a line `-----BEGIN CERTIFICATE-----`",
            ),
            (
                said(private_key(&file("good.crt")).unwrap_err()),
                "there is no private key in `good.crt`: it has to be PEM, which has a line `-----BEGIN PRIVATE KEY-----`",
            ),
            (
                said(roots(folder.path()).unwrap_err())
                    .replace(&folder.path().display().to_string(), ""),
                "`` cannot be read (Is a directory (os error 21)): let the user that serves read it",
            ),
        ] {
            assert_eq!(found, expected);
        }
        let half = said(certificates(&file("half.crt")).unwrap_err());
        assert!(half.starts_with("`half.crt` is not whole ("), "{half}");
    }
}
