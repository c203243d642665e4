//! Which version of a thing somebody has seen: `ETag` and `If-Match`.
//!
//! A version is a digest of what is shown of a thing, without what changes when it is only used. So
//! two writers who saw the same cannot both change it, and reading never takes a turn away.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::desk::{Answer, Desk};
use super::{AdminError, ErrorKind, Operation, accounts, groups, keys, roles};

/// Hexadecimal digits of a version: 64 bits, of which nobody makes two alike by chance.
const DIGITS: usize = 16;

/// The version of a thing as it is shown, quoted as an `ETag` is.
pub(crate) fn version(shown: &Value) -> String {
    let mut seen = shown.clone();
    if let Some(seen) = seen.as_object_mut() {
        // What is told of the change and not of the thing is none of it either.
        seen.retain(|name, _| {
            !name.starts_with("last_used")
                && !name.starts_with(super::beyond::FIELD)
                // Whether a key has run out is what the clock says of it.
                && name != "state"
        });
    }
    let digest = Sha256::digest(seen.to_string());
    let mut text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(DIGITS);
    format!("\"{text}\"")
}

/// Refuses to change what is not any more what whoever asks has seen.
///
/// # Errors
///
/// What it is now.
pub(super) fn check(desk: &Desk<'_>, operation: &Operation) -> Result<(), AdminError> {
    let Some(seen) = desk.terms.and_then(|terms| terms.if_match.as_ref()) else {
        return Ok(());
    };
    // The admin API takes no version where there is nothing it could be of.
    let Some(shown) = thing(desk, operation).transpose()? else {
        return Ok(());
    };
    if seen.contains(&version(&shown)) {
        return Ok(());
    }
    let said = "it was changed since you saw it: look at it again, as it is in `newer`";
    let mut error = AdminError::new(ErrorKind::Stale, said);
    error.newer = Some(Box::new(shown));
    Err(error)
}

/// The thing an operation changes, as it is shown.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what changes no single thing has no version to look at"
)]
fn thing(desk: &Desk<'_>, operation: &Operation) -> Option<Answer> {
    use Operation as O;
    Some(match operation {
        O::AccountsUpdate { name, .. }
        | O::AccountsGrant { name, .. }
        | O::AccountsUngrant { name, .. }
        | O::AccountsDisable { name }
        | O::AccountsEnable { name }
        | O::AccountsDelete { name }
        | O::KeysCreate { account: name, .. }
        | O::KeysImport { account: name, .. } => accounts::show(desk, name),
        O::KeysUpdate { key, .. } | O::KeysRotate { key, .. } | O::KeysExpire { key, .. } => {
            keys::show(desk, key)
        }
        O::GroupsAdd { group: name, .. }
        | O::GroupsRemove { group: name, .. }
        | O::GroupsGrant { name, .. }
        | O::GroupsUngrant { name, .. }
        | O::GroupsDelete { name } => groups::show(desk, name),
        O::RolesUpdate { name, .. } | O::RolesDelete { name, .. } => roles::show(desk, name),
        _ => return None,
    })
}

/// Whether there is one thing an operation changes.
#[cfg(test)]
pub(super) fn has_version(operation: &Operation) -> bool {
    // Of a world in which there is nothing it is told that it is not there.
    let world = super::tests::world::World::new(&[]);
    let asked = super::trail::Asked::of(operation, &super::Actor::local(), world.clock.now());
    let desk = Desk::to_look(&world.service, asked).expect("the lock is free");
    thing(&desk, operation).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn use_makes_no_new_version_and_a_change_does() {
        let shown = |last: u64, text: &str| {
            version(&json!({ "name": "ci", "description": text, "last_used_at": last }))
        };
        assert_eq!(shown(1, "a"), shown(2, "a"));
        assert_ne!(shown(1, "a"), shown(1, "b"));
        assert_eq!(shown(1, "a").len(), DIGITS + 2);
        let key = |state: &str| version(&json!({ "id": "pck_1", "state": state }));
        assert_eq!(key("active"), key("expired"));
    }
}
