//! Answers of the service as text for people: aligned columns for lists, one field a line for one
//! thing.
//!
//! A value is drawn by its shape and its field's name: what ends in `_at` is a moment and told
//! relative to now. Text comes from whoever named or described a thing, so control characters are
//! escaped before they reach a terminal.

use std::time::Duration;

use anstyle::Style;
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;

use super::grid::{Cell, Grid};
use super::output::{BAD, GOOD, ODD, STRONG};
use crate::words::{self, Boundary, UnixTime};

/// Columns of a terminal between a field's name and what it says.
const INDENT_GAP: usize = 2;
/// What a field says is not folded shorter than this, in columns of a terminal.
const ROOM_LEAST: usize = 20;

/// What a kind of thing looks like in a table.
#[derive(Debug)]
pub struct View {
    /// What several of it are called.
    pub plural: &'static str,
    /// The field that names one.
    pub name: &'static str,
    /// The columns of a list: title and field.
    pub columns: &'static [(&'static str, &'static str)],
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// Its lines; none for an empty list.
    pub(super) text: String,
    /// The columns for which there was no room.
    pub(super) left_out: Vec<String>,
}

/// `value` as a table, no wider than `width` if that is said.
pub(super) fn draw(value: &Value, view: &View, now: UnixTime, width: Option<usize>) -> Drawn {
    let mut drawn = Drawn::default();
    match value {
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => {
            let mut grid = list(items, view, now);
            drawn.left_out = width.map(|width| grid.narrow(width)).unwrap_or_default();
            drawn.text = grid.draw(width);
        }
        Value::Object(fields) => drawn.text = one(value, fields, (now, width)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            drawn.text = cell("", value, now) + "\n";
        }
    }
    drawn
}

/// One thing, a field a line. What is too long goes on below, between its words: nothing of it is worth
/// cutting.
fn one(
    item: &Value,
    fields: &Map<String, Value>,
    (now, width): (UnixTime, Option<usize>),
) -> String {
    let titles = fields.keys().map(|field| field.chars().count());
    let indent = titles.max().unwrap_or_default() + INDENT_GAP;
    let room = width.map(|width| width.saturating_sub(indent).max(ROOM_LEAST));
    let mut grid = Grid::default();
    for (field, value) in fields {
        // It is counted where they are named.
        if field == "living_keys_total" {
            continue;
        }
        if field == "living_keys" {
            let total = fields.get("living_keys_total").and_then(Value::as_u64);
            let text = living(value, total.unwrap_or_default(), now);
            grid.add([Cell::from("living keys".to_owned()), Cell::from(text)]);
            continue;
        }
        let lines = value.as_str().filter(|text| text.contains('\n'));
        let text = lines.map_or_else(|| cell(field, value, now), several_lines);
        let text = room.map_or(text.clone(), |room| folded(&text, room));
        grid.add([
            Cell::from(field.replace('_', " ")),
            shown((field, text), item, now),
        ]);
    }
    grid.draw(None)
}

/// The keys that are alive, one a line: as many as one looks at, and how many more there are.
fn living(keys: &Value, total: u64, now: UnixTime) -> String {
    const SHOWN: usize = 5;
    let keys = keys.as_array().map_or(&[][..], Vec::as_slice);
    let line = |key: &Value| {
        let field = |name| cell(name, key.get(name).unwrap_or(&Value::Null), now);
        format!(
            "{} of {}, made by {}, last used {}",
            field("id"),
            field("account"),
            field("created_by"),
            field("last_used_at")
        )
    };
    let mut lines: Vec<_> = keys.iter().take(SHOWN).map(line).collect();
    let more = total.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    if more > 0 {
        lines.push(format!(
            "and {more} more: `portcullis keys list` shows them"
        ));
    }
    match lines.is_empty() {
        true => "-".to_owned(),
        false => lines.join("\n"),
    }
}

/// `text` in lines of at most `room` columns, broken between words.
fn folded(text: &str, room: usize) -> String {
    let mut folded = String::new();
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            folded.push('\n');
        }
        if line.width() <= room {
            folded.push_str(line);
            continue;
        }
        let mut taken = 0;
        for word in line.split(' ') {
            let wide = word.width();
            match taken {
                0 => {}
                taken if taken + 1 + wide > room => folded.push('\n'),
                _ => folded.push(' '),
            }
            taken = match taken {
                taken if taken > 0 && taken + 1 + wide <= room => taken + 1 + wide,
                _ => wide,
            };
            folded.push_str(word);
        }
    }
    folded
}

