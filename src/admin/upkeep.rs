//! What is written without anybody asking: the last use of keys, refusals, what was asked again, and the
//! bounds of the audit trail; and the one place where records of the trail are written and counted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::trail::{Asked, Trail};
use super::{Service, repeats, trail};
use crate::audit::{Actor, Entry, Outcome};
use crate::directory::State;
use crate::store::{Change, KeyRecord, Store, StoreError, Told};
use crate::words::{KeyId, UnixTime};

/// Most uses of keys that are written back while the lock is held: some milliseconds' worth, after which
/// a revocation that waits has its turn.
const WRITTEN_AT_ONCE: usize = 500;

/// How long others may then take the lock: as long as it takes to wake them.
const WRITING_RESTS: Duration = Duration::from_millis(1);

/// How long a key that ended is still shown: a quarter, in which somebody who looks into an incident
/// wants to know whose it was and when it was last used.
const ENDED_KEYS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Most of them that are forgotten while the lock is held: some ten milliseconds' worth.
const FORGOTTEN_AT_ONCE: usize = 500;

impl Service {
    /// Writes `change` and `entries` in one transaction, and counts them. The last entry's number.
    pub(super) fn commit(
        &self,
        store: &mut dyn Store,
        change: Option<&Change>,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        let written = store.commit(change, entries);
        match &written {
            Ok(last) => self.figures.wrote(entries.len(), *last, self.clock.now()),
            Err(_) => self.figures.failed(entries.len()),
        }
        written
    }

    /// Writes back when keys and accounts were last used, and returns how many keys that were. Part by
    /// part, and who wants to change something comes between them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; what was not written is written the next time.
    pub fn flush_last_used(&self) -> Result<usize, StoreError> {
        {
            let mut inner = self.lock()?;
            self.settle(&mut inner)?;
            inner.store.keep_room();
        }
        let state = self.handle.snapshot();
        let keys = state.directory.keys();
        let keys: Vec<_> = keys.filter(|key| key.last_used_at().is_some()).collect();
        let mut count = 0;
        for part in keys.chunks(WRITTEN_AT_ONCE) {
            let mut inner = self.lock()?;
            let used = super::keys::used_since(part, &inner.records);
            if used.keys.len() + used.accounts.len() > 0 {
                count += used.keys.len();
                let change = Change::Used {
                    keys: used.keys,
                    accounts: used.accounts,
                };
                inner.store.commit(Some(&change), &[])?;
                Arc::make_mut(&mut inner.records).apply(&change);
            }
            drop(inner);
            if keys.len() > WRITTEN_AT_ONCE {
                // A lock that is taken again at once is had by nobody else.
                std::thread::sleep(WRITING_RESTS);
            }
        }
        Ok(count)
    }

    /// Forgets keys that ended long ago, so that neither a store nor the memory grows with every rotation
    /// there ever was, and says how many. Part by part, with a record each; their ids stay behind as ended.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the others go the next time.
    pub fn forget_ended_keys(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let records = Arc::clone(&self.lock()?.records);
        let is_due = |key: &&KeyRecord| {
            let end = key.expires_at;
            end.is_some_and(|end| end.plus(ENDED_KEYS_KEPT) < now)
        };
        let due: Vec<_> = records.keys().filter(is_due).map(|key| key.id).collect();
        drop(records);
        let mut forgotten = 0;
        let mut done = Ok(());
        for part in due.chunks(FORGOTTEN_AT_ONCE) {
            done = self.forget_keys(part, now);
            if done.is_err() {
                break;
            }
            forgotten += part.len();
            std::thread::sleep(WRITING_RESTS);
        }
        if forgotten > 0 {
            let _inner = self.lock()?;
            let state = self.handle.snapshot();
            self.handle.store(State {
                policy: Arc::clone(&state.policy),
                directory: state.directory.without_keys(due.iter().take(forgotten)),
            });
        }
        done.map(|()| forgotten)
    }

    fn forget_keys(&self, ids: &[KeyId], now: UnixTime) -> Result<(), StoreError> {
        let change = Change::ForgetKeys {
            ids: ids.to_vec(),
            ends_stay: true,
        };
        let told = Told {
            after: json!({ "ended_keys": ids.len() }),
            ..Told::default()
        };
        let asked = Asked::by(&Actor::Gateway, Trail::Change("store.prune"), now);
        let entry = asked.entry((now, self.instance()), Outcome::Success, Some(told));
        let mut inner = self.lock()?;
        self.settle(&mut inner)?;
        let entries = std::slice::from_ref(&entry);
        let last = self.commit(&mut *inner.store, Some(&change), entries)?;
        Arc::make_mut(&mut inner.records).apply(&change);
        trail::say(&entry, last);
        Ok(())
    }

    /// Cuts off what of the audit trail is too old or too much, and returns how many records went.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing was cut then.
    pub fn cut_audit(&self) -> Result<u64, StoreError> {
        let mut inner = self.lock()?;
        self.cut_trail(&mut *inner.store, self.clock.now())
    }

    pub(super) fn cut_trail(
        &self,
        store: &mut dyn Store,
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let cut = store.cut_audit(&self.audit, now, &self.instance)?;
        if cut > 0 {
            // That it was cut is a record, too.
            let end = store.audit_anchor(now)?.number;
            self.figures.wrote(1, Some(end), now);
        }
        Ok(cut)
    }

    /// Writes the refusals that the store does not know yet.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the refusals are in memory still.
    pub fn save_denials(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.denials.collect(now);
        let mut inner = self.lock()?;
        let batch = self.denials.unsaved();
        if batch.is_empty() {
            return Ok(());
        }
        let kept = inner
            .store
            .keep_denials(&batch, &self.denials.bounds(), now);
        if kept.is_err() {
            self.denials.not_saved(batch);
        }
        kept
    }

    /// Tells the audit trail what was asked again and again, of those whose time is over; returns how
    /// many records that took.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; it is told the next time.
    pub fn tell_repeats(&self) -> Result<usize, StoreError> {
        self.tell_repeats_over(self.clock.now())
    }

    /// The same at the end, whether or not their time is over.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nobody will know how often it was, then.
    pub fn tell_every_repeat(&self) -> Result<usize, StoreError> {
        self.tell_repeats_over(self.clock.now().plus(repeats::WINDOW))
    }

    fn tell_repeats_over(&self, by: UnixTime) -> Result<usize, StoreError> {
        let mut inner = self.lock()?;
        let now = self.clock.now();
        let due = inner.repeats.due(by, now);
        if !due.is_empty() {
            let last = self.commit(&mut *inner.store, None, &due)?;
            trail::say_all(&due, last);
        }
        inner.repeats.told(by, now);
        Ok(due.len())
    }
}
