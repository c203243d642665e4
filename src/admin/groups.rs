//! Operations on groups.

use std::collections::BTreeSet;

use serde_json::Value;

use super::authority::{Eyes, Subject};
use super::desk::{Answer, Desk, Found, check_description, managed_by_file, not_found};
use super::{AdminError, Grant, accounts, view};
use crate::store::{Change, GroupRecord, Holder};
use crate::words::{AccountId, AccountName, GroupName, nearest};

pub(super) fn create(
    desk: &mut Desk<'_>,
    name: &GroupName,
    description: String,
    grants: &[Grant],
) -> Answer {
    if let Some(entry) = desk.policy().groups.get(name) {
        return Err(managed_by_file("group", name.as_str(), &entry.place));
    }
    desk.must_store(&format!("group `{name}`"), None)?;
    check_description(&description)?;
    let group = GroupRecord {
        name: name.clone(),
        description,
        members: BTreeSet::new(),
        grants: desk.check_grants(grants)?,
        applied_as: None,
        owner: desk.owner.clone(),
        created_by: desk.maker(),
        created_at: desk.now,
        updated_at: desk.now,
    };
    desk.change(&Change::CreateGroup(group))?;
    show(desk, name)
}

/// Every group, by name.
pub(super) fn list(desk: &Desk<'_>) -> Value {
    let eyes = Eyes::of_many(desk);
    let (filed, stored) = (desk.policy().groups.keys(), desk.records().groups.keys());
    let names: BTreeSet<_> = filed.chain(stored).collect();
    let seen = names
        .into_iter()
        .filter(|name| eyes.see(Subject::Group(name)));
    let page = desk.page().of(seen.map(|name| (name, name.to_string())));
    page.into_iter()
        .flat_map(|name| shown(&eyes, name))
        .collect()
}

pub(super) fn show(desk: &Desk<'_>, name: &GroupName) -> Answer {
    shown(&Eyes::of(desk), name)
}

fn shown(eyes: &Eyes<'_>, name: &GroupName) -> Answer {
    let desk = eyes.desk;
    if let Some(record) = desk.records().groups.get(name) {
        return Ok(view::group(eyes, record));
    }
    match desk.policy().groups.get(name) {
        Some(entry) => Ok(view::file_group(eyes, name, entry)),
        None => Err(unknown(desk, name)),
    }
}

pub(super) fn add(desk: &mut Desk<'_>, group: &GroupName, account: &AccountName) -> Answer {
    let account = member(desk, group, account)?;
    let now = desk.now;
    desk.change(&Change::AddMember {
        group: group.clone(),
        account,
        now,
    })?;
    show(desk, group)
}

pub(super) fn remove(desk: &mut Desk<'_>, group: &GroupName, account: &AccountName) -> Answer {
    let id = member(desk, group, account)?;
    let record = stored(desk, group)?;
    if !record.members.contains(&id) {
        return Err(not_found(format!(
            "account `{account}` is not in group `{group}`"
        )));
    }
    let now = desk.now;
    desk.change(&Change::RemoveMember {
        group: group.clone(),
        account: id,
        now,
    })?;
    show(desk, group)
}

pub(super) fn grant(desk: &mut Desk<'_>, name: &GroupName, grant: Grant) -> Answer {
    let held = &stored(desk, name)?.grants;
    desk.check_another(&grant, held)?;
    let (holder, now) = (Holder::Group(name.clone()), desk.now);
    desk.change(&Change::Grant {
        holder,
        role: grant.role,
        within: grant.within,
        now,
    })?;
    show(desk, name)
}

pub(super) fn ungrant(desk: &mut Desk<'_>, name: &GroupName, grant: Grant) -> Answer {
    let held = stored(desk, name)?.grants.iter();
    accounts::refuse_unheld(&format!("group `{name}`"), &grant, held)?;
    let (holder, now) = (Holder::Group(name.clone()), desk.now);
    desk.change(&Change::Ungrant {
        holder,
        role: grant.role,
        within: grant.within,
        now,
    })?;
    show(desk, name)
}

/// Removes a group and returns what it was.
pub(super) fn delete(desk: &mut Desk<'_>, name: &GroupName) -> Answer {
    stored(desk, name)?;
    let shown = show(desk, name)?;
    desk.change(&Change::DeleteGroup(name.clone()))?;
    Ok(shown)
}

/// The store's group called `name`.
fn stored<'d>(desk: &'d Desk<'_>, name: &GroupName) -> Result<&'d GroupRecord, AdminError> {
    if let Some(record) = desk.records().groups.get(name) {
        return Ok(record);
    }
    match desk.policy().groups.get(name) {
        Some(entry) => Err(managed_by_file("group", name.as_str(), &entry.place)),
        None => Err(unknown(desk, name)),
    }
}

/// The id of an account that may be put into a group of the store. Membership gives rights, so an
/// account of a file is given them in its file.
fn member(
    desk: &Desk<'_>,
    group: &GroupName,
    account: &AccountName,
) -> Result<AccountId, AdminError> {
    stored(desk, group)?;
    match desk.find(account)? {
        Found::Stored(record) => Ok(record.id.clone()),
        Found::Filed(entry) => Err(managed_by_file("account", account.as_str(), &entry.place)),
    }
}

fn unknown(desk: &Desk<'_>, name: &GroupName) -> AdminError {
    let (filed, stored) = (desk.policy().groups.keys(), desk.records().groups.keys());
    let near = nearest(name.as_str(), filed.chain(stored).map(GroupName::as_str));
    not_found(format!("there is no group `{name}`{near}"))
}
