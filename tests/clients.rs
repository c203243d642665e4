//! Clients as people have them, on the way people go: a key, a token for it, a call with the token.
//!
//! What each script asserts stands in the script; here stands what must have arrived behind the
//! gateway when it has run.

use std::process::{Command, Output, Stdio};

use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError, RevocationUrl,
    Scope, StandardRevocableToken, TokenResponse, TokenUrl,
};
use portcullis::words::SecretDigest;
use sha2::{Digest as _, Sha256};

use crate::harness::{Fixture, Gateway, Key, Message, Upstream, request, tool, tools};

/// The usual items, behind the gateway, and the key of somebody who may see and make them.
struct Stage {
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
    /// Well-formed, and not the one that goes with `key`.
    other_secret: String,
}

/// A secret as another product may have made it: every character of it means something to somebody.
const FOREIGN: &str = "7Ka+9/x:Q.w%41&z=~==";

impl Stage {
    fn new() -> Self {
        let upstream = Upstream::start();
        let gateway = Fixture::new(&upstream)
            .listener("basic: true, api_key: true")
            .settings("tokens: { issuer: 'http://gate.example.com' }")
            .start();
        let key = gateway.account("ci", &["writer"]);
        let other_secret = gateway.key("ci").secret;
        Self {
            upstream,
            gateway,
            key,
            other_secret,
        }
    }

    /// The same, with a key that was made elsewhere.
    fn with_foreign_key() -> Self {
        let mut stage = Self::new();
        let digest = SecretDigest::from_bytes(Sha256::digest(FOREIGN).into()).to_string();
        let made = ["keys", "import", "ci", "--sha256", &digest];
        let made = stage.gateway.json(&made);
        stage.key = Key {
            id: made[0]["id"].as_str().unwrap().to_owned(),
            secret: FOREIGN.to_owned(),
        };
        stage
    }

