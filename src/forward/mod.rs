//! Spends a permit: sends the request to its upstream and brings the answer back.
//!
//! The message an upstream gets is built from typed parts, never copied: our own request line with
//! the path that was decided on, one `Host`, one length, and headers that have been through
//! [`headers`]. Bodies stream both ways; a slow reader slows the writer, and nothing is
//! collected.
//!
//! Not here: whether the request may pass. Whoever calls holds a [`Permit`].

pub mod body;
pub mod download;
mod draft;
mod exchange;
pub mod headers;
mod interim;
pub mod linger;
mod no_answer;
pub mod pool;
mod proxy_status;
pub mod streams;
pub mod trailers;
pub mod tunnel;
mod upgrade;
mod via;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::connection::line::Line;
use crate::credential::Issuers;
use crate::decision::Permit;
use crate::pem::Unusable;
use crate::reason::Reason;
use crate::settings::{HostHeader, Upstream};
use crate::words::{RequestId, UpstreamName};
use body::{Bounds, Progress, Upload};
use download::{Download, Flow, Inflow, Source};
use draft::Draft;
use exchange::{Patience, Waiting};
use headers::Surgery;
use interim::Interims;
pub use no_answer::NoAnswer;
use pool::Pool;
use streams::Guard;
use trailers::Trailers;
use tunnel::Tunnel;
use upgrade::{Handshake, Switched};
use via::Via;

/// What the forwarders of all cores share: the connections of each upstream, counted together, and
/// the name we go by.
#[derive(Clone, Debug)]
pub struct Upstreams {
    each: pool::Upstreams,
    via: Via,
}

impl Upstreams {
    /// The upstreams of the settings.
    ///
    /// # Errors
    ///
    /// When the roots, certificate or key of one of them cannot be used.
    pub fn new(upstreams: &BTreeMap<UpstreamName, Upstream>) -> Result<Self, Unusable> {
        Ok(Self {
            each: pool::Upstreams::new(upstreams)?,
            via: Via::random(),
        })
    }

    /// Their addresses, connections and health.
    pub fn each(&self) -> &pool::Upstreams {
        &self.each
    }
}

/// Forwards the requests of one core.
#[derive(Debug)]
pub struct Forwarder {
    pools: Vec<Rc<Pool>>,
    /// Told when another core wants a connection of what rests here.
    nudge: Arc<Notify>,
    issuers: Issuers,
    via: Via,
}

/// What follows the head of an answer.
#[derive(Debug)]
pub enum Reply {
    /// A body.
    Body(Download),
    /// Whatever two ends have agreed on that both said they would.
    Tunnel(Box<Tunnel>),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The upstream's response, or the reason why there is none.
    pub response: Result<Response<Reply>, NoAnswer>,
    /// How long the upstream took until the head of its response.
    pub waited: Duration,
}

impl Forwarder {
    /// A forwarder without connections.
    pub fn new(upstreams: &Upstreams, issuers: Issuers) -> Self {
        let nudge = Arc::new(Notify::new());
        Self {
            pools: upstreams.each.pools(&nudge),
            nudge,
            issuers,
            via: upstreams.via.clone(),
        }
    }

    /// Closes connections that rested too long.
    pub fn sweep(&self) {
        self.pools.iter().for_each(|pool| pool.sweep());
    }

    /// Waits until another core wants a connection, and closes what rests of that upstream.
    pub async fn yield_to_others(&self) {
        self.nudge.notified().await;
        self.pools.iter().for_each(|pool| pool.yield_to_others());
    }

    /// Sends the request `permit` was made for.
    pub async fn forward(
        &self,
        permit: Permit,
        upstream: &UpstreamName,
        request: (&Parts, Incoming),
        terms: &Terms<'_>,
    ) -> Answer {
        let Some(pool) = self
            .pools
            .iter()
            .find(|pool| pool.upstream().name == *upstream)
        else {
            // A policy is checked against the settings, so this is a fault of ours; fail closed.
            tracing::error!(%upstream, "a route leads to an upstream that has no address");
            return Answer {
                response: Err(Reason::InternalError.into()),
                waited: Duration::ZERO,
            };
        };
        let response = self.send(&permit, pool, request, terms).await;
        Answer {
            response,
            waited: terms.since.elapsed(),
        }
    }

    async fn send(
        &self,
        permit: &Permit,
        pool: &Rc<Pool>,
        (parts, body): (&Parts, Incoming),
        terms: &Terms<'_>,
    ) -> Result<Response<Reply>, NoAnswer> {
        let waiting = Waiting {
            patience: patience(permit, pool.upstream(), terms, &parts.headers),
            line: terms.line,
            interims: Interims::default(),
            guard: terms.guard,
        };
        let handshake = Handshake::of(parts, permit)?;
        let trailers = Trailers::for_client(parts.version, &parts.headers);
        let bounds = Bounds {
            bytes: least(permit.body_bytes(), terms.body_bytes_max),
            trailers: Trailers::listed(permit.trailers()),
            http2: parts.version == Version::HTTP_2,
        };
        let progress = Rc::clone(terms.upload);
        let mut upload = Upload::new(body, bounds, Rc::clone(&progress));
        let flow = Flow {
            trailers,
            upload: Rc::clone(&progress),
            idle: pool.upstream().stream_idle,
        };
        if upload.is_too_large() {
            if let Some(body) = upload.take() {
                linger::pass_over(body, parts, terms.line);
            }
            return Err(Reason::BodyTooLarge.into());
        }
        let draft = self.draft(permit, pool, (parts, &upload), terms)?;
        if let Some(handshake) = handshake {
            let message = draft.request(upload);
            return match handshake.send(pool, message, &waiting).await? {
                Switched::Tunnel(response) => Ok(switch(response)),
                Switched::Answer(response, driver) => {
                    is_relayable(&response)
                        .map_err(|what| NoAnswer::because(Reason::UpstreamMalformed, None, what))?;
                    let response = response.map(Inflow::Library);
                    Ok(relay(response, Source::Single(driver), flow))
                }
            };
        }
        let exchanged = exchange::exchange(pool, &draft, (upload, progress), &waiting);
        let (response, lease) = exchanged.await?;
        is_relayable(&response).map_err(|what| lease.no_answer(Reason::UpstreamMalformed, what))?;
        Ok(relay(response, Source::Lent(lease), flow))
    }

