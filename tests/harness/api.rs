//! An API that can take a load: asynchronous, on threads of its own, and as quick as the library.
//!
//! What it does stands in the target, after `/public/` or whatever comes first: `bytes/N` sends N
//! bytes, `upload` counts those it gets, `events/N/MS` sends N events with a silence before each,
//! `slow/MS` answers late, `hang` never, `socket` becomes a WebSocket that says everything back.
//! Everything else is answered at once, with the permissions the gateway stated.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Sleep, sleep};

use super::websocket::{self, WebSocket};
use super::{PATIENCE, until};

/// How much is sent at a time.
const PIECE: usize = 64 * 1024;

/// An API on a port of its own.
#[derive(Debug)]
pub(crate) struct Api {
    name: &'static str,
    address: SocketAddr,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

/// Which protocol it speaks.
#[derive(Clone, Copy, Debug)]
enum Speaks {
    Http1,
    Http2,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests whose head has come.
    pub(crate) started: AtomicUsize,
    /// Requests that are being answered.
    pub(crate) open: AtomicUsize,
    /// Requests whose answer has gone out whole.
    pub(crate) finished: AtomicUsize,
    /// Bytes of bodies that have come.
    pub(crate) received: AtomicU64,
    /// Connections accepted.
    pub(crate) connections: AtomicUsize,
    /// Connections that are open.
    pub(crate) connected: AtomicUsize,
}

impl Api {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::named("items")
    }

    /// Starts one that says `name` in its answers.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::begin(name, Speaks::Http1)
    }

    /// Starts one that speaks HTTP/2 alone, by prior knowledge.
    pub(crate) fn http2() -> Self {
        Self::begin("items", Speaks::Http2)
    }

    fn begin(name: &'static str, speaks: Speaks) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads can be had");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let counts = Arc::<Counts>::default();
        runtime.spawn(accept(listener, name, speaks, Arc::clone(&counts)));
        Self {
            name,
            address,
            counts,
            runtime: Some(runtime),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `url` of an upstream in the settings.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says in its answers.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What has happened so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until exactly `count` requests are being answered; says how long that took.
    pub(crate) fn wait_for_open(&self, count: usize) -> Duration {
        let open = || self.counts.open.load(Ordering::SeqCst);
        until(&format!("{count} open requests"), PATIENCE, || {
            open() == count
        })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "they end with their runtime")]
async fn accept(listener: TcpListener, name: &'static str, speaks: Speaks, counts: Arc<Counts>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor: there will be one.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let counts = Arc::clone(&counts);
        counts.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let _connected = Count::of(&counts, |counts| &counts.connected);
            let service = service_fn(|request| answer(request, name, Arc::clone(&counts)));
            let io = TokioIo::new(stream);
            // How it ends is for whoever reads the counts.
            let _ = match speaks {
                Speaks::Http1 => {
                    let connection = http1::Builder::new().serve_connection(io, service);
                    connection.with_upgrades().await
                }
                Speaks::Http2 => {
                    let builder = http2::Builder::new(TokioExecutor::new());
                    builder.serve_connection(io, service).await
                }
            };
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    name: &'static str,
    counts: Arc<Counts>,
) -> Result<Response<Answer>, Infallible> {
    counts.started.fetch_add(1, Ordering::SeqCst);
    let open = Count::of(&counts, |counts| &counts.open);
    let path = request.uri().path().to_owned();
    let mut words = path.trim_start_matches('/').split('/').skip(1);
    let what = words.next().unwrap_or_default();
    let mut number = || -> u64 { words.next().and_then(|word| word.parse().ok()).unwrap_or(0) };
    let mut response = Response::new(Answer::bytes(0, open));
    let headers = response.headers_mut();
    match what {
        "bytes" => response.body_mut().left = number(),
        "events" => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            response.body_mut().events = Some(number());
            response.body_mut().gap = Duration::from_millis(number());
        }
        "upload" => {
            let mut total = 0_u64;
            while let Some(frame) = request.body_mut().frame().await {
                let Ok(frame) = frame else {
                    // Broken off: there is nobody to answer.
                    *response.body_mut() = Answer::none();
                    return Ok(response);
                };
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                counts.received.fetch_add(size, Ordering::SeqCst);
                total += size;
            }
            response.body_mut().say(total.to_string());
        }
        "slow" => {
            sleep(Duration::from_millis(number())).await;
            response.body_mut().say(name.to_owned());
        }
        "hang" => std::future::pending().await,
        "socket" if request.method() == Method::GET => {
            let Some(key) = request.headers().get("sec-websocket-key") else {
                *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
                return Ok(response);
            };
            let accept = websocket::accept_of(key.as_bytes());
            let (fields, body) = (response.headers_mut(), Answer::none());
            fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
            let accept = HeaderValue::from_str(&accept).expect("base64");
            fields.insert("sec-websocket-accept", accept);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let open = std::mem::replace(response.body_mut(), body);
            talk(request, open);
        }
        _ => {
            let stated = request.headers().get("x-portcullis-permissions");
            let stated = stated.and_then(|value| value.to_str().ok()).unwrap_or("-");
            response.body_mut().say(format!("{name} {stated}"));
        }
    }
    Ok(response)
}

