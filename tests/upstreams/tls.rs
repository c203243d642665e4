//! TLS to the upstream: whom the gateway believes, whom it does not, and who it says it is.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::peer::Peer;
use super::{assert_fault, before};
use crate::harness::{Client, Files, Fixture, Gateway, Scripted, request};

/// Somebody who signs certificates.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Identity {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("sound parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn signs(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("sound parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key,
        }
    }
}

/// A server that shows `identity`; clients must show a certificate of `clients`, if that is said.
fn config(
    identity: &Identity,
    clients: Option<&Authority>,
    protocols: &[&str],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the usual versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).expect("a key");
    let mut config = builder
        .with_single_cert(vec![identity.der.clone()], key)
        .expect("they go together");
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

fn secure(upstream: &Scripted, more: &str) -> Fixture {
    before(&upstream.url().replace("http:", "https:")).upstream(more)
}

/// The fixture's files, with the root and the identity beside them.
fn start(fixture: &Fixture, root: &Authority, us: Option<&Identity>) -> Gateway {
    let files: Files = fixture.write();
    files.write("ca.crt", &root.pem);
    if let Some(us) = us {
        files.write("us.crt", &us.pem);
        files.write("us.key", &us.key.serialize_pem());
    }
    Gateway::start(files)
}

fn ask(gateway: &Gateway, line: &str) -> Client {
    let mut client = Client::connect(gateway.address());
    client.send(request(line, &[], b""));
    client
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn an_upstream_with_a_certificate_of_the_named_roots_is_believed_and_its_connection_kept() {
    let authority = Authority::new();
    let upstream = Scripted::start_tls(config(&authority.signs("127.0.0.1"), None, &[]));
    let fixture = secure(&upstream, "tls: { roots: ca.crt }, probe: /up");
    let gateway = start(&fixture, &authority, None);
    let mut client = ask(&gateway, "GET /x");
    let mut connection = upstream.accept();
    for count in 0..3 {
        let head = connection.head().to_lowercase();
        let host = upstream.url().replace("http://", "");
        assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        assert!(head.contains("x-forwarded-proto: http\r\n"), "{head}");
        connection.send(OK);
        assert_eq!(client.response().text(), "ok", "{count}");
        client.send(request("GET /x", &[], b""));
    }
    drop(client);

    // The probe of the ops port speaks TLS as well.
    let probe = std::thread::scope(|scope| {
        let answered = scope.spawn(|| gateway.ops("/probe/items"));
        let mut connection = upstream.accept();
        assert!(connection.head().starts_with("GET /up HTTP/1.1"));
        connection.send(OK);
        answered.join().expect("an answer")
    });
    assert_eq!((probe.status(), probe.text()), (200, "ok\n"));
}

#[test]
fn an_upstream_that_is_not_believed_is_unreachable_and_the_log_says_why() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (signer, name, more, why) in [
        (&theirs, "127.0.0.1", "", "invalid peer certificate"),
        (&ours, "elsewhere.test", "", "not valid for name"),
        (
            &ours,
            "127.0.0.1",
            ", server_name: api.test",
            "not valid for name",
        ),
    ] {
        let upstream = Scripted::start_tls(config(&signer.signs(name), None, &[]));
        let fixture = secure(&upstream, &format!("tls: {{ roots: ca.crt{more} }}"));
        let gateway = start(&fixture, &ours, None);
        let mut client = ask(&gateway, "GET /x");
        assert_eq!(upstream.accept().rest(), b"");
        assert_fault(&client.response(), 502, "upstream_unreachable");
        let line = gateway.wait_for_log("an upstream's address fails");
        assert!(line.contains("tls") && line.contains(why), "{line}");
    }
}

#[test]
fn the_name_on_the_certificate_may_be_another_than_the_host() {
    let authority = Authority::new();
    let upstream = Scripted::start_tls(config(&authority.signs("api.test"), None, &[]));
    let fixture = secure(&upstream, "tls: { roots: ca.crt, server_name: api.test }");
    let gateway = start(&fixture, &authority, None);
    let mut client = ask(&gateway, "GET /x");
    let mut connection = upstream.accept();
    connection.head();
    connection.send(OK);
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn an_upstream_that_asks_who_we_are_is_told() {
    let authority = Authority::new();
    let server = config(&authority.signs("127.0.0.1"), Some(&authority), &[]);
    let upstream = Scripted::start_tls(server);
    let tls = "tls: { roots: ca.crt, certificate: us.crt, key: us.key }";
    let us = authority.signs("gate.test");
    let gateway = start(&secure(&upstream, tls), &authority, Some(&us));
    let mut client = ask(&gateway, "GET /x");
    let mut connection = upstream.accept();
    connection.head();
    connection.send(OK);
    assert_eq!(client.response().text(), "ok");

    let fixture = secure(&upstream, "tls: { roots: ca.crt }");
    let stranger = start(&fixture, &authority, None);
    let mut client = ask(&stranger, "GET /x");
    upstream.accept().rest();
    assert_eq!(client.response().status(), 502);
}

#[test]
fn http2_is_agreed_on_by_alpn_or_not_spoken() {
    let authority = Authority::new();
    let identity = authority.signs("127.0.0.1");
    let tls = "tls: { roots: ca.crt }, http2: true";
    let upstream = Scripted::start_tls(config(&identity, None, &["h2", "http/1.1"]));
    let gateway = start(&secure(&upstream, tls), &authority, None);
    let mut client = ask(&gateway, "GET /x");
    let mut peer = Peer::greet(upstream.accept(), &[]);
    let asked = peer.asked();
    assert_eq!(asked.field(":scheme"), Some("https"));
    peer.answer(asked.stream, "two");
    assert_eq!(client.response().text(), "two");

    for (protocols, why) in [
        (&["http/1.1"][..], "NoApplicationProtocol"),
        (&[], "does not speak HTTP/2"),
    ] {
        let upstream = Scripted::start_tls(config(&identity, None, protocols));
        let gateway = start(&secure(&upstream, tls), &authority, None);
        let mut client = ask(&gateway, "GET /x");
        upstream.accept().rest();
        assert_fault(&client.response(), 502, "upstream_unreachable");
        let line = gateway.wait_for_log("an upstream's address fails");
        assert!(line.contains(why), "{line}");
    }
}

#[test]
fn a_gateway_does_not_start_with_roots_or_a_key_it_cannot_use() {
    let upstream = Scripted::start();
    let (authority, us) = (Authority::new(), Authority::new().signs("gate.test"));
    for (tls, written, why) in [
        ("roots: nowhere.crt", "", "there is no file `"),
        (
            "roots: ca.crt",
            "no certificate\n",
            "there is no certificate in `",
        ),
        (
            "roots: tls.crt, certificate: us.crt, key: tls.key",
            "",
            "do not go together",
        ),
    ] {
        let files = secure(&upstream, &format!("tls: {{ {tls} }}")).write();
        files.write(
            "ca.crt",
            if written.is_empty() {
                &authority.pem
            } else {
                written
            },
        );
        files.write("us.crt", &us.pem);
        let output = files.cli(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("portcullis.yaml:") && said.contains(why),
            "{said}"
        );
    }
}
