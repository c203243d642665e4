//! Spends a permit: sends the request to its upstream and brings the answer back.
//!
//! The message an upstream gets is built from typed parts, never copied: our own request line with
//! the path that was decided on, one `Host`, one length, and headers that have been through
//! [`headers::prepare`]. Bodies stream both ways; a slow reader slows the writer, and nothing is
//! collected.
//!
//! A request is sent again only when that cannot change what it means: not a byte of it was written,
//! or it is a GET or HEAD without a body that met a connection the upstream had already left. Once,
//! on a new connection, and never after a byte of a response.
//!
//! Not here: whether the request may pass. Whoever calls holds a [`Permit`].

pub mod body;
pub mod headers;
pub mod pool;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::credential::Issuers;
use crate::decision::Permit;
use crate::reason::Reason;
use crate::settings::{HostHeader, Upstream};
use crate::words::{RequestId, UpstreamName};
use body::{Download, Progress, Upload, UploadError};
use pool::{Lease, Pool};

/// The connections of all cores, counted together, upstream by upstream.
#[derive(Clone, Debug)]
pub struct Upstreams(Vec<(Arc<Upstream>, Arc<AtomicUsize>)>);

impl Upstreams {
    /// The upstreams of the settings.
    pub fn new(upstreams: &BTreeMap<UpstreamName, Upstream>) -> Self {
        let entry = |upstream: &Upstream| (Arc::new(upstream.clone()), Arc::default());
        Self(upstreams.values().map(entry).collect())
    }
}

/// Forwards the requests of one core.
#[derive(Debug)]
pub struct Forwarder {
    pools: Vec<Rc<Pool>>,
    issuers: Issuers,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The upstream's response, or the reason why there is none.
    pub response: Result<Response<Download>, Reason>,
    /// How long the upstream took until the head of its response.
    pub waited: Duration,
}

impl Forwarder {
    /// A forwarder without connections.
    pub fn new(upstreams: &Upstreams, issuers: Issuers) -> Self {
        let pool = |(upstream, open): &(Arc<Upstream>, Arc<AtomicUsize>)| {
            Pool::new(Arc::clone(upstream), Arc::clone(open))
        };
        Self {
            pools: upstreams.0.iter().map(pool).collect(),
            issuers,
        }
    }

    /// Closes connections that rested too long.
    pub fn sweep(&self) {
        self.pools.iter().for_each(|pool| pool.sweep());
    }

    /// Sends the request `permit` was made for.
    pub async fn forward(
        &self,
        permit: Permit,
        upstream: &UpstreamName,
        request: Request<Incoming>,
        terms: &Terms<'_>,
    ) -> Answer {
        let started = Instant::now();
        let Some(pool) = self
            .pools
            .iter()
            .find(|pool| pool.upstream().name == *upstream)
        else {
            // A policy is checked against the settings, so this is a fault of ours; fail closed.
            tracing::error!(%upstream, "a route leads to an upstream that has no address");
            return Answer {
                response: Err(Reason::InternalError),
                waited: Duration::ZERO,
            };
        };
        let patience = Patience {
            upstream: permit.timeout().unwrap_or(pool.upstream().response_timeout),
            client: terms.body_idle,
        };
        let (parts, body) = request.into_parts();
        let (upload, progress) = Upload::new(body, terms.body_bytes_max);
        let framing = framing(&parts.headers, &upload);
        let mut message = self.head(&permit, pool, parts, terms).map(|()| upload);
        message.headers_mut().extend(framing);
        let response = exchange(pool, message, progress, patience).await;
        let response = response.and_then(|(response, lease)| relay(response, lease));
        Answer {
            response,
            waited: started.elapsed(),
        }
    }

    /// The head of the message for the upstream.
    fn head(&self, permit: &Permit, pool: &Pool, parts: Parts, terms: &Terms<'_>) -> Request<()> {
        let mut headers = parts.headers;
        headers::prepare(&mut headers, permit, terms, &self.issuers);
        let host = match pool.upstream().host_header {
            HostHeader::Upstream => pool.host().clone(),
            HostHeader::Client => terms.host.clone(),
        };
        headers.insert(HOST, host);
        let mut message = Request::new(());
        *message.method_mut() = parts.method;
        *message.uri_mut() = Uri::from(permit.target().path_and_query().clone());
        *message.version_mut() = Version::HTTP_11;
        *message.headers_mut() = headers;
        message
    }
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
    /// Whether it came in by TLS.
    pub tls: bool,
    /// The socket's peer.
    pub peer: IpAddr,
    /// The chain a trusted peer stated, to be continued.
    pub trusted_chain: Option<&'a str>,
    /// The host the client asked for.
    pub host: &'a HeaderValue,
    /// Largest body, in bytes, if there is a bound.
    pub body_bytes_max: Option<u64>,
    /// Longest silence of the client inside its body.
    pub body_idle: Duration,
}

