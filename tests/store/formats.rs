//! Stores of every format there ever was, as they were written then, opened by this version.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use portcullis::store::{Records, Sqlite, Store as _, pepper_path};
use portcullis::words::UnixTime;
use serde_json::{Value, json};

use super::told;
use crate::harness::{Files, Fixture, Gateway, Key, Upstream};

/// The pepper of those stores, and the one key in them that is alive. Nobody uses either.
const PEPPER: [u8; 32] = [
    0xb9, 0x96, 0x1b, 0xa5, 0xa7, 0x10, 0xce, 0x92, 0x0f, 0x98, 0xcd, 0xf2, 0x61, 0xf0, 0xe2, 0x41,
    0xf9, 0x4f, 0xcd, 0x4e, 0x68, 0x9f, 0x8e, 0x04, 0xf3, 0xb1, 0x5a, 0x76, 0xd2, 0x1b, 0x44, 0x87,
];
const KEY: [&str; 2] = [
    "pck_nUr5Fvhg2i71YHBjypPMth1CjuL3",
    "pcs_FlGvX4xkVwj4Oh7nPEU78nVLKeO1MelPPsgdFErvdrg2D2OLr",
];
/// When they were written, and a moment later.
const THEN: UnixTime = UnixTime::from_secs(1_795_352_500);

/// Lays a store of format `format` where a gateway looks for its own.
fn lay(path: &Path, format: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join(format!("tests/data/store/format-{format}.sql"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; whoever adds a format adds this",
            file.display()
        )
    });
    let store = rusqlite::Connection::open(path).unwrap();
    store.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    store.execute_batch(&text).unwrap();
    drop(store);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let pepper = pepper_path(path);
    fs::write(&pepper, PEPPER).unwrap();
    fs::set_permissions(&pepper, fs::Permissions::from_mode(0o600)).unwrap();
}

fn newest(path: &Path) -> usize {
    let status = Sqlite::status(path, &pepper_path(path)).unwrap();
    usize::try_from(status["newest_format"].as_u64().unwrap()).unwrap()
}

/// What is the same in all of those stores.
fn holds(records: &Records) {
    let name = |name: &str| {
        let mut accounts = records.accounts.values();
        accounts
            .find(|account| account.name.as_str() == name)
            .unwrap()
    };
    assert_eq!(records.accounts.len(), 2);
    assert!(name("ci").enabled && !name("off").enabled);
    assert_eq!(name("off").grants[0].within.to_string(), "tenant acme");
    let alive = records.key(&KEY[0].parse().unwrap()).unwrap();
    assert_eq!((&alive.account, alive.expires_at), (&name("ci").id, None));
    let ended = records.keys().filter(|key| key.is_expired_by(THEN));
    assert_eq!(ended.count(), 1);
    let group = records.groups.values().next().unwrap();
    assert!(group.members.contains(&name("ci").id));
    assert_eq!(group.grants[0].role.as_str(), "watcher");
    assert_eq!(records.roles.len(), 1);
    assert_eq!(records.dead_accounts.len(), 1);
    let signing = records.signing_keys.iter();
    assert_eq!(signing.filter(|key| key.retired_at.is_none()).count(), 1);
}

/// How long ago a key ended matters here, and not to the product.
trait Ended {
    fn is_expired_by(&self, now: UnixTime) -> bool;
}

impl Ended for portcullis::store::KeyRecord {
    fn is_expired_by(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[test]
fn every_format_there_ever_was_is_brought_up_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.db");
    lay(&first, 1);
    for format in 1..newest(&first) {
        let path = folder.path().join(format!("{format}.db"));
        lay(&path, format);
        let (store, _) = Sqlite::open(&path, &pepper_path(&path), THEN).unwrap();
        let records = store.load().unwrap();
        holds(&records);
        let checked = store.check_audit(None).unwrap();
        assert_eq!(
            (checked.done, checked.fault),
            (true, None),
            "format {format}"
        );
        let last = store
            .audit(&portcullis::audit::Filter::default(), None)
            .unwrap();
        let last = last.rows[0].shown();
        assert_eq!(last["event.name"], "audit.store.migrate", "format {format}");
        assert_eq!(last["portcullis.after"]["from_format"], format);
        drop(store);
        let (again, _) = Sqlite::open(&path, &pepper_path(&path), THEN).unwrap();
        assert_eq!(again.load().unwrap(), records, "format {format}");
    }
}

/// Files of a gateway on a store of format `format`.
fn files(upstream: &Upstream, format: usize) -> Files {
    let files = Fixture::new(upstream).listener("api_key: true").write();
    lay(&files.path("portcullis.db"), format);
    files
}

#[test]
fn a_store_is_migrated_with_a_word_for_each_step_and_kept_as_it_was() {
    let upstream = Upstream::start();
    let files = files(&upstream, 1);
    let status =
        || -> Value { serde_json::from_str(&told(&files, "store status -o json", 0).0).unwrap() };
    let (before, newest) = (status(), status()["newest_format"].clone());
    assert_eq!(before["format"], 1, "looking at it changes nothing");
    assert_eq!(before["fault"], Value::Null);
    let refused = told(&files, "store backup b.db", 6).1;
    assert!(refused.contains("portcullis store migrate"), "{refused}");
    let (printed, said) = told(&files, "store migrate -o json", 0);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&printed["from"], &printed["to"]), (&json!(1), &newest));
    assert!(
        said.contains("format 1 to 2") && said.contains("format 2 to 3"),
        "{said}"
    );
    let kept = files.path("portcullis.db.format-1");
    assert_eq!(
        printed["kept"].as_str().map(Path::new),
        Some(&*fs::canonicalize(&kept).unwrap())
    );
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    let as_it_was = rusqlite::Connection::open(&kept).unwrap();
    let format: i64 = as_it_was
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(format, 1);
    assert_eq!(status()["format"], newest);
    let again = told(&files, "store migrate -o json", 0).0;
    assert_eq!(
        serde_json::from_str::<Value>(&again).unwrap()["migrated"],
        false
    );

    let gateway = Gateway::start(files);
    let key = Key {
        id: KEY[0].to_owned(),
        secret: KEY[1].to_owned(),
    };
    let token = gateway.token(&key);
    assert_eq!(gateway.ask("GET /v1/items/7", Some(&token)).status(), 200);
    let refused = told(gateway.files(), "store migrate", 3).1;
    assert!(refused.contains("stop it first"), "{refused}");
    told(gateway.files(), "audit verify", 0);
}

#[test]
fn a_newer_format_is_left_alone_by_every_command() {
    let upstream = Upstream::start();
    let files = files(&upstream, 6);
    let path = files.path("portcullis.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    let before = fs::read(&path).unwrap();
    fs::write(files.path("backup.db"), &before).unwrap();
    for line in [
        "store status",
        "store backup FOLDER/b.db",
        "store migrate",
        "store restore FOLDER/backup.db --yes",
    ] {
        let line = line.replace("FOLDER", files.path("").to_str().unwrap());
        let said = told(&files, &line, 3).1;
        assert!(
            said.contains("written by a newer gateway (format 99"),
            "{line}: {said}"
        );
    }
    for (line, code) in [("serve", 1), ("accounts list", 3)] {
        let said = told(&files, line, code).1;
        assert!(said.contains("run that version"), "{line}: {said}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}
