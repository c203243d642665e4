//! Accounts, groups and roles of the store brought in line with files: all of it in one transaction,
//! or nothing.
//!
//! Each change is worked out against a draft of what the store will hold, so that a grant may name a
//! role that is made by the same files, and nothing is checked twice. What is applied belongs to a
//! *set*, the name of those files; pruning removes what belongs to the set and stands in them no
//! more, and never anything else. Whether an account is enabled, and its keys, are not the files':
//! whoever shut one off in an emergency is not overruled by the next run of a pipeline.

mod away;
mod words;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::desk::{
    Answer, Desk, check_description, check_networks, conflict, invalid, managed_by_file,
};
use super::{AdminError, Grant, roles};
use crate::policy::manifest::{AccountWanted, GrantWanted, GroupWanted, Manifest, RoleWanted};
use crate::store::{AccountRecord, Change, GrantRecord, GroupRecord, Holder, RoleRecord};
use crate::words::{AccountId, AccountName, Boundary, SetName};
use words::{said, together, told};

/// How files are applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// Whether what belongs to the set and is not in the files goes.
    pub(super) prune: bool,
    /// Whether it is only said what would be done.
    pub(super) dry_run: bool,
}

/// Applies `manifest` as `set` and says what was changed, or would be.
pub(super) fn apply(desk: &mut Desk<'_>, set: &SetName, manifest: &Manifest, mode: Mode) -> Answer {
    desk.must_store("accounts, groups and roles", None)?;
    let mut plan = Plan::new(desk, set);
    plan.all(manifest, mode.prune);
    let Plan {
        changes,
        steps,
        faults,
        ..
    } = plan;
    desk.put_back();
    if !faults.is_empty() {
        return Err(together(&faults));
    }
    if !mode.dry_run && !changes.is_empty() {
        desk.change(&Change::Batch(changes))?;
    }
    Ok(json!({ "set": set, "dry_run": mode.dry_run, "changes": steps }))
}

/// What is about to be done.
struct Plan<'p, 'd> {
    desk: &'p mut Desk<'d>,
    set: &'p SetName,
    ids: HashMap<AccountName, AccountId>,
    changes: Vec<Change>,
    steps: Vec<Value>,
    faults: Vec<(String, AdminError)>,
}

