//! One question to one address of an upstream, on a connection of its own: GET of a path, no
//! credential, and nothing of the answer but its status.
//!
//! For health checks and for the probe of the ops port; both run on the control plane.

use std::io;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode, Version};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::link::{Link, LinkError};
use super::place::Place;
use super::tls::Speaks;
use super::upstreams::Shared;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(LinkError),
    /// Something that is not HTTP.
    #[error("no HTTP answer: {0}")]
    Http(#[source] hyper::Error),
    /// The path cannot stand in a request.
    #[error("the path cannot be asked for: {0}")]
    Path(#[source] http::Error),
}

/// Asks `place` for `path`, as `agent`.
///
/// # Errors
///
/// When there is no connection, or no HTTP answer on it. How long that may take is the caller's
/// business.
pub async fn ask(
    shared: &Shared,
    place: &Place,
    path: &str,
    agent: &'static str,
) -> Result<StatusCode, AskError> {
    let speaks = if shared.upstream.http2 {
        Speaks::Http2
    } else {
        Speaks::Http1
    };
    let link = Link::to(place, shared.tls.as_ref(), speaks).await;
    let link = link.map_err(AskError::Connect)?;
    let request = question(shared, path, agent).map_err(AskError::Path)?;
    let status = match speaks {
        Speaks::Http1 => ask_http1(link, request).await,
        Speaks::Http2 => ask_http2(link, request).await,
    };
    status.map_err(AskError::Http)
}

fn question(
    shared: &Shared,
    path: &str,
    agent: &'static str,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let authority = shared.upstream.authority.as_str();
    let request = Request::get(path).header(USER_AGENT, agent);
    if !shared.upstream.http2 {
        let request = request.header(HOST, authority).header(CONNECTION, "close");
        return request.body(Empty::new());
    }
    let scheme = if shared.tls.is_some() {
        "https"
    } else {
        "http"
    };
    request
        .uri(format!("{scheme}://{authority}{path}"))
        .version(Version::HTTP_2)
        .body(Empty::new())
}

async fn ask_http1(link: Link, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(link)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        response = &mut answer => Ok(response?.status()),
        ended = &mut connection => {
            // The connection may end in the same step in which it brings the answer.
            ended?;
            Ok(answer.await?.status())
        }
    }
}

async fn ask_http2(link: Link, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let executor = TokioExecutor::new();
    let (mut sender, connection) = http2::handshake(executor, TokioIo::new(link)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        response = &mut answer => Ok(response?.status()),
        ended = &mut connection => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

impl From<LinkError> for io::Error {
    fn from(error: LinkError) -> Self {
        error.source
    }
}
