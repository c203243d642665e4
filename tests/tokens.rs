//! Tokens one by one, and the keys they are signed with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::harness::load::{Caller, all, run};
use crate::harness::long::sized;
use portcullis::words::{KeyId, Secret};

use crate::harness::{
    Api, Client, Fixture, Gateway, Key, Message, PATIENCE, Scripted, Upstream, request,
};

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a JWT has three parts");
    let json = URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&json).expect("claims are JSON")
}

fn id(token: &str) -> String {
    claims(token)["jti"].as_str().expect("a text").to_owned()
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.ask("GET /v1/items/7", Some(token)).status()
}

#[test]
fn e23_one_token_is_taken_back_by_its_id_and_no_other_is() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).start();
    let key = gateway.account("ci", &["reader"]);
    let (leaked, kept) = (gateway.token(&key), gateway.token(&key));
    assert_eq!(
        [&leaked, &kept].map(|token| status(&gateway, token)),
        [200, 200]
    );
    let listed = gateway.json(&["tokens", "list", "ci"]);
    let row = |listed: &Value, token: &str| {
        let rows = listed.as_array().expect("a list");
        let found = rows.iter().find(|row| row["id"] == id(token));
        found.unwrap_or_else(|| panic!("not in {listed}")).clone()
    };
    assert_eq!(row(&listed, &leaked)["state"], "good");
    assert_eq!(row(&listed, &leaked)["key"], key.id.as_str());
    assert!(
        !listed.to_string().contains(&leaked),
        "a token is never shown"
    );

    let answer = gateway.json(&["tokens", "revoke", &id(&leaked)]);
    assert_eq!(
        (&answer["revoked"], &answer["account"]),
        (&true.into(), &"ci".into())
    );
    let refused = gateway.ask("GET /v1/items/7", Some(&leaked));
    assert_eq!(refused.status(), 401);
    assert_eq!(
        gateway.decision_of(&refused)["portcullis.reason"],
        "token_revoked"
    );
    assert_eq!(status(&gateway, &kept), 200);
    let listed = gateway.json(&["tokens", "list"]);
    assert_eq!(row(&listed, &leaked)["state"], "token_revoked");
    assert_eq!(row(&listed, &kept)["state"], "good");
    // Again changes nothing, and nothing brings it back.
    gateway.json(&["tokens", "revoke", &id(&leaked)]);
    gateway.crash();
    assert_eq!(
        [&leaked, &kept].map(|token| status(&gateway, token)),
        [401, 200]
    );
    let listed = gateway.json(&["tokens", "list"]);
    assert_eq!(row(&listed, &leaked)["state"], "token_revoked");
    assert_eq!(
        gateway.cli(&["tokens", "revoke", "short"]).status.code(),
        Some(2)
    );
}

/// One that nobody has shown yet can be taken back, too.
#[test]
fn a_token_is_taken_back_before_its_first_use() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    gateway.account("ci", &["reader"]);
    let issued = gateway.json(&["tokens", "issue", "ci"]);
    let token = issued["access_token"].as_str().expect("a token");
    assert_eq!(issued["id"], id(token).as_str());
    gateway.json(&["tokens", "revoke", &id(token)]);
    assert_eq!(status(&gateway, token), 401);
}

#[test]
fn e23_what_a_token_opened_is_cut_with_it() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url()).start();
    let key = gateway.account("ci", &["reader"]);
    let open = |token: &str| {
        let mut client = Client::connect(gateway.address());
        let bearer = format!("Bearer {token}");
        client.send(request(
            "GET /v1/items/7",
            &[("Authorization", &bearer)],
            b"",
        ));
        let mut connection = upstream.accept();
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        client.head();
        assert_eq!(client.bytes(6), b"1\r\nx\r\n");
        (client, connection)
    };
    let (leaked, kept) = (gateway.token(&key), gateway.token(&key));
    let (mut client, _theirs) = open(&leaked);
    let (mut other, mut others) = open(&kept);
    gateway.json(&["tokens", "revoke", &id(&leaked)]);
    assert!(client.ends_within(PATIENCE));
    others.send("1\r\ny\r\n");
    assert_eq!(other.bytes(6), b"1\r\ny\r\n");
}

