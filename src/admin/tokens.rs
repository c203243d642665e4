//! Tokens by their id, and the keys they are signed with.
//!
//! A token is not kept anywhere: what can be listed are those that were verified lately, which the
//! cache of verified tokens knows, and those that were taken back. Both are bounded. Any other token is
//! listed with its first use; `inspect` tells the id of one that somebody holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::desk::{Answer, Desk, conflict, not_found};
use super::given_back::full_at;
use super::open::unwrap;
use super::{AdminError, ErrorKind, Operation, Service};
use crate::audit::Actor;
use crate::directory::{SigningKey, State};
use crate::settings::TOKEN_LIFETIME_MAX;
use crate::store::{Change, RETIRED_KEYS_KEPT, SigningKeyRecord};
use crate::verify::{Identity, Verifier, standing};
use crate::words::{AccountName, TokenId};

/// Most tokens that may be taken back one by one at a time: what is leaked by the thousand hangs on a key
/// or an account, and those can be ended.
pub(super) const REVOKED_MAX: usize = 65_536;
/// Most tokens listed.
const LISTED_MAX: usize = 10_000;

/// Tokens that were verified lately or taken back, newest first.
pub(super) fn list(desk: &Desk<'_>, of: Option<&AccountName>) -> Answer {
    if let Some(name) = of
        && desk.directory().account_named(name.as_str()).is_none()
    {
        return Err(not_found(format!("there is no account `{name}`")));
    }
    let known = verified(desk);
    let mut taken_back: BTreeMap<_, _> = desk.records().revoked_tokens.clone();
    let mut tokens: Vec<Value> = Vec::new();
    for (audience, identity) in &known {
        taken_back.remove(&identity.id);
        let account = desk.directory().account(&identity.account);
        let name = account.map(|account| &account.name);
        if identity.expires_at <= desk.now || (of.is_some() && name != of) {
            continue;
        }
        let refused = standing(identity, &desk.state, desk.now).err();
        let refused = refused.or_else(|| {
            let is_off = account.is_some_and(|account| !account.enabled);
            is_off.then_some(crate::reason::Reason::AccountDisabled)
        });
        tokens.push(json!({
            "id": identity.id,
            "account": name,
            "audience": audience,
            "key": identity.key,
            "scope": identity.scope,
            "issued_at": identity.issued_at,
            "expires_at": identity.expires_at,
            "state": refused.map_or("good", |reason| reason.code()),
        }));
    }
    if of.is_none() {
        // Nobody has seen them since the start: no more is known than that they are refused.
        let unseen = taken_back.iter().filter(|(_, end)| **end > desk.now);
        tokens.extend(unseen.map(|(id, end)| {
            json!({
                "id": id,
                "account": null,
                "audience": null,
                "key": null,
                "scope": null,
                "issued_at": null,
                "expires_at": end,
                "state": "token_revoked",
            })
        }));
    }
    let total = tokens.len();
    tokens.truncate(LISTED_MAX);
    Ok(json!({ "tokens": tokens, "total": total }))
}

/// What the caches know, the admin API's too, newest first; with whom each token is for.
fn verified<'s>(desk: &Desk<'s>) -> Vec<(&'s str, Arc<Identity>)> {
    let mut known: Vec<_> = verifiers(desk.service)
        .flat_map(|verifier| {
            let known = verifier.verified().into_iter();
            known.map(|identity| (verifier.audience(), identity))
        })
        .collect();
    known.sort_by_key(|(_, identity)| (std::cmp::Reverse(identity.issued_at), identity.id));
    known
}

/// Those that know tokens by their use.
fn verifiers(service: &Service) -> impl Iterator<Item = &Arc<Verifier>> {
    let verifiers = [Some(&service.verifier), service.admin_verifier.as_ref()];
    verifiers.into_iter().flatten()
}

