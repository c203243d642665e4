//! A secret is shown once, to whoever made it, and nowhere else: not by accident of a type (E28), and not
//! wherever a client puts one (E27).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis::audit::ChainKey;
use portcullis::store::Pepper;
use portcullis::words::Secret;
use serde_json::{Value, json};

use crate::harness::{Client, Fixture, Gateway, Key, Upstream, request};

/// Does not compile where a type has one of the traits: then two impls would give it a name.
macro_rules! never {
    ($($kind:ty: $($word:path),+;)+) => {$($(
        const _: fn() = || {
            trait Named<T> {
                fn name() {}
            }
            struct HasIt;
            impl<T: ?Sized> Named<()> for T {}
            impl<T: ?Sized + $word> Named<HasIt> for T {}
            let _ = <$kind as Named<_>>::name;
        };
    )+)+};
}

#[test]
fn e28_what_is_secret_is_neither_shown_nor_written_nor_copied() {
    never! {
        Secret: std::fmt::Display, serde::Serialize, Clone, AsRef<str>, std::ops::Deref, Into<String>;
        Pepper: std::fmt::Display, serde::Serialize, Clone, AsRef<[u8]>, std::ops::Deref;
        ChainKey: std::fmt::Display, serde::Serialize, AsRef<[u8]>, std::ops::Deref;
    }
    // Wiped when it is dropped, which takes a drop.
    assert!(std::mem::needs_drop::<Secret>() && std::mem::needs_drop::<Pepper>());
    assert!(std::mem::needs_drop::<ChainKey>());
}

/// Secrets that are out, by what they are.
struct Canaries {
    ours: Key,
    /// Of a key made elsewhere: no part of it says what it is.
    foreign: Key,
    token: String,
}

impl Canaries {
    fn of(gateway: &Gateway) -> Self {
        let ours = gateway.account("ci", &["reader"]);
        let secret = "tweet-yellow-7Qx9-from-elsewhere".to_owned();
        let digest = Secret::parse(&secret).unwrap().digest();
        let digest = digest.to_string();
        let digest = digest.strip_prefix("sha256:").expect("a digest");
        let import = ["keys", "import", "ci", "--sha256", digest];
        let made = gateway.json(&import);
        let id = made[0]["id"].as_str().unwrap_or_else(|| panic!("{made}"));
        let id = id.to_owned();
        let token = gateway.token(&ours);
        Self {
            ours,
            foreign: Key { id, secret },
            token,
        }
    }

    /// Texts none of which may stand anywhere: of a token its signature is what opens.
    fn forbidden(&self) -> BTreeMap<&str, &str> {
        BTreeMap::from([
            ("ours", self.ours.secret.trim_start_matches("pcs_")),
            ("foreign", "tweet-yellow-7Qx9"),
            ("token", self.token.rsplit('.').next().unwrap()),
        ])
    }
}

/// Every way to send `text` where it belongs and where it does not.
fn requests(text: &str, id: &str, is_ours: bool) -> Vec<Vec<u8>> {
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let pair = Key {
        id: id.to_owned(),
        secret: text.to_owned(),
    };
    let wrong = Key {
        id: id.to_owned(),
        secret: format!("{text}x"),
    };
    let get = |name: &str, value: &str| request("GET /v1/items/7", &[(name, value)], b"");
    let grant = "grant_type=client_credentials";
    let body = format!("{grant}&client_id={id}&client_secret={text}");
    let mut all = vec![
        get("Authorization", &pair.basic()),
        get("Authorization", &wrong.basic()),
        get("Authorization", &format!("Basic {id}:{text}")),
        get("Authorization", &format!("Bearer {text}")),
        get("Authorization", &format!("Bearer {text}x")),
        get("Authorization", &format!("Digest {text}")),
        get("Authorization", text),
        get("X-Api-Key", &pair.api_key()),
        get("X-Api-Key", &wrong.api_key()),
        get("X-Api-Key", text),
        get("Cookie", &format!("session={text}")),
        get("X-Whatever", text),
        get("Referer", &format!("https://page.test/?key={text}")),
        request(&format!("GET /v1/items/7?access_token={text}"), &[], b""),
        request(&format!("GET /public/x?key={text}"), &[], b""),
        request("POST /v1/items", &[], text.as_bytes()),
        request("POST /oauth/token", &[form], body.as_bytes()),
        request("POST /oauth/token", &[form], format!("{body}x").as_bytes()),
        request(
            "POST /oauth/token",
            &[form],
            format!("grant_type={text}").as_bytes(),
        ),
        request(
            "POST /oauth/token",
            &[form],
            format!("{grant}&scope={text}").as_bytes(),
        ),
        request(
            "POST /oauth/revoke",
            &[form],
            format!("token={text}").as_bytes(),
        ),
        // A head that nobody can read, with it inside.
        format!("GET /v1/items/7 HTTP/1.1\r\nHost: gate.test\r\nX Y: {text}\r\n\r\n").into_bytes(),
        format!("GET /v1/items/7 {text}\r\nHost: gate.test\r\n\r\n").into_bytes(),
    ];
    // What is on record of everybody: there, only what a secret of ours looks like is known.
    if is_ours {
        all.push(get("User-Agent", &format!("tool/{text}")));
        all.push(request(&format!("GET /v1/items/{text}"), &[], b""));
        all.push(request(&format!("GET /nowhere/{text}/x"), &[], b""));
    }
    all
}

