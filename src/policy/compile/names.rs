//! What all files together declare, and looking names up in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::Context;
use crate::policy::file::{At, PolicyFile};
use crate::policy::own;
use crate::settings::UpstreamRules;
use crate::words::{
    ClassSet, DimensionId, DimensionName, Fault, Faults, Permission, PermissionId, Place, RoleName,
    UpstreamId, UpstreamName, nearest,
};

/// Most permissions of one policy. Twenty times the largest cloud's for one service; a set of them
/// is then at most 1.3 kB for each grant.
const PERMISSIONS_MAX: usize = 10_000;
/// Most dimensions of one policy: each is looked at for each grant in each decision.
const DIMENSIONS_MAX: usize = 64;
/// Most upstreams of one policy: their number has 16 bits.
const UPSTREAMS_MAX: usize = 10_000;

/// Everything that is declared.
pub(super) struct Names {
    /// Sorted by name.
    pub(super) permissions: Vec<(Permission, String)>,
    /// Sorted by name.
    pub(super) dimensions: Vec<(DimensionName, String)>,
    /// Sorted by name: all of the settings, or all that are used where the settings are not known.
    pub(super) upstreams: Vec<UpstreamName>,
    /// With their places.
    pub(super) roles: BTreeMap<RoleName, Place>,
    /// Those of them that nobody can be given.
    inner_roles: BTreeSet<RoleName>,
    rules: BTreeMap<UpstreamName, UpstreamRules>,
}

impl Names {
    pub(super) fn collect(files: &[PolicyFile], context: &Context, faults: &mut Faults) -> Self {
        let permissions = files.iter().flat_map(|file| &file.permissions);
        let permissions = permissions.map(|it| (&it.name, &it.place, &it.description));
        let permissions = once("permission", permissions, faults);
        for (name, (place, _)) in &permissions {
            if is_ours(name.resource()) {
                let message = format!(
                    "`{name}` is reserved: `portcullis.` begins the gateway's own permissions"
                );
                faults.push(Fault::new((*place).clone(), message));
            }
        }
        let dimensions = files.iter().flat_map(|file| &file.dimensions);
        let dimensions = dimensions.map(|it| (&it.name, &it.place, &it.description));
        let dimensions = once("dimension", dimensions, faults);
        let roles = files.iter().flat_map(|file| &file.roles);
        let roles = once(
            "role",
            roles.map(|it| (&it.name, &it.place, &it.description)),
            faults,
        );
        for (name, (place, _)) in &roles {
            if own::role(name).is_some() {
                let message = format!("role `{name}` is the gateway's own: choose another name");
                faults.push(Fault::new((*place).clone(), message));
            }
        }
        let names = Self {
            permissions: described(permissions),
            dimensions: described(dimensions),
            roles: roles
                .into_iter()
                .map(|(name, (place, _))| (name.clone(), place.clone()))
                .collect(),
            inner_roles: files
                .iter()
                .flat_map(|file| &file.roles)
                .filter(|role| !role.api_access)
                .map(|role| role.name.clone())
                .collect(),
            upstreams: upstreams(files, context),
            rules: context.upstreams.clone().unwrap_or_default(),
        };
        names.within_bounds(files, faults);
        names
    }

    fn within_bounds(&self, files: &[PolicyFile], faults: &mut Faults) {
        for (what, count, most) in [
            ("permissions", self.permissions.len(), PERMISSIONS_MAX),
            ("dimensions", self.dimensions.len(), DIMENSIONS_MAX),
            ("upstreams", self.upstreams.len(), UPSTREAMS_MAX),
        ] {
            let first = files
                .iter()
                .find_map(|file| Some(&file.permissions.first()?.place));
            if count > most {
                let place = first.cloned().unwrap_or_else(|| Place::whole("policies"));
                let message = format!("{count} {what} are declared, and {most} are the most");
                faults.push(Fault::new(place, message));
            }
        }
    }

    pub(super) fn permission(
        &self,
        name: &At<Permission>,
        faults: &mut Faults,
    ) -> Option<PermissionId> {
        let found = self
            .permissions
            .binary_search_by(|(known, _)| known.cmp(&name.value));
        let known = || self.permissions.iter().map(|(known, _)| known.as_str());
        let place = found.map_err(|_| undeclared("permission", name, known(), faults));
        place
            .ok()
            .and_then(|at| u16::try_from(at).ok())
            .map(PermissionId)
    }

