//! Faults of the disk, at each write and each sync of each kind of change (F28, F30).
//!
//! `strace` lets the system calls of the real binary fail: an error where there was none before, at the
//! Nth call. Not a file system of our own making below SQLite: that would try the double, and not what
//! is shipped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use portcullis::audit::Filter;
use portcullis::store::{Records, Sqlite, Store as _, pepper_path};
use serde_json::Value;

use super::{time, told};
use crate::harness::{
    Files, Fixture, Gateway, Key, PATIENCE, Upstream, can_trace, long, request, until,
};

pub(super) const READ: &str = "GET /v1/items/7";

/// One line for each kind of change; `KEY` is the key of `ci`.
const CHANGES: &[&str] = &[
    "accounts create x --role reader",
    "accounts update ci --description other",
    "accounts grant ci --role writer",
    "accounts ungrant ci --role reader",
    "accounts disable ci",
    "accounts enable off",
    "accounts delete ci --yes",
    "accounts apply -f TEAM",
    "keys create ci",
    "keys rotate KEY",
    "keys update KEY --description other",
    "keys expire KEY",
    "keys import ci --sha256 00000000000000000000000000000000000000000000000000000000000000ff",
    "roles create r2 --permission items:read",
    "roles update r1 --description other",
    "roles delete r1 --yes",
    "groups create g2 --role reader",
    "groups add g1 off",
    "groups remove g1 ci",
    "groups grant g1 --role writer",
    "groups ungrant g1 --role reader",
    "groups delete g1 --yes",
    "tokens revoke 3kTMd8Z0xV1bQyLw7nPsHc",
    "tokens rotate-key",
];

/// The calls that fail, and how.
const FAULTS: &[(&str, &str)] = &[
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("fsync,fdatasync", "EIO"),
    ("ftruncate", "EIO"),
    ("openat", "EIO"),
];

pub(super) fn is_there() -> bool {
    can_trace("faults of the disk")
}

/// A store with a thing of each kind to change, and the key of `ci`.
fn prepared(upstream: &Upstream) -> (Files, String) {
    let files = Fixture::new(upstream).write();
    for line in [
        "accounts create ci --role reader",
        "accounts create off",
        "accounts disable off",
        "roles create r1 --permission items:read",
        "groups create g1 --role reader",
        "groups add g1 ci",
    ] {
        told(&files, line, 0);
    }
    files.write(
        "TEAM",
        "accounts: { fromfile: { description: x, grants: [{ role: reader }] } }\n",
    );
    let made = told(&files, "keys create ci -o json", 0).0;
    let made: Value = serde_json::from_str(&made).unwrap();
    (files, made["id"].as_str().unwrap().to_owned())
}

/// What stands in the store: the records, and how many changes of it the trail tells.
fn found(path: &Path) -> (Records, u64) {
    let (store, _) = Sqlite::open(path, &pepper_path(path), time(1)).unwrap();
    let checked = store.check_audit(None).unwrap();
    assert_eq!((checked.done, checked.fault), (true, None));
    let rows = store.audit(&Filter::default(), None).unwrap().rows;
    let done = rows.iter().filter(|row| {
        let record = row.shown();
        record["event.outcome"] == "success" && record["portcullis.actor.kind"] == "local"
    });
    (store.load().unwrap(), done.count() as u64)
}

