//! Headers that say who calls and from where: ours alone.

use super::{bearer, fixture};
use crate::harness::{Client, Fixture, Message, Upstream, request};

const OURS: [&str; 4] = [
    "x-portcullis-account",
    "x-portcullis-account-id",
    "x-portcullis-permissions",
    "x-portcullis-boundary",
];

/// Says by any spelling that a careless reader takes for one of ours.
fn reads_as_ours(name: &str) -> bool {
    let same: String = name
        .to_ascii_lowercase()
        .replace("%2d", "-")
        .chars()
        .map(|one| {
            if one.is_ascii_alphanumeric() {
                one
            } else {
                '-'
            }
        })
        .collect();
    same.starts_with("x-portcullis-")
}

fn values(message: &Message, names: impl Fn(&str) -> bool) -> Vec<(String, &str)> {
    let headers = message.headers.iter().filter(|(name, _)| names(name));
    headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .collect()
}

#[test]
fn c01_c04_identity_is_ours_alone_however_it_is_spelled() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    let mut spoofed = Vec::new();
    for name in OURS {
        spoofed.extend([name; 5].map(str::to_owned));
        spoofed.push(name.to_ascii_uppercase());
        for separator in ["_", ".", "%2D", "!"] {
            spoofed.push(name.replace('-', separator));
        }
        spoofed.push(name.replacen('-', "_", 1));
        spoofed.push(name.replace("portcullis-", "portcullis_"));
    }
    // Names inside the family that no release has used.
    spoofed.extend(["X-Portcullis-", "X-Portcullis-Tenant", "x-portcullis-a-b"].map(str::to_owned));
    let spoofed: Vec<_> = spoofed.iter().map(|name| (name.as_str(), "root")).collect();

    let headers = [&spoofed[..], &[("Authorization", &reader)]].concat();
    let answer = gateway.send(&request("GET /v1/items/7", &headers, b""));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let seen = upstream.wait_for(1).remove(0);
    let ours = values(&seen, reads_as_ours);
    let named = |name: &str| {
        let found: Vec<_> = ours.iter().filter(|(own, _)| own == name).collect();
        assert_eq!(found.len(), 1, "{name} in {seen:?}");
        found[0].1
    };
    assert_eq!(named("x-portcullis-account"), "reader");
    assert!(named("x-portcullis-account-id").len() > 10);
    assert_eq!(named("x-portcullis-permissions"), "items:read");
    assert_eq!(ours.len(), 3, "{seen:?}");

    upstream.forget();
    let answer = gateway.send(&request("GET /public/x", &headers, b""));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let seen = upstream.wait_for(1).remove(0);
    assert_eq!(values(&seen, reads_as_ours), [], "{seen:?}");
}

/// B40: ours are set after what belongs to one hop was removed.
#[test]
fn b40_a_client_cannot_have_our_headers_removed() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let reader = bearer(&gateway, "reader", &["reader"]);
    let listed = "close, X-Portcullis-Account, X-Portcullis-Permissions, X-Forwarded-For, \
                  X-Forwarded-Proto, X-Request-Id, X-Listed";
    let headers = [
        ("Authorization", reader.as_str()),
        ("Connection", listed),
        ("X-Listed", "1"),
        ("X-Portcullis-Account", "root"),
    ];
    let answer = gateway.send(&request("GET /v1/items/7", &headers, b""));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let seen = upstream.wait_for(1).remove(0);
    assert_eq!(seen.all("x-portcullis-account"), ["reader"]);
    assert_eq!(seen.all("x-portcullis-permissions"), ["items:read"]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-request-id"), answer.all("x-request-id"));
    assert_eq!(seen.header("x-listed"), None);
}

const CLAIMS: [&str; 26] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Method",
    "X-Real-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Original-URL",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-Envoy-Original-Path",
    "X-Forwarded",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-User",
    "X-Forwarded-Scheme",
    "X-Original-Host",
    "X-Client-IP",
    "X-SSL-Client-Verify",
    "Client-Cert",
    "Front-End-Https",
];

#[test]
fn a34_a36_c06_what_strangers_claim_is_removed_and_what_we_know_is_written_anew() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).tls_listener().start();
    let overrides = [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ];
    let claims = CLAIMS.iter().chain(&overrides);
    let claims: Vec<_> = claims
        .flat_map(|name| [(*name, "9.9.9.9"), (*name, "DELETE")])
        .collect();
    let bytes = request("GET /public/x", &claims, b"");
    assert_eq!(gateway.send(&bytes).status(), 200);
    let mut tls = Client::connect_tls(gateway.address_of("1"), gateway.files().certificate());
    assert_eq!(tls.send(&bytes).response().status(), 200);
    let seen = upstream.wait_for(2);
    for (seen, proto) in seen.iter().zip(["http", "https"]) {
        let lowered: Vec<_> = claims
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        let left = values(seen, |name| {
            lowered.iter().any(|claim| name.eq_ignore_ascii_case(claim))
        });
        let mut left: Vec<_> = left
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        left.sort_unstable();
        let ours = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "gate.test"),
            ("x-forwarded-proto", proto),
        ];
        assert_eq!(left, ours);
    }
}

