//! Roles: what each gives, with the roles it includes.

use std::collections::BTreeMap;

use super::covered;
use super::names::{Names, undeclared};
use super::people::refuse_owner;
use crate::policy::file::{At, PolicyFile, RoleWritten};
use crate::policy::{Role, own};
use crate::words::{
    Fault, Faults, PermissionId, PermissionPattern, PermissionSet, RoleName, nearest,
};

/// Works out every role. One that includes itself, whichever way around, is a fault.
pub(super) fn compile(
    files: &[PolicyFile],
    names: &Names,
    faults: &mut Faults,
) -> BTreeMap<RoleName, Role> {
    let mut written: BTreeMap<&RoleName, &RoleWritten> = BTreeMap::new();
    for role in files.iter().flat_map(|file| &file.roles) {
        refuse_owner(role.owner.as_ref(), faults);
        written.entry(&role.name).or_insert(role);
    }
    let mut waiting: BTreeMap<&RoleName, Waiting<'_>> = written
        .iter()
        .map(|(name, role)| (*name, Waiting::new(role, names, faults)))
        .collect();
    let mut roles = BTreeMap::new();
    // Innermost first: a role is done when all it includes are. What never gets done is a circle.
    let mut ready: Vec<&RoleName> = names_where(&waiting, |role| role.missing == 0);
    while let Some(name) = ready.pop() {
        let Some(done) = waiting.remove(name) else {
            continue;
        };
        for (other, role) in &mut waiting {
            let times = role
                .written
                .include
                .iter()
                .filter(|at| at.value == *name)
                .count();
            if times > 0 {
                role.gives.extend(&done.gives);
                role.missing = role.missing.saturating_sub(times);
                if role.missing == 0 {
                    ready.push(other);
                }
            }
        }
        roles.insert(name.clone(), done.into_role());
    }
    refuse_circles(&waiting, faults);
    roles
}

/// A role whose included roles are not all done.
struct Waiting<'a> {
    written: &'a RoleWritten,
    gives: PermissionSet,
    missing: usize,
}

impl<'a> Waiting<'a> {
    fn new(written: &'a RoleWritten, names: &Names, faults: &mut Faults) -> Self {
        let mut gives = PermissionSet::default();
        for pattern in &written.permissions {
            gives.extend(&given(pattern, names, faults));
        }
        let mut missing = 0;
        for name in &written.include {
            // The gateway's own roles are done before any other.
            if let Some(role) = own::role(&name.value) {
                let patterns = role.permissions.iter();
                patterns.for_each(|pattern| gives.extend(&own_given(pattern, names)));
            } else if names.role(name, faults) {
                missing += 1;
            }
        }
        Self {
            written,
            gives,
            missing,
        }
    }

    fn into_role(self) -> Role {
        let permissions = self.written.permissions.iter();
        let include = self.written.include.iter();
        Role {
            description: self.written.description.clone(),
            permissions: permissions.map(|at| at.value.clone()).collect(),
            include: include.map(|at| at.value.clone()).collect(),
            gives: self.gives,
            api_access: self.written.api_access,
            place: self.written.place.clone(),
        }
    }
}

/// What a pattern gives; it must cover something.
pub(super) fn given(
    pattern: &At<PermissionPattern>,
    names: &Names,
    faults: &mut Faults,
) -> PermissionSet {
    let mut given = covered(&names.permissions, &pattern.value);
    given.extend(&own_given(&pattern.value, names));
    if !given.is_empty() {
        return given;
    }
    match pattern.value.as_str().strip_suffix(":*") {
        Some(_) => {
            let resources = names.permissions.iter().map(|(known, _)| known.resource());
            let known: Vec<String> = resources.map(|it| format!("{it}:*")).collect();
            let near = nearest(pattern.value.as_str(), known.iter().map(String::as_str));
            let message = format!(
                "`{}` covers no permission that is declared{near}",
                pattern.value
            );
            faults.push(Fault::new(pattern.place.clone(), message));
        }
        None => {
            let known = names.permissions.iter().map(|(known, _)| known.as_str());
            undeclared("permission", pattern, known, faults);
        }
    }
    given
}

/// What a pattern gives of the gateway's own, which is numbered after what the files declare.
fn own_given(pattern: &PermissionPattern, names: &Names) -> PermissionSet {
    let own = covered(own::permissions(), pattern);
    let declared = names.permissions.len();
    let own = own.iter().map(|id| declared + usize::from(id.0));
    own.filter_map(|place| u16::try_from(place).ok())
        .map(PermissionId)
        .collect()
}

fn names_where<'a>(
    waiting: &BTreeMap<&'a RoleName, Waiting<'_>>,
    which: impl Fn(&Waiting<'_>) -> bool,
) -> Vec<&'a RoleName> {
    let chosen = waiting.iter().filter(|(_, role)| which(role));
    chosen.map(|(name, _)| *name).collect()
}

/// Every role that is left waits for another that is left, so walking on comes back to where it
/// has been: that is the circle.
fn refuse_circles(waiting: &BTreeMap<&RoleName, Waiting<'_>>, faults: &mut Faults) {
    let mut told: Vec<&RoleName> = Vec::new();
    for start in waiting.keys() {
        let mut way: Vec<&RoleName> = vec![start];
        loop {
            let here = way.last().and_then(|name| waiting.get(*name));
            let next = here.and_then(|role| {
                let mut include = role.written.include.iter();
                include.find_map(|at| waiting.get_key_value(&at.value))
            });
            let Some((next, _)) = next else {
                break;
            };
            if told.contains(next) {
                break;
            }
            if let Some(begin) = way.iter().position(|name| name == next) {
                let circle: Vec<_> = way.iter().skip(begin).copied().collect();
                told.extend(&circle);
                say_circle(&circle, waiting, faults);
                break;
            }
            way.push(next);
        }
        told.extend(way);
    }
}

fn say_circle(
    circle: &[&RoleName],
    waiting: &BTreeMap<&RoleName, Waiting<'_>>,
    faults: &mut Faults,
) {
    let Some(first) = circle.first() else {
        return;
    };
    let names: Vec<_> = circle
        .iter()
        .chain([first])
        .map(|name| format!("`{name}`"))
        .collect();
    let message = format!(
        "roles include each other in a circle: {}",
        names.join(" includes ")
    );
    if let Some(role) = waiting.get(*first) {
        faults.push(Fault::new(role.written.place.clone(), message));
    }
}
