//! What a role is given to, and taken from: rows of accounts and of groups, which are alike.

use rusqlite::params;

use super::{Done, Tx, found, run};
use crate::store::sqlite::rows::{json, millis};
use crate::store::{GrantRecord, Holder};
use crate::words::{Boundary, RoleName};

pub(super) fn grant(tx: Tx<'_>, holder: &Holder, role: &RoleName, within: &Boundary) -> Done {
    let held = GrantRecord {
        role: role.clone(),
        within: within.clone(),
        closed_at: None,
    };
    insert_grant(tx, holder, &held)
}

/// Adds a grant; one that is there already is opened or closed as `held` says.
pub(super) fn insert_grant(tx: Tx<'_>, holder: &Holder, held: &GrantRecord) -> Done {
    let (insert, whose) = match holder {
        Holder::Account(id) => (
            "INSERT INTO account_grants (account, role, within, closed_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET closed_at = excluded.closed_at",
            id.as_str(),
        ),
        Holder::Group(name) => (
            "INSERT INTO group_grants (group_name, role, within, closed_at) \
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET closed_at = excluded.closed_at",
            name.as_str(),
        ),
    };
    let row = params![
        whose,
        held.role.as_str(),
        json(&held.within),
        held.closed_at.map(millis)
    ];
    run(tx, insert, row)?;
    Ok(())
}

pub(super) fn ungrant(tx: Tx<'_>, holder: &Holder, role: &RoleName, within: &Boundary) -> Done {
    let (delete, whose) = match holder {
        Holder::Account(id) => (
            "DELETE FROM account_grants WHERE account = ?1 AND role = ?2 AND within = ?3",
            id.as_str(),
        ),
        Holder::Group(name) => (
            "DELETE FROM group_grants WHERE group_name = ?1 AND role = ?2 AND within = ?3",
            name.as_str(),
        ),
    };
    let gone = run(tx, delete, params![whose, role.as_str(), json(within)])?;
    found(gone, "grant of role", role.as_str())
}