/// Rows of text, the first of them headings, no wider than `width` if that is said.
pub(super) fn grid(rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut grid = Grid::sparing(vec![0]);
    for (place, row) in rows.iter().enumerate() {
        grid.add(row.iter().map(|text| Cell {
            style: (place == 0).then_some(STRONG),
            ..Cell::from(printable(text))
        }));
    }
    grid.draw(width)
}

/// A text that has lines on purpose, each made harmless by itself.
fn several_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// How wide [`grid`] draws them, in characters.
pub(super) fn width(rows: &[Vec<String>]) -> usize {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|text| printable(text).chars().count());
        widths.max().unwrap_or_default()
    };
    // Two spaces between columns.
    (0..columns).map(widest).sum::<usize>() + 2 * columns.saturating_sub(1)
}

/// One value on a line that is kept: moments as they are, for `3 minutes ago` is wrong a minute later.
pub(super) fn told(field: &str, value: &Value) -> String {
    let moment = value.as_str().filter(|_| field.ends_with("_at"));
    moment.map_or_else(|| cell(field, value, UnixTime::default()), printable)
}

/// What `-o name` prints for one thing.
pub(super) fn name_of(item: &Value, view: &View) -> String {
    match item.get(view.name) {
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
        None => cell("", item, UnixTime::default()),
    }
}

fn list(items: &[Value], view: &View, now: UnixTime) -> Grid {
    let named = view
        .columns
        .iter()
        .position(|(_, field)| *field == view.name);
    let mut grid = Grid::sparing(named.into_iter().collect());
    let is_number = |field: &str| {
        items
            .iter()
            .all(|item| item.get(field).is_some_and(Value::is_number))
    };
    let right: Vec<_> = view
        .columns
        .iter()
        .map(|(_, field)| is_number(field))
        .collect();
    let headings = view.columns.iter().zip(&right);
    grid.add(headings.map(|((title, _), right)| Cell {
        style: Some(STRONG),
        right: *right,
        ..Cell::from(title.to_uppercase())
    }));
    for item in items {
        let cells = view.columns.iter().zip(&right);
        grid.add(cells.map(|((_, field), right)| {
            let value = item.get(field).unwrap_or(&Value::Null);
            Cell {
                right: *right,
                ..shown((field, cell(field, value, now)), item, now)
            }
        }));
    }
    grid
}

/// A text in the colour of what it says about `item`.
fn shown((field, text): (&str, String), item: &Value, now: UnixTime) -> Cell {
    let style = match (field, text.as_str()) {
        ("decision", "allow") => Some(GOOD),
        ("decision", "deny") | ("state", "expired" | "revoked") | ("enabled", "no") => Some(BAD),
        ("decision", "shadow_deny") | ("state", "expiring") => Some(ODD),
        ("expires_at", _) => ending(item, now),
        _ => None,
    };
    Cell {
        style,
        ..Cell::from(text)
    }
}

/// The colour of an end: over, soon, or neither.
fn ending(item: &Value, now: UnixTime) -> Option<Style> {
    let text = |field| item.get(field).and_then(Value::as_str);
    let end: Option<UnixTime> = text("expires_at").and_then(|end| end.parse().ok());
    if end.is_some_and(|end| end <= now) {
        return Some(BAD);
    }
    (text("state") == Some("expiring")).then_some(ODD)
}

/// One value, drawn by its shape and its field's name.
fn cell(field: &str, value: &Value, now: UnixTime) -> String {
    match value {
        Value::Null if field.ends_with("_at") => "never".to_owned(),
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if field.ends_with("_at") => text
            .parse()
            .map_or_else(|_| printable(text), |then| relative(then, now)),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() && field == "allow_from" => "anywhere".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let several_lines = items.iter().any(Value::is_object);
            let items: Vec<_> = items.iter().map(|item| cell("", item, now)).collect();
            items.join(if several_lines { "; " } else { ", " })
        }
        Value::Object(_) => object(field, value, now),
    }
}

