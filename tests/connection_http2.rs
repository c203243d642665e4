//! HTTP/2 in front: how it is agreed on, what its requests look like to everything behind, what one
//! connection may cost, and how it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request, StatusCode, Version};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::harness::{Behaviour, Fixture, Gateway, PATIENCE, Upstream, request};

/// Runs `test` on a runtime of its own, within patience.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("within patience") })
}

/// An HTTP/2 connection.
struct Http2 {
    requests: SendRequest<Bytes>,
    end: JoinHandle<Result<(), h2::Error>>,
}

/// An answer, whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Http2 {
    /// By prior knowledge.
    async fn clear(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        // Room for a stream that takes nothing, beside others.
        let mut client = client::Builder::new();
        client.initial_connection_window_size(1 << 20);
        let (requests, connection) = client.handshake(io).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        let end = tokio::spawn(connection);
        Self { requests, end }
    }

    async fn send(&mut self, request: Request<()>) -> Result<Answer, h2::Error> {
        let mut ready = self.requests.clone().ready().await?;
        let (answer, _) = ready.send_request(request, true)?;
        let (parts, mut body) = answer.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: bytes.into(),
        })
    }

    /// Waits for the end of the connection.
    async fn ended(self) -> Result<(), h2::Error> {
        drop(self.requests);
        self.end.await.unwrap()
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(to(path)).await.unwrap()
    }
}

impl Answer {
    fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["reason"].as_str().unwrap().to_owned()
    }
}

/// `GET path` of `gate.test` in the clear.
fn to(path: &str) -> Request<()> {
    let uri = format!("http://gate.test{path}");
    Request::builder()
        .uri(uri)
        .version(Version::HTTP_2)
        .body(())
        .unwrap()
}

fn start(upstream: &Upstream, more: &str) -> Gateway {
    Fixture::new(upstream)
        .listener(&format!("http2: true{more}"))
        .start()
}

async fn tls(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
    protocols: &[&str],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let io = TcpStream::connect(address).await.unwrap();
    let name = "gate.test".try_into().unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, io)
        .await
        .unwrap()
}

#[test]
fn prior_knowledge_speaks_http2_where_it_is_on_and_http1_goes_on_beside_it() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let answer = run(async {
        let mut http2 = Http2::clear(gateway.address()).await;
        assert_eq!(http2.get("/public/one").await.status, 200);
        let answer = http2.get("/v1/items/7").await;
        assert!(http2.ended().await.is_ok());
        answer
    });
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (StatusCode::UNAUTHORIZED, "credential_missing")
    );
    assert!(answer.headers.contains_key("x-request-id"));
    assert_eq!(gateway.ask("GET /public/two", None).status(), 200);
    assert_eq!(gateway.ask("POST /public/two", None).status(), 401);
    let lines = gateway.decisions(4);
    let versions: Vec<_> = lines
        .iter()
        .map(|line| line["network.protocol.version"].as_str().unwrap_or("?"))
        .collect();
    assert_eq!(
        versions.iter().filter(|version| **version == "2").count(),
        2,
        "{lines:?}"
    );
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn tls_speaks_what_was_agreed_on() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).tls_listener().start();
    let certificate = gateway.files().certificate();
    let address = gateway.address_of("1");
    run(async {
        let io = tls(address, certificate, &["h2", "http/1.1"]).await;
        assert_eq!(io.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut http2 = Http2::over(io).await;
        let mut get = to("/public/x");
        *get.uri_mut() = "https://gate.test/public/x".parse().unwrap();
        assert_eq!(http2.send(get).await.unwrap().status, 200);
        for protocols in [&["http/1.1"][..], &[]] {
            let mut io = tls(address, certificate, protocols).await;
            let bytes = request("GET /public/x", &[("Connection", "close")], b"");
            io.write_all(&bytes).await.unwrap();
            let mut text = String::new();
            // A peer that ends without a TLS goodbye ends all the same.
            let _ = io.read_to_string(&mut text).await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        }
    });
}

/// What begins a connection: the preface, and settings that say nothing.
const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `POST /public/x`, its body to come.
fn post() -> Vec<u8> {
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/public/x"),
        (b":authority", b"gate.test"),
    ];
    let block = fluke_hpack::Encoder::new().encode(fields);
    frame(1, 4, 1, &block)
}