/// Asks the revocation endpoint with a key, as curl does.
fn give_back(gateway: &Gateway, key: &Key, token: &str) -> Message {
    let basic = key.basic();
    let headers = [
        ("Authorization", basic.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = format!("token={token}&token_type_hint=access_token");
    gateway.send(&request("POST /oauth/revoke", &headers, body.as_bytes()))
}

/// RFC 7009: what a client gives back is refused when the answer is there, and what it opened is cut;
/// what is none, and what was given back before, is as good as given back.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_client_gives_back_a_token_of_its_own_and_of_nobody_else() {
    let upstream = Scripted::start();
    let mut gateway = Fixture::before(&upstream.url()).start();
    let key = gateway.account("ci", &["reader"]);
    let other = gateway.account("other", &["reader"]);
    let (given, kept, theirs) = (
        gateway.token(&key),
        gateway.token(&key),
        gateway.token(&other),
    );
    let mut stream = Client::connect(gateway.address());
    let bearer = format!("Bearer {given}");
    stream.send(request(
        "GET /v1/items/7",
        &[("Authorization", &bearer)],
        b"",
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    stream.head();
    assert_eq!(stream.bytes(6), b"1\r\nx\r\n");

    let answer = give_back(&gateway, &key, &given);
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let refused = gateway.ask("GET /v1/items/7", Some(&given));
    assert_eq!(refused.status(), 401);
    let decision = gateway.decision_of(&refused);
    assert_eq!(decision["portcullis.reason"], "token_revoked");
    assert!(stream.ends_within(PATIENCE), "what it opened goes on");

    for token in [&given, "junk", &format!("{kept}x")] {
        assert_eq!(give_back(&gateway, &key, token).status(), 200, "{token}");
    }
    let refused = give_back(&gateway, &key, &theirs);
    assert_eq!(
        (
            refused.status(),
            refused.json()["error"].as_str().map(str::to_owned)
        ),
        (400, Some("unauthorized_client".to_owned()))
    );
    let wrong = Key {
        secret: other.secret,
        id: key.id,
    };
    assert_eq!(give_back(&gateway, &wrong, &kept).status(), 401);
    let listed = gateway.json(&["tokens", "list"]);
    let state = |token: &str| {
        let rows = listed.as_array().expect("a list").iter();
        let row = rows.clone().find(|row| row["id"] == id(token));
        row.map(|row| row["state"].clone())
    };
    assert_eq!(state(&given), Some("token_revoked".into()));

    // Who it was stands in the trail, and it is so after a crash.
    let trail = gateway.json(&["audit", "list", "--event", "token.revoke"]);
    let record = &trail[0];
    assert_eq!(
        (
            &record["portcullis.actor.kind"],
            &record["portcullis.actor.account.name"]
        ),
        (&"client".into(), &"ci".into())
    );
    assert_eq!(record["portcullis.object.id"], id(&given).as_str());
    assert_eq!(record["client.address"], "127.0.0.1");
    assert_eq!(
        record["portcullis.request_id"],
        answer.header("x-request-id").expect("an id")
    );
    assert_eq!(trail.as_array().map(Vec::len), Some(1));
    gateway.crash();
    assert_eq!(status(&gateway, &given), 401);
}

#[test]
fn without_a_store_no_token_is_given_back_and_the_answer_says_so() {
    let upstream = Upstream::start();
    let (id, secret) = (KeyId::random(), Secret::random());
    let account = format!(
        "accounts:\n  ci:\n    id: sa_ci\n    grants: [{{ role: reader }}]\n    keys: [{{ id: {id}, digest: '{}' }}]\n",
        secret.digest()
    );
    let files = Fixture::new(&upstream)
        .store("none")
        .settings("tokens: { signing_key: signing.pem, issuer: 'https://gate.example.com' }")
        .policy("people.yaml", &account)
        .write();
    files.write("signing.pem", &rcgen_ed25519());
    set_private(&files.path("signing.pem"));
    let gateway = Gateway::start(files);
    let key = Key {
        id: id.to_string(),
        secret: secret.reveal().to_owned(),
    };
    let token = gateway.token(&key);
    let refused = give_back(&gateway, &key, &token);
    assert_eq!(refused.json()["error"], "unsupported_token_type");
    assert_eq!(status(&gateway, &token), 200);
    let metadata = gateway.ask("GET /.well-known/oauth-authorization-server", None);
    assert!(metadata.json().get("revocation_endpoint").is_none());
}

fn rcgen_ed25519() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    key.serialize_pem()
}

fn set_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("a file of ours");
}

/// RFC 8414: told as the issuer says, whatever host is asked for; there only where the issuer is one that
/// can be looked up.
#[test]
fn a_client_can_look_up_where_the_endpoints_are() {
    let upstream = Upstream::start();
    let path = "GET /.well-known/oauth-authorization-server";
    let gateway = Fixture::new(&upstream)
        .settings("tokens: { issuer: 'https://gate.example.com' }")
        .start();
    let answer = gateway.ask(path, None);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let found = answer.json();
    assert_eq!(found["issuer"], "https://gate.example.com");
    assert_eq!(
        found["token_endpoint"],
        "https://gate.example.com/oauth/token"
    );
    assert_eq!(
        found["revocation_endpoint"],
        "https://gate.example.com/oauth/revoke"
    );
    assert_eq!(
        found["jwks_uri"],
        "https://gate.example.com/.well-known/jwks.json"
    );
    assert!(
        !answer.text().contains("items"),
        "it tells permissions to strangers"
    );
    assert_eq!(
        gateway
            .ask("POST /.well-known/oauth-authorization-server", None)
            .status(),
        401
    );
    drop(gateway);
    let gateway = Fixture::new(&upstream).start();
    assert_eq!(gateway.ask(path, None).status(), 401);
}

/// The key set as anybody reads it.
fn key_set(gateway: &Gateway) -> JwkSet {
    let answer = gateway.ask("GET /.well-known/jwks.json", None);
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert!(!answer.text().contains("\"d\""), "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("a JWK set")
}

/// Whether a reader that knows nothing but the key set believes a token.
fn is_believed(set: &JwkSet, token: &str) -> bool {
    let kid = decode_header(token).expect("a header").kid.expect("an id");
    let Some(jwk) = set.find(&kid) else {
        return false;
    };
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["portcullis"]);
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    decode::<Value>(token, &key, &rules).is_ok()
}

#[test]
fn a_new_signing_key_signs_at_once_and_the_old_one_is_believed() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).start();
    let key = gateway.account("ci", &["reader"]);
    let before = gateway.token(&key);
    let old = key_set(&gateway);
    assert!(is_believed(&old, &before));
    let made = gateway.json(&["tokens", "rotate-key"]);
    let after = gateway.token(&key);
    let kid = |token: &str| decode_header(token).expect("a header").kid;
    assert_eq!(kid(&after).as_deref(), made["id"].as_str());
    assert_ne!(kid(&before), kid(&after));
    let new = key_set(&gateway);
    assert!(is_believed(&new, &before) && is_believed(&new, &after) && !is_believed(&old, &after));
    for round in 0..2 {
        assert_eq!(
            [&before, &after].map(|token| status(&gateway, token)),
            [200, 200],
            "{round}"
        );
        let keys = gateway.json(&["tokens", "keys"]);
        let signs: Vec<_> = keys
            .as_array()
            .expect("a list")
            .iter()
            .map(|key| key["signs"] == true)
            .collect();
        assert_eq!(signs, [false, true]);
        gateway.crash();
    }
    // Other methods there are whoever's table says.
    assert_eq!(
        gateway.ask("POST /.well-known/jwks.json", None).status(),
        401
    );
}

