//! Who may do what, compiled and immutable: the route table, the permissions, the roles, and the
//! accounts that are managed by file.
//!
//! A policy is made from a folder by [`compile`], whole or not at all, and swapped whole by
//! `reload`; readers take one snapshot per request. There is no way to change one in place.
//!
//! Not here: who calls. Accounts and their grants are worked out against a policy by the
//! directory, because they change at another pace and come from elsewhere.

pub mod compile;
pub mod cors;
mod file;
pub mod folder;
mod grammar;
mod hosts;
mod loose;
pub mod manifest;
pub mod matcher;
mod near;
#[cfg(test)]
mod oracle;
pub mod overlap;
pub mod own;
pub mod proof;
#[cfg(test)]
mod properties;
mod reading;
pub mod reload;
mod segment;
pub mod shadow;
pub mod template;
mod trie;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use file::KEYS as FILE_KEYS;
use hosts::Tables;
pub(crate) use hosts::normal as host_as_tables_know_it;
pub use matcher::{Found, Lookup};
pub use near::Near;
use overlap::Relation;
use template::Template;

use crate::words::{
    AccountId, AccountName, Boundary, ClassSet, DimensionId, DimensionName, GroupName, KeyId,
    Method, MethodSet, Permission, PermissionId, PermissionPattern, PermissionSet, Place, Rate,
    RoleName, RouteId, SecretDigest, Spelling, UnixTime, UpstreamId, UpstreamName,
};

/// Adds to `faults` what is wrong with one file, whatever other files declare.
#[cfg(test)]
pub(crate) fn read_alone(root: &crate::yaml::Node, faults: &mut crate::words::Faults) {
    file::PolicyFile::read(root, faults);
}

/// A compiled policy. The default one knows no host, and so opens nothing.
#[derive(Debug, Default)]
pub struct Policy {
    /// First 16 hexadecimal digits of the SHA-256 over the files it was made from: the same folder
    /// has the same hash everywhere.
    pub hash: String,
    /// Every permission declared, by [`PermissionId`], sorted by name, with its description.
    pub permissions: Vec<(Permission, String)>,
    /// Every dimension declared, by [`DimensionId`], sorted by name, with its description.
    pub dimensions: Vec<(DimensionName, String)>,
    /// The built-in roles.
    pub roles: BTreeMap<RoleName, Role>,
    /// Every route, by [`RouteId`].
    pub routes: Vec<Arc<Route>>,
    /// The upstreams the routes lead to, by [`UpstreamId`].
    pub upstreams: Vec<UpstreamName>,
    /// The accounts managed by file.
    pub accounts: BTreeMap<AccountName, FileAccount>,
    /// The groups managed by file.
    pub groups: BTreeMap<GroupName, FileGroup>,
    /// The policy's own tests.
    pub tests: Vec<PolicyTest>,
    /// Every pair of routes that match a path in common.
    pub overlaps: Vec<Overlap>,
    /// What is not wrong and should be looked at.
    pub findings: proof::Findings,
    /// What routes say that weakens a promise, as `routes.unsafe_allow: semicolon`: each once, however
    /// many routes say it, for the log and the metric.
    pub weakened: Vec<String>,
    /// The path classes that some route or upstream allows; all others are refused at once.
    pub classes_allowed: ClassSet,
    /// Those, and what shadow lets through somewhere: paths are read with these allowed, and the
    /// decision looks at the rest.
    pub classes_read: ClassSet,
    /// What is in shadow as a whole.
    pub shadow: shadow::Shadow,
    /// Whether some upstream allows `_method` in a query; else it is refused at once.
    pub method_in_query_allowed: bool,
    /// Whether some route says what becomes of a preflight.
    pub answers_preflights: bool,
    /// The route tables, one for each named host and one for the others.
    pub(crate) tables: Tables,
}

/// A host that no route answers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no route answers on this host")]
pub struct HostUnknown;

impl Policy {
    /// The routes that a request by `method` for `path`, in canonical form, has to satisfy. `host`
    /// is the request's, with or without a port; case and a dot at the end do not count. A path that
    /// escapes what could stand raw has to satisfy the routes of both spellings; so has one that goes
    /// to an upstream that ignores case or a slash at the end.
    ///
    /// # Errors
    ///
    /// [`HostUnknown`] where every file with routes names its hosts, and this is none of them.
    pub fn find(
        &self,
        host: Option<&str>,
        method: Method,
        path: &str,
    ) -> Result<Lookup, HostUnknown> {
        let tables = self.tables.of(host).ok_or(HostUnknown)?;
        let mut lookup = tables.table.find(method, path);
        let other = reading::decoded(path);
        if let Some(other) = &other {
            lookup = reading::both(lookup, tables.table.find(method, other));
        }
        if tables.loose.is_empty() {
            return Ok(lookup);
        }
        let loosely = |path, lookup| {
            let upstream = |route| self.route(route).upstream;
            loose::loosely(&tables.loose, upstream, (method, path), lookup)
        };
        lookup = loosely(path, lookup);
        Ok(match (&lookup, &other) {
            (Lookup::Found(_), Some(other)) => loosely(other, lookup),
            (Lookup::Found(_), None) | (Lookup::OtherMethods(_) | Lookup::Nothing, _) => lookup,
        })
    }