/// A grant as `operator within tenant acme`, a boundary as `tenant acme`, where a route reads its own
/// as `tenant = path.tenant`, what it needs as `a or b`, anything else as `field value, field value`.
fn object(field: &str, value: &Value, now: UnixTime) -> String {
    if let Some(role) = value.get("role").and_then(Value::as_str) {
        let within = value.get("within").unwrap_or(&Value::Null);
        let closed = match value.get("closed") {
            None | Some(Value::Null | Value::Bool(false)) => "",
            Some(_) => " (closed: gives nothing until it is granted anew)",
        };
        return match cell("within", within, now).as_str() {
            "everywhere" | "-" => format!("{}{closed}", printable(role)),
            place => format!("{} within {place}{closed}", printable(role)),
        };
    }
    if matches!(field, "within" | "owner")
        && let Ok(boundary) = serde_json::from_value::<Boundary>(value.clone())
    {
        return printable(&boundary.to_string());
    }
    if let Some(between) = ["all", "any"].iter().find(|word| value.get(word).is_some()) {
        let items = value.get(between).and_then(Value::as_array);
        let items: Vec<_> = items
            .into_iter()
            .flatten()
            .map(|item| cell("", item, now))
            .collect();
        return items.join(if *between == "all" { " and " } else { " or " });
    }
    // What a route reads its boundary from is an equation, as it stands in the policy.
    let between = if field == "within" { " = " } else { " " };
    let fields = value.as_object().into_iter().flatten();
    let fields: Vec<_> = fields
        .map(|(field, value)| {
            let value = cell(field, value, now);
            format!("{}{between}{value}", printable(&field.replace('_', " ")))
        })
        .collect();
    fields.join(", ")
}

/// `text` with its control characters escaped, so that a description cannot move the cursor.
pub(super) fn printable(text: &str) -> String {
    words::printable(text).into_owned()
}

/// The steps in which people tell a span, longest first: from which span on, and its unit. A key for 90
/// days ends in 89, and not in 2 months.
const STEPS: &[(u64, u64, &str)] = &[
    (2 * 365 * 86_400, 365 * 86_400, "year"),
    (120 * 86_400, 30 * 86_400, "month"),
    (86_400, 86_400, "day"),
    (3_600, 3_600, "hour"),
    (60, 60, "minute"),
    (1, 1, "second"),
];

