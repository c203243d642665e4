//! Puts a backup back in the place of the store, and keeps what was there beside it.
//!
//! All work is done on a copy of the backup. When it is complete and on the disk it gets the name
//! `….restored`: from then on the restore is decided, and whoever opens the store next finishes it, so
//! that a death at any instant leaves the old store or the new one and never none.
//!
//! What must not come back with a backup: signing keys, so that no token made before, since, or by a
//! signing key somebody has kept is good any more (a key that is gone is told from its `kid` alone, and
//! the request path asks nothing new for it); ids that were given away since; and the past. The audit
//! trail of the store that was in place goes on if it can be read, with a record of the restore in it;
//! if it cannot, that record says that the trail is the backup's and what was written since is lost.

mod plan;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};

use super::file::{check_owner, check_pepper, connect, connect_as_it_is, failed, format};
use super::file::{log_is_read, real_path};
use super::reader::counted;
use super::{MIGRATIONS, Progress, audit, backup, first_signing_key, rows, seal};
use super::{Sqlite, step_up};
use crate::audit::{Actor, Entry, Object, Outcome};
use crate::store::lock::{Lock, beside};
use crate::store::pepper::sync_folder_of;
use crate::store::{Pepper, Records, StoreError};
use crate::words::{RequestIds, UnixTime};

pub use plan::{Plan, Reviving};

/// The event of the record that says that there is a seam in the trail.
pub(super) const RESTORED: &str = "store.restore";
/// What that record says of a trail that ends with the backup.
pub(super) const LOST: &str = "of the backup";
/// Most names of one kind in the record of a restore.
const NAMED_MAX: usize = 256;
/// Most stores that are kept from restores before.
const KEPT_MAX: usize = 1000;

/// A restore that could be carried out: the backup is whole and fits the pepper, and nobody else has
/// the store as long as this lives.
#[derive(Debug)]
pub struct Restore {
    path: PathBuf,
    backup: PathBuf,
    staged: Staged,
    pepper: Pepper,
    present: Present,
    plan: Plan,
    lock: Lock,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where the store is that was there before, if one was.
    pub kept: Option<PathBuf>,
    /// The number of the record of it in the audit trail.
    pub record: u64,
}

/// The store that is in place.
#[derive(Debug)]
enum Present {
    None,
    /// Why nobody knows what is in it.
    Unread(String),
    Read(Box<Records>),
}

impl Sqlite {
    /// Looks at the backup at `backup`, and works out what it would bring back in the place of the
    /// store at `path`. Nothing has changed when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a server or a command has the store, or the backup is damaged, of a newer
    /// format, or was made with another pepper.
    pub fn prepare_restore(
        (path, pepper): (&Path, &Path),
        backup: &Path,
        now: UnixTime,
    ) -> Result<Restore, StoreError> {
        let path = real_path(path)?;
        check_owner(&path)?;
        let mut lock = Lock::take(&path)?;
        finish(&path, &mut lock)?;
        if fs::canonicalize(backup).is_ok_and(|backup| backup == path) {
            return Err(StoreError::Conflict(format!(
                "`{}` is the store itself: name a backup of it",
                backup.display()
            )));
        }
        let loaded = Pepper::load(pepper)?;
        let staged = Staged::copy(backup, &path)?;
        let (connection, found) = open_staged(&staged, backup, (&loaded, pepper))?;
        let fails = |error| failed(backup, error);
        let said = backup::said(&connection).map_err(fails)?;
        let records = rows::load(&connection).map_err(fails)?;
        let counts = counted(&connection).map_err(fails)?;
        let present = Present::look(&path, (&loaded, pepper), &mut lock);
        let mut plan = match &present {
            Present::Read(present) => Plan::between(&records, present, now),
            Present::Unread(why) => Plan::unknown(why),
            Present::None => Plan::default(),
        };
        let taken_at = said.and_then(|said| said.get("taken_at")?.as_str()?.parse().ok());
        plan.describe(taken_at, found, counts);
        Ok(Restore {
            path,
            backup: backup.into(),
            staged,
            pepper: loaded,
            present,
            plan,
            lock,
        })
    }
}

