//! `accounts apply`: accounts, groups and roles from files, whole or not at all.

use serde_json::{Value, json};

use super::{READ, WRITE, ends, start, words};
use crate::harness::{Fixture, Gateway, Upstream};

const TEAM: &str = "
roles:
  maker: { description: Makes items, include: [reader], permissions: [items:write] }
groups:
  builders: { members: [ci], grants: [{ role: maker }] }
accounts:
  ci:
    description: Builds
    grants: [{ role: reader }]
    allow_from: [127.0.0.0/8]
  export: { description: Exports }
";

fn apply(gateway: &Gateway, text: &str, more: &str, code: i32) -> (String, String) {
    gateway.files().write("team.yaml", text);
    let path = gateway.files().path("team.yaml");
    let line = format!("accounts apply -f {} -o json {more}", path.display());
    ends(gateway, &line, code)
}

fn changes(printed: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(printed).unwrap();
    let steps = answer["changes"].as_array().unwrap().clone();
    let word = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
    let told = |step: &Value| {
        let (change, kind) = (word(step, "change"), word(step, "kind"));
        format!("{change} {kind} {}", word(step, "name"))
    };
    steps.iter().map(told).collect()
}

#[test]
fn files_are_applied_whole_once_and_again() {
    let (_upstream, gateway) = start();
    let made = [
        "create role maker",
        "create account ci",
        "create account export",
        "create group builders",
    ];
    assert_eq!(changes(&apply(&gateway, TEAM, "--dry-run", 1).0), made);
    assert_eq!(
        gateway.json(&words("accounts list")),
        json!([]),
        "a dry run makes nothing"
    );
    assert_eq!(changes(&apply(&gateway, TEAM, "", 0).0), made);
    assert_eq!(changes(&apply(&gateway, TEAM, "", 0).0), [""; 0]);
    assert_eq!(changes(&apply(&gateway, TEAM, "--dry-run", 0).0), [""; 0]);
    let token = gateway.token(&gateway.key("ci"));
    let may = |line: &str| gateway.ask(line, Some(&token)).status();
    assert_eq!([may(READ), may(WRITE)], [200, 200]);

    // What a command did in between is put right, but for what was done in an emergency.
    gateway.json(&words("accounts grant export --role owner"));
    gateway.json(&words("groups remove builders ci"));
    gateway.json(&words("accounts disable ci"));
    assert_eq!(
        changes(&apply(&gateway, TEAM, "", 0).0),
        ["ungrant account export", "add group builders"]
    );
    assert_eq!(may(READ), 401);
    gateway.json(&words("accounts enable ci"));
    assert_eq!([may(READ), may(WRITE)], [200, 200]);
    let less = TEAM.replace(", grants: [{ role: maker }]", "");
    assert_eq!(
        changes(&apply(&gateway, &less, "", 0).0),
        ["ungrant group builders"]
    );
    assert_eq!([may(READ), may(WRITE)], [200, 403]);
}

#[test]
fn a_fault_anywhere_changes_nothing_and_is_told_with_its_place() {
    let (_upstream, gateway) = start();
    let faulty = TEAM
        .replace("role: reader }", "role: raeder }")
        .replace("members: [ci]", "members: [ci, cy]")
        .replace("items:write", "items:wite");
    let (_, said) = apply(&gateway, &faulty, "", 1);
    for (place, what) in [
        ("team.yaml:3:3", "did you mean `items:write`"),
        ("team.yaml:9:14", "did you mean `reader`"),
        (
            "team.yaml:5:3",
            "there is no account `cy`, did you mean `ci`",
        ),
    ] {
        let line = said.lines().find(|line| line.contains(place));
        assert!(
            line.is_some_and(|line| line.contains(what)),
            "{place} {what}: {said}"
        );
    }
    assert_eq!(gateway.json(&words("accounts list")), json!([]));
    let (_, said) = apply(
        &gateway,
        "accounts:\n  ci: { grant: [] }\nroutes: {}\n",
        "",
        1,
    );
    assert!(
        said.contains("team.yaml:2:9") && said.contains("team.yaml:3:1"),
        "{said}"
    );
}

