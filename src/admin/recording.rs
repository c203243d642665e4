//! Nothing leaves the desk unrecorded: every operation is carried out here, and what no change has
//! recorded is recorded before its answer is given.

use std::slice;
use std::sync::Arc;

use super::desk::{Answer, Desk};
use super::trail::{self, Trail};
use super::{AdminError, ErrorKind, Operation};
use crate::audit::Outcome;

/// After how many records the audit trail is cut to its bounds.
const CUT_EVERY: u64 = 1000;

impl Desk<'_> {
    /// Does what `operation` says, and sees to it that it is recorded: done, refused or failed. An
    /// answer that cannot be recorded is not given.
    pub(super) fn carry_out(&mut self, operation: Operation) -> Answer {
        let state = Arc::clone(&self.state);
        self.asked.concerns(|key| {
            let key = state.directory.key(&key.parse().ok()?)?;
            Some(key.account.name.to_string())
        });
        let answer = self.execute(operation);
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

    /// Now and then the trail is cut to its bounds, so that it has one between two rounds too.
    pub(super) fn cut(&mut self) {
        if !self.recorded.is_some_and(|number| number % CUT_EVERY == 0) {
            return;
        }
        let (bounds, instance) = (&self.service.audit, self.service.instance());
        if let Err(error) = self.inner.store.cut_audit(bounds, self.now, instance) {
            tracing::warn!(%error, "the audit trail was not cut to its bounds");
        }
    }

    /// Records what was asked for, where nothing is changed.
    pub(super) fn record(&mut self, outcome: Outcome) -> Result<(), AdminError> {
        let instance = self.service.instance();
        let entry = self.asked.entry((self.now, instance), outcome, None);
        let written = self.inner.store.commit(None, slice::from_ref(&entry));
        let number = written.map_err(|error| {
            AdminError::new(
                ErrorKind::Unavailable,
                format!("nothing done, because the audit trail could not be written: {error}"),
            )
        })?;
        trail::say(&entry, number);
        self.recorded = number;
        self.cut();
        Ok(())
    }
}