/// All that can be read of the gateway, by where it stands.
fn everything(gateway: &Gateway, admin: &Key) -> BTreeMap<&'static str, String> {
    let listed = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let output = gateway.cli(&words);
        let [out, told] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(output.status.success(), "{line}: {told}");
        out + &told
    };
    let api = |line: &str| {
        let headers = [("X-Api-Key", &*admin.api_key())];
        let mut client = Client::connect(gateway.address_of("admin"));
        let answer = client.send(request(line, &headers, b"")).response();
        format!("{answer:?}")
    };
    let process = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{file}", gateway.id())).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    BTreeMap::from([
        ("log", gateway.printed()),
        ("metrics", gateway.ops("/metrics").text().to_owned()),
        ("status", listed("status -o json")),
        ("audit", listed("audit list --limit 1000 -o json")),
        ("keys", listed("keys list -o json")),
        ("tokens", listed("tokens list -o json")),
        ("denials", listed("denials list -o json")),
        ("denials of the API", api("GET /api/v1/denials")),
        ("audit of the API", api("GET /api/v1/audit")),
        ("arguments", process("cmdline")),
        ("environment", process("environ")),
    ])
}

#[test]
fn e27_a_secret_shows_nowhere_wherever_it_is_put() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .listener("api_key: true, basic: true")
        .admin(", hosts: [gate.test]")
        .start();
    let root = gateway.account("root", &["portcullis-admin"]);
    let canaries = Canaries::of(&gateway);
    let forbidden = canaries.forbidden();
    let mut said = String::new();
    for (text, id, is_ours) in [
        (&canaries.ours.secret, &canaries.ours.id, true),
        (&canaries.foreign.secret, &canaries.foreign.id, false),
        (&canaries.token, &canaries.ours.id, true),
    ] {
        for bytes in requests(text, id, is_ours) {
            writeln!(said, "{:?}", gateway.send(&bytes)).unwrap();
        }
        // Whoever manages puts it into the wrong field.
        let headers = [
            ("X-Api-Key", &*root.api_key()),
            ("Content-Type", "application/json"),
        ];
        for (line, body) in [
            ("POST /api/v1/accounts", json!({ "name": text })),
            ("POST /api/v1/accounts", json!({ "name": "x", text: 1 })),
            (
                "POST /api/v1/accounts",
                json!({ "name": "x", "grants": [{ "role": text }] }),
            ),
            (
                "POST /api/v1/accounts/ci/keys",
                json!({ "expires_at": text }),
            ),
            ("POST /api/v1/tokens/inspect", json!({ "token": text })),
        ] {
            let mut client = Client::connect(gateway.address_of("admin"));
            let bytes = request(line, &headers, body.to_string().as_bytes());
            let answer = client.send(bytes).response();
            // What was sent may be named to its sender; it is on no record for that.
            drop(answer);
        }
    }
    let mut found = everything(&gateway, &root);
    found.insert("answers", said);
    let mut shown = Vec::new();
    for (place, text) in &found {
        for (what, secret) in &forbidden {
            if let Some((before, _)) = text.split_once(secret) {
                let around = before.chars().rev().take(200).collect::<Vec<_>>();
                let around: String = around.into_iter().rev().collect();
                shown.push(format!("{place} shows {what} after {around}"));
            }
        }
    }
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    let lines = gateway.decisions(60);
    let paths = lines.iter().filter_map(|line| line["url.path"].as_str());
    assert!(
        paths.clone().any(|path| path.contains('…')),
        "a path was not looked at"
    );
    assert!(lines.iter().all(Value::is_object));
}
