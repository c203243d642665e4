//! What is said of files that are applied, and of what is wrong with them.

use serde_json::{Value, json};

use crate::admin::{AdminError, ErrorKind};
use crate::store::GrantRecord;

/// All faults as one error. If only a conflict stands against it, that is what it is.
pub(super) fn together(faults: &[(String, AdminError)]) -> AdminError {
    let mut kinds = faults.iter().map(|(_, error)| error.kind);
    let kind = match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        Some(_) | None => ErrorKind::Invalid,
    };
    let lines = faults
        .iter()
        .map(|(place, error)| format!("{place}: {}", error.message));
    AdminError::new(kind, lines.collect::<Vec<_>>().join("\n")).at("manifest")
}

/// Without what does not change.
pub(super) fn said(mut what: Value) -> Value {
    if let Some(fields) = what.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    what
}

pub(super) fn told(grants: &[GrantRecord]) -> Vec<Value> {
    let grant = |grant: &GrantRecord| json!({ "role": grant.role, "within": grant.within });
    grants.iter().map(grant).collect()
}
