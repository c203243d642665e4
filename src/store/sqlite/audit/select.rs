//! Which records a question is about, and the way to them in a long trail.
//!
//! One condition says which records are looked at, by its index, in the order of the answer; the others
//! are asked of each. So many are looked at and no more ([`WALKED_MAX`]): whoever asks for what is
//! nowhere is told how far that went, and asks again from there.

use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};

use super::{row, signed};
use crate::audit::{Filter, Page, Row};
use crate::store::sqlite::rows::millis;
use crate::words::UnixTime;

/// Most records that one question looks at: some hundred milliseconds' worth, or 45 MB to read.
pub(super) const WALKED_MAX: u64 = 50_000;
/// Most events that a kind is made of, or they are not looked for one by one.
const EVENTS_MAX: usize = 64;

/// Which records come first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    const fn word(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

/// The records above `after` that `filter` admits.
pub(super) fn select(
    connection: &Connection,
    filter: &Filter,
    (after, order): (u64, Order),
) -> rusqlite::Result<Page> {
    let end = filter.before.unwrap_or(u64::MAX);
    let way = Way::of(connection, filter, (after, end, order))?;
    let question = Question::of(filter);
    let mut asked = connection.prepare(&question.text)?;
    let mut page = Page::default();
    let mut walked = 0;
    let mut visit = |number: u64| -> rusqlite::Result<bool> {
        walked += 1;
        page.rows.extend(question.ask(&mut asked, number)?);
        let is_full = page.rows.len() >= filter.limit();
        if is_full || walked >= WALKED_MAX {
            page.next = Some(number);
        }
        Ok(page.next.is_none())
    };
    match way {
        Way::Known(numbers) => {
            for number in numbers {
                if !visit(number)? {
                    break;
                }
            }
        }
        Way::Query(text, values) => {
            let mut statement = connection.prepare(&text)?;
            let mut numbers = statement.query(params_from_iter(values))?;
            while let Some(number) = numbers.next()? {
                if !visit(super::unsigned(number, 0)?)? {
                    break;
                }
            }
        }
    }
    Ok(page)
}

/// Which records are looked at, in order.
enum Way {
    Known(Vec<u64>),
    Query(String, Vec<Value>),
}

impl Way {
    /// By what is likely to leave the fewest. The engine would rather read all rows in order than sort a
    /// few, since it does not know how few they are; so it is told.
    fn of(
        connection: &Connection,
        filter: &Filter,
        (after, end, order): (u64, u64, Order),
    ) -> rusqlite::Result<Self> {
        let between = [after, end].map(|number| Value::Integer(signed(number)));
        let word = order.word();
        let by = |from: &str, values: Vec<Value>| {
            let text = format!(
                "SELECT number FROM audit {from} number > ? AND number < ? \
                 ORDER BY number {word} LIMIT {WALKED_MAX}"
            );
            (text, [values, between.to_vec()].concat())
        };
        let text = |text: &str| vec![Value::Text(text.to_owned())];
        if let Some(account) = &filter.account {
            let (query, values) = by(
                "INDEXED BY audit_by_account WHERE account = ? AND",
                text(account),
            );
            return Ok(Self::Query(query, values));
        }
        if let Some(actor) = &filter.actor {
            let (query, values) = by("INDEXED BY audit_by_actor WHERE actor = ? AND", text(actor));
            return Ok(Self::Query(query, values));
        }
        if let Some(kind) = &filter.event
            && let Some(events) = events(connection, kind)?
        {
            let one = "INDEXED BY audit_by_event WHERE event = ? AND";
            let each = events.iter().map(|event| by(one, text(event)));
            let (queries, values): (Vec<_>, Vec<_>) = each.unzip();
            if queries.is_empty() {
                return Ok(Self::Known(Vec::new()));
            }
            let queries: Vec<_> = queries
                .iter()
                .map(|query| format!("SELECT number FROM ({query})"))
                .collect();
            let query = queries.join(" UNION ALL ");
            let query = format!("{query} ORDER BY number {word} LIMIT {WALKED_MAX}");
            return Ok(Self::Query(query, values.concat()));
        }
        if let Some(numbers) = at_once(connection, filter, (after, end, order))? {
            return Ok(Self::Known(numbers));
        }
        let (query, values) = by("WHERE", Vec::new());
        Ok(Self::Query(query, values))
    }
}

