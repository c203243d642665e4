//! The audit trail on disk: records are added, read, proven, and cut off at the old end.
//!
//! The two ends of the chain stand in a row of their own, sealed. A record is added only behind the
//! sealed end, so rows that somebody cut off or put in stay visible for ever. Where the ends themselves
//! were tampered with, nothing is refused for it (revoking a key matters more) but a record says so, and
//! it is a fault of the trail from then on.

mod prove;
mod select;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction, params};
use serde_json::{Value, json};

pub(super) use prove::{check, check_anchor};
use select::{Order, select};

use super::rows::millis;
use crate::audit::{
    Actor, Anchor, ChainKey, Ends, Entry, Filter, Hash, Object, Outcome, Page, Row,
};
use crate::settings;
use crate::words::{RequestIds, UnixTime};

/// The event of a record that says the ends of the chain were not those we wrote.
const BROKEN: &str = "audit.broken";
/// How far above its bound the trail may grow before it is cut, in records: a cut is a record too.
const SLACK: u64 = 1000;

/// What was found where the ends of the chain stand.
enum Found {
    Sealed(Ends),
    /// What the rows say themselves, and what is wrong.
    Broken(Ends, &'static str),
}

/// Begins a chain in a store that has none yet.
pub(super) fn begin(tx: &Transaction<'_>, key: &ChainKey) -> rusqlite::Result<()> {
    seal(tx, key, &Ends::EMPTY)
}

/// Adds a record and returns its number.
pub(super) fn append(tx: &Transaction<'_>, key: &ChainKey, entry: &Entry) -> rusqlite::Result<u64> {
    let mut ends = match ends(tx, key)? {
        Found::Sealed(ends) => ends,
        Found::Broken(mut ends, what) => {
            let said = entry_of(BROKEN, entry.at, &entry.instance, json!({ "found": what }));
            insert(tx, key, (&mut ends, &said))?;
            ends
        }
    };
    insert(tx, key, (&mut ends, entry))?;
    seal(tx, key, &ends)?;
    Ok(ends.head.0)
}

fn insert(
    tx: &Transaction<'_>,
    key: &ChainKey,
    (ends, entry): (&mut Ends, &Entry),
) -> rusqlite::Result<()> {
    let number = ends.head.0 + 1;
    let text = entry.text(number);
    let hash = key.link(&ends.head.1, number, &text);
    // Somebody may have put a row of his own where the next one belongs.
    let insert = "INSERT OR REPLACE INTO audit (number, at, event, actor, account, record, hash) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.prepare(insert)?.execute(params![
        signed(number),
        millis(entry.at),
        entry.event,
        entry.actor.label(),
        entry.object.account,
        text,
        hash.as_bytes(),
    ])?;
    ends.head = (number, hash);
    Ok(())
}

fn seal(tx: &Transaction<'_>, key: &ChainKey, ends: &Ends) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO audit_ends (only, base_number, base_hash, head_number, head_hash, \
                  seal) VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET \
                  base_number = ?1, base_hash = ?2, head_number = ?3, head_hash = ?4, seal = ?5";
    tx.prepare(upsert)?.execute(params![
        signed(ends.base.0),
        ends.base.1.as_bytes(),
        signed(ends.head.0),
        ends.head.1.as_bytes(),
        key.seal(ends).as_bytes(),
    ])?;
    Ok(())
}

