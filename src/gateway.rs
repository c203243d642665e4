//! Decide, act, record: the whole product on one screen.
//!
//! [`Gateway::handle`] answers one request. Everything up to the decision is not `async`, and that
//! is a statement: no decision waits for a store, a file, another host or another request.

mod outgoing;
mod pages;
mod rates;
mod refused;
mod standing;
mod token;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::Semaphore;

pub use outgoing::{Broken, Outgoing};
use pages::Page;
use refused::{is_last, refuse};
use standing::Standing;

use crate::clock::Clock;
use crate::connection::line::Line;
use crate::credential::{Accepts, Issuers};
use crate::decision::{Denial, Outcome, Permit};
use crate::directory::{Handle, State};
use crate::forward::body::Progress;
use crate::forward::headers::{X_REQUEST_ID, request_id};
use crate::forward::streams::Streams;
use crate::forward::{Forwarder, Terms, linger, trailers};
use crate::head;
use crate::head::Entrance;
use crate::judge::{self, Judge, Judgement};
use crate::oauth;
use crate::oauth::revoke::Revocations;
use crate::reason::Reason;
use crate::record::{Received, Recorder, Ticket, Verdict};
use crate::reject;
use crate::settings::{Listener, Tokens};
use crate::source::{self, Source};
use crate::telemetry::log::Ended;
use crate::throttle::{Rates, Throttle};
use crate::verify::Verifier;
use crate::words::RequestIds;

/// Answers the requests of one core.
#[derive(Debug)]
pub struct Gateway {
    /// Policy and directory in force.
    pub state: Arc<Handle>,
    /// Turns credentials into callers.
    pub verifier: Arc<Verifier>,
    /// Makes tokens.
    pub tokens: Arc<Tokens>,
    /// Whose turn it is at the token endpoint of this core: one at a time.
    pub token_turn: Semaphore,
    /// Takes back tokens that clients give back.
    pub revocations: Revocations,
    /// Where our endpoints are, for clients that look it up.
    pub metadata: Option<Arc<Value>>,
    /// Whose tokens are ours.
    pub issuers: Issuers,
    /// Whose sources have shown too many wrong credentials.
    pub throttle: Arc<Throttle>,
    /// How often routes and accounts have been served.
    pub rates: Arc<Rates>,
    /// Whether who is over a rate is told which.
    pub tells_rates: bool,
    /// Spends permits.
    pub forwarder: Forwarder,
    /// The requests under way, to be asked again when something changes.
    pub streams: Rc<Streams>,
    /// Writes the record.
    pub recorder: Rc<Recorder>,
    /// Tells the time.
    pub clock: Clock,
    /// Makes request ids.
    pub ids: RefCell<RequestIds>,
    /// Whether the gateway is going away: answers then end their connections.
    pub draining: Arc<AtomicBool>,
}

/// The connection a request came in by.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The listener's settings.
    pub listener: Arc<Listener>,
    /// The socket's peer.
    pub peer: IpAddr,
    /// The client's address as a trusted peer stated it ahead of the connection (PROXY protocol).
    pub stated: Option<IpAddr>,
    /// The address at the other end, as an upstream is told of it.
    pub forwarded_for: HeaderValue,
    /// What a request may ask of its connection beyond an answer.
    pub line: Line,
}

impl Connection {
    /// The address at the other end: the socket's peer, or whom a trusted peer speaks for.
    pub fn client(&self) -> IpAddr {
        self.stated.unwrap_or(self.peer)
    }

    /// Whether what it says about where requests come from is believed.
    pub fn is_trusted(&self) -> bool {
        source::trusts(&self.listener.trusted_proxies, self.client())
    }
}

/// A request, before it is judged.
struct Asked<'a> {
    connection: &'a Connection,
    parts: &'a Parts,
    source: &'a Source,
}

/// A request on its way to an upstream.
struct Forwarded<'a> {
    standing: Standing,
    connection: &'a Connection,
    source: &'a Source,
    parts: &'a Parts,
    body: Incoming,
    /// When that was decided.
    since: Instant,
}

/// What is to be done with a request.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and lives on the stack"
)]
enum Act {
    Forward(Permit),
    Token,
    Revoke,
    SigningKeys,
    Metadata(Arc<Value>),
    Answer(HeaderMap),
    Refuse(Box<Denial>),
}

