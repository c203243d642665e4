//! What the steps of a decision cost, over the 1,223 operations of GitHub's REST API.
//!
//! The table is read from a list, so that no npm package is needed; `tests/github.rs` keeps the list
//! equal to GitHub's document.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::uri::PathAndQuery;
use portcullis::policy::matcher::{Entry, Lookup, Table};
use portcullis::policy::overlap::pairs;
use portcullis::policy::template::Template;
use portcullis::reason::Reason;
use portcullis::request::Target;
use portcullis::telemetry::log::{Decision, Event, Line, Log};
use portcullis::telemetry::metrics::{self, AccountLabels, Denied, Finished, Metrics, Outcome};
use portcullis::words::{ClassSet, Method, MethodSet, RequestIds, RouteId, UnixTime};

const ROUTES: &str = include_str!("data/github-routes.txt");

/// Routes of a small table.
const SMALL: usize = 100;

/// Routes of a large table: as many as a gateway before ten of GitHub's size would have.
const LARGE: usize = 12_000;

/// Method and template of every operation.
fn operations() -> Vec<(Method, &'static str)> {
    let line = |line: &'static str| line.split_once(' ').unwrap();
    let lines = ROUTES.lines().map(line);
    lines
        .map(|(method, path)| (Method::parse(method).unwrap(), path))
        .collect()
}

/// `count` routes: the operations, again and again below a segment of their own.
fn entries(count: usize) -> Vec<Entry> {
    let operations = operations();
    let rounds = (0..).flat_map(|round| operations.iter().map(move |operation| (round, operation)));
    rounds
        .zip(0..)
        .take(count)
        .map(|((round, (method, path)), number)| {
            let text = if round == 0 {
                (*path).to_owned()
            } else {
                format!("/api{round}{path}")
            };
            Entry {
                route: RouteId(number),
                methods: MethodSet::of(*method),
                template: Template::parse(&text).unwrap(),
            }
        })
        .collect()
}

/// A request for each entry: values as long as those of real requests.
fn requests(entries: &[Entry]) -> Vec<(Method, String)> {
    let request = |entry: &Entry| {
        let mut path = String::new();
        for (place, part) in entry.template.as_str().split('{').enumerate() {
            let after = part.split_once('}').map_or(part, |(_, after)| after);
            path.push_str(if place == 0 { "" } else { "octo-org" });
            path.push_str(after);
        }
        (entry.methods.iter().next().unwrap(), path)
    };
    entries.iter().map(request).collect()
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("route lookup");
    for count in [20, SMALL, 1_223, LARGE] {
        let entries = entries(count);
        let requests = requests(&entries);
        let table = Table::build(entries);
        group.throughput(Throughput::Elements(1));
        let mut next = requests.iter().cycle();
        group.bench_function(format!("found among {count}"), |b| {
            b.iter(|| {
                let (method, path) = next.next().unwrap();
                let found = table.find(black_box(*method), black_box(path));
                assert!(matches!(found, Lookup::Found(_)));
                found
            });
        });
        let missing: Vec<_> = requests
            .iter()
            .map(|(m, path)| (*m, format!("{path}/no")))
            .collect();
        let mut next = missing.iter().cycle();
        group.bench_function(format!("missed among {count}"), |b| {
            b.iter(|| {
                let (method, path) = next.next().unwrap();
                table.find(black_box(*method), black_box(path))
            });
        });
    }
    // The same requests before both tables: what is compared is the table, and not how many different
    // paths the caches of the machine have to hold.
    let asked = requests(&entries(SMALL));
    for count in [SMALL, LARGE] {
        let table = Table::build(entries(count));
        let mut next = asked.iter().cycle();
        group.bench_function(format!("the same {SMALL} found among {count}"), |b| {
            b.iter(|| {
                let (method, path) = next.next().unwrap();
                table.find(black_box(*method), black_box(path))
            });
        });
    }
    group.finish();
}

fn builds(c: &mut Criterion) {
    let mut group = c.benchmark_group("route table");
    group.sample_size(20);
    for count in [1_223, LARGE] {
        let entries = entries(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("build {count}"), |b| {
            b.iter_batched(
                || entries.clone(),
                Table::build,
                criterion::BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("overlaps of {count}"), |b| {
            b.iter(|| pairs(&entries));
        });
    }
    group.finish();
}

/// What it costs to make sure that a path has one meaning.
fn targets(c: &mut Criterion) {
    let mut group = c.benchmark_group("target");
    let rows = [
        ("canonical", "/repos/acme/site-12/issues/44/comments/7"),
        ("with escapes", "/repos/acme/caf%c3%a9/%69ssues/44/comment"),
        ("refused", "/repos/acme/site-12/issues/44/../../admin"),
    ];
    for (name, path) in rows {
        let raw = PathAndQuery::from_static(path);
        group.throughput(Throughput::Bytes(path.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| Target::parse(black_box(&raw), ClassSet::EMPTY));
        });
    }
    group.finish();
}

/// What it costs to write down what happened.
fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    let log = Log::start(std::io::sink()).unwrap();
    let id = RequestIds::new().next(UnixTime::from_secs(1_795_302_000));
    let line = Line {
        time: UnixTime::from_millis(1_795_302_000_123),
        event: Event::Access,
        decision: Decision::Allow,
        ended: None,
        request_id: &id,
        client_request_id: None,
        method: b"GET",
        path: b"/repos/acme/site-12/issues/44/comments/7",
        scheme: "http",
        protocol: "1.1",
        upgraded: None,
        host: Some(b"api.example.com"),
        user_agent: Some(b"python-requests/2.34.2"),
        client: Some([192, 0, 2, 7].into()),
        status: Some(200),
        request_bytes: None,
        response_bytes: Some(1041),
        route: Some("GET /repos/{owner}/{repo}/issues/comments/{comment_id}"),
        permission: Some("repos:view"),
        missing: &[],
        class: None,
        hint: None,
        account: None,
        key: None,
        token: Some(&[7; 8]),
        upstream: Some("api"),
        cause: None,
        authz: Some(Duration::from_nanos(1_900)),
        upstream_wait: Some(Duration::from_micros(210)),
        total: Duration::from_micros(260),
    };
    // A buffer of its own for each batch: one that reached its bound would drop lines, which is fast.
    group.bench_function("1,000 lines of the log", |b| {
        b.iter_batched(
            || log.handle(),
            |handle| (0..1_000).for_each(|_| handle.write(black_box(&line))),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
    log.stop(Duration::from_secs(5));
}

fn counts(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    let metrics = Metrics::new(AccountLabels::UpTo(500));
    let allowed = Finished {
        target: metrics::Target::None,
        method: Some(Method::Get),
        status: http::StatusCode::OK,
        total: Duration::from_micros(260),
        authz: Some(Duration::from_nanos(1_900)),
        outcome: Outcome::Allowed,
    };
    let denied = Finished {
        outcome: Outcome::Denied(Denied {
            reason: Reason::PermissionMissing,
            status: Reason::PermissionMissing.status(),
            permission: "repos:edit",
            account: Some("ci"),
        }),
        ..allowed
    };
    for (name, request) in [
        ("an allowed request", allowed),
        ("a refused request", denied),
    ] {
        group.bench_function(format!("counting {name}"), |b| {
            b.iter(|| metrics.request_finished(black_box(&request)));
        });
    }
    group.finish();
}

criterion_group!(benches, targets, lookups, builds, records, counts);
criterion_main!(benches);
