//! Whether the trail is what was written: row by row, and against what somebody has kept of it.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use serde_json::Value;

use super::{BROKEN, Found, ends, hash_of, row, signed};
use crate::audit::{Anchor, Broken, ChainKey, Checked, Ends, Hash, PAGE_MAX, Row, Seam};
use crate::store::sqlite::restore::{LOST, RESTORED};
use crate::store::sqlite::rows::millis;

/// Says whether the trail still holds the record that `anchor` names; `Some` is what is wrong.
pub(in crate::store::sqlite) fn check_anchor(
    connection: &Connection,
    key: &ChainKey,
    anchor: &Anchor,
) -> rusqlite::Result<Option<Broken>> {
    let (Found::Sealed(ends) | Found::Broken(ends, _)) = ends(connection, key)?;
    let number = anchor.number;
    if number < ends.base.0 {
        // It was cut off for its age; the chain from the cut on is proven by itself.
        return Ok(None);
    }
    if let Some(lost) = lost(connection, anchor)? {
        return Ok(Some(lost));
    }
    if number > ends.head.0 {
        return Ok(Some(Broken::at(
            ends.head.0 + 1,
            format!(
                "the trail ends at record {}, and the anchor of {} knows record {number}: its end was \
                 cut off, or an older store was put in its place",
                ends.head.0, anchor.at
            ),
        )));
    }
    let known = if number == ends.base.0 {
        Some(ends.base.1)
    } else {
        hash_of(connection, number)?
    };
    Ok((known != Some(anchor.hash)).then(|| {
        Broken::at(
            number,
            format!(
                "record {number} is not the one that the anchor of {} knows: the trail was written anew",
                anchor.at
            ),
        )
    }))
}

/// What an anchor names that a restore has lost: the trail says itself that it is not the one that was
/// there when the anchor was told. Nobody has forged it.
fn lost(connection: &Connection, anchor: &Anchor) -> rusqlite::Result<Option<Broken>> {
    let query = "SELECT number, record, hash FROM audit WHERE event = ?1 AND number <= ?2 \
                 AND at >= ?3 ORDER BY number";
    let mut statement = connection.prepare(query)?;
    let bounds = rusqlite::params![RESTORED, signed(anchor.number), millis(anchor.at)];
    let restores = statement.query_map(bounds, row)?;
    for restore in restores {
        let restore = restore?;
        if said_of(&restore).pointer("/portcullis.after/trail") != Some(&Value::from(LOST)) {
            continue;
        }
        if hash_of(connection, anchor.number)? == Some(anchor.hash) {
            return Ok(None);
        }
        let (number, at) = (restore.number, anchor.at);
        return Ok(Some(Broken::at(
            anchor.number,
            format!(
                "record {}, which the anchor of {at} knows, was lost when a backup was put in the place of \
                 a store that could not be read any more: record {number} tells of it",
                anchor.number
            ),
        )));
    }
    Ok(None)
}

fn said_of(record: &Row) -> Value {
    serde_json::from_str(&record.text).unwrap_or_default()
}

/// What a record says of a store that was put in the place of another.
fn seam(record: &Row) -> Option<Seam> {
    let name = format!("audit.{RESTORED}");
    // A trail has a million records, and reading one takes longer than looking for a word in it.
    if !record.text.contains(&name) {
        return None;
    }
    let said = said_of(record);
    if said.get("event.name").and_then(Value::as_str) != Some(&*name) {
        return None;
    }
    let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str);
    let taken = text("/portcullis.after/taken_at").unwrap_or("an unknown day");
    let trail = match text("/portcullis.after/trail") {
        Some(LOST) => {
            "the records between the two are lost, and the trail goes on behind the backup's"
        }
        _ => "the trail goes on without a gap",
    };
    Some(Seam {
        record: record.number,
        message: format!("a backup of {taken} was put in the place of the store; {trail}"),
    })
}

