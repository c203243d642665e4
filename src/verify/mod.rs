//! From a credential to a caller, from memory only.
//!
//! A token is verified once and then remembered, so the common request costs one digest and one
//! look-up. What is remembered is *who* calls and until when; whether the signing key, the key and
//! the account still stand is asked of the directory each time, remembered or not, so whatever is
//! taken back there is refused at the very next request.
//!
//! Nothing here is `async`, waits, or keeps a lock while it does something else. That is also why
//! one core verifies one token at a time, and so at most once per core while it is new: a request
//! that would have to wait for another core's verification would wait longer than it takes.
//!
//! Not here: whether the account is switched on and from where it may call. That is part of the
//! decision, which is also asked without a credential; see [`crate::decision`].

mod api_key;
mod cache;
mod jwt;
#[cfg(all(test, feature = "model"))]
mod model;
#[cfg(test)]
pub(crate) mod world;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use self::api_key::Comparison;
use self::cache::{Cache, TokenDigest};
pub use self::jwt::CLOCK_SKEW_MAX;
pub(crate) use self::jwt::Identity;
use crate::credential::Credential;
use crate::directory::{Key, State};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::store::Pepper;
use crate::words::{
    Account, Caller, Evidence, KeyId, Permission, PermissionSet, Secret, TokenId, UnixTime,
};

/// When a credential is shown, and from where, if anybody knows.
pub type At = (UnixTime, Option<IpAddr>);

/// Verifies credentials. One for the process, shared by all cores.
pub struct Verifier {
    issuer: Box<str>,
    audience: Box<str>,
    comparison: Comparison,
    /// SHA-256 after one block of random bytes, where every token's digest begins.
    begun: Sha256,
    known: Cache<Identity>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Verifier {
    /// Verifies tokens as `tokens` says they are made, and keys whose digests were made with
    /// `pepper`.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub fn new(tokens: &Tokens, pepper: Option<Arc<Pepper>>) -> Self {
        let mut block = [0; SHA256_BLOCK_BYTES];
        getrandom::fill(&mut block).expect("the operating system gives random bytes");
        Self {
            issuer: tokens.issuer.as_str().into(),
            audience: tokens.audience.as_str().into(),
            comparison: Comparison::new(pepper),
            begun: Sha256::new_with_prefix(block),
            known: Cache::new(tokens.cache_entries),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Finds out who calls, when and from where; `None` if there is no credential. Where from is
    /// noted as the key's last use, and decides nothing here.
    ///
    /// # Errors
    ///
    /// The reason this credential is not good, all of which are 401.
    pub fn verify(
        &self,
        credential: &Credential<'_>,
        state: &State,
        at: At,
    ) -> Result<Option<Caller>, Reason> {
        let found = self.look(credential, state, at);
        found.map_err(|refused| refused.reason)
    }

    /// The same, and whether it was a guess: a credential that nobody here has ever had.
    ///
    /// # Errors
    ///
    /// The reason this credential is not good.
    pub(crate) fn look(
        &self,
        credential: &Credential<'_>,
        state: &State,
        at: At,
    ) -> Result<Option<Caller>, Refused> {
        match credential {
            Credential::Absent => Ok(None),
            Credential::Bearer(token) => self.token(token, state, at).map(Some),
            Credential::Key { id, secret } => {
                let key = self.key(id, secret, state, at.0).map_err(Refused::of_key)?;
                Ok(Some(by_key(key, at)))
            }
        }
    }

    /// The caller of a credential that has been verified before, for a source of which nothing new is:
    /// a token in the cache, or the secret of a key that has been used. No signature is computed.
    ///
    /// # Errors
    ///
    /// [`Reason::SourceThrottled`] when it is none of these, and the reason why it is not good any more
    /// when it is.
    pub(crate) fn remembered(
        &self,
        credential: &Credential<'_>,
        state: &State,
        at: At,
    ) -> Result<Caller, Reason> {
        match credential {
            Credential::Absent => Err(Reason::SourceThrottled),
            Credential::Bearer(token) => {
                let identity = self.known.get(&self.digest(token));
                caller(&*identity.ok_or(Reason::SourceThrottled)?, state, at)
            }
            Credential::Key { id, secret } => {
                let key = self.key_in_use(id, secret, state, at.0)?;
                Ok(by_key(key, at))
            }
        }
    }

    /// The key with this id, if the secret is its own and it has been used before. The same work is
    /// done for every secret, and a wrong one is told no better than a right one of a key nobody uses.
    ///
    /// # Errors
    ///
    /// [`Reason::SourceThrottled`], or [`Reason::KeyExpired`].
    pub(crate) fn key_in_use<'s>(
        &self,
        id: &KeyId,
        secret: &Secret,
        state: &'s State,
        now: UnixTime,
    ) -> Result<&'s Key, Reason> {
        match self.key(id, secret, state, now) {
            Ok(key) if key.last_used_at().is_some() => Ok(key),
            Err(Reason::KeyExpired) => Err(Reason::KeyExpired),
            Ok(_) | Err(_) => Err(Reason::SourceThrottled),
        }
    }

