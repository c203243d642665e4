//! WebSocket: the handshake, and nothing of a tunnel before both sides have agreed to one.
//!
//! A handshake is checked here first, because what an upstream takes for one and we do not, or the
//! other way round, would have us read a tunnel as requests. It goes on a connection of its own. If
//! the upstream answers anything but a proper `101`, that is an ordinary answer and the connection
//! goes away with it; what the client may have sent behind its handshake is then its next request,
//! judged as such.
//!
//! Not here: what runs through the tunnel (see `tunnel`), and which routes allow one.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::body::Upload;
use super::exchange::{self, Waiting};
use super::no_answer::{NoAnswer, of_library};
use super::pool::{Dialed, Pool};
use super::tunnel::Tunnel;
use crate::decision::Permit;
use crate::head::tokens;
use crate::reason::Reason;

/// Most header fields of an upstream's answer to a handshake.
const HEADERS_MAX: usize = 128;

/// Most bytes of an upstream's answer to a handshake: its head, and what comes behind it before
/// anybody looks.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What every accepted key is made with (RFC 6455 §1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A handshake that was checked.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What the upstream has to answer if it agrees.
    accept: String,
}

/// An upstream's answer to a handshake.
pub(super) enum Switched {
    /// It agrees.
    Tunnel(Response<Box<Tunnel>>),
    /// It answers as to any request.
    Answer(Response<Incoming>, Driver),
}

impl Handshake {
    /// The handshake a request is, if it is one; on a route that allows none, and on any version but
    /// HTTP/1.1, what it says of upgrades is not listened to.
    ///
    /// # Errors
    ///
    /// `request_malformed` or `upgrade_refused` for one that is not as RFC 6455 §4.1 asks.
    pub(super) fn of(parts: &Parts, permit: &Permit) -> Result<Option<Self>, Reason> {
        if !permit.upgrades() || parts.version != Version::HTTP_11 {
            return Ok(None);
        }
        Self::read(parts)
    }

    fn read(parts: &Parts) -> Result<Option<Self>, Reason> {
        let headers = &parts.headers;
        if !lists(headers, &UPGRADE, b"websocket") {
            return Ok(None);
        }
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length != "0");
        if parts.method != Method::GET || has_body || !lists(headers, &CONNECTION, b"upgrade") {
            return Err(Reason::RequestMalformed);
        }
        if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Reason::UpgradeRefused);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(Reason::RequestMalformed)?;
        // Sixteen bytes, in the one way to write them.
        if BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16) {
            let accept = accept(key.as_bytes());
            return Ok(Some(Self { accept }));
        }
        Err(Reason::RequestMalformed)
    }

    /// Sends the handshake to the upstream, on a connection of its own.
    ///
    /// # Errors
    ///
    /// Why there is no answer; `upstream_malformed` when it agrees to something else.
    pub(super) async fn send(
        self,
        pool: &Rc<Pool>,
        mut message: Request<Upload>,
        waiting: &Waiting<'_>,
    ) -> Result<Switched, NoAnswer> {
        let headers = message.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
        waiting.interims.listen(&mut message);
        let dialed = waiting.stand(pin!(pool.dial())).await?;
        let address = dialed.place.target().clone();
        let failed = |reason, what: String| NoAnswer::because(reason, Some(&address), what);
        let (mut sender, driver) = Driver::start(dialed).await?;
        let progress = message.body().progress();
        let work = sender.try_send_request(message);
        let response = waiting.wait(work, &progress, Instant::now()).await;
        let response = response.map_err(|reason| {
            if reason == Reason::UpstreamTimeout {
                return failed(reason, waiting.too_late());
            }
            reason.into()
        })?;
        let response = response
            .map_err(|error| failed(exchange::why(error.error()), of_library(error.error())))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Switched::Answer(response, driver));
        }
        self.agreed(&response).map_err(|reason| {
            failed(
                reason,
                "it agrees to another handshake than ours".to_owned(),
            )
        })?;
        let finished = driver.finish().await;
        let (upstream, ahead) = finished.ok_or_else(|| {
            let what = "it closed the connection behind its handshake";
            failed(Reason::UpstreamReset, what.to_owned())
        })?;
        let idle = pool.upstream().stream_idle;
        let response = response.map(|_| Box::new(Tunnel::new(upstream, ahead, idle)));
        Ok(Switched::Tunnel(response))
    }

    /// Whether the upstream agreed to this handshake, and not to another.
    fn agreed<B>(&self, response: &Response<B>) -> Result<(), Reason> {
        let headers = response.headers();
        let protocol =
            only(headers, &UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        let accepted = only(headers, &SEC_WEBSOCKET_ACCEPT) == Some(&self.accept);
        if protocol && accepted && lists(headers, &CONNECTION, b"upgrade") {
            return Ok(());
        }
        Err(Reason::UpstreamMalformed)
    }
}

