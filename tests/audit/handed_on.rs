//! An export hands every record on at least once, whoever dies on the way.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{lines, numbers, out, words};
use crate::harness::{Fixture, Gateway, Upstream};

/// More than a pipe holds, so that whoever does not read is felt.
const RECORDS: usize = 300;

fn busy() -> Gateway {
    let gateway = Fixture::new(&Upstream::start()).start();
    for number in 0..RECORDS {
        let name = format!("a{number}");
        let description = "d".repeat(500);
        gateway.operate(&json!({
            "operation": "accounts_create", "name": name, "description": description,
        }));
    }
    gateway
}

/// Whole lines of what was read: the last may be cut.
fn whole(text: &str) -> Vec<Value> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    lines(whole)
}

#[test]
fn an_export_whose_reader_left_begins_again_where_it_was() {
    let gateway = busy();
    let cursor = gateway.files().path("cursor").display().to_string();
    let export = format!("audit export --cursor {cursor}");
    for _ in 0..3 {
        let mut child = gateway
            .files()
            .command(&words(&export))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut reader = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut first = String::new();
        reader.read_line(&mut first).expect("it is text");
        drop(reader);
        child.wait().expect("it ends");
        assert_eq!(numbers(&lines(&first)), [1], "a record was left out");
    }
    let all = numbers(&lines(&out(&gateway.cli(&words(&export)))));
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
    assert!(all.len() > RECORDS);
}

#[test]
fn exports_that_are_killed_leave_no_record_out() {
    let gateway = busy();
    let cursor = gateway.files().path("cursor").display().to_string();
    let export = format!("audit export --follow --cursor {cursor}");
    let mut seen = BTreeSet::new();
    for round in 0..12_usize {
        gateway.operate(&json!({ "operation": "accounts_create", "name": format!("r{round}") }));
        let mut child = gateway
            .files()
            .command(&words(&export))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut pipe = child.stdout.take().expect("it was piped");
        // Another place each time: in the midst of lines, between them and the cursor, after it.
        let mut bytes = vec![0; 1 + round * 20_011];
        let mut read = 0;
        while read < bytes.len() && !seen.contains(&(RECORDS as u64)) {
            match pipe.read(&mut bytes[read..]).expect("it can be read") {
                0 => break,
                more => read += more,
            }
        }
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        bytes.truncate(read);
        pipe.read_to_end(&mut bytes).expect("it can be read");
        let got = numbers(&whole(&String::from_utf8_lossy(&bytes)));
        // Nothing is between what came before and what comes now.
        let next = seen.last().map_or(1, |last: &u64| last + 1);
        assert!(
            got.first().is_none_or(|first| *first <= next),
            "round {round}: {next} is left out"
        );
        seen.extend(got);
    }
    let export = format!("audit export --cursor {cursor}");
    seen.extend(numbers(&lines(&out(&gateway.cli(&words(&export))))));
    let last = *seen.last().expect("there are records");
    assert_eq!(seen.len() as u64, last, "a record was left out");
    assert!(last as usize > RECORDS + 12);
}
