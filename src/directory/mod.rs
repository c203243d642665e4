//! What the request path reads instead of the store: accounts, keys and what they are worth under
//! the policy in force, all in memory.
//!
//! Everything is worked out beforehand. A role is a set of bits, a boundary a sorted list, a group's
//! grants stand in each member's account; a decision only compares. The price is paid by whoever
//! changes something: a changed account is worked out again, with its keys, and a new state is
//! swapped in whole (see [`Handle`]). Requests that began before keep the state they began with.
//!
//! Not here: what is on disk (the store), and who may change it (the admin service).

mod build;
mod reach;
mod resolve;
mod shards;
mod signing;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use build::Built;
pub(crate) use reach::reached;
pub use resolve::Closed;
pub(crate) use resolve::Resolver;
pub use signing::{SigningKey, SigningKeyError, SigningKeys};

use crate::policy::Policy;
use crate::sync::ArcSwap;
use crate::words::{
    Account, AccountId, AccountName, AddressRules, KeyId, PermissionSet, SecretDigest, TokenId,
    UnixTime,
};
use shards::Shards;

/// A policy and the directory worked out against it. Permissions are numbers of one policy, so the
/// two are never swapped apart.
#[derive(Debug)]
pub struct State {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The directory.
    pub directory: Directory,
}

impl State {
    /// Nobody, and nothing he could call.
    pub(crate) fn nobody() -> Self {
        Self {
            policy: Arc::default(),
            directory: Directory::default(),
        }
    }
}

/// The state in force. Readers take one snapshot per request and keep it to the end; they never
/// wait and never see half a change.
///
/// One writer: the admin service, under its lock. Two could each build on the same old state, and
/// one change would be lost.
#[derive(Debug)]
pub struct Handle {
    state: ArcSwap<State>,
    changed: watch::Sender<Changes>,
}

/// How often the state was changed, as far as whoever waits tells changes apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By changes that may concern anybody.
    pub whole: u64,
    /// By tokens that were taken back, which concern nobody but who came with one of them.
    pub tokens: u64,
}

impl Handle {
    /// A handle on `state`.
    pub fn new(state: State) -> Self {
        Self {
            state: ArcSwap::from_pointee(state),
            changed: watch::Sender::default(),
        }
    }

    /// The state in force.
    pub fn snapshot(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Puts `state` in force: every snapshot taken after this returns is this state.
    pub fn store(&self, state: State) {
        self.state.store(Arc::new(state));
        self.changed.send_modify(|changes| changes.whole += 1);
    }

    /// The same for a state in which tokens are taken back, and nothing else is different.
    pub fn take_back(&self, state: State) {
        self.state.store(Arc::new(state));
        self.changed.send_modify(|changes| changes.tokens += 1);
    }

    /// Hears of every state that is put in force from now on.
    pub fn changes(&self) -> watch::Receiver<Changes> {
        self.changed.subscribe()
    }
}

/// Who may call, and by which keys. A copy shares everything with its original.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    accounts: Shards<AccountId, Arc<Account>>,
    names: Shards<AccountName, Arc<Account>>,
    keys: Shards<KeyId, Key>,
    signing: Arc<SigningKeys>,
    revoked: Revoked,
}

/// Tokens that were taken back and have not run out yet.
#[derive(Clone, Debug, Default)]
struct Revoked {
    tokens: Arc<Shards<TokenId, ()>>,
    /// How many there are: most often none.
    count: usize,
}

impl Revoked {
    fn of(tokens: impl Iterator<Item = TokenId>) -> Self {
        let mut all = Shards::default();
        tokens.for_each(|id| all.insert(id, ()));
        Self {
            count: all.len(),
            tokens: Arc::new(all),
        }
    }
}

impl Directory {
    /// The account called `name`.
    pub fn account_named(&self, name: &str) -> Option<&Arc<Account>> {
        self.names.get(name)
    }

    /// The account that is `id`.
    pub fn account(&self, id: &AccountId) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    /// The key `id`, whether or not it is still good.
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.keys.get(id)
    }

    /// Says whether this token was taken back.
    pub fn is_revoked(&self, token: &TokenId) -> bool {
        // Most often nothing is, and then nothing is looked up.
        self.revoked.count > 0 && self.revoked.tokens.get(token).is_some()
    }

    /// The keys our own tokens are signed with.
    pub fn signing(&self) -> &SigningKeys {
        &self.signing
    }

    /// The same, to be shared with the next directory.
    pub(crate) fn signing_arc(&self) -> Arc<SigningKeys> {
        Arc::clone(&self.signing)
    }

    /// Every account, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.iter().map(|(_, account)| account)
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// How many accounts there are.
    pub fn accounts_len(&self) -> usize {
        self.accounts.len()
    }

    /// How many keys there are, those that have run out too.
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }
}

/// A key, ready to be compared with what a caller shows.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its public half.
    pub id: KeyId,
    /// Whose it is.
    pub account: Arc<Account>,
    /// What its secret must match.
    pub digest: StoredDigest,
    /// From when on it is refused.
    pub expires_at: Option<UnixTime>,
    /// The only permissions it may use, whatever its account holds.
    pub subset: Option<PermissionSet>,
    /// The only addresses it may be used from, besides what its account says.
    pub addresses: Option<Arc<AddressRules>>,
    /// When it was last used, and from where. All states share it, so a change to the account loses
    /// no use.
    pub last_used: Arc<LastUse>,
}

/// The last use of a key. Written by the request path, which waits for nothing; read now and then
/// by the control plane, which writes it back.
#[derive(Debug, Default)]
pub struct LastUse {
    /// In milliseconds since the epoch; 0 is never.
    at: AtomicU64,
    /// Written at most once a second for each key, and never waited for: an address that could not
    /// be noted because it was just being read is noted the next time.
    from: Mutex<Option<IpAddr>>,
}

impl LastUse {
    /// A last use that is known already.
    pub fn new(at: Option<UnixTime>, from: Option<IpAddr>) -> Self {
        Self {
            at: AtomicU64::new(at.map_or(0, UnixTime::as_millis)),
            from: Mutex::new(from),
        }
    }
}

impl Key {
    /// Says whether the key's time is over.
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Notes that it was used.
    pub fn touch(&self, now: UnixTime, from: Option<IpAddr>) {
        self.last_used.at.store(now.as_millis(), Ordering::Relaxed);
        if let Ok(mut known) = self.last_used.from.try_lock() {
            *known = from;
        }
    }

    /// From where it was last used, if anybody knew.
    pub fn last_used_from(&self) -> Option<IpAddr> {
        let from = self.last_used.from.lock();
        *from.unwrap_or_else(PoisonError::into_inner)
    }

    /// When it was last used.
    pub fn last_used_at(&self) -> Option<UnixTime> {
        match self.last_used.at.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(UnixTime::from_millis(ms)),
        }
    }
}

/// What is kept of a key's secret.
#[derive(Clone, Copy)]
pub enum StoredDigest {
    /// `HMAC(pepper, SHA-256(secret))`, from a store.
    Keyed([u8; 32]),
    /// `SHA-256(secret)`, from a policy file.
    Plain(SecretDigest),
}

impl fmt::Debug for StoredDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyed(_) => "Keyed(..)",
            Self::Plain(_) => "Plain(..)",
        })
    }
}

#[cfg(test)]
mod tests;
