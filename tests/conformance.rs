//! What must hold when clients, upstreams and networks misbehave: rows of data, each a promise, with
//! the bytes that are sent, what is answered, and what the upstream may see of it.
//!
//! One harness plays every case over HTTP/1.1 and HTTP/2, clear and TLS, and wants the same of all of
//! them: a verdict that depends on the protocol is a way around the rules. Whatever a case says, each
//! answer has one log line and one count with its reason, and no byte of what was refused goes on.
//! `tests/conformance/README.md` says what may stand in a row; `tests/SCOREBOARD.md` is what came of
//! them.
//!
//! Not here: what takes more than bytes and a verdict (load, time, drains, reloads). Such rows name
//! the tests that keep them.

mod board;
mod frames;
mod http1;
mod http2;
mod play;
mod rows;
mod run;
mod stage;
mod text;
mod upstream_laws;

use std::collections::BTreeSet;

use rows::{Tier, rows};

/// The plain requests of a section's cases, for other upstreams than ours: method and target, and the
/// header lines that are added.
pub(crate) fn requests(section: char) -> Vec<(String, Vec<String>)> {
    let rows = rows().into_iter().filter(|row| row.id.starts_with(section));
    let plain = |case: &rows::Case| {
        let line = case
            .line
            .as_deref()
            .and_then(|line| line.strip_suffix(" HTTP/1.1"));
        let line = case.request.as_deref().or(line)?;
        let whole = [&[line.to_owned()], case.headers.as_slice()].concat();
        let odd = ["<<", "Content-Length", "Transfer-Encoding"];
        let is_odd = |text: &String| odd.iter().any(|odd| text.contains(odd));
        let is_plain = case.host == "gate.test" && !whole.iter().any(is_odd);
        is_plain.then(|| (line.to_owned(), case.headers.clone()))
    };
    rows.flat_map(|row| row.cases().iter().filter_map(plain).collect::<Vec<_>>())
        .collect()
}

/// The ids there are: a row that is done with is never taken away.
fn ids() -> BTreeSet<String> {
    let named = |letter: char, range: std::ops::RangeInclusive<u8>| {
        range.map(move |number| format!("{letter}{number:02}"))
    };
    named('A', 1..=47)
        .chain(named('B', 1..=46))
        .chain(named('B', 50..=70))
        .chain(named('C', 1..=22))
        // Of the others it stands beside the tests what they keep.
        .chain(["D33", "E11", "E15", "E16", "E17", "E21"].map(str::to_owned))
        .chain(named('E', 23..=31))
        .chain(["F23", "F24"].map(str::to_owned))
        .chain(named('F', 1..=19))
        .chain(named('F', 27..=31))
        .chain(named('G', 9..=18))
        .chain(["G31".to_owned()])
        .collect()
}

#[test]
fn no_row_is_missing_and_each_is_kept_by_something_that_is_there() {
    let rows = rows();
    let found: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(found, ids().into_iter().collect::<Vec<_>>());
    let sources = board::sources();
    let long_runs = board::long_runs();
    let mut faults = Vec::new();
    for row in &rows {
        let cases = row.cases();
        if cases.is_empty() && row.kept_by.is_empty() && row.red.is_none() {
            faults.push(format!("{}: nothing shows that it holds", row.id));
        }
        if row.tier == Tier::N
            && row.long.is_none()
            && cases.is_empty()
            && row.red.is_none()
            && row.id != "A45"
        {
            faults.push(format!("{}: a long row names its long run", row.id));
        }
        if row.source.is_empty() {
            faults.push(format!("{}: who asks for it? name a source", row.id));
        }
        for test in &row.kept_by {
            if !board::is_a_test(test, &sources) {
                faults.push(format!("{}: there is no test `{test}`", row.id));
            }
        }
    }
    let is_long = |id: &String| rows.iter().any(|row| row.id == *id && row.long.is_some());
    let strange = long_runs.keys().filter(|id| !is_long(id));
    faults
        .extend(strange.map(|id| format!("{id}: run at full size, and no row says what that is")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_case_of_every_row_holds() {
    let only = std::env::var("PORTCULLIS_ROWS").unwrap_or_default();
    let mut rows = rows();
    rows.retain(|row| row.id.starts_with(&only));
    let played = run::run(&rows);
    let mut faults = Vec::new();
    for row in &rows {
        let Some(played) = played.get(&row.id) else {
            continue;
        };
        match &row.red {
            None => faults.extend(played.faults.iter().cloned()),
            Some(why) if played.faults.is_empty() => {
                faults.push(format!("{} holds: take away `red: {why}`", row.id));
            }
            Some(_) => {}
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    if only.is_empty() {
        board::publish(&rows, &played);
    }
}
