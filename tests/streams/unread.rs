//! Streams by clients that take less of an answer than there is, or nothing: they end as all others do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::one_core;
use super::standing::STREAMS;
use crate::harness::{Fixture, Gateway, PATIENCE};

/// So much of a body is sent at a time.
const PART: &[u8] = &[b'x'; 0x4000];

/// More than all sockets and windows between the two ends hold, and then some.
const FLOWING: u64 = 32 * 1024 * 1024;

/// More of an answer than is with the gateway at any time.
const MUCH: usize = 64 * 1024;

/// What an upstream took of a request's body.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    bytes: u64,
    ended: bool,
}

/// An upstream that answers at once and without end, and reads on without end.
struct Busy {
    address: SocketAddr,
    taken: [watch::Receiver<Taken>; 2],
    _tasks: JoinSet<()>,
}

/// A body without end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PART)))))
    }
}

impl Busy {
    async fn start(http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (senders, taken): (Vec<_>, Vec<_>) =
            (0..2).map(|_| watch::channel(Taken::default())).unzip();
        let senders = Arc::new(senders);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let senders = Arc::clone(&senders);
                connections.spawn(serve(socket, http2, senders));
            }
        });
        Self {
            address,
            taken: taken.try_into().unwrap(),
            _tasks: tasks,
        }
    }
}

async fn serve(socket: TcpStream, http2: bool, senders: Arc<Vec<watch::Sender<Taken>>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let of_first = request.uri().path() == "/streams/1";
        let sender = senders[usize::from(!of_first)].clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(read(request.into_body(), sender));
        async { Ok::<_, Infallible>(Response::new(Endless)) }
    });
    let io = TokioIo::new(socket);
    let _ = if http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service).await
    } else {
        http1::Builder::new().serve_connection(io, service).await
    };
}

async fn read(mut body: Incoming, taken: watch::Sender<Taken>) {
    while let Some(Ok(part)) = body.frame().await {
        let length = part.data_ref().map_or(0, Bytes::len);
        taken.send_modify(|taken| taken.bytes += length as u64);
    }
    taken.send_modify(|taken| taken.ended = true);
}

/// Uploads without end, and takes nothing of the answer.
async fn upload(address: SocketAddr, path: &'static str, token: String, http2: bool) {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    if http2 {
        upload_http2(socket, path, &token).await;
    } else {
        upload_http1(socket, path, &token).await;
    }
}

async fn upload_http1(mut socket: TcpStream, path: &str, token: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"4000\r\n", PART, b"\r\n"].concat();
    while socket.write_all(&chunk).await.is_ok() {}
}

/// Begins a request by a connection whose streams take so many bytes before they are asked for more.
async fn ask_http2(
    socket: TcpStream,
    window: u32,
    post: http::request::Builder,
    token: &str,
) -> (JoinSet<()>, ResponseFuture, SendStream<Bytes>) {
    let mut client = h2::client::Builder::new();
    let client = client.initial_window_size(window).handshake(socket);
    let (mut requests, connection) = client.await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    let request = post.header("authorization", format!("Bearer {token}"));
    let request = request.body(()).unwrap();
    let ends = request.method() == Method::GET;
    let (answer, body) = requests.send_request(request, ends).unwrap();
    (task, answer, body)
}

