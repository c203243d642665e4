//! Who is let in: as whom a trusted peer says it is, with which certificate, and how often; and a
//! certificate that is renewed under a gateway that runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Client, Fixture, Gateway, PATIENCE, Upstream, request};

const ADDRESSES: &str = r"
upstream: items
routes:
  GET /v1/items/{id}: items:read
  GET /public/{rest...}: public
";

/// Less than any of the gateway's timeouts, and more than a busy machine needs for a handshake.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A header of the PROXY protocol, version 2, for a client at `source`.
fn header(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&source);
    header.extend_from_slice(&[10, 0, 0, 1, 0x30, 0x39, 0, 80]);
    header
}

fn get() -> Vec<u8> {
    request("GET /public/x", &[("X-Forwarded-For", "203.0.113.9")], b"")
}

/// What a counter of the metrics says.
fn counter(gateway: &Gateway, series: &str) -> u64 {
    let metrics = gateway.ops("/metrics");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(series).map(str::to_owned));
    let value = line.unwrap_or_else(|| panic!("no `{series}`"));
    value.trim().parse().unwrap()
}

fn wait_for_counter(gateway: &Gateway, series: &str, expected: u64) {
    let started = Instant::now();
    while counter(gateway, series) < expected {
        assert!(
            started.elapsed() < PATIENCE,
            "`{series}` stays below {expected}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_trusted_peer_says_whom_it_speaks_for_and_nobody_else_does() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", ADDRESSES)
        .policy("more.yaml", "roles: { reader: { description: Reads, permissions: [items:read] } }\npermissions: { items:read: See }\n")
        .listener("proxy_protocol: [127.0.0.0/8]")
        .another_listener("proxy_protocol: [10.0.0.0/8]")
        .another_listener("proxy_protocol: [127.0.0.1], trusted_proxies: [192.0.2.0/24]")
        .start();
    let sources = |listener: &str, source| {
        let mut client = Client::connect(gateway.address_of(listener));
        let answer = client.send([header(source), get()].concat()).response();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let line = gateway.decision_of(&answer);
        let up = upstream.requests().pop().unwrap();
        let chain = up.header("x-forwarded-for").unwrap().to_owned();
        (line["client.address"].as_str().unwrap().to_owned(), chain)
    };
    // What it says of others is its own word; it is believed only if it is trusted itself.
    assert_eq!(
        sources("0", [192, 0, 2, 7]),
        ("192.0.2.7".into(), "192.0.2.7".into())
    );
    assert_eq!(
        sources("2", [192, 0, 2, 7]),
        ("203.0.113.9".into(), "203.0.113.9, 192.0.2.7".into())
    );
    // From anybody else the header is not looked for: it is a bad request.
    let mut stranger = Client::connect(gateway.address_of("1"));
    let answer = stranger
        .send([header([192, 0, 2, 7]), get()].concat())
        .response();
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        (400, "request_malformed")
    );
    // From a trusted peer it is required, and a line of version 1 is none.
    for bytes in [
        get(),
        [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 80\r\n".to_vec(), get()].concat(),
    ] {
        let mut silent = Client::connect(gateway.address());
        silent.send(bytes);
        assert!(silent.ends_within(PATIENCE));
    }
    let series = "portcullis_connections_refused_total{cause=\"proxy_header\"}";
    wait_for_counter(&gateway, series, 2);
}

#[test]
fn f05_a_source_has_so_many_connections_and_another_has_its_own() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("proxy_protocol: [127.0.0.1], limits: { connections_per_source: 2 }")
        .start();
    let ask = |source| {
        let mut client = Client::connect(gateway.address());
        client.send([header(source), get()].concat());
        client
    };
    let mut two = [ask([192, 0, 2, 7]), ask([192, 0, 2, 7])];
    for client in &mut two {
        assert_eq!(client.response().status(), 200);
    }
    assert!(ask([192, 0, 2, 7]).ends_within(PATIENCE));
    assert_eq!(ask([192, 0, 2, 8]).response().status(), 200);
    wait_for_counter(
        &gateway,
        "portcullis_connections_refused_total{cause=\"source\"}",
        1,
    );
    drop(two);
    let started = Instant::now();
    loop {
        let mut again = ask([192, 0, 2, 7]);
        if !again.ends_within(Duration::from_millis(50)) {
            assert_eq!(again.response().status(), 200);
            break;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the places are not given back"
        );
    }
}

