//! From the text of policy files to a [`Policy`]: every fault at once, or a policy that holds.
//!
//! Pure: it is given the files' text and what the settings say of the upstreams. Reading the disk
//! is in `folder`.

mod elsewhere;
mod names;
mod overlaps;
mod people;
mod roles;
mod routes;
mod shadow;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::names::Names;
use super::Policy;
use super::file::PolicyFile;
use super::proof::{self, Findings};
pub use crate::settings::UpstreamRules;
use crate::words::{
    ClassSet, Faults, Method, PathClass, Permission, PermissionId, PermissionPattern,
    PermissionSet, Place, UpstreamName,
};
use crate::yaml;

/// A policy file, as read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is, as the user named it.
    pub path: Arc<Path>,
    /// What stands in it.
    pub text: String,
}

/// What a policy has to fit to.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The upstreams of the settings; without it any upstream may be named.
    pub upstreams: Option<BTreeMap<UpstreamName, UpstreamRules>>,
    /// The gateway's own endpoints, which win over routes.
    pub own_endpoints: Vec<(Method, String)>,
    /// Whether all accounts and roles there are stand in the files; else a store may hold more.
    pub files_only: bool,
}

/// Compiles a policy.
///
/// # Errors
///
/// Every fault in every file, so that one edit can mend them all.
pub fn compile(files: &[SourceFile], context: &Context) -> Result<Policy, Faults> {
    let mut faults = Faults::default();
    let written: Vec<PolicyFile> = files
        .iter()
        .filter_map(|file| {
            let root = yaml::parse(&file.path, &file.text, &mut faults)?;
            Some(PolicyFile::read(&root, &mut faults))
        })
        .collect();
    let names = Names::collect(&written, context, &mut faults);
    let roles = roles::compile(&written, &names, &mut faults);
    let routes = routes::compile(&written, &names, &mut faults);
    let accounts = people::accounts(&written, &names, &mut faults);
    let groups = people::groups(&written, &names, &mut faults);
    let tests = people::tests(&written, &accounts, &names, &mut faults);
    let (tables, overlaps) = tables::build(&routes, &names, context, &mut faults);
    elsewhere::refuse_ways_around(&routes, &mut faults);
    let allowed = routes.iter().map(|route| route.unsafe_allow);
    let allowed = allowed.fold(names.classes_allowed(), ClassSet::union);
    let shadow = shadow::compile(&routes, &names, context);
    let mut policy = Policy {
        hash: hash(files),
        classes_allowed: allowed,
        classes_read: allowed.union(shadow.classes()),
        shadow,
        method_in_query_allowed: routes.iter().any(|route| route.method_in_query),
        answers_preflights: routes.iter().any(|route| route.cors.is_some()),
        permissions: names.permissions,
        dimensions: names.dimensions,
        upstreams: names.upstreams,
        roles,
        routes: routes.into_iter().map(Arc::new).collect(),
        accounts,
        groups,
        tests,
        overlaps,
        findings: Findings::default(),
        weakened: weakened(&written),
        tables,
    };
    // What does not hold proves nothing.
    if faults.is_empty() {
        policy.findings = proof::prove(&policy, context, &declared(&written));
    }
    faults.into_result(policy)
}

/// Where permissions are declared.
fn declared(files: &[PolicyFile]) -> BTreeMap<&Permission, &Place> {
    let permissions = files.iter().flat_map(|file| &file.permissions);
    permissions.map(|it| (&it.name, &it.place)).collect()
}

/// What weakens a promise where a file or a route says `shadow: true`.
pub const ROUTES_IN_SHADOW: &str = "routes.shadow";

/// What routes themselves allow that weakens a promise.
fn weakened(files: &[PolicyFile]) -> Vec<String> {
    let routes = files.iter().flat_map(|file| &file.routes);
    let allowed = routes.map(|route| route.unsafe_allow);
    let allowed = allowed.fold(ClassSet::EMPTY, ClassSet::union);
    let line = |class: PathClass| format!("routes.unsafe_allow: {}", class.code());
    let routes = files.iter().flat_map(|file| &file.routes);
    let shadow = files.iter().any(|file| file.shadow == Some(true))
        || routes.clone().any(|route| route.shadow == Some(true));
    let shadow = shadow.then(|| ROUTES_IN_SHADOW.to_owned());
    allowed.iter().map(line).chain(shadow).collect()
}

/// First 16 hexadecimal digits of the SHA-256 over names and texts. Names count from the folder
/// that all files have in common, so that the same folder has the same hash wherever it lies.
fn hash(files: &[SourceFile]) -> String {
    let folders = files
        .iter()
        .map(|file| file.path.parent().unwrap_or(Path::new("")));
    let common = folders.reduce(|common, folder| {
        let mut candidates = common.ancestors();
        candidates
            .find(|it| folder.starts_with(it))
            .unwrap_or(Path::new(""))
    });
    let mut named: Vec<_> = files
        .iter()
        .map(|file| {
            let name = file.path.strip_prefix(common.unwrap_or(Path::new("")));
            (name.unwrap_or(&file.path), file.text.as_bytes())
        })
        .collect();
    named.sort();
    let mut digest = Sha256::new();
    for (name, text) in named {
        let name = name.as_os_str().as_encoded_bytes();
        for part in [name, text] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            digest.update(length.to_be_bytes());
            digest.update(part);
        }
    }
    let digest = digest.finalize();
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The permissions that `pattern` covers.
pub(super) fn covered(
    permissions: &[(Permission, String)],
    pattern: &PermissionPattern,
) -> PermissionSet {
    let ids = (0..=u16::MAX).map(PermissionId);
    let covered = permissions.iter().zip(ids);
    covered
        .filter(|((permission, _), _)| pattern.covers(permission))
        .map(|(_, id)| id)
        .collect()
}

#[cfg(test)]
mod tests;
