//! What happened to a request becomes one log line and a few counters.
//!
//! The handler fills in a [`Verdict`]; a [`Ticket`] carries it to the end of the response's body
//! and records it when dropped, so there is exactly one line and one count a request on every way
//! out, a client that hangs up included. Nobody else on the request path logs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Version};
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use crate::decision::{Denial, Needs};
use crate::denials::{self, Failed, Refused, Text};
use crate::forward::body::Progress;
use crate::policy::Route;
use crate::reason::Reason;
use crate::settings::Decisions;
use crate::telemetry::log::{Decision, Ended, Event, Line, LogHandle};
use crate::telemetry::metrics::{
    Denied, Finished, Metrics, Outcome, Target, UpstreamError, UpstreamMetrics,
};
use crate::words::{
    Account, Caller, Cause, Evidence, KeyId, Method, RequestId, TokenId, UnixTime, UpstreamName,
};

/// What a request counts as that nobody answered.
const UNANSWERED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// Everything known about a request when it is over.
#[derive(Debug)]
pub struct Verdict {
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub at: UnixTime,
    /// When it arrived, on the clock that never jumps.
    pub started: Instant,
    /// Its method, as sent.
    pub method: http::Method,
    /// Its path and query as decided on, or as sent if it was refused before that.
    pub target: Option<PathAndQuery>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Its version.
    pub version: Version,
    /// The `Host` it came with.
    pub host: Option<HeaderValue>,
    /// Where it came from.
    pub source: IpAddr,
    /// The socket's peer.
    pub peer: IpAddr,
    /// What the client calls itself.
    pub user_agent: Option<HeaderValue>,
    /// The client's own id for it.
    pub client_request_id: Option<HeaderValue>,
    /// The primary route.
    pub route: Option<Arc<Route>>,
    /// Whether it was for the token endpoint.
    pub token_endpoint: bool,
    /// Who asked, if known.
    pub account: Option<Arc<Account>>,
    /// The key that was used, or that the token was made from.
    pub key: Option<KeyId>,
    /// The first bytes of the token's digest.
    pub token: Option<[u8; 8]>,
    /// Which token it was.
    pub token_id: Option<TokenId>,
    /// The permissions its route needed, if it was let through.
    pub permissions: Option<HeaderValue>,
    /// Why it was refused, or would have been.
    pub denial: Option<Box<Denial>>,
    /// Whether it was forwarded all the same.
    pub shadow: bool,
    /// What was answered, if anything was.
    pub status: Option<StatusCode>,
    /// What ended it before its end. Of who is dropped on the way, the client has gone; whoever
    /// knows better says so, and that it is whole.
    pub ended: Option<Ended>,
    /// From its head to the decision.
    pub authz: Option<Duration>,
    /// The upstream it was sent to.
    pub upstream: Option<UpstreamName>,
    /// Why that one has not answered, if it has not.
    pub cause: Option<Arc<Cause>>,
    /// How long the upstream took until the head of its response.
    pub upstream_wait: Duration,
    /// Bytes of the response's body, or out of a tunnel.
    pub sent_bytes: u64,
    /// What was read of the client besides the head.
    pub received: Received,
}

/// What was read of a client besides the head of its request.
#[derive(Debug)]
pub enum Received {
    /// Nothing: nobody looked at a body.
    Nothing,
    /// A body that was collected, of so many bytes.
    Whole(usize),
    /// A body on its way to an upstream.
    Upload(Rc<Progress>),
    /// Bytes into a tunnel.
    Tunnelled(u64),
}

impl Received {
    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Whole(length) => u64::try_from(*length).ok(),
            Self::Upload(progress) => Some(progress.read()),
            Self::Tunnelled(bytes) => Some(*bytes),
        }
    }
}

impl Verdict {
    /// Notes who asked.
    pub fn saw(&mut self, caller: &Caller) {
        self.account = Some(Arc::clone(&caller.account));
        self.key = caller.key;
        (self.token, self.token_id) = match caller.evidence {
            Evidence::Token { digest, id, .. } => (Some(digest), Some(id)),
            Evidence::Key | Evidence::Hypothesis => (None, None),
        };
    }

    /// Notes that it was let through, and then was not allowed any more.
    pub fn cut(&mut self, denial: Box<Denial>) {
        self.denial = Some(denial);
        self.shadow = false;
        self.ended = Some(Ended::Revoked);
    }

    /// Whether it was let through and came to nothing: no refusal, although it has a reason.
    fn has_failed(&self) -> bool {
        self.upstream.is_some() && !self.shadow && self.reason().is_some_and(Reason::is_failure)
    }

