//! F28: a machine that stops. What was written and not synced is lost then, other than when a process is
//! killed, whose last words the system still writes.
//!
//! `strace` tells every write to the store, and every sync that came to its end. From these and a copy of
//! the files as they were we make the files as a machine finds them that stopped: with what was synced, and
//! of the rest nothing, or what chance left of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use portcullis::store::{Records, Sqlite, Store as _, pepper_path};
use serde_json::{Value, json};

use super::faults::is_there;
use super::time;
use crate::harness::{Fixture, Gateway, Upstream, long};

/// The files of a store that hold anything; what else there is next to them is made again.
const FILES: [&str; 2] = ["portcullis.db", "portcullis.db-wal"];

/// What was done to a file.
#[derive(Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Cut(usize),
    Sync,
}

/// Looks on while a gateway writes.
struct Witness(Child, std::path::PathBuf);

impl Witness {
    fn of(gateway: &Gateway, log: &Path) -> Self {
        let mut child = Command::new("strace")
            // Bytes whole and as numbers, files by their names.
            .args(["-f", "-y", "-xx", "-s", "70000"])
            .args(["-e", "trace=pwrite64,ftruncate,fsync,fdatasync"])
            .arg("-o")
            .arg(log)
            .args(["-p", &gateway.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
        assert!(attached.is_some(), "strace ended");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self(child, log.to_owned())
    }

    /// What it saw, once there is nobody to look at any more.
    fn saw(mut self) -> Vec<(String, Step)> {
        self.0.wait().unwrap();
        let text = fs::read_to_string(&self.1).unwrap();
        let (mut steps, mut syncing) = (Vec::new(), BTreeMap::new());
        for line in text.lines() {
            let (pid, line) = line.split_once(' ').unwrap();
            let line = line.trim_start();
            if line.starts_with("<... f") && line.contains("sync resumed>") {
                let file: String = syncing.remove(pid).expect("it was begun");
                if line.ends_with("= 0") {
                    steps.push((file, Step::Sync));
                }
                continue;
            }
            let Some((call, rest)) = line.split_once('(') else {
                continue;
            };
            let Some((_, rest)) = rest.split_once('<') else {
                continue;
            };
            let (path, rest) = rest.split_once('>').unwrap();
            let path = String::from_utf8(bytes(path)).unwrap();
            let file = path.rsplit('/').next().unwrap().to_owned();
            match call {
                "pwrite64" => {
                    let mut parts = rest.split('"');
                    let bytes = bytes(parts.nth(1).unwrap());
                    // `, 4096, 32) = 4096`
                    let numbers = parts.next().unwrap();
                    let place = numbers.split([',', ')', '<']).nth(2).unwrap();
                    let place = place.trim().parse().unwrap();
                    steps.push((file, Step::Write(place, bytes)));
                }
                "ftruncate" => {
                    let length = rest.split([',', ')', '<']).nth(1).unwrap();
                    steps.push((file, Step::Cut(length.trim().parse().unwrap())));
                }
                _ if rest.ends_with("= 0") => steps.push((file, Step::Sync)),
                _ => drop(syncing.insert(pid, file)),
            }
        }
        steps
    }
}

/// `\x41\x42` as bytes.
fn bytes(told: &str) -> Vec<u8> {
    let numbers = told.split("\\x").skip(1);
    numbers
        .map(|number| u8::from_str_radix(number, 16).unwrap())
        .collect()
}

/// A file after `steps`, of which `keeps` says what is there of those that were not synced.
fn left(mut file: Vec<u8>, steps: &[&Step], mut keeps: impl FnMut() -> bool) -> Vec<u8> {
    let synced = steps.iter().rposition(|step| matches!(step, Step::Sync));
    for (number, step) in steps.iter().enumerate() {
        if synced.is_none_or(|synced| number > synced) && !keeps() {
            continue;
        }
        match step {
            Step::Write(place, bytes) => {
                file.resize(file.len().max(place + bytes.len()), 0);
                file[*place..place + bytes.len()].copy_from_slice(bytes);
            }
            Step::Cut(length) => file.resize(*length, 0),
            Step::Sync => {}
        }
    }
    file
}

fn opened(folder: &Path) -> Records {
    let path = folder.join("portcullis.db");
    let (store, _) = Sqlite::open(&path, &pepper_path(&path), time(1)).unwrap();
    let checked = store.check_audit(None).unwrap();
    assert_eq!((checked.done, checked.fault), (true, None));
    store.load().unwrap()
}

/// Law: what was acknowledged is there, whatever became of that which was not synced.
#[test]
fn f28_what_was_acknowledged_is_there_after_the_machine_stopped() {
    if !is_there() {
        return;
    }
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).start();
    let key = gateway.account("leaked", &["reader"]);
    let mut acknowledged = 0;
    for round in 0..long::sized(3, 50) {
        let folder = tempfile::tempdir().unwrap();
        let before = FILES.map(|name| fs::read(gateway.files().path(name)).unwrap_or_default());
        let witness = Witness::of(&gateway, &folder.path().join("log"));
        let name = |number| format!("a-{round}-{number}");
        for number in 0..=round % 3 {
            gateway.operate(&json!({ "operation": "accounts_create", "name": name(number) }));
            acknowledged += 1;
        }
        let ended: Value = json!({ "operation": "keys_expire", "key": key.id });
        gateway.operate(&ended);
        // At once: a sync that comes later would hide that there was none in time.
        gateway.crash();
        let steps = witness.saw();
        for chance in 0..8_u64 {
            let mut coin = chance.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for (file, before) in FILES.iter().zip(&before) {
                let of_file = steps.iter().filter(|(name, _)| name == file);
                let of_file: Vec<_> = of_file.map(|(_, step)| step).collect();
                let keeps = || {
                    coin = coin.rotate_left(7).wrapping_mul(5);
                    coin & 1 == 1
                };
                fs::write(
                    folder.path().join(file),
                    left(before.clone(), &of_file, keeps),
                )
                .unwrap();
            }
            let _ = fs::remove_file(folder.path().join("portcullis.db-shm"));
            let pepper = "portcullis.db.pepper";
            fs::copy(gateway.files().path(pepper), folder.path().join(pepper)).unwrap();
            let found = opened(folder.path());
            for number in 0..=round % 3 {
                let mut names = found.accounts.values().map(|account| account.name.as_str());
                assert!(
                    names.any(|other| other == name(number)),
                    "{} lost",
                    name(number)
                );
            }
            let key = found.key(&key.id.parse().unwrap()).unwrap();
            assert!(key.expires_at.is_some(), "the end of a key was lost");
        }
    }
    long::told(&format!(
        "F28: {acknowledged} changes, and the machine stopped"
    ));
}
