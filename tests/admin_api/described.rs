//! What the admin API says of itself is held against what it does, by a program that others wrote:
//! `schemathesis` reads the document that is served, and asks whatever it allows and what it does not.

use std::process::Command;

use super::Admin;
use crate::harness::long::{sized, skipped, told};
use crate::harness::{tool, tools};

/// Promises that are looked at with every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,missing_required_header,ignored_auth";

/// Names of things that are there, so that not everything ends with a 404.
const NAMES: &str = r#"
[dictionaries.names]
values = ["ci", "night", "custom", "a", "b"]
[dictionaries.roles]
values = ["reader", "writer", "custom"]
[dictionaries.permissions]
values = ["items:read", "items:*", "portcullis.keys:view"]
[dictionaries.keys]
values = [KEYS]
[dictionaries.targets]
values = ["/v1/items/7", "/public/x", "/nothing"]
[parameters]
"path.account" = { dictionary = "names", probability = 0.7 }
"path.group" = { dictionary = "names", probability = 0.7 }
"path.role" = { dictionary = "names", probability = 0.7 }
"path.key" = { dictionary = "keys", probability = 0.7 }
"path.permission" = { dictionary = "permissions", probability = 0.7 }
"query.account" = { dictionary = "names", probability = 0.7 }
"body.name" = { dictionary = "names", probability = 0.7 }
"body.account" = { dictionary = "names", probability = 0.7 }
"body.role" = { dictionary = "roles", probability = 0.7 }
"body.target" = { dictionary = "targets", probability = 0.7 }
"#;

/// Whoever asks must not end himself: then everything would be a 401.
const HOOKS: &str = r#"
import os
import schemathesis

MINE = os.environ["PORTCULLIS_MINE"].split(",")

@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in list((case.path_parameters or {}).items()):
        if value in MINE:
            case.path_parameters[name] = "ci"
"#;

#[test]
fn every_answer_is_one_that_the_document_describes() {
    // Whoever has not run `tests/run` since it is asked for has none of it yet.
    let installed = std::fs::read_to_string(tools().join("installed")).unwrap_or_default();
    if !installed.contains("schemathesis") {
        skipped("schemathesis over the admin API (`tests/run` installs it)");
        return;
    }
    let admin = Admin::start();
    for line in [
        &["accounts", "create", "ci", "--role", "reader"][..],
        &["groups", "create", "night"],
        &["groups", "add", "night", "ci"],
        &["roles", "create", "custom", "--permission", "items:read"],
    ] {
        admin.gateway.json(line);
    }
    let keys: Vec<_> = (0..4)
        .map(|_| format!("\"{}\"", admin.gateway.key("ci").id))
        .collect();
    let files = admin.gateway.files();
    files.write(
        "schemathesis.toml",
        &NAMES.replace("KEYS", &keys.join(", ")),
    );
    files.write("hooks.py", HOOKS);
    let seconds = sized(60, 300).to_string();
    let address = admin.gateway.address_of("admin");
    let mut command = Command::new(tool("venv/bin/schemathesis"));
    command
        .arg("--config-file")
        .arg(files.path("schemathesis.toml"))
        .args(["run", &format!("http://{address}/api/v1/openapi.json")])
        .args([
            "--max-time",
            &seconds,
            "--checks",
            CHECKS,
            "--continue-on-failure",
            "--no-color",
        ])
        .args(["--header", &format!("X-Api-Key: {}", admin.root.api_key())])
        .args(["--generation-database", "none"])
        .current_dir(files.path("."))
        .env("SCHEMATHESIS_HOOKS", files.path("hooks.py"))
        .env("PORTCULLIS_MINE", format!("root,{}", admin.root.id));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let cases = said.lines().find(|line| line.contains(" generated,"));
    told(&format!(
        "schemathesis, {seconds} s: {}",
        cases.unwrap_or("no word of it").trim()
    ));
}
