//! The pepper: 32 random bytes in a file of their own, without which the store's digests are noise.
//!
//! A stolen store file, backup or disk snapshot then opens no door: key digests are keyed with the
//! pepper, and signing keys are sealed with a key derived from it. The pepper is made only together
//! with a new store, never to replace a lost one: with another pepper every key would be refused,
//! and that must be said at start, not found out by callers.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::sqlite::SealKey;
use crate::audit::ChainKey;
use crate::words::SecretDigest;

/// Length of a pepper in bytes: as long as the digests it keys.
const PEPPER_BYTES: usize = 32;

/// The pepper. It has no `Display`, no `Debug` of its bytes, and is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pepper([u8; PEPPER_BYTES]);

/// Why there is no usable pepper.
#[derive(Debug, Error)]
pub enum PepperError {
    /// The file is not there.
    #[error(
        "pepper file `{}` is missing: every key in the store is refused without it; restore it \
         from where its copy is kept", .path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is not the pepper this store was made with.
    #[error(
        "pepper file `{}` is not the one the store was made with: restore the right one", .path.display()
    )]
    Different {
        /// Where it is.
        path: PathBuf,
    },
    /// It does not have the right length.
    #[error("pepper file `{}` has {found} bytes, not {PEPPER_BYTES}: restore the right one", .path.display())]
    Length {
        /// Where it is.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
    },
    /// Others may read it.
    #[error("pepper file `{}` may be read by others (mode {mode:o}): `chmod 600` it", .path.display())]
    Exposed {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It could not be read or written.
    #[error("could not {what} pepper file `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was sealed cannot be opened.
    #[error("signing key `{kid}` cannot be opened with the pepper: the store is damaged")]
    Sealed {
        /// The signing key.
        kid: String,
    },
}