    /// The number of a permission, if a file declares it or it is the gateway's own.
    pub fn permission_id(&self, name: &str) -> Option<PermissionId> {
        let found = self
            .permissions
            .binary_search_by(|(known, _)| known.as_str().cmp(name));
        found
            .ok()
            .and_then(|place| u16::try_from(place).ok())
            .map(PermissionId)
            .or_else(|| self.own_id(name))
    }

    /// The permission with this number.
    ///
    /// # Panics
    ///
    /// If the number is of another policy.
    pub fn permission(&self, id: PermissionId) -> &Permission {
        let found = self.permissions.get(usize::from(id.0));
        found
            .map(|(name, _)| name)
            .or_else(|| self.own_permission(id))
            .expect("the number is of this policy")
    }

    /// The number of a dimension, if it is declared.
    pub fn dimension_id(&self, name: &str) -> Option<DimensionId> {
        let found = self
            .dimensions
            .binary_search_by(|(known, _)| known.as_str().cmp(name));
        found
            .ok()
            .and_then(|place| u16::try_from(place).ok())
            .map(DimensionId)
    }

    /// The dimension with this number.
    ///
    /// # Panics
    ///
    /// If the number is of another policy.
    pub fn dimension(&self, id: DimensionId) -> &DimensionName {
        let found = self.dimensions.get(usize::from(id.0));
        found
            .map(|(name, _)| name)
            .expect("the number is of this policy")
    }

    /// The upstream with this number.
    ///
    /// # Panics
    ///
    /// If the number is of another policy.
    pub fn upstream(&self, id: UpstreamId) -> &UpstreamName {
        self.upstreams
            .get(usize::from(id.0))
            .expect("the number is of this policy")
    }

    /// The route with this number.
    ///
    /// # Panics
    ///
    /// If the number is of another policy.
    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        let found = usize::try_from(id.0)
            .ok()
            .and_then(|place| self.routes.get(place));
        found.expect("the number is of this policy")
    }

    /// What `patterns` and the built-in roles of `include` give, and the names among them that this
    /// policy does not know.
    pub fn expand(
        &self,
        patterns: &[PermissionPattern],
        include: &[RoleName],
    ) -> (PermissionSet, Vec<String>) {
        let mut set = PermissionSet::default();
        let mut unknown = Vec::new();
        for pattern in patterns {
            let covered = compile::covered(&self.permissions, pattern);
            if covered.is_empty() {
                unknown.push(pattern.to_string());
            }
            set.extend(&covered);
        }
        for name in include {
            match self.roles.get(name) {
                Some(role) => set.extend(&role.gives),
                None => unknown.push(name.to_string()),
            }
        }
        (set, unknown)
    }
}

/// A built-in role.
#[derive(Debug)]
pub struct Role {
    /// What it is for.
    pub description: String,
    /// Its own permissions as written.
    pub permissions: Vec<PermissionPattern>,
    /// The roles it includes.
    pub include: Vec<RoleName>,
    /// Everything it gives, included roles too.
    pub gives: PermissionSet,
    /// Whether accounts and groups can be given it, rather than only roles that include it.
    pub api_access: bool,
    /// Where it is defined.
    pub place: Place,
}

/// A route: what one request needs, where, and where it goes.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, and every combination of them is meant"
)]
pub struct Route {
    /// Its position in [`Policy::routes`].
    pub id: RouteId,
    /// The route as written, methods and template: the label in logs and metrics.
    pub name: String,
    /// The methods, as written; a GET route answers HEAD besides.
    pub methods: MethodSet,
    /// The path template.
    pub template: Template,
    /// The same in the one spelling of its upstream, if that ignores case or a slash at the end.
    pub loose: Option<Template>,
    /// The hosts it answers on; none means any.
    pub hosts: Vec<String>,
    /// What is needed.
    pub requirement: Requirement,
    /// Which boundary it touches.
    pub boundary: RouteBoundary,
    /// Where it goes.
    pub upstream: UpstreamId,
    /// Longest wait for the head of the upstream's response, if not the upstream's own.
    pub timeout: Option<Duration>,
    /// Whether the decision is only logged and counted: what the route says, else its upstream.
    pub shadow: bool,
    /// The path classes this route puts up with, those of its upstream included.
    pub unsafe_allow: ClassSet,
    /// Whether a foreign `Authorization` is passed on, because the route or its upstream says so.
    pub pass_authorization: bool,
    /// Whether the client may ask for a WebSocket.
    pub upgrade: bool,
    /// The request trailers that are passed on.
    pub trailers: Vec<http::HeaderName>,
    /// Largest request body, in bytes, if not the listener's bound.
    pub body_bytes: Option<u64>,
    /// How often it may be called, all callers together.
    pub rate: Option<Rate>,
    /// How often each account may call it.
    pub rate_per_account: Option<Rate>,
    /// The header names its upstream is sent although two readers could read them two ways.
    pub header_names: Arc<[http::HeaderName]>,
    /// Whether its upstream allows `_method` in a query.
    pub method_in_query: bool,
    /// What becomes of a preflight that announces a request for it.
    pub cors: Option<Arc<cors::Cors>>,
    /// Where it is defined.
    pub place: Place,
}

