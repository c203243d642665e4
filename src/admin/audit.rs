//! Questions about the audit trail.

use serde_json::{Value, json};

use super::AdminError;
use super::desk::{Answer, Desk, conflict};
use crate::audit::{Anchor, Checked, Filter, Row};

/// The records that `filter` admits, newest first, and what to ask for to see older ones.
pub(super) fn list(desk: &Desk<'_>, filter: &Filter) -> Answer {
    must_store(desk)?;
    let rows = desk.store()?.audit(filter, None)?;
    let full = rows.len() >= filter.limit();
    let next = rows.last().map(|row| row.number).filter(|_| full);
    Ok(json!({ "records": shown(&rows), "next": next }))
}

/// The records above `after`, oldest first, and what to ask for the next time. Without `after` there
/// are none yet: what comes from now on is asked for.
/// What comes up to there has been handed on to be kept elsewhere, if it is said to be `exported`.
pub(super) fn follow(
    desk: &Desk<'_>,
    (after, exported): (Option<u64>, bool),
    filter: &Filter,
) -> Answer {
    must_store(desk)?;
    if let Some(after) = after.filter(|_| exported) {
        desk.service.figures.exported(after);
    }
    let end = desk.store()?.audit_anchor(desk.now)?.number;
    let Some(after) = after else {
        return Ok(json!({ "records": [], "next": end, "more": false }));
    };
    let rows = desk.store()?.audit(filter, Some(after))?;
    let more = rows.len() >= filter.limit();
    let last = rows.last().map_or(after, |row| row.number);
    // What the filter passes over need not be looked at again.
    let next = if more { last } else { last.max(end) };
    Ok(json!({ "records": shown(&rows), "next": next, "more": more }))
}

/// The end of the trail as it is now.
pub(super) fn anchor(desk: &Desk<'_>) -> Answer {
    must_store(desk)?;
    Ok(json!(desk.store()?.audit_anchor(desk.now)?))
}

/// Proves a page of the trail; with the first, what somebody has kept of it.
pub(super) fn verify(desk: &Desk<'_>, after: Option<u64>, anchors: &[Anchor]) -> Answer {
    must_store(desk)?;
    let mut checked = desk.store()?.check_audit(after)?;
    for anchor in anchors {
        let fault = desk.store()?.check_anchor(anchor)?;
        checked = earlier(checked, fault);
    }
    Ok(json!(checked))
}

/// Of two faults the one that comes first is told.
fn earlier(checked: Checked, fault: Option<crate::audit::Broken>) -> Checked {
    let comes_first = match (&checked.fault, &fault) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(found)) => found.record < known.record,
    };
    match comes_first {
        true => Checked { fault, ..checked },
        false => checked,
    }
}

fn shown(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(Row::shown).collect()
}

fn must_store(desk: &Desk<'_>) -> Result<(), AdminError> {
    match desk.service.files_only {
        false => Ok(()),
        true => Err(conflict(
            "this gateway has no store (`store: none`), so it keeps no audit trail: what was asked of \
             it stands in its log on standard error, as `asked by an operator`",
        )),
    }
}
