//! Which records a question is about, and the way to them in a long trail.
//!
//! Most questions are about what was just done, so the near end is looked at first, record by record.
//! A page that is not full then is filled by an index: among a million, what is rare or lies in one
//! day long ago is found in milliseconds, and whoever wants to change something meanwhile need not
//! wait until all of them have been read.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{row, signed};
use crate::audit::{Filter, Row};
use crate::store::sqlite::rows::millis;
use crate::words::UnixTime;

/// How many records are looked at one by one: some ten milliseconds' worth.
const NEAR: u64 = 10_000;

/// Which records come first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

/// The records above `after` that `filter` admits.
pub(super) fn select(
    connection: &Connection,
    filter: &Filter,
    (after, order): (u64, Order),
) -> rusqlite::Result<Vec<Row>> {
    let question = Question::of(filter, order);
    let end = newest(connection)?.saturating_add(1);
    let end = filter.before.unwrap_or(u64::MAX).min(end);
    let near = match order {
        Order::NewestFirst => (after.max(end.saturating_sub(NEAR + 1)), end),
        Order::OldestFirst => (after, end.min(after.saturating_add(NEAR + 1))),
    };
    let rows = question.rows(connection, near, Way::OneByOne)?;
    if rows.len() >= filter.limit() || near == (after, end) {
        return Ok(rows);
    }
    question.rows(connection, (after, end), Way::of(filter))
}

fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare("SELECT max(number) FROM audit")?;
    let number = statement.query_row([], |row| row.get::<_, Option<i64>>(0))?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0))
}

/// How rows are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    OneByOne,
    By(&'static str),
}

impl Way {
    /// The index that leaves the fewest rows. The engine would rather read all rows in order than sort
    /// a few, since it does not know how few they are; so it is told.
    fn of(filter: &Filter) -> Self {
        if filter.account.is_some() {
            Self::By("audit_by_account")
        } else if filter.actor.is_some() {
            Self::By("audit_by_actor")
        } else if filter.event.is_some() {
            Self::By("audit_by_event")
        } else if filter.since.is_some() || filter.until.is_some() {
            Self::By("audit_by_time")
        } else {
            Self::OneByOne
        }
    }
}

/// What is asked of every row, beside its number.
struct Question {
    conditions: String,
    values: Vec<Value>,
    order: &'static str,
    limit: u64,
}

impl Question {
    fn of(filter: &Filter, order: Order) -> Self {
        let mut question = Self {
            conditions: String::new(),
            values: Vec::new(),
            order: match order {
                Order::NewestFirst => "DESC",
                Order::OldestFirst => "ASC",
            },
            limit: filter.limit() as u64,
        };
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let time = |time: Option<UnixTime>| time.map(|time| Value::Integer(millis(time)));
        question.and("account = ?", text(&filter.account));
        question.and("actor = ?", text(&filter.actor));
        question.and("at >= ?", time(filter.since));
        question.and("at < ?", time(filter.until));
        if let Some(event) = &filter.event {
            // A kind is all that begins with it and a dot; behind the dot comes `/` in the alphabet.
            question.and("event >= ?", Some(Value::Text(event.clone())));
            question.and("event < ?", Some(Value::Text(format!("{event}/"))));
            question.and("(event = ?", Some(Value::Text(event.clone())));
            question.conditions += " OR event > ?)";
            question.values.push(Value::Text(format!("{event}.")));
        }
        question
    }

    fn and(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.conditions += " AND ";
            self.conditions += condition;
            self.values.push(value);
        }
    }

    /// The rows with numbers above the first and below the second of `between`.
    fn rows(
        &self,
        connection: &Connection,
        between: (u64, u64),
        way: Way,
    ) -> rusqlite::Result<Vec<Row>> {
        let (conditions, order) = (&self.conditions, self.order);
        let which =
            format!("number > ? AND number < ?{conditions} ORDER BY number {order} LIMIT ?");
        let query = match way {
            Way::OneByOne => format!("SELECT number, record, hash FROM audit WHERE {which}"),
            // First the numbers, for which no record is read that is not wanted.
            Way::By(index) => format!(
                "SELECT number, record, hash FROM audit WHERE number IN (SELECT number FROM audit \
                 INDEXED BY {index} WHERE {which}) ORDER BY number {order}"
            ),
        };
        let number = |number: u64| Value::Integer(signed(number));
        let values = [number(between.0), number(between.1)]
            .into_iter()
            .chain(self.values.iter().cloned())
            .chain([number(self.limit)]);
        connection
            .prepare(&query)?
            .query_map(params_from_iter(values), row)?
            .collect()
    }
}