async fn upload_http2(socket: TcpStream, path: &str, token: &str) {
    let post = Request::post(format!("http://gate.test{path}"));
    let (_task, _answer, mut body) = ask_http2(socket, 0, post, token).await;
    loop {
        body.reserve_capacity(PART.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
        let Some(Ok(room)) = room else { return };
        if body
            .send_data(Bytes::from_static(&PART[..room]), false)
            .is_err()
        {
            return;
        }
    }
}

/// Says whether the body that `taken` tells of goes on for as long as it takes `bytes` more to come.
async fn flows(taken: &mut watch::Receiver<Taken>, bytes: u64) -> bool {
    let before = taken.borrow().bytes;
    let more = taken.wait_for(|taken| taken.ended || taken.bytes > before + bytes);
    let more = timeout(PATIENCE, more)
        .await
        .map(|more| more.unwrap().ended);
    let ended = more.unwrap_or_else(|_| panic!("neither flows nor ends: {:?}", *taken.borrow()));
    !ended
}

fn before(upstream: &Busy, http2: bool) -> Gateway {
    one_core(Fixture::before(&format!("http://{}", upstream.address)))
        .listener("http2: true")
        .upstream(&format!("http2: {http2}"))
        .policy("items.yaml", STREAMS)
        .start()
}

async fn ends_with_its_key(front_http2: bool, behind_http2: bool) {
    let case = format!("HTTP/2 in front: {front_http2}, behind: {behind_http2}");
    let mut upstream = Busy::start(behind_http2).await;
    let gateway = before(&upstream, behind_http2);
    let keys = ["one", "two"].map(|name| gateway.account(name, &["reader"]));
    let mut clients = JoinSet::new();
    for (key, path) in keys.iter().zip(["/streams/1", "/streams/2"]) {
        let token = gateway.token(key);
        clients.spawn(upload(gateway.address(), path, token, front_http2));
    }
    let [revoked, kept] = &mut upstream.taken;
    assert!(flows(revoked, FLOWING).await, "{case}");
    gateway.json(&["keys", "expire", &keys[0].id]);
    let end = timeout(PATIENCE, revoked.wait_for(|taken| taken.ended));
    assert!(end.await.is_ok(), "{case}: it goes on");
    assert!(flows(kept, FLOWING).await, "{case}: the other one ended");
    drop(clients);
    let lines = gateway.decisions(4);
    for (path, reason, ended) in [
        ("/streams/1", "key_expired", "revoked"),
        ("/streams/2", "", "client_gone"),
    ] {
        let line = lines.iter().find(|line| line["url.path"] == path).unwrap();
        assert_eq!(line["portcullis.ended"], ended, "{case}: {line}");
        let said = line["portcullis.reason"].as_str();
        assert_eq!(said.unwrap_or_default(), reason, "{case}: {line}");
    }
    let metrics = gateway.ops("/metrics");
    let denied = metrics.text().lines();
    let denied: Vec<_> = denied
        .filter(|line| line.starts_with("portcullis_denied_requests_total{"))
        .collect();
    assert_eq!(denied.len(), 1, "{case}: {denied:?}");
    assert!(
        denied[0].contains("reason=\"key_expired\""),
        "{case}: {denied:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b38_an_upload_ends_though_nothing_of_its_answer_is_taken() {
    for (front_http2, behind_http2) in [(true, false), (true, true), (false, false), (false, true)]
    {
        ends_with_its_key(front_http2, behind_http2).await;
    }
}

/// Takes an answer more slowly than its upstream sends it: there is always another part of it before
/// there is room for one. Says how many bytes came after the key was gone.
async fn took_after_its_end(behind_http2: bool, window: u32) -> usize {
    let upstream = Busy::start(behind_http2).await;
    let gateway = before(&upstream, behind_http2);
    let key = gateway.account("one", &["reader"]);
    let socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let get = Request::get("http://gate.test/streams/1");
    let (_task, answer, _) = ask_http2(socket, window, get, &gateway.token(&key)).await;
    let mut body = answer.await.unwrap().into_body();
    let (mut parts, mut after) = (0, None);
    let until = Instant::now() + PATIENCE;
    while let Some(Ok(part)) = timeout(PATIENCE, body.data()).await.expect("in time") {
        after = after.map(|bytes| bytes + part.len());
        if after.is_some_and(|after| after > MUCH) || Instant::now() > until {
            break;
        }
        // Slower than the upstream, which is what this is about.
        sleep(Duration::from_millis(2)).await;
        body.flow_control().release_capacity(part.len()).unwrap();
        parts += 1;
        if parts == 100 {
            gateway.json(&["keys", "expire", &key.id]);
            after = Some(0);
        }
    }
    after.expect("it came so far")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b38_an_answer_ends_that_is_taken_more_slowly_than_it_comes() {
    for behind_http2 in [false, true] {
        let after = took_after_its_end(behind_http2, 4096).await;
        // What was with the HTTP library already arrives, and then it is over.
        assert!(
            after < MUCH,
            "HTTP/2 behind: {behind_http2}: {after} bytes came after the key was gone"
        );
    }
}
