//! One line in the decision log and one count for every request, on every way out.
//!
//! A [`Ticket`] is made when a request's head is there and written when it is dropped: when there is an
//! answer, or when the client has gone before there was one. What is found out on the way is noted
//! into its [`Notes`] by whoever finds it out.
//!
//! Not here: what is kept of a refusal for good, which is the audit trail's.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Response, StatusCode, Version};

use super::around::REQUEST_ID;
use super::endpoint::Endpoint;
use super::serve::{Api, BASE};
use crate::decision::Denial;
use crate::telemetry::log::{Decision, Ended, Event, Line, LogHandle};
use crate::telemetry::metrics::Metrics;
use crate::words::{Account, Caller, Evidence, KeyId, RequestId, UnixTime};

/// Where it is written and counted.
#[derive(Debug)]
pub struct Records {
    log: LogHandle,
    metrics: Arc<Metrics>,
}

impl Records {
    /// Lines go to `log`, counts to `metrics`.
    pub fn new(log: LogHandle, metrics: Arc<Metrics>) -> Self {
        Self { log, metrics }
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }
}

/// Who answers, as far as lines and counts tell them apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Place {
    /// Nobody: no such path, no such method, not by this name.
    #[default]
    Nobody,
    /// The document that describes the API.
    Document,
    /// The token endpoint.
    Token,
    /// A row of the table.
    Row(&'static Endpoint),
}

impl Place {
    fn endpoint(self) -> Option<&'static Endpoint> {
        match self {
            Self::Row(endpoint) => Some(endpoint),
            Self::Nobody | Self::Document | Self::Token => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "",
            Self::Document => "document",
            Self::Token => "token",
            Self::Row(endpoint) => endpoint.id,
        }
    }
}

/// What was found out about a request so far.
#[derive(Debug, Default)]
struct Told {
    place: Place,
    /// Whether somebody stands for the answer: see [`Notes::is_answered`].
    is_answered: bool,
    account: Option<Arc<Account>>,
    key: Option<KeyId>,
    token: Option<[u8; 8]>,
    /// Why it was refused: a reason, or a word for what no decision refuses.
    refusal: Option<Refusal>,
}

#[derive(Debug)]
enum Refusal {
    Denied(Box<Denial>),
    Word(&'static str),
}

/// Where things are noted about a request while it is on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Told>>);

impl Notes {
    /// Those of a request, which [`super::around`] gives every one.
    pub(super) fn of(request: &Request) -> Self {
        let notes = request.extensions().get::<Self>();
        notes.cloned().unwrap_or_default()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Whoever died with it had noted what he had noted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This one answers.
    pub(super) fn at(&self, place: Place) {
        let mut told = self.told();
        told.place = place;
        told.is_answered = true;
    }

    /// Whether the answer comes from somebody who was meant to give one. A route that was added beside
    /// the table, and so beside the guard, is none.
    pub(super) fn is_answered(&self) -> bool {
        self.told().is_answered
    }

    /// He asks.
    pub(super) fn saw(&self, caller: &Caller) {
        let mut told = self.told();
        told.account = Some(Arc::clone(&caller.account));
        told.key = caller.key;
        told.token = match caller.evidence {
            Evidence::Token { digest, .. } => Some(digest),
            Evidence::Key | Evidence::Hypothesis => None,
        };
    }

    /// He shows this key, whether or not it is his.
    pub(super) fn shows(&self, account: Option<Arc<Account>>, key: Option<KeyId>) {
        let mut told = self.told();
        told.account = account;
        told.key = key;
    }

    /// It is refused by a decision.
    pub(super) fn denied(&self, denial: &Denial) {
        self.told().refusal = Some(Refusal::Denied(Box::new(denial.clone())));
    }

    /// It is refused for what is no decision.
    pub(super) fn refused(&self, word: &'static str) {
        self.told().refusal = Some(Refusal::Word(word));
    }
}

/// A request on its way to the record.
#[derive(Debug)]
pub(super) struct Ticket {
    api: Arc<Api>,
    notes: Notes,
    id: RequestId,
    at: UnixTime,
    started: Instant,
    method: Method,
    path: String,
    version: Version,
    source: IpAddr,
    /// `Host`, `User-Agent`, the client's own id.
    headers: [Option<HeaderValue>; 3],
    /// Its status, and the length of its body.
    answer: Option<(StatusCode, Option<u64>)>,
}

impl Ticket {
    /// A ticket for a request that has just come from `source`.
    pub(super) fn new(api: &Arc<Api>, id: RequestId, source: IpAddr, request: &Request) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self {
            notes: Notes::default(),
            id,
            at: api.service.now(),
            started: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            version: request.version(),
            source,
            headers: [header(HOST), header(USER_AGENT), header(REQUEST_ID)],
            answer: None,
            api: Arc::clone(api),
        }
    }

    /// What is noted about it.
    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// This is the answer.
    pub(super) fn answered(&mut self, response: &Response<Body>) {
        let size = http_body::Body::size_hint(response.body()).exact();
        self.answer = Some((response.status(), size));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let told = self.notes.told();
        let decision = match &told.refusal {
            None => Decision::Allow,
            Some(Refusal::Denied(denial)) => Decision::Deny(denial.reason),
            Some(Refusal::Word(word)) => Decision::Refuse(word),
        };
        self.write(&told, decision);
        let status = self.answer.map(|(status, _)| status);
        let reason = decision.word().unwrap_or_default();
        let metrics = &self.api.records.metrics;
        metrics.admin_request(told.place.name(), status, reason);
    }
}

impl Ticket {
    fn write(&self, told: &Told, decision: Decision) {
        let endpoint = told.place.endpoint();
        let route = endpoint.map(|endpoint| format!("{BASE}{}", endpoint.path));
        let denial = match &told.refusal {
            Some(Refusal::Denied(denial)) => Some(denial),
            Some(Refusal::Word(_)) | None => None,
        };
        let missing = denial.iter().flat_map(|denial| &denial.missing);
        let missing: Vec<&str> = missing.map(AsRef::as_ref).collect();
        let [host, user_agent, client_request_id] = self.headers.each_ref().map(|value| {
            let value = value.as_ref();
            value.map(HeaderValue::as_bytes)
        });
        let status = self.answer.map(|(status, _)| status.as_u16());
        self.api.records.log.write(&Line {
            time: self.at,
            event: match told.refusal {
                None => Event::Admin,
                Some(_) => Event::AdminRefused,
            },
            decision,
            ended: status.is_none().then_some(Ended::ClientGone),
            request_id: &self.id,
            client_request_id,
            method: self.method.as_str().as_bytes(),
            path: self.path.as_bytes(),
            scheme: self.api.scheme,
            protocol: match self.version {
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            upgraded: None,
            host,
            user_agent,
            client: Some(self.source),
            status,
            request_bytes: None,
            response_bytes: self.answer.and_then(|(_, size)| size),
            route: route.as_deref(),
            permission: endpoint.and_then(|endpoint| endpoint.permission),
            missing: &missing,
            class: None,
            hint: denial.and_then(|denial| denial.hint),
            account: told.account.as_deref(),
            key: told.key.as_ref(),
            token: told.token.as_ref(),
            upstream: None,
            cause: None,
            authz: None,
            upstream_wait: None,
            total: self.started.elapsed(),
        });
    }
}