/// Says back what it hears, until either side has had enough.
#[expect(clippy::disallowed_methods, reason = "it ends with its runtime")]
fn talk(request: Request<Incoming>, open: Answer) {
    tokio::spawn(async move {
        let _open = open;
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let mut socket = WebSocket::server(TokioIo::new(upgraded));
            let _ = socket.echo().await;
        }
    });
}

/// Counted as long as it lives.
struct Count {
    counts: Arc<Counts>,
    which: fn(&Counts) -> &AtomicUsize,
}

impl Count {
    fn of(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize) -> Self {
        which(counts).fetch_add(1, Ordering::SeqCst);
        Self {
            counts: Arc::clone(counts),
            which,
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.which)(&self.counts).fetch_sub(1, Ordering::SeqCst);
    }
}

/// The body of an answer. The request is open as long as it lives.
struct Answer {
    open: Option<Count>,
    left: u64,
    text: Option<String>,
    events: Option<u64>,
    gap: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    whole: AtomicBool,
}

impl Answer {
    fn bytes(left: u64, open: Count) -> Self {
        Self {
            open: Some(open),
            left,
            ..Self::none()
        }
    }

    fn none() -> Self {
        Self {
            open: None,
            left: 0,
            text: None,
            events: None,
            gap: Duration::ZERO,
            silence: None,
            whole: AtomicBool::new(false),
        }
    }

    fn say(&mut self, text: String) {
        self.text = Some(text);
    }

    fn ends(&self) {
        if let Some(open) = &self.open
            && !self.whole.swap(true, Ordering::SeqCst)
        {
            open.counts.finished.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let (Some(left), gap) = (self.events, self.gap) else {
            return Poll::Ready(None);
        };
        if left == 0 {
            return Poll::Ready(None);
        }
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(gap)));
        std::task::ready!(silence.as_mut().poll(cx));
        self.silence = None;
        self.events = Some(left - 1);
        Poll::Ready(Some(Bytes::from(format!("data: {left}\n\n"))))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; PIECE] = [0; PIECE];
        let piece = if let Some(text) = self.text.take() {
            Some(Bytes::from(text))
        } else if self.left > 0 {
            let size = self.left.min(PIECE as u64);
            self.left -= size;
            Some(Bytes::from_static(&ZEROS[..size as usize]))
        } else {
            std::task::ready!(self.event(cx))
        };
        if self.is_end_stream() {
            self.ends();
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none() && self.left == 0 && self.events.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.text, self.events) {
            (Some(text), _) => SizeHint::with_exact(text.len() as u64),
            (None, None) => SizeHint::with_exact(self.left),
            (None, Some(_)) => SizeHint::default(),
        }
    }
}
