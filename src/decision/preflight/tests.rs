//! Which OPTIONS requests are preflights, and what becomes of them.

use super::super::tests::world::{Call, World};
use super::*;

const POLICY: &str = r"
permissions: { a:view: A }
roles: { viewer: { description: Sees, permissions: [a:view] } }
upstream: plain
routes:
  GET /page: { needs: a:view, cors: { origins: ['https://p.example'], credentials: true } }
  GET /any: { needs: a:view, cors: answer }
  GET /through:
    { needs: a:view, cors: pass, pass_authorization: foreign, upgrade: [websocket], trailers: [x-sum] }
  GET /silent: a:view
  GET /own: { needs: a:view, cors: pass }
  OPTIONS /own: { needs: public, cors: pass }
  GET /differ: { needs: a:view, cors: pass }
  OPTIONS /differ: a:view
  GET /raw/{x}: { needs: a:view, cors: pass }
  GET /raw/{x}/ok: { needs: a:view, cors: pass, unsafe_allow: [semicolon] }
";

const ASKS: [(&str, &str); 2] = [
    ("origin", "https://p.example"),
    ("access-control-request-method", "GET"),
];

/// `none`, `pass`, or the origin that the answer names.
fn told(target: &str, headers: &[(&'static str, &str)]) -> String {
    let call = Call {
        account: "-",
        method: Method::Options,
        target,
        headers,
    };
    World::new(POLICY).ask(&call, |question, _| match preflight(question, None) {
        None => "none".to_owned(),
        Some(Preflight::Pass(_)) => "pass".to_owned(),
        Some(Preflight::Answer(answer)) => {
            let origin = answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            origin
                .map_or("nobody", |origin| origin.to_str().unwrap())
                .to_owned()
        }
    })
}

#[test]
fn a_preflight_is_told_what_its_route_says() {
    for (target, expected) in [
        ("/page", "https://p.example"),
        ("/any", "*"),
        ("/through", "pass"),
        ("/own", "pass"),
        ("/silent", "none"),
        ("/differ", "none"),
        ("/nowhere", "none"),
        ("/raw/a;b", "none"),
        ("/raw/a;b/ok", "pass"),
    ] {
        assert_eq!(told(target, &ASKS), expected, "{target}");
    }
}

#[test]
fn what_is_no_real_preflight_is_not_told_anything() {
    let [origin, method] = ASKS;
    for headers in [
        &[origin][..],
        &[method],
        &[origin, origin, method],
        &[origin, method, method],
        &[origin, ("access-control-request-method", "FETCH")],
        &[origin, ("access-control-request-method", "PUT")],
        &[origin, method, ("content-length", "1")],
        &[
            origin,
            method,
            ("content-length", "0"),
            ("content-length", "5"),
        ],
        &[origin, method, ("transfer-encoding", "chunked")],
        &[("origin", "https://other.example"), method],
    ] {
        assert_eq!(told("/page", headers), "none", "{headers:?}");
    }
    let empty = [origin, method, ("content-length", "0")];
    assert_eq!(told("/page", &empty), "https://p.example");
}

#[test]
fn an_answer_names_method_headers_age_and_who_varies() {
    let call = Call {
        account: "-",
        method: Method::Options,
        target: "/page",
        headers: &ASKS,
    };
    World::new(POLICY).ask(&call, |question, _| {
        let Some(Preflight::Answer(answer)) = preflight(question, None) else {
            panic!("not answered");
        };
        assert_eq!(answer.route.name, "GET /page");
        for (name, value) in [
            ("access-control-allow-methods", "GET"),
            (
                "access-control-allow-headers",
                "authorization, content-type",
            ),
            ("access-control-max-age", "600"),
            ("access-control-allow-credentials", "true"),
            ("vary", "origin"),
        ] {
            assert_eq!(answer.headers.get(name).unwrap(), value, "{name}");
        }
    });
}

/// It brings no body, no credential and no trailers, whatever its route lets pass.
#[test]
fn a_preflight_that_passes_brings_nothing() {
    let call = Call {
        account: "-",
        method: Method::Options,
        target: "/through",
        headers: &ASKS,
    };
    World::new(POLICY).ask(&call, |question, _| {
        let Some(Preflight::Pass(permit)) = preflight(question, None) else {
            panic!("not passed");
        };
        assert!(permit.is_preflight() && permit.identity().is_none());
        assert!(!permit.passes_authorization() && !permit.upgrades());
        assert_eq!(permit.body_bytes(), Some(0));
        assert!(permit.trailers().is_empty());
    });
}

#[test]
fn an_answer_of_the_upstream_is_shared_unless_it_speaks_for_itself() {
    let world = World::new(POLICY);
    let route = |name: &str| {
        let mut routes = world.policy.routes.iter();
        let route = routes.find(|route| route.name == name).unwrap();
        Arc::clone(route.cors.as_ref().unwrap())
    };
    let shared = |cors: &Cors, origin: &str, says: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(says) = says {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(says));
        }
        share(cors, &origin.parse().unwrap(), &mut headers);
        let origin = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        origin.map(|origin| origin.to_str().unwrap().to_owned())
    };
    let page = route("GET /page");
    assert_eq!(
        shared(&page, "https://p.example", None).as_deref(),
        Some("https://p.example")
    );
    assert_eq!(
        shared(&page, "https://p.example", Some("null")).as_deref(),
        Some("null")
    );
    assert_eq!(shared(&page, "https://other.example", None), None);
    assert_eq!(
        shared(&route("GET /through"), "https://p.example", None),
        None
    );
}
