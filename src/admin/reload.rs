//! A policy is put in force: what that changes in the store, and what is on record of it.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use serde_json::{Value, json};

use super::owed::Owed;
use super::service::{Parts, ReplaceError, Role, Service};
use super::trail::{self, Asked, Trail};
use super::{Actor, AdminError, ErrorKind};
use crate::audit::{Entry, Object, Outcome};
use crate::directory::{Directory, State};
use crate::policy::{Policy, own};
use crate::store::{Adoption, Change, GrantRecord, Holder, Records, StoreError, Told};
use crate::words::{AccountId, RoleName, UnixTime};

/// What a policy in the place of another is called in the trail.
const POLICY_RELOAD: &str = "policy.reload";

impl Service {
    /// Puts another policy in force because `actor` asked for it, whole or not at all: accounts of files
    /// are given ids and taken out of use, grants whose role vanished are closed, and every account is
    /// worked out again. That is recorded; a refusal is left to [`Service::policy_refused`].
    ///
    /// # Errors
    ///
    /// [`ReplaceError`]; the old policy stays in force then.
    pub fn replace_policy(&self, policy: Arc<Policy>, actor: &Actor) -> Result<(), ReplaceError> {
        let mut inner = self.lock().map_err(ReplaceError::Store)?;
        self.settle(&mut inner).map_err(ReplaceError::Store)?;
        let now = self.clock.now();
        let plan = match self.files_only {
            true => Adoption::default(),
            false => plan(&policy, &inner.records, self.role, now),
        };
        if !plan.closed.is_empty() {
            let grants = plan.closed.len();
            tracing::warn!(
                grants,
                "roles vanished from the policy: their grants are closed, and give nothing until they are given anew; `portcullis accounts list` shows them"
            );
        }
        let change = (!plan.is_empty()).then_some(Change::Adopt(plan));
        let mut after = Records::clone(&inner.records);
        if let Some(change) = &change {
            after.apply(change);
        }
        let before = self.handle.snapshot();
        let signing = before.directory.signing_arc();
        let built = Directory::build(&policy, &after, signing, Some(&before.directory));
        if !built.conflicts.is_empty() {
            return Err(ReplaceError::Conflicts(built.conflicts));
        }
        let told = told_of_policy(&inner.records, change.as_ref(), (&before.policy, &policy));
        let asked = Asked::by(actor, Trail::Change(POLICY_RELOAD), now);
        let entry = asked.entry((now, &self.instance), Outcome::Success, Some(told));
        let entries = slice::from_ref(&entry);
        let written = self.commit(&mut *inner.store, change.as_ref(), entries);
        trail::say(&entry, written.map_err(ReplaceError::Store)?);
        inner.records = Arc::new(after);
        inner.conflicts = built.conflicts;
        self.handle.store(State {
            policy,
            directory: built.directory,
        });
        Ok(())
    }

    /// Records that a policy `actor` wanted in force was refused; `faults` says why.
    pub fn policy_refused(&self, actor: &Actor, faults: &str) {
        let asked = Asked::by(actor, Trail::Change(POLICY_RELOAD), self.clock.now());
        let refused = AdminError::new(ErrorKind::Invalid, faults);
        if let Err(error) = self.record(asked, trail::outcome::<()>(&Err(refused))) {
            tracing::error!(%error, "a refused policy was not recorded");
        }
    }
}

