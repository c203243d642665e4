//! A store in one file: SQLite in WAL mode, synced at every commit.
//!
//! One process has it open; the lock beside the file sees to that. The file is made private, not
//! made private afterwards. A store is new or whole: schema, pepper fingerprint and the first
//! signing key are one transaction, so a death in the middle of the first start leaves a file that
//! the next start takes for new.

mod apply;
mod audit;
mod backup;
mod ballast;
mod denials;
mod file;
mod look;
mod reader;
mod restore;
mod rows;
mod seal;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde_json::json;

use self::file::{APPLICATION_ID, check_owner, check_pepper, connect_as_it_is, create_private};
use self::file::{failed, format, is_disk_untrue, log_is_read, real_path, write_ahead};
use self::seal::Seal;
use super::lock::Lock;
use super::pepper::sync_folder_of;
use super::{Change, Pepper, Pulse, Records, SigningKeyRecord, Store, StoreError};
use crate::audit::{Anchor, Broken, ChainKey, Checked, Entry, Filter as AuditFilter, Page};
use crate::denials::{Batch, Filter, Group, Record};
use crate::directory::SigningKey;
use crate::settings;
use crate::words::{RequestId, UnixTime};

pub use backup::Backup;
pub use reader::Reader;
pub use restore::{Plan, Restore, Restored, Reviving};
pub(in crate::store) use seal::SealKey;

/// Every format there ever was, oldest first; the format of a file is how many it has been through.
const MIGRATIONS: [&str; 8] = [
    include_str!("migrations/001-begin.sql"),
    include_str!("migrations/002-denials.sql"),
    include_str!("migrations/003-keys.sql"),
    include_str!("migrations/004-audit.sql"),
    include_str!("migrations/005-owners.sql"),
    include_str!("migrations/006-tokens.sql"),
    include_str!("migrations/007-seal.sql"),
    include_str!("migrations/008-makers.sql"),
];

/// The format that brought the audit trail.
const AUDIT_FORMAT: usize = 4;
/// The format that brought the seal.
const SEAL_FORMAT: usize = 7;

/// Hears of each step from one format to the next, just before it is taken.
pub type Progress<'p> = &'p mut dyn FnMut(usize, usize);

/// A store in one file.
#[derive(Debug)]
pub struct Sqlite {
    // Dropped first: the lock must outlive the connection.
    connection: Connection,
    path: PathBuf,
    chain: ChainKey,
    seal: Seal,
    /// Why nothing is written any more, if it is not.
    stopped: Option<String>,
    pulse: Arc<Pulse>,
    lock: Lock,
}

impl Sqlite {
    /// Opens the store at `path`, or makes it, with the pepper at `pepper`. An older format is brought
    /// up to this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when another process has it open, it belongs to somebody else, is of a newer
    /// format, no store of ours or damaged, or the pepper is not the one it was made with.
    pub fn open(path: &Path, pepper: &Path, now: UnixTime) -> Result<(Self, Pepper), StoreError> {
        let mut said = |from: usize, to: usize| {
            tracing::info!(from, to, "the store is brought to a newer format");
        };
        let (mut store, found, pepper) = Self::enter(path, pepper)?;
        match found {
            0 => store.begin(&pepper, now)?,
            _ => store.proceed(found, now, &mut said)?,
        }
        store.lock.begun(&store.path)?;
        Ok((store, pepper))
    }

    /// Brings the store at `path` up to the newest format, and keeps what it was beside it. Says from
    /// which format to which, and where the copy is; `None` if there was nothing to do.
    ///
    /// # Errors
    ///
    /// As for [`Sqlite::open`]; the store is as it was then. Without a store there is none to migrate.
    pub fn migrate(
        path: &Path,
        pepper: &Path,
        now: UnixTime,
        progress: Progress<'_>,
    ) -> Result<Option<(usize, usize, PathBuf)>, StoreError> {
        if !path.exists() {
            return Err(StoreError::none(path));
        }
        let (mut store, found, _) = Self::enter(path, pepper)?;
        if found == MIGRATIONS.len() {
            store.whole()?;
            store.lock.begun(&store.path)?;
            return Ok(None);
        }
        let kept = backup::keep(&store.connection, &store.path, found)?;
        store.proceed(found, now, progress)?;
        store.lock.begun(&store.path)?;
        Ok(Some((found, MIGRATIONS.len(), kept)))
    }

