//! What holds already and is not in the store: changes that only take away, made while the store failed.
//!
//! A key that has leaked is ended at once, whatever the disk says. Whoever asked is told that it is not
//! written; it is, in the order it was asked for, as soon as the store takes changes again. Until then
//! nothing else is changed: what was asked for later would stand on the disk without what came before
//! it, and a restart would mix the two up.

use std::sync::Arc;

use super::desk::Desk;
use super::service::{Inner, Service};
use super::{AdminError, ErrorKind, trail};
use crate::audit::Entry;
use crate::policy::Policy;
use crate::store::{Change, Records, Store, StoreError};

/// Most changes that are owed: more than anybody takes away one by one before he sees to the disk.
pub(super) const OWED_MAX: usize = 4096;

/// Changes with their records, or records alone, oldest first.
#[derive(Debug, Default)]
pub(super) struct Owed(Vec<(Option<Change>, Vec<Entry>)>);

impl Owed {
    /// How much is owed.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether this is owed already.
    pub(super) fn has(&self, change: &Change) -> bool {
        let mut owed = self.0.iter().filter_map(|(owed, _)| owed.as_ref());
        owed.any(|owed| change.shuts_off_as(owed))
    }

    /// Says whether one more may be owed.
    pub(super) const fn has_room(&self) -> bool {
        self.0.len() < OWED_MAX
    }

    pub(super) fn push(&mut self, change: Option<Change>, entries: Vec<Entry>) {
        self.0.push((change, entries));
    }
}

impl Inner {
    /// Reads everything from the store again; what is owed to it holds on.
    pub(super) fn read_again(&mut self) -> Result<(), StoreError> {
        let mut records = self.store.load()?;
        for change in self.owed.0.iter().filter_map(|(change, _)| change.as_ref()) {
            records.apply(change);
        }
        self.records = Arc::new(records);
        Ok(())
    }
}

impl Service {
    /// Writes what is owed, if the store takes it now.
    ///
    /// # Errors
    ///
    /// Why something is owed still.
    pub(super) fn settle(&self, inner: &mut Inner) -> Result<(), StoreError> {
        let mut written = 0;
        let mut settled = Ok(());
        for (change, entries) in &inner.owed.0 {
            let store = &mut *inner.store;
            let tried = match change {
                Some(change) => self.commit_denial(store, change, entries),
                None => self.commit(store, None, entries),
            };
            match tried {
                Ok(last) => trail::say_all(entries, last),
                Err(error) if error.is_failure() => {
                    settled = Err(error);
                    break;
                }
                // It may have been on the disk after all, and whatever it took away is gone.
                Err(error) => tracing::warn!(%error, "a change that held already was not written"),
            }
            written += 1;
        }
        inner.owed.0.drain(..written);
        settled
    }

    /// Writes a change that only takes away, with its records. Where the disk is full the store gives up
    /// the room that it keeps for that.
    pub(super) fn commit_denial(
        &self,
        store: &mut dyn Store,
        change: &Change,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError> {
        loop {
            let written = self.commit(store, Some(change), entries);
            let is_full = matches!(written, Err(StoreError::Full { .. }));
            if !(is_full && store.make_room()) {
                return written;
            }
        }
    }
}

impl Desk<'_> {
    /// Whether `change` only takes away, by the files too: what stands in the store keeps out what a
    /// file says under the same name, so taking that away may let somebody in.
    pub(super) fn only_denies(&self, change: &Change) -> bool {
        change.only_denies(self.now) && !uncovers(self.policy(), self.records(), change)
    }

    /// For an answer that something is so already: it is not said before it is written.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(super) fn so_already(&mut self) -> Result<(), AdminError> {
        let service = self.service;
        let settled = service.settle(self.inner()?);
        settled.map_err(|error| owed(&error))
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else there is keeps nothing of a file's out"
)]
fn uncovers(policy: &Policy, records: &Records, change: &Change) -> bool {
    match change {
        Change::DeleteAccount { id, .. } => {
            let account = records.accounts.get(id);
            let is_twin = account.is_some_and(|it| policy.accounts.contains_key(&it.name));
            let keys = policy.accounts.values().flat_map(|entry| &entry.keys);
            let mut stored = keys.filter_map(|key| records.key(&key.id));
            is_twin || stored.any(|key| key.account == *id)
        }
        Change::DeleteGroup(name) => policy.groups.contains_key(name),
        Change::DeleteRole(name) => policy.roles.contains_key(name),
        Change::Batch(changes) => changes.iter().any(|it| uncovers(policy, records, it)),
        _ => false,
    }
}

/// What is said of a change that holds and could not be written for `error`.
pub(super) fn owed(error: &StoreError) -> AdminError {
    AdminError::new(
        ErrorKind::Unavailable,
        format!(
            "{error}. This holds from now on all the same, as long as the gateway runs: it is written \
             as soon as the store takes it, and until then a restart would undo it"
        ),
    )
}

/// What is said of a change that was not made, because others are not written yet.
pub(super) fn behind(error: &StoreError) -> AdminError {
    AdminError::new(
        ErrorKind::Unavailable,
        format!(
            "{error}. Nothing was done: what was taken away while the store failed is written first"
        ),
    )
}
