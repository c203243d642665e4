//! What a policy would answer, looked at before it does: its own tests, and what differs from the
//! version before.
//!
//! Nothing is decided here. [`ask`] puts a call before the very function that the gateway puts requests
//! before, and the rest is which calls to put, and how to tell what came of them. What can be said of
//! a policy without a call is in `policy::proof`.

pub mod against;
mod trials;

pub use trials::{Exercise, Failure, Trials, run_tests};

use crate::decision::{self, Outcome, Permit, Preflight, Question};
use crate::explain::Hypothesis;
use crate::policy::Policy;
use crate::policy::matcher::Lookup;
use crate::reason::Reason;
use crate::request::Target;
use crate::words::{Method, Permission, RouteId};

/// What came of a call.
#[derive(Debug)]
pub struct Ruling {
    /// The routes it had to satisfy, the primary first; none if it was refused before.
    pub routes: Vec<RouteId>,
    /// What was decided.
    pub answer: Answer,
}

/// What was decided about a call.
#[derive(Debug)]
pub enum Answer {
    /// It goes on to the upstream.
    Through {
        /// With what.
        permit: Box<Permit>,
        /// The reason against it, where that is only logged and counted.
        shadowed: Option<Reason>,
    },
    /// It is a preflight, and the gateway answers it.
    Answered(Box<decision::preflight::Answer>),
    /// It is refused.
    Refused(Refusal),
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// The permissions that are missing, if that is the reason.
    pub missing: Vec<Permission>,
}

impl Ruling {
    /// The reason against the call, enforced or not.
    pub fn reason(&self) -> Option<Reason> {
        match &self.answer {
            Answer::Through { shadowed, .. } => *shadowed,
            Answer::Answered(_) => None,
            Answer::Refused(refusal) => Some(refusal.reason),
        }
    }

    /// The permissions that are missing, where they are the reason.
    pub fn missing(&self) -> &[Permission] {
        match &self.answer {
            Answer::Through { .. } | Answer::Answered(_) => &[],
            Answer::Refused(refusal) => &refusal.missing,
        }
    }
}

/// Asks `policy` about a call.
pub fn ask(policy: &Policy, call: &Hypothesis<'_>) -> Ruling {
    let refused = |reason, missing| Ruling {
        routes: Vec::new(),
        answer: Answer::Refused(Refusal { reason, missing }),
    };
    let target = match Target::from_text(call.target, policy.classes_read) {
        Ok(target) => target,
        Err(error) if error.class().is_some() => {
            return refused(Reason::PathAmbiguous, Vec::new());
        }
        Err(_) => return refused(Reason::RequestMalformed, Vec::new()),
    };
    let Ok(lookup) = policy.find(call.host, call.method, target.path()) else {
        return refused(Reason::HostUnknown, Vec::new());
    };
    let sent = target.as_sent(call.target);
    let question = Question {
        policy,
        target: &target,
        sent: &sent,
        host: call.host,
        lookup: &lookup,
        headers: call.headers,
        source: call.source,
    };
    let preflight = (call.method == Method::Options)
        .then(|| decision::preflight(&question, call.host))
        .flatten();
    let answer = match preflight {
        Some(Preflight::Pass(permit)) => Answer::Through {
            permit,
            shadowed: None,
        },
        Some(Preflight::Answer(answer)) => Answer::Answered(answer),
        None => decided(decision::decide(&question, Ok(call.caller.clone()))),
    };
    let routes = match &lookup {
        Lookup::Found(found) => {
            let routes = std::iter::once(&found.primary).chain(&found.also);
            routes.copied().collect()
        }
        Lookup::OtherMethods(_) | Lookup::Nothing => Vec::new(),
    };
    Ruling { routes, answer }
}

fn decided(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Allowed(permit) => Answer::Through {
            permit: Box::new(permit),
            shadowed: None,
        },
        Outcome::Shadowed(permit, denial) => Answer::Through {
            permit: Box::new(permit),
            shadowed: Some(denial.reason),
        },
        Outcome::Denied(denial) => Answer::Refused(Refusal {
            reason: denial.reason,
            missing: denial.missing,
        }),
    }
}
