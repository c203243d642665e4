//! The same decision, told step by step, and what would turn it.
//!
//! Nothing is decided here: [`explain`] asks [`decision::decide`] the question the proxy would ask
//! and puts what came of it into words. If the words and the gateway ever disagree, the gateway is
//! right.

mod allowed;
mod change;
mod opened;
mod preflight;
mod remedy;
mod sample;
mod search;
mod shadow;
mod told;
mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde::Serialize;

pub use allowed::{Allowed, Asker, Where};
pub use change::{Kind, Line};
pub use opened::Opened;
pub use remedy::Remedy;
pub use told::asks;
pub use world::{KnownRole, Managed, World};

use crate::decision::{self, Denial, Outcome, Question};
use crate::policy::matcher::Lookup;
use crate::policy::{HostUnknown, Policy, Requirement, Route};
use crate::reason::Reason;
use crate::request::{Target, TargetError};
use crate::words::{Account, Caller, Evidence, Method};
use remedy::Case;
use told::{Teller, path_step};

/// A call that somebody thinks of.
#[derive(Clone, Debug)]
pub struct Hypothesis<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// The host it asks for, if routes name hosts.
    pub host: Option<&'a str>,
    /// Headers that a boundary reads.
    pub headers: &'a HeaderMap,
    /// Who calls, or nobody.
    pub caller: Option<Caller>,
    /// Where the call comes from; without it addresses are not looked at.
    pub source: Option<IpAddr>,
}

/// What would happen, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether the call would be forwarded.
    pub allowed: bool,
    /// `allow`, `deny` or `shadow_deny`.
    pub decision: &'static str,
    /// The reason against it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The status a refusal has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// One sentence that says it all.
    pub sentence: String,
    /// The primary route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Every step of the decision, up to the one that settled it.
    pub steps: Vec<Step>,
    /// The routes that match the path and do not count, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beaten: Vec<Beaten>,
    /// Ways to allow the call, what opens least first; none if it is allowed.
    pub remedies: Vec<Remedy>,
}

/// A route that matches the path of a call and does not count for it.
#[derive(Clone, Debug, Serialize)]
pub struct Beaten {
    /// The route.
    pub route: String,
    /// Where it is written.
    pub file: String,
    /// Why it does not count.
    pub why: String,
}

/// How much is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What comes of the call, step by step.
    Verdict,
    /// And what would turn it, each of which has to be tried.
    Remedies,
}

/// One step of a decision.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was looked at: `path`, `route`, `caller`, `address`, `permission`, `boundary`, `shadow`.
    pub step: &'static str,
    /// Whether it was passed.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

impl Step {
    fn passed(step: &'static str, found: String) -> Self {
        let passed = true;
        Self {
            step,
            passed,
            found,
        }
    }

    fn failed(step: &'static str, found: String) -> Self {
        let passed = false;
        Self {
            step,
            passed,
            found,
        }
    }
}

/// Makes a caller of an account that is only thought of: it has shown nothing, and uses all it has.
pub fn supposed(account: Arc<Account>) -> Caller {
    Caller {
        account,
        key: None,
        evidence: Evidence::Hypothesis,
        subset: None,
        addresses: None,
    }
}

/// Says what would happen to a call, and why, as far as the files of the policy say it.
pub fn explain(policy: &Policy, call: &Hypothesis<'_>) -> Explanation {
    let account = call.caller.as_ref().map(|caller| &caller.account.name);
    explain_in(
        policy,
        call,
        &World::of_files(policy, account),
        Depth::Remedies,
    )
}

/// Says what would happen to a call, and why, and what in `world` could be changed about it.
pub fn explain_in(
    policy: &Policy,
    call: &Hypothesis<'_>,
    world: &World,
    depth: Depth,
) -> Explanation {
    match asked(policy, call) {
        Asked::Unreadable(error) => unreadable(&error),
        Asked::Unknown(target) => {
            let hosts: BTreeSet<_> = policy
                .routes
                .iter()
                .flat_map(|route| &route.hosts)
                .collect();
            let hosts: Vec<_> = hosts.into_iter().map(String::as_str).collect();
            let host = call.host.unwrap_or_default();
            let steps = vec![
                Step::passed("path", path_step(&target, call.target)),
                Step::failed("route", format!("no route answers on host `{host}`")),
            ];
            let denial = Denial::new(Reason::HostUnknown);
            let remedy = Remedy::advice(format!("ask for one of {}", hosts.join(", ")));
            let sentence = denial.sentence();
            refused(&denial, sentence, (steps, Vec::new()), vec![remedy])
        }
        Asked::Readable(target, lookup) => {
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
            decided(&question, call, (world, depth))
        }
    }
}