#[test]
fn after_a_leak_every_token_and_what_it_opened_ends_and_keys_go_on() {
    let upstream = Scripted::start();
    let gateway = Fixture::before(&upstream.url()).start();
    let key = gateway.account("ci", &["reader"]);
    let before = gateway.token(&key);
    let mut client = Client::connect(gateway.address());
    let bearer = format!("Bearer {before}");
    client.send(request(
        "GET /v1/items/7",
        &[("Authorization", &bearer)],
        b"",
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    client.head();
    assert_eq!(client.bytes(6), b"1\r\nx\r\n");
    gateway.json(&["tokens", "rotate-key", "--end-tokens"]);
    assert_eq!(client.rest(), b"", "cut, and not ended as if whole");
    assert_eq!(gateway.ask("GET /v1/items/7", Some(&before)).status(), 401);
    assert!(gateway.token(&key) != before);
    assert_eq!(
        gateway.json(&["tokens", "keys"]).as_array().map(Vec::len),
        Some(1)
    );
}

async fn reaches(uses: &AtomicUsize, count: usize) {
    while uses.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn use_all(caller: &mut Caller, tokens: &VecDeque<String>, uses: &AtomicUsize) {
    for token in tokens {
        let bearer = format!("Bearer {token}");
        let ask = request("GET /v1/items/7", &[("Authorization", &bearer)], b"");
        let answer = caller.ask(&ask).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{answer:?}");
        uses.fetch_add(1, Ordering::SeqCst);
    }
}

/// Clients that get tokens and use them while the key changes under them; not one is refused.
#[test]
fn no_token_is_refused_while_signing_keys_rotate_under_load() {
    let api = Api::start();
    let gateway = Fixture::before(&api.url())
        .settings("log: { decisions: denied }")
        .start();
    let key = gateway.account("ci", &["reader"]);
    let (address, rotations) = (gateway.address(), sized(5, 100));
    let (over, uses) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    run(async {
        let clients = (0..8).map(|_| {
            let (over, uses, key) = (Arc::clone(&over), Arc::clone(&uses), key.clone());
            async move {
                let mut caller = Caller::connect(address).await.expect("it listens");
                let mut held = VecDeque::new();
                while !over.load(Ordering::SeqCst) {
                    held.push_back(token(&mut caller, &key).await);
                    held.drain(..held.len().saturating_sub(20));
                    use_all(&mut caller, &held, &uses).await;
                    // An account may ask for a hundred tokens a second; this is not about that.
                    tokio::time::sleep(Duration::from_millis(80)).await;
                }
            }
        });
        let rotate = async {
            for _ in 0..rotations {
                let seen = uses.load(Ordering::SeqCst);
                tokio::task::block_in_place(|| gateway.json(&["tokens", "rotate-key"]));
                let used = tokio::time::timeout(PATIENCE, reaches(&uses, seen + 100)).await;
                used.expect("tokens are used while keys change");
            }
            over.store(true, Ordering::SeqCst);
        };
        tokio::join!(all(clients.collect::<Vec<_>>()), rotate);
    });
    let keys = gateway.json(&["tokens", "keys"]);
    assert_eq!(keys.as_array().map(Vec::len), Some(rotations + 1));
}

async fn token(caller: &mut Caller, key: &Key) -> String {
    let basic = key.basic();
    let headers = [
        ("Authorization", basic.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let ask = request(
        "POST /oauth/token",
        &headers,
        b"grant_type=client_credentials",
    );
    let answer = caller.ask(&ask).await.expect("an answer");
    answer.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

#[test]
fn without_a_store_the_signing_key_is_a_file_of_somebody_elses() {
    let upstream = Upstream::start();
    let mut gateway = Fixture::new(&upstream).store("none").start();
    let refused = gateway.cli(&["tokens", "rotate-key"]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    gateway.signal(rustix::process::Signal::TERM);
    gateway.wait();
}