    /// The reason against it, if there is one.
    pub fn reason(&self) -> Option<Reason> {
        self.denial.as_ref().map(|denial| denial.reason)
    }
}

/// Records the requests of one core.
#[derive(Debug)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    log: LogHandle,
    /// Where refusals are kept, if they are.
    denials: Option<denials::Handle>,
    decisions: Decisions,
    /// Heard when what is still there is dropped.
    stop: CancellationToken,
    /// The series of each upstream this core has sent a request to.
    upstreams: RefCell<HashMap<UpstreamName, UpstreamMetrics, foldhash::fast::RandomState>>,
}

impl Recorder {
    /// A recorder that writes to these. Who is dropped after `stop` was cut by it.
    pub fn new(
        metrics: Arc<Metrics>,
        log: LogHandle,
        denials: Option<denials::Handle>,
        decisions: Decisions,
        stop: CancellationToken,
    ) -> Self {
        Self {
            metrics,
            log,
            denials,
            decisions,
            stop,
            upstreams: RefCell::default(),
        }
    }

    /// The metrics, for what is counted beside requests.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn record(&self, verdict: &mut Verdict) {
        let total = verdict.started.elapsed();
        self.count(verdict, total);
        let ended = match verdict.ended {
            Some(Ended::ClientGone) if self.stop.is_cancelled() => Some(Ended::Draining),
            ended => ended,
        };
        let is_notable = verdict.denial.is_some() || ended.is_some_and(Ended::is_notable);
        if is_notable || self.decisions == Decisions::All {
            self.write(verdict, ended, total);
        }
        let has_failed = verdict.has_failed();
        // Last, because the refusal is handed over.
        if let Some(denial) = verdict.denial.take()
            && let Some(denials) = &self.denials
        {
            denials.leave(refused(verdict, denial, has_failed));
        }
    }

    fn count(&self, verdict: &Verdict, total: Duration) {
        if let Some(class) = verdict.denial.as_ref().and_then(|denial| denial.class) {
            self.metrics.path_refused(class);
        }
        let permission = verdict
            .denial
            .as_ref()
            .and_then(|denial| first_needed(denial));
        let denied = verdict.denial.as_ref().map(|denial| Denied {
            reason: denial.reason,
            status: denial.status(),
            permission: permission.unwrap_or_default(),
            account: verdict
                .account
                .as_ref()
                .map(|account| account.name.as_str()),
        });
        let outcome = match denied {
            None => Outcome::Allowed,
            Some(denied) if verdict.shadow => Outcome::Shadowed(denied),
            Some(denied) => Outcome::Denied(denied),
        };
        let target = match &verdict.route {
            Some(route) => Target::Route(route),
            None if verdict.token_endpoint => Target::Token,
            None => Target::None,
        };
        if let Some(name) = &verdict.upstream {
            self.count_upstream(name, verdict);
        }
        self.metrics.request_finished(&Finished {
            target,
            method: Method::parse(verdict.method.as_str()),
            status: verdict.status.unwrap_or(UNANSWERED),
            total,
            authz: verdict.authz,
            outcome,
        });
    }

    fn count_upstream(&self, name: &UpstreamName, verdict: &Verdict) {
        let mut upstreams = self.upstreams.borrow_mut();
        if !upstreams.contains_key(name) {
            upstreams.insert(name.clone(), self.metrics.upstream(name));
        }
        let Some(upstream) = upstreams.get(name) else {
            return;
        };
        // In shadow the reason is the decision's, and the upstream has answered all the same.
        let Some(reason) = verdict.reason().filter(|_| !verdict.shadow) else {
            upstream.answered(verdict.upstream_wait);
            return;
        };
        // What the client did wrong after the decision is not counted here.
        if let Some(error) = UpstreamError::of(reason) {
            upstream.failed(error);
        }
    }

    fn write(&self, verdict: &Verdict, ended: Option<Ended>, total: Duration) {
        let denial = verdict.denial.as_deref();
        let missing: SmallVec<[&str; 4]> = denial
            .iter()
            .flat_map(|denial| &denial.missing)
            .map(AsRef::as_ref)
            .collect();
        let granted = verdict
            .permissions
            .as_ref()
            .and_then(|value| value.to_str().ok());
        let (event, decision) = said(verdict);
        self.log.write(&Line {
            time: verdict.at,
            event,
            decision,
            ended,
            request_id: &verdict.id,
            client_request_id: verdict
                .client_request_id
                .as_ref()
                .map(HeaderValue::as_bytes),
            method: verdict.method.as_str().as_bytes(),
            path: verdict
                .target
                .as_ref()
                .map_or("", PathAndQuery::path)
                .as_bytes(),
            scheme: verdict.scheme,
            protocol: version(verdict.version),
            upgraded: matches!(verdict.received, Received::Tunnelled(_)).then_some("websocket"),
            host: verdict.host.as_ref().map(HeaderValue::as_bytes),
            user_agent: verdict.user_agent.as_ref().map(HeaderValue::as_bytes),
            client: Some(verdict.source),
            status: verdict.status.map(|status| status.as_u16()),
            request_bytes: verdict.received.bytes(),
            response_bytes: Some(verdict.sent_bytes),
            route: verdict.route.as_ref().map(|route| route.name.as_str()),
            permission: denial.map_or(granted, first_needed),
            missing: &missing,
            class: denial.and_then(|denial| denial.class),
            hint: denial.and_then(|denial| denial.hint),
            account: verdict.account.as_deref(),
            key: verdict.key.as_ref(),
            token: verdict.token.as_ref(),
            upstream: verdict.upstream.as_ref().map(UpstreamName::as_str),
            cause: verdict.cause.as_deref(),
            authz: verdict.authz,
            upstream_wait: verdict.upstream.as_ref().map(|_| verdict.upstream_wait),
            total,
        });
    }
}