impl<'p, 'd> Plan<'p, 'd> {
    fn new(desk: &'p mut Desk<'d>, set: &'p SetName) -> Self {
        desk.draft();
        let accounts = desk.records().accounts.values();
        let ids = accounts.map(|account| (account.name.clone(), account.id.clone()));
        Self {
            ids: ids.collect(),
            desk,
            set,
            changes: Vec::new(),
            steps: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn all(&mut self, manifest: &Manifest, prune: bool) {
        for wanted in &manifest.roles {
            let done = self.role(wanted);
            self.note(&wanted.place, done);
        }
        // Only now all roles are there that one of them may include.
        for wanted in &manifest.roles {
            let known = self.desk.records().roles.get(&wanted.name).cloned();
            let checked = known.map_or(Ok(()), |role| roles::check(self.desk, &role));
            self.note(&wanted.place, checked);
        }
        for wanted in &manifest.accounts {
            let done = self.account(wanted);
            self.note(&wanted.place, done);
        }
        for wanted in &manifest.groups {
            let done = self.group(wanted);
            self.note(&wanted.place, done);
        }
        if prune {
            self.prune(manifest);
        }
    }

    fn note(&mut self, place: &str, done: Result<(), AdminError>) {
        self.faults
            .extend(done.err().map(|error| (place.to_owned(), error)));
    }

    fn make(&mut self, change: Change) {
        self.desk.try_on(&change);
        self.changes.push(change);
    }

    fn step(&mut self, change: &str, kind: &str, name: &str, what: &Value) {
        self.steps
            .push(json!({ "change": change, "kind": kind, "name": name, "what": what }));
    }

    /// Refuses what another set of files says already.
    fn refuse_foreign(
        &self,
        what: &str,
        name: &str,
        owner: Option<&SetName>,
    ) -> Result<(), AdminError> {
        match owner.filter(|owner| *owner != self.set) {
            None => Ok(()),
            Some(owner) => Err(conflict(format!(
                "{what} `{name}` belongs to the set `{owner}`: apply it with `--set {owner}`, or take \
                 it out of one of the two"
            ))),
        }
    }

    /// Whose it is or will be. That is said once, when it is made: who owns it may have handed out its keys.
    fn owner(
        &self,
        wanted: Option<&Boundary>,
        standing: Option<&Boundary>,
    ) -> Result<Boundary, AdminError> {
        match (wanted, standing) {
            (Some(wanted), Some(standing)) if wanted != standing => Err(conflict(
                "its `owner` is another one, and stays: delete it to have it made again, or take `owner` \
                 out of the file"
                    .to_owned(),
            )),
            (_, Some(standing)) => Ok(standing.clone()),
            (Some(wanted), None) => {
                let checked = self.desk.check_boundary(wanted);
                checked.map_err(|error| error.at("owner"))?;
                Ok(wanted.clone())
            }
            (None, None) => Ok(Boundary::default()),
        }
    }

    fn role(&mut self, wanted: &RoleWanted) -> Result<(), AdminError> {
        let name = &wanted.name;
        roles::refuse_built_in(self.desk, name)?;
        let known = self.desk.records().roles.get(name).cloned();
        let now = self.desk.now;
        let owner = self.owner(wanted.owner.as_ref(), known.as_ref().map(|it| &it.owner))?;
        let after = RoleRecord {
            name: name.clone(),
            description: wanted.description.clone(),
            permissions: wanted.permissions.clone(),
            include: wanted.include.clone(),
            api_access: wanted.api_access,
            applied_as: Some(self.set.clone()),
            owner,
            created_by: match &known {
                Some(role) => role.created_by.clone(),
                None => self.desk.maker(),
            },
            created_at: known.as_ref().map_or(now, |role| role.created_at),
            updated_at: known.as_ref().map_or(now, |role| role.updated_at),
        };
        let Some(before) = known else {
            self.step(
                "create",
                "role",
                name.as_str(),
                &json!({ "permissions": wanted.permissions }),
            );
            self.make(Change::CreateRole(after));
            return Ok(());
        };
        self.refuse_foreign("role", name.as_str(), before.applied_as.as_ref())?;
        if before != after {
            let what = json!({
                "description": (before.description != after.description).then_some(&after.description),
                "permissions": (before.permissions != after.permissions).then_some(&after.permissions),
                "include": (before.include != after.include).then_some(&after.include),
                "api_access": (before.api_access != after.api_access).then_some(after.api_access),
            });
            self.step("update", "role", name.as_str(), &said(what));
            self.make(Change::UpdateRole(RoleRecord {
                updated_at: now,
                ..after
            }));
        }
        Ok(())
    }

    fn account(&mut self, wanted: &AccountWanted) -> Result<(), AdminError> {
        let name = &wanted.name;
        if let Some(entry) = self.desk.policy().accounts.get(name) {
            return Err(managed_by_file("account", name.as_str(), &entry.place));
        }
        check_description(&wanted.description)?;
        check_networks(&wanted.allow_from)?;
        let grants = self.grants(&wanted.grants)?;
        let now = self.desk.now;
        let accounts = &self.desk.records().accounts;
        let known = self.ids.get(name).and_then(|id| accounts.get(id)).cloned();
        let owner = self.owner(wanted.owner.as_ref(), known.as_ref().map(|it| &it.owner))?;
        let Some(before) = known else {
            let id = AccountId::random();
            self.ids.insert(name.clone(), id.clone());
            self.step(
                "create",
                "account",
                name.as_str(),
                &json!({ "grants": told(&grants) }),
            );
            self.make(Change::CreateAccount(AccountRecord {
                id,
                name: name.clone(),
                description: wanted.description.clone(),
                enabled: true,
                allow_from: wanted.allow_from.clone(),
                grants,
                created_at: now,
                updated_at: now,
                last_used_at: None,
                applied_as: Some(self.set.clone()),
                owner,
                created_by: self.desk.maker(),
            }));
            return Ok(());
        };
        self.refuse_foreign("account", name.as_str(), before.applied_as.as_ref())?;
        let description =
            (before.description != wanted.description).then(|| wanted.description.clone());
        let allow_from =
            (before.allow_from != wanted.allow_from).then(|| wanted.allow_from.clone());
        let adopted = before.applied_as.is_none();
        if description.is_some() || allow_from.is_some() || adopted {
            let what = json!({
                "description": description, "allow_from": allow_from,
                "adopted": adopted.then_some(true),
            });
            self.step("update", "account", name.as_str(), &said(what));
            self.make(Change::UpdateAccount {
                id: before.id.clone(),
                description,
                allow_from,
                applied_as: Some(self.set.clone()),
                now,
            });
        }
        let holder = (Holder::Account(before.id), "account", name.as_str());
        self.bring_in_line(&holder, &before.grants, &grants);
        Ok(())
    }

    fn group(&mut self, wanted: &GroupWanted) -> Result<(), AdminError> {
        let name = &wanted.name;
        if let Some(entry) = self.desk.policy().groups.get(name) {
            return Err(managed_by_file("group", name.as_str(), &entry.place));
        }
        check_description(&wanted.description)?;
        let grants = self.grants(&wanted.grants)?;
        let members = self.members(&wanted.members)?;
        let now = self.desk.now;
        let known = self.desk.records().groups.get(name).cloned();
        let owner = self.owner(wanted.owner.as_ref(), known.as_ref().map(|it| &it.owner))?;
        let Some(before) = known else {
            let what = json!({ "members": wanted.members, "grants": told(&grants) });
            self.step("create", "group", name.as_str(), &what);
            self.make(Change::CreateGroup(GroupRecord {
                name: name.clone(),
                description: wanted.description.clone(),
                members,
                grants,
                applied_as: Some(self.set.clone()),
                owner,
                created_by: self.desk.maker(),
                created_at: now,
                updated_at: now,
            }));
            return Ok(());
        };
        self.refuse_foreign("group", name.as_str(), before.applied_as.as_ref())?;
        let description =
            (before.description != wanted.description).then(|| wanted.description.clone());
        let adopted = before.applied_as.is_none();
        if description.is_some() || adopted {
            let what = json!({ "description": description, "adopted": adopted.then_some(true) });
            self.step("update", "group", name.as_str(), &said(what));
            self.make(Change::UpdateGroup {
                name: name.clone(),
                description,
                applied_as: Some(self.set.clone()),
                now,
            });
        }
        self.seat(name, &before.members, &members);
        let holder = (Holder::Group(name.clone()), "group", name.as_str());
        self.bring_in_line(&holder, &before.grants, &grants);
        Ok(())
    }

    /// Puts into a group who is missing, and takes out who is too many.
    fn seat(
        &mut self,
        group: &crate::words::GroupName,
        before: &BTreeSet<AccountId>,
        after: &BTreeSet<AccountId>,
    ) {
        let now = self.desk.now;
        let name = |plan: &Self, id: &AccountId| {
            let account = plan.desk.records().accounts.get(id);
            account.map(|account| account.name.to_string())
        };
        for id in after.difference(before) {
            let account = name(self, id);
            self.step(
                "add",
                "group",
                group.as_str(),
                &json!({ "account": account }),
            );
            self.make(Change::AddMember {
                group: group.clone(),
                account: id.clone(),
                now,
            });
        }
        for id in before.difference(after) {
            let account = name(self, id);
            self.step(
                "remove",
                "group",
                group.as_str(),
                &json!({ "account": account }),
            );
            self.make(Change::RemoveMember {
                group: group.clone(),
                account: id.clone(),
                now,
            });
        }
    }

    /// The accounts of these names: of the store, for membership gives rights.
    fn members(&mut self, names: &[AccountName]) -> Result<BTreeSet<AccountId>, AdminError> {
        let id = |name: &AccountName| {
            if let Some(entry) = self.desk.policy().accounts.get(name) {
                return Err(managed_by_file("account", name.as_str(), &entry.place));
            }
            let known = self.ids.get(name).cloned();
            known.ok_or_else(|| {
                let near =
                    crate::words::nearest(name.as_str(), self.ids.keys().map(AccountName::as_str));
                invalid(format!("there is no account `{name}`{near}"))
            })
        };
        names.iter().map(id).collect()
    }

    /// The grants that are wanted, each checked; all faults are noted with their own places.
    fn grants(&mut self, wanted: &[GrantWanted]) -> Result<Vec<GrantRecord>, AdminError> {
        let mut grants = Vec::new();
        for wanted in wanted {
            let grant = Grant {
                role: wanted.role.clone(),
                within: wanted.within.clone(),
            };
            let checked = self.desk.check_grant(&grant);
            self.note(&wanted.place, checked);
            grants.push(grant);
        }
        let known: Vec<_> = grants
            .into_iter()
            .filter(|grant| self.desk.check_role(&grant.role).is_ok())
            .collect();
        // What is wrong with one of them is noted already; here their number counts.
        match self.desk.check_grants(&known) {
            Ok(mut records) => {
                records.sort();
                records.dedup();
                Ok(records)
            }
            Err(_) if !self.faults.is_empty() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
