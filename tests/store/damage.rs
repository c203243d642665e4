//! A store that is not what was written is refused with its name and the cure, never served as a guess
//! (F29, F31).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::store::{Change, Records, Sqlite, Store as _, StoreError, pepper_path};

use super::{Apply as _, account, key, role, time, told};
use crate::harness::{Fixture, Upstream, long};

/// SQLite's, and the disk's.
const PAGE: usize = 4096;

fn open(path: &Path) -> Result<Sqlite, StoreError> {
    Sqlite::open(path, &pepper_path(path), time(1)).map(|(store, _)| store)
}

/// A store with a few hundred rows of everything, closed, so that all of it stands in one file.
fn filled(folder: &Path) -> (PathBuf, Records) {
    let path = folder.join("p.db");
    let mut store = open(&path).unwrap();
    for number in 0..40 {
        let account = account(number);
        store
            .apply(&Change::CreateAccount(account.clone()))
            .unwrap();
        for other in 0..3 {
            store
                .apply(&Change::CreateKey(key(other, &account.id)))
                .unwrap();
        }
    }
    for number in 0..3 {
        store
            .apply(&Change::CreateRole(role(number, 2, time(3))))
            .unwrap();
    }
    let records = store.load().unwrap();
    (path, records)
}

/// Copies what belongs to a store, as a machine that died would leave it.
fn copy(from: &Path, to: &Path) -> PathBuf {
    let name = from.file_name().unwrap().to_str().unwrap();
    for ending in ["", "-wal", ".lock", ".pepper"] {
        let file = from.with_file_name(format!("{name}{ending}"));
        if file.exists() {
            fs::copy(&file, to.join(format!("{name}{ending}"))).unwrap();
        }
    }
    to.join(name)
}

/// What may happen to a page.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Bit(usize),
    Zeroed,
    Cut,
    Of(usize),
}

impl Harm {
    fn done(self, bytes: &mut Vec<u8>, page: usize) {
        let start = page * PAGE;
        match self {
            Self::Bit(at) => bytes[start + at] ^= 1 << (at % 8),
            Self::Zeroed => bytes[start..start + PAGE].fill(0),
            Self::Cut => bytes.truncate(start),
            // Another page stands in its place, as after a write that went astray.
            Self::Of(other) => bytes.copy_within(other * PAGE..(other + 1) * PAGE, start),
        }
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "what every damage is held against, and every damage"
)]
fn no_damage_to_any_page_changes_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = filled(folder.path());
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / PAGE;
    assert!(pages > 40, "{pages} pages are few");
    let bits = (0..long::sized(5, 40)).map(|number| Harm::Bit((number * 1237 + 5) % PAGE));
    let harms: Vec<_> = bits
        .chain([Harm::Zeroed, Harm::Cut, Harm::Of(pages / 2)])
        .collect();
    let (mut refused, mut trail, mut none) = (0, 0, 0);
    let place = tempfile::tempdir().unwrap();
    for page in 0..pages {
        for harm in &harms {
            let mut bytes = whole.clone();
            harm.done(&mut bytes, page);
            if bytes == whole {
                continue;
            }
            let copied = copy(&path, place.path());
            fs::write(&copied, &bytes).unwrap();
            let opened = open(&copied);
            let opened = opened.and_then(|store| store.load().map(|loaded| (loaded, store)));
            match opened {
                Ok((loaded, store)) => {
                    assert_eq!(loaded, records, "page {page}, {harm:?}: served a guess");
                    match store.check_audit(None) {
                        Ok(checked) if checked.fault.is_none() => none += 1,
                        Ok(_) | Err(_) => trail += 1,
                    }
                }
                Err(error) => {
                    let said = error.to_string();
                    let cure = [
                        "store restore",
                        "other program",
                        "by hand",
                        "there was one here",
                    ];
                    let names = said.contains("p.db") || matches!(error, StoreError::Pepper(_));
                    assert!(names, "page {page}, {harm:?}: {said}");
                    assert!(
                        cure.iter().any(|cure| said.contains(cure))
                            || said.contains("newer gateway"),
                        "page {page}, {harm:?}: {said}"
                    );
                    refused += 1;
                }
            }
            for entry in fs::read_dir(place.path()).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
    }
    // Pages of the trail and of free space hold nothing that is served.
    assert!(
        refused > pages,
        "{refused} refused, {trail} of the trail, {none} nowhere"
    );
    long::passed(
        "F29",
        &format!(
            "{pages} pages: {refused} refused, {trail} found in the trail, {none} without a trace, none served"
        ),
    );
}

