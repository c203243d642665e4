//! What outlives the process: accounts, keys, custom roles, groups, grants and signing keys.
//!
//! The request path never comes here. It reads the directory, which is made from [`Records`] and is
//! changed only after the store has said that a [`Change`] is on disk. A store is therefore small
//! and plain: load everything once, then apply one change at a time.
//!
//! Not here: what a grant is worth. That depends on the policy, which lives in files and changes at
//! another pace; the directory works it out.

mod pepper;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipnet::IpNet;
use thiserror::Error;

use crate::words::{
    AccountId, AccountName, Boundary, GroupName, KeyId, PermissionPattern, RoleName, UnixTime,
};

pub use pepper::{Pepper, PepperError};

/// Holds what outlives the process.
///
/// Whoever implements this runs `store_conformance!`; each promise below is a test there.
///
/// * One writer: a store that is open is locked, and a second opener is told who holds it.
/// * A change is one transaction: all of it or nothing, whatever happens in between.
/// * Durable before acknowledged: when [`Store::apply`] returns `Ok`, the change survives the death
///   of the process and of the machine.
/// * What [`Store::load`] returns is what was applied, in every detail, after reopening too.
/// * An id that was once given away is never given away again, not even after its account is gone.
pub trait Store: Send {
    /// Everything in the store.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn load(&self) -> Result<Records, StoreError>;

    /// One account as it is now, `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn account(&self, id: &AccountId) -> Result<Option<AccountRecord>, StoreError>;

    /// One group as it is now, `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn group(&self, name: &GroupName) -> Result<Option<GroupRecord>, StoreError>;

    /// Makes `change` durable.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After an error everything is as it was.
    fn apply(&mut self, change: &Change) -> Result<(), StoreError>;

    /// What it is and where, for people: `sqlite:/var/lib/portcullis/portcullis.db`.
    fn describe(&self) -> String;
}

/// Everything in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The accounts managed by commands.
    pub accounts: BTreeMap<AccountId, AccountRecord>,
    /// The keys, of accounts managed by files too.
    keys: BTreeMap<KeyId, KeyRecord>,
    /// The same by account, so that a change to one account does not look at all keys.
    keys_of: BTreeMap<AccountId, BTreeSet<KeyId>>,
    /// The custom roles.
    pub roles: BTreeMap<RoleName, RoleRecord>,
    /// The groups managed by commands.
    pub groups: BTreeMap<GroupName, GroupRecord>,
    /// What the store adds to the accounts managed by files.
    pub file_accounts: BTreeMap<AccountName, FileAccountRecord>,
    /// Keys written in files that end earlier than the file says.
    pub file_key_ends: BTreeMap<KeyId, UnixTime>,
    /// Ids of accounts that are gone. They never come back.
    pub dead_accounts: BTreeSet<AccountId>,
    /// The signing keys, wrapped, oldest first.
    pub signing_keys: Vec<SigningKeyRecord>,
}

impl Records {
    /// The key with this id.
    pub fn key(&self, id: &KeyId) -> Option<&KeyRecord> {
        self.keys.get(id)
    }

    /// All keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.values()
    }

    /// The keys of one account, by id.
    pub fn keys_of(&self, account: &AccountId) -> impl Iterator<Item = &KeyRecord> {
        let ids = self.keys_of.get(account).into_iter().flatten();
        ids.filter_map(|id| self.keys.get(id))
    }

    /// Adds or replaces a key.
    pub fn put_key(&mut self, key: KeyRecord) {
        let ids = self.keys_of.entry(key.account.clone()).or_default();
        ids.insert(key.id);
        self.keys.insert(key.id, key);
    }

    /// Removes an account's keys and says which they were.
    pub fn remove_keys_of(&mut self, account: &AccountId) -> BTreeSet<KeyId> {
        let ids = self.keys_of.remove(account).unwrap_or_default();
        for id in &ids {
            self.keys.remove(id);
        }
        ids
    }
}

