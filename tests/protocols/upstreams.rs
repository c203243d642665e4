//! Servers behind the gateway that are spoken to over TLS, over HTTP/2, or both.

use crate::harness::{Client, Fixture, Message, Server, request};

/// A server's certificate, in files of their own.
struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = vec!["server.test".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = Self { folder };
        std::fs::write(certificate.path("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(
            certificate.path("server.key"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        certificate
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// Sends requests of several kinds through a gateway before `server`, which is reached as `more`
/// says, and wants to see every one of them whole.
fn serves(server: &Server, scheme: &str, more: &str, version: &str) {
    let url = format!("{scheme}://{}", server.address());
    let mut fixture = Fixture::before(&url);
    if !more.is_empty() {
        fixture = fixture.upstream(more);
    }
    let gateway = fixture.start();
    let token = gateway.token(&gateway.account("app", &["writer"]));
    let bearer = ("Authorization", &*format!("Bearer {token}"));
    let mut client = Client::connect(gateway.address());
    let mut send = |line: &str, body: &[u8]| -> Message {
        client.send(request(line, &[bearer], body)).response()
    };
    let line = |answer: &Message| answer.header("x-line").unwrap_or_default().to_owned();
    for number in 0..3 {
        let answer = send(&format!("GET /v1/items/{number}?a=%20"), b"");
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(
            line(&answer),
            format!("GET /v1/items/{number}?a=%20 {version}")
        );
        assert_eq!(answer.header("x-told"), Some("app"));
    }
    for size in [1, 100_000, 2 << 20] {
        let body = vec![b'x'; size];
        let answer = send("POST /v1/items", &body);
        assert_eq!(
            (answer.status(), line(&answer)),
            (200, format!("POST /v1/items {version}"))
        );
        assert!(
            answer.body == body,
            "{} of {size} bytes came back",
            answer.body.len()
        );
    }
    // Many at once, so that some share a connection where connections are shared.
    let address = gateway.address();
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..10 {
                    let body = format!("{number}").repeat(10_000);
                    let sent = request("POST /v1/items", &[bearer], body.as_bytes());
                    assert_eq!(client.send(sent).response().text(), body);
                }
            });
        }
    });
}

#[test]
fn node_serves_over_http_2_without_tls() {
    let server = Server::node(&["tests/protocols/upstream.mjs", "h2c"]);
    serves(&server, "http", "http2: true", "2.0");
}

#[test]
fn node_serves_over_tls_in_both_versions() {
    let certificate = Certificate::new();
    let (cert, key) = (
        certificate.path("server.crt"),
        certificate.path("server.key"),
    );
    let tls = format!("tls: {{ roots: '{cert}', server_name: server.test }}");
    let server = Server::node(&["tests/protocols/upstream.mjs", "https", &cert, &key]);
    serves(&server, "https", &tls, "1.1");
    let server = Server::node(&["tests/protocols/upstream.mjs", "h2", &cert, &key]);
    serves(&server, "https", &format!("{tls}, http2: true"), "2.0");
}

#[test]
fn gunicorn_serves_over_tls() {
    let certificate = Certificate::new();
    let (cert, key) = (
        certificate.path("server.crt"),
        certificate.path("server.key"),
    );
    let tls = format!("tls: {{ roots: '{cert}', server_name: server.test }}");
    let arguments = ["--certfile", &cert, "--keyfile", &key, "echo:app"];
    let server = Server::gunicorn("tests/protocols", &arguments);
    serves(&server, "https", &tls, "SSLSocket");
}

#[test]
fn nginx_serves_over_tls_with_an_api_behind_it() {
    let certificate = Certificate::new();
    let (cert, key) = (
        certificate.path("server.crt"),
        certificate.path("server.key"),
    );
    let tls = format!("tls: {{ roots: '{cert}', server_name: server.test }}");
    let api = Server::node(&["tests/protocols/upstream.mjs", "http"]);
    let filled = [
        ("BACKEND", &*api.address()),
        ("CERTIFICATE", &cert),
        ("KEY", &key),
    ];
    let server = Server::nginx(include_str!("nginx_tls.conf"), &filled);
    serves(&server, "https", &tls, "1.0");
}

#[test]
fn a_server_with_a_certificate_of_strangers_is_not_spoken_to() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let (cert, key) = (
        certificate.path("server.crt"),
        certificate.path("server.key"),
    );
    let server = Server::node(&["tests/protocols/upstream.mjs", "https", &cert, &key]);
    for (roots, name) in [
        (other.path("server.crt"), "server.test"),
        (cert, "other.test"),
    ] {
        let gateway = Fixture::before(&format!("https://{}", server.address()))
            .upstream(&format!("tls: {{ roots: '{roots}', server_name: {name} }}"))
            .start();
        let answer = gateway.ask("GET /public/x", None);
        assert_eq!(
            (answer.status(), &*answer.reason()),
            (502, "upstream_unreachable")
        );
    }
}
