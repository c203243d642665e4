//! HTTP/2 on both sides: calls in which both ends speak at once, trailers, and ends that are told
//! from breaks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::one_core;
use crate::harness::{Client, Fixture, Gateway, PATIENCE, Scripted, request};

const CALLS: &str = r"
upstream: items
permissions: { calls:make: Make calls }
roles: { caller: { description: Calls, permissions: [calls:make] } }
routes:
  GET,POST /open/{id}: public
  POST /closed/{id}: calls:make
";

/// An upstream that speaks HTTP/2, and its one connection as soon as there is one.
struct Server {
    listener: TcpListener,
    requests: Option<tokio::sync::mpsc::UnboundedReceiver<Call>>,
    tasks: JoinSet<()>,
}

type Call = (Request<RecvStream>, SendResponse<Bytes>);

impl Server {
    async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
            requests: None,
            tasks: JoinSet::new(),
        }
    }

    fn gateway(&self) -> Gateway {
        let address = self.listener.local_addr().expect("it is bound");
        start(&format!("http://{address}"), ", http2: true")
    }

    /// The next request.
    async fn accept(&mut self) -> Call {
        if self.requests.is_none() {
            let (socket, _) = self.listener.accept().await.expect("a connection");
            let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            self.requests = Some(receiver);
            self.tasks.spawn(async move {
                while let Some(Ok(call)) = connection.accept().await {
                    drop(sender.send(call));
                }
            });
        }
        let requests = self.requests.as_mut().expect("there is one by now");
        timeout(PATIENCE, requests.recv())
            .await
            .expect("in time")
            .expect("a request")
    }
}

fn start(url: &str, more: &str) -> Gateway {
    let mut fixture = Fixture::before(url).listener("http2: true");
    if !more.is_empty() {
        fixture = fixture.upstream(more.trim_start_matches(", "));
    }
    one_core(fixture).policy("items.yaml", CALLS).start()
}

/// A client's connection, which ends with the tasks.
async fn connect(gateway: &Gateway, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(gateway.address())
        .await
        .expect("it listens");
    let (requests, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    tasks.spawn(async move { drop(connection.await) });
    requests.ready().await.expect("it is open")
}

fn post(path: &str) -> http::request::Builder {
    Request::post(format!("http://gate.test{path}"))
}

fn grpc(path: &str) -> Request<()> {
    let call = post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    call.body(()).expect("a sound request")
}

async fn part(stream: &mut RecvStream) -> Option<Bytes> {
    let data = timeout(PATIENCE, stream.data()).await.expect("in time");
    data.map(|data| data.expect("it is whole"))
}

fn say(stream: &mut SendStream<Bytes>, text: &'static str) {
    stream
        .send_data(Bytes::from_static(text.as_bytes()), false)
        .expect("it is open");
}

#[tokio::test]
async fn both_ends_of_a_call_speak_at_once_and_its_trailers_arrive() {
    let mut server = Server::start().await;
    let gateway = server.gateway();
    let mut tasks = JoinSet::new();
    let mut requests = connect(&gateway, &mut tasks).await;
    let (answer, mut up) = requests
        .send_request(grpc("/open/call"), false)
        .expect("sent");
    // Nothing was said yet, and the upstream answers all the same.
    let (call, mut respond) = server.accept().await;
    assert_eq!(call.headers()["te"], "trailers");
    assert_eq!(call.headers()["content-type"], "application/grpc");
    let head = Response::builder().header("content-type", "application/grpc");
    let mut down = respond
        .send_response(head.body(()).unwrap(), false)
        .expect("sent");
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("in time")
        .expect("an answer");
    let (mut heard, mut listening) = (answer.into_body(), call.into_body());
    for text in ["one", "two", "three"] {
        say(&mut up, text);
        assert_eq!(part(&mut listening).await.unwrap(), text);
        say(&mut down, text);
        assert_eq!(part(&mut heard).await.unwrap(), text);
    }
    // The client is done first, the upstream goes on.
    up.send_data(Bytes::new(), true).expect("it is open");
    assert_eq!(part(&mut listening).await.unwrap_or_default(), "");
    say(&mut down, "four");
    assert_eq!(part(&mut heard).await.unwrap(), "four");
    let mut trailers = HeaderMap::new();
    for (name, value) in [
        ("grpc-status", "5"),
        ("grpc-message", "no"),
        ("x-portcullis-a", "b"),
    ] {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    down.send_trailers(trailers).expect("it is open");
    assert_eq!(part(&mut heard).await, None);
    let trailers = heard
        .trailers()
        .await
        .expect("whole")
        .expect("there are some");
    assert_eq!(
        (&trailers["grpc-status"], trailers.len()),
        (&HeaderValue::from_static("5"), 2)
    );
}

#[tokio::test]
async fn a_refused_call_says_so_in_the_words_of_grpc() {
    let server = Server::start().await;
    let gateway = server.gateway();
    let mut tasks = JoinSet::new();
    let mut requests = connect(&gateway, &mut tasks).await;
    let (answer, _up) = requests
        .send_request(grpc("/closed/call"), false)
        .expect("sent");
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("in time")
        .expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["grpc-status"], "16");
    let message = answer.headers()["grpc-message"].to_str().unwrap();
    assert_eq!(message, "credential_missing: a credential is required");
    assert!(
        answer.body().is_end_stream(),
        "no body, which grpc takes for a fault"
    );
    // Who does not call is told nothing of calls.
    let plain = post("/closed/call").body(()).unwrap();
    let mut requests = requests.ready().await.expect("it is open");
    let (answer, _) = requests.send_request(plain, true).expect("sent");
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("in time")
        .expect("an answer");
    assert!(!answer.headers().contains_key("grpc-status"));
}

/// Who still sends has a moment to read why he is refused before his stream is reset.
#[tokio::test]
async fn a_refused_upload_is_not_reset_with_its_answer() {
    let server = Server::start().await;
    let gateway = server.gateway();
    let mut tasks = JoinSet::new();
    let mut requests = connect(&gateway, &mut tasks).await;
    for _ in 0..2 {
        let begun = Instant::now();
        let asked = post("/closed/call").body(()).unwrap();
        let (answer, mut up) = requests.send_request(asked, false).expect("sent");
        say(&mut up, "the beginning");
        let answer = timeout(PATIENCE, answer).await.expect("in time");
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 401);
        let mut why = answer.into_body();
        while part(&mut why).await.is_some() {}
        let reset = timeout(PATIENCE, std::future::poll_fn(|cx| up.poll_reset(cx)));
        let reason = reset.await.expect("in time").expect("it is reset");
        assert_eq!(reason, Reason::NO_ERROR);
        // Half of the moment it is given: clocks differ.
        assert!(begun.elapsed() > Duration::from_millis(500));
        requests = requests.ready().await.expect("it is open");
    }
}

