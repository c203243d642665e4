//! From the text of policy files to a [`Policy`]: every fault at once, or a policy that holds.
//!
//! Pure: it is given the files' text and what the settings say of the upstreams. Reading the disk
//! is in `folder`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Policy;
pub use crate::settings::UpstreamRules;
use crate::words::{
    Fault, Faults, Method, Permission, PermissionId, PermissionPattern, PermissionSet, Place,
    UpstreamName,
};

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
}

/// Compiles a policy.
///
/// # Errors
///
/// Every fault in every file, so that one edit can mend them all.
pub fn compile(files: &[SourceFile], _context: &Context) -> Result<Policy, Faults> {
    let place = files
        .first()
        .map_or(Path::new("policies"), |file| &*file.path);
    Err(Fault::new(Place::whole(place), "policies cannot be compiled yet").into())
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