/// B66.
/// The connections that were counted as refused, by cause.
fn refused(gateway: &Gateway, cause: &str) -> u32 {
    let series = format!("portcullis_connections_refused_total{{cause=\"{cause}\"}} ");
    let metrics = gateway.ops("/metrics");
    let mut lines = metrics.text().lines();
    let count = lines.find_map(|line| line.strip_prefix(&*series));
    count.unwrap().parse().unwrap()
}

/// A `HEADERS` frame of a whole request with these bytes behind its fields, on this stream.
fn asks(stream: u8, tail: &[u8]) -> Vec<u8> {
    // GET, http, `/`, and the literal `:authority: g`.
    let block = [&[0x82, 0x86, 0x84, 0x01, 0x01, b'g'], tail].concat();
    frame(1, 5, u32::from(stream), &block)
}

/// B55, B57, B58, B61–B65.
#[test]
fn what_the_library_refuses_is_counted_once_a_connection_and_said() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let twice = [asks(1, b"\x00\x05:path\x01x"), asks(3, b"\x00\x01A\x01b")].concat();
    let (reset, endless) = (frame(3, 0, 1, &[0, 0, 0, 8]), frame(9, 0, 1, &[]));
    let rapid: Vec<u8> = (0..120)
        .flat_map(|n| {
            let mut reset = reset.clone();
            reset[8] = 2 * n + 1;
            [asks(2 * n + 1, b""), reset].concat()
        })
        .collect();
    let block = [frame(1, 1, 1, &[0x82]), endless.repeat(3000)].concat();
    for (sent, cause, said) in [
        (twice, "protocol", "PROTOCOL_ERROR"),
        (frame(0, 0, 1, b"x"), "protocol", "PROTOCOL_ERROR"),
        (frame(0, 0, 0, b"x"), "protocol", "PROTOCOL_ERROR"),
        (rapid, "flood", "ENHANCE_YOUR_CALM"),
        (block, "flood", "ENHANCE_YOUR_CALM"),
    ] {
        let before = refused(&gateway, cause);
        run(async {
            let mut io = TcpStream::connect(gateway.address()).await.unwrap();
            let _ = io.write_all(&[START, &sent].concat()).await;
            let _ = io.shutdown().await;
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        let until = std::time::Instant::now() + PATIENCE;
        while refused(&gateway, cause) == before {
            assert!(
                std::time::Instant::now() < until,
                "{cause} {said}: not counted"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(refused(&gateway, cause), before + 1, "{cause} {said}");
        let line = gateway.wait_for_log("HTTP/2 refused");
        assert!(line.contains("127.0.0.1"), "{line}");
        gateway.wait_for_log(&format!("\"refused\":\"{said}\""));
    }
    // Whoever asks as one should, and leaves, is not counted.
    let counted = ["flood", "protocol", "streams"].map(|cause| refused(&gateway, cause));
    run(async {
        let mut http2 = Http2::clear(gateway.address()).await;
        assert_eq!(http2.get("/public/one").await.status, 200);
        http2.ended().await.unwrap();
    });
    gateway.decisions(1);
    let after = ["flood", "protocol", "streams"].map(|cause| refused(&gateway, cause));
    assert_eq!(after, counted);
}

/// B64: more than twice of what is allowed is refused by the library, in no words.
#[test]
fn b64_a_list_the_library_refuses_to_read_is_on_record() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let tail = [b"\x40\x01a\x01b".as_slice(), &[0xbe; 2000]].concat();
    run(async {
        let mut io = TcpStream::connect(gateway.address()).await.unwrap();
        io.write_all(&[START, &asks(1, &tail), &asks(3, &tail)].concat())
            .await
            .unwrap();
        io.shutdown().await.unwrap();
        io.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let lines = gateway.decisions(1);
    assert_eq!(lines.len(), 1, "once a connection: {lines:?}");
    assert_eq!(lines[0]["portcullis.reason"], "headers_too_large");
    assert_eq!(lines[0]["network.protocol.version"], "2");
}

/// F01: who begins and stops, in either protocol, is let go in time, and it is on record.
#[test]
fn f01_half_a_preface_and_half_a_head_are_let_go_in_time_and_recorded() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, ", limits: { header_timeout: 1s }");
    let half = frame(1, 1, 1, &[0x82]);
    for (sent, status) in [
        (b"P".to_vec(), Some("408")),
        (START[..20].to_vec(), Some("408")),
        (b"POST / HTTP".to_vec(), Some("408")),
        ([START, &half].concat(), None),
        ([START, &half[..5]].concat(), None),
        (START.to_vec(), None),
        (Vec::new(), None),
    ] {
        let began = std::time::Instant::now();
        let heard = run(async {
            let mut io = TcpStream::connect(gateway.address()).await.unwrap();
            // Not at once: what is looked at ahead is not given its time twice.
            let (first, rest) = sent.split_at(sent.len() / 2);
            io.write_all(first).await.unwrap();
            sleep(Duration::from_millis(600)).await;
            io.write_all(rest).await.unwrap();
            let mut heard = Vec::new();
            let _ = io.read_to_end(&mut heard).await;
            heard
        });
        let took = began.elapsed();
        assert!(took < Duration::from_millis(2500), "{sent:?}: {took:?}");
        let heard = String::from_utf8_lossy(&heard);
        assert_eq!(
            heard
                .strip_prefix("HTTP/1.1 ")
                .and_then(|rest| rest.get(..3)),
            status
        );
    }
    let lines = gateway.decisions(5);
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| &line["portcullis.reason"])
        .collect();
    assert_eq!(reasons, ["request_timeout"; 5]);
}

#[test]
fn b66_frames_that_move_nothing_end_the_connection() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let window = frame(8, 0, 0, &[0, 0, 0, 1]);
    for (name, kind) in [
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 3, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", window),
        ("empty DATA", frame(0, 0, 1, &[])),
        ("unknown", frame(0xee, 0, 0, &[])),
    ] {
        run(async {
            let mut io = TcpStream::connect(gateway.address()).await.unwrap();
            io.write_all(&[START, &post()].concat()).await.unwrap();
            let (mut from, mut to) = io.into_split();
            // What comes back is read, or the flood would end by itself.
            #[expect(clippy::disallowed_methods, reason = "it ends with the connection")]
            let reads = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
            });
            let flood = kind.repeat(1000);
            for _ in 0..100 {
                if to.write_all(&flood).await.is_err() {
                    break;
                }
            }
            // It ends, long before it would for resting.
            let ended = reads.await;
            assert!(ended.is_ok(), "{name}");
        });
    }
    let metrics = gateway.ops("/metrics");
    let flood = "portcullis_connections_refused_total{cause=\"flood\"} ";
    let count = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(flood).map(str::to_owned));
    assert!(
        count.unwrap().parse::<u32>().unwrap() >= 4,
        "some of them the library ends itself"
    );
    assert_eq!(gateway.ask("GET /public/two", None).status(), 200);
}

