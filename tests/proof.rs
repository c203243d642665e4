//! What is proven of a policy before anybody calls, as the command line tells it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Fixture, Upstream};

mod against;
mod corpora;
mod files;
mod sarif;

const POLICY: &str = "upstream: items
permissions: { d:view: See, d:edit: Change, d:spare: Nothing }
roles: { viewer: { permissions: [d:view] }, editor: { permissions: [d:edit] } }
routes:
  GET /a/{x}: d:view
  GET /{x}/b: d:edit
  GET /{rest...}: any_account
";

/// A folder of policies, and commands run in it.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with a policy file.
    pub(crate) fn with(text: &str) -> Self {
        Self::new().file("policies/p.yaml", text)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("PORTCULLIS_CONFIG")
            .output()
            .unwrap()
    }

    /// Runs `line`, which must end with `code`: what it printed, and what it said.
    #[track_caller]
    pub(crate) fn ends(&self, line: &str, code: i32) -> (String, String) {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    }

    #[track_caller]
    pub(crate) fn json(&self, line: &str, code: i32) -> Value {
        let (printed, said) = self.ends(&format!("{line} -o json"), code);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{said}"))
    }
}

#[test]
fn findings_are_told_with_place_level_and_rule() {
    let folder = Folder::with(POLICY);
    let (printed, said) = folder.ends("check policies", 0);
    for told in [
        "policies/p.yaml:2:45: note: no route needs `d:spare`: remove it, or say where it is needed [permission_unneeded]",
        "policies/p.yaml:6:3: warning: a request that matches both `GET /{x}/b` (`d:edit`) and `GET /a/{x}` (`d:view`) must satisfy both [overlap_asks_both]",
        "  policies/p.yaml:5:3: `GET /a/{x}` asks for `d:view`",
        "policies/p.yaml:7:3: warning: `GET /{rest...}` is `any_account` and stands behind 2 routes that need more",
    ] {
        assert!(said.contains(told), "{told}\n{said}");
    }
    assert!(
        printed.starts_with("ok: ")
            && printed.contains("3 routes")
            && printed.contains("2 warnings"),
        "{printed}"
    );
    assert!(!said.contains('\u{1b}'), "colour in a pipe");
}

#[test]
fn what_fails_the_check_is_said_by_an_option() {
    let noted = "upstream: items\npermissions: { d:view: V, d:spare: S }\nroles: { viewer: { permissions: [d:view] } }\nroutes: { GET /a: d:view }\n";
    let noted = Folder::with(noted);
    let warned = Folder::with(POLICY);
    for (folder, option, code) in [
        (&noted, "", 0),
        (&noted, "--fail-on error", 0),
        (&noted, "--fail-on warning", 0),
        (&noted, "--fail-on note", 1),
        (&warned, "", 0),
        (&warned, "--fail-on warning", 1),
        (&warned, "--fail-on note", 1),
        (&warned, "--fail-on nothing", 2),
        (&Folder::with("routs: {}\n"), "", 1),
    ] {
        folder.ends(&format!("check policies {option}"), code);
    }
    let (_, said) = warned.ends("routes list -o sarif", 2);
    assert!(
        said.contains("`-o sarif` is for `portcullis check` alone"),
        "{said}"
    );
}

#[test]
fn the_report_for_programs_has_the_shape_that_is_promised() {
    let report = Folder::with(POLICY).json("check policies", 0);
    assert_eq!(report["valid"], true);
    assert_eq!(report["counts"]["routes"], 3);
    let warning = &report["warnings"][0];
    assert_eq!(warning["rule"], "overlap_asks_both");
    assert_eq!(warning["level"], "warning");
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&6.into(), &3.into())
    );
    assert_eq!(warning["file"], "policies/p.yaml");
    assert_eq!(warning["related"][0]["line"], 5);
    for list in ["faults", "warnings", "notes", "failed_tests"] {
        assert!(report[list].is_array(), "{list}");
    }
    let report = Folder::with("routes: { GET /a: d:view }\n").json("check policies", 1);
    assert_eq!(report["valid"], false);
    assert!(report.get("counts").is_none());
    assert_eq!(report["faults"][0]["rule"], "invalid");
    let unbound = "upstream: items\nwithin: { tenant: path.tenant }\ndimensions: { tenant: T }\npermissions: { d:view: V }\nroutes: { GET /a: d:view }\n";
    let report = Folder::with(unbound).json("check policies", 1);
    assert_eq!(report["faults"][0]["rule"], "boundary_parameter_missing");
}