/// Puts the files of a store back to what they were.
fn put_back(kept: &Path, files: &Files) {
    for ending in ["", "-wal", "-shm", ".lock", ".pepper"] {
        let name = format!("portcullis.db{ending}");
        let _ = fs::remove_file(files.path(&name));
        if kept.join(&name).exists() {
            fs::copy(kept.join(&name), files.path(&name)).unwrap();
        }
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "what is counted first is what is failed then"
)]
fn a_fault_at_any_write_or_sync_of_any_change_loses_nothing_and_leaves_nothing_half_done() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let (files, key) = prepared(&upstream);
    let kept = tempfile::tempdir().unwrap();
    for ending in ["", ".lock", ".pepper"] {
        let name = format!("portcullis.db{ending}");
        fs::copy(files.path(&name), kept.path().join(&name)).unwrap();
    }
    let path = files.path("portcullis.db");
    let (before, records) = found(&path);
    let (mut runs, mut hits, mut refused, mut done) = (0, 0, 0, 0);
    for (place, line) in CHANGES.iter().enumerate() {
        let line = line
            .replace("KEY", &key)
            .replace("TEAM", files.path("TEAM").to_str().unwrap());
        for (other, (calls, error)) in FAULTS.iter().enumerate() {
            // Each run of the suite looks at one place of each kind; the long run looks at all.
            if !long::is_long() && (place + other) % FAULTS.len() > 1 {
                continue;
            }
            let first = if long::is_long() {
                1
            } else {
                1 + (place * 5 + other * 3) % 7
            };
            for number in first.. {
                put_back(kept.path(), &files);
                let trace = kept.path().join("trace");
                let inject = format!("{calls}:error={error}:when={number}");
                let ran = files.command(&line.split_whitespace().collect::<Vec<_>>());
                let output = Command::new("strace")
                    .args([
                        "-f",
                        "-qq",
                        "-e",
                        &format!("trace={calls}"),
                        "-e",
                        &format!("inject={inject}"),
                    ])
                    .arg("-o")
                    .arg(&trace)
                    .arg(ran.get_program())
                    .args(ran.get_args())
                    .env("NO_COLOR", "1")
                    .output()
                    .unwrap();
                let hit = fs::read_to_string(&trace).unwrap().contains("(INJECTED)");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let what = format!("{line}, {inject}: {said}");
                runs += 1;
                hits += usize::from(hit);
                let (after, told_of) = found(&path);
                let is_done = after != before;
                // Whole or not at all: the change and its record go together.
                assert_eq!(is_done, told_of > records, "{what}");
                match output.status.code() {
                    Some(0) => {
                        assert!(is_done, "lost: {what}");
                        done += 1;
                    }
                    Some(1 | 3) => {
                        assert!(said.starts_with("error: "), "{what}");
                        refused += 1;
                    }
                    code => panic!("{code:?}: {what}"),
                }
                if !hit || !long::is_long() {
                    break;
                }
            }
        }
    }
    // In the long run, the last of each row is one call more than there are.
    assert!(
        refused > 0 && done > 0 && hits * 2 > runs,
        "{runs} runs, {hits} with a fault, {refused} refused, {done} done"
    );
    let said = format!(
        "{hits} faults in {} kinds of change: {refused} refused whole, {done} done whole",
        CHANGES.len()
    );
    long::passed("F28", &said);
}

/// A fault in a process that runs; it ends when this is dropped.
pub(super) struct Fault(Child);