/// An account managed by commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Who it is.
    pub id: AccountId,
    /// What it is called, for as long as it lives.
    pub name: AccountName,
    /// What it is for.
    pub description: String,
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// Where it may call from; none means anywhere.
    pub allow_from: Vec<IpNet>,
    /// What it holds itself.
    pub grants: Vec<GrantRecord>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// When it last made a request, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
}

/// A role given to an account or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantRecord {
    /// The role.
    pub role: RoleName,
    /// Where it holds.
    pub within: Boundary,
    /// When its role vanished from the policy. A closed grant gives nothing, even if a role of that
    /// name returns, until it is given anew.
    pub closed_at: Option<UnixTime>,
}

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public half.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for.
    pub description: String,
    /// `HMAC(pepper, SHA-256(secret))`.
    pub digest: [u8; 32],
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
    /// From when on it is refused.
    pub expires_at: Option<UnixTime>,
    /// When it was last used, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("account", &self.account)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRecord {
    /// What it is called.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What it gives itself.
    pub permissions: Vec<PermissionPattern>,
    /// The roles it includes, built-in or custom.
    pub include: Vec<RoleName>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
}

/// A group managed by commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// What it is called.
    pub name: GroupName,
    /// What it is for.
    pub description: String,
    /// Who is in it.
    pub members: BTreeSet<AccountId>,
    /// What its members hold.
    pub grants: Vec<GrantRecord>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When somebody last changed it.
    pub updated_at: UnixTime,
}

/// What the store adds to an account managed by file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAccountRecord {
    /// Who it is: the file's own id, or a random one given at first sight.
    pub id: AccountId,
    /// Whether it is shut off, whatever the file says.
    pub disabled: bool,
    /// When it was first seen.
    pub created_at: UnixTime,
    /// When its override was last changed, or when it was first seen.
    pub updated_at: UnixTime,
    /// When it last made a request, as far as that was written back.
    pub last_used_at: Option<UnixTime>,
    /// When it vanished from the files. A row with this set keeps the override and nothing else: an
    /// account of that name that is written again is a new one.
    pub gone_at: Option<UnixTime>,
}

/// A signing key, its private half wrapped by a key derived from the pepper.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// Its id in token headers.
    pub kid: String,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, sealed.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Since when it signs nothing any more.
    pub retired_at: Option<UnixTime>,
}

impl std::fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRecord")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Who holds a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An account.
    Account(AccountId),
    /// A group.
    Group(GroupName),
}

