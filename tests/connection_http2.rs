//! HTTP/2 in front: how it is agreed on, what its requests look like to everything behind, what one
//! connection may cost, and how it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request, StatusCode, Version};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::harness::{Fixture, Gateway, PATIENCE, Upstream, request};

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
        let (requests, connection) = client::handshake(io).await.unwrap();
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