/// Says to the client, after what is for one hop was removed, that the protocol changes.
pub(super) fn announce(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
}

/// `Sec-WebSocket-Accept` for a key.
fn accept(key: &[u8]) -> String {
    let text = [key, ACCEPT_SUFFIX].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let says = |value: &HeaderValue| tokens(value).any(|own| own.eq_ignore_ascii_case(token));
    headers.get_all(name).iter().any(says)
}

/// The value of a field that stands once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whoever reads and writes a connection that serves one handshake. Ends when dropped, and the
/// connection with it.
#[derive(Debug)]
pub(super) struct Driver(JoinHandle<Option<http1::Parts<TokioIo<Wire>>>>);

impl Driver {
    async fn start(dialed: Dialed) -> Result<(http1::SendRequest<Upload>, Self), Reason> {
        let mut builder = http1::Builder::new();
        builder
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX);
        let handshake = builder.handshake(TokioIo::new(Wire(dialed))).await;
        let (sender, connection) = handshake.map_err(|error| exchange::why(&error))?;
        // How it ends is told to whoever waits for a response on it.
        let task = async move { connection.without_shutdown().await.ok() };
        #[expect(
            clippy::disallowed_methods,
            reason = "it is ended when this is dropped, by the request or its tunnel"
        )]
        let task = tokio::task::spawn_local(task);
        Ok((sender, Self(task)))
    }

    /// The connection, and what was read of it behind the response, once HTTP has let go of it.
    async fn finish(mut self) -> Option<(Wire, bytes::Bytes)> {
        let parts = (&mut self.0).await.ok().flatten()?;
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection to an upstream, and its place among the others.
#[derive(Debug)]
pub(super) struct Wire(Dialed);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: http::request::Builder) -> Result<bool, Reason> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Handshake::read(&parts).map(|handshake| handshake.is_some())
    }

    fn handshake() -> http::request::Builder {
        Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
    }

    fn with(version: &str, key: &str) -> http::request::Builder {
        handshake()
            .header("sec-websocket-version", version)
            .header("sec-websocket-key", key)
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// B37.
    #[test]
    fn a_handshake_is_what_the_standard_asks() {
        assert_eq!(read(with("13", KEY)), Ok(true));
        assert_eq!(read(Request::builder()), Ok(false));
        assert_eq!(read(Request::builder().header("upgrade", "h2c")), Ok(false));
        for (bad, reason) in [
            (with("12", KEY), Reason::UpgradeRefused),
            (
                handshake().header("sec-websocket-key", KEY),
                Reason::UpgradeRefused,
            ),
            (
                handshake().header("sec-websocket-version", "13"),
                Reason::RequestMalformed,
            ),
            (with("13", "c2hvcnQ="), Reason::RequestMalformed),
            (
                with("13", "not base64, not at all.."),
                Reason::RequestMalformed,
            ),
            (
                with("13", KEY).header("sec-websocket-key", KEY),
                Reason::RequestMalformed,
            ),
            (with("13", KEY).method("POST"), Reason::RequestMalformed),
            (
                with("13", KEY).header("content-length", "5"),
                Reason::RequestMalformed,
            ),
            (
                with("13", KEY).header("transfer-encoding", "chunked"),
                Reason::RequestMalformed,
            ),
            (
                Request::builder().header("upgrade", "websocket"),
                Reason::RequestMalformed,
            ),
        ] {
            assert_eq!(read(bad), Err(reason));
        }
    }

    /// The example of RFC 6455 §1.3.
    #[test]
    fn only_the_answer_to_this_key_is_an_agreement() {
        let handshake = Handshake {
            accept: accept(KEY.as_bytes()),
        };
        let answer = |name: &str, value: &str| {
            let mut response = Response::builder()
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                .body(())
                .unwrap();
            if !name.is_empty() {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            handshake.agreed(&response).is_ok()
        };
        assert!(answer("", ""));
        assert!(!answer("upgrade", "h2c"));
        assert!(!answer("connection", "close"));
        assert!(!answer(
            "sec-websocket-accept",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        ));
    }
}