/// B67, B68.
#[test]
fn b67_a_stream_whose_client_takes_nothing_is_cut_and_the_others_go_on() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, ", limits: { write_idle: 300ms }");
    let large = vec![b'x'; 4 << 20];
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len());
    upstream.once(Behaviour::answer([length.as_bytes(), &large].concat()));
    run(async {
        let mut http2 = Http2::clear(gateway.address()).await;
        let mut ready = http2.requests.clone().ready().await.unwrap();
        let (answer, _) = ready.send_request(to("/public/large"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        // Its window is never opened again.
        let cut = async {
            while let Some(data) = body.data().await {
                data?;
            }
            Ok::<_, h2::Error>(())
        };
        let beside = async {
            for _ in 0..10 {
                assert_eq!(http2.get("/public/small").await.status, 200);
            }
        };
        let (cut, ()) = tokio::join!(cut, beside);
        assert!(cut.unwrap_err().is_reset());
        assert_eq!(http2.get("/public/after").await.status, 200);
    });
    // What the stalled stream was answered from is let go; the other's connection rests.
    upstream.wait_for_open(1);
}

/// B67: all of these answers is with the library, which may send a byte of each. Other requests come
/// all the time.
#[test]
fn b67_answers_that_are_queued_and_not_taken_end_the_connection() {
    let upstream = Upstream::start();
    let gateway = start(
        &upstream,
        ", limits: { write_idle: 300ms, header_timeout: 500ms }",
    );
    run(async {
        let socket = TcpStream::connect(gateway.address()).await.unwrap();
        let mut builder = client::Builder::new();
        let (requests, connection) = builder
            .initial_window_size(1)
            .handshake::<_, Bytes>(socket)
            .await
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        let mut end = tokio::spawn(connection);
        let ask = async |request| {
            let mut ready = requests.clone().ready().await?;
            let (answer, _) = ready.send_request(request, true)?;
            answer.await
        };
        let mut refused = Vec::new();
        for _ in 0..20 {
            let answer = ask(to("/nowhere")).await.unwrap();
            assert_eq!(answer.status(), 401);
            refused.push(answer.into_body());
        }
        let mut beside = 0;
        let told = loop {
            let mut request = to("/public/small");
            *request.method_mut() = http::Method::HEAD;
            match ask(request).await {
                Ok(answer) => assert_eq!(answer.status(), 200),
                Err(error) => break error,
            }
            beside += 1;
            sleep(Duration::from_millis(20)).await;
        };
        assert!(beside > 0);
        assert!(told.is_go_away() && told.is_remote(), "{told}");
        (&mut end).await.unwrap().unwrap();
    });
}

#[test]
fn b59_b64_cookies_come_together_and_fields_are_counted() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let with = |count: usize, name: &'static str, value: &str| {
        let mut request = to("/public/x");
        for _ in 0..count {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    };
    run(async {
        let mut http2 = Http2::clear(gateway.address()).await;
        assert_eq!(
            http2.send(with(3, "cookie", "a=b")).await.unwrap().status,
            200
        );
        let up = upstream.requests().pop().unwrap();
        assert_eq!(up.header("cookie"), Some("a=b; a=b; a=b"));
        for request in [
            with(101, "x", "1"),
            with(101, "cookie", "a=b"),
            with(2, "x", &"v".repeat(8200)),
        ] {
            let answer = http2.send(request).await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.reason().as_str()),
                (431, "headers_too_large")
            );
        }
        let mut request = to("/public/x");
        request
            .headers_mut()
            .insert("host", "other.test".parse().unwrap());
        let answer = http2.send(request).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.reason().as_str()),
            (400, "request_malformed")
        );
    });
    assert_eq!(upstream.requests().len(), 1);
}