impl Restore {
    /// What it would do.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Puts the backup in place, because `actor` wants it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the store that was there is there then.
    pub fn carry_out(mut self, actor: &Actor, now: UnixTime) -> Result<Restored, StoreError> {
        let record = self.make_ready(actor, now);
        let record = record.map_err(|error| failed(&self.backup, error))?;
        let decided = beside(&self.path, ".restored");
        let cannot = |source| StoreError::File {
            what: "put the backup in the place of",
            path: self.path.clone(),
            source,
        };
        File::open(&self.staged.0)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.staged.0, decided))
            .and_then(|()| sync_folder_of(&self.path))
            .map_err(cannot)?;
        let kept = finish(&self.path, &mut self.lock)?;
        Ok(Restored { kept, record })
    }

    /// Makes of the staged copy what the store will be: one transaction, then one file.
    fn make_ready(&self, actor: &Actor, now: UnixTime) -> rusqlite::Result<u64> {
        let mut connection = connect(&self.staged.0)?;
        let goes_on = matches!(self.present, Present::Read(_));
        if goes_on {
            let present = self.path.to_string_lossy();
            connection.execute("ATTACH DATABASE ?1 AS present", [present])?;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("DELETE FROM signing_keys; DELETE FROM revoked_tokens;")?;
        rows::insert_signing_key(&transaction, &first_signing_key(&self.pepper, now))?;
        if goes_on {
            bring_along(&transaction, now)?;
        }
        backup::unmark(&transaction)?;
        let chain = self.pepper.chain_key();
        let record = audit::append(&transaction, &chain, &self.entry(actor, now, goes_on))?;
        seal::put_anew(&transaction, &self.pepper.seal_key())?;
        transaction.commit()?;
        if goes_on {
            connection.execute_batch("DETACH DATABASE present")?;
        }
        // One file, without a log beside it that would have to be renamed as well.
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(record)
    }

    fn entry(&self, actor: &Actor, now: UnixTime, goes_on: bool) -> Entry {
        let named = |kind: &str| -> Vec<String> {
            let revived = self.plan.revives.iter().filter(|one| one.kind == kind);
            revived.take(NAMED_MAX).map(|one| one.id.clone()).collect()
        };
        let after = json!({
            "taken_at": self.plan.taken_at,
            "format": self.plan.format,
            "trail": if goes_on { "goes on" } else { LOST },
            "not_compared": self.plan.not_compared,
            "revived": self.plan.revives.len(),
            "accounts": named("account"),
            "keys": named("key"),
            "lost": self.plan.loses.len(),
            "tokens": "all ended",
        });
        Entry {
            at: now,
            event: RESTORED,
            actor: actor.clone(),
            request_id: RequestIds::new().next(now),
            instance: String::new(),
            object: Object {
                kind: "store",
                name: Some(self.backup.display().to_string()),
                ..Object::default()
            },
            words: None,
            outcome: Outcome::Success,
            repeated: None,
            before: Value::Null,
            after,
        }
    }
}

impl Present {
    fn look(path: &Path, pepper: (&Pepper, &Path), lock: &mut Lock) -> Self {
        if fs::metadata(path).map_or(true, |stat| stat.len() == 0) && lock.expects(path).is_ok() {
            return Self::None;
        }
        match Self::read(path, pepper, lock) {
            Ok(records) => Self::Read(Box::new(records)),
            Err(error) => Self::Unread(error.to_string()),
        }
    }

    fn read(path: &Path, pepper: (&Pepper, &Path), lock: &mut Lock) -> Result<Records, StoreError> {
        lock.expects(path)?;
        lock.hold(path)?;
        let connection = connect_as_it_is(path).map_err(|error| failed(path, error))?;
        let found = format(&connection, path)?;
        if found != MIGRATIONS.len() {
            return Err(StoreError::Conflict(format!(
                "the store in place is of format {found}, and stores are compared in format {}",
                MIGRATIONS.len()
            )));
        }
        check_pepper(&connection, path, pepper)?;
        backup::proven(&connection, path, (&pepper.0.seal_key(), found))?;
        let records = rows::load(&connection).map_err(|error| failed(path, error))?;
        log_is_read(&connection, path, lock)?;
        Ok(records)
    }
}