    pub(super) fn dimension(
        &self,
        name: &At<DimensionName>,
        faults: &mut Faults,
    ) -> Option<DimensionId> {
        let found = self
            .dimensions
            .binary_search_by(|(known, _)| known.cmp(&name.value));
        let known = || self.dimensions.iter().map(|(known, _)| known.as_str());
        let place = found.map_err(|_| undeclared("dimension", name, known(), faults));
        place
            .ok()
            .and_then(|at| u16::try_from(at).ok())
            .map(DimensionId)
    }

    pub(super) fn upstream(
        &self,
        name: &At<UpstreamName>,
        faults: &mut Faults,
    ) -> Option<UpstreamId> {
        let found = self.upstreams.binary_search(&name.value);
        let place = found.map_err(|_| {
            let near = nearest(
                name.value.as_str(),
                self.upstreams.iter().map(UpstreamName::as_str),
            );
            let message = format!("upstream `{}` is not in the settings{near}", name.value);
            faults.push(Fault::new(name.place.clone(), message));
        });
        place
            .ok()
            .and_then(|at| u16::try_from(at).ok())
            .map(UpstreamId)
    }

    /// Says whether a role is declared.
    pub(super) fn role(&self, name: &At<RoleName>, faults: &mut Faults) -> bool {
        let known = self.roles.contains_key(&name.value) || own::role(&name.value).is_some();
        if !known {
            undeclared(
                "role",
                name,
                self.roles.keys().map(RoleName::as_str),
                faults,
            );
        }
        known
    }

    /// Says whether a role is declared and can be given to an account or a group.
    pub(super) fn granted_role(&self, name: &At<RoleName>, faults: &mut Faults) {
        if self.role(name, faults) && self.inner_roles.contains(&name.value) {
            let place = self.roles.get(&name.value);
            let place = place.map(|place| format!(", {place}")).unwrap_or_default();
            let message = format!(
                "role `{}` cannot be given to anybody (`api_access: false`{place}): give one that \
                 includes it",
                name.value
            );
            faults.push(Fault::new(name.place.clone(), message));
        }
    }

    /// What some upstream puts up with.
    pub(super) fn classes_allowed(&self) -> ClassSet {
        let rules = self.rules.values().map(|rules| rules.unsafe_allow);
        rules.fold(ClassSet::EMPTY, ClassSet::union)
    }

    /// What the settings say of an upstream; nothing special where they are not known.
    pub(super) fn rules(&self, name: &UpstreamName) -> UpstreamRules {
        self.rules.get(name).cloned().unwrap_or_default()
    }
}

/// The resource belongs to the gateway's own permissions.
fn is_ours(resource: &str) -> bool {
    resource == "portcullis" || resource.starts_with("portcullis.")
}

type Once<'a, T> = BTreeMap<&'a T, (&'a Place, &'a String)>;

/// Each name with its place and description; a name that is defined twice is a fault that names
/// both places.
pub(super) fn once<'a, T: Ord + Display>(
    what: &str,
    items: impl Iterator<Item = (&'a T, &'a Place, &'a String)>,
    faults: &mut Faults,
) -> Once<'a, T> {
    let mut seen: Once<'a, T> = BTreeMap::new();
    for (name, place, description) in items {
        if let Some((first, _)) = seen.get(name) {
            let message = format!("{what} `{name}` is defined twice, first at {first}");
            faults.push(Fault::new(place.clone(), message));
        } else {
            seen.insert(name, (place, description));
        }
    }
    seen
}

fn described<T: Clone>(once: Once<'_, T>) -> Vec<(T, String)> {
    once.into_iter()
        .map(|(name, (_, description))| (name.clone(), description.clone()))
        .collect()
}

fn upstreams(files: &[PolicyFile], context: &Context) -> Vec<UpstreamName> {
    if let Some(known) = &context.upstreams {
        return known.keys().cloned().collect();
    }
    let of_files = files.iter().filter_map(|file| file.upstream.as_ref());
    let routes = files.iter().flat_map(|file| &file.routes);
    let of_routes = routes.filter_map(|route| route.upstream.as_ref());
    let mut names: Vec<_> = of_files
        .chain(of_routes)
        .map(|at| at.value.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Adds the fault that a name is used and not declared.
pub(super) fn undeclared<'a, T: Display>(
    what: &str,
    name: &At<T>,
    known: impl Iterator<Item = &'a str>,
    faults: &mut Faults,
) {
    let text = name.value.to_string();
    let near = nearest(&text, known);
    let message = format!("{what} `{text}` is not declared{near}");
    faults.push(Fault::new(name.place.clone(), message));
}
