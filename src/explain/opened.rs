//! What else a change would open: every operation that the account could call afterwards and could
//! not before, by the decision itself.

use std::sync::Arc;

use serde::Serialize;

use super::sample::{self, Sample, Values};
use super::supposed;
use crate::policy::Policy;
use crate::words::{Account, Method, RouteId};

/// Most operations that are named; the rest are counted.
const NAMED_MAX: usize = 20;

/// What a change would open besides what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// How many operations: a method of a route each.
    pub operations: usize,
    /// Some of them, in the order of the routes; with the place where it is not everywhere.
    pub some: Vec<String>,
}

/// Asks for every route whether an account may call it.
pub(super) struct Prober<'a> {
    policy: &'a Policy,
    /// What the account could not do before.
    closed: Vec<Sample>,
}

impl<'a> Prober<'a> {
    /// Looks at what `account` cannot do: at the places of `values`, and elsewhere.
    pub(super) fn new(policy: &'a Policy, account: &Arc<Account>, values: &Values) -> Self {
        let samples = policy.routes.iter();
        let samples = samples.flat_map(|route| sample::of_route(policy, route, values).0);
        let is_closed =
            |sample: &Sample| !sample.is_allowed(policy, Some(supposed(Arc::clone(account))));
        Self {
            policy,
            closed: samples.filter(is_closed).collect(),
        }
    }

    /// What `account` can do as it is now and could not before. What was `asked` for is not counted
    /// at the place it was asked for.
    pub(super) fn opened(&self, account: &Arc<Account>, asked: (RouteId, Method)) -> Opened {
        let mut opened = Opened::default();
        let mut last = None;
        for sample in &self.closed {
            let operation = (sample.route, sample.method);
            let everywhere = sample.place.iter().all(|(_, value)| value.is_none());
            let beside = !(operation == asked && (sample.place.is_empty() || !everywhere));
            let new = beside && sample.is_allowed(self.policy, Some(supposed(Arc::clone(account))));
            if !new || last == Some(operation) {
                continue;
            }
            last = Some(operation);
            opened.operations += 1;
            if opened.some.len() < NAMED_MAX {
                let told = self.told(sample, account);
                opened.some.push(told);
            }
        }
        opened
    }

    fn told(&self, sample: &Sample, account: &Arc<Account>) -> String {
        let route = self.policy.route(sample.route);
        let operation = format!("{} {}", sample.method, route.template);
        // The places of one operation follow each other, the one for all others last.
        let caller = || Some(supposed(Arc::clone(account)));
        let elsewhere = |other: &&Sample| {
            (other.route, other.method) == (sample.route, sample.method)
                && other.place.iter().all(|(_, value)| value.is_none())
        };
        let mut rest = self.closed.iter();
        let everywhere = rest.find(elsewhere);
        if everywhere.is_some_and(|other| other.is_allowed(self.policy, caller())) {
            return operation;
        }
        let place = sample.place.iter().filter_map(|(dimension, value)| {
            Some(format!(
                "{} {}",
                self.policy.dimension(*dimension),
                value.as_ref()?
            ))
        });
        let place: Vec<_> = place.collect();
        format!("{operation} within {}", place.join(", "))
    }
}