    /// Opens the file, whatever its format, as its one writer. Says the format.
    fn enter(path: &Path, pepper: &Path) -> Result<(Self, usize, Pepper), StoreError> {
        let path = real_path(path)?;
        check_owner(&path)?;
        let mut lock = Lock::take(&path)?;
        restore::finish(&path, &mut lock)?;
        lock.expects(&path)?;
        create_private(&path)?;
        lock.hold(&path)?;
        let connection = connect_as_it_is(&path).map_err(|error| failed(&path, error))?;
        let found = format(&connection, &path)?;
        write_ahead(&connection).map_err(|error| failed(&path, error))?;
        // From here on a log that is missing was put into the file by us.
        log_is_read(&connection, &path, &mut lock)?;
        let loaded = match found {
            0 => Pepper::load_or_create(pepper)?,
            _ => Pepper::load(pepper)?,
        };
        if found > 0 {
            check_pepper(&connection, &path, (&loaded, pepper))?;
        }
        if found > 0 && backup::is_one(&connection).map_err(|error| failed(&path, error))? {
            return Err(StoreError::ABackup { path });
        }
        let seal = Seal::watch(&connection, loaded.seal_key());
        let store = Self {
            seal: seal.map_err(|error| failed(&path, error))?,
            connection,
            path,
            chain: loaded.chain_key(),
            stopped: None,
            pulse: Arc::default(),
            lock,
        };
        Ok((store, found, loaded))
    }

    /// Makes a new store: all of it in one transaction.
    fn begin(&mut self, pepper: &Pepper, now: UnixTime) -> Result<(), StoreError> {
        let first = first_signing_key(pepper, now);
        let made = of_itself("store.create", now, 0);
        let step = |transaction: &Transaction<'_>, chain: &ChainKey| {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('pepper', ?1)",
                [pepper.fingerprint()],
            )?;
            rows::insert_signing_key(transaction, &first)?;
            audit::begin(transaction, chain)?;
            audit::append(transaction, chain, &made).map(drop)
        };
        self.step_up(0, &mut |_, _| {}, step)?;
        sync_folder_of(&self.path).map_err(|source| StoreError::File {
            what: "sync the folder of",
            path: self.path.clone(),
            source,
        })
    }

    /// Goes on with a store of format `found`, if it is whole.
    fn proceed(
        &mut self,
        found: usize,
        now: UnixTime,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        if found >= SEAL_FORMAT {
            self.whole()?;
        }
        if found == MIGRATIONS.len() {
            return Ok(());
        }
        let migrated = of_itself("store.migrate", now, found);
        self.step_up(found, progress, |transaction, chain| {
            if found < AUDIT_FORMAT {
                audit::begin(transaction, chain)?;
            }
            audit::append(transaction, chain, &migrated).map(drop)
        })
    }

    /// Refuses a store whose rows are not those that were written.
    fn whole(&self) -> Result<(), StoreError> {
        let holds = self.seal.holds(&self.connection);
        match holds.map_err(|error| failed(&self.path, error))? {
            true => Ok(()),
            false => Err(StoreError::damaged(&self.path, reader::UNSEALED)),
        }
    }

    /// Does all of `run` or nothing, and seals what came of it.
    fn transact<T>(
        &mut self,
        run: impl FnOnce(&Transaction<'_>, &ChainKey) -> Result<T, apply::Refusal>,
    ) -> Result<T, StoreError> {
        if let Some(what) = &self.stopped {
            self.pulse.failed();
            return Err(StoreError::Stopped {
                path: self.path.clone(),
                what: what.clone(),
            });
        }
        let (connection, chain, seal) = (&mut self.connection, &self.chain, &mut self.seal);
        let mut at_the_end = false;
        let attempt = || -> Result<T, apply::Refusal> {
            seal.before(connection)?;
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = run(&transaction, chain)?;
            let written = seal.write(&transaction)?;
            at_the_end = true;
            transaction.commit()?;
            seal.committed(&written);
            Ok(done)
        };
        let done = attempt();
        if done.is_ok() {
            self.pulse.wrote();
        }
        done.map_err(|refusal| match refusal {
            apply::Refusal::Rule(error) => error,
            apply::Refusal::Engine(error) => self.broke(error, at_the_end),
        })
    }

    /// What a failure of the engine means from now on. What failed before its end was taken back, and of
    /// what failed at its end the seal says whether it was: to add every row up again, or to read them,
    /// would keep the next revocation waiting just when the disk is slow.
    fn broke(&mut self, error: rusqlite::Error, at_the_end: bool) -> StoreError {
        self.pulse.failed();
        if is_disk_untrue(&error) {
            self.stopped = Some(error.to_string());
        }
        let is_open = !self.connection.is_autocommit();
        let doubt = is_open || (at_the_end && !self.seal.stands(&self.connection));
        if doubt {
            self.seal.doubt();
        }
        let mut told = failed(&self.path, error);
        if let StoreError::Engine { in_doubt, .. } = &mut told {
            *in_doubt = doubt;
        }
        told
    }

    fn step_up(
        &mut self,
        found: usize,
        progress: Progress<'_>,
        then: impl FnOnce(&Transaction<'_>, &ChainKey) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let (connection, chain, key) = (&mut self.connection, &self.chain, self.seal.key());
        let then = |transaction: &Transaction<'_>| then(transaction, chain);
        let stepped = step_up(connection, (key, found), progress, then);
        let recounted = stepped.and_then(|()| self.seal.recount(&self.connection));
        recounted.map_err(|error| failed(&self.path, error))
    }
}

/// Takes a file from format `found` to the newest, and seals it: all in one transaction.
fn step_up(
    connection: &mut Connection,
    (key, found): (&SealKey, usize),
    progress: Progress<'_>,
    then: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (number, step) in MIGRATIONS.iter().enumerate().skip(found) {
        progress(number, number + 1);
        transaction.execute_batch(step)?;
    }
    let format = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    transaction.pragma_update(None, "user_version", format)?;
    then(&transaction)?;
    seal::put_anew(&transaction, key)?;
    transaction.commit()
}

/// Without the mark that its log is due, whoever opens it next takes one that is missing for merged.
/// So it goes before the connection, whose end merges the log.
impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Err(error) = log_is_read(&self.connection, &self.path, &mut self.lock) {
            tracing::warn!(%error, "the lock file of the store could not be written");
        }
    }
}