impl Pepper {
    /// A pepper nobody has had before, not yet in a file.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn random() -> Self {
        let mut pepper = Self([0; PEPPER_BYTES]);
        getrandom::fill(&mut pepper.0).expect("the operating system gives random bytes");
        pepper
    }

    /// The pepper in the file at `path`.
    ///
    /// # Errors
    ///
    /// [`PepperError`] when it is missing, has the wrong length, or others may read it.
    pub fn load(path: &Path) -> Result<Self, PepperError> {
        let failed = |source: std::io::Error| {
            let path = path.into();
            if source.kind() == std::io::ErrorKind::NotFound {
                return PepperError::Missing { path };
            }
            PepperError::File {
                what: "read",
                path,
                source,
            }
        };
        let mut file = File::open(path).map_err(failed)?;
        let stat = file.metadata().map_err(failed)?;
        if stat.mode() & 0o007 != 0 {
            return Err(PepperError::Exposed {
                path: path.into(),
                mode: stat.mode() & 0o777,
            });
        }
        let mut pepper = Self([0; PEPPER_BYTES]);
        let length = |found| PepperError::Length {
            path: path.into(),
            found,
        };
        if stat.len() != PEPPER_BYTES as u64 {
            return Err(length(stat.len()));
        }
        file.read_exact(&mut pepper.0).map_err(failed)?;
        Ok(pepper)
    }

    /// The pepper for a new store: the one in the file at `path` if there is one, as where it was
    /// mounted before the first start, else a new one that is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`PepperError`] when the file cannot be made, or is there and cannot be used.
    pub fn load_or_create(path: &Path) -> Result<Self, PepperError> {
        match Self::load(path) {
            Err(PepperError::Missing { .. }) => {
                Self::create(path).map_err(|source| PepperError::File {
                    what: "write",
                    path: path.into(),
                    source,
                })
            }
            found => found,
        }
    }

    /// Written beside its place and renamed, so that a death in between leaves no half pepper.
    fn create(path: &Path) -> std::io::Result<Self> {
        let pepper = Self::random();
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        if let Err(error) = fs::remove_file(&beside)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&pepper.0)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder_of(path)?;
        Ok(pepper)
    }

    /// Writes a copy to a new file at `path`, which nobody else can read, never over anything.
    ///
    /// # Errors
    ///
    /// [`PepperError::File`] when there is something at `path`, or it cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<(), PepperError> {
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(&self.0)?;
            file.sync_all()?;
            sync_folder_of(path)
        };
        write().map_err(|source| PepperError::File {
            what: "copy the pepper to",
            path: path.into(),
            source,
        })
    }

    /// What a store remembers of its pepper: enough to know it again, nothing to find it by.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"portcullis pepper fingerprint\0")
            .chain_update(self.0)
            .finalize()
            .into()
    }

    /// What a store keeps of a secret: `HMAC-SHA-256(pepper, SHA-256(secret))`.
    ///
    /// # Panics
    ///
    /// Never: HMAC takes keys of any length.
    pub fn keyed(&self, digest: &SecretDigest) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(digest.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Seals the private half of signing key `kid`: nonce, ciphertext, tag.
    ///
    /// # Panics
    ///
    /// Never: the key has the length the algorithm asks for, and randomness is there or nothing is.
    pub fn wrap(&self, kid: &str, private: &[u8]) -> Vec<u8> {
        let mut sealed = private.to_vec();
        let nonce = self
            .sealing_key()
            .seal_in_place_append_tag(Aad::from(kid.as_bytes()), &mut sealed)
            .expect("sealing some hundred bytes with a fresh nonce cannot fail");
        let mut wrapped = nonce.as_ref().to_vec();
        wrapped.append(&mut sealed);
        wrapped
    }

    /// Opens what [`Pepper::wrap`] sealed for `kid`.
    ///
    /// # Errors
    ///
    /// [`PepperError::Sealed`] when it was sealed with another pepper, for another `kid`, or was
    /// changed since.
    pub fn unwrap(&self, kid: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, PepperError> {
        let damaged = || PepperError::Sealed {
            kid: kid.to_owned(),
        };
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self
            .sealing_key()
            .open_in_place(nonce, Aad::from(kid.as_bytes()), &mut opened)
            .map_err(|_| damaged())?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    /// What the audit trail is chained with.
    ///
    /// # Panics
    ///
    /// Never: the key has the length of a digest.
    pub fn chain_key(&self) -> ChainKey {
        let derived = Salt::new(HKDF_SHA256, b"portcullis").extract(&self.0);
        let mut key = Zeroizing::new([0; 32]);
        derived
            .expand(&[b"audit chain"], HKDF_SHA256)
            .and_then(|bytes| bytes.fill(key.as_mut()))
            .expect("32 bytes is what one round of SHA-256 gives");
        ChainKey::new(key)
    }

    /// What a store's rows are sealed with.
    pub(super) fn seal_key(&self) -> SealKey {
        let derived = Salt::new(HKDF_SHA256, b"portcullis").extract(&self.0);
        let mut key = Zeroizing::new([0; 32]);
        derived
            .expand(&[b"store seal"], HKDF_SHA256)
            .and_then(|bytes| bytes.fill(key.as_mut()))
            .expect("32 bytes is what one round of SHA-256 gives");
        SealKey::new(&key)
    }

    /// The pepper itself keys digests only; what seals is derived, so that neither use can weaken
    /// the other.
    fn sealing_key(&self) -> RandomizedNonceKey {
        let derived = Salt::new(HKDF_SHA256, b"portcullis").extract(&self.0);
        let mut key = Zeroizing::new([0; 32]);
        derived
            .expand(&[b"signing key wrap"], &AES_256_GCM)
            .and_then(|bytes| bytes.fill(key.as_mut()))
            .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()))
            .expect("32 bytes is what AES-256 asks for")
    }
}

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::words::Secret;

    #[test]
    fn a_new_pepper_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        let made = Pepper::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            Pepper::load(&path).unwrap().fingerprint(),
            made.fingerprint()
        );
        assert_eq!(
            Pepper::load_or_create(&path).unwrap().fingerprint(),
            made.fingerprint()
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_a_short_and_an_exposed_pepper_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        let said = |path: &Path| Pepper::load(path).unwrap_err().to_string();
        assert!(said(&path).contains("is missing"));
        fs::write(&path, [7; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(said(&path).contains("mode 644"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(said(&path).contains("has 31 bytes, not 32"));
    }

    #[test]
    fn a_keyed_digest_depends_on_secret_and_pepper() {
        let (one, two) = (Pepper::random(), Pepper::random());
        let (a, b) = (Secret::random().digest(), Secret::random().digest());
        assert_eq!(one.keyed(&a), one.keyed(&a));
        assert_ne!(one.keyed(&a), one.keyed(&b));
        assert_ne!(one.keyed(&a), two.keyed(&a));
    }

    #[test]
    fn what_is_sealed_opens_only_for_its_own_id_and_pepper_and_unchanged() {
        let (pepper, other) = (Pepper::random(), Pepper::random());
        let sealed = pepper.wrap("kid", b"private half");
        assert_eq!(**pepper.unwrap("kid", &sealed).unwrap(), *b"private half");
        assert_ne!(
            sealed,
            pepper.wrap("kid", b"private half"),
            "a fresh nonce each time"
        );
        assert!(pepper.unwrap("another", &sealed).is_err());
        assert!(other.unwrap("kid", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(pepper.unwrap("kid", &changed).is_err(), "byte {place}");
        }
        assert!(pepper.unwrap("kid", &[]).is_err());
    }

    #[test]
    fn a_pepper_does_not_print_itself() {
        assert_eq!(format!("{:?}", Pepper::random()), "Pepper(..)");
    }
}
