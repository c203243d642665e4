//! A trail of very many records: how long a page, a search and a proof of it take, and that whoever
//! takes a key back meanwhile does not wait for them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use portcullis::audit::{Actor, Entry, Object, Outcome};
use portcullis::store::{Sqlite, Store as _, pepper_path};
use portcullis::words::{RequestIds, UnixTime};
use serde_json::{Value, json};

use super::{ends, words};
use crate::harness::load::Latencies;
use crate::harness::long::{is_strict, sized, told};
use crate::harness::{Fixture, Gateway, Upstream};

/// What a page of the trail may take, and what one that has to be searched for.
const PAGE_MAX: Duration = Duration::from_millis(50);
const SEARCH_MAX: Duration = Duration::from_millis(250);
/// What may pass until all of it is proven.
const PROOF_MAX: Duration = Duration::from_secs(60);
/// What nineteen of twenty wait who change something meanwhile; the others wait for the disk.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// When the first record was written; one a second follows.
const BEGAN: u64 = 1_795_302_000;

#[test]
fn a_long_trail_is_listed_searched_and_proven_and_nobody_waits_for_it() {
    let count = sized(3_000, 1_000_000);
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream)
        .settings("audit: { records: 10000000 }")
        .write();
    ends(&files, "accounts create first --role reader", 0);
    fill(&files.path("portcullis.db"), count);
    let gateway = Gateway::start(files);
    let moment = |second: usize| UnixTime::from_secs(BEGAN + second as u64).to_string();
    let pages = [
        ("the newest", "--limit 100".to_owned()),
        (
            "of one account",
            "--limit 100 --account account-7".to_owned(),
        ),
    ];
    let searches = [
        (
            "a rare event",
            "--limit 100 --event store.create".to_owned(),
        ),
        ("no event", "--limit 100 --event key.none".to_owned()),
        (
            "a minute long ago",
            format!(
                "--limit 100 --since {} --until {}",
                moment(100),
                moment(160)
            ),
        ),
    ];
    let nothing = shortest(&gateway, "routes list");
    let measure = |(what, line): &(&str, String)| {
        let took = shortest(&gateway, &format!("audit list {line}"));
        (format!("{what} {:?}", took.saturating_sub(nothing)), took)
    };
    let pages: Vec<_> = pages.iter().map(measure).collect();
    let searches: Vec<_> = searches.iter().map(measure).collect();
    let slowest = |times: &[(String, Duration)]| times.iter().map(|(_, took)| *took).max();
    let (proof, changes) = prove_beside_changes(&gateway, count);
    let waits = changes.quantile(0.95);
    let each: Vec<_> = pages
        .iter()
        .chain(&searches)
        .map(|(said, _)| said.as_str())
        .collect();
    let said = format!(
        "{count} records: {}; proven in {proof:?}, while {} changes took {:?}, p95 {waits:?}",
        each.join(", "),
        changes.len(),
        changes.quantile(0.5)
    );
    told(&said);
    if is_strict() {
        assert!(slowest(&pages) <= Some(PAGE_MAX + nothing), "{said}");
        assert!(slowest(&searches) <= Some(SEARCH_MAX + nothing), "{said}");
        assert!(proof <= PROOF_MAX && waits <= WAIT_MAX, "{said}");
    }
}

/// The shortest of some tries: what is measured is the gateway, not what else the machine does.
fn shortest(gateway: &Gateway, line: &str) -> Duration {
    let times = (0..5).map(|_| {
        let line = format!("{line} -o json");
        let began = Instant::now();
        ends(gateway.files(), &line, 0);
        began.elapsed()
    });
    times.min().expect("there were some")
}

/// How long the proof takes, and the changes that are made meanwhile.
fn prove_beside_changes(gateway: &Gateway, count: usize) -> (Duration, Latencies) {
    let is_proven = AtomicBool::new(false);
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let mut took = Latencies::default();
            for number in 1.. {
                let line = format!("accounts update first --description {number}");
                let began = Instant::now();
                gateway.json(&words(&line));
                took.push(began.elapsed());
                if is_proven.load(Ordering::SeqCst) {
                    break;
                }
            }
            took
        });
        let began = Instant::now();
        let proven = gateway.json(&words("audit verify"));
        let proof = began.elapsed();
        is_proven.store(true, Ordering::SeqCst);
        let records = proven["records"].as_u64().unwrap_or_default();
        assert!(records >= count as u64, "{proven}");
        (proof, changes.join().expect("every change is made"))
    })
}

/// Puts records into the trail as the gateway does, many in a transaction.
fn fill(store: &Path, count: usize) {
    const AT_ONCE: usize = 10_000;
    const EVENTS: [&str; 5] = [
        "key.create",
        "key.expire",
        "account.create",
        "account.update",
        "role.update",
    ];
    let pepper = pepper_path(store);
    let (mut store, _) = Sqlite::open(store, &pepper, UnixTime::from_secs(BEGAN)).expect("ours");
    let mut ids = RequestIds::new();
    let mut entry = |number: usize| {
        let at = UnixTime::from_secs(BEGAN + number as u64);
        let event = EVENTS[number % EVENTS.len()];
        let account = Some(format!("account-{}", number % 1000));
        Entry {
            at,
            event,
            actor: Actor::Local {
                uid: 0,
                user: Some("root".to_owned()),
            },
            request_id: ids.next(at),
            instance: "in_0000000000000000000000".to_owned(),
            object: Object {
                kind: "account",
                id: Some(format!("sa_{number:022}")),
                name: account.clone(),
                account,
            },
            words: None,
            outcome: Outcome::Success,
            before: Value::Null,
            after: json!({ "description": "One of many, with as many words as people write" }),
            repeated: None,
        }
    };
    for begin in (0..count).step_by(AT_ONCE) {
        let end = count.min(begin + AT_ONCE);
        let entries: Vec<_> = (begin..end).map(&mut entry).collect();
        store.commit(None, &entries).expect("there is room");
    }
}