/// A signing key for a store that has none, or none that is to be believed any more.
fn first_signing_key(pepper: &Pepper, now: UnixTime) -> SigningKeyRecord {
    let (key, private) = SigningKey::generate(now);
    SigningKeyRecord {
        wrapped: pepper.wrap(&key.kid, &private),
        kid: key.kid,
        public: key.public,
        created_at: now,
        retired_at: None,
    }
}

impl Store for Sqlite {
    fn load(&self) -> Result<Records, StoreError> {
        rows::load(&self.connection).map_err(|error| failed(&self.path, error))
    }

    fn commit(
        &mut self,
        change: Option<&Change>,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        if entries.is_empty() && change.is_some_and(|change| !change.is_bookkeeping()) {
            return Err(StoreError::Unrecorded);
        }
        self.transact(|transaction, chain| {
            if let Some(change) = change {
                apply::apply(transaction, change)?;
            }
            let mut number = None;
            for entry in entries {
                number = Some(audit::append(transaction, chain, entry)?);
            }
            Ok(number)
        })
    }

    fn audit(&self, filter: &AuditFilter, after: Option<u64>) -> Result<Page, StoreError> {
        let found = match after {
            None => audit::list(&self.connection, filter),
            Some(after) => audit::follow(&self.connection, after, filter),
        };
        found.map_err(|error| failed(&self.path, error))
    }

    fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError> {
        audit::anchor(&self.connection, &self.chain, now).map_err(|error| failed(&self.path, error))
    }

    fn check_anchor(&self, anchor: &Anchor) -> Result<Option<Broken>, StoreError> {
        audit::check_anchor(&self.connection, &self.chain, anchor)
            .map_err(|error| failed(&self.path, error))
    }

    fn check_audit(&self, after: Option<u64>) -> Result<Checked, StoreError> {
        audit::check(&self.connection, &self.chain, after)
            .map_err(|error| failed(&self.path, error))
    }

    fn cut_audit(
        &mut self,
        bounds: &settings::Audit,
        now: UnixTime,
        instance: &str,
    ) -> Result<u64, StoreError> {
        self.transact(|transaction, chain| {
            Ok(audit::cut(transaction, chain, (bounds, now, instance))?)
        })
    }

    fn keep_denials(
        &mut self,
        batch: &Batch,
        bounds: &settings::Denials,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.transact(|transaction, _| Ok(denials::keep(transaction, batch, bounds, now)?))
    }

    fn denial(&self, id: &RequestId) -> Result<Option<Record>, StoreError> {
        denials::find(&self.connection, id).map_err(|error| failed(&self.path, error))
    }

    fn denials(&self, filter: &Filter) -> Result<Vec<Record>, StoreError> {
        denials::list(&self.connection, filter).map_err(|error| failed(&self.path, error))
    }

    fn denial_groups(&self) -> Result<Vec<Group>, StoreError> {
        denials::groups(&self.connection).map_err(|error| failed(&self.path, error))
    }

    fn keep_room(&mut self) {
        if let Err(error) = ballast::keep(&self.path) {
            tracing::warn!(%error, "no room is kept for revocations on a full disk");
        }
    }

    fn make_room(&mut self) -> bool {
        ballast::give_up(&self.path)
    }

    fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    fn reader(&self) -> Option<Reader> {
        Some(Reader::new(&self.path, &self.chain, self.seal.key()))
    }

    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

/// The record of a new format.
fn of_itself(event: &'static str, now: UnixTime, found: usize) -> Entry {
    let said = json!({ "from_format": found, "format": MIGRATIONS.len() });
    audit::entry_of(event, now, "", said)
}

#[cfg(test)]
mod tests;
