//! The table of endpoints, whole: each of them is asked by everybody, and described.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::endpoint::{Endpoint, Verb};
use super::super::read::Asked;
use super::super::{document, endpoints};
use super::Desk;
use crate::admin::{HOST_ONLY, Operation};
use crate::words::{KeyId, TokenId};

/// The names of things that are asked about.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) key: String,
    /// The id of a token.
    pub(super) token: String,
}

/// Things that are nobody's.
pub(super) fn nothing() -> Named {
    Named {
        name: "nobody".to_owned(),
        key: KeyId::random().to_string(),
        token: TokenId::random().to_string(),
    }
}

const REQUEST: &str = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70";

/// The parts of an endpoint's path that are values.
pub(super) fn values(endpoint: &Endpoint, of: &Named) -> BTreeMap<String, String> {
    let value = |name: &str| match name {
        "account" | "group" | "role" => of.name.as_str(),
        "key" => of.key.as_str(),
        "token" => of.token.as_str(),
        "permission" => "devices:view",
        "request" => REQUEST,
        other => panic!("say what stands for `{other}` in a path"),
    };
    let names = endpoint.parameters();
    names
        .map(|name| (name.to_owned(), value(name).to_owned()))
        .collect()
}

/// A body that an endpoint reads, about these things.
pub(super) fn body(endpoint: &Endpoint, of: &Named) -> Option<Value> {
    endpoint.body?;
    let name = &of.name;
    Some(match endpoint.id {
        "createAccount" | "createGroup" => json!({ "name": name }),
        "createRole" => json!({ "name": name, "permissions": ["devices:view"] }),
        "updateAccount" | "updateKey" | "updateRole" => json!({ "description": "Other" }),
        "createKey" | "expireKey" | "verifyAuditTrail" => json!({}),
        "importKeys" => json!({ "keys": [{ "digest": format!("sha256:{}", "ab".repeat(32)) }] }),
        "rotateKey" => json!({ "overlap_seconds": 60 }),
        "grantToAccount" | "ungrantFromAccount" | "grantToGroup" | "ungrantFromGroup" => {
            json!({ "role": "reader" })
        }
        "applyAccounts" => json!({ "set": "team", "manifest": {}, "dry_run": true }),
        "issueToken" | "listAllowed" => json!({ "account": name }),
        "inspectToken" => json!({ "token": "e30.e30.e30" }),
        "matchRoute" => json!({ "method": "GET", "target": "/v1/x" }),
        "explain" => json!({ "method": "GET", "target": "/v1/x", "account": name }),
        other => panic!("say what is asked at `{other}`"),
    })
}

/// A request to an endpoint about these things.
pub(super) fn line(endpoint: &Endpoint, of: &Named) -> String {
    let mut path = endpoint.path.to_owned();
    for (name, value) in values(endpoint, of) {
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    format!("{} {path}", endpoint.verb.http())
}

#[test]
fn every_operation_has_exactly_one_endpoint_or_says_why_it_has_none() {
    let mut endpoints_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for endpoint in endpoints::all() {
        let text = body(endpoint, &nothing()).map(|body| body.to_string().into());
        let values = values(endpoint, &nothing());
        let known = |name: &str| endpoint.knows(name);
        let asked = Asked::new(values, None, known, text.unwrap_or_default()).unwrap();
        let operation = (endpoint.reads)(&asked).unwrap_or_else(|problem| {
            panic!(
                "`{}` does not read what it asks for: {problem:?}",
                endpoint.id
            )
        });
        let known = endpoints_of.entry(operation.name()).or_default();
        known.push(endpoint.id);
    }
    for name in Operation::NAMES {
        let endpoints = endpoints_of.remove(name).unwrap_or_default();
        let reason = HOST_ONLY.iter().find(|(only, _)| only == name);
        assert_eq!(
            endpoints.len() + usize::from(reason.is_some()),
            1,
            "{name}: {endpoints:?}, {reason:?}"
        );
    }
    for (name, why) in HOST_ONLY {
        assert!(Operation::NAMES.contains(name) && why.len() > 20, "{name}");
    }
}

#[test]
fn every_endpoint_asks_every_caller_for_what_it_says_it_asks_for() {
    let desk = Desk::new();
    let viewer = desk.account("viewer", &json!([{ "role": "portcullis-viewer" }]));
    let reader = desk.account("reader", &json!([{ "role": "reader" }]));
    let root = desk.administrator();
    desk.account("off", &json!([{ "role": "portcullis-admin" }]));
    let off = desk.key_of("off");
    desk.world
        .done(json!({ "operation": "accounts_disable", "name": "off" }));
    let mut rows = 0;
    for endpoint in endpoints::all() {
        let everybody = endpoint.permission.is_none();
        let looks = endpoint
            .permission
            .is_none_or(|name| name.ends_with(":view"));
        for (who, key, expected) in [
            ("nobody", "", Some(401)),
            ("an unknown key", "pck_x.pcs_x", Some(401)),
            ("a disabled one", off.as_str(), Some(401)),
            (
                "one without a right",
                reader.as_str(),
                (!everybody).then_some(403),
            ),
            ("a viewer", viewer.as_str(), (!looks).then_some(403)),
            ("an administrator", root.as_str(), None),
        ] {
            // Here is no server that could do it.
            if expected.is_none() && endpoint.id == "reloadServer" {
                continue;
            }
            let of = nothing();
            let body = body(endpoint, &of);
            let (status, _, told) = desk.ask(&line(endpoint, &of), key, body.as_ref());
            let status = status.as_u16();
            match expected {
                Some(expected) => assert_eq!(status, expected, "{} as {who}: {told}", endpoint.id),
                None => assert!(
                    !matches!(status, 401 | 403 | 405 | 500..),
                    "{} as {who}: {status} {told}",
                    endpoint.id
                ),
            }
            rows += 1;
        }
    }
    assert!(rows >= endpoints::all().count() * 5);
}

#[test]
fn the_document_names_every_endpoint_once_and_its_permission_exists() {
    let mut seen = std::collections::BTreeSet::new();
    let document = document();
    for endpoint in endpoints::all() {
        assert!(seen.insert(endpoint.id), "{} stands twice", endpoint.id);
        let path = format!("/api/v1{}", endpoint.path);
        let verb = endpoint.verb.http().as_str().to_ascii_lowercase();
        let told = &document["paths"][&path][&verb];
        assert_eq!(told["operationId"], endpoint.id, "{path}");
        let own = crate::policy::own::permissions();
        assert!(
            endpoint
                .permission
                .is_none_or(|permission| own.iter().any(|(name, _)| name.as_str() == permission)),
            "{:?}",
            endpoint.permission
        );
        assert!(!(endpoint.verb == Verb::Get && endpoint.body.is_some()));
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for piece in text.split("#/components/schemas/").skip(1) {
        let name = piece.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "`{name}` is not described");
    }
}

#[test]
fn the_document_is_the_one_that_is_published() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/admin-api.json");
    let now = document::text();
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == now,
        "`{}` is old: run this test with `PORTCULLIS_UPDATE=1`",
        path.display()
    );
}