impl Gateway {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// Never; the type is what the HTTP library asks for.
    pub async fn handle(
        self: Rc<Self>,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Result<Response<Outgoing>, Infallible> {
        let in_flight = self.recorder.metrics().in_flight();
        let (parts, body) = request.into_parts();
        let (mut ticket, source) = self.open(connection, &parts);
        // Before the state is looked at, so that no change falls between the two.
        let generation = self.streams.generation();
        let state = self.state.snapshot();
        let asked = Asked {
            connection,
            parts: &parts,
            source: &source,
        };
        let act = self.decide(&asked, &state, ticket.verdict());
        let is_grpc = parts.version == Version::HTTP_2 && trailers::is_grpc(&parts.headers);
        let since = Instant::now();
        ticket.verdict().authz = Some(since.duration_since(ticket.verdict().started));
        let mut response = match act {
            Act::Forward(permit) => {
                let standing =
                    Standing::new(&self, &permit, ticket.verdict(), (&state, generation));
                let asked = Forwarded {
                    standing,
                    connection,
                    source: &source,
                    parts: &parts,
                    body,
                    since,
                };
                // Boxed, and the token endpoint too: a connection keeps room for the whole of this
                // while it rests, and that need not hold what only a request under way takes.
                Box::pin(self.forward(permit, &state, asked, &mut ticket)).await
            }
            Act::Token => Box::pin(self.token(&asked, body, &mut ticket)).await,
            Act::Revoke => Box::pin(self.revoke(&asked, body, &mut ticket)).await,
            Act::Metadata(metadata) => {
                linger::pass_over(body, &parts, &connection.line);
                oauth::document(&metadata).map(Outgoing::full)
            }
            Act::SigningKeys => {
                linger::pass_over(body, &parts, &connection.line);
                oauth::key_set(state.directory.signing()).map(Outgoing::full)
            }
            Act::Answer(headers) => {
                linger::pass_over(body, &parts, &connection.line);
                pages::answered(headers)
            }
            Act::Refuse(denial) => {
                let page = Page::of(denial.cors.as_ref(), &parts.headers);
                let mut response = refuse(denial, &mut ticket);
                pages::share(page.as_ref(), response.headers_mut());
                if is_last(ticket.verdict()) {
                    linger::let_go(body, parts.version);
                } else {
                    linger::pass_over(body, &parts, &connection.line);
                }
                response
            }
        };
        self.seal(&mut response, is_grpc, &connection.line, ticket.verdict());
        Ok(response.map(|body| body.recorded(ticket, in_flight, &connection.line)))
    }

    /// What every answer says, whoever made it.
    fn seal(
        &self,
        response: &mut Response<Outgoing>,
        is_grpc: bool,
        line: &Line,
        verdict: &mut Verdict,
    ) {
        let status = response.status();
        verdict.status = Some(status);
        let leaves = self.draining.load(Ordering::Relaxed) || is_last(verdict) || line.is_ending();
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, request_id(&verdict.id));
        let may = verdict.version != Version::HTTP_2;
        if leaves && may && status != StatusCode::SWITCHING_PROTOCOLS {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(reason) = verdict.reason().filter(|_| is_grpc && !verdict.shadow) {
            reject::tell_grpc(headers, reason);
            *response.body_mut() = Outgoing::full(Bytes::new());
        }
    }

    /// What is to be done with a request. Not `async`: no decision waits for anything.
    fn decide(&self, asked: &Asked<'_>, state: &State, verdict: &mut Verdict) -> Act {
        let listener = &asked.connection.listener;
        let judge = Judge {
            state,
            verifier: &self.verifier,
            issuers: &self.issuers,
            throttle: &self.throttle,
            tells_metadata: self.metadata.is_some(),
        };
        let request = judge::Asked {
            parts: asked.parts,
            source: asked.source.address,
            accepts: Accepts::of(listener),
            entrance: Entrance::of(listener, asked.connection.is_trusted()),
            failures: listener.limits.failures(),
            now: verdict.at,
        };
        match judge.judge(&request, &mut verdict.target) {
            Err(denial) | Ok(Judgement::Decided(Outcome::Denied(denial))) => Act::Refuse(denial),
            Ok(Judgement::SigningKeys) => Act::SigningKeys,
            Ok(Judgement::Revoke) => Act::Revoke,
            Ok(Judgement::Metadata) => match &self.metadata {
                Some(metadata) => Act::Metadata(Arc::clone(metadata)),
                None => Act::Refuse(Box::new(Denial::new(Reason::RouteMissing))),
            },
            Ok(Judgement::Token) => {
                verdict.token_endpoint = true;
                Act::Token
            }
            Ok(Judgement::Preflight(answer)) => {
                verdict.route = Some(answer.route);
                Act::Answer(answer.headers)
            }
            Ok(Judgement::Decided(Outcome::Allowed(permit))) => {
                if let Some(identity) = permit.identity() {
                    verdict.saw(&identity.caller);
                }
                self.within_rates(permit, verdict)
            }
            Ok(Judgement::Decided(Outcome::Shadowed(permit, denial))) => {
                if let Some(caller) = &denial.caller {
                    verdict.saw(caller);
                }
                verdict.target = Some(permit.path_and_query().clone());
                verdict.denial = Some(denial);
                verdict.shadow = true;
                Act::Forward(permit)
            }
        }
    }

    /// Spends the permit.
    async fn forward(
        &self,
        permit: Permit,
        state: &State,
        asked: Forwarded<'_>,
        ticket: &mut Ticket,
    ) -> Response<Outgoing> {
        let verdict = ticket.verdict();
        verdict.route = permit.route().cloned();
        verdict.permissions = permit
            .identity()
            .and_then(|identity| identity.permissions.clone());
        let upstream = state.policy.upstream(permit.upstream());
        let listener = &asked.connection.listener;
        let host = verdict.host.clone();
        let upload = Progress::of(&asked.body, asked.since);
        verdict.received = Received::Upload(Rc::clone(&upload));
        let guard = standing::Asking {
            standing: &asked.standing,
            verdict,
        };
        let terms = Terms {
            id: &verdict.id,
            since: asked.since,
            guard: &guard,
            tls: listener.tls.is_some(),
            forwarded_for: &asked.connection.forwarded_for,
            upload: &upload,
            line: &asked.connection.line,
            trusted_chain: asked.source.trusted_chain.as_deref(),
            host: &host.unwrap_or_else(|| HeaderValue::from_static("")),
            body_bytes_max: listener.limits.body_bytes,
            body_idle: listener.limits.body_idle,
        };
        let page = Page::of(permit.cors(), &asked.parts.headers);
        let request = (asked.parts, asked.body);
        let answer = self
            .forwarder
            .forward(permit, upstream, request, &terms)
            .await;
        verdict.upstream = Some(upstream.clone());
        verdict.upstream_wait = answer.waited;
        if !upload.is_whole() {
            // An answer that does not wait for all of it may be over before it is.
            asked.connection.line.ends();
        }
        let mut response = match answer.response {
            Ok(response) => {
                if !upload.is_whole() {
                    upload.hold_to(Box::new(asked.standing.apart(verdict)));
                }
                response.map(|reply| Outgoing::of(reply, asked.standing))
            }
            Err(failed) => {
                verdict.cause = failed.cause;
                let reason = self.blame(failed.reason);
                refuse(Box::new(Denial::new(reason)), ticket)
            }
        };
        pages::share(page.as_ref(), response.headers_mut());
        response
    }

    /// While the gateway goes away its upstream may have gone already; that is nobody's fault.
    fn blame(&self, reason: Reason) -> Reason {
        if reason == Reason::UpstreamUnreachable && self.draining.load(Ordering::Relaxed) {
            return Reason::Draining;
        }
        reason
    }

    /// What was refused before it was a request: one line and one count all the same, and the answer
    /// it gets, if it can be answered.
    pub fn refused_unread(
        &self,
        connection: &Connection,
        reason: Reason,
        version: Version,
    ) -> Response<Bytes> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        let (mut ticket, _) = self.open(connection, &request.into_parts().0);
        let verdict = ticket.verdict();
        verdict.target = None;
        verdict.status = Some(reason.status());
        verdict.ended = None;
        let denial = Box::new(Denial::new(reason));
        let mut answer = reject::respond(&denial, &verdict.id);
        answer
            .headers_mut()
            .insert(X_REQUEST_ID, request_id(&verdict.id));
        verdict.sent_bytes = answer.body().len() as u64;
        verdict.denial = Some(denial);
        answer
    }

    fn open(&self, connection: &Connection, parts: &Parts) -> (Ticket, Source) {
        let now = self.clock.now();
        let headers = &parts.headers;
        let source = source::of(
            connection.client(),
            &connection.listener.trusted_proxies,
            headers,
        );
        let verdict = Verdict {
            id: self.ids.borrow_mut().next(now),
            at: now,
            started: Instant::now(),
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned(),
            scheme: if connection.listener.tls.is_some() {
                "https"
            } else {
                "http"
            },
            version: parts.version,
            host: head::stated_host(parts),
            source: source.address,
            peer: connection.peer,
            user_agent: headers.get(USER_AGENT).cloned(),
            client_request_id: headers.get(X_REQUEST_ID).cloned(),
            route: None,
            token_endpoint: false,
            account: None,
            key: None,
            token: None,
            token_id: None,
            permissions: None,
            denial: None,
            shadow: false,
            status: None,
            ended: Some(Ended::ClientGone),
            authz: None,
            upstream: None,
            cause: None,
            upstream_wait: std::time::Duration::ZERO,
            sent_bytes: 0,
            received: Received::Nothing,
        };
        (Ticket::new(verdict, Rc::clone(&self.recorder)), source)
    }
}