#[test]
fn overlaps_are_listed_with_a_path_that_shows_them() {
    let folder = Folder::with(POLICY);
    let pairs = folder.json("routes overlaps --policies policies", 0);
    let told = |pair: &Value| {
        let name = |number: usize| pair["routes"][number]["name"].as_str().unwrap().to_owned();
        (
            pair["relation"].as_str().unwrap().to_owned(),
            name(0),
            name(1),
            pair["example"].as_str().unwrap().to_owned(),
        )
    };
    let pairs: Vec<_> = pairs.as_array().unwrap().iter().map(told).collect();
    let row = |relation: &str, first: &str, second: &str, path: &str| {
        (
            relation.to_owned(),
            first.to_owned(),
            second.to_owned(),
            path.to_owned(),
        )
    };
    assert_eq!(
        pairs,
        [
            row("crossing", "GET /a/{x}", "GET /{x}/b", "/a/b"),
            row("inside", "GET /a/{x}", "GET /{rest...}", "/a/x"),
            row("inside", "GET /{x}/b", "GET /{rest...}", "/x/b"),
        ]
    );
    let crossing = folder.json("routes overlaps --policies policies --incomparable", 0);
    assert_eq!(crossing.as_array().unwrap().len(), 1);
    let (table, _) = folder.ends("routes overlaps --policies policies --incomparable", 0);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[1],
        [
            "crossing",
            "GET,",
            "HEAD",
            "GET",
            "/a/{x}",
            "d:view",
            "GET",
            "/{x}/b",
            "d:edit",
            "/a/b",
            "policies/p.yaml:6:3"
        ]
    );
    folder.ends("routes overlaps --policies nowhere", 1);
}

const TESTED: &str = "upstream: items
dimensions: { tenant: T }
permissions: { d:view: See, d:edit: Change }
roles: { viewer: { permissions: [d:view] } }
accounts:
  ci: { grants: [{ role: viewer, within: { tenant: [acme] } }] }
routes:
  GET /t/{tenant}: { needs: d:view, within: { tenant: path.tenant } }
  PUT /t/{tenant}: { needs: { all: [d:view, d:edit] }, within: { tenant: path.tenant } }
  DELETE /t/{tenant}: { needs: { any: [d:edit] }, within: { tenant: path.tenant } }
  GET /about: public
";

#[test]
fn a_test_says_what_exactly_is_missing() {
    let tests = |missing: &str, request: &str| {
        format!(
            "{TESTED}tests: [{{ as: ci, request: {request}, expect: permission_missing, missing: [{missing}] }}]\n"
        )
    };
    for (request, missing, code) in [
        ("PUT /t/acme", "d:edit", 0),
        ("DELETE /t/acme", "d:edit", 0),
        ("PUT /t/acme", "d:view", 1),
        ("PUT /t/acme", "d:view, d:edit", 1),
    ] {
        let folder = Folder::with(&tests(missing, request));
        let (_, said) = folder.ends("check policies", code);
        let told = format!("expected to miss {missing}, missing is d:edit");
        assert_eq!(said.contains(&told), code == 1, "{said}");
    }
    let (_, said) = Folder::with(&tests("d:edlt", "PUT /t/acme")).ends("check policies", 1);
    assert!(said.contains("did you mean `d:edit`?"), "{said}");
    let allowed =
        format!("{TESTED}tests: [{{ request: GET /about, expect: allow, missing: [d:edit] }}]\n");
    let (_, said) = Folder::with(&allowed).ends("check policies", 1);
    assert!(
        said.contains("`missing` goes with `expect: permission_missing`"),
        "{said}"
    );
}

#[test]
fn coverage_says_which_routes_no_test_exercises() {
    let tests = "tests:
  - { as: ci, request: GET /t/acme, expect: allow }
  - { as: ci, request: GET /t/other, expect: outside_boundary }
  - { as: ci, request: PUT /t/acme, expect: permission_missing }
  - { request: DELETE /t/acme, expect: credential_missing }
";
    let folder = Folder::with(&format!("{TESTED}{tests}"));
    let (printed, _) = folder.ends("check policies --coverage", 0);
    for told in [
        "no test: policies/p.yaml:10:3: DELETE /t/{tenant}",
        "no test: policies/p.yaml:11:3: GET /about",
        "tests exercise 2 of 4 routes (50 %); 1 let some test through, 2 refuse some test",
    ] {
        assert!(printed.contains(told), "{told}\n{printed}");
    }
    let report = folder.json("check policies --coverage", 0);
    assert_eq!(report["coverage"]["percent"], 50.0);
    assert_eq!(report["coverage"]["missed"][0]["line"], 10);
    assert!(folder.json("check policies", 0).get("coverage").is_none());
    folder.ends("check policies --fail-under 50", 0);
    let (_, said) = folder.ends("check policies --fail-under 50.1%", 1);
    assert!(
        said.contains("tests exercise 2 of 4 routes (50 %), and at least 50.1 % is asked for"),
        "{said}"
    );
    folder.ends("check policies --fail-under 101", 2);
}

