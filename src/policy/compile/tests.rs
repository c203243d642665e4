//! What compiles means what it says; what does not says where, what, and what to do.

use super::*;
use crate::policy::{Found, Lookup, RouteBoundary, Source};
use crate::words::DimensionId;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        path: Arc::from(Path::new(name)),
        text: text.to_owned(),
    }
}

fn context(names: &[&str]) -> Context {
    let rules = names
        .iter()
        .map(|name| (name.parse().unwrap(), UpstreamRules::default()));
    Context {
        upstreams: Some(rules.collect()),
        own_endpoints: vec![(Method::Post, "/oauth/token".to_owned())],
        files_only: false,
    }
}

fn example() -> Policy {
    let text = include_str!("../../../tests/data/example/policies/inventory.yaml");
    compile(
        &[file("policies/inventory.yaml", text)],
        &context(&["inventory"]),
    )
    .unwrap()
}

#[test]
fn the_example_compiles_and_answers() {
    let policy = example();
    assert_eq!(policy.routes.len(), 7);
    assert_eq!(policy.tests.len(), 3);
    assert_eq!(policy.findings.count(crate::words::Level::Warning), 0);
    let name = |method, path| match policy.find(None, method, path).unwrap() {
        Lookup::Found(Found { primary, also }) => {
            assert!(also.is_empty());
            policy.route(primary).name.clone()
        }
        other @ (Lookup::OtherMethods(_) | Lookup::Nothing) => format!("{other:?}"),
    };
    for (method, path, expected) in [
        (Method::Get, "/api/about", "GET /api/about"),
        (Method::Head, "/api/about", "GET /api/about"),
        (
            Method::Get,
            "/v1/tenants/acme/devices/7",
            "GET /v1/tenants/{tenant}/devices/{device}",
        ),
        (
            Method::Delete,
            "/v1/tenants/acme/devices/7",
            "PUT,DELETE /v1/tenants/{tenant}/devices/{device}",
        ),
        (
            Method::Get,
            "/v1/reports/2026/q1",
            "GET /v1/reports/{path...}",
        ),
        (Method::Get, "/v1/nothing", "Nothing"),
    ] {
        assert_eq!(name(method, path), expected);
    }
    let operator = &policy.roles["operator"];
    let gives: Vec<_> = operator
        .gives
        .iter()
        .map(|id| policy.permission(id).as_str())
        .collect();
    assert_eq!(gives, ["devices:edit", "devices:view", "tenants:view"]);
    let search = policy
        .routes
        .iter()
        .find(|route| route.name == "GET /v1/search")
        .unwrap();
    let tenants = Source::Query {
        name: "tenants".to_owned(),
        separator: Some(','),
    };
    assert_eq!(
        search.boundary,
        RouteBoundary::Bound(vec![(DimensionId(0), tenants)])
    );
    assert!(search.shadow);
    let export = &policy.accounts["nightly-export"];
    assert_eq!(export.grants[0].within.to_string(), "tenant acme, globex");
    assert_eq!(export.allow_from.len(), 1);
}

mod faults;
mod mangled;
mod tables;