#[test]
fn only_what_was_applied_from_the_same_files_is_pruned() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create byhand --role reader"));
    apply(&gateway, "accounts: { other: {} }\n", "--set other", 0);
    apply(&gateway, TEAM, "", 0);
    let key = gateway.key("export");
    let token = gateway.token(&key);
    let less = "accounts: { ci: { grants: [{ role: reader }] } }\n";
    // Without `--prune` what is left out stays, and without `--yes` nobody is deleted.
    let kept = changes(&apply(&gateway, less, "--dry-run", 1).0);
    assert!(
        !kept.iter().any(|step| step.starts_with("delete")),
        "{kept:?}"
    );
    let (_, said) = apply(&gateway, less, "--prune", 2);
    assert!(said.contains("account `export`"), "{said}");
    let done = changes(&apply(&gateway, less, "--prune --yes", 0).0);
    for step in [
        "delete group builders",
        "delete account export",
        "delete role maker",
    ] {
        assert!(done.iter().any(|done| done == step), "{step}: {done:?}");
    }
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 401);
    let (names, _) = ends(&gateway, "accounts list -o name", 0);
    assert_eq!(names, "byhand\nci\nother\n");
    let (_, said) = apply(&gateway, "accounts: { other: {} }\n", "", 6);
    assert!(said.contains("belongs to the set `other`"), "{said}");
    // What was made by hand is taken over when files speak of it.
    let (printed, _) = apply(
        &gateway,
        "accounts: { byhand: { grants: [{ role: reader }] } }\n",
        "",
        0,
    );
    assert_eq!(changes(&printed), ["update account byhand"]);
    assert_eq!(
        gateway.json(&words("accounts show byhand"))["applied_as"],
        "default"
    );
}

const SHARED: &str = "
upstream: items
permissions: { items:read: Look at items }
dimensions: { tenant: Whose they are, site: Where they stand }
roles: { reader: { description: Reads, permissions: [items:read] } }
routes: { 'GET /v1/items/{id}': items:read }
";

const ACME: &str = "
roles: { looker: { include: [reader], owner: { tenant: [acme] } } }
groups: { crew: { members: [ci], owner: { tenant: [acme] } } }
accounts: { ci: { owner: { tenant: [acme, globex] } }, mine: {} }
";

#[test]
fn whose_something_is_is_said_once_when_it_is_made() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).policy("items.yaml", SHARED).start();
    let owner = |what: &str| gateway.json(&words(what))["owner"].clone();
    apply(&gateway, ACME, "", 0);
    assert_eq!(
        owner("accounts show ci"),
        json!({ "tenant": ["acme", "globex"] })
    );
    assert_eq!(owner("groups show crew"), json!({ "tenant": ["acme"] }));
    assert_eq!(owner("roles show looker"), json!({ "tenant": ["acme"] }));
    assert_eq!(owner("accounts show mine"), json!({}));
    assert_eq!(changes(&apply(&gateway, ACME, "", 0).0), [""; 0]);

    let moved = ACME.replace("[acme, globex]", "[acme]");
    let (_, said) = apply(&gateway, &moved, "", 6);
    assert!(
        said.contains("team.yaml:4:") && said.contains("`owner`"),
        "{said}"
    );
    let wrong = "accounts: { other: { owner: { tenent: [acme] } } }";
    let (_, said) = apply(&gateway, wrong, "", 5);
    assert!(said.contains("did you mean `tenant`"), "{said}");
    let empty = "accounts: { other: { owner: {} } }";
    let (_, said) = apply(&gateway, empty, "", 1);
    assert!(said.contains("`owner` limits nothing"), "{said}");

    for kind in ["accounts", "groups", "roles"] {
        let line = format!("{kind} create there --owner tenant=acme --owner site=7,8");
        let made = gateway.json(&words(&line));
        assert_eq!(
            made["owner"],
            json!({ "tenant": ["acme"], "site": ["7", "8"] }),
            "{kind}"
        );
    }
    // What stands in policy files is its writer's.
    let file = format!("{SHARED}accounts: {{ fixed: {{ owner: {{ tenant: [acme] }} }} }}\n");
    gateway.files().write("policies/items.yaml", &file);
    let (_, said) = ends(&gateway, "reload", 1);
    assert!(said.contains("accounts apply"), "{said}");
}
