//! Refusals on disk: a batch is one transaction, and what is too old or too much goes with it.
//!
//! A row that cannot be read (of a newer release, say) is passed over: it is there to help somebody
//! find out something, and must not stop a start.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::rows::millis;
use crate::denials::{Batch, Filter, Group, Record, thin};
use crate::settings;
use crate::words::{RequestId, UnixTime};

/// Most refusals of strangers, as a part of all: they get a fifth, whatever they do.
const STRANGERS_PART: usize = 5;
/// How far above its bound the table may grow before it is thinned, as a part of it: choosing what
/// goes looks at every row.
const SLACK_PART: usize = 10;

pub(super) fn keep(
    tx: &Transaction<'_>,
    batch: &Batch,
    bounds: &settings::Denials,
    now: UnixTime,
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare(
        "INSERT INTO denials (id, at, known, whose, record) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO NOTHING",
    )?;
    for record in &batch.records {
        let text = serde_json::to_string(&**record).unwrap_or_default();
        let at = millis(record.at);
        let id = record.request_id.as_str();
        insert.execute(params![id, at, record.is_known(), record.whose(), text])?;
    }
    let mut group = tx.prepare(
        "INSERT INTO denial_groups (key, record) VALUES (?1, ?2) \
         ON CONFLICT DO UPDATE SET record = excluded.record",
    )?;
    for changed in &batch.groups {
        let text = serde_json::to_string(changed).unwrap_or_default();
        group.execute(params![changed.key(), text])?;
    }
    let mut forget = tx.prepare("DELETE FROM denial_groups WHERE key = ?1")?;
    for key in &batch.gone {
        forget.execute([key])?;
    }
    prune(tx, bounds, now)
}

fn prune(tx: &Transaction<'_>, bounds: &settings::Denials, now: UnixTime) -> rusqlite::Result<()> {
    let kept = i64::try_from(bounds.max_age.as_millis()).unwrap_or(i64::MAX);
    let before = millis(now).saturating_sub(kept);
    tx.execute("DELETE FROM denials WHERE at < ?1", [before])?;
    let strangers = (bounds.stored / STRANGERS_PART).max(1);
    let known = bounds.stored.saturating_sub(strangers).max(1);
    for (is_known, most) in [(true, known), (false, strangers)] {
        thin_out(tx, is_known, most)?;
    }
    Ok(())
}

fn thin_out(tx: &Transaction<'_>, known: bool, most: usize) -> rusqlite::Result<()> {
    let count: i64 = tx
        .prepare("SELECT count(*) FROM denials WHERE known = ?1")?
        .query_row([known], |row| row.get(0))?;
    let count = usize::try_from(count).unwrap_or_default();
    if count <= most + most / SLACK_PART {
        return Ok(());
    }
    let mut select =
        tx.prepare("SELECT id, whose FROM denials WHERE known = ?1 ORDER BY at, id")?;
    let rows = select.query_map([known], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (ids, whose): (Vec<String>, Vec<String>) = rows.collect::<Result<_, _>>()?;
    let stay = thin(&whose, count.saturating_sub(most));
    let mut delete = tx.prepare("DELETE FROM denials WHERE id = ?1")?;
    for (id, _) in ids.iter().zip(stay).filter(|(_, stays)| !stays) {
        delete.execute([id])?;
    }
    Ok(())
}

pub(super) fn find(connection: &Connection, id: &RequestId) -> rusqlite::Result<Option<Record>> {
    let row = connection
        .prepare("SELECT record FROM denials WHERE id = ?1")?
        .query_row([id.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(row.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Ids begin with the time, so their order is the order of the requests.
pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Record>> {
    let since = filter.since.map_or(0, millis);
    let query = "SELECT record FROM denials WHERE at >= ?1 ORDER BY id DESC";
    let mut select = connection.prepare(query)?;
    let mut rows = select.query([since])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let record = serde_json::from_str::<Record>(&text).ok();
        found.extend(record.filter(|record| filter.admits(record)));
        if found.len() >= filter.limit() {
            break;
        }
    }
    Ok(found)
}

pub(super) fn groups(connection: &Connection) -> rusqlite::Result<Vec<Group>> {
    let mut select = connection.prepare("SELECT record FROM denial_groups")?;
    let rows = select.query_map([], |row| row.get::<_, String>(0))?;
    let mut groups = Vec::new();
    for text in rows {
        groups.extend(serde_json::from_str::<Group>(&text?).ok());
    }
    Ok(groups)
}
