//! Tokens that clients give back themselves, at the revocation endpoint: nobody needs a right for that,
//! so it must cost others nothing.
//!
//! All that wait are one change, one state and one record for each that has one; and of an account that
//! gives back without end, one record tells of many (see `repeats`). The revocation itself is never
//! put off: it is on disk and in force when whoever gave a token back is told so.

use std::sync::Arc;

use serde_json::json;

use super::desk::conflict;
use super::recording::is_time_to_cut;
use super::service::{Inner, Service};
use super::tokens::REVOKED_MAX;
use super::trail::{self, Asked};
use super::{AdminError, Operation};
use crate::audit::{Actor, Entry, Object};
use crate::directory::State;
use crate::store::{Change, Told};
use crate::words::{TokenId, UnixTime};

/// Most that clients may have taken back themselves: a client that makes tokens to give them back leaves
/// room for an operator.
pub(super) const REVOKED_BY_CLIENTS_MAX: usize = REVOKED_MAX / 2;

/// A token that a client gives back.
#[derive(Clone, Debug)]
pub struct GivenBack {
    /// The token.
    pub id: TokenId,
    /// When it would run out by itself.
    pub ends_at: UnixTime,
    /// Who gives it back.
    pub by: Actor,
}

/// What comes of several.
struct Plan {
    answers: Vec<Result<(), AdminError>>,
    /// To be taken back, with when they would have run out.
    tokens: Vec<(TokenId, UnixTime)>,
    /// Records of their own.
    entries: Vec<Entry>,
    /// What one record tells of later, together with others; the log has each.
    counted: Vec<Entry>,
}

impl Service {
    /// Takes back all of `given`, and says of each whether it is refused from now on.
    ///
    /// Blocks on the disk once, however many there are.
    ///
    /// # Errors
    ///
    /// When none of them is taken back, because the store did not take it.
    pub fn take_back(
        &self,
        given: &[GivenBack],
    ) -> Result<Vec<Result<(), AdminError>>, AdminError> {
        let mut inner = self.lock()?;
        let inner = &mut *inner;
        self.settle(inner)?;
        let now = self.now();
        let plan = self.plan(inner, given, now);
        let change = Change::GiveBack {
            tokens: plan.tokens,
            now,
        };
        let last = self.commit(&mut *inner.store, Some(&change), &plan.entries)?;
        trail::say_all(&plan.entries, last);
        plan.counted
            .iter()
            .for_each(|entry| trail::say(entry, None));
        let touched = Arc::make_mut(&mut inner.records).apply(&change);
        let state = self.handle.snapshot();
        let directory = &state.directory;
        self.handle.take_back(State {
            policy: Arc::clone(&state.policy),
            directory: directory.with_revoked(&touched.revoked, &touched.forgotten),
        });
        if last.is_some_and(|last| is_time_to_cut(last, plan.entries.len()))
            && let Err(error) = self.cut_trail(&mut *inner.store, now)
        {
            tracing::warn!(%error, "the audit trail was not cut to its bounds");
        }
        Ok(plan.answers)
    }

    /// Works out what is to be written, and what each is told if that is done.
    fn plan(&self, inner: &mut Inner, given: &[GivenBack], now: UnixTime) -> Plan {
        let known = &inner.records.revoked_tokens;
        let alive = match known.len() + given.len() <= REVOKED_BY_CLIENTS_MAX {
            // So few that it does not matter how many of them have run out.
            true => known.len(),
            false => known.values().filter(|end| **end > now).count(),
        };
        let room = REVOKED_BY_CLIENTS_MAX.saturating_sub(alive);
        let mut plan = Plan {
            answers: Vec::with_capacity(given.len()),
            tokens: Vec::with_capacity(given.len()),
            entries: Vec::new(),
            counted: Vec::new(),
        };
        for one in given {
            let is_new = |(id, _): &(TokenId, UnixTime)| *id != one.id;
            if inner.records.revoked_tokens.contains_key(&one.id) || !plan.tokens.iter().all(is_new)
            {
                plan.answers.push(Ok(()));
                continue;
            }
            let answer = match plan.tokens.len() < room {
                true => Ok(()),
                false => Err(full_at(REVOKED_BY_CLIENTS_MAX)),
            };
            if answer.is_ok() {
                plan.tokens.push((one.id, one.ends_at));
            }
            let entry = self.told_of(one, &answer, now);
            match inner.repeats.take(entry.clone()) {
                Some(entry) => plan.entries.push(entry),
                None => plan.counted.push(entry),
            }
            plan.answers.push(answer);
        }
        plan
    }

    /// The record of one.
    fn told_of(&self, given: &GivenBack, answer: &Result<(), AdminError>, now: UnixTime) -> Entry {
        let revoke = Operation::TokensRevoke { id: given.id };
        let asked = Asked::of(&revoke, &given.by, now);
        let told = Told {
            object: Object {
                kind: "token",
                id: Some(given.id.to_string()),
                name: None,
                account: Some(given.by.label()),
            },
            before: json!({ "revoked": false }),
            after: json!({ "revoked": true, "expires_at": given.ends_at }),
        };
        let told = answer.is_ok().then_some(told);
        asked.entry((now, &self.instance), trail::outcome(answer), told)
    }
}

/// So many are taken back that there is no room for more.
pub(super) fn full_at(most: usize) -> AdminError {
    conflict(format!(
        "{most} tokens are taken back already: end the key or disable the account they hang on"
    ))
}