/// F09: an upstream that breaks an answer off breaks it off for the client, whatever each speaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_half_an_answer_is_half_an_answer_on_http2() {
    let mut server = Server::start().await;
    let gateway = server.gateway();
    let mut tasks = JoinSet::new();
    let mut requests = connect(&gateway, &mut tasks).await;
    let get = Request::get("http://gate.test/open/x").body(()).unwrap();
    let (answer, _) = requests.send_request(get, true).expect("sent");
    let (_, mut respond) = server.accept().await;
    let mut down = respond
        .send_response(Response::new(()), false)
        .expect("sent");
    say(&mut down, "half");
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("in time")
        .expect("an answer");
    let mut heard = answer.into_body();
    assert_eq!(part(&mut heard).await.unwrap(), "half");
    down.send_reset(Reason::INTERNAL_ERROR);
    let end = timeout(PATIENCE, heard.data()).await.expect("in time");
    assert!(matches!(end, Some(Err(_))), "{end:?}");

    let mut old = Client::connect(gateway.address());
    old.send(request("GET /open/x", &[], b""));
    let (_, mut respond) = server.accept().await;
    let mut down = respond
        .send_response(Response::new(()), false)
        .expect("sent");
    say(&mut down, "half");
    old.head();
    assert_eq!(old.bytes(9), b"4\r\nhalf\r\n");
    down.send_reset(Reason::INTERNAL_ERROR);
    let ended = tokio::task::spawn_blocking(move || old.rest())
        .await
        .unwrap();
    assert_eq!(ended, b"");
}

/// B69: what an upstream says it did not look at is sent again, once.
#[tokio::test]
async fn b69_a_stream_that_was_refused_is_tried_again() {
    let mut server = Server::start().await;
    let gateway = server.gateway();
    let mut tasks = JoinSet::new();
    let requests = connect(&gateway, &mut tasks).await;
    for (refusals, status) in [(1, 200), (2, 502)] {
        let mut requests = requests.clone().ready().await.expect("it is open");
        let message = post("/open/x").body(()).unwrap();
        let (answer, _) = requests.send_request(message, true).expect("sent");
        for _ in 0..refusals {
            let (_, mut respond) = server.accept().await;
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        if status == 200 {
            let (_, mut respond) = server.accept().await;
            respond
                .send_response(Response::new(()), true)
                .expect("sent");
        }
        let answer = timeout(PATIENCE, answer)
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!(answer.status(), status);
    }
}

/// B58: a body that is not what was said, or that is given up, is never whole for the upstream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b58_a_body_that_breaks_off_on_http2_is_broken_off_for_the_upstream() {
    let upstream = Scripted::start();
    let gateway = start(&upstream.url(), "");
    let mut tasks = JoinSet::new();
    let requests = connect(&gateway, &mut tasks).await;
    for (length, reset) in [
        (Some("10"), None),
        (None, Some(Reason::NO_ERROR)),
        (Some("10"), Some(Reason::NO_ERROR)),
        (None, Some(Reason::CANCEL)),
    ] {
        let mut requests = requests.clone().ready().await.expect("it is open");
        let mut message = post("/open/x");
        if let Some(length) = length {
            message = message.header("content-length", length);
        }
        let (_answer, mut up) = requests
            .send_request(message.body(()).unwrap(), false)
            .expect("sent");
        say(&mut up, "hello");
        let mut connection = upstream.accept();
        let taken = tokio::task::spawn_blocking(move || {
            connection.head();
            (connection.bytes(1), connection)
        });
        let (begun, mut connection) = taken.await.unwrap();
        match reset {
            Some(reason) => up.send_reset(reason),
            None => drop(up.send_data(Bytes::new(), true)),
        }
        let rest = tokio::task::spawn_blocking(move || connection.rest())
            .await
            .unwrap();
        let sent = String::from_utf8([begun, rest].concat()).unwrap();
        assert!(
            sent.contains("hello") || sent == "5\r\nhello\r\n",
            "{sent:?}"
        );
        assert!(
            !sent.ends_with("0\r\n\r\n"),
            "{length:?} {reset:?}: {sent:?}"
        );
    }
}
