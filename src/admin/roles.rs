//! Operations on roles. Built-in ones stand in policy files and are only shown.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::authority::{Eyes, Subject};
use super::desk::{Answer, Desk, check_description, conflict, invalid, managed_by_file, not_found};
use super::{AdminError, view};
use crate::directory::Resolver;
use crate::policy::own;
use crate::store::{Change, GrantRecord, Holder, RoleRecord};
use crate::words::{
    AccountId, AccountName, GroupName, PermissionPattern, PermissionSet, Place, RoleName, nearest,
};

/// Most permissions or included roles written in one role.
const ENTRIES_MAX: usize = 1024;
/// Holders that a refusal names one by one: as many as people read.
const HOLDERS_NAMED: usize = 20;

/// What may be said anew of a role: permissions, included roles, API access.
type Parts = (
    Option<Vec<PermissionPattern>>,
    Option<Vec<RoleName>>,
    Option<bool>,
);

pub(super) fn create(
    desk: &mut Desk<'_>,
    name: &RoleName,
    description: String,
    (permissions, include, api_access): (Vec<PermissionPattern>, Vec<RoleName>, Option<bool>),
) -> Answer {
    refuse_built_in(desk, name)?;
    desk.must_store(&format!("role `{name}`"), None)?;
    let role = RoleRecord {
        name: name.clone(),
        description,
        permissions,
        include,
        api_access: api_access.unwrap_or(true),
        applied_as: None,
        owner: desk.owner.clone(),
        created_by: desk.maker(),
        created_at: desk.now,
        updated_at: desk.now,
    };
    check(desk, &role)?;
    desk.change(&Change::CreateRole(role))?;
    show(desk, name)
}

pub(super) fn update(
    desk: &mut Desk<'_>,
    name: &RoleName,
    description: Option<String>,
    (permissions, include, api_access): Parts,
) -> Answer {
    refuse_built_in(desk, name)?;
    let known = desk
        .records()
        .roles
        .get(name)
        .ok_or_else(|| unknown(desk, name))?
        .clone();
    let role = RoleRecord {
        description: description.unwrap_or(known.description),
        permissions: permissions.unwrap_or(known.permissions),
        include: include.unwrap_or(known.include),
        api_access: api_access.unwrap_or(known.api_access),
        updated_at: desk.now,
        ..known
    };
    check(desk, &role)?;
    if !role.api_access {
        let holders = holders(desk, name);
        let granted: Vec<_> = holders.iter().filter(|holder| holder.holds()).collect();
        if !granted.is_empty() {
            return Err(conflict(format!(
                "role `{name}` is held by {}: take it away first, for nobody can hold a role \
                 without API access",
                listed(desk, &granted)
            )));
        }
    }
    desk.change(&Change::UpdateRole(role))?;
    show(desk, name)
}

/// Every role, by name.
pub(super) fn list(desk: &Desk<'_>) -> Value {
    let (built_in, custom) = (desk.policy().roles.keys(), desk.records().roles.keys());
    let own = own::roles().iter().map(|role| &role.name);
    let names: BTreeSet<_> = built_in.chain(custom).chain(own).collect();
    let eyes = Eyes::of(desk);
    let seen = names
        .into_iter()
        .filter(|name| eyes.see(Subject::Role(name)));
    let page = desk.page().of(seen.map(|name| (name, name.to_string())));
    page.into_iter().flat_map(|name| show(desk, name)).collect()
}

pub(super) fn show(desk: &Desk<'_>, name: &RoleName) -> Answer {
    let given = Resolver::new(desk.policy(), desk.records()).role(name);
    let gives = given
        .as_ref()
        .map(|set| names(desk, set))
        .unwrap_or_default();
    if let Some(role) = desk.policy().roles.get(name) {
        return Ok(json!({
            "name": name,
            "description": role.description,
            "managed_by": "file",
            "file": role.place.to_string(),
            "permissions": role.permissions,
            "include": role.include,
            "api_access": role.api_access,
            "gives": gives,
        }));
    }
    if let Some(role) = own::role(name) {
        return Ok(json!({
            "name": name,
            "description": role.description,
            "managed_by": "gateway",
            "permissions": role.permissions,
            "include": [],
            "gives": gives,
        }));
    }
    let role = desk
        .records()
        .roles
        .get(name)
        .ok_or_else(|| unknown(desk, name))?;
    let eyes = Eyes::of(desk);
    Ok(json!({
        "name": name,
        "description": role.description,
        "managed_by": "store",
        "permissions": role.permissions,
        // What it includes may be somebody else's.
        "include": role.include.iter().filter(|name| eyes.see(Subject::Role(name))).collect::<Vec<_>>(),
        "api_access": role.api_access,
        "applied_as": role.applied_as,
        "owner": role.owner,
        "created_by": view::made_by(&eyes, &role.created_by),
        "gives": gives,
        "created_at": role.created_at,
        "updated_at": role.updated_at,
    }))
}