/// `3 days ago`, `in 2 hours`, `now`.
fn relative(then: UnixTime, now: UnixTime) -> String {
    let told = |span: Duration| {
        let seconds = span.as_secs();
        let step = STEPS.iter().find(|(from, ..)| seconds >= *from);
        step.map(|(_, step, unit)| {
            let count = seconds / step;
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {unit}{plural}")
        })
    };
    match (told(now.since(then)), told(then.since(now))) {
        (Some(span), _) => format!("{span} ago"),
        (None, Some(span)) => format!("in {span}"),
        (None, None) => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> UnixTime {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn drawn(value: &Value, view: &View) -> String {
        anstream::adapter::strip_str(&draw(value, view, now(), None).text).to_string()
    }

    #[test]
    fn a_list_is_aligned_columns() {
        let list = json!([
            {"name": "ci", "enabled": true, "grants": [{"role": "operator", "within": {"tenant": ["acme", "globex"]}}, {"role": "baseline", "within": {}}],
             "last_used_at": "2026-11-18T11:00:00Z"},
            {"name": "nightly-export", "enabled": false, "grants": [], "last_used_at": null},
        ]);
        let view = View {
            plural: "accounts",
            name: "name",
            columns: &[
                ("name", "name"),
                ("enabled", "enabled"),
                ("grants", "grants"),
                ("last used", "last_used_at"),
            ],
        };
        insta::assert_snapshot!(drawn(&list, &view), @r"
        NAME            ENABLED  GRANTS                                         LAST USED
        ci              yes      operator within tenant acme, globex; baseline  3 days ago
        nightly-export  no       -                                              never
        ");
    }

    #[test]
    fn a_route_reads_as_in_its_policy() {
        let list = json!([
            {"name": "GET /a", "needs": "a:view", "within": {"tenant": "path.tenant", "site": "query.site"}},
            {"name": "GET /b", "needs": {"any": ["a:view", "b:view"]}, "within": "unlimited"},
            {"name": "GET /c", "needs": {"all": ["a:view", "b:view"]}, "within": null},
        ]);
        let view = View {
            plural: "routes",
            name: "name",
            columns: &[("route", "name"), ("needs", "needs"), ("within", "within")],
        };
        insta::assert_snapshot!(drawn(&list, &view), @r"
        ROUTE   NEEDS              WITHIN
        GET /a  a:view             tenant = path.tenant, site = query.site
        GET /b  a:view or b:view   unlimited
        GET /c  a:view and b:view  -
        ");
    }

    #[test]
    fn one_thing_is_a_field_a_line() {
        let key = json!({"id": "pck_1", "account": "ci", "expires_at": "2026-11-21T14:30:00Z"});
        let view = &super::super::keys::VIEW;
        insta::assert_snapshot!(drawn(&key, view), @r"
        id          pck_1
        account     ci
        expires at  in 2 hours
        ");
    }

    #[test]
    fn living_keys_are_a_line_each_and_as_many_as_one_looks_at() {
        let key = |number| {
            json!({"id": format!("pck_{number}"), "account": "ci", "created_by": "user root", "created_at": "2026-11-21T11:00:00Z",
            "expires_at": null, "last_used_at": null})
        };
        let keys: Vec<_> = (1..=5).map(key).collect();
        let answer =
            json!({"name": "ci", "owner": {}, "living_keys": keys, "living_keys_total": 7});
        insta::assert_snapshot!(drawn(&answer, &super::super::accounts::VIEW), @r"
        name         ci
        owner        everywhere
        living keys  pck_1 of ci, made by user root, last used never
                     pck_2 of ci, made by user root, last used never
                     pck_3 of ci, made by user root, last used never
                     pck_4 of ci, made by user root, last used never
                     pck_5 of ci, made by user root, last used never
                     and 2 more: `portcullis keys list` shows them
        ");
    }

    #[test]
    fn what_has_ended_is_red_and_what_ends_soon_is_yellow() {
        let view = &super::super::keys::VIEW;
        let style = |state: &str, end: Value| {
            let key = json!({"id": "pck_1", "state": state, "expires_at": end});
            let list = Value::from(vec![key.clone()]);
            let drawn = [&key, &list].map(|value| draw(value, view, now(), None).text);
            let with = |style: Style| {
                drawn
                    .each_ref()
                    .map(|text| text.contains(&style.to_string()))
            };
            (with(BAD), with(ODD))
        };
        let (all, none) = ([true; 2], [false; 2]);
        assert_eq!(style("expired", json!("2026-11-20T00:00:00Z")), (all, none));
        assert_eq!(
            style("expiring", json!("2026-11-25T00:00:00Z")),
            (none, all)
        );
        assert_eq!(style("active", json!("2027-11-25T00:00:00Z")), (none, none));
        assert_eq!(style("active", Value::Null), (none, none));
    }

    #[test]
    fn a_long_field_goes_on_below_between_its_words() {
        let item = json!({"name": "ci", "description": "one two three four five six seven"});
        let view = &super::super::accounts::VIEW;
        let drawn = draw(&item, view, now(), Some(34)).text;
        insta::assert_snapshot!(drawn, @r"
        name         ci
        description  one two three four
                     five six seven
        ");
        assert_eq!(
            folded("unbreakable-and-long x", 5),
            "unbreakable-and-long\nx"
        );
    }

    #[test]
    fn a_span_is_told_in_its_largest_step() {
        let at = |text: &str| relative(text.parse().unwrap(), now());
        assert_eq!(at("2026-11-21T12:00:00.400Z"), "now");
        assert_eq!(at("2026-11-21T11:59:59Z"), "1 second ago");
        assert_eq!(at("2026-11-21T10:30:00Z"), "1 hour ago");
        assert_eq!(at("2026-11-18T12:00:00Z"), "3 days ago");
        assert_eq!(at("2027-02-19T11:59:59Z"), "in 89 days");
        assert_eq!(at("2027-04-20T12:00:00Z"), "in 5 months");
        assert_eq!(at("2028-01-01T12:00:00Z"), "in 13 months");
        assert_eq!(at("2020-01-01T00:00:00Z"), "6 years ago");
    }

    #[test]
    fn a_description_cannot_move_the_cursor() {
        assert_eq!(
            printable("a\u{1b}[2J\n\u{202e}é"),
            "a\\u{1b}[2J\\n\\u{202e}é"
        );
    }
}