    /// The key with this id, if the secret is its own and it has not run out. Takes the same work
    /// whether there is such a key or not.
    ///
    /// # Errors
    ///
    /// [`Reason::KeyUnknown`], or [`Reason::KeyExpired`].
    pub(crate) fn key<'s>(
        &self,
        id: &KeyId,
        secret: &Secret,
        state: &'s State,
        now: UnixTime,
    ) -> Result<&'s Key, Reason> {
        self.comparison.check(state.directory.key(id), secret, now)
    }

    /// What a token says, if it is one of ours, whatever its time and whoever it was made for.
    ///
    /// # Errors
    ///
    /// The reason it is no access token of ours.
    pub(crate) fn identity(&self, token: &str, state: &State) -> Result<Identity, Reason> {
        self.identity_for(token, state, |audience| *audience == *self.audience)
    }

    /// The same for any audience that `is_for` admits.
    ///
    /// # Errors
    ///
    /// The reason it is no access token of ours.
    pub(crate) fn identity_for(
        &self,
        token: &str,
        state: &State,
        is_for: impl FnOnce(&str) -> bool,
    ) -> Result<Identity, Reason> {
        jwt::verify(token, &self.issuer, is_for, state.directory.signing())
    }

    /// Whom the tokens are for that it believes.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    fn digest(&self, token: &str) -> TokenDigest {
        TokenDigest(self.begun.clone().chain_update(token).finalize().into())
    }

    fn token(&self, token: &str, state: &State, at: At) -> Result<Caller, Refused> {
        let digest = self.digest(token);
        if let Some(identity) = self.known.get(&digest) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return caller(&identity, state, at).map_err(Refused::known);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let identity = self.identity(token, state).map_err(Refused::computed)?;
        // Judged before it is remembered: only what was good once takes up room.
        let caller = caller(&identity, state, at).map_err(Refused::computed)?;
        self.known.insert(digest, Arc::new(identity));
        Ok(caller)
    }

    /// What is known of the tokens in the cache: all that were verified lately, in no order.
    pub(crate) fn verified(&self) -> Vec<Arc<Identity>> {
        self.known.values()
    }

    /// The token of this id, if it is in the cache. Looks through all of it, and copies none.
    pub(crate) fn known(&self, id: &TokenId) -> Option<Arc<Identity>> {
        self.known.find(|identity| identity.id == *id)
    }

    /// Tokens found in the cache since the start.
    pub fn cache_hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Tokens not found in the cache since the start, junk included.
    pub fn cache_misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Tokens in the cache.
    pub fn cache_entries(&self) -> usize {
        self.known.len()
    }

    /// Tokens that had to leave the cache since the start.
    pub fn cache_evictions(&self) -> u64 {
        self.known.evictions()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// A credential that is not good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// Why.
    pub(crate) reason: Reason,
    /// Whether it is held against its source.
    pub(crate) was_guess: bool,
}

impl Refused {
    /// A token that had to be verified to find that out: nobody here has seen it, and it has cost a
    /// signature.
    fn computed(reason: Reason) -> Self {
        Self {
            reason,
            was_guess: true,
        }
    }