/// What a call is, before anybody decides about it.
enum Asked {
    Unreadable(TargetError),
    /// No table answers on its host.
    Unknown(Target),
    Readable(Target, Lookup),
}

fn asked(policy: &Policy, call: &Hypothesis<'_>) -> Asked {
    let target = match Target::from_text(call.target, policy.classes_read) {
        Ok(target) => target,
        Err(error) => return Asked::Unreadable(error),
    };
    match policy.find(call.host, call.method, target.path()) {
        Ok(lookup) => Asked::Readable(target, lookup),
        Err(HostUnknown) => Asked::Unknown(target),
    }
}

fn decided(
    question: &Question<'_>,
    call: &Hypothesis<'_>,
    (world, depth): (&World, Depth),
) -> Explanation {
    let policy = question.policy;
    if call.method == Method::Options
        && let Some(preflight) = decision::preflight(question, call.host)
    {
        let step = Step::passed("path", path_step(question.target, call.target));
        return preflight::told(&preflight, vec![step]);
    }
    let beaten = told::beaten(question, call);
    let tell = |denial: Option<&Denial>| {
        let teller = Teller {
            question,
            call,
            world,
            denial,
        };
        (teller.steps(), beaten.clone())
    };
    let explained = |denial: &Denial| {
        let case = Case {
            question,
            call,
            world,
        };
        let remedies = match depth {
            Depth::Verdict => Vec::new(),
            Depth::Remedies => remedy::remedies(&case, denial),
        };
        let sentence = told::sentence(policy, world, denial);
        refused(denial, sentence, tell(Some(denial)), remedies)
    };
    match decision::decide(question, Ok(call.caller.clone())) {
        Outcome::Allowed(permit) => allowed(policy, permit.decided_by(), call, tell(None)),
        Outcome::Denied(denial) => explained(&denial),
        Outcome::Shadowed(permit, denial) => shadow::told(policy, &permit, explained(&denial)),
    }
}

fn allowed(
    policy: &Policy,
    route: &Route,
    call: &Hypothesis<'_>,
    (steps, beaten): (Vec<Step>, Vec<Beaten>),
) -> Explanation {
    let sentence = match (&route.requirement, &call.caller) {
        (Requirement::Public, _) | (_, None) => "the route is public".to_owned(),
        (Requirement::AnyAccount, Some(caller)) => told::granted(policy, &[], &caller.account),
        (Requirement::All(ids) | Requirement::Any(ids), Some(caller)) => {
            told::granted(policy, ids, &caller.account)
        }
    };
    Explanation {
        allowed: true,
        decision: "allow",
        reason: None,
        status: None,
        sentence,
        route: Some(route.name.clone()),
        steps,
        beaten,
        remedies: Vec::new(),
    }
}

fn unreadable(error: &TargetError) -> Explanation {
    let denial = match error.class() {
        Some(class) => Denial::from(crate::request::Ambiguous { class }),
        None => Denial::because(Reason::RequestMalformed, "the target is no path"),
    };
    let steps = vec![Step::failed("path", error.to_string())];
    let sentence = denial.sentence();
    refused(&denial, sentence, (steps, Vec::new()), Vec::new())
}

fn refused(
    denial: &Denial,
    sentence: String,
    (steps, beaten): (Vec<Step>, Vec<Beaten>),
    remedies: Vec<Remedy>,
) -> Explanation {
    Explanation {
        allowed: false,
        decision: "deny",
        reason: Some(denial.reason.code()),
        status: Some(denial.reason.status().as_u16()),
        sentence,
        route: denial.route.as_ref().map(|route| route.name.clone()),
        steps,
        beaten,
        remedies,
    }
}

#[cfg(test)]
mod tests;