/// An authority, and a client certificate it gave.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            root: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn client(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.root).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![certificate.der().clone()], key)
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn config(trusts: &[CertificateDer<'static>], identity: Option<Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in trusts {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
    };
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// What a request over TLS is answered, and how the handshake went; nothing if there was none.
fn ask(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Option<(String, HandshakeKind, CertificateDer<'static>)> {
    let name = "gate.test".try_into().unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    let request = request("GET /public/x", &[("Connection", "close")], b"");
    stream.write_all(&request).ok()?;
    let mut text = String::new();
    // A peer that ends without a TLS goodbye ends all the same.
    let _ = stream.read_to_string(&mut text);
    let certificate = stream
        .conn
        .peer_certificates()?
        .first()?
        .clone()
        .into_owned();
    let kind = stream.conn.handshake_kind()?;
    (!text.is_empty()).then_some((text, kind, certificate))
}

#[test]
fn a_client_certificate_lets_in_and_names_nobody() {
    let upstream = Upstream::start();
    let tls = "certificate: tls.crt, key: tls.key, client_roots: roots.pem";
    let files = Fixture::new(&upstream)
        .another_listener(&format!("tls: {{ {tls} }}"))
        .another_listener(&format!("tls: {{ {tls}, client_certificates: request }}"))
        .write();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    files.write("roots.pem", &ours.root.pem());
    let gateway = Gateway::start(files);
    let trusts = [gateway.files().certificate().clone()];
    let known = config(&trusts, Some(ours.client()));
    let unknown = config(&trusts, Some(theirs.client()));
    let none = config(&trusts, None);
    for (listener, client, expected) in [
        ("1", &known, true),
        ("1", &unknown, false),
        ("1", &none, false),
        ("2", &known, true),
        ("2", &unknown, false),
        ("2", &none, true),
    ] {
        let answer = ask(gateway.address_of(listener), client);
        assert_eq!(answer.is_some(), expected, "{listener} {answer:?}");
    }
    let series = "portcullis_connections_refused_total{cause=\"handshake\"}";
    wait_for_counter(&gateway, series, 3);
    assert!(
        gateway
            .decisions(3)
            .iter()
            .all(|line| line.get("user.name").is_none())
    );
    // F22: what one listener agreed on is nothing to another.
    let kinds =
        ["1", "1", "2"].map(|listener| ask(gateway.address_of(listener), &known).unwrap().1);
    assert_eq!(kinds[1], HandshakeKind::Resumed);
    assert_eq!(kinds[2], HandshakeKind::Full);
}

/// What a client says first.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = "gate.test".try_into().unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

/// F01, where there is TLS.
#[test]
fn who_is_silent_within_a_handshake_keeps_nobody_out() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .another_listener("tls: { certificate: tls.crt, key: tls.key }, limits: { handshakes: 2 }")
        .start();
    let address = gateway.address_of("1");
    let client = config(&[gateway.files().certificate().clone()], None);
    let hello = hello(&client);
    // Many times what all cores have turns for, and all from the source that asks below.
    let silent: Vec<_> = (0..96)
        .map(|nth| {
            let said = [0, 3, hello.len() / 2, hello.len()][nth % 4];
            let mut silent = TcpStream::connect(address).unwrap();
            silent.write_all(&hello[..said]).unwrap();
            if said == hello.len() {
                // Answered, so that those before it have been looked at.
                silent.set_read_timeout(Some(PATIENCE)).unwrap();
                silent.read_exact(&mut [0]).unwrap();
            }
            silent
        })
        .collect();
    for _ in 0..8 {
        let started = Instant::now();
        assert!(ask(address, &client).is_some());
        assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    }
    drop(silent);
}

/// F22.
#[test]
fn a_renewed_certificate_is_used_and_a_bad_one_is_not() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).tls_listener().start();
    let files = gateway.files();
    let address = gateway.address_of("1");
    let first = files.certificate().clone();
    let made = |end: (i32, u8, u8)| {
        let mut params = CertificateParams::new(vec!["gate.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(end.0, end.1, end.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (
            certificate.pem(),
            key.serialize_pem(),
            certificate.der().clone(),
        )
    };
    let (pem, key, second) = made((2040, 1, 1));
    let client = || config(&[first.clone(), second.clone()], None);
    assert_eq!(ask(address, &client()).unwrap().2, first);
    let failures = "portcullis_certificate_reload_failures_total";
    // The certificate alone does not go with the key there is.
    files.write("tls.crt", &pem);
    wait_for_counter(&gateway, failures, 1);
    assert_eq!(ask(address, &client()).unwrap().2, first);
    files.write("tls.key", &key);
    let started = Instant::now();
    while ask(address, &client()).unwrap().2 != second {
        assert!(
            started.elapsed() < PATIENCE,
            "the certificate is not renewed"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let metrics = gateway.ops("/metrics");
    assert!(
        metrics.text().contains(
            "portcullis_certificate_not_after_seconds{listener=\"127.0.0.1:0\"} 2208988800"
        )
    );
    // One that has run out already is not taken.
    let (pem, key, _) = made((2020, 1, 1));
    files.write("tls.crt", &pem);
    files.write("tls.key", &key);
    wait_for_counter(&gateway, failures, 2);
    assert_eq!(ask(address, &client()).unwrap().2, second);
    gateway.wait_for_log("has run out already");
}

/// Each wait has a name: a handshake, a PROXY header, the answer to a ping.
#[test]
fn f01_f05_who_is_waited_for_in_vain_is_let_go_when_the_listener_says() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("proxy_protocol: [127.0.0.1], limits: { proxy_header_timeout: 200ms }")
        .another_listener(
            "tls: { certificate: tls.crt, key: tls.key }, limits: { handshake_timeout: 200ms }",
        )
        .another_listener("http2: true, limits: { ping_interval: 200ms, ping_timeout: 200ms }")
        .start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (listener, said) in [
        ("0", &b"\r\n\r\n"[..]),
        ("1", b"\x16\x03\x01"),
        ("2", preface),
    ] {
        let began = Instant::now();
        let mut silent = Client::connect(gateway.address_of(listener));
        silent.send(said);
        let _ = silent.rest();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(200), "{listener}: {took:?}");
        // Far below what all of them are out of the box.
        assert!(took < Duration::from_secs(5), "{listener}: {took:?}");
    }
    for cause in ["proxy_header", "handshake"] {
        let series = format!("portcullis_connections_refused_total{{cause=\"{cause}\"}}");
        wait_for_counter(&gateway, &series, 1);
    }
}