#[test]
fn a_row_that_was_edited_put_back_or_taken_out_is_found_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path());
    for harm in [
        "UPDATE keys SET expires_at = NULL WHERE expires_at IS NOT NULL",
        "UPDATE accounts SET enabled = 1 WHERE enabled = 0",
        "DELETE FROM keys WHERE id IN (SELECT id FROM keys LIMIT 1)",
        "INSERT INTO ids (id) VALUES ('sa_another')",
        "DELETE FROM meta WHERE name = 'seal'",
        "UPDATE meta SET value = zeroblob(40) WHERE name = 'seal'",
        "INSERT INTO account_grants SELECT account, 'admin', '{}', NULL FROM account_grants LIMIT 1",
    ] {
        let place = tempfile::tempdir().unwrap();
        let copied = copy(&path, place.path());
        let tampered = rusqlite::Connection::open(&copied).unwrap();
        let rows = tampered.execute(harm, []).unwrap();
        assert!(rows > 0, "{harm}");
        drop(tampered);
        let error = open(&copied).err().unwrap_or_else(|| panic!("{harm}"));
        let said = error.to_string();
        assert!(
            said.contains("the seal does not fit") && said.contains("store restore"),
            "{said}"
        );
        let status = Sqlite::status(&copied, &pepper_path(&copied)).unwrap();
        assert!(
            status["fault"].as_str().unwrap().contains("seal"),
            "{status}"
        );
    }
}

#[test]
fn a_file_or_a_log_that_is_gone_is_missed_and_nothing_is_begun_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut store = open(&path).unwrap();
    store.apply(&Change::CreateAccount(account(1))).unwrap();
    // As it is left by a machine that dies now: what was acknowledged stands in the log.
    let died = |what: &dyn Fn(&Path)| {
        let place = tempfile::tempdir().unwrap();
        let copied = copy(&path, place.path());
        what(&copied);
        let opened = open(&copied).and_then(|store| store.load());
        (opened, place)
    };
    let (whole, _place) = died(&|_| {});
    assert_eq!(whole.unwrap(), store.load().unwrap());
    let (no_log, place) = died(&|path| fs::remove_file(path.with_file_name("p.db-wal")).unwrap());
    let said = no_log.unwrap_err().to_string();
    assert!(
        said.contains("p.db-wal") && said.contains("revoked keys among them"),
        "{said}"
    );
    // Whoever knows better says so.
    fs::remove_file(place.path().join("p.db.lock")).unwrap();
    open(&place.path().join("p.db")).unwrap();
    for gone in [
        &(|path: &Path| fs::remove_file(path).unwrap()) as &dyn Fn(&Path),
        &|path: &Path| fs::write(path, "").unwrap(),
    ] {
        let (opened, place) = died(gone);
        let said = opened.unwrap_err().to_string();
        assert!(
            said.contains("empty or gone") && said.contains("p.db.lock"),
            "{said}"
        );
        let left = fs::metadata(place.path().join("p.db")).map_or(0, |stat| stat.len());
        assert_eq!(left, 0, "nothing was begun");
    }
    drop(store);
    // An end without haste leaves no log, and none is missed.
    assert!(!path.with_file_name("p.db-wal").exists());
    drop(open(&path).unwrap());
}

#[test]
fn a_store_that_may_not_be_written_is_refused_and_says_why() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    told(&files, "accounts create ci", 0);
    let folder = files.path("");
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let nobody = Command::new("setpriv")
            .args(["--reuid=65534", "--clear-groups"])
            .arg(files.command(&[]).get_program())
            .arg("-c")
            .arg(files.config())
            .args(["accounts", "list"])
            .output();
        match nobody {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(3), "{said}");
                assert!(said.contains("belongs to user id 0"), "{said}");
            }
            Err(_) => long::skipped("a store of another user (there is no setpriv)"),
        }
        let mounted = |options: &str| {
            let mut mount = Command::new("mount");
            mount.args(["-o", options]).arg(&folder).arg(&folder);
            mount.output().is_ok_and(|done| done.status.success())
        };
        if !mounted("bind") || !mounted("remount,bind,ro") {
            long::skipped("a file system that is read-only (mounting is not allowed)");
            return;
        }
        let said = told(&files, "accounts list", 3).1;
        let _ = Command::new("umount").arg("-l").arg(&folder).output();
        assert!(said.contains("Read-only file system"), "{said}");
    } else {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        fs::remove_file(files.path("portcullis.db.lock")).unwrap_err();
        fs::set_permissions(
            files.path("portcullis.db"),
            fs::Permissions::from_mode(0o400),
        )
        .unwrap();
        let said = told(&files, "accounts list", 3).1;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(said.contains("portcullis.db"), "{said}");
    }
    told(&files, "accounts list", 0);
}
