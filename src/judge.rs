//! From a head to a decision: every step in its order, said once.
//!
//! The gateway goes this way with each request, and so do the scenarios that say what it promises;
//! a step that only one of them took would prove nothing. Nothing here is `async`, and nothing is
//! logged or counted but wrong credentials, by their source: what came of it is the caller's to record.
//!
//! A source that is throttled hears so before anything is verified, and not before its request is one:
//! what is malformed ends its connection, whoever sent it. A preflight brings no credential and is
//! asked for those that do, so it is none that could be wrong.
//!
//! Not here: who calls whom afterwards. A permit is spent by `forward`, a denial is told by `reject`.

use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;

use crate::credential::{self, Accepts, Credential, Foreign, Issuers};
use crate::decision::preflight::Answer;
use crate::decision::{self, Denial, Outcome, Preflight, Question};
use crate::directory::State;
use crate::head::{self, Entrance};
use crate::oauth;
use crate::reason::Reason;
use crate::request::Target;
use crate::throttle::Throttle;
use crate::verify::{At, Verifier, is_guess};
use crate::words::{Method, Rate, UnixTime};

/// What a judgement rests on besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Policy and directory in force.
    pub state: &'a State,
    /// Turns credentials into callers.
    pub verifier: &'a Verifier,
    /// Whose tokens are ours.
    pub issuers: &'a Issuers,
    /// Whose sources have shown too many wrong credentials.
    pub throttle: &'a Throttle,
    /// Whether there is a document that tells where our endpoints are.
    pub tells_metadata: bool,
}

/// A request, as far as it counts.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its head.
    pub parts: &'a Parts,
    /// Where it comes from.
    pub source: IpAddr,
    /// Which credentials its listener takes.
    pub accepts: Accepts,
    /// What its listener asks of heads.
    pub entrance: Entrance<'a>,
    /// How many wrong credentials its listener puts up with from one source.
    pub failures: Rate,
    /// When.
    pub now: UnixTime,
}

impl Asked<'_> {
    /// When and from where a credential is shown.
    fn at(&self) -> At {
        (self.now, Some(self.source))
    }
}

/// What a request is, once it is fit to be looked at.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and lives on the stack"
)]
pub enum Judgement {
    /// It is for the token endpoint, which has an order of its own.
    Token,
    /// It is for the revocation endpoint, likewise.
    Revoke,
    /// It asks for the public halves of our signing keys.
    SigningKeys,
    /// It asks where our endpoints are.
    Metadata,
    /// It is a preflight that we answer.
    Preflight(Box<Answer>),
    /// It was decided on.
    Decided(Outcome),
}