/// Editors and pipelines read one form, whatever it is that does not hold.
#[test]
fn a_test_that_fails_is_an_error_with_its_place_like_any_other() {
    let test = "tests:\n  - { as: ci, request: GET /t/other, expect: allow }\n";
    let folder = Folder::with(&format!("{TESTED}{test}"));
    let (_, said) = folder.ends("check policies", 1);
    let start = "policies/p.yaml:13:5: error: the test GET /t/other as `ci` fails: expected allow, got outside_boundary: ";
    let line = said.lines().find(|line| line.starts_with(start));
    assert!(
        line.is_some_and(|line| line.ends_with("[test_failed]")),
        "{said}"
    );
    let report = folder.json("check policies", 1);
    let failed = &report["failed_tests"][0];
    assert_eq!(failed["level"], "error");
    assert_eq!(
        (&failed["line"], &failed["column"]),
        (&13.into(), &5.into())
    );
    let (log, _) = folder.ends("check policies -o sarif", 1);
    let log: Value = serde_json::from_str(&log).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let result = results
        .iter()
        .find(|it| it["ruleId"] == "test_failed")
        .unwrap();
    assert_eq!(result["level"], "error");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], 13);
}

#[test]
fn what_is_not_shown_at_once_is_shown_by_an_option_that_is_named() {
    let spare: String = (0..30)
        .map(|number| format!("  spare:n{number}: S\n"))
        .collect();
    let folder = Folder::with(&format!("permissions:\n{spare}routes: {{}}\n"));
    let shown = |said: &str| said.matches("[permission_unneeded]").count();
    let (_, said) = folder.ends("check policies", 0);
    assert_eq!(shown(&said), 20, "{said}");
    assert!(
        said.contains("and 10 more of `permission_unneeded`: `check --all` shows them"),
        "{said}"
    );
    let (_, said) = folder.ends("check policies --all", 0);
    assert_eq!(shown(&said), 30, "{said}");
    assert!(!said.contains("more of"), "{said}");
}

/// One table, asked through the server that has it in force and on the files it came from.
#[test]
fn a_server_and_the_files_say_the_same_of_overlaps_and_of_who_may_do_what() {
    let upstream = Upstream::start();
    let policy = POLICY.replace("items:edit", "d:edit")
        + "accounts: { ci: { grants: [{ role: viewer }] }, idle: {} }\n";
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &policy)
        .start();
    let files = gateway.files();
    let folder = files.path("policies").display().to_string();
    let json = |line: &str| -> Value {
        let words: Vec<_> = line.split_whitespace().chain(["-o", "json"]).collect();
        let output = files.cli(&words);
        assert!(output.status.success(), "{line}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for line in [
        "routes overlaps",
        "routes overlaps --incomparable",
        "routes list",
        "routes match GET /a/b",
        "routes matrix",
        "routes matrix --by route",
        "routes matrix --account ci",
    ] {
        let served = json(line);
        assert_eq!(
            served,
            json(&format!("{line} --policies {folder}")),
            "{line}"
        );
        let text = served.to_string();
        assert!(
            text.contains("GET /a/{x}") || text.contains("d:view"),
            "{text}"
        );
    }
}

#[test]
fn a_matrix_without_accounts_is_a_sentence() {
    let folder = Folder::with(POLICY);
    let (printed, said) = folder.ends("routes matrix --policies policies", 0);
    assert_eq!(printed, "");
    assert!(said.starts_with("there are no accounts: "), "{said}");
    let (csv, _) = folder.ends("routes matrix --policies policies --csv", 0);
    assert_eq!(csv, "account,d:edit,d:spare,d:view\r\n");
}

#[test]
fn a_path_that_nearly_is_a_route_is_told_which_one() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy(
            "items.yaml",
            "upstream: items\nroutes:\n  GET /v1/things: public\n",
        )
        .start();
    for (path, expected) in [
        (
            "/V1/things",
            "no route matches `/V1/things`; but for upper and lower case, `GET /v1/things` would",
        ),
        (
            "/v1/things/",
            "no route matches `/v1/things/`; but for the slash at the end, `GET /v1/things` would",
        ),
        ("/v1/thing", "no route matches `/v1/thing`\n"),
    ] {
        let output = gateway.files().cli(&["routes", "match", "GET", path]);
        assert_eq!(output.status.code(), Some(5));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}
