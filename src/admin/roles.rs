//! Operations on roles. Built-in ones stand in policy files and are only shown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::AdminError;
use super::desk::{Answer, Desk, check_description, conflict, invalid, managed_by_file, not_found};
use crate::directory::Resolver;
use crate::policy::own;
use crate::store::{Change, GrantRecord, RoleRecord};
use crate::words::{Boundary, Permission, PermissionPattern, PermissionSet, RoleName, nearest};

/// Most permissions or included roles written in one role.
const ENTRIES_MAX: usize = 1024;

pub(super) fn create(
    desk: &mut Desk<'_>,
    name: &RoleName,
    description: String,
    (permissions, include): (Vec<PermissionPattern>, Vec<RoleName>),
) -> Answer {
    refuse_built_in(desk, name)?;
    desk.must_store(&format!("role `{name}`"), None)?;
    let role = RoleRecord {
        name: name.clone(),
        description,
        permissions,
        include,
        api_access: true,
        applied_as: None,
        owner: Boundary::default(),
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
    (permissions, include): (Option<Vec<PermissionPattern>>, Option<Vec<RoleName>>),
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
        updated_at: desk.now,
        ..known
    };
    check(desk, &role)?;
    desk.change(&Change::UpdateRole(role))?;
    show(desk, name)
}

/// Every role, by name.
pub(super) fn list(desk: &Desk<'_>) -> Value {
    let (built_in, custom) = (desk.policy().roles.keys(), desk.records().roles.keys());
    let own = own::roles().iter().map(|role| &role.name);
    let names: BTreeSet<_> = built_in.chain(custom).chain(own).collect();
    names
        .into_iter()
        .flat_map(|name| show(desk, name))
        .collect()
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
    Ok(json!({
        "name": name,
        "description": role.description,
        "managed_by": "store",
        "permissions": role.permissions,
        "include": role.include,
        "gives": gives,
        "created_at": role.created_at,
        "updated_at": role.updated_at,
    }))
}

/// Removes a role nobody holds, and returns what it was.
pub(super) fn delete(desk: &mut Desk<'_>, name: &RoleName) -> Answer {
    refuse_built_in(desk, name)?;
    let shown = show(desk, name)?;
    let holders = holders(desk, name);
    if let Some(first) = holders.first() {
        let others = match holders.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return Err(conflict(format!(
            "role `{name}` is still held by {first}{others}: take it away first"
        )));
    }
    desk.change(&Change::DeleteRole(name.clone()))?;
    Ok(shown)
}

/// Who holds a role or includes it, as words for a sentence.
fn holders(desk: &Desk<'_>, name: &RoleName) -> Vec<String> {
    let holds = |grants: &[GrantRecord]| grants.iter().any(|grant| grant.role == *name);
    let records = desk.records();
    let accounts = records
        .accounts
        .values()
        .filter(|account| holds(&account.grants));
    let groups = records.groups.values().filter(|group| holds(&group.grants));
    let roles = records
        .roles
        .values()
        .filter(|role| role.include.contains(name));
    let filed = desk.policy().accounts.iter();
    let filed = filed.filter(|(_, entry)| entry.grants.iter().any(|grant| grant.role == *name));
    accounts
        .map(|account| format!("account `{}`", account.name))
        .chain(groups.map(|group| format!("group `{}`", group.name)))
        .chain(roles.map(|role| format!("role `{}`, which includes it,", role.name)))
        .chain(filed.map(|(name, entry)| format!("account `{name}` in {}", entry.place)))
        .collect()
}

fn check(desk: &Desk<'_>, role: &RoleRecord) -> Result<(), AdminError> {
    check_description(&role.description)?;
    if role.permissions.len() + role.include.len() > ENTRIES_MAX {
        return Err(invalid(format!(
            "role `{}` would have more than {ENTRIES_MAX} entries: use `resource:*` or split it",
            role.name
        )));
    }
    let declared = || desk.policy().every_permission().map(|(_, name)| name);
    for pattern in &role.permissions {
        if !declared().any(|permission| pattern.covers(permission)) {
            let known = declared().map(Permission::as_str);
            let near = nearest(pattern.as_str(), known);
            return Err(desk.unknown(format!(
                "the policy declares no permission `{pattern}`{near}"
            )));
        }
    }
    for name in &role.include {
        desk.check_role(name)?;
        refuse_circle(desk, role, name)?;
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

fn refuse_built_in(desk: &Desk<'_>, name: &RoleName) -> Result<(), AdminError> {
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