/// Puts the policy of `parts` in force at a start, with its record. A disk that takes nothing does not keep
/// a server from serving: what the policy takes away holds then and is owed, and accounts that are new in
/// its files are refused until the next reload.
///
/// # Errors
///
/// When the store did not take it for another reason, or this is a command.
pub(super) fn begin(
    parts: &mut Parts,
    (now, instance): (UnixTime, &str),
) -> Result<Owed, StoreError> {
    let mut owed = Owed::default();
    let plan = match parts.files_only {
        true => Adoption::default(),
        false => plan(&parts.policy, &parts.records, parts.role, now),
    };
    let denied = Adoption {
        seen: Vec::new(),
        ..plan.clone()
    };
    let adopted = |plan: Adoption| (!plan.is_empty()).then_some(Change::Adopt(plan));
    let mut change = adopted(plan);
    if let Some(entry) = begun(parts, change.as_ref(), (now, instance)) {
        let entries = slice::from_ref(&entry);
        match parts.store.commit(change.as_ref(), entries) {
            Ok(number) => {
                trail::say(&entry, number);
                parts.figures.wrote(1, number, now);
            }
            Err(error) if parts.role == Role::Server && error.is_transient() => {
                tracing::error!(%error, "what the policy changes in the store is not written; accounts that are new in files are refused until a reload");
                change = adopted(denied);
                let entry = begun(parts, change.as_ref(), (now, instance));
                owed.push(change.clone(), entry.into_iter().collect());
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(change) = &change {
        parts.records.apply(change);
    }
    Ok(owed)
}

/// The record of a beginning: of a server always, of a command only if its policy changes something.
fn begun(
    parts: &Parts,
    change: Option<&Change>,
    (now, instance): (UnixTime, &str),
) -> Option<Entry> {
    let (actor, event) = match parts.role {
        Role::Server => (Actor::Gateway, "gateway.start"),
        Role::Offline => (Actor::local(), "policy.adopt"),
    };
    if parts.role == Role::Offline && change.is_none() {
        return None;
    }
    let none = Policy::default();
    let mut told = told_of_policy(&parts.records, change, (&none, &parts.policy));
    if let Some(after) = told.after.as_object_mut() {
        after.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    }
    told.before = Value::Null;
    let asked = Asked::by(&actor, Trail::Change(event), now);
    Some(asked.entry((now, instance), Outcome::Success, Some(told)))
}

/// What is told of one policy in the place of another, and of what that changes in the store.
fn told_of_policy(
    records: &Records,
    change: Option<&Change>,
    (before, after): (&Policy, &Policy),
) -> Told {
    let told = change.and_then(|change| records.told(change).pop());
    let mut told = told.unwrap_or_default();
    told.object = Object {
        kind: "policy",
        id: Some(after.hash.clone()),
        ..Object::default()
    };
    told.before = json!({ "policy": before.hash });
    match told.after.as_object_mut() {
        Some(said) => drop(said.insert("policy".into(), json!(after.hash))),
        None => told.after = json!({ "policy": after.hash }),
    }
    told
}

/// Works out what must be written before `policy` is in force.
///
/// An account that vanished from the files is gone as if it were deleted: its id is dead, its keys
/// are gone, and one of the same name that comes later is another. An offline command closes and
/// buries nothing: it may read a folder that is just being edited.
pub(super) fn plan(policy: &Policy, records: &Records, role: Role, now: UnixTime) -> Adoption {
    let mut plan = Adoption {
        now,
        ..Adoption::default()
    };
    let names: BTreeSet<_> = records
        .accounts
        .values()
        .map(|account| &account.name)
        .collect();
    let mut taken: BTreeSet<&AccountId> = records.accounts.keys().collect();
    taken.extend(&records.dead_accounts);
    taken.extend(records.file_accounts.values().map(|row| &row.id));
    for (name, entry) in &policy.accounts {
        let live = records
            .file_accounts
            .get(name)
            .filter(|row| row.gone_at.is_none());
        let unchanged = live.is_some_and(|row| entry.id.as_ref().is_none_or(|id| *id == row.id));
        let collides = entry.id.as_ref().is_some_and(|id| taken.contains(id));
        // A name or an id that stands for somebody else is said by the directory.
        if unchanged || collides || names.contains(name) {
            continue;
        }
        if live.is_some() {
            if role == Role::Offline {
                continue;
            }
            plan.gone.push(name.clone());
        }
        taken.extend(&entry.id);
        let id = entry.id.clone().unwrap_or_else(AccountId::random);
        plan.seen.push((name.clone(), id));
    }
    if role == Role::Server {
        let rows = records
            .file_accounts
            .iter()
            .filter(|(_, row)| row.gone_at.is_none());
        let gone = rows.filter(|(name, _)| !policy.accounts.contains_key(*name));
        plan.gone.extend(gone.map(|(name, _)| name.clone()));
        plan.closed = vanished(policy, records);
    }
    plan
}

/// Grants, not closed yet, of roles that nobody knows.
fn vanished(policy: &Policy, records: &Records) -> Vec<(Holder, RoleName)> {
    let unknown = |role: &RoleName| {
        let known = policy.roles.contains_key(role) || records.roles.contains_key(role);
        !known && own::role(role).is_none()
    };
    let of = |grants: &[GrantRecord], holder: Holder| {
        let open = grants.iter().filter(|grant| grant.closed_at.is_none());
        let roles: BTreeSet<_> = open
            .map(|grant| &grant.role)
            .filter(|role| unknown(role))
            .collect();
        let roles = roles.into_iter().cloned();
        roles.map(|role| (holder.clone(), role)).collect::<Vec<_>>()
    };
    let accounts = records.accounts.iter();
    let groups = records.groups.iter();
    accounts
        .flat_map(|(id, account)| of(&account.grants, Holder::Account(id.clone())))
        .chain(groups.flat_map(|(name, group)| of(&group.grants, Holder::Group(name.clone()))))
        .collect()
}