impl Fault {
    /// From now on `calls` of the gateway go wrong as `how` says: `error=EIO`.
    pub(super) fn begin(gateway: &Gateway, calls: &str, how: &str) -> Self {
        let mut child = Command::new("strace")
            .args([
                "-f",
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={calls}:{how}"),
            ])
            .args(["-p", &gateway.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
        assert!(attached.is_some(), "strace ended");
        // Whoever does not read what it says holds it up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self(child)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // It lets go of what it traces when it is asked to end, not when it is killed.
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.ops("/metrics");
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name}"))
}

pub(super) fn with_key(gateway: &Gateway, key: &Key) -> u16 {
    let headers = [("X-Api-Key", &*key.api_key())];
    gateway.send(&request(READ, &headers, b"")).status()
}

/// What holds of a server whose disk takes no change: it serves, refuses changes with a sentence, counts
/// them, and keeps a leaked key out all the same.
fn goes_on(gateway: &Gateway, [good, leaked]: [&Key; 2], words: &str) {
    let said = told(gateway.files(), "accounts create late", 3).1;
    assert!(said.contains(words), "{said}");
    assert_eq!(with_key(gateway, good), 200);
    let said = told(gateway.files(), &format!("keys expire {}", leaked.id), 3).1;
    assert!(said.contains("holds from now on all the same"), "{said}");
    assert_eq!(
        (with_key(gateway, good), with_key(gateway, leaked)),
        (200, 401)
    );
    assert!(metric(gateway, "portcullis_store_write_failures_total") >= 2);
    until("the metric to say that the store is down", PATIENCE, || {
        metric(gateway, "portcullis_store_up") == 0
    });
    for probe in ["/livez", "/readyz"] {
        assert_eq!(
            gateway.ops(probe).status(),
            200,
            "what is served does not need the disk"
        );
    }
}

fn names(gateway: &Gateway) -> Vec<String> {
    let listed = gateway.json(&["accounts", "list"]);
    let names = listed.as_array().unwrap().iter();
    names
        .map(|account| account["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(super) fn served(upstream: &Upstream) -> (Gateway, [Key; 2]) {
    let gateway = Fixture::new(upstream).listener("api_key: true").start();
    let good = gateway.account("ci", &["reader"]);
    let leaked = gateway.key("ci");
    assert_eq!(with_key(&gateway, &leaked), 200);
    (gateway, [good, leaked])
}

#[test]
fn a_disk_that_is_full_stops_changes_until_there_is_room_again_and_nothing_else() {
    let upstream = Upstream::start();
    let (mut gateway, [good, leaked]) = served(&upstream);
    // No file may grow: the same to the program as a disk without room, and nobody has to mount one.
    gateway.process().limit_files(Some(1));
    goes_on(&gateway, [&good, &leaked], "the store failed");
    gateway.process().limit_files(None);
    told(gateway.files(), "accounts create after", 0);
    until("the store to be up", PATIENCE, || {
        metric(&gateway, "portcullis_store_up") == 1
    });
    assert_eq!(names(&gateway), ["after", "ci"]);
    // What held while it could not be written has been written.
    gateway.crash();
    assert_eq!(
        (with_key(&gateway, &good), with_key(&gateway, &leaked)),
        (200, 401)
    );
    told(gateway.files(), "audit verify", 0);
}

#[test]
fn without_room_it_says_so_and_recovers_alone() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let (mut gateway, [good, leaked]) = served(&upstream);
    let fault = Fault::begin(&gateway, "pwrite64", "error=ENOSPC");
    goes_on(&gateway, [&good, &leaked], "there is no room");
    drop(fault);
    told(gateway.files(), "accounts create after", 0);
    gateway.crash();
    assert_eq!(names(&gateway), ["after", "ci"]);
    assert_eq!(
        (with_key(&gateway, &good), with_key(&gateway, &leaked)),
        (200, 401)
    );
}

#[test]
fn f30_a_revocation_without_room_is_written_in_the_room_that_was_kept_for_it() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let (mut gateway, [good, leaked]) = served(&upstream);
    let kept = gateway.files().path("portcullis.db.ballast");
    let size = || fs::metadata(&kept).map_or(0, |stat| stat.len());
    until("room to be kept", PATIENCE, || size() >= 1024 * 1024);
    let before = size();
    // The first write of each thread finds no room, and the next does.
    let fault = Fault::begin(&gateway, "pwrite64", "error=ENOSPC:when=1");
    told(gateway.files(), &format!("keys expire {}", leaked.id), 0);
    drop(fault);
    assert!(size() < before);
    gateway.crash();
    assert_eq!(
        (with_key(&gateway, &good), with_key(&gateway, &leaked)),
        (200, 401)
    );
    until("all of it to be kept again", PATIENCE, || size() == before);
}

#[test]
fn a_disk_that_does_not_keep_what_it_was_given_ends_changes_until_the_next_start() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let (mut gateway, [good, leaked]) = served(&upstream);
    let fault = Fault::begin(&gateway, "fsync,fdatasync", "error=EIO");
    let said = told(gateway.files(), "accounts create late", 3).1;
    assert!(said.contains("the store failed"), "{said}");
    goes_on(
        &gateway,
        [&good, &leaked],
        "takes no changes since its disk",
    );
    drop(fault);
    // Writing again would prove nothing: what was lost is not known to be.
    let said = told(gateway.files(), "accounts create after", 3).1;
    assert!(said.contains("start the gateway again"), "{said}");
    gateway.crash();
    assert_eq!(with_key(&gateway, &good), 200);
    told(gateway.files(), "accounts create after", 0);
    told(gateway.files(), "audit verify", 0);
}
