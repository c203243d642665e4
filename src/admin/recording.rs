//! Nothing leaves the desk unrecorded: every operation is carried out here, every change is made here
//! together with its record, and what no change has recorded is recorded before its answer is given.

use std::slice;
use std::sync::Arc;

use serde_json::Value;

use super::desk::{Answer, Desk, invalid};
use super::owed::{behind, owed};
use super::trail::{self, Trail};
use super::{AdminError, ErrorKind, Operation, authority};
use crate::audit::{Entry, Outcome, RECORD_BYTES_MAX};
use crate::directory::{State, reached};
use crate::store::{Change, StoreError};

/// After how many records the audit trail is cut to its bounds.
const CUT_EVERY: u64 = 1000;

/// Whether it is time to do so after `records` of them, of which the last has the number `last`.
pub(super) const fn is_time_to_cut(last: u64, records: usize) -> bool {
    last / CUT_EVERY != last.saturating_sub(records as u64) / CUT_EVERY
}

impl Desk<'_> {
    /// Refuses what whoever asks may not ask for, and records that.
    pub(super) fn permit(&mut self, operation: &Operation) -> Result<(), AdminError> {
        let permitted = authority::check(self, operation).map(|_| Value::Null);
        self.tell_refused(&permitted);
        let permitted = permitted.map(drop);
        if permitted.is_err() && self.asked.trail != Trail::Nothing {
            self.record(trail::outcome(&permitted))?;
        }
        permitted
    }

    /// Does what `operation` says, and sees to it that it is recorded: done, refused or failed. An
    /// answer that cannot be recorded is not given.
    pub(super) fn carry_out(&mut self, operation: Operation) -> Answer {
        let answer = self.answer(operation);
        // Whatever was changed is in force by now.
        self.cut();
        answer
    }

    fn answer(&mut self, operation: Operation) -> Answer {
        let state = Arc::clone(&self.state);
        self.asked.concerns(|key| {
            let key = state.directory.key(&key.parse().ok()?)?;
            Some(key.account.name.to_string())
        });
        let answer = self.execute_if_permitted(operation);
        self.tell_refused(&answer);
        let due = match &answer {
            Ok(_) => self.recorded.is_none() && self.asked.begins(&self.service.watches, self.now),
            Err(_) => self.asked.trail != Trail::Nothing,
        };
        if !due {
            return answer;
        }
        match (self.record(trail::outcome(&answer)), answer) {
            (Ok(()), answer) => answer,
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(refused)) => {
                tracing::error!(%error, "a refusal was not recorded");
                Err(refused)
            }
        }
    }

    /// A caller who may not is recorded whatever he asked for.
    fn tell_refused(&mut self, answer: &Answer) {
        let is_refused = answer
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::NotPermitted);
        if is_refused && self.asked.trail == Trail::Nothing {
            self.asked.trail = Trail::Look(trail::CALL);
        }
    }

    /// Now and then the trail is cut to its bounds, so that it has one between two rounds too.
    fn cut(&mut self) {
        if !self.recorded.is_some_and(|last| is_time_to_cut(last, 1)) {
            return;
        }
        let (service, now) = (self.service, self.now);
        let Ok(inner) = self.inner() else {
            return;
        };
        if let Err(error) = service.cut_trail(&mut *inner.store, now) {
            tracing::warn!(%error, "the audit trail was not cut to its bounds");
        }
    }

    /// Records what was asked for, where nothing is changed; what is asked again and again, together.
    /// What was handed out, and what was asked for and was so already, is never told together with others.
    pub(super) fn record(&mut self, outcome: Outcome) -> Result<(), AdminError> {
        let instance = self.service.instance();
        let is_done = outcome == Outcome::Success && matches!(self.asked.trail, Trail::Change(_));
        let entry = self.asked.entry((self.now, instance), outcome, None);
        let service = self.service;
        let inner = self.inner()?;
        let alone = match is_done {
            true => Some(entry),
            false => inner.repeats.take(entry),
        };
        let Some(entry) = alone else {
            return Ok(());
        };
        let (store, entries) = (&mut *inner.store, slice::from_ref(&entry));
        let written = service.commit(store, None, entries);
        let number = written.map_err(|error| {
            AdminError::new(
                ErrorKind::Unavailable,
                format!("nothing done, because the audit trail could not be written: {error}"),
            )
        })?;
        trail::say(&entry, number);
        self.recorded = number;
        Ok(())
    }

    /// Makes `change`: on disk together with its record, then in force. There is no other way to change
    /// anything. What is owed to the store comes first: nothing is given before it is written, and what
    /// only takes away waits behind it.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), AdminError> {
        self.can_change()?;
        self.keep_an_administrator(change)?;
        let service = self.service;
        let waits = service.settle(self.inner()?).err();
        let denies = self.only_denies(change);
        let instance = self.service.instance();
        let told = self.inner()?.records.told(change).into_iter();
        let entry = |told| {
            self.asked
                .entry((self.now, instance), Outcome::Success, Some(told))
        };
        let entries: Vec<_> = told.map(entry).collect();
        if !entries.iter().all(Entry::fits) {
            return Err(invalid(format!(
                "nothing is changed without an audit record that says what was before and after, and \
                 that of this change would be longer than {RECORD_BYTES_MAX} bytes even with its long \
                 lists cut to digests: make it in several steps"
            )));
        }
        if let Some(error) = waits {
            return Err(match denies {
                true => self.failed(error, change, entries),
                false => behind(&error),
            });
        }
        let store = &mut *self.inner()?.store;
        let written = match denies {
            true => service.commit_denial(store, change, &entries),
            false => service.commit(store, Some(change), &entries),
        };
        match written {
            Ok(last) => {
                trail::say_all(&entries, last);
                self.recorded = last;
            }
            Err(error) => return Err(self.failed(error, change, entries)),
        }
        self.put_in_force(change)
    }

    fn put_in_force(&mut self, change: &Change) -> Result<(), AdminError> {
        let touched = Arc::make_mut(&mut self.inner()?.records).apply(change);
        let policy = Arc::clone(&self.state.policy);
        let mut directory = self.state.directory.clone();
        for (id, keys) in &touched.gone {
            // A file's account of the same name was kept out by the one that is gone.
            let name = directory.account(id).map(|account| account.name.clone());
            let rival = name.is_some_and(|name| policy.accounts.contains_key(&name));
            if rival {
                return self.rebuild();
            }
            directory = directory.without(id, keys);
        }
        let state = Arc::clone(&self.state);
        let Some(reached) = reached(&touched, &state, &self.inner()?.records) else {
            return self.rebuild();
        };
        let directory = directory.without_keys(&touched.keys);
        let mut directory = directory.with(&policy, &self.inner()?.records, &reached);
        if !touched.revoked.is_empty() {
            directory = directory.with_revoked(&touched.revoked, &touched.forgotten);
        }
        let state = State { policy, directory };
        // Whoever is reached by more than his token is judged again.
        let tokens_alone = reached.is_empty() && touched.gone.is_empty() && touched.keys.is_empty();
        match tokens_alone && !touched.revoked.is_empty() {
            true => self.service.handle.take_back(state),
            false => self.service.handle.store(state),
        }
        self.state = self.service.handle.snapshot();
        Ok(())
    }

    fn rebuild(&mut self) -> Result<(), AdminError> {
        let service = self.service;
        service.rebuild(self.inner()?);
        self.state = service.handle.snapshot();
        Ok(())
    }

    /// What only takes away is in force all the same, and before anything else: a leaked key does not
    /// wait for a disk. Where it is unknown whether the change is on disk, what is there is read again
    /// and put in force, so that nobody is told "no" about a change that then appears.
    fn failed(&mut self, error: StoreError, change: &Change, entries: Vec<Entry>) -> AdminError {
        if !error.is_failure() {
            return error.into();
        }
        let mut told = AdminError::from(&error);
        if error.is_of_the_disk() && self.only_denies(change) {
            told = match self.hold(change, entries, &error) {
                Ok(told) | Err(told) => told,
            };
        }
        if error.is_in_doubt()
            && self.inner().is_ok_and(|inner| inner.read_again().is_ok())
            && let Err(error) = self.rebuild()
        {
            return error;
        }
        told
    }

    /// Puts in force what could not be written for `error`, and owes it to the store. What is said of it.
    fn hold(
        &mut self,
        change: &Change,
        entries: Vec<Entry>,
        error: &StoreError,
    ) -> Result<AdminError, AdminError> {
        if !self.inner()?.owed.has(change) {
            if !self.inner()?.owed.has_room() {
                return Err(behind(error));
            }
            self.put_in_force(change)?;
            tracing::error!(%error, "in force, and not in the store: a restart would undo it");
            self.inner()?.owed.push(Some(change.clone()), entries);
        }
        Ok(owed(error))
    }
}