/// The past of the store in place: its trail, its refusals, and ids that are nobody's any more.
fn bring_along(transaction: &Transaction<'_>, now: UnixTime) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO main.ids (id, dead_at) SELECT id, coalesce(dead_at, ?1) FROM present.ids \
         WHERE true ON CONFLICT DO NOTHING",
        params![rows::millis(now)],
    )?;
    for table in ["audit", "audit_ends", "denials", "denial_groups"] {
        transaction.execute_batch(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM present.{table};"
        ))?;
    }
    Ok(())
}

/// Opens the staged copy, proves it, and brings it up to the newest format. Says which it had.
fn open_staged(
    staged: &Staged,
    backup: &Path,
    pepper: (&Pepper, &Path),
) -> Result<(Connection, usize), StoreError> {
    let fails = |error| failed(backup, error);
    let mut connection = connect(&staged.0).map_err(fails)?;
    let found = format(&connection, backup)?;
    if found == 0 {
        return Err(StoreError::Damaged {
            path: backup.into(),
            what: "there is nothing in it".to_owned(),
        });
    }
    check_pepper(&connection, backup, pepper)?;
    let key = pepper.0.seal_key();
    backup::proven(&connection, backup, (&key, found))?;
    let progress: Progress<'_> = &mut |_, _| {};
    let chain = pepper.0.chain_key();
    let stepped = step_up(
        &mut connection,
        (&key, found),
        progress,
        |transaction| match found < super::AUDIT_FORMAT {
            true => audit::begin(transaction, &chain),
            false => Ok(()),
        },
    );
    stepped.map_err(fails)?;
    Ok((connection, found))
}

/// Finishes a restore that was decided, and says where the store is that was in place before.
pub(super) fn finish(path: &Path, lock: &mut Lock) -> Result<Option<PathBuf>, StoreError> {
    let decided = beside(path, ".restored");
    if !decided.exists() {
        return Ok(None);
    }
    lock.log_is_read()?;
    let moved = || -> io::Result<Option<PathBuf>> {
        let kept = kept(path)?;
        // The log first: as long as the store has its name, the number of what is kept is the same.
        if_there(fs::rename(beside(path, "-wal"), beside(&kept, "-wal")))?;
        if_there(fs::remove_file(beside(path, "-shm")))?;
        let was_there = if_there(fs::rename(path, &kept))?;
        fs::rename(&decided, path)?;
        sync_folder_of(path)?;
        Ok(was_there.then_some(kept))
    };
    moved().map_err(|source| StoreError::File {
        what: "put the backup in the place of",
        path: path.into(),
        source,
    })
}

/// The first name that is free for the store in place.
fn kept(path: &Path) -> io::Result<PathBuf> {
    let names = (1..=KEPT_MAX).map(|number| beside(path, &format!(".before-restore-{number}")));
    let mut free = names.filter(|name| fs::symlink_metadata(name).is_err());
    free.next()
        .ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

/// Says whether it was done; what is not there need not be.
fn if_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A private copy of a backup, beside the store it is for; it goes when it is dropped, unless it has
/// become the store.
#[derive(Debug)]
struct Staged(PathBuf);

impl Staged {
    fn copy(backup: &Path, store: &Path) -> Result<Self, StoreError> {
        let staged = Self(beside(store, ".restoring"));
        staged.remove();
        let cannot = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| StoreError::File { what, path, source }
        };
        let mut from = File::open(backup).map_err(cannot("read the backup", backup))?;
        // A copy that some other program made of a store in use has its newest changes in a log.
        let log = beside(backup, "-wal");
        let to_log = beside(&staged.0, "-wal");
        let copied = |from: &mut File, to: &Path| -> io::Result<()> {
            let mut to = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(to)?;
            io::copy(from, &mut to).map(drop)
        };
        copied(&mut from, &staged.0).map_err(cannot("write", &staged.0))?;
        match File::open(&log) {
            Ok(mut from) => copied(&mut from, &to_log).map_err(cannot("write", &to_log))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("read the backup", &log)(error)),
        }
        Ok(staged)
    }

    fn remove(&self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(beside(&self.0, ending));
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.remove();
    }
}
