//! A policy's own tests: whether they hold, and which routes they exercise.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use super::{Ruling, ask};
use crate::explain::{Explanation, Hypothesis, explain, supposed};
use crate::policy::{Expectation, Policy, PolicyTest};
use crate::reason::Reason;
use crate::words::{Account, AccountName, Permission, RouteId};

/// What came of a policy's tests.
#[derive(Debug)]
pub struct Trials<'p> {
    /// Those that did not hold.
    pub failures: Vec<Failure<'p>>,
    /// The routes that some test exercised.
    pub exercised: BTreeMap<RouteId, Exercise>,
}

/// How often tests exercised a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exercise {
    /// Tests whose request went through.
    pub allowed: usize,
    /// Tests whose request the route, or one beside it, refused.
    pub refused: usize,
}

/// A policy test that did not hold.
#[derive(Clone, Debug)]
pub struct Failure<'p> {
    /// The test.
    pub test: &'p PolicyTest,
    /// What happened instead.
    pub explanation: Explanation,
    /// The permissions that were missing, if that was the reason.
    pub missing: Vec<Permission>,
}

/// Runs a policy's own tests, for those that do not hold. `account` finds the accounts they name.
pub fn run_tests<'p>(
    policy: &'p Policy,
    account: impl Fn(&AccountName) -> Option<Arc<Account>>,
) -> Vec<Failure<'p>> {
    Trials::run(policy, account).failures
}

impl<'p> Trials<'p> {
    /// Runs a policy's own tests. `account` finds the accounts they name.
    pub fn run(policy: &'p Policy, account: impl Fn(&AccountName) -> Option<Arc<Account>>) -> Self {
        let mut trials = Self {
            failures: Vec::new(),
            exercised: BTreeMap::new(),
        };
        for test in &policy.tests {
            let mut headers = HeaderMap::new();
            for (name, value) in &test.headers {
                if let Ok(value) = value.parse() {
                    headers.append(name, value);
                }
            }
            let call = Hypothesis {
                method: test.method,
                target: &test.target,
                host: test.host.as_deref(),
                headers: &headers,
                caller: test.account.as_ref().and_then(&account).map(supposed),
                source: test.from,
            };
            let ruling = ask(policy, &call);
            trials.count(&ruling);
            if !holds(test, &ruling) {
                trials.failures.push(Failure {
                    test,
                    explanation: explain(policy, &call),
                    missing: ruling.missing().to_vec(),
                });
            }
        }
        trials
    }

    /// A request that ended before its routes were asked says nothing about them.
    fn count(&mut self, ruling: &Ruling) {
        let allowed = ruling.reason().is_none();
        let by_route = matches!(
            ruling.reason(),
            Some(Reason::PermissionMissing | Reason::OutsideBoundary)
        );
        if !allowed && !by_route {
            return;
        }
        for route in &ruling.routes {
            let exercise = self.exercised.entry(*route).or_default();
            if allowed {
                exercise.allowed += 1;
            } else {
                exercise.refused += 1;
            }
        }
    }
}

fn holds(test: &PolicyTest, ruling: &Ruling) -> bool {
    let expected = match test.expect {
        Expectation::Allow => None,
        Expectation::Deny(reason) => Some(reason),
    };
    let same = |wanted: &Vec<Permission>| {
        let missing = ruling.missing();
        missing.len() == wanted.len() && wanted.iter().all(|name| missing.contains(name))
    };
    ruling.reason() == expected && test.missing.as_ref().is_none_or(same)
}