/// Takes one token back: the next request with it is refused, and what it opened is cut. A second time
/// changes nothing.
pub(super) fn revoke(desk: &mut Desk<'_>, id: TokenId) -> Answer {
    if let Some(end) = desk.records().revoked_tokens.get(&id).copied() {
        desk.so_already()?;
        return Ok(json!({ "id": id, "revoked": true, "expires_at": end }));
    }
    let known = &desk.records().revoked_tokens;
    let alive = || known.values().filter(|end| **end > desk.now).count();
    if known.len() >= REVOKED_MAX && alive() >= REVOKED_MAX {
        return Err(full_at(REVOKED_MAX));
    }
    let known = verifiers(desk.service).find_map(|verifier| verifier.known(&id));
    // Of one that nobody has shown yet it is not known when it runs out; none lives longer than this.
    let longest = desk.now.plus(TOKEN_LIFETIME_MAX);
    let ends_at = known.as_ref().map_or(longest, |known| known.expires_at);
    let now = desk.now;
    desk.change(&Change::RevokeToken { id, ends_at, now })?;
    let account = known.and_then(|known| desk.directory().account(&known.account).cloned());
    Ok(json!({
        "id": id,
        "revoked": true,
        "account": account.map(|account| account.name.clone()),
        "expires_at": ends_at,
    }))
}

/// The keys that tokens are signed with, oldest first; never their private halves.
pub(super) fn signing_keys(desk: &Desk<'_>) -> Value {
    let keys = desk.directory().signing().iter().map(|key| {
        let until = key.retired_at.map(|at| at.plus(RETIRED_KEYS_KEPT));
        json!({
            "id": key.kid,
            "created_at": key.created_at,
            "retired_at": key.retired_at,
            "verifies_until": until,
            "signs": key.retired_at.is_none(),
        })
    });
    json!({ "signing_keys": keys.collect::<Vec<_>>() })
}

/// A new key signs from now on. What the one before signed is believed until it runs out; after a leak of
/// that key nothing it signed is, and every token there is ends.
pub(super) fn rotate(desk: &mut Desk<'_>, end_tokens: bool) -> Answer {
    let Some(pepper) = desk.service.pepper.clone() else {
        return Err(conflict(
            "without a store the signing key is a file: put another at `tokens.signing_key` and start again",
        ));
    };
    let (key, private) = SigningKey::generate(desk.now);
    let record = SigningKeyRecord {
        wrapped: pepper.wrap(&key.kid, &private),
        public: key.public,
        created_at: desk.now,
        retired_at: None,
        kid: key.kid,
    };
    let kid = record.kid.clone();
    desk.change(&match end_tokens {
        true => Change::ReplaceSigningKeys(record),
        false => Change::AddSigningKey(record),
    })?;
    let signing = unwrap(desk.records(), &pepper)
        .map_err(|error| AdminError::new(ErrorKind::Unavailable, error.to_string()))?
        .in_place_of(desk.directory().signing(), end_tokens);
    desk.service.handle.store(State {
        policy: Arc::clone(&desk.state.policy),
        directory: desk.state.directory.with_signing(Arc::new(signing)),
    });
    desk.state = desk.service.handle.snapshot();
    Ok(json!({ "id": kid, "signs": true, "created_at": desk.now, "tokens_ended": end_tokens }))
}

impl Service {
    /// Makes a new signing key if the one that signs is `life` old, and says whether it did. Without a
    /// store the key is a file, which is somebody else's to change.
    ///
    /// # Errors
    ///
    /// When the store did not take it; the old one goes on signing then.
    pub fn keep_signing_key(&self, life: Duration) -> Result<bool, AdminError> {
        let state = self.handle().snapshot();
        let current = state.directory.signing().current();
        let is_due = current.is_some_and(|key| self.now().since(key.created_at) >= life);
        if self.pepper().is_none() || !is_due {
            return Ok(false);
        }
        self.execute(
            Operation::SigningKeysRotate { end_tokens: false },
            &Actor::Gateway,
        )
        .map(|_| true)
    }
}