    /// Each way that a client has to show its key, with a key of ours and with one from elsewhere.
    fn each_way() -> impl Iterator<Item = (Self, &'static str)> {
        let keys = [Self::new, Self::with_foreign_key];
        let ways = ["client_secret_basic", "client_secret_post"];
        keys.into_iter()
            .flat_map(move |stage| ways.map(|way| (stage(), way)))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.address())
    }

    /// Runs a client that finds what it needs in its environment, and must succeed.
    fn run(&self, command: &mut Command) -> String {
        let output = command
            .env("GATE", self.url(""))
            .env("KEY", &self.key.id)
            .env("SECRET", &self.key.secret)
            .env("OTHER_SECRET", &self.other_secret)
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?} does not run ({error})"));
        said(&output)
    }

    /// Carries a request of the `oauth2` crate to the gateway, and the answer back.
    fn carry(&self, asked: &HttpRequest) -> Result<HttpResponse, std::io::Error> {
        let headers: Vec<_> = asked
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let line = format!("{} {}", asked.method(), asked.uri().path());
        let answer = self.gateway.send(&request(&line, &headers, asked.body()));
        let mut response = HttpResponse::new(answer.body.clone());
        *response.status_mut() = answer.status().try_into().unwrap();
        if let Some(kind) = answer.header("content-type") {
            let kind = kind.parse().unwrap();
            response.headers_mut().insert("content-type", kind);
        }
        Ok(response)
    }

    /// Method and target of what arrived upstream, without anything that could be a credential.
    fn arrived(&self) -> Vec<String> {
        let requests = self.upstream.requests();
        for request in &requests {
            let text = String::from_utf8_lossy(&request.raw);
            assert_eq!(request.header("authorization"), None, "{text}");
            assert!(!text.contains(&self.key.secret), "{text}");
            assert_eq!(request.header("x-portcullis-account"), Some("ci"), "{text}");
        }
        let line = |request: &Message| format!("{} {}", request.method(), request.target());
        requests.iter().map(line).collect()
    }

    /// Runs curl on a file of its options, so that no secret stands in the list of processes.
    fn curl(&self, lines: &[&str]) -> String {
        let mut script = "silent\nshow-error\nmax-time = 20\nnoproxy = *\n".to_owned();
        for line in lines {
            script += &line.replace("GATE", &self.url(""));
            script += "\n";
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
        self.run(Command::new("curl").arg("--config").arg(file.path()))
    }

    fn curl_token(&self, credential: &[&str]) -> String {
        let url = "url = GATE/oauth/token";
        let answer = self.curl(
            &[
                &["fail", url, "data = grant_type=client_credentials"],
                credential,
            ]
            .concat(),
        );
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// What a client printed; it must have succeeded.
fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(out).into_owned();
    assert!(output.status.success(), "it failed:\n{out}\n{err}");
    out
}

#[test]
fn curl_gets_a_token_by_basic_or_by_body_and_calls() {
    let stage = Stage::new();
    let Key { id, secret } = &stage.key;
    let basic = stage.curl_token(&[&format!("user = {id}:{secret}")]);
    let (id, secret) = (format!("client_id={id}"), format!("client_secret={secret}"));
    let body = stage.curl_token(&[&format!("data = {id}"), &format!("data = {secret}")]);
    for token in [basic, body] {
        let bearer = format!("oauth2-bearer = {token}");
        let answer = stage.curl(&["fail", &bearer, "url = \"GATE/v1/items/7?a=b\""]);
        assert_eq!(answer, r#"{"ok":true}"#);
        let head = stage.curl(&["fail", "head", &bearer, "url = GATE/v1/items/8"]);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.to_lowercase().contains("\r\ncontent-length: 11\r\n"),
            "{head}"
        );
    }
    let two = ["GET /v1/items/7?a=b", "HEAD /v1/items/8"];
    assert_eq!(stage.arrived(), [two, two].concat());
}

/// The `oauth2` crate, which knows no transport but the one it is given: here the bytes it asks for are
/// sent to the gateway as they are. It encodes what it sends by `Basic`.
#[test]
fn the_oauth2_crate_gets_a_token_gives_it_back_and_understands_a_refusal() {
    for stage in [Stage::new(), Stage::with_foreign_key()] {
        for way in [AuthType::BasicAuth, AuthType::RequestBody] {
            let client = |secret: &str| {
                BasicClient::new(ClientId::new(stage.key.id.clone()))
                    .set_client_secret(ClientSecret::new(secret.to_owned()))
                    .set_auth_type(way.clone())
                    .set_token_uri(TokenUrl::new("https://gate.test/oauth/token".into()).unwrap())
                    .set_revocation_url(
                        RevocationUrl::new("https://gate.test/oauth/revoke".into()).unwrap(),
                    )
            };
            let send = |request: HttpRequest| stage.carry(&request);
            let ours = client(&stage.key.secret);
            let asked = ours.exchange_client_credentials();
            let asked = asked.add_scope(Scope::new("items:read".into()));
            let token = asked.request(&send).unwrap();
            assert_eq!(token.scopes().map(Vec::len), Some(1));
            assert!(token.expires_in().unwrap().as_secs() > 0);
            let access = token.access_token().secret();
            let status = || stage.gateway.ask("GET /v1/items/7", Some(access)).status();
            assert_eq!(status(), 200);
            let given = StandardRevocableToken::AccessToken(token.access_token().clone());
            ours.revoke_token(given).unwrap().request(&send).unwrap();
            assert_eq!(status(), 401);

            let refused = client(&stage.other_secret)
                .exchange_client_credentials()
                .request(&send);
            let Err(RequestTokenError::ServerResponse(said)) = refused else {
                panic!("a wrong secret was not refused as the RFC says: {refused:?}");
            };
            assert_eq!(said.error(), &BasicErrorResponseType::InvalidClient);
        }
    }
}

/// A key from elsewhere opens wherever a key may be shown: at the token endpoint, and on a listener that
/// takes `basic` and `api_key`. What shows it is none of the upstream's business.
#[test]
fn curl_calls_with_a_key_from_elsewhere_wherever_a_key_may_be_shown() {
    let stage = Stage::with_foreign_key();
    let Key { id, secret } = &stage.key;
    let user = format!("user = \"{id}:{secret}\"");
    let bodies = [
        format!("data-urlencode = \"client_id={id}\""),
        format!("data-urlencode = \"client_secret={secret}\""),
    ];
    let basic = stage.curl_token(&[&user]);
    let body = stage.curl_token(&[&bodies[0], &bodies[1]]);
    let url = "url = GATE/v1/items/7";
    for token in [basic, body] {
        let bearer = format!("oauth2-bearer = {token}");
        assert_eq!(stage.curl(&["fail", &bearer, url]), r#"{"ok":true}"#);
    }
    assert_eq!(stage.curl(&["fail", &user, url]), r#"{"ok":true}"#);
    let header = format!("header = \"X-Api-Key: {id}.{secret}\"");
    assert_eq!(stage.curl(&["fail", &header, url]), r#"{"ok":true}"#);
    assert_eq!(stage.arrived(), ["GET /v1/items/7"; 4]);
    // One character less, and it is nobody's.
    let (wrong, _) = secret.split_at(secret.len() - 1);
    let shown = r#"write-out = "%{http_code}""#;
    for wrong in [
        format!("user = \"{id}:{wrong}\""),
        format!("header = \"X-Api-Key: {id}.{wrong}\""),
    ] {
        let refused = stage.curl(&[&wrong, shown, url]);
        assert!(refused.ends_with("401"), "{refused}");
    }
    assert!(!stage.gateway.printed().contains(secret));
}

#[test]
fn curl_is_told_why_it_is_refused() {
    let stage = Stage::new();
    let bearer = format!("oauth2-bearer = {}", stage.gateway.token(&stage.key));
    let shown = r#"write-out = "\n%{http_code} %{content_type} %header{www-authenticate}""#;
    let answer = stage.curl(&[&bearer, "request = DELETE", shown, "url = GATE/v1/items/7"]);
    let (problem, rest) = answer.rsplit_once('\n').unwrap();
    assert!(
        rest.starts_with("403 application/problem+json Bearer "),
        "{rest}"
    );
    assert!(rest.contains("scope=\"items:delete\""), "{rest}");
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    assert_eq!(problem["reason"], "permission_missing");
    assert_eq!(problem["missing"], serde_json::json!(["items:delete"]));

    let answer = stage.curl(&[shown, "url = GATE/v1/items/7"]);
    assert!(
        answer.contains("\n401 application/problem+json Bearer"),
        "{answer}"
    );
    assert_eq!(stage.arrived(), [""; 0]);
}

/// curl asks before it sends a large body (`Expect: 100-continue`). Who is refused never sends it; who is let in is told to
/// go on.
#[test]
fn curl_sends_no_body_that_is_refused() {
    let stage = Stage::new();
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len(8 << 20).unwrap();
    let upload = format!("upload-file = {}", body.path().display());
    let shown = r#"write-out = "\n%{http_code} %{size_upload}""#;
    // Longer than the test lasts: only an answer makes it go on.
    let patient = "expect100-timeout = 15";
    let ask = |more: &[&str]| {
        let usual = [
            &upload,
            patient,
            shown,
            "request = POST",
            "url = GATE/v1/items",
        ];
        let answer = stage.curl(&[&usual, more].concat());
        answer.rsplit_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(ask(&[]), "401 0");
    assert_eq!(stage.upstream.connections(), 0);
    let bearer = format!("oauth2-bearer = {}", stage.gateway.token(&stage.key));
    assert_eq!(ask(&[&bearer]), format!("200 {}", 8 << 20));
    assert_eq!(stage.arrived(), ["POST /v1/items"]);
    assert_eq!(stage.upstream.requests()[0].body.len(), 8 << 20);
}

/// Some clients encode what they send by `Basic`, as the RFC asks, and some do not: a key from elsewhere
/// is for both.
#[test]
fn requests_gets_a_token_and_calls() {
    for stage in [Stage::new(), Stage::with_foreign_key()] {
        stage.run(Command::new(tool("venv/bin/python")).arg("tests/clients/with_requests.py"));
        let expected = [
            "GET /v1/items/7?a=b+c",
            "HEAD /v1/items/7",
            "POST /v1/items",
        ];
        assert_eq!(stage.arrived(), expected);
        assert_eq!(stage.upstream.requests()[2].body, b"one two");
    }
}

#[test]
fn authlib_gets_its_tokens_by_itself() {
    for (stage, method) in Stage::each_way() {
        let script = ["tests/clients/with_authlib.py", method];
        stage.run(Command::new(tool("venv/bin/python")).args(script));
        let expected = ["GET /v1/items/7", "GET /v1/items/8", "GET /v1/items/9"];
        assert_eq!(stage.arrived(), expected, "{method}");
    }
}

#[test]
fn openid_client_gets_a_token_and_calls() {
    tool("node_modules/openid-client");
    for (stage, method) in Stage::each_way() {
        let script = include_str!("clients/with_openid_client.mjs");
        let mut node = Command::new("node");
        // Modules are looked for from where the script is, which is where it runs.
        node.args(["--input-type=module", "--eval", script])
            .current_dir(tools())
            .env("METHOD", method);
        stage.run(&mut node);
        assert_eq!(stage.arrived(), ["GET /v1/items/7"], "{method}");
    }
}