/// Removes a role and returns what it was, with those it was taken from. Without `force` only one
/// that nobody holds and no role includes.
pub(super) fn delete(desk: &mut Desk<'_>, name: &RoleName, force: bool) -> Answer {
    refuse_built_in(desk, name)?;
    let mut shown = show(desk, name)?;
    let holders = holders(desk, name);
    let names: Vec<_> = holders.iter().collect();
    if let Some(filed) = holders
        .iter()
        .find(|holder| matches!(holder, User::Filed(..)))
    {
        return Err(conflict(format!(
            "role `{name}` is still held by {}: take it away there first",
            listed(desk, &[filed])
        )));
    }
    if !force && !holders.is_empty() {
        return Err(conflict(format!(
            "role `{name}` is still held by {}: take it away first, or say `--force` to take it \
             from all of them",
            listed(desk, &names)
        )));
    }
    let change = deletion(desk, name, &holders);
    let seen = names.iter().filter(|holder| holder.is_seen(desk));
    let taken_from: Vec<_> = seen.map(|holder| holder.to_string()).collect();
    desk.change(&change)?;
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("taken_from".into(), json!(taken_from));
    }
    Ok(shown)
}

/// The role and everything that names it, gone in one transaction.
pub(super) fn deletion(desk: &Desk<'_>, name: &RoleName, holders: &[User]) -> Change {
    let (records, now) = (desk.records(), desk.now);
    let mut changes = Vec::new();
    let mut take = |holder: Holder, grants: &[GrantRecord]| {
        let held = grants.iter().filter(|grant| grant.role == *name);
        changes.extend(held.map(|grant| Change::Ungrant {
            holder: holder.clone(),
            role: name.clone(),
            within: grant.within.clone(),
            now,
        }));
    };
    for holder in holders {
        match holder {
            User::Account(id, _) => {
                if let Some(account) = records.accounts.get(id) {
                    take(Holder::Account(id.clone()), &account.grants);
                }
            }
            User::Group(group) => {
                if let Some(record) = records.groups.get(group) {
                    take(Holder::Group(group.clone()), &record.grants);
                }
            }
            User::Included(_) | User::Filed(..) => {}
        }
    }
    for holder in holders {
        let User::Included(outer) = holder else {
            continue;
        };
        if let Some(outer) = records.roles.get(outer) {
            let mut outer = outer.clone();
            outer.include.retain(|included| included != name);
            outer.updated_at = now;
            changes.push(Change::UpdateRole(outer));
        }
    }
    changes.push(Change::DeleteRole(name.clone()));
    Change::Batch(changes)
}

/// Who holds a role, or includes it.
pub(super) enum User {
    Account(AccountId, AccountName),
    Group(GroupName),
    Included(RoleName),
    Filed(AccountName, Place),
}

impl User {
    /// Says whether it is this role, which includes the one in question.
    pub(super) fn is_role(&self, role: &RoleName) -> bool {
        matches!(self, Self::Included(name) if name == role)
    }

    fn is_seen(&self, desk: &Desk<'_>) -> bool {
        desk.sees(match self {
            Self::Account(_, name) | Self::Filed(name, _) => Subject::Account(name),
            Self::Group(name) => Subject::Group(name),
            Self::Included(name) => Subject::Role(name),
        })
    }

    fn holds(&self) -> bool {
        !matches!(self, Self::Included(_))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(_, name) => write!(f, "account `{name}`"),
            Self::Group(name) => write!(f, "group `{name}`"),
            Self::Included(name) => write!(f, "role `{name}`, which includes it"),
            Self::Filed(name, place) => write!(f, "account `{name}` in {place}"),
        }
    }
}

