//! SARIF, held against what the standard asks of a log.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Folder, POLICY};
use crate::harness::tool;

/// The standard's own schema, as Microsoft's matchers for SARIF carry it.
const SCHEMA: &str = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json";

const VALIDATE: &str = "import json, sys, jsonschema
schema, log = (json.load(open(path)) for path in sys.argv[1:3])
jsonschema.Draft7Validator(schema).validate(log)
";

fn log(folder: &Folder, code: i32) -> Value {
    let (printed, _) = folder.ends("check policies -o sarif", code);
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn findings_are_results_whose_rules_are_described() {
    let log = log(&Folder::with(POLICY), 0);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<_> = rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 3);
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(result["ruleId"], ids[index]);
        assert!(["note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "policies/p.yaml");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
}

#[test]
fn faults_are_results_too() {
    let log = log(&Folder::with("routs: {}\n"), 1);
    let result = &log["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["level"]),
        (&"invalid".into(), &"error".into())
    );
}

#[test]
fn a_log_is_valid_by_the_schema_of_the_standard() {
    let faulty = "routs: {}\nupstream: items\nroutes: { GET /a: d:view }\n";
    for (text, code) in [(POLICY, 0), (faulty, 1)] {
        let folder = Folder::with(text);
        let (printed, _) = folder.ends("check policies -o sarif", code);
        let file = folder.path().join("log.sarif");
        std::fs::write(&file, printed).unwrap();
        let validated = std::process::Command::new(tool("venv/bin/python"))
            .args(["-c", VALIDATE])
            .args([tool(SCHEMA), file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&validated.stderr);
        assert!(validated.status.success(), "{said}");
    }
}
