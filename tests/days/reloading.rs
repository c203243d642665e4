//! Edits of the policy under load, and edits that must not take effect.
//!
//! What a good and a bad edit does to one request is `lifecycle::reload`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::harness::load::{Caller, all, run};
use crate::harness::{Api, Files, Fixture, Gateway, PATIENCE, request, until};

/// A table in which everything has this one name: the permission that is asked for and stated to
/// the upstream, and the upstream. An answer that mixes two names has met two tables.
fn table(name: &str) -> String {
    format!(
        "permissions:\n  t:even: One\n  t:odd: The other\n\
         roles:\n  all: {{ description: Both, permissions: ['t:*'] }}\n\
         routes:\n  GET /public/{{rest...}}: {{ needs: 't:{name}', upstream: {name} }}\n"
    )
}

const NAMES: [&str; 2] = ["even", "odd"];

/// A gateway with a table, and the two upstreams a table may name.
pub(super) fn start(apis: &[Api; 2]) -> Gateway {
    let [even, odd] = apis;
    Fixture::before(&even.url())
        .upstream_at("even", &even.url())
        .upstream_at("odd", &odd.url())
        .policy("items.yaml", &table("even"))
        .settings("log: { decisions: denied }")
        .start()
}

/// F17: reloads `count` times while `callers` ask; every tenth edit is one that must be refused.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks for them"
)]
pub(super) fn reload(gateway: &Gateway, count: usize, callers: usize) -> String {
    let key = gateway.account("ci", &["all"]);
    let token = format!("Bearer {}", gateway.token(&key));
    let ask = request("GET /public/quick", &[("Authorization", &token)], b"");
    let (over, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let began = Instant::now();
    let load = {
        let (over, served, address) = (Arc::clone(&over), Arc::clone(&served), gateway.address());
        let ask = ask.clone();
        let call = move || call(address, ask.clone(), Arc::clone(&over), Arc::clone(&served));
        std::thread::spawn(move || run(all((0..callers).map(|_| call()))))
    };
    let mut in_force = "even";
    for number in 0..count {
        assert!(!load.is_finished(), "a caller met what it must not");
        if number % 10 == 9 {
            gateway
                .files()
                .write("policies/items.yaml", "routes:\n  GET /x: t:gone\n");
            assert_eq!(gateway.cli(&["reload"]).status.code(), Some(1));
        } else {
            in_force = NAMES[(number + 1) % 2];
            gateway
                .files()
                .write("policies/items.yaml", &table(in_force));
            gateway.json(&["reload"]);
        }
        // When the command has returned, it is done.
        let answer = gateway.send(&ask);
        assert_eq!(answer.text(), format!("{in_force} t:{in_force}"));
    }
    over.store(true, Ordering::SeqCst);
    load.join().expect("every answer was one of the two");
    let said = format!(
        "{count} reloads in {} s, {} requests, each by one table",
        began.elapsed().as_secs(),
        served.load(Ordering::SeqCst)
    );
    println!("F17: {said}");
    said
}

/// Asks until it is over; every answer is by one table.
async fn call(address: SocketAddr, ask: Vec<u8>, over: Arc<AtomicBool>, served: Arc<AtomicUsize>) {
    let mut caller = Caller::connect(address).await.unwrap();
    while !over.load(Ordering::SeqCst) {
        let answer = caller.ask(&ask).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let is_one = |name| answer.text() == format!("{name} t:{name}");
        assert!(NAMES.into_iter().any(is_one), "two tables: {answer:?}");
        served.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn f17_every_request_meets_one_table() {
    let apis = [Api::named("even"), Api::named("odd")];
    let gateway = start(&apis);
    reload(&gateway, 20, 4);
}

/// A way to spoil a folder, and a word of what is said of it.
type Spoil = (fn(&Files), &'static str);

const SPOILS: [Spoil; 6] = [
    (
        |files| files.write("policies/items.yaml", "rules: {}\n"),
        "rules",
    ),
    (ask_twice, "more.yaml"),
    (put_a_folder, "policies"),
    (lead_nowhere, "items.yaml"),
    (
        |files| files.write("policies/items.yaml", "permissions: {}\n"),
        "route",
    ),
    (write_no_text, "items.yaml"),
];

/// The same route, with another permission.
fn ask_twice(files: &Files) {
    let more = "upstream: items\npermissions:\n  p:one: One\nroutes:\n  \
                GET /public/{other...}: p:one\n";
    files.write("policies/more.yaml", more);
}

fn put_a_folder(files: &Files) {
    std::fs::remove_file(files.path("policies/items.yaml")).unwrap();
    std::fs::create_dir(files.path("policies/items.yaml")).unwrap();
}

fn lead_nowhere(files: &Files) {
    std::fs::remove_file(files.path("policies/items.yaml")).unwrap();
    std::os::unix::fs::symlink("gone", files.path("policies/items.yaml")).unwrap();
}

fn write_no_text(files: &Files) {
    std::fs::write(files.path("policies/items.yaml"), [0xff, 0xfe, 0]).unwrap();
}

/// F18: what a folder may be made of that must not take effect, beside what `lifecycle::reload`
/// tries; at the first start it is refused, with the same words.
#[test]
fn f18_what_is_refused_by_a_reload_is_refused_at_the_start() {
    let api = Api::start();
    for (spoil, said) in SPOILS {
        let gateway = super::before(&api).start();
        spoil(gateway.files());
        let reload = gateway.cli(&["reload"]);
        let stderr = String::from_utf8_lossy(&reload.stderr).into_owned();
        assert_eq!(
            (reload.status.code(), stderr.contains(said)),
            (Some(1), true),
            "{stderr}"
        );
        assert_eq!(gateway.ask("GET /public/x", None).status(), 200);
        assert_eq!(gateway.ops("/readyz").status(), 200);
        let metrics = gateway.ops("/metrics");
        assert!(
            metrics
                .text()
                .contains("portcullis_config_last_reload_successful 0")
        );

        let files = super::before(&api).write();
        spoil(&files);
        let start = files.cli(&["serve"]);
        let stderr = String::from_utf8_lossy(&start.stderr);
        assert_eq!(
            (start.status.code(), stderr.contains(said)),
            (Some(1), true),
            "{stderr}"
        );
    }
}

/// F19: an edit of several files takes effect whole or not at all, however it is made, and neither
/// the order nor the age of files matters.
#[test]
fn f19_files_that_belong_together_come_into_force_together() {
    let api = Api::start();
    let permissions = "permissions:\n  p:one: One\n";
    let gateway = super::before(&api)
        .policy("words.yaml", permissions)
        .start();
    let files = gateway.files();
    let is_open = |path: &str| gateway.ask(&format!("GET {path}"), None).status() == 200;
    // The routes need a permission that another file does not have yet: written, and truncated.
    let routes = "upstream: items\nroutes:\n  GET /public/{rest...}: public\n  GET /two: p:two\n  \
                  GET /new: public\n";
    files.write("policies/items.yaml", routes);
    gateway.wait_for_log("policy refused");
    assert!(is_open("/public/x") && !is_open("/new"));
    files.write("policies/words.yaml", "");
    assert!(is_open("/public/x") && !is_open("/new"));
    files.write(
        "policies/words.yaml",
        &(permissions.to_owned() + "  p:two: Two\n"),
    );
    until("both files to be in force", PATIENCE, || is_open("/new"));

    // An older file is as good as a newer one.
    let old = files.path("old.yaml");
    std::fs::write(
        &old,
        "upstream: items\nroutes:\n  GET /public/{rest...}: public\n",
    )
    .unwrap();
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    std::fs::rename(&old, files.path("policies/items.yaml")).unwrap();
    until("the old file to be in force", PATIENCE, || !is_open("/new"));
    assert!(is_open("/public/x"));
}
