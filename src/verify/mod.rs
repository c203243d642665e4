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
#[cfg(test)]
pub(crate) mod world;

use std::fmt;
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
use crate::words::{Account, Caller, Evidence, KeyId, Permission, PermissionSet, Secret, UnixTime};

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

    /// Finds out who calls; `None` if there is no credential.
    ///
    /// # Errors
    ///
    /// The reason this credential is not good, all of which are 401.
    pub fn verify(
        &self,
        credential: &Credential<'_>,
        state: &State,
        now: UnixTime,
    ) -> Result<Option<Caller>, Reason> {
        match credential {
            Credential::Absent => Ok(None),
            Credential::Bearer(token) => self.token(token, state, now).map(Some),
            Credential::Key { id, secret } => {
                let key = self.key(id, secret, state, now)?;
                touch(key, now);
                Ok(Some(Caller {
                    account: Arc::clone(&key.account),
                    key: Some(*id),
                    evidence: Evidence::Key,
                    subset: key.subset.clone(),
                }))
            }
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
        jwt::verify(
            token,
            &self.issuer,
            &self.audience,
            state.directory.signing(),
        )
    }

    fn token(&self, token: &str, state: &State, now: UnixTime) -> Result<Caller, Reason> {
        let digest = self.begun.clone().chain_update(token).finalize();
        let digest = TokenDigest(digest.into());
        if let Some(identity) = self.known.get(&digest) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return caller(&identity, state, now);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let identity = self.identity(token, state)?;
        // Judged before it is remembered: only what was good once takes up room.
        let caller = caller(&identity, state, now)?;
        self.known.insert(digest, Arc::new(identity));
        Ok(caller)
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
fn caller(identity: &Identity, state: &State, now: UnixTime) -> Result<Caller, Reason> {
    let (account, key) = standing(identity, state, now)?;
    if let Some(key) = key {
        touch(key, now);
    }
    let subset = key.and_then(|key| key.subset.as_ref());
    Ok(Caller {
        account: Arc::clone(account),
        key: identity.key,
        evidence: Evidence::Token {
            digest: identity.digest,
            expires_at: identity.expires_at,
        },
        subset: narrowed(&state.policy, subset, identity.scope.as_deref()),
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
pub(crate) fn touch(key: &Key, now: UnixTime) {
    let last = key.last_used_at().unwrap_or_default();
    if now.since(last) >= LAST_USED_GRAIN {
        key.touch(now);
    }
}

/// How exact the last use of a key is.
const LAST_USED_GRAIN: Duration = Duration::from_secs(1);

/// Bytes SHA-256 takes in at a time; a random prefix of that length costs nothing per token.
const SHA256_BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::world::{START, World};
    use super::*;
    use crate::words::PermissionId;

    fn later(secs: u64) -> UnixTime {
        START.plus(Duration::from_secs(secs))
    }

    /// Asks twice: what the cache says is what the verification said.
    fn both(world: &World, token: &str, now: UnixTime) -> Result<Caller, Reason> {
        let cold = world.bearer(token, now);
        let warm = world.bearer(token, now);
        assert_eq!(cold.as_ref().err(), warm.as_ref().err());
        warm
    }

    #[test]
    fn a_token_is_verified_once_and_names_its_account_and_key() {
        let world = World::new();
        let token = world.token("ci", None);
        for _ in 0..3 {
            let caller = world.bearer(&token, START).unwrap();
            assert_eq!(caller.account.name.as_str(), "ci");
            assert_eq!(caller.key, Some(world.key("ci")));
            assert_eq!(caller.subset, None);
            let sha256: [u8; 32] = Sha256::digest(&token).into();
            let evidence = Evidence::Token {
                digest: sha256[..8].try_into().unwrap(),
                expires_at: later(900),
            };
            assert_eq!(caller.evidence, evidence);
        }
        let verifier = &world.verifier;
        assert_eq!((verifier.cache_hits(), verifier.cache_misses()), (2, 1));
        assert_eq!(
            (verifier.cache_entries(), verifier.cache_evictions()),
            (1, 0)
        );
    }

    #[test]
    fn no_credential_is_no_caller() {
        let world = World::new();
        let found = world
            .verifier
            .verify(&Credential::Absent, &world.state(), START);
        assert!(found.unwrap().is_none());
    }

    /// What was taken back is refused at the next request, remembered or not.
    #[test]
    fn e21_e23_a_change_of_state_bites_cached_tokens_at_once() {
        type Change = fn(&mut World);
        let changes: [(&str, Change, Reason); 5] = [
            (
                "the key has run out",
                |w| w.end_key("ci", START),
                Reason::KeyExpired,
            ),
            (
                "the key is gone",
                |w| w.forget_keys("ci"),
                Reason::KeyRevoked,
            ),
            (
                "the account is gone",
                |w| w.forget_account("ci"),
                Reason::KeyRevoked,
            ),
            (
                "the signing key is gone",
                |w| w.signing = Arc::default(),
                Reason::TokenUnknown,
            ),
            (
                "another signing key took its id",
                |w| {
                    let kid = w.signing.current().unwrap().kid.clone();
                    let other = crate::directory::SigningKey::generate(START).0;
                    let other = crate::directory::SigningKey { kid, ..other };
                    w.signing = Arc::new(crate::directory::SigningKeys::new(vec![other]));
                },
                Reason::TokenUnknown,
            ),
        ];
        for (what, change, reason) in changes {
            let mut world = World::new();
            let token = world.token("ci", None);
            assert!(world.bearer(&token, START).is_ok());
            change(&mut world);
            assert_eq!(world.bearer(&token, START).unwrap_err(), reason, "{what}");
        }
    }

    #[test]
    fn an_issued_token_lives_as_long_as_its_account() {
        let mut world = World::new();
        let token = world.issued("ci");
        let caller = both(&world, &token, START).unwrap();
        assert_eq!((caller.account.name.as_str(), caller.key), ("ci", None));
        world.forget_keys("ci");
        assert!(both(&world, &token, START).is_ok());
        world.forget_account("ci");
        assert_eq!(
            both(&world, &token, START).unwrap_err(),
            Reason::TokenRevoked
        );
    }

    /// The decision says that an account is switched off; here it is still a caller.
    #[test]
    fn a_disabled_account_is_left_to_the_decision() {
        let world = World::new();
        assert!(
            !both(&world, &world.token("off", None), START)
                .unwrap()
                .account
                .enabled
        );
    }

    #[test]
    fn d13_the_ends_of_a_tokens_time_are_exact() {
        let world = World::new();
        let token = world.token("ci", None);
        let ms = Duration::from_millis(1);
        let rows = [
            (
                UnixTime::from_millis(START.as_millis() - 5_001),
                Some(Reason::TokenNotYetValid),
            ),
            (UnixTime::from_millis(START.as_millis() - 5_000), None),
            (START, None),
            (UnixTime::from_millis(later(900).as_millis() - 1), None),
            (later(900), Some(Reason::TokenExpired)),
            (later(900).plus(ms), Some(Reason::TokenExpired)),
        ];
        for (now, expected) in rows {
            assert_eq!(both(&world, &token, now).err(), expected, "{now}");
        }
        // And the other way round, now that it is remembered.
        for (now, expected) in rows.into_iter().rev() {
            assert_eq!(world.bearer(&token, now).err(), expected, "{now}");
        }
    }

    #[test]
    fn e17_junk_takes_no_room() {
        let mut world = World::new();
        let good = world.token("ci", None);
        for number in 0..500 {
            let junk = format!("{good}{number}");
            assert!(world.bearer(&junk, START).is_err());
            assert!(world.bearer(&format!("junk{number}"), START).is_err());
        }
        assert!(world.bearer(&good, later(900)).is_err());
        assert_eq!(world.verifier.cache_entries(), 0);
        world.end_key("ci", START);
        assert!(world.bearer(&good, START).is_err());
        assert_eq!(
            world.verifier.cache_entries(),
            0,
            "what is refused is not remembered"
        );
    }

    #[test]
    fn a_scope_narrows_under_the_policy_in_force() {
        let mut world = World::new();
        let subset = |world: &World, scope: &[&str]| {
            let caller = both(world, &world.token("ci", Some(scope)), START).unwrap();
            caller
                .subset
                .map(|set| set.iter().map(|id| id.0).collect::<Vec<_>>())
        };
        assert_eq!(
            subset(&world, &["devices:view", "tenants:view"]),
            Some(vec![1, 2])
        );
        assert_eq!(
            subset(&world, &["ghosts:view"]),
            Some(vec![]),
            "a limit to nothing"
        );

        // The number of a name changes with the policy, remembered or not.
        let token = world.token("ci", Some(&["tenants:view"]));
        assert!(
            world
                .bearer(&token, START)
                .unwrap()
                .subset
                .unwrap()
                .contains(PermissionId(2))
        );
        let policy = Arc::get_mut(&mut world.policy).unwrap();
        policy.permissions.remove(0);
        let after = world.bearer(&token, START).unwrap().subset.unwrap();
        assert_eq!(after.iter().collect::<Vec<_>>(), [PermissionId(1)]);
    }

    #[test]
    fn a_keys_subset_and_a_tokens_scope_are_both_limits() {
        let world = World::new();
        let set =
            |ids: &[u16]| -> PermissionSet { ids.iter().copied().map(PermissionId).collect() };
        let names: Vec<Permission> = ["devices:view", "tenants:view"]
            .map(|name| name.parse().unwrap())
            .into();
        let both = |subset: Option<&PermissionSet>, scope| {
            narrowed(&world.policy, subset, scope)
                .map(|set| set.iter().map(|id| id.0).collect::<BTreeSet<_>>())
        };
        assert_eq!(both(None, None), None);
        assert_eq!(both(Some(&set(&[0, 1])), None), Some([0, 1].into()));
        assert_eq!(both(None, Some(&names)), Some([1, 2].into()));
        assert_eq!(both(Some(&set(&[0, 1])), Some(&names)), Some([1].into()));
        assert_eq!(both(Some(&set(&[0])), Some(&names)), Some([].into()));
    }

    #[test]
    fn a_key_shown_directly_is_compared_with_its_own_digest() {
        let mut world = World::new();
        let ask = |world: &World, id: &str, secret: &str| {
            let credential = Credential::Key {
                id: world.key(id),
                secret: Secret::parse(world.keys[secret].1.reveal()).unwrap(),
            };
            let found = world.verifier.verify(&credential, &world.state(), START);
            found.map(|caller| {
                let caller = caller.unwrap();
                assert_eq!(caller.evidence, Evidence::Key);
                caller.account.name.as_str().to_owned()
            })
        };
        assert_eq!(ask(&world, "ci", "ci"), Ok("ci".into()));
        assert_eq!(ask(&world, "ci", "far"), Err(Reason::KeyUnknown));
        world.end_key("ci", START);
        assert_eq!(ask(&world, "ci", "ci"), Err(Reason::KeyExpired));
        assert_eq!(
            ask(&world, "ci", "far"),
            Err(Reason::KeyUnknown),
            "says no more to a stranger"
        );
        world.forget_keys("ci");
        assert_eq!(ask(&world, "ci", "ci"), Err(Reason::KeyUnknown));
        // Another pepper, or none: the same secret is worth nothing.
        for pepper in [None, Some(Arc::new(Pepper::random()))] {
            let world = World {
                verifier: Verifier::new(&world.tokens, pepper),
                ..World::new()
            };
            assert_eq!(ask(&world, "far", "far"), Err(Reason::KeyUnknown));
        }
    }

    #[test]
    fn a_plain_digest_from_a_file_needs_no_pepper() {
        let world = World::new();
        let state = world.state();
        let (id, secret) = &world.keys["ci"];
        let wrong = Secret::random();
        let plain = Key {
            digest: crate::directory::StoredDigest::Plain(secret.digest()),
            ..state.directory.key(id).unwrap().clone()
        };
        for pepper in [None, Some(Arc::clone(&world.pepper))] {
            let comparison = Comparison::new(pepper);
            let check = |key, secret| comparison.check(key, secret, START).map(|key| key.id);
            assert_eq!(check(Some(&plain), secret), Ok(*id));
            assert_eq!(check(Some(&plain), &wrong), Err(Reason::KeyUnknown));
            assert_eq!(check(None, secret), Err(Reason::KeyUnknown));
        }
    }

    #[test]
    fn success_and_nothing_else_is_a_use_of_the_key() {
        let world = World::new();
        let state = world.state();
        let key = state.directory.key(&world.keys["ci"].0).unwrap();
        let ask = |token: &str, now| {
            let found = world
                .verifier
                .verify(&Credential::Bearer(token), &state, now);
            (found.is_ok(), key.last_used_at())
        };
        let token = world.token("ci", None);
        assert_eq!(ask(&format!("{token}x"), START), (false, None));
        assert_eq!(ask(&token, later(900)), (false, None));
        assert_eq!(ask(&token, START), (true, Some(START)));
        assert_eq!(
            ask(&token, START.plus(Duration::from_millis(999))),
            (true, Some(START))
        );
        assert_eq!(ask(&token, later(1)), (true, Some(later(1))));
    }

    #[test]
    fn a_verifier_prints_no_secret() {
        let shown = format!("{:?}", World::new().verifier);
        assert_eq!(
            shown,
            r#"Verifier { issuer: "https://gate.example.com", audience: "inventory", .. }"#
        );
    }
}
