//! What the policy file will say: routes that stand beside each other, the permissions they need, and
//! roles to begin with.
//!
//! Two operations that match the same paths by the same method become one route. Where they ask
//! different things it asks for both: there is no telling them apart from outside, so whoever may do
//! only one of them must not get at the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::draft::{Draft, Needs, Notes, Operation};
use super::names::word_of;
use crate::policy::matcher::Entry;
use crate::policy::overlap::{Relation, pairs};
use crate::policy::template::Template;
use crate::words::{DimensionName, Method, MethodSet, Permission, RoleName, RouteId, UpstreamName};

/// Most roles made from tags. A document with more of them files each operation apart, and a role for
/// one operation is no role.
const TAG_ROLES_MAX: usize = 500;
/// Longest path of a route, in bytes: a key of YAML has 1,024 characters at most, methods included.
const TEMPLATE_BYTES_MAX: usize = 900;

/// What a draft does not say and its file has to.
#[derive(Debug)]
pub struct Way {
    /// The upstream all routes lead to.
    pub upstream: UpstreamName,
    /// Dimensions that may be bound, with their descriptions.
    pub dimensions: Vec<(DimensionName, String)>,
    /// The gateway's own endpoints, which a route cannot answer.
    pub own_endpoints: Vec<(Method, String)>,
}

/// A policy file to be.
#[derive(Debug)]
pub struct Plan {
    /// What it was made from.
    pub origins: Vec<String>,
    /// Where its routes lead.
    pub upstream: UpstreamName,
    /// The dimensions it declares.
    pub dimensions: Vec<(DimensionName, String)>,
    /// The permissions its routes need, sorted.
    pub permissions: Vec<(Permission, String)>,
    /// The roles proposed.
    pub roles: Vec<PlannedRole>,
    /// Its routes, in the order of the documents.
    pub routes: Vec<Planned>,
    /// How many operations the routes stand for.
    pub operations: usize,
}

/// A route of the file to be.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its methods.
    pub methods: MethodSet,
    /// Its path.
    pub template: Template,
    /// What it needs.
    pub needs: Needs,
    /// What it binds, each with a parameter of the path.
    pub within: Vec<(DimensionName, String)>,
    /// Its further options, as YAML.
    pub options: Vec<(&'static str, String)>,
    /// What the operations it stands for are called.
    pub ids: Vec<String>,
    /// What they are filed under.
    tags: Vec<String>,
    /// Whether all of them only read.
    reads: bool,
}

impl Planned {
    /// The route as a policy file has it: `GET,HEAD /v1/devices`.
    pub fn key(&self) -> String {
        let methods: Vec<_> = self.methods.iter().map(|method| method.as_str()).collect();
        format!("{} {}", methods.join(","), self.template)
    }
}

/// A role that is proposed.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedRole {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// The role it includes.
    pub include: Option<RoleName>,
    /// What it gives besides.
    pub permissions: Vec<Permission>,
}

/// How many pairs of routes match a path in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// All of them.
    pub pairs: usize,
    /// Those where neither is more specific, so that a request has to satisfy both.
    pub incomparable: usize,
}

impl Plan {
    /// What the file will say, and what had to be decided on the way.
    pub fn of(draft: Draft, way: Way) -> (Self, Notes) {
        let mut notes = draft.notes;
        let operations = draft.operations.len();
        let mut found = draft.operations;
        found.retain_mut(|operation| may_stand(operation, &way.own_endpoints, &mut notes));
        let routes = routes(found, &mut notes);
        let plan = Self {
            origins: draft.origins,
            upstream: way.upstream,
            dimensions: way.dimensions,
            permissions: permissions(&routes, &draft.described),
            roles: roles(&routes),
            routes,
            operations,
        };
        (plan, notes)
    }

    /// How many routes a person has to decide about.
    pub fn to_review(&self) -> usize {
        let review = |route: &&Planned| route.needs == Needs::ReviewPublic;
        self.routes.iter().filter(review).count()
    }

