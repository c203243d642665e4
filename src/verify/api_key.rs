//! Keys shown directly, and at the token endpoint.
//!
//! A key's id says which digest to compare with; its secret is 256 random bits, so a fast digest is
//! enough, and comparing takes the same time wherever two digests differ. An id nobody has gets a
//! digest to compare with all the same, so that the time of an answer does not tell which ids exist.
//!
//! Not here: form and checksums; a key that comes this far has both, see [`crate::credential`].

use subtle::ConstantTimeEq;

use crate::directory::{Key, StoredDigest};
use crate::reason::Reason;
use crate::store::Pepper;
use crate::words::{Secret, UnixTime};

/// Compares digests of secrets.
pub(super) struct Comparison {
    pepper: Option<std::sync::Arc<Pepper>>,
    /// What an unknown key is compared with: random, and known to nobody.
    decoy: [u8; 32],
}

impl Comparison {
    pub(super) fn new(pepper: Option<std::sync::Arc<Pepper>>) -> Self {
        let mut decoy = [0; 32];
        getrandom::fill(&mut decoy).expect("the operating system gives random bytes");
        Self { pepper, decoy }
    }

    /// Hands `key` back if `secret` is its secret and it has not run out. `key` is what the
    /// directory has under the id that was sent.
    ///
    /// # Errors
    ///
    /// [`Reason::KeyUnknown`] when there is no such key or the secret is wrong,
    /// [`Reason::KeyExpired`] only to who knows the secret.
    pub(super) fn check<'s>(
        &self,
        key: Option<&'s Key>,
        secret: &Secret,
        now: UnixTime,
    ) -> Result<&'s Key, Reason> {
        let plain = secret.digest();
        // Always both, so that unknown, plain and keyed digests take the same work.
        let keyed = self.pepper.as_ref().map(|pepper| pepper.keyed(&plain));
        let (shown, kept) = match key.map(|key| &key.digest) {
            Some(StoredDigest::Plain(kept)) => (Some(plain.as_bytes()), kept.as_bytes()),
            Some(StoredDigest::Keyed(kept)) => (keyed.as_ref(), kept),
            None => (keyed.as_ref().or(Some(plain.as_bytes())), &self.decoy),
        };
        let same = shown.is_some_and(|shown| shown.ct_eq(kept).into());
        let key = key.filter(|_| same).ok_or(Reason::KeyUnknown)?;
        match key.expires_at {
            Some(end) if now >= end => Err(Reason::KeyExpired),
            _ => Ok(key),
        }
    }
}
