//! What is told of a change in the audit trail: what it is about, and what was before and after.
//!
//! The change is tried on the few records it concerns, so what is told after is what will be. Only
//! what differs is told, of lists too: a grant more is one grant, not two hundred.

mod view;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::view::{account, differing, file_account, group, key, role, signing_key};
use super::{Adoption, Change, GroupRecord, Holder, Records};
use crate::audit::Object;
use crate::words::{AccountId, AccountName, GroupName, KeyId, RoleName, TokenId};

/// Most names of one kind told of what a policy changes.
const NAMES_MAX: usize = 256;

/// What is told of a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What it is about.
    pub object: Object,
    /// What of it was before.
    pub before: Value,
    /// What of it is after.
    pub after: Value,
}

/// What a change is about.
enum Subject<'c> {
    Account(&'c AccountId),
    FileAccount(&'c AccountName),
    Key(&'c KeyId),
    Rotation(&'c KeyId, &'c KeyId),
    FileKey(&'c KeyId),
    Role(&'c RoleName),
    Group(&'c GroupName),
    Member(&'c GroupName, &'c AccountId),
    SigningKey(&'c str),
    Token(&'c TokenId),
    Adoption(&'c Adoption),
    Use,
}

impl Change {
    /// Says whether it is bookkeeping that nobody asked for and that changes nobody's rights, or what
    /// one record tells of many. Only that is made without a record.
    pub fn is_bookkeeping(&self) -> bool {
        self.each()
            .iter()
            .all(|change| matches!(change.subject(), Subject::Use))
    }

    /// The changes in it, one after the other.
    fn each(&self) -> Vec<&Self> {
        if let Self::Batch(changes) = self {
            return changes.iter().flat_map(Self::each).collect();
        }
        vec![self]
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Self::CreateAccount(account) => Subject::Account(&account.id),
            Self::UpdateAccount { id, .. }
            | Self::SetEnabled { id, .. }
            | Self::DeleteAccount { id, .. } => Subject::Account(id),
            Self::Grant { holder, .. } | Self::Ungrant { holder, .. } => match holder {
                Holder::Account(id) => Subject::Account(id),
                Holder::Group(name) => Subject::Group(name),
            },
            Self::CreateKey(key) => Subject::Key(&key.id),
            Self::ExpireKey { id, .. } | Self::UpdateKey { id, .. } => Subject::Key(id),
            Self::RotateKey { new, old, .. } => Subject::Rotation(old, &new.id),
            Self::CreateRole(role) | Self::UpdateRole(role) => Subject::Role(&role.name),
            Self::DeleteRole(name) => Subject::Role(name),
            Self::CreateGroup(group) => Subject::Group(&group.name),
            Self::DeleteGroup(name) | Self::UpdateGroup { name, .. } => Subject::Group(name),
            Self::AddMember { group, account, .. } | Self::RemoveMember { group, account, .. } => {
                Subject::Member(group, account)
            }
            Self::Adopt(adoption) => Subject::Adoption(adoption),
            Self::OverrideFileAccount { name, .. } => Subject::FileAccount(name),
            Self::EndFileKey { id, .. } => Subject::FileKey(id),
            // Of several each is told by itself, and what clients give back by who took it back.
            Self::ForgetKeys { .. }
            | Self::Used { .. }
            | Self::Batch(_)
            | Self::GiveBack { .. } => Subject::Use,
            Self::RevokeToken { id, .. } => Subject::Token(id),
            Self::AddSigningKey(key) | Self::ReplaceSigningKeys(key) => {
                Subject::SigningKey(key.kid.as_str())
            }
        }
    }
}

impl Records {
    /// What is told of `change`, which has not been made yet: of several, one after the other, and
    /// nothing of bookkeeping that goes with them.
    pub fn told(&self, change: &Change) -> Vec<Told> {
        let mut changes = change.each();
        changes.retain(|change| !matches!(change.subject(), Subject::Use));
        let mut part = Self::default();
        for change in &changes {
            self.add_part(&change.subject(), &mut part);
        }
        let told = changes.into_iter().map(|change| {
            let subject = change.subject();
            if let Subject::Adoption(adoption) = subject {
                return self.told_of_adoption(adoption);
            }
            let before = part.view(&subject);
            let known = part.object(&subject, self);
            part.apply(change);
            let after = part.view(&subject);
            let object = match (&known.name, &known.account) {
                (None, None) => part.object(&subject, self),
                (_, _) => known,
            };
            let (before, after) = differing(before, after);
            Told {
                object,
                before,
                after,
            }
        });
        told.collect()
    }

    /// Adds the records that a change to `subject` looks at, and no others: a store may have a hundred
    /// thousand accounts.
    fn add_part(&self, subject: &Subject<'_>, part: &mut Self) {
        match subject {
            Subject::Account(id) => {
                let account = self.accounts.get(*id).cloned();
                part.accounts
                    .extend(account.map(|account| ((*id).clone(), account)));
                self.keys_of(id).for_each(|key| part.put_key(key.clone()));
            }
            Subject::FileAccount(name) => {
                let row = self.file_accounts.get(*name).cloned();
                part.file_accounts
                    .extend(row.map(|row| ((*name).clone(), row)));
            }
            Subject::Key(id) | Subject::Rotation(id, _) => {
                self.key(id)
                    .into_iter()
                    .for_each(|key| part.put_key(key.clone()));
            }
            Subject::FileKey(id) => {
                let end = self.file_key_ends.get(*id).copied();
                part.file_key_ends.extend(end.map(|end| (**id, end)));
            }
            Subject::Role(name) => {
                let role = self.roles.get(*name).cloned();
                part.roles.extend(role.map(|role| ((*name).clone(), role)));
            }
            Subject::Group(name) => {
                let group = self.groups.get(*name).cloned();
                part.groups
                    .extend(group.map(|group| ((*name).clone(), group)));
            }
            Subject::Member(name, account) => {
                if let Some(group) = self.groups.get(*name) {
                    // A group may have a hundred thousand members, of which one matters.
                    let lean = || GroupRecord {
                        name: group.name.clone(),
                        description: group.description.clone(),
                        members: BTreeSet::new(),
                        grants: Vec::new(),
                        applied_as: group.applied_as.clone(),
                        owner: group.owner.clone(),
                        created_by: group.created_by.clone(),
                        created_at: group.created_at,
                        updated_at: group.updated_at,
                    };
                    let known = part.groups.get_or_insert_with(name, lean);
                    known.members.extend(group.members.get(*account).cloned());
                }
            }
            Subject::Token(id) => {
                let end = self.revoked_tokens.get(*id).copied();
                part.revoked_tokens.extend(end.map(|end| (**id, end)));
            }
            Subject::SigningKey(_) => part.signing_keys.clone_from(&self.signing_keys),
            Subject::Adoption(_) | Subject::Use => {}
        }
    }

    fn view(&self, subject: &Subject<'_>) -> Value {
        match subject {
            Subject::Account(id) => {
                let mut told = self.accounts.get(*id).map(account).unwrap_or_default();
                let keys: Vec<_> = self.keys_of(id).map(|key| key.id).collect();
                if let Some(told) = told.as_object_mut() {
                    told.insert("keys".into(), json!(keys));
                }
                told
            }
            Subject::FileAccount(name) => self
                .file_accounts
                .get(*name)
                .map(file_account)
                .unwrap_or_default(),
            Subject::Key(id) => self.key(id).map(key).unwrap_or_default(),
            Subject::Rotation(old, new) => {
                let mut told = self.key(old).map(key).unwrap_or_default();
                if let Some(told) = told.as_object_mut() {
                    told.insert("replaced_by".into(), json!(self.key(new).map(key)));
                }
                told
            }
            Subject::FileKey(id) => match self.file_key_ends.get(*id) {
                Some(end) => json!({ "expires_at": end }),
                None => json!({ "expires_at": "as the file says" }),
            },
            Subject::Role(name) => self.roles.get(*name).map(role).unwrap_or_default(),
            Subject::Group(name) | Subject::Member(name, _) => {
                self.groups.get(*name).map(group).unwrap_or_default()
            }
            Subject::Token(id) => json!({ "revoked": self.revoked_tokens.contains_key(*id) }),
            Subject::SigningKey(_) => {
                json!({ "signing_keys": self.signing_keys.iter().map(signing_key).collect::<Vec<_>>() })
            }
            Subject::Adoption(_) | Subject::Use => Value::Null,
        }
    }

    /// What `subject` is called, by these records or by `all`.
    fn object(&self, subject: &Subject<'_>, all: &Self) -> Object {
        let name_of = |id: &AccountId| self.name_of(id).or_else(|| all.name_of(id));
        let owned = |kind, id: &KeyId| Object {
            kind,
            id: Some(id.to_string()),
            name: None,
            account: self.key(id).and_then(|key| name_of(&key.account)),
        };
        let named = |kind, name: &str| Object {
            kind,
            name: Some(name.to_owned()),
            ..Object::default()
        };
        match subject {
            Subject::Account(id) => Object {
                kind: "account",
                id: Some(id.to_string()),
                name: name_of(id),
                account: name_of(id),
            },
            Subject::FileAccount(name) => Object {
                id: self.file_accounts.get(*name).map(|row| row.id.to_string()),
                account: Some(name.to_string()),
                ..named("account", name.as_str())
            },
            Subject::Key(id) | Subject::Rotation(id, _) | Subject::FileKey(id) => owned("key", id),
            Subject::Role(name) => named("role", name.as_str()),
            Subject::Group(name) => named("group", name.as_str()),
            Subject::Member(name, account) => Object {
                account: name_of(account),
                ..named("group", name.as_str())
            },
            Subject::Token(id) => Object {
                kind: "token",
                id: Some(id.to_string()),
                ..Object::default()
            },
            Subject::SigningKey(kid) => Object {
                kind: "signing_key",
                id: Some((*kid).to_owned()),
                ..Object::default()
            },
            Subject::Adoption(_) => named("policy", "policy"),
            Subject::Use => Object::default(),
        }
    }

    /// What the account with this id is called, one managed by file too.
    fn name_of(&self, id: &AccountId) -> Option<String> {
        if let Some(account) = self.accounts.get(id) {
            return Some(account.name.to_string());
        }
        let mut filed = self.file_accounts.iter();
        filed.find_map(|(name, row)| (row.id == *id).then(|| name.to_string()))
    }

    fn told_of_adoption(&self, adoption: &Adoption) -> Told {
        let Adoption {
            seen,
            gone,
            closed,
            now: _,
        } = adoption;
        let closed = closed
            .iter()
            .take(NAMES_MAX)
            .map(|(holder, role)| match holder {
                Holder::Account(id) => json!({ "account": self.name_of(id), "role": role }),
                Holder::Group(name) => json!({ "group": name, "role": role }),
            });
        let names = |all: &mut dyn Iterator<Item = &AccountName>| -> Vec<String> {
            all.take(NAMES_MAX).map(ToString::to_string).collect()
        };
        Told {
            object: self.object(&Subject::Adoption(adoption), self),
            before: Value::Null,
            after: json!({
                "accounts_seen": names(&mut seen.iter().map(|(name, _)| name)),
                "accounts_gone": names(&mut gone.iter()),
                "grants_closed": closed.collect::<Vec<_>>(),
            }),
        }
    }
}
