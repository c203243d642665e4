//! What may change in a store: one [`Change`], one transaction.

use std::net::IpAddr;

use std::time::Duration;

use ipnet::IpNet;

use super::{AccountRecord, GroupRecord, KeyLimits, KeyRecord, RoleRecord, SigningKeyRecord};
use crate::settings::TOKEN_LIFETIME_MAX;
use crate::words::{
    AccountId, AccountName, Boundary, GroupName, KeyId, RoleName, SetName, TokenId, UnixTime,
};

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
        /// The set of files it is applied from now.
        applied_as: Option<SetName>,
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
    /// Another description, other limits; `None` leaves them.
    UpdateKey {
        /// The key.
        id: KeyId,
        /// Where it is used.
        description: Option<String>,
        /// What it is limited to.
        limits: Option<KeyLimits>,
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
    /// Another description of a group, another set it is applied from; `None` leaves them.
    UpdateGroup {
        /// The group.
        name: GroupName,
        /// What it is for.
        description: Option<String>,
        /// The set of files it is applied from now.
        applied_as: Option<SetName>,
        /// When.
        now: UnixTime,
    },
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
    /// Removes keys that have ended, which nobody looks for any more. One without an end stays.
    ForgetKeys {
        /// The keys.
        ids: Vec<KeyId>,
        /// Whether their ids stay behind as ended, so that a file that brings one back brings it back
        /// ended.
        ends_stay: bool,
    },
    /// Writes back when keys and accounts were last used. Never moves a time backwards.
    Used {
        /// The keys.
        keys: Vec<KeyUse>,
        /// The accounts.
        accounts: Vec<(AccountId, UnixTime)>,
    },
    /// Takes one token back; those that have run out by `now` are forgotten.
    RevokeToken {
        /// The token.
        id: TokenId,
        /// When it would have run out by itself.
        ends_at: UnixTime,
        /// When.
        now: UnixTime,
    },
    /// Takes back tokens that clients have given back, in one go; those that have run out by `now` are
    /// forgotten. It may come without a record of its own: a client gives back as many as it likes, and
    /// beyond some of them one record tells of all.
    GiveBack {
        /// The tokens, each with when it would have run out by itself.
        tokens: Vec<(TokenId, UnixTime)>,
        /// When.
        now: UnixTime,
    },
    /// A new signing key; all others retire, and those go that retired so long ago that nothing they
    /// signed is good any more.
    AddSigningKey(SigningKeyRecord),
    /// A new signing key, and no other: every token there is ends.
    ReplaceSigningKeys(SigningKeyRecord),
    /// Several, in this order; none of them if one is refused.
    Batch(Vec<Self>),
}

impl Change {
    /// Whether it only takes away, as far as it is for the store to say. Whoever asks for such a change
    /// wants somebody kept out at once, whatever else is broken. An end that is to come is none: it may
    /// be later than the one there is.
    pub fn only_denies(&self, now: UnixTime) -> bool {
        match self {
            Self::ExpireKey { at, .. } | Self::EndFileKey { at, .. } => *at <= now,
            Self::SetEnabled { enabled, .. } => !enabled,
            Self::OverrideFileAccount { disabled, .. } => *disabled,
            Self::DeleteAccount { .. }
            | Self::Ungrant { .. }
            | Self::RemoveMember { .. }
            | Self::DeleteGroup(_)
            | Self::DeleteRole(_)
            | Self::RevokeToken { .. }
            | Self::GiveBack { .. } => true,
            Self::Batch(changes) => changes.iter().all(|change| change.only_denies(now)),
            Self::CreateAccount(_)
            | Self::UpdateAccount { .. }
            | Self::Grant { .. }
            | Self::CreateKey(_)
            | Self::UpdateKey { .. }
            | Self::RotateKey { .. }
            | Self::CreateRole(_)
            | Self::UpdateRole(_)
            | Self::CreateGroup(_)
            | Self::UpdateGroup { .. }
            | Self::AddMember { .. }
            | Self::Adopt(_)
            | Self::ForgetKeys { .. }
            | Self::Used { .. }
            | Self::AddSigningKey(_)
            | Self::ReplaceSigningKeys(_) => false,
        }
    }

    /// Whether it shuts off what `earlier` shut off. Whatever else only takes away cannot be asked for
    /// twice: what has ended, or is not there, is not taken again.
    pub fn shuts_off_as(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (
                Self::SetEnabled { id, enabled, .. },
                Self::SetEnabled {
                    id: other,
                    enabled: before,
                    ..
                },
            ) => id == other && enabled == before,
            (
                Self::OverrideFileAccount { name, disabled, .. },
                Self::OverrideFileAccount {
                    name: other,
                    disabled: before,
                    ..
                },
            ) => name == other && disabled == before,
            _ => false,
        }
    }
}

/// The last use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub id: KeyId,
    /// When.
    pub at: UnixTime,
    /// From where, if anybody knows.
    pub from: Option<IpAddr>,
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

/// How long a retired signing key is kept: as long as the longest token it can have signed, and as long
/// again as clocks may differ.
pub(crate) const RETIRED_KEYS_KEPT: Duration =
    TOKEN_LIFETIME_MAX.saturating_add(Duration::from_secs(60));

impl Adoption {
    /// Says whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.gone.is_empty() && self.closed.is_empty()
    }
}