    /// How many pairs of routes match a path in common.
    pub fn overlaps(&self) -> Overlaps {
        let entry = |(route, number): (&Planned, u32)| Entry {
            route: RouteId(number),
            methods: route.methods,
            template: route.template.clone(),
        };
        let entries: Vec<_> = self.routes.iter().zip(0..).map(entry).collect();
        let pairs = pairs(&entries);
        let crossing = pairs
            .iter()
            .filter(|pair| pair.relation == Relation::Crossing);
        Overlaps {
            incomparable: crossing.count(),
            pairs: pairs.len(),
        }
    }
}

/// Takes from an operation what no route may say; says whether something is left.
fn may_stand(operation: &mut Operation, own: &[(Method, String)], notes: &mut Notes) -> bool {
    if operation.template.as_str().len() > TEMPLATE_BYTES_MAX {
        let message = format!(
            "the path of {} has {} bytes and a policy file holds {TEMPLATE_BYTES_MAX}: left out",
            named(operation),
            operation.template.as_str().len()
        );
        notes.push(operation.place.clone(), message);
        return false;
    }
    let shape = operation.template.shape();
    let same = own
        .iter()
        .filter(|(_, path)| Template::parse(path).is_ok_and(|own| own.shape() == shape));
    let mut taken: MethodSet = same.map(|(method, _)| *method).collect();
    if taken.contains(Method::Head) {
        taken = taken.with(Method::Get); // which answers HEAD
    }
    let taken = taken.intersection(operation.methods);
    if !taken.is_empty() {
        let message = format!(
            "`{taken} {}` is an endpoint of the gateway itself: left out",
            operation.template
        );
        notes.push(operation.place.clone(), message);
        operation.methods = operation.methods.minus(taken);
    }
    !operation.methods.is_empty()
}

/// One route for each method and shape.
fn routes(operations: Vec<Operation>, notes: &mut Notes) -> Vec<Planned> {
    let mut routes: Vec<Planned> = Vec::with_capacity(operations.len());
    let mut of_shape: HashMap<String, Vec<usize>> = HashMap::with_capacity(operations.len());
    for operation in operations {
        let known = of_shape
            .entry(operation.template.shape().to_owned())
            .or_default();
        let mut left = operation.methods;
        let mut made = Vec::new();
        for number in known.iter() {
            let Some(route) = routes.get_mut(*number) else {
                continue;
            };
            let shared = route.methods.intersection(left);
            if shared.is_empty() {
                continue;
            }
            left = left.minus(shared);
            let mut joined = Planned {
                methods: shared,
                ..route.clone()
            };
            if join(&mut joined, &operation) {
                let message = format!(
                    "{} matches the same requests as another operation and asks for something else: `{}` asks for both",
                    named(&operation),
                    joined.key()
                );
                notes.push(operation.place.clone(), message);
            }
            if shared == route.methods {
                *route = joined;
            } else {
                route.methods = route.methods.minus(shared);
                made.push(joined);
            }
        }
        if !left.is_empty() {
            made.push(planned(operation, left));
        }
        known.extend(routes.len()..routes.len() + made.len());
        routes.extend(made);
    }
    routes
}

fn planned(operation: Operation, methods: MethodSet) -> Planned {
    Planned {
        methods,
        template: operation.template,
        needs: operation.needs,
        within: operation.within,
        options: operation.options,
        ids: operation.id.into_iter().collect(),
        tags: operation.tags,
        reads: operation.reads,
    }
}

/// Makes the route stand for the operation too; says whether it asks for more now.
fn join(route: &mut Planned, operation: &Operation) -> bool {
    let needs = route.needs.and(&operation.needs);
    let changed = needs != route.needs || needs != operation.needs;
    route.needs = needs;
    // Parameters of one shape may have other names; they are the same ones from left to right.
    for (dimension, parameter) in &operation.within {
        let position = operation.template.param(parameter);
        let here = position.and_then(|position| route.template.params().get(position));
        let bound = route.within.iter().any(|(bound, _)| bound == dimension);
        if let (Some(here), false) = (here, bound) {
            route.within.push((dimension.clone(), here.clone()));
        }
    }
    for tag in &operation.tags {
        if !route.tags.contains(tag) {
            route.tags.push(tag.clone());
        }
    }
    for option in &operation.options {
        if !route.options.iter().any(|(key, _)| *key == option.0) {
            route.options.push(option.clone());
        }
    }
    route.reads &= operation.reads;
    route.ids.extend(operation.id.clone());
    changed
}

