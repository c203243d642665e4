//! Requests as clients write them, good and bad, and every error of RFC 6749.

mod clients;
mod forms;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;

use http::HeaderValue;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::*;
use crate::verify::world::{START, World};
use crate::words::Secret;

/// A request, as curl would write it.
struct Curl {
    method: Method,
    query: Option<&'static str>,
    headers: HeaderMap,
    body: String,
    source: Option<IpAddr>,
}

impl Curl {
    fn new(body: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        Self {
            method: Method::POST,
            query: None,
            headers,
            body: body.into(),
            source: Some("192.0.2.1".parse().unwrap()),
        }
    }

    fn user(mut self, user: &str, password: &str) -> Self {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.headers.append(AUTHORIZATION, value.parse().unwrap());
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn ask(&self, world: &World, now: UnixTime) -> TokenAnswer {
        let id = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70".parse().unwrap();
        let request = TokenRequest {
            id: &id,
            method: &self.method,
            query: self.query,
            headers: &self.headers,
            body: self.body.as_bytes(),
            source: self.source,
            limits: None,
        };
        answer(
            &world.verifier,
            &world.state(),
            &world.tokens,
            &request,
            now,
        )
    }
}

const GRANT: &str = "grant_type=client_credentials";

/// `GRANT` by the account's own key.
fn good(world: &World, account: &str) -> Curl {
    extended(world, account, "")
}

fn extended(world: &World, account: &str, more: &str) -> Curl {
    let (id, secret) = &world.keys[account];
    Curl::new(format!("{GRANT}{more}")).user(id.as_str(), secret.reveal())
}

fn body(answer: &TokenAnswer) -> Value {
    serde_json::from_slice(answer.response.body()).unwrap()
}

/// Says that the answer is this error, and that nothing in it is the client's or forbidden.
fn check(answer: &TokenAnswer, status: u16, error: &str, reason: Reason) {
    let body = body(answer);
    assert_eq!(answer.response.status().as_u16(), status, "{body}");
    assert_eq!(
        (answer.outcome, answer.reason),
        (error, Some(reason)),
        "{body}"
    );
    assert_eq!(body["error"], error);
    let headers = answer.response.headers();
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[PRAGMA], "no-cache");
    let challenge = headers.get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
    let expected = (status == 401).then_some(b"Basic realm=\"portcullis\"".as_slice());
    assert_eq!(challenge, expected);
    // E09
    for text in [&body["error"], &body["error_description"]] {
        let text = text.as_str().unwrap();
        let allowed = |b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(!text.is_empty() && text.bytes().all(allowed), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[test]
fn a_token_is_as_short_and_as_narrow_as_was_asked_for_and_never_wider() {
    let world = World::new();
    for (more, lifetime) in [
        ("&lifetime=60", 60),
        ("&lifetime=900", 900),
        ("&lifetime=86400", 900),
        ("&lifetime=", 900),
        ("&resource=inventory&lifetime=1", 1),
    ] {
        let answer = extended(&world, "ci", more).ask(&world, START);
        assert_eq!(body(&answer)["expires_in"], lifetime, "{more}");
        let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
        let end = START.plus(Duration::from_secs(lifetime));
        assert!(world.bearer(&token, START).is_ok(), "{more}");
        assert_eq!(world.bearer(&token, end).unwrap_err(), Reason::TokenExpired);
    }
    for more in [
        "&lifetime=0",
        "&lifetime=-1",
        "&lifetime=15m",
        "&lifetime=1.5",
        "&lifetime=%2B1",
    ] {
        let answer = extended(&world, "ci", more).ask(&world, START);
        check(&answer, 400, "invalid_request", Reason::RequestMalformed);
    }
    for more in ["&resource=Inventory", "&resource=https://other.example"] {
        let answer = extended(&world, "ci", more).ask(&world, START);
        check(&answer, 400, "invalid_target", Reason::RequestMalformed);
    }
}

#[test]
fn e01_a_good_key_gets_a_token_by_header_and_by_body() {
    let world = World::new();
    let (id, secret) = &world.keys["ci"];
    let by_body = format!("{GRANT}&client_id={id}&client_secret={}", secret.reveal());
    for curl in [good(&world, "ci"), Curl::new(by_body)] {
        let answer = curl.ask(&world, START);
        assert_eq!(answer.response.status(), StatusCode::OK);
        let headers = answer.response.headers();
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[PRAGMA], "no-cache");
        let body = body(&answer);
        let expected = json!({
            "access_token": body["access_token"],
            "token_type": "Bearer",
            "expires_in": 900,
            "scope": "devices:edit devices:view tenants:view",
        });
        assert_eq!(
            body.to_string(),
            expected.to_string(),
            "these members in this order"
        );
        assert_eq!((answer.outcome, answer.reason), ("issued", None));
        assert_eq!(
            (answer.key, answer.account.unwrap().name.as_str()),
            (Some(*id), "ci")
        );

        let caller = world
            .bearer(body["access_token"].as_str().unwrap(), START)
            .unwrap();
        assert_eq!(
            (caller.account.name.as_str(), caller.key),
            ("ci", Some(*id))
        );
        assert_eq!(caller.subset, None);
    }
}

#[test]
fn e02_the_grant_type_is_client_credentials() {
    let world = World::new();
    let ask = |text: &str| {
        let (id, secret) = &world.keys["ci"];
        Curl::new(text)
            .user(id.as_str(), secret.reveal())
            .ask(&world, START)
    };
    for missing in [
        "",
        "grant_type=",
        "scope=devices:view",
        "grant_typeCANARY=x",
    ] {
        check(
            &ask(missing),
            400,
            "invalid_request",
            Reason::RequestMalformed,
        );
    }
    for unknown in [
        "password",
        "CANARY",
        "client_credentials+",
        "Client_Credentials",
        "%ff",
    ] {
        let answer = ask(&format!("grant_type={unknown}"));
        check(
            &answer,
            400,
            "unsupported_grant_type",
            Reason::RequestMalformed,
        );
    }
    // A parameter without a value was not sent; one nobody knows is ignored.
    for fine in [
        "&scope=",
        "&client_id=&client_secret=",
        "&nothing=CANARY",
        "&",
    ] {
        assert_eq!(
            extended(&world, "ci", fine).ask(&world, START).outcome,
            "issued",
            "{fine}"
        );
    }
}

#[test]
fn a_token_does_not_promise_to_outlive_its_key() {
    let mut world = World::new();
    world.end_key("ci", START.plus(Duration::from_secs(60)));
    let answer = body(&good(&world, "ci").ask(&world, START));
    assert_eq!(answer["expires_in"], 60);
}

#[test]
fn without_a_signing_key_there_is_no_token_and_the_client_may_come_back() {
    let world = World {
        signing: Arc::default(),
        ..World::new()
    };
    let answer = good(&world, "ci").ask(&world, START);
    check(&answer, 503, "temporarily_unavailable", Reason::NotReady);
}

#[test]
fn two_tokens_of_one_instant_are_not_the_same() {
    let world = World::new();
    let token = || body(&good(&world, "ci").ask(&world, START))["access_token"].clone();
    assert_ne!(token(), token());
}

/// E12: what is kept about an answer says nothing secret.
#[test]
fn e12_no_secret_prints() {
    let world = World::new();
    let secret = world.keys["ci"].1.reveal();
    let form = Form::parse(format!("client_secret={secret}").as_bytes()).unwrap();
    assert_eq!(form.client_secret.unwrap().as_str(), secret);
    let refused = Curl::new(format!("{GRANT}&client_id=x&client_secret={secret}"));
    let shown = format!("{:?}", refused.ask(&world, START));
    assert!(!shown.contains(secret), "{shown}");
}