/// One request and its response, on a resting connection if there is one, and once more on a new
/// one if that is safe.
async fn exchange(
    pool: &Rc<Pool>,
    message: Request<Upload>,
    progress: Rc<Progress>,
    patience: Patience,
) -> Result<(Response<Incoming>, Lease), Reason> {
    let mut lease = pool.lease().await?;
    let spare = (lease.is_reused() && is_repeatable(&message)).then(|| Spare::of(&message));
    let work = lease.send(message, Rc::clone(&progress));
    let error = match patience.wait(work, &progress).await? {
        Ok(response) => return Ok((response, lease)),
        Err(error) => error,
    };
    let (reused, heard) = (lease.is_reused(), lease.has_heard());
    drop(lease);
    let mut error = error;
    let again = match error.take_message() {
        Some(unsent) => Some(unsent),
        // Who has begun to answer has acted on the request.
        None if !heard && left_before_answer(error.error()) => spare.map(Spare::into_request),
        None => None,
    };
    let Some(again) = again.filter(|_| reused) else {
        return Err(why(error.error()));
    };
    let mut lease = pool.connect().await?;
    let work = lease.send(again, Rc::clone(&progress));
    match patience.wait(work, &progress).await? {
        Ok(response) => Ok((response, lease)),
        Err(error) => Err(why(error.error())),
    }
}

/// How long either side may keep the other one waiting.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For the head of a response, from the moment the last part of the request went out.
    upstream: Duration,
    /// For the next part of a request's body.
    client: Duration,
}

impl Patience {
    /// Waits for `work` as long as the body moves, however long that takes in all: a long upload is
    /// not a slow upstream.
    async fn wait<T>(self, work: impl Future<Output = T>, body: &Progress) -> Result<T, Reason> {
        let mut work = std::pin::pin!(work);
        let began = Instant::now();
        loop {
            let since = body.moved().max(began);
            let now = Instant::now();
            let (limit, reason) = if body.is_starved() {
                (since + self.client, Reason::RequestTimeout)
            } else {
                (since + self.upstream, Reason::UpstreamTimeout)
            };
            if limit <= now {
                return Err(reason);
            }
            // The body may begin to starve at any time, which only the next look finds out.
            let sooner = since + self.client.min(self.upstream);
            let look = if sooner > now { sooner } else { limit };
            if let Ok(done) = timeout_at(look, work.as_mut()).await {
                return Ok(done);
            }
        }
    }
}

/// A GET or HEAD without a body, to be sent again on another connection.
struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Spare {
    fn of(message: &Request<Upload>) -> Self {
        let headers = message.headers().clone();
        Self {
            method: message.method().clone(),
            uri: message.uri().clone(),
            headers,
        }
    }

    fn into_request(self) -> Request<Upload> {
        let mut request = Request::new(Upload::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

fn is_repeatable(message: &Request<Upload>) -> bool {
    matches!(*message.method(), Method::GET | Method::HEAD)
        && http_body::Body::is_end_stream(message.body())
}

/// The upstream closed the connection and had sent nothing.
fn left_before_answer(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || is_io(error)
}

fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// The reason for a failed exchange, as the caller is told it.
fn why(error: &hyper::Error) -> Reason {
    let upload = std::error::Error::source(error).and_then(|e| e.downcast_ref::<UploadError>());
    match upload {
        Some(UploadError::TooLarge) => Reason::BodyTooLarge,
        // The client broke its own body off; whatever is answered now, it will not be read.
        Some(UploadError::Client(_)) => Reason::RequestMalformed,
        None if error.is_parse() => Reason::UpstreamMalformed,
        None => Reason::UpstreamReset,
    }
}

fn relay(response: Response<Incoming>, lease: Lease) -> Result<Response<Download>, Reason> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked: `Upgrade` is not forwarded.
        return Err(Reason::UpstreamMalformed);
    }
    let (mut parts, incoming) = response.into_parts();
    headers::relay(&mut parts.headers);
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Download::new(incoming, lease)))
}
