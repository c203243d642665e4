//! Preflights on the wire: answered without the upstream, or let through without a credential; and
//! the answers that follow, which a page may read only where the rule admits it.

use super::{bearer, fixture};
use crate::harness::{Behaviour, Upstream, request};

const PAGES: &str = r#"
upstream: items
routes:
  GET /pages/{id}: { needs: items:read, cors: { origins: ["https://app.example"] } }
  GET /passed/{id}: { needs: items:read, cors: pass }
"#;

#[test]
fn a33_a_preflight_is_answered_without_the_upstream() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).policy("pages.yaml", PAGES).start();
    let asked = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "GET"),
    ];
    let answer = gateway.send(&request("OPTIONS /pages/7", &asked, b""));
    assert_eq!((answer.status(), answer.text()), (204, ""));
    let allowed = answer.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example"));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("content-length"), None);
    let stranger = [("Origin", "https://evil.example"), asked[1]];
    let answer = gateway.send(&request("OPTIONS /pages/7", &stranger, b""));
    assert_eq!(answer.status(), 401);
    let answer = gateway.send(&request("OPTIONS /passed/7", &asked[..1], b""));
    assert_eq!(answer.status(), 401);
    assert!(upstream.requests().is_empty());
    let with_token = [asked[0], asked[1], ("Authorization", "Bearer pcs_x")];
    let answer = gateway.send(&request("OPTIONS /passed/7", &with_token, b""));
    assert_eq!(answer.status(), 200);
    let seen = upstream.wait_for(1).remove(0);
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("origin"), Some("https://app.example"));
}

#[test]
fn a33_a_page_may_read_an_answer_where_the_rule_admits_it() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).policy("pages.yaml", PAGES).start();
    let token = bearer(&gateway, "page", &["reader"]);
    let shared = |path: &str, origin: &str| {
        let headers = [("Origin", origin), ("Authorization", token.as_str())];
        let answer = gateway.send(&request(&format!("GET {path}"), &headers, b""));
        assert_eq!(answer.status(), 200);
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let ours = Some("https://app.example".to_owned());
    assert_eq!(shared("/pages/7", "https://app.example"), ours);
    assert_eq!(shared("/pages/7", "https://evil.example"), None);
    assert_eq!(shared("/passed/7", "https://app.example"), None);
    upstream.behave(Behaviour::answer(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://own.example\r\nContent-Length: 0\r\n\r\n",
    ));
    let own = Some("https://own.example".to_owned());
    assert_eq!(shared("/pages/7", "https://app.example"), own);
}

/// What is refused, before or behind the decision, is told to the page as well; a page that no rule
/// admits is told nothing.
#[test]
fn a33_a_page_may_read_why_it_is_refused() {
    let upstream = Upstream::start();
    let gateway = fixture(&upstream).policy("pages.yaml", PAGES).start();
    let known = bearer(&gateway, "page", &["reader"]);
    let lacking = bearer(&gateway, "lacking", &[]);
    let asked = |origin: &str, token: Option<&str>| {
        let mut headers = vec![("Origin", origin)];
        headers.extend(token.map(|token| ("Authorization", token)));
        let answer = gateway.send(&request("GET /pages/7", &headers, b""));
        let shared = answer.header("access-control-allow-origin");
        assert_eq!(answer.header("vary").is_some(), shared.is_some());
        (answer.status(), shared.map(str::to_owned))
    };
    upstream.behave(Behaviour::Cut(Vec::new()));
    for (token, status) in [(None, 401), (Some(&*lacking), 403), (Some(&*known), 502)] {
        let ours = Some("https://app.example".to_owned());
        assert_eq!(asked("https://app.example", token), (status, ours));
        assert_eq!(asked("https://evil.example", token), (status, None));
    }
}
