//! Questions about the audit trail.

use serde_json::{Value, json};

use super::AdminError;
use super::desk::{Answer, Desk, conflict};
use crate::audit::{Anchor, Checked, Filter, Row};
use crate::store::Reader;

/// The records that `filter` admits, newest first, and what to ask for to see older ones. A page that is
/// not full has that, too, where so many records were looked at that it is time to ask again.
pub(super) fn list(desk: &Desk<'_>, filter: &Filter) -> Answer {
    let page = reader(desk)?.audit(filter, None)?;
    Ok(json!({ "records": shown(&page.rows), "next": page.next }))
}

/// The records above `after`, oldest first, and what to ask for the next time. Without `after` there
/// are none yet: what comes from now on is asked for.
/// What comes up to there has been handed on to be kept elsewhere, if it is said to be `exported`.
pub(super) fn follow(
    desk: &Desk<'_>,
    (after, exported): (Option<u64>, bool),
    filter: &Filter,
) -> Answer {
    let reader = reader(desk)?;
    if let Some(after) = after.filter(|_| exported) {
        desk.service.figures.exported(after);
    }
    let end = reader.audit_anchor(desk.now)?.number;
    let Some(after) = after else {
        return Ok(json!({ "records": [], "next": end, "more": false }));
    };
    let page = reader.audit(filter, Some(after))?;
    let last = page.rows.last().map_or(after, |row| row.number);
    // What the filter passes over need not be looked at again.
    let next = page.next.unwrap_or(last.max(end));
    Ok(json!({ "records": shown(&page.rows), "next": next, "more": page.next.is_some() }))
}

/// The end of the trail as it is now.
pub(super) fn anchor(desk: &Desk<'_>) -> Answer {
    Ok(json!(reader(desk)?.audit_anchor(desk.now)?))
}

/// Proves a page of the trail; with the first, what somebody has kept of it.
pub(super) fn verify(desk: &Desk<'_>, after: Option<u64>, anchors: &[Anchor]) -> Answer {
    let reader = reader(desk)?;
    let mut checked = reader.check_audit(after)?;
    for anchor in anchors {
        let fault = reader.check_anchor(anchor)?;
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

/// The trail, read beside the connection that writes: whoever takes a key back waits for no search.
fn reader(desk: &Desk<'_>) -> Result<Reader, AdminError> {
    desk.reader().ok_or_else(|| {
        conflict(
            "this gateway has no store (`store: none`), so it keeps no audit trail: what was asked of \
             it stands in its log on standard error, as `asked by an operator`",
        )
    })
}