impl Judge<'_> {
    /// Judges a request. Path and query are put into `target` in their one meaning as soon as they
    /// have one, so that a refusal can name what was asked for.
    ///
    /// # Errors
    ///
    /// A denial where the request is none, or no table answers on its host.
    pub fn judge(
        &self,
        asked: &Asked<'_>,
        target: &mut Option<PathAndQuery>,
    ) -> Result<Judgement, Box<Denial>> {
        let policy = &*self.state.policy;
        let head = head::check(asked.parts, asked.entrance)?;
        let read = Target::parse(&head.path_and_query, policy.classes_read)
            .map_err(|ambiguous| Box::new(Denial::from(ambiguous)))?;
        let is_readable = read.classes().minus(policy.classes_allowed).is_empty();
        // What shadow may send on as it came is told as it came.
        *target = Some(if is_readable {
            read.path_and_query().clone()
        } else {
            head.path_and_query.clone()
        });
        let held = self.throttle.holds(asked.source, asked.failures, asked.now);
        let lookup = policy
            .find(Some(head.host), head.method, read.path())
            .map_err(|_| {
                let unknown = || Box::new(Denial::new(Reason::HostUnknown));
                self.not_held(asked, held).err().unwrap_or_else(unknown)
            })?;
        // Our own endpoints win over any route that overlaps them.
        if let Some(own) = self.own(head.method, read.path()) {
            // Where tokens are asked for the credential may stand in the body: they look for themselves.
            if !matches!(own, Judgement::Token | Judgement::Revoke) {
                self.not_held(asked, held)?;
            }
            return Ok(own);
        }
        let question = Question {
            policy,
            target: &read,
            sent: &head.path_and_query,
            host: Some(head.host),
            lookup: &lookup,
            headers: &asked.parts.headers,
            source: Some(asked.source),
        };
        if head.method == Method::Options {
            match decision::preflight(&question, Some(head.host)) {
                Some(Preflight::Pass(permit)) => {
                    return Ok(Judgement::Decided(Outcome::Allowed(*permit)));
                }
                Some(Preflight::Answer(answer)) => return Ok(Judgement::Preflight(answer)),
                None => {}
            }
        }
        if let Some(wait) = held.filter(|_| !decision::goes_on_regardless(&question)) {
            return Ok(Judgement::Decided(self.held(asked, &question, wait)));
        }
        if !decision::asks_for_caller(policy, &lookup) {
            return Ok(Judgement::Decided(decision::decide(&question, Ok(None))));
        }
        let caller = self.read(asked, &question).and_then(|credential| {
            let found = self.verifier.look(&credential, self.state, asked.at());
            found.map_err(|refused| (refused.reason, refused.was_guess))
        });
        let was_guess = matches!(caller, Err((_, true)));
        let caller = caller.map_err(|(reason, _)| reason);
        let outcome = decision::decide(&question, caller);
        // Shadow throttles nobody, so what shadow forgives is not held against anybody either.
        if was_guess && matches!(outcome, Outcome::Denied(_)) {
            self.throttle
                .failed(asked.source, asked.failures, asked.now);
        }
        Ok(Judgement::Decided(outcome))
    }

    /// The endpoint of our own that a path leads to.
    fn own(&self, method: Method, path: &str) -> Option<Judgement> {
        let is_read = matches!(method, Method::Get | Method::Head);
        let signs = || self.state.directory.signing().current().is_some();
        match path {
            oauth::token::PATH => Some(Judgement::Token),
            oauth::revoke::PATH => Some(Judgement::Revoke),
            oauth::JWKS_PATH if is_read && signs() => Some(Judgement::SigningKeys),
            oauth::METADATA_PATH if is_read && self.tells_metadata => Some(Judgement::Metadata),
            _ => None,
        }
    }

    /// Refuses a source that is throttled what nobody is asked for a credential for, unless it shows one
    /// that has been verified before.
    #[inline]
    fn not_held(&self, asked: &Asked<'_>, held: Option<Duration>) -> Result<(), Box<Denial>> {
        let Some(wait) = held else {
            return Ok(());
        };
        let shown = credential::read(&asked.parts.headers, asked.accepts, Foreign::Counts);
        let shown = shown.unwrap_or(Credential::Absent);
        match self.verifier.remembered(&shown, self.state, asked.at()) {
            Err(Reason::SourceThrottled) => Err(Box::new(Denial::throttled(wait))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The credential of a request; if it is none, also whether that is a guess.
    fn read<'h>(
        &self,
        asked: &Asked<'h>,
        question: &Question<'_>,
    ) -> Result<Credential<'h>, (Reason, bool)> {
        let foreign = if decision::foreign_may_pass(question) {
            Foreign::MayPass(self.issuers)
        } else {
            Foreign::Counts
        };
        let read = credential::read(&asked.parts.headers, asked.accepts, foreign);
        read.map_err(|reason| (reason, is_guess(reason)))
    }

    /// Decides on a request from a source that is throttled: only who brings what has been verified
    /// before is asked anything else, on public routes too.
    fn held(&self, asked: &Asked<'_>, question: &Question<'_>, wait: Duration) -> Outcome {
        let credential = self.read(asked, question).unwrap_or(Credential::Absent);
        let caller = self
            .verifier
            .remembered(&credential, self.state, asked.at());
        if caller.as_ref().err() == Some(&Reason::SourceThrottled) {
            return Outcome::Denied(decision::throttled(question, wait));
        }
        decision::decide(question, caller.map(Some))
    }
}
