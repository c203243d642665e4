//! What holds already and is not in the store: changes that only take away, made while the store failed.
//!
//! A key that has leaked is ended at once, whatever the disk says. Whoever asked is told that it is not
//! written; it is, in the order it was asked for, as soon as the store takes changes again.

use std::sync::Arc;

use super::service::{Inner, Service};
use super::trail;
use crate::audit::Entry;
use crate::store::{Change, StoreError};

/// Changes with their records, oldest first.
#[derive(Debug, Default)]
pub(super) struct Owed(Vec<(Change, Vec<Entry>)>);

impl Owed {
    pub(super) fn push(&mut self, change: Change, entries: Vec<Entry>) {
        self.0.push((change, entries));
    }
}

impl Inner {
    /// Reads everything from the store again; what is owed to it holds on.
    pub(super) fn read_again(&mut self) -> Result<(), StoreError> {
        let mut records = self.store.load()?;
        for (change, _) in &self.owed.0 {
            records.apply(change);
        }
        self.records = Arc::new(records);
        Ok(())
    }
}

impl Service {
    /// Writes what is owed, if the store takes it now.
    pub(super) fn settle(&self, inner: &mut Inner) {
        let mut written = 0;
        for (change, entries) in &inner.owed.0 {
            match inner.store.commit(Some(change), entries) {
                Ok(last) => {
                    self.figures.wrote(entries.len(), last, self.clock.now());
                    trail::say_all(entries, last);
                }
                Err(error) if error.is_failure() => break,
                // It may have been on the disk after all, and whatever it took away is gone.
                Err(error) => tracing::warn!(%error, "a change that held already was not written"),
            }
            written += 1;
        }
        inner.owed.0.drain(..written);
    }
}