/// One change; one transaction.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new account, with its grants.
    CreateAccount(AccountRecord),
    /// Another description, other addresses; `None` leaves them.
    UpdateAccount {
        /// The account.
        id: AccountId,
        /// What it is for.
        description: Option<String>,
        /// Where it may call from.
        allow_from: Option<Vec<IpNet>>,
        /// When.
        now: UnixTime,
    },
    /// Shuts an account off, or lets it in again.
    SetEnabled {
        /// The account.
        id: AccountId,
        /// Whether it may do anything.
        enabled: bool,
        /// When.
        now: UnixTime,
    },
    /// Removes an account and its keys; its id stays dead.
    DeleteAccount {
        /// The account.
        id: AccountId,
        /// When.
        now: UnixTime,
    },
    /// Gives a role, or opens a closed grant of it.
    Grant {
        /// To whom.
        holder: Holder,
        /// The role.
        role: RoleName,
        /// Where it holds.
        within: Boundary,
        /// When.
        now: UnixTime,
    },
    /// Takes exactly this grant away.
    Ungrant {
        /// From whom.
        holder: Holder,
        /// The role.
        role: RoleName,
        /// Where it held.
        within: Boundary,
        /// When.
        now: UnixTime,
    },
    /// A new key.
    CreateKey(KeyRecord),
    /// Sets the end of a key.
    ExpireKey {
        /// The key.
        id: KeyId,
        /// From when on it is refused.
        at: UnixTime,
        /// When.
        now: UnixTime,
    },
    /// A new key, and an end for the one it replaces.
    RotateKey {
        /// The new key.
        new: KeyRecord,
        /// The key it replaces.
        old: KeyId,
        /// From when on the old one is refused.
        old_ends_at: UnixTime,
    },
    /// A new custom role.
    CreateRole(RoleRecord),
    /// Another text for a custom role; `created_at` stays.
    UpdateRole(RoleRecord),
    /// Removes a custom role that nobody holds.
    DeleteRole(RoleName),
    /// A new group, with its grants.
    CreateGroup(GroupRecord),
    /// Removes a group.
    DeleteGroup(GroupName),
    /// Puts an account into a group.
    AddMember {
        /// The group.
        group: GroupName,
        /// The account.
        account: AccountId,
        /// When.
        now: UnixTime,
    },
    /// Takes an account out of a group.
    RemoveMember {
        /// The group.
        group: GroupName,
        /// The account.
        account: AccountId,
        /// When.
        now: UnixTime,
    },
    /// Brings the store in line with a policy that is about to be put in force.
    Adopt(Adoption),
    /// Shuts an account managed by file off, or lifts that.
    OverrideFileAccount {
        /// The account.
        name: AccountName,
        /// Whether it is shut off.
        disabled: bool,
        /// When.
        now: UnixTime,
    },
    /// Sets an earlier end for a key written in a file.
    EndFileKey {
        /// The key.
        id: KeyId,
        /// From when on it is refused.
        at: UnixTime,
    },
    /// Writes back when keys and accounts were last used. Never moves a time backwards.
    Used {
        /// The keys.
        keys: Vec<(KeyId, UnixTime)>,
        /// The accounts.
        accounts: Vec<(AccountId, UnixTime)>,
    },
    /// A new signing key; all others retire.
    AddSigningKey(SigningKeyRecord),
}

/// What a policy that is about to be put in force changes in the store.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    /// Accounts written in files for the first time, or again after they were gone.
    pub seen: Vec<(AccountName, AccountId)>,
    /// Accounts that vanished from the files: their ids are dead and their keys are gone.
    pub gone: Vec<AccountName>,
    /// Grants whose role has vanished.
    pub closed: Vec<(Holder, RoleName)>,
    /// When.
    pub now: UnixTime,
}

impl Adoption {
    /// Says whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.gone.is_empty() && self.closed.is_empty()
    }
}

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such row.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What was looked for: `account`, `key`…
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// A rule of the store stands against it.
    #[error("{0}")]
    Conflict(String),
    /// There is no store to change.
    #[error(
        "this gateway has no store (`store: none`), so {what} cannot be changed by a command: \
         edit the policy files, and they are reloaded"
    )]
    FilesOnly {
        /// What was to be changed.
        what: String,
    },
    /// Another process has it open.
    #[error("store `{}` is in use by {holder}", .path.display())]
    Locked {
        /// The store's file.
        path: PathBuf,
        /// Who, as far as it said so.
        holder: String,
    },
    /// It belongs to somebody else.
    #[error(
        "store `{}` belongs to user id {owner}, this process runs as {me}: run the command as that \
         user", .path.display()
    )]
    NotOwner {
        /// The store's file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        me: u32,
    },
    /// It was written by a later version.
    #[error(
        "store `{}` was written by a newer gateway (format {found}, this one reads up to {known}): \
         run that version, or restore a backup", .path.display()
    )]
    FormatTooNew {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// It is not what it should be.
    #[error("store `{}` is damaged: {what}", .path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The pepper is missing, unreadable, or another one.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// A file could not be read or written.
    #[error("could not {what} `{}`", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("the store did not take the change: {source}")]
    Engine {
        /// Whether trying again, unchanged, can help.
        transient: bool,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Says whether trying again, unchanged, can help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::Engine { transient, .. } => *transient,
            Self::NotFound { .. }
            | Self::Conflict(_)
            | Self::FilesOnly { .. }
            | Self::NotOwner { .. }
            | Self::FormatTooNew { .. }
            | Self::Damaged { .. }
            | Self::Pepper(_)
            | Self::File { .. } => false,
        }
    }
}