    /// The message for the upstream.
    fn draft<'a>(
        &'a self,
        permit: &'a Permit,
        pool: &'a Pool,
        (parts, upload): (&'a Parts, &Upload),
        terms: &'a Terms<'a>,
    ) -> Result<Draft<'a>, Reason> {
        let headers = &parts.headers;
        Ok(Draft {
            parts,
            surgery: Surgery {
                permit,
                terms,
                issuers: &self.issuers,
            },
            target: permit.path_and_query(),
            host: match pool.upstream().host_header {
                HostHeader::Upstream => pool.host(),
                HostHeader::Client => terms.host,
            },
            via: self.via.hop(headers, parts.version)?,
            takes_trailers: pool.is_http2() && trailers::takes(headers),
            framing: framing(headers, upload),
            announcement: upload.announcement(),
        })
    }
}

/// How long either side may keep the other one waiting. A gRPC call may be a stream from its first
/// message on, in both directions and with the answer's head as late as its first message, so there
/// only silence counts.
fn patience(
    permit: &Permit,
    upstream: &Upstream,
    terms: &Terms<'_>,
    headers: &HeaderMap,
) -> Patience {
    let (answer, body) = if trailers::is_grpc(headers) {
        let idle = upstream.stream_idle;
        (
            upstream.response_timeout.max(idle),
            terms.body_idle.max(idle),
        )
    } else {
        (upstream.response_timeout, terms.body_idle)
    };
    Patience {
        upstream: permit.timeout().unwrap_or(answer),
        client: body,
    }
}

/// The smaller of two bounds, where either may be none.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// How the end of the body is told where the HTTP library would not tell it. It takes a GET for one
/// without a body unless the head says otherwise, and many an upstream answers 411 to a POST that
/// says nothing.
fn framing(asked: &HeaderMap, body: &Upload) -> Option<(HeaderName, HeaderValue)> {
    match http_body::Body::size_hint(body).exact() {
        None => Some((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        Some(0) if asked.contains_key(CONTENT_LENGTH) => {
            Some((CONTENT_LENGTH, HeaderValue::from_static("0")))
        }
        Some(_) => None,
    }
}

/// What is known of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Its id.
    pub id: &'a RequestId,
    /// When it was let through.
    pub since: Instant,
    /// Whether it came in by TLS.
    pub tls: bool,
    /// The socket's peer, as an upstream is told of it.
    pub forwarded_for: &'a HeaderValue,
    /// Told how far the request's body has come.
    pub upload: &'a Rc<Progress>,
    /// What may be asked of the client's connection.
    pub line: &'a Line,
    /// Whether it may go on, while it waits.
    pub guard: &'a dyn Guard,
    /// The chain a trusted peer stated, to be continued.
    pub trusted_chain: Option<&'a str>,
    /// The host the client asked for.
    pub host: &'a HeaderValue,
    /// Largest body, in bytes, if there is a bound.
    pub body_bytes_max: Option<u64>,
    /// Longest silence of the client inside its body.
    pub body_idle: Duration,
}

/// Whether there is one way to tell where a response ends, and no coding that we would have to undo.
/// The library takes the coding of two, and leaves the length for the client to believe.
fn is_framed_one_way(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return true;
    };
    coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        && codings.next().is_none()
        && !headers.contains_key(CONTENT_LENGTH)
}

/// Whether a response can be handed on as what it is; if not, what is wrong with it.
fn is_relayable<B>(response: &Response<B>) -> Result<(), &'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switched protocols, which nobody asked for");
    }
    if !is_framed_one_way(response.headers()) {
        return Err("there is more than one way to tell where its answer ends");
    }
    Ok(())
}

/// What the client is sent of an upstream's response.
fn relay(response: Response<Inflow>, source: Source, flow: Flow) -> Response<Reply> {
    let (mut parts, incoming) = response.into_parts();
    let can_trail = incoming.size_hint().exact().is_none();
    let announced = can_trail
        .then(|| flow.trailers.announced(&parts.headers))
        .flatten();
    headers::relay(&mut parts.headers);
    parts
        .headers
        .extend(announced.map(|names| (TRAILER, names)));
    parts.version = Version::HTTP_11;
    let body = Download::new(incoming, source, flow);
    Response::from_parts(parts, Reply::Body(body))
}

/// What the client is sent when its upstream agrees to a tunnel.
fn switch(response: Response<Box<Tunnel>>) -> Response<Reply> {
    let mut response = response.map(Reply::Tunnel);
    headers::relay(response.headers_mut());
    upgrade::announce(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    response
}
