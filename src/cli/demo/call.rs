//! One HTTP request over a socket of its own, as any client would make it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest wait for a whole answer. The demo's servers are in this process; an API of the user's may
/// be slow, but not that slow.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer read, in bytes: the demo looks at small JSON only.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The body, if it is JSON; null otherwise.
    pub(super) body: Value,
}

impl Reply {
    /// The text of a field of the body.
    pub(super) fn text(&self, field: &str) -> &str {
        self.body
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Sends `request` to `address` and waits for the whole answer.
///
/// # Errors
///
/// A sentence, when no answer came.
pub(super) async fn call(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Reply, String> {
    match tokio::time::timeout(TIMEOUT, exchange(address, request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(format!("no answer from {address}: {error}")),
        Err(_) => Err(format!(
            "no answer from {address} within {}",
            humantime::format_duration(TIMEOUT)
        )),
    }
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Reply { status, body })
        // The sender goes here, which lets the connection end.
    };
    let (reply, _) = tokio::join!(exchange, connection);
    reply
}