    /// A token that ran out while we knew it is no guess, and cost no more than one that is good.
    fn known(reason: Reason) -> Self {
        Self {
            reason,
            was_guess: false,
        }
    }

    fn of_key(reason: Reason) -> Self {
        Self {
            reason,
            was_guess: is_guess(reason),
        }
    }
}

/// Says whether a key, or what has the form of no credential, is held against the source that shows it,
/// here and at token endpoints: whether nobody here has ever had it. Who knows the secret of a key that
/// has run out has not guessed, and a whole fleet of such clients does not shut out those beside them.
pub(crate) const fn is_guess(reason: Reason) -> bool {
    matches!(reason, Reason::KeyUnknown | Reason::CredentialMalformed)
}

/// The caller a key speaks for; this is a use of it.
fn by_key(key: &Key, (now, source): At) -> Caller {
    touch(key, now, source);
    Caller {
        account: Arc::clone(&key.account),
        key: Some(key.id),
        evidence: Evidence::Key,
        subset: key.subset.clone(),
        addresses: key.addresses.clone(),
    }
}

/// Judges what a token says by the state in force: whose it is, and the key it was made from.
///
/// # Errors
///
/// The reason it is not good now.
pub(crate) fn standing<'s>(
    identity: &Identity,
    state: &'s State,
    now: UnixTime,
) -> Result<(&'s Arc<Account>, Option<&'s Key>), Reason> {
    let directory = &state.directory;
    if identity.signer(directory.signing()).is_none() {
        return Err(Reason::TokenUnknown);
    }
    if directory.is_revoked(&identity.id) {
        return Err(Reason::TokenRevoked);
    }
    identity.covers(now)?;
    let Some(id) = &identity.key else {
        let account = directory.account(&identity.account);
        return Ok((account.ok_or(Reason::TokenRevoked)?, None));
    };
    let key = directory.key(id).ok_or(Reason::KeyRevoked)?;
    if key.account.id != identity.account {
        return Err(Reason::KeyRevoked);
    }
    if key.is_expired(now) {
        return Err(Reason::KeyExpired);
    }
    Ok((&key.account, Some(key)))
}

/// The caller a token speaks for, by the state in force; this is a use of its key.
fn caller(identity: &Identity, state: &State, (now, source): At) -> Result<Caller, Reason> {
    let (account, key) = standing(identity, state, now)?;
    if let Some(key) = key {
        touch(key, now, source);
    }
    let subset = key.and_then(|key| key.subset.as_ref());
    Ok(Caller {
        account: Arc::clone(account),
        key: identity.key,
        evidence: Evidence::Token {
            digest: identity.digest,
            expires_at: identity.expires_at,
            id: identity.id,
        },
        subset: narrowed(&state.policy, subset, identity.scope.as_deref()),
        addresses: key.and_then(|key| key.addresses.clone()),
    })
}

/// What a key's subset and a token's scope both give. A name the policy does not know gives
/// nothing, and a scope of such names alone is a limit to nothing, not no limit.
fn narrowed(
    policy: &Policy,
    subset: Option<&PermissionSet>,
    scope: Option<&[Permission]>,
) -> Option<PermissionSet> {
    let Some(scope) = scope else {
        return subset.cloned();
    };
    let named = scope
        .iter()
        .filter_map(|permission| policy.permission_id(permission.as_str()));
    let within = |id: &_| subset.is_none_or(|subset| subset.contains(*id));
    Some(named.filter(within).collect())
}

/// Writes down that a key is in use. Coarse, because cores that write to one place take turns.
pub(crate) fn touch(key: &Key, now: UnixTime, source: Option<IpAddr>) {
    let last = key.last_used_at().unwrap_or_default();
    if now.since(last) >= LAST_USED_GRAIN {
        key.touch(now, source);
    }
}

/// How exact the last use of a key is.
const LAST_USED_GRAIN: Duration = Duration::from_secs(1);

/// Bytes SHA-256 takes in at a time; a random prefix of that length costs nothing per token.
const SHA256_BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests;