/// What happened, and what was decided.
fn said(verdict: &Verdict) -> (Event, Decision) {
    let decision = match verdict.reason() {
        None => Decision::Allow,
        Some(reason) if verdict.shadow => Decision::ShadowDeny(reason),
        Some(reason) if verdict.has_failed() => Decision::AllowInVain(reason),
        Some(reason) => Decision::Deny(reason),
    };
    let event = match (verdict.token_endpoint, &verdict.denial) {
        (true, None) => Event::TokenIssued,
        (true, Some(_)) => Event::TokenRefused,
        (false, None) => Event::Access,
        (false, Some(_)) if verdict.has_failed() => Event::Failed,
        (false, Some(_)) => Event::Denied,
    };
    (event, decision)
}

/// A refusal, to be kept.
fn refused(verdict: &Verdict, denial: Box<Denial>, has_failed: bool) -> Refused {
    fn bytes(value: Option<&HeaderValue>) -> &[u8] {
        value.map_or(b"", HeaderValue::as_bytes)
    }
    let path = verdict.target.as_ref().map_or("", PathAndQuery::path);
    let upstream = verdict.upstream.clone().filter(|_| has_failed);
    Refused {
        id: verdict.id,
        at: verdict.at,
        method: verdict.method.clone(),
        text: Text::new(
            path.as_bytes(),
            bytes(verdict.host.as_ref()),
            bytes(verdict.user_agent.as_ref()),
        ),
        source: verdict.source,
        route: verdict.route.clone(),
        account: verdict.account.clone(),
        key: verdict.key,
        denial,
        shadow: verdict.shadow,
        failed: upstream.map(|upstream| Failed {
            upstream,
            cause: verdict.cause.clone(),
        }),
    }
}

/// The permission a refusal is filed under: the first that is missing, or the first that is needed.
fn first_needed(denial: &Denial) -> Option<&str> {
    let needed = match &denial.needs {
        Some(Needs::All(all) | Needs::Any(all)) => all.first(),
        None => None,
    };
    denial.missing.first().or(needed).map(AsRef::as_ref)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// A verdict on its way to the record: written when dropped.
#[derive(Debug)]
pub struct Ticket {
    /// Boxed, because it is handed on several times and is large.
    verdict: Box<Verdict>,
    recorder: Rc<Recorder>,
}

impl Ticket {
    /// A ticket for a request that has just arrived.
    pub fn new(verdict: Verdict, recorder: Rc<Recorder>) -> Self {
        Self {
            verdict: Box::new(verdict),
            recorder,
        }
    }

    /// What is known so far.
    pub fn verdict(&mut self) -> &mut Verdict {
        &mut self.verdict
    }

    /// Who records.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // A body that was cut on its way up takes the answer with it, in the answer's own words.
        if let Received::Upload(upload) = &self.verdict.received
            && let Some(reason) = upload.refused()
            && self.verdict.ended != Some(Ended::Revoked)
        {
            self.verdict.cut(Box::new(Denial::new(reason)));
        }
        self.recorder.record(&mut self.verdict);
    }
}