fn ends(connection: &Connection, key: &ChainKey) -> rusqlite::Result<Found> {
    let query = "SELECT base_number, base_hash, head_number, head_hash, seal FROM audit_ends";
    let found = connection
        .prepare(query)?
        .query_row([], |row| {
            let ends = Ends {
                base: (unsigned(row, 0)?, hash(row, 1)),
                head: (unsigned(row, 2)?, hash(row, 3)),
            };
            Ok((ends, hash(row, 4)))
        })
        .optional()?;
    let ends = match found {
        Some((ends, seal)) if key.seal(&ends) == seal => return Ok(Found::Sealed(ends)),
        Some((ends, _)) => Some(ends),
        None => None,
    };
    let last = connection
        .prepare("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((unsigned(row, 0)?, hash(row, 1))))
        .optional()?
        .unwrap_or(Ends::EMPTY.head);
    Ok(match ends {
        Some(ends) => Found::Broken(
            Ends {
                base: ends.base,
                head: last.max_by_number(ends.head),
            },
            "where the trail begins and ends was changed by somebody else",
        ),
        None => Found::Broken(
            Ends {
                base: Ends::EMPTY.base,
                head: last,
            },
            "where the trail begins and ends was deleted",
        ),
    })
}

trait Later {
    fn max_by_number(self, other: Self) -> Self;
}

impl Later for (u64, Hash) {
    fn max_by_number(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }
}

/// A record of something the gateway does by itself.
pub(super) fn entry_of(event: &'static str, at: UnixTime, instance: &str, after: Value) -> Entry {
    Entry {
        at,
        event,
        actor: Actor::Gateway,
        request_id: RequestIds::new().next(at),
        instance: instance.to_owned(),
        object: Object {
            kind: event.split('.').next().unwrap_or(event),
            ..Object::default()
        },
        words: None,
        outcome: Outcome::Success,
        before: Value::Null,
        after,
        repeated: None,
    }
}

/// The records that `filter` admits, newest first.
pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Page> {
    select(connection, filter, (0, Order::NewestFirst))
}

/// Those of them with a number above `after`, oldest first.
pub(super) fn follow(
    connection: &Connection,
    after: u64,
    filter: &Filter,
) -> rusqlite::Result<Page> {
    select(connection, filter, (after, Order::OldestFirst))
}

fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        number: unsigned(row, 0)?,
        text: String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned(),
        hash: hash(row, 2),
    })
}

/// The last record, to be kept elsewhere.
pub(super) fn anchor(
    connection: &Connection,
    key: &ChainKey,
    now: UnixTime,
) -> rusqlite::Result<Anchor> {
    let (Found::Sealed(ends) | Found::Broken(ends, _)) = ends(connection, key)?;
    Ok(Anchor {
        number: ends.head.0,
        hash: ends.head.1,
        at: now,
    })
}

fn hash_of(connection: &Connection, number: u64) -> rusqlite::Result<Option<Hash>> {
    connection
        .prepare("SELECT hash FROM audit WHERE number = ?1")?
        .query_row([signed(number)], |row| Ok(hash(row, 0)))
        .optional()
}

/// Cuts off what is older or more than `bounds` allow, and says so in a record. Returns how many
/// records went.
pub(super) fn cut(
    tx: &Transaction<'_>,
    key: &ChainKey,
    (bounds, now, instance): (&settings::Audit, UnixTime, &str),
) -> rusqlite::Result<u64> {
    // A trail somebody has tampered with is evidence: nothing is cut off it.
    let Found::Sealed(mut ends) = ends(tx, key)? else {
        return Ok(0);
    };
    let kept = i64::try_from(bounds.max_age.as_millis()).unwrap_or(i64::MAX);
    // By number and not by time: a clock that was set back for a while makes no record old.
    let oldest = "SELECT number FROM audit NOT INDEXED WHERE at >= ?1 ORDER BY number LIMIT 1";
    let young: Option<i64> = tx
        .query_row(oldest, [millis(now).saturating_sub(kept)], |row| row.get(0))
        .optional()?;
    let first_young = young.and_then(|number| u64::try_from(number).ok());
    let by_age = first_young.map_or(ends.head.0, |first| first.saturating_sub(1));
    let room = bounds.records as u64;
    let by_count = match ends.head.0 - ends.base.0 > room + SLACK.min(room / 10) {
        true => ends.head.0 - room,
        false => 0,
    };
    let through = by_age.max(by_count);
    if through <= ends.base.0 {
        return Ok(0);
    }
    let Some(hash) = hash_of(tx, through)? else {
        return Ok(0);
    };
    let gone = tx.execute("DELETE FROM audit WHERE number <= ?1", [signed(through)])?;
    let gone = u64::try_from(gone).unwrap_or(u64::MAX);
    let said = json!({ "through": through, "records": gone });
    ends.base = (through, hash);
    insert(
        tx,
        key,
        (&mut ends, &entry_of("audit.cut", now, instance, said)),
    )?;
    seal(tx, key, &ends)?;
    Ok(gone)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A hash; one that is none is not equal to any.
fn hash(row: &SqlRow<'_>, column: usize) -> Hash {
    let bytes = row.get::<_, [u8; 32]>(column);
    bytes.map_or(Hash::from([0xff; 32]), Hash::from)
}
