//! Backups and what is put back: with real commands on a real gateway (E11, G17).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use super::told;
use crate::harness::{Files, Fixture, Gateway, Key, Upstream};

const READ: &str = "GET /v1/items/7";

fn gateway(upstream: &Upstream) -> Gateway {
    Fixture::new(upstream)
        .listener("api_key: true")
        .settings("drain: { delay: 0s }")
        .start()
}

fn stop(mut gateway: Gateway) -> Files {
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    let files = gateway.files().clone();
    // Who ends without haste leaves one file.
    assert!(!files.path("portcullis.db-wal").exists());
    files
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Says whether the bytes of `needle` stand in any file of the folder of `files`, but in `but`.
fn stands_in(files: &Files, needle: &[u8], but: &[&str]) -> Option<String> {
    let folder = fs::read_dir(files.path("")).unwrap();
    let mut names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find(|name| {
        let read = fs::read(files.path(name)).unwrap_or_default();
        !but.contains(&&**name) && read.windows(needle.len()).any(|part| part == needle)
    })
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "what is under way and what came of it is one course of events"
)]
fn a_backup_is_made_while_changes_and_requests_flow_and_holds_no_secret() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    std::thread::scope(|scope| {
        let gateway = &gateway;
        let busy = scope.spawn(move || {
            for _ in 0..10 {
                gateway.key("ci");
                assert_eq!(gateway.ask(READ, Some(&token)).status(), 200);
            }
        });
        for number in 0..3 {
            let name = gateway.files().path(&format!("b{number}.db"));
            let line = ["store", "backup", name.to_str().unwrap(), "-o", "json"];
            let output = gateway.cli(&line);
            assert!(output.status.success(), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("without the pepper"), "{said}");
            let made = json(&String::from_utf8(output.stdout).unwrap());
            assert_eq!(made["records"]["accounts"], 1);
            assert_eq!(fs::metadata(&name).unwrap().mode() & 0o777, 0o600);
        }
        busy.join().unwrap();
    });
    let files = gateway.files();
    // Never over anything, and nothing half-made is left.
    let before = fs::read(files.path("b0.db")).unwrap();
    let path = files.path("b0.db");
    let line = format!("store backup {}", path.display());
    assert!(told(files, &line, 6).1.contains("is there already"));
    assert_eq!(fs::read(&path).unwrap(), before);
    let nowhere = files.path("no/such/b.db");
    let said = told(files, &format!("store backup {}", nowhere.display()), 3).1;
    assert!(said.contains("no/such/b.db"), "{said}");
    let hidden = fs::read_dir(files.path("")).unwrap();
    let hidden =
        hidden.filter(|entry| entry.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
    assert_eq!(hidden.count(), 0);
    // What E11 looks for: no secret in the store, its log or a backup, and no pepper.
    assert_eq!(stands_in(files, key.secret.as_bytes(), &[]), None);
    let pepper = fs::read(files.path("portcullis.db.pepper")).unwrap();
    assert_eq!(stands_in(files, &pepper, &["portcullis.db.pepper"]), None);
    let status = json(&told(files, "store status -o json", 0).0);
    assert_eq!(status["fault"], Value::Null);
    assert_eq!(status["records"]["keys"], 11);
    assert!(
        status["last_backup"]["file"]
            .as_str()
            .unwrap()
            .ends_with("b2.db"),
        "{status}"
    );
    let head = status["audit_head"].as_str().unwrap();
    assert_eq!(
        head.split(' ').next(),
        Some(&*status["records"]["audit_records"].to_string())
    );
    // With the pepper, only if it is asked for, and private too.
    let copied = files.path("pepper.copy");
    let line = format!(
        "store backup {} --pepper-file {}",
        files.path("b9.db").display(),
        copied.display()
    );
    assert!(told(files, &line, 0).1.contains("keep them apart"));
    assert_eq!(fs::read(&copied).unwrap(), pepper);
    assert_eq!(fs::metadata(&copied).unwrap().mode() & 0o777, 0o600);
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "what is taken away, told and brought back is one course of events"
)]
fn what_a_restore_brings_back_to_life_is_told_and_asked_and_no_token_outlives_it() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let [leaked, deleted, disabled, demoted] =
        ["leaked", "deleted", "disabled", "demoted"].map(|name| gateway.account(name, &["reader"]));
    let old = gateway.token(&disabled);
    let backup = gateway.files().path("b.db");
    told(
        gateway.files(),
        &format!("store backup {}", backup.display()),
        0,
    );
    for line in [
        &*format!("keys expire {}", leaked.id),
        "accounts delete deleted --yes",
        "accounts disable disabled",
        "accounts ungrant demoted --role reader",
    ] {
        told(gateway.files(), line, 0);
    }
    let later = gateway.account("later", &["reader"]);
    let newer = gateway.token(&later);
    let anchor = told(gateway.files(), "audit anchor", 0).0;
    gateway.files().write("anchors", &anchor);
    let restore = format!("store restore {}", backup.display());
    let refused = told(gateway.files(), &format!("{restore} --yes"), 3).1;
    assert!(refused.contains("stop it first"), "{refused}");
    let files = stop(gateway);

    let standing = || {
        let status = json(&told(&files, "store status -o json", 0).0);
        [status["revision"].clone(), status["audit_head"].clone()]
    };
    let before = standing();
    let plan = json(&told(&files, &format!("{restore} --dry-run -o json"), 0).0);
    let told_of = |list: &str, kind: &str| -> Vec<String> {
        let things = plan[list].as_array().unwrap().iter();
        let things = things.filter(|thing| thing["kind"] == kind);
        let told = things.map(|thing| {
            format!(
                "{} {}",
                thing["of"].as_str().unwrap(),
                thing["since"].as_str().unwrap()
            )
        });
        told.collect::<BTreeSet<_>>().into_iter().collect()
    };
    assert_eq!(
        told_of("revives", "account"),
        ["deleted deleted", "disabled disabled"]
    );
    assert_eq!(
        told_of("revives", "key"),
        ["deleted deleted", "leaked ended"]
    );
    assert_eq!(told_of("revives", "grant"), ["demoted taken away"]);
    assert_eq!(told_of("loses", "account"), ["later made"]);
    let said = told(&files, &restore, 2).1;
    assert!(
        said.contains(&leaked.id) && said.contains("nothing done"),
        "{said}"
    );
    assert_eq!(standing(), before);

    let done = json(&told(&files, &format!("{restore} --yes -o json"), 0).0);
    assert_eq!(done["revived"], 5);
    let kept = done["kept"].as_str().unwrap();
    assert!(Path::new(kept).exists(), "{kept}");
    let gateway = Gateway::start(files);
    for key in [&leaked, &deleted, &disabled, &demoted] {
        assert_eq!(gateway.ask(READ, Some(&gateway.token(key))).status(), 200);
    }
    for token in [&old, &newer] {
        assert_eq!(gateway.ask(READ, Some(token)).status(), 401);
    }
    assert_eq!(with_key(&gateway, &later), 401);
    // The trail goes on, nobody calls it forged, and it says what happened.
    let whole = told(
        gateway.files(),
        &format!(
            "audit verify --anchor {}",
            gateway.files().path("anchors").display()
        ),
        0,
    );
    assert!(
        whole.1.contains("a backup of") && whole.1.contains("without a gap"),
        "{whole:?}"
    );
    let records = json(&told(gateway.files(), "audit list --event store -o json", 0).0);
    let restored = &records[0];
    assert_eq!(restored["event.name"], "audit.store.restore");
    assert_eq!(
        restored["portcullis.after"]["keys"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(restored["portcullis.actor.kind"], "local");
    let events = json(&told(gateway.files(), "audit list --event key.expire -o json", 0).0);
    assert_eq!(
        events.as_array().unwrap().len(),
        1,
        "the past is not taken back"
    );
}

fn with_key(gateway: &Gateway, key: &Key) -> u16 {
    let headers = [("X-Api-Key", &*key.api_key())];
    gateway
        .send(&crate::harness::request(READ, &headers, b""))
        .status()
}

#[test]
fn a_backup_replaces_a_store_that_is_lost_and_the_trail_says_what_went_with_it() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let key = gateway.account("ci", &["reader"]);
    let backup = gateway.files().path("b.db");
    told(
        gateway.files(),
        &format!("store backup {}", backup.display()),
        0,
    );
    for _ in 0..5 {
        gateway.key("ci");
    }
    let anchor = told(gateway.files(), "audit anchor", 0).0;
    gateway.files().write("anchors", &anchor);
    let files = stop(gateway);
    fs::write(
        files.path("portcullis.db"),
        "no database any more, and long enough ".repeat(300),
    )
    .unwrap();
    let refused = told(&files, "serve", 1).1;
    assert!(
        refused.contains("portcullis.db") && refused.contains("store restore"),
        "{refused}"
    );
    // A backup that is merely copied into place is not served either.
    let elsewhere = Fixture::new(&upstream).write();
    fs::copy(&backup, elsewhere.path("portcullis.db")).unwrap();
    let pepper = files.path("portcullis.db.pepper");
    fs::copy(&pepper, elsewhere.path("portcullis.db.pepper")).unwrap();
    let refused = told(&elsewhere, "serve", 3).1;
    assert!(refused.contains("is a backup"), "{refused}");
    // Without the pepper it is nothing.
    fs::rename(&pepper, files.path("away")).unwrap();
    let restore = format!("store restore {} --yes", backup.display());
    let refused = told(&files, &restore, 3).1;
    assert!(
        refused.contains("pepper file") && refused.contains("missing"),
        "{refused}"
    );
    fs::rename(files.path("away"), &pepper).unwrap();
    let said = told(&files, &restore, 0).1;
    assert!(said.contains("EVERYTHING"), "{said}");
    let gateway = Gateway::start(files);
    assert_eq!(with_key(&gateway, &key), 200);
    let files = gateway.files();
    let whole = told(files, "audit verify", 0).1;
    assert!(whole.contains("are lost"), "{whole}");
    let line = format!(
        "audit verify --anchor {} -o json",
        files.path("anchors").display()
    );
    let fault = json(&told(files, &line, 1).0);
    let fault = fault["fault"].as_str().unwrap();
    assert!(fault.contains("was lost when a backup"), "{fault}");
    assert!(!fault.contains("anew"), "{fault}");
}