/// Proves the records behind `after`, or from the beginning: a page of them.
pub(in crate::store::sqlite) fn check(
    connection: &Connection,
    key: &ChainKey,
    after: Option<u64>,
) -> rusqlite::Result<Checked> {
    let ends = match ends(connection, key)? {
        Found::Sealed(ends) => ends,
        Found::Broken(_, what) => return Ok(faulty(0, Broken::whole(what))),
    };
    if let Some(stray) = stray(connection, &ends)? {
        return Ok(faulty(0, stray));
    }
    let begin = after.unwrap_or(0).max(ends.base.0);
    let mut before = match begin == ends.base.0 {
        true => Some(ends.base.1),
        false => hash_of(connection, begin)?,
    };
    let mut checked = Checked {
        records: 0,
        through: begin,
        done: false,
        seams: Vec::new(),
        fault: None,
    };
    let query = "SELECT number, record, hash, at, event, actor, account FROM audit \
                 WHERE number > ?1 ORDER BY number LIMIT ?2";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([signed(begin), signed(PAGE_MAX as u64)])?;
    while let Some(found) = rows.next()? {
        let expected = checked.through + 1;
        let record = row(found)?;
        let linked = before.map(|before| key.link(&before, record.number, &record.text));
        let fault = if before.is_none() {
            Some(Broken::at(
                begin,
                format!(
                    "record {begin}, behind which to begin, is missing: begin behind another one"
                ),
            ))
        } else if record.number != expected {
            Some(missing(expected, record.number - 1))
        } else if linked != Some(record.hash) {
            Some(Broken::at(
                expected,
                format!("record {expected} is not what was written, or not where it was"),
            ))
        } else {
            beside(found, &record)?
        };
        if fault.is_some() {
            checked.fault = fault;
            return Ok(checked);
        }
        checked.records += 1;
        checked.seams.extend(seam(&record));
        checked.through = expected;
        before = Some(record.hash);
    }
    checked.done = checked.records < PAGE_MAX as u64;
    if checked.done {
        checked.fault = at_the_end((checked.through, before), &ends);
    }
    Ok(checked)
}

/// What is wrong with the end, if all before it is what was written.
fn at_the_end((last, hash): (u64, Option<Hash>), ends: &Ends) -> Option<Broken> {
    if last < ends.head.0 {
        return Some(missing(last + 1, ends.head.0));
    }
    (hash != Some(ends.head.1)).then(|| Broken::at(last, "the trail does not end as it did"))
}

/// Rows where the chain has none: before it begins or behind its end. They would be shown in lists.
fn stray(connection: &Connection, ends: &Ends) -> rusqlite::Result<Option<Broken>> {
    // Two questions: to one for either side all rows would be looked at.
    let first = |query: &str, end: u64| {
        let mut statement = connection.prepare(query)?;
        let found = statement.query_row([signed(end)], |row| row.get::<_, i64>(0));
        found.optional()
    };
    let before = "SELECT number FROM audit WHERE number <= ?1 ORDER BY number LIMIT 1";
    let behind = "SELECT number FROM audit WHERE number > ?1 ORDER BY number LIMIT 1";
    let number = match first(before, ends.base.0)? {
        Some(number) => Some(number),
        None => first(behind, ends.head.0)?,
    };
    Ok(number.map(|number| {
        let message = format!("record {number} was put in by somebody else");
        Broken::at(u64::try_from(number).unwrap_or(0), message)
    }))
}

/// What rows are found by must say what the record says.
fn beside(found: &SqlRow<'_>, record: &Row) -> rusqlite::Result<Option<Broken>> {
    let number = record.number;
    let said: Value = serde_json::from_str(&record.text).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let at = text("timestamp").parse().map(millis).unwrap_or_default();
    let event = found.get::<_, String>(4)?;
    let named = ["user.name", "user.id", "portcullis.actor.account.name"];
    let actor = named.into_iter().map(text).find(|name| !name.is_empty());
    let account = found.get::<_, Option<String>>(6)?;
    let same = found.get::<_, i64>(3)? == at
        && text("event.name").strip_prefix("audit.") == Some(&*event)
        && actor.unwrap_or("gateway") == found.get::<_, String>(5)?
        && account.unwrap_or_default() == text("portcullis.account.name");
    if event == BROKEN {
        return Ok(Some(Broken::at(
            number,
            format!("record {number} says that the trail was tampered with before it was written"),
        )));
    }
    Ok((!same).then(|| {
        Broken::at(
            number,
            format!("what record {number} is found by is not what it says"),
        )
    }))
}

fn missing(first: u64, last: u64) -> Broken {
    let message = match first == last {
        true => format!("record {first} is missing"),
        false => format!("records {first} to {last} are missing"),
    };
    Broken::at(first, message)
}

fn faulty(through: u64, fault: Broken) -> Checked {
    Checked {
        records: 0,
        through,
        done: true,
        seams: Vec::new(),
        fault: Some(fault),
    }
}