fn named(operation: &Operation) -> String {
    match &operation.id {
        Some(id) => crate::yaml::quoted(id).to_string(),
        None => format!("`{} {}`", operation.methods, operation.template),
    }
}

/// Every permission that is needed, with what it is for.
fn permissions(
    routes: &[Planned],
    described: &BTreeMap<Permission, String>,
) -> Vec<(Permission, String)> {
    let needed = routes.iter().flat_map(|route| route.needs.permissions());
    let needed: BTreeSet<&Permission> = needed.collect();
    let describe = |permission: &Permission| match described.get(permission) {
        Some(description) if !description.trim().is_empty() => description.clone(),
        Some(_) | None => match permission.as_str().split_once(':') {
            Some((resource, "view")) => format!("See {resource}"),
            Some((resource, "edit")) => format!("Make, change and remove {resource}"),
            Some(_) | None => format!("What the API calls {permission}"),
        },
    };
    needed
        .into_iter()
        .map(|permission| (permission.clone(), describe(permission)))
        .collect()
}

/// `viewer`, `editor`, and one for each tag.
fn roles(routes: &[Planned]) -> Vec<PlannedRole> {
    let of = |wanted: &dyn Fn(&Planned) -> bool| -> BTreeSet<Permission> {
        let routes = routes.iter().filter(|route| wanted(route));
        routes
            .flat_map(|route| route.needs.permissions())
            .cloned()
            .collect()
    };
    let writing = of(&|route| !route.reads);
    let reading = of(&|route| route.reads);
    let viewing: Vec<_> = reading.difference(&writing).cloned().collect();
    let viewer: RoleName = "viewer".parse().expect("a plain name");
    let mut roles = Vec::new();
    if !viewing.is_empty() {
        roles.push(PlannedRole {
            name: viewer.clone(),
            description: "Reads everything, changes nothing".to_owned(),
            include: None,
            permissions: viewing,
        });
    }
    let include = (!roles.is_empty()).then_some(viewer);
    if !writing.is_empty() {
        roles.push(PlannedRole {
            name: "editor".parse().expect("a plain name"),
            description: "Reads and changes everything".to_owned(),
            include,
            permissions: writing.into_iter().collect(),
        });
    }
    roles.extend(tag_roles(routes));
    roles
}

/// A role for each tag, with all that its operations need.
fn tag_roles(routes: &[Planned]) -> Vec<PlannedRole> {
    let mut tags: BTreeMap<String, (&str, BTreeSet<Permission>)> = BTreeMap::new();
    for route in routes {
        for tag in &route.tags {
            let (_, permissions) = tags.entry(word_of(tag)).or_insert((tag, BTreeSet::new()));
            permissions.extend(route.needs.permissions().iter().cloned());
        }
    }
    tags.retain(|_, (_, permissions)| !permissions.is_empty());
    if tags.len() > TAG_ROLES_MAX {
        return Vec::new();
    }
    let role = |(name, (tag, permissions)): (String, (&str, BTreeSet<Permission>))| {
        let taken = matches!(name.as_str(), "viewer" | "editor");
        let name = if taken {
            word_of(&format!("tag-{name}"))
        } else {
            name
        };
        PlannedRole {
            name: name.parse().expect("`word_of` gives names only"),
            description: format!("Everything the API files under {tag}"),
            include: None,
            permissions: permissions.into_iter().collect(),
        }
    };
    tags.into_iter().map(role).collect()
}

#[cfg(test)]
mod tests;