/// B70, and the ends of connections nobody uses.
#[test]
fn connections_of_no_use_come_to_an_end() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("limits: { header_timeout: 400ms }")
        .another_listener("http2: true, limits: { header_timeout: 400ms, keep_alive: 400ms }")
        .start();
    let ended = |listener: &str, bytes: &[u8]| {
        let address = gateway.address_of(listener);
        let bytes = bytes.to_vec();
        run(async move {
            let mut io = TcpStream::connect(address).await.unwrap();
            io.write_all(&bytes).await.unwrap();
            let mut answer = Vec::new();
            let _ = io.read_to_end(&mut answer).await;
            answer
        })
    };
    assert_eq!(ended("0", START), b"", "HTTP/2 is not spoken there");
    assert_eq!(ended("1", b""), b"");
    assert!(ended("1", &START[..10]).starts_with(b"HTTP/1.1 408 "));
    let silent = ended("1", START);
    assert!(
        silent.windows(4).any(|head| head[3] == 7),
        "no GOAWAY in {silent:?}"
    );
    run(async {
        let mut http2 = Http2::clear(gateway.address_of("1")).await;
        assert_eq!(http2.get("/public/x").await.status, 200);
        // Told to go, it goes.
        let end = timeout(PATIENCE, &mut http2.end).await.unwrap().unwrap();
        assert!(end.is_ok(), "{end:?}");
    });
}

#[test]
fn a_gateway_that_goes_away_answers_its_streams_first() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream)
        .listener("http2: true")
        .settings("drain: { delay: 0s }")
        .start();
    upstream.once(Behaviour::Answer(Arc::new(|_| {
        std::thread::sleep(Duration::from_millis(500));
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()
    })));
    run(async {
        let mut http2 = Http2::clear(gateway.address()).await;
        let asked = http2.get("/public/slow");
        let leave = async {
            tokio::task::yield_now().await;
            sleep(Duration::from_millis(100)).await;
            gateway.signal(Signal::TERM);
        };
        let (answer, ()) = tokio::join!(asked, leave);
        assert_eq!(answer.status, 200);
        assert!(http2.ended().await.is_ok());
    });
    assert!(gateway.wait().success());
}