/// Holders as words for a sentence: all of a few, a few of many, and none that whoever asks does not
/// see.
pub(super) fn listed(desk: &Desk<'_>, holders: &[&User]) -> String {
    let seen: Vec<_> = holders
        .iter()
        .filter(|holder| holder.is_seen(desk))
        .collect();
    let mut named: Vec<_> = seen
        .iter()
        .take(HOLDERS_NAMED)
        .map(ToString::to_string)
        .collect();
    if seen.len() < holders.len() {
        named.push("others that you do not see".to_owned());
    }
    match seen.len().saturating_sub(HOLDERS_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Who holds a role or includes it.
pub(super) fn holders(desk: &Desk<'_>, name: &RoleName) -> Vec<User> {
    let holds = |grants: &[GrantRecord]| grants.iter().any(|grant| grant.role == *name);
    let records = desk.records();
    let accounts = records.accounts.values();
    let mut accounts: Vec<_> = accounts.filter(|account| holds(&account.grants)).collect();
    accounts.sort_by(|one, other| one.name.cmp(&other.name));
    let groups = records.groups.values().filter(|group| holds(&group.grants));
    let roles = records.roles.values();
    let roles = roles.filter(|role| role.include.contains(name));
    let filed = desk.policy().accounts.iter();
    let filed = filed.filter(|(_, entry)| entry.grants.iter().any(|grant| grant.role == *name));
    let accounts = accounts.into_iter();
    accounts
        .map(|account| User::Account(account.id.clone(), account.name.clone()))
        .chain(groups.map(|group| User::Group(group.name.clone())))
        .chain(roles.map(|role| User::Included(role.name.clone())))
        .chain(filed.map(|(name, entry)| User::Filed(name.clone(), entry.place.clone())))
        .collect()
}

pub(super) fn check(desk: &Desk<'_>, role: &RoleRecord) -> Result<(), AdminError> {
    check_description(&role.description)?;
    if role.permissions.len() + role.include.len() > ENTRIES_MAX {
        return Err(invalid(format!(
            "role `{}` would have more than {ENTRIES_MAX} entries: use `resource:*` or split it",
            role.name
        ))
        .at("permissions"));
    }
    desk.check_declared("permissions", &role.permissions)?;
    for (place, name) in role.include.iter().enumerate() {
        let checked = desk.check_role(name);
        checked
            .and_then(|()| refuse_circle(desk, role, name))
            .map_err(|error| error.at(&format!("include[{place}]")))?;
    }
    Ok(())
}

/// Refuses a role that would include itself.
fn refuse_circle(
    desk: &Desk<'_>,
    role: &RoleRecord,
    included: &RoleName,
) -> Result<(), AdminError> {
    let mut seen = BTreeSet::new();
    let mut open = vec![included];
    while let Some(name) = open.pop() {
        if *name == role.name {
            return Err(invalid(format!(
                "role `{}` would include itself by way of `{included}`",
                role.name
            )));
        }
        if let Some(next) = desk.records().roles.get(name).filter(|_| seen.insert(name)) {
            open.extend(&next.include);
        }
    }
    Ok(())
}

fn names<'d>(desk: &'d Desk<'_>, set: &PermissionSet) -> Vec<&'d str> {
    set.iter()
        .map(|id| desk.policy().permission(id).as_str())
        .collect()
}

pub(super) fn refuse_built_in(desk: &Desk<'_>, name: &RoleName) -> Result<(), AdminError> {
    if own::role(name).is_some() {
        return Err(conflict(format!(
            "role `{name}` is the gateway's own, and stays as it is: choose another name"
        )));
    }
    match desk.policy().roles.get(name) {
        Some(role) => Err(managed_by_file("role", name.as_str(), &role.place)),
        None => Ok(()),
    }
}

fn unknown(desk: &Desk<'_>, name: &RoleName) -> AdminError {
    let (built_in, custom) = (desk.policy().roles.keys(), desk.records().roles.keys());
    let near = nearest(name.as_str(), built_in.chain(custom).map(RoleName::as_str));
    not_found(format!("there is no role `{name}`{near}"))
}