#[test]
fn a_damaged_backup_is_told_and_changes_nothing() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    gateway.account("ci", &["reader"]);
    let backup = gateway.files().path("b.db");
    told(
        gateway.files(),
        &format!("store backup {}", backup.display()),
        0,
    );
    let files = stop(gateway);
    let before = fs::read(files.path("portcullis.db")).unwrap();
    let whole = fs::read(&backup).unwrap();
    let place = whole.windows(6).position(|part| part == b"reader").unwrap();
    let mut turned = whole.clone();
    turned[place] ^= 1;
    for bytes in [turned, whole[..whole.len() - 4096].to_vec(), Vec::new()] {
        fs::write(&backup, bytes).unwrap();
        let line = format!("store restore {} --yes", backup.display());
        let said = told(&files, &line, 3).1;
        assert!(said.contains("b.db") && said.contains("damaged"), "{said}");
        assert_eq!(fs::read(files.path("portcullis.db")).unwrap(), before);
    }
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_store_or_the_new_one() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    gateway.account("ci", &["reader"]);
    let backup = gateway.files().path("b.db");
    told(
        gateway.files(),
        &format!("store backup {}", backup.display()),
        0,
    );
    told(gateway.files(), "accounts create later", 0);
    let mut files = gateway.files().clone();
    drop(gateway);
    let path = backup.to_str().unwrap();
    let restore = ["store", "restore", path, "--yes"];
    // How long one takes on this machine, now: kills are spread over all of that.
    let began = Instant::now();
    assert!(files.command(&restore).output().unwrap().status.success());
    let whole = began.elapsed();
    told(&files, "accounts create later", 0);
    let (mut old, mut new) = (0, 0);
    let rounds = crate::harness::long::sized(12, 60);
    // A machine that becomes slower meanwhile gets more time, until both have been seen.
    for round in 0..5 * rounds {
        if round >= rounds && old > 0 && new > 0 {
            break;
        }
        let mut child = files.command(&restore).spawn().unwrap();
        std::thread::sleep(whole * (round % rounds) / rounds * 5 / 4 * (1 + round / rounds));
        let _ = child.kill();
        child.wait().unwrap();
        let listed = json(&told(&files, "accounts list -o json", 0).0);
        match listed.as_array().unwrap().len() {
            2 => old += 1,
            1 => {
                new += 1;
                told(&files, "accounts create later", 0);
            }
            other => panic!("{other} accounts"),
        }
        let status = json(&told(&files, "store status -o json", 0).0);
        assert_eq!(status["fault"], Value::Null);
        told(&files, "audit verify", 0);
        files = files.clone();
    }
    assert!(old > 0 && new > 0, "{old} old and {new} new");
}