/// The events that are `kind` or of that kind, if they are few.
fn events(connection: &Connection, kind: &str) -> rusqlite::Result<Option<Vec<String>>> {
    // A kind is all that begins with it and a dot; behind the dot comes `/` in the alphabet.
    let next = "SELECT min(event) FROM audit WHERE event >= ?1 AND event > ?2 AND event < ?3";
    let mut next = connection.prepare(next)?;
    let mut events: Vec<String> = Vec::new();
    let mut last = String::new();
    for _ in 0..EVENTS_MAX {
        let bounds = [kind, &last, &format!("{kind}/")];
        let found: Option<String> = next.query_row(bounds, |row| row.get(0))?;
        let Some(event) = found else {
            return Ok(Some(events));
        };
        let rest = event.strip_prefix(kind);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            events.push(event.clone());
        }
        last = event;
    }
    Ok(None)
}

/// The records of a span of time, if they are few. Numbers do not follow the clock where that was set
/// back, so a long span is looked through by number.
fn at_once(
    connection: &Connection,
    filter: &Filter,
    (after, end, order): (u64, u64, Order),
) -> rusqlite::Result<Option<Vec<u64>>> {
    if filter.since.is_none() && filter.until.is_none() {
        return Ok(None);
    }
    let since = filter.since.map_or(i64::MIN, millis);
    let until = filter.until.map_or(i64::MAX, millis);
    let query = "SELECT number FROM audit INDEXED BY audit_by_time WHERE at >= ?1 AND at < ?2 \
                 LIMIT ?3";
    let bounds = [since, until, signed(WALKED_MAX)];
    let mut statement = connection.prepare(query)?;
    let numbers = statement.query_map(bounds, |row| super::unsigned(row, 0))?;
    let mut numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    if numbers.len() as u64 >= WALKED_MAX {
        return Ok(None);
    }
    numbers.retain(|number| *number > after && *number < end);
    numbers.sort_unstable();
    if order == Order::NewestFirst {
        numbers.reverse();
    }
    Ok(Some(numbers))
}

/// What is asked of every record that is looked at.
struct Question {
    text: String,
    values: Vec<Value>,
}

impl Question {
    fn of(filter: &Filter) -> Self {
        let mut question = Self {
            text: "SELECT number, record, hash FROM audit WHERE number = ?".to_owned(),
            values: Vec::new(),
        };
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let time = |time: Option<UnixTime>| time.map(|time| Value::Integer(millis(time)));
        question.and("account = ?", text(&filter.account));
        question.and("actor = ?", text(&filter.actor));
        question.and("at >= ?", time(filter.since));
        question.and("at < ?", time(filter.until));
        if let Some(event) = &filter.event {
            question.and("(event = ?", Some(Value::Text(event.clone())));
            question.text += " OR event > ? AND event < ?)";
            let kind = [format!("{event}."), format!("{event}/")];
            question.values.extend(kind.map(Value::Text));
        }
        question
    }

    fn and(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.text += " AND ";
            self.text += condition;
            self.values.push(value);
        }
    }

    /// The record of this number, if it is meant.
    fn ask(&self, asked: &mut Statement<'_>, number: u64) -> rusqlite::Result<Option<Row>> {
        let number = [Value::Integer(signed(number))];
        let values = number.iter().chain(&self.values);
        let mut rows = asked.query(params_from_iter(values))?;
        rows.next()?.map(row).transpose()
    }
}