#[test]
fn c07_c08_only_a_trusted_peer_says_where_a_call_comes_from() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream)
        .another_listener("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]")
        .start();
    let key = gateway.account("inside", &["reader"]);
    gateway.json(&[
        "accounts",
        "update",
        "inside",
        "--allow-from",
        "192.0.2.0/24",
    ]);
    let send = |listener: &str, chain: &[&str], line: &str, credential: &str, body: &[u8]| {
        let mut headers = vec![
            ("Authorization", credential),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(chain.iter().map(|hop| ("X-Forwarded-For", *hop)));
        let bytes = request(line, &headers, body);
        Client::connect(gateway.address_of(listener))
            .send(bytes)
            .response()
    };
    let form = b"grant_type=client_credentials";
    let inside = ["192.0.2.7"];
    let answer = send("1", &inside, "POST /oauth/token", &key.basic(), form);
    let token = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    let ask = |listener, chain: &[&str]| send(listener, chain, "GET /v1/items/7", &token, b"");

    // An untrusted peer says what it likes, twice: the second call meets a cached token.
    for _ in 0..2 {
        assert_eq!(ask("0", &inside).reason(), "address_not_allowed");
    }
    for (chain, forwarded) in TRUE_CHAINS {
        upstream.forget();
        let answer = ask("1", chain);
        assert_eq!(answer.status(), 200, "{chain:?}: {answer:?}");
        let seen = upstream.wait_for(1).remove(0);
        assert_eq!(seen.all("x-forwarded-for"), [*forwarded], "{chain:?}");
    }
    for chain in FALSE_CHAINS {
        assert_eq!(ask("1", chain).reason(), "address_not_allowed", "{chain:?}");
    }
}

/// What a trusted peer sends for a call from inside, and what the upstream is told.
const TRUE_CHAINS: &[(&[&str], &str)] = &[
    (&["192.0.2.7"], "192.0.2.7, 127.0.0.1"),
    (&["192.0.2.7, 10.0.0.1"], "192.0.2.7, 10.0.0.1, 127.0.0.1"),
    (&["192.0.2.7", "10.0.0.1"], "192.0.2.7, 10.0.0.1, 127.0.0.1"),
    // What stands left of the first address nobody vouches for is the client's word.
    (&["8.8.8.8, 192.0.2.7"], "192.0.2.7, 127.0.0.1"),
    (&["192.0.2.7:4711"], "192.0.2.7:4711, 127.0.0.1"),
    (&["unknown, 192.0.2.7"], "192.0.2.7, 127.0.0.1"),
];

/// What a trusted peer sends for a call from outside, whatever the client said to it.
const FALSE_CHAINS: &[&[&str]] = &[
    &[],
    &["192.0.2.7, 8.8.8.8"],
    &["192.0.2.7, garbage"],
    &["192.0.2.7, 10.0.0.1, unknown"],
    &["10.0.0.1"],
];

/// Where the boundary goes to the upstream, grants stay apart.
#[test]
fn a_forwarded_boundary_has_one_entry_a_grant() {
    let upstream = Upstream::start();
    let policy = r"
upstream: items
dimensions: { tenant: Whose it is, site: Where it stands }
permissions: { items:read: See items, items:write: Make items }
roles:
  reader: { description: Sees items, permissions: [items:read] }
  writer: { description: Makes items, permissions: [items:write] }
routes:
  GET /v1/items: { needs: items:read, within: forwarded }
  GET /v1/any: any_account
accounts:
  narrow:
    description: Three narrow grants
    grants:
      - { role: reader, within: { tenant: [acme, 'a b|c'] } }
      - { role: reader, within: { tenant: [globex], site: [north] } }
      - { role: writer, within: { tenant: [umbrella] } }
  wide:
    description: One narrow grant and a wide one
    grants:
      - { role: reader, within: { tenant: [acme] } }
      - { role: reader }
";
    let gateway = Fixture::new(&upstream).policy("items.yaml", policy).start();
    let token = |account| format!("Bearer {}", gateway.token(&gateway.key(account)));
    let seen_by = |line: &str, token: &str| {
        upstream.forget();
        let headers = [("Authorization", token), ("X-Portcullis-Boundary", "*")];
        let answer = gateway.send(&request(line, &headers, b""));
        assert_eq!(answer.status(), 200, "{answer:?}");
        upstream.wait_for(1).remove(0)
    };
    let narrow = token("narrow");
    let seen = seen_by("GET /v1/items", &narrow);
    assert_eq!(
        seen.all("x-portcullis-boundary"),
        ["tenant=a%20b%7Cc|acme, site=north;tenant=globex"]
    );
    let seen = seen_by("GET /v1/items", &token("wide"));
    assert_eq!(seen.all("x-portcullis-boundary"), ["*"]);
    // A route that needs an account and no permission says who, and nothing more.
    let seen = seen_by("GET /v1/any", &narrow);
    assert_eq!(seen.all("x-portcullis-account"), ["narrow"]);
    assert_eq!(seen.header("x-portcullis-permissions"), None);
    assert_eq!(seen.header("x-portcullis-boundary"), None);
}
