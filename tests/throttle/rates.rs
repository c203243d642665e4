//! How often a route may be called, and an account may call.

use super::{from, said, token, wait};
use crate::harness::{Fixture, Gateway, Upstream, http2, load};

const POLICY: &str = r"
upstream: items
permissions: { items:read: See items }
roles: { reader: { description: Sees, permissions: [items:read] } }
routes:
  GET /each/{id}: { needs: items:read, rate_per_account: 2/h }
  GET /all/{id}: { needs: items:read, rate: { limit: 1/h, burst: 3 } }
  GET /both/{id}: { needs: items:read, rate: 2/h, rate_per_account: 1/h }
  GET /open/{id}: { needs: public, rate: 1/h }
  GET /shadow/{id}: { needs: items:read, rate: 1/h, shadow: true }
  GET /free/{id}: items:read
";

fn fixture(upstream: &Upstream) -> Fixture {
    Fixture::new(upstream)
        .policy("items.yaml", POLICY)
        .listener("trusted_proxies: [127.0.0.1]")
}

fn statuses(gateway: &Gateway, line: &str, token: &str, times: usize) -> Vec<u16> {
    let ask = |_| gateway.ask(line, Some(token)).status();
    (0..times).map(ask).collect()
}

#[test]
fn a_route_is_called_as_often_as_it_may_be_and_by_each_as_often_as_each_may() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let [one, two] = ["one", "two"].map(|name| gateway.token(&gateway.account(name, &["reader"])));
    assert_eq!(statuses(&gateway, "GET /each/1", &one, 3), [200, 200, 429]);
    assert_eq!(statuses(&gateway, "GET /each/2", &two, 3), [200, 200, 429]);
    assert_eq!(statuses(&gateway, "GET /all/1", &one, 2), [200, 200]);
    assert_eq!(statuses(&gateway, "GET /all/2", &two, 2), [200, 429]);
    // Who may not call it takes no place of those who may.
    assert_eq!(
        statuses(&gateway, "GET /both/1", "junk", 3),
        [401, 401, 401]
    );
    assert_eq!(statuses(&gateway, "GET /both/1", &one, 3), [200, 429, 429]);
    assert_eq!(statuses(&gateway, "GET /both/1", &two, 2), [200, 429]);
    assert_eq!(statuses(&gateway, "GET /open/1", &one, 2), [200, 429]);
    assert_eq!(statuses(&gateway, "GET /free/1", &one, 5), [200; 5]);

    let answer = gateway.ask("GET /all/1", Some(&one));
    assert_eq!(said(&answer), (429, "rate_limited".to_owned()));
    assert!((1..=3600).contains(&wait(&answer)));
    assert!(
        answer.header("ratelimit").is_none(),
        "a draft, and nobody asked for it"
    );
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.ends_with("this route is called as often as it may be"),
        "{detail}"
    );
    let entry = gateway.decision_of(&answer);
    assert_eq!(entry["portcullis.account.name"], "one", "{entry}");
    assert_eq!(entry["portcullis.reason"], "rate_limited", "{entry}");
}

/// The same buckets, whatever a request comes by.
#[test]
fn a_rate_holds_over_http2_too_and_streams_of_one_connection_share_it() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream)
        .listener("http2: true")
        .settings("rates: { headers: true }")
        .start();
    let token = gateway.token(&gateway.account("one", &["reader"]));
    assert_eq!(statuses(&gateway, "GET /all/1", &token, 1), [200]);
    let answers = load::run(async {
        let connection = http2::Http2::connect(gateway.address()).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let mut message = http2::message("GET /all/2");
            let bearer = format!("Bearer {token}").parse().unwrap();
            message.headers_mut().insert("authorization", bearer);
            answers.push(connection.requests().ask(message).await.unwrap());
        }
        answers
    });
    let said: Vec<_> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(said, [200, 200, 429]);
    let refused = &answers[2];
    let wait: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=3600).contains(&wait), "{refused:?}");
    assert_eq!(refused.headers["ratelimit-policy"], "\"route\";q=1;w=3600");
    assert!(
        refused
            .text()
            .contains("urn:portcullis:reason:rate_limited")
    );
    // And back.
    assert_eq!(statuses(&gateway, "GET /all/3", &token, 1), [429]);
}

#[test]
fn who_asks_why_is_told_how_often() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    gateway.account("one", &["reader"]);
    let rate = |line: [&str; 2]| {
        let told = gateway.json(&["explain", line[0], line[1], "--as", "one"]);
        let steps = told["steps"].as_array().unwrap().clone();
        let step = steps.into_iter().find(|step| step["step"] == "rate");
        step.map(|step| step["found"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        rate(["GET", "/both/1"]).as_deref(),
        Some("called at most 2/h by all together, 1/h by each account, and not counted here")
    );
    assert_eq!(rate(["GET", "/free/1"]), None);
}

#[test]
fn a_reload_empties_no_bucket() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = gateway.token(&gateway.account("one", &["reader"]));
    assert_eq!(
        statuses(&gateway, "GET /all/1", &token, 4),
        [200, 200, 200, 429]
    );
    let more = format!("{POLICY}  GET /more/{{id}}: items:read\n");
    gateway.files().write("policies/items.yaml", &more);
    gateway.json(&["reload"]);
    assert_eq!(statuses(&gateway, "GET /more/1", &token, 1), [200]);
    assert_eq!(statuses(&gateway, "GET /all/1", &token, 2), [429, 429]);
}

#[test]
fn what_exceeds_a_rate_in_shadow_is_noted_and_goes_on() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).start();
    let token = gateway.token(&gateway.account("one", &["reader"]));
    assert_eq!(statuses(&gateway, "GET /shadow/1", &token, 2), [200, 200]);
    let answer = gateway.ask("GET /shadow/1", Some(&token));
    let entry = gateway.decision_of(&answer);
    assert_eq!(entry["portcullis.reason"], "rate_limited", "{entry}");
    assert_eq!(entry["portcullis.decision"], "shadow_deny", "{entry}");
}

#[test]
fn an_account_has_a_rate_over_all_routes_and_at_the_token_endpoint() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream)
        .settings("rates: { account: 3/h, token_endpoint: 2/h, headers: true }")
        .start();
    let key = gateway.account("one", &["reader"]);
    let bearer = gateway.token(&key);
    assert_eq!(statuses(&gateway, "GET /free/1", &bearer, 2), [200, 200]);
    assert_eq!(statuses(&gateway, "GET /each/1", &bearer, 2), [200, 429]);
    let answer = gateway.ask("GET /free/1", Some(&bearer));
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"account\";q=3;w=3600")
    );
    let wait = wait(&answer);
    assert_eq!(
        answer.header("ratelimit"),
        Some(&*format!("\"account\";r=0;t={wait}"))
    );
    assert_eq!(token(&gateway, "192.0.2.1", &key.basic()).status(), 200);
    let answer = token(&gateway, "192.0.2.1", &key.basic());
    assert_eq!(
        (answer.status(), &answer.json()["error"]),
        (429, &"temporarily_unavailable".into())
    );
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"token-endpoint\";q=2;w=3600")
    );
    // Nobody else is concerned.
    let other = gateway.token(&gateway.account("two", &["reader"]));
    assert_eq!(statuses(&gateway, "GET /free/1", &other, 1), [200]);
    assert_eq!(
        from(&gateway, "192.0.2.1", "GET /free/1", &[]).status(),
        401
    );
}