impl Route {
    /// Says whether the route answers `method` by what it says itself: GET answers HEAD.
    pub fn answers(&self, method: Method) -> bool {
        self.methods.contains(method)
            || (method == Method::Head && self.methods.contains(Method::Get))
    }

    /// Says whether the route stands in the table of `host`, in the form of the tables; `None` is the
    /// table of all hosts that no file names.
    pub fn answers_on(&self, host: Option<&str>) -> bool {
        self.hosts.is_empty() || host.is_some_and(|host| self.hosts.iter().any(|own| own == host))
    }

    /// Says whether requests to it are counted against a rate of its own.
    pub fn is_rated(&self) -> bool {
        self.rate.is_some() || self.rate_per_account.is_some()
    }

    /// The template as its upstream reads it: two spellings of one path are one way there.
    pub fn as_read(&self) -> &Template {
        self.loose.as_ref().unwrap_or(&self.template)
    }
}

/// Two routes that match a path in common, by a method and on a host they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The more specific one, if one is.
    pub first: RouteId,
    /// The other.
    pub second: RouteId,
    /// The methods they share.
    pub methods: MethodSet,
    /// How they lie: `Inside`, `Crossing`, or `Same` in the spelling of their upstream.
    pub relation: Relation,
    /// What their upstream ignores in a path, if both lead to one that does.
    pub spelling: Spelling,
}

/// What a route asks of its caller. There is no "unset": a route that says nothing is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing; credentials are not looked at.
    Public,
    /// A known caller.
    AnyAccount,
    /// All of these; one is the common case.
    All(Vec<PermissionId>),
    /// At least one of these.
    Any(Vec<PermissionId>),
}

/// Which boundary a route touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteBoundary {
    /// Only grants without a boundary count.
    Unlimited,
    /// Any grant counts; the caller's boundary goes to the upstream, which filters.
    Forwarded,
    /// The request says the place, one source a dimension.
    Bound(Vec<(DimensionId, Source)>),
}

/// Where a request says one dimension of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A parameter of the path, by its position in the template.
    Path(usize),
    /// A parameter of the query; with a separator it may name several values, all of which count.
    Query {
        /// The parameter's name.
        name: String,
        /// What stands between several values.
        separator: Option<char>,
    },
    /// A header.
    Header(http::HeaderName),
}

/// An account managed by file.
#[derive(Clone, Debug)]
pub struct FileAccount {
    /// Its id, if the file fixes it.
    pub id: Option<AccountId>,
    /// What it is for.
    pub description: String,
    /// What it holds.
    pub grants: Vec<FileGrant>,
    /// Where it may call from; none means anywhere.
    pub allow_from: Vec<ipnet::IpNet>,
    /// Its keys, for accounts without a store.
    pub keys: Vec<FileKey>,
    /// Where it is defined.
    pub place: Place,
}

/// A group managed by file.
#[derive(Clone, Debug)]
pub struct FileGroup {
    /// What it is for.
    pub description: String,
    /// Its members, from files or the store.
    pub members: Vec<AccountName>,
    /// What its members hold.
    pub grants: Vec<FileGrant>,
    /// Where it is defined.
    pub place: Place,
}

/// A role, and where it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGrant {
    /// The role: a built-in one. What a file may grant must not depend on a store.
    pub role: RoleName,
    /// Where it holds.
    pub within: Boundary,
    /// Where it stands.
    pub place: Place,
}

/// A key managed by file.
#[derive(Clone, Debug)]
pub struct FileKey {
    /// Its id.
    pub id: KeyId,
    /// SHA-256 of its secret.
    pub digest: SecretDigest,
    /// Where it is used.
    pub description: String,
    /// When it ends.
    pub expires_at: Option<UnixTime>,
    /// The only permissions it may use; none is no such limit.
    pub only: Option<Vec<PermissionPattern>>,
    /// Where it may be used from; none means wherever its account may call from.
    pub allow_from: Vec<ipnet::IpNet>,
    /// Where it stands.
    pub place: Place,
}

/// One of a policy's own tests.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// The account that calls, or nobody.
    pub account: Option<AccountName>,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The host, if the routes ask for one.
    pub host: Option<String>,
    /// Headers a boundary reads.
    pub headers: Vec<(http::HeaderName, String)>,
    /// Where the call comes from; without it addresses are not looked at.
    pub from: Option<std::net::IpAddr>,
    /// What is expected.
    pub expect: Expectation,
    /// Exactly the permissions that are expected to be missing, if that is asked.
    pub missing: Option<Vec<Permission>>,
    /// Where it stands.
    pub place: Place,
}

/// What a policy test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The request is forwarded.
    Allow,
    /// It is refused for this reason.
    Deny(crate::reason::Reason),
}
