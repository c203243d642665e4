//! The command line: what it prints, in which form, and how it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Files, Fixture, Upstream, request};

/// The policy of `portcullis demo`: devices of tenants.
const INVENTORY: &str = include_str!("../src/cli/demo/inventory.yaml");

fn inventory(upstream: &Upstream) -> Fixture {
    Fixture::new(upstream)
        .policy("items.yaml", "")
        .policy("inventory.yaml", INVENTORY)
        .another_upstream("inventory", upstream)
}

/// Files of a gateway that does not run.
fn offline() -> Files {
    inventory(&Upstream::start()).write()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Runs `line`, which must end with `code`; what it printed.
fn ends(files: &Files, line: &str, code: i32) -> String {
    let output = files.cli(&words(line));
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{line}: {told}");
    stdout(&output)
}

fn make_ci(files: &Files) -> String {
    ends(
        files,
        "accounts create ci --description Builds --role operator --within tenant=acme",
        0,
    );
    let key: Value = serde_json::from_str(&ends(files, "keys create ci -o json", 0)).unwrap();
    key["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_transcript_works_as_printed() {
    let files = offline();
    ends(
        &files,
        "accounts create ci --description Builds --role operator --within tenant=acme",
        0,
    );
    let printed = ends(&files, "keys create ci -o json", 0);
    let key: Value = serde_json::from_str(&printed).unwrap();
    let fields: Vec<&str> = key
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        fields,
        ["id", "secret", "account", "created_at", "expires_at"]
    );
    assert_eq!(printed.lines().count(), 1);
    assert_eq!(key["expires_at"], Value::Null);
    assert_eq!(
        ends(
            &files,
            "can-i DELETE /v1/tenants/umbrella/devices/7 --as ci",
            1
        ),
        "no: outside_boundary: `ci` holds devices:edit within tenant acme, not umbrella\n"
    );
    assert_eq!(
        ends(&files, "can-i DELETE /v1/tenants/acme/devices/7 --as ci", 0),
        "yes\n"
    );
    let id = key["id"].as_str().unwrap();
    ends(&files, &format!("keys expire {id}"), 0);
    let keys: Value = serde_json::from_str(&ends(&files, "keys list ci -o json", 0)).unwrap();
    assert_eq!(keys[0]["state"], "expired");
}

#[test]
fn the_same_commands_reach_a_running_server() {
    let upstream = Upstream::start();
    let gateway = inventory(&upstream).start();
    gateway.json(&words(
        "accounts create ci --description Builds --role operator --within tenant=acme",
    ));
    let key = gateway.key("ci");
    let token = gateway.token(&key);
    let devices = "GET /v1/tenants/acme/devices";
    assert_eq!(gateway.ask(devices, Some(&token)).status(), 200);
    let refused = gateway.ask("DELETE /v1/tenants/umbrella/devices/7", Some(&token));
    assert_eq!(
        (refused.status(), refused.reason().as_str()),
        (403, "outside_boundary")
    );
    assert_eq!(
        ends(
            gateway.files(),
            "can-i DELETE /v1/tenants/umbrella/devices/7 --as ci",
            1
        ),
        "no: outside_boundary: `ci` holds devices:edit within tenant acme, not umbrella\n"
    );
    ends(gateway.files(), &format!("keys expire {}", key.id), 0);
    assert_eq!(gateway.ask(devices, Some(&token)).status(), 401);
    let body = b"grant_type=client_credentials";
    let headers = [
        ("Authorization", key.basic()),
        (
            "Content-Type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = gateway.send(&request("POST /oauth/token", &headers, body));
    assert_eq!(answer.status(), 401);
    assert!(ends(gateway.files(), "status", 0).contains("policy"));
}

#[test]
fn every_list_parses_in_every_format() {
    let files = offline();
    make_ci(&files);
    ends(&files, "groups create g --role api-access-only", 0);
    ends(&files, "groups add g ci", 0);
    ends(&files, "roles create reader --permission devices:view", 0);
    for noun in [
        "accounts list",
        "keys list",
        "roles list",
        "groups list",
        "routes list",
        "permissions list",
        "audit list --event account",
        "contexts list",
        "tokens keys",
    ] {
        let list = |format: &str| ends(&files, &format!("{noun} -o {format}"), 0);
        let json = list("json");
        assert_eq!(json.lines().count(), 1, "{noun}");
        let json: Value = serde_json::from_str(&json).expect(noun);
        let items = json.as_array().expect(noun);
        assert!(!items.is_empty(), "{noun}");
        let yaml: Value = serde_saphyr::from_str(&list("yaml")).expect(noun);
        assert_eq!(yaml, json);
        let lines = list("jsonl");
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect(noun))
            .collect();
        assert_eq!(&lines, items);
        assert_eq!(list("name").lines().count(), items.len(), "{noun}");
        let table = list("table");
        assert_eq!(table.lines().count(), items.len() + 1, "{noun}: {table}");
        assert!(!table.contains('\u{1b}'), "{noun}: colour in a pipe");
        let bare = ends(&files, &format!("{noun} --no-headers"), 0);
        let (_, rows) = table.split_once('\n').unwrap();
        assert_eq!(bare.lines().count(), rows.lines().count(), "{noun}");
    }
}

#[test]
fn a_list_that_ends_at_its_limit_says_that_there_is_more() {
    let files = offline();
    make_ci(&files);
    ends(&files, "accounts create cd", 0);
    let said = |line: &str| {
        let output = files.cli(&words(line));
        assert_eq!(output.status.code(), Some(0), "{line}");
        (stdout(&output).lines().count(), stderr(&output))
    };
    assert_eq!(
        said("accounts list --limit 1"),
        (2, "there are more: add `--after cd`\n".to_owned())
    );
    assert_eq!(said("accounts list --limit 1 --after cd").0, 2);
    assert_eq!(said("accounts list --limit 9").1, "");
    assert_eq!(said("keys list --limit 1").1, "");
}

#[test]
fn a_role_can_be_emptied() {
    let files = offline();
    let line = "roles create r --permission devices:view --include api-access-only";
    ends(&files, line, 0);
    let updated = |line: &str| -> Value {
        let told = ends(&files, &format!("roles update r {line} -o json"), 0);
        serde_json::from_str(&told).unwrap()
    };
    assert_eq!(updated("--no-include")["include"], serde_json::json!([]));
    assert_eq!(
        updated("--no-permissions")["permissions"],
        serde_json::json!([])
    );
    ends(
        &files,
        "roles update r --no-include --include api-access-only",
        2,
    );
}

#[test]
fn every_ending_has_its_code() {
    let files = offline();
    let id = make_ci(&files);
    for (line, code, told) in [
        ("accounts list", 0, ""),
        ("can-i GET /v1/tenants/acme/devices --as ci", 0, ""),
        ("can-i GET /v1/tenants/globex/devices --as ci", 1, ""),
        ("can-i GET /v1/tenants/acme/devices", 1, ""),
        ("explain GET /v1/tenants/globex/devices --as ci", 1, ""),
        ("accounts grant ci --role oprator", 5, "oprator"),
        ("frobnicate", 2, "unrecognized subcommand"),
        ("accounts delete ci", 2, "--yes"),
        ("accounts update ci", 2, "nothing to change"),
        ("tokens inspect", 2, "stdin holds no token"),
        ("status", 3, ""),
        ("reload", 3, "no server"),
        ("drain", 3, "no server"),
        ("accounts show nobody", 5, "nobody"),
        (
            "can-i GET /v1/tenants/acme/devices --as nobody",
            5,
            "nobody",
        ),
        ("accounts create ci", 6, "ci"),
        (
            "roles create operator --permission devices:view",
            6,
            "operator",
        ),
    ] {
        let output = files.cli(&words(line));
        let (printed, said) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(told), "{line}: {said}");
        if code > 1 && line != "status" {
            assert_eq!(printed, "", "{line}: an error is talk");
        }
    }
    ends(&files, &format!("keys expire {id}"), 0);
    ends(&files, "accounts delete ci --yes", 0);
    ends(&files, "accounts show ci", 5);
}

#[test]
fn quiet_leaves_the_answer_to_the_exit_code() {
    let files = offline();
    make_ci(&files);
    for (line, code) in [
        ("-q can-i GET /v1/tenants/acme/devices --as ci", 0),
        ("-q can-i GET /v1/tenants/globex/devices --as ci", 1),
        ("-q check", 0),
    ] {
        let output = files.cli(&words(line));
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert_eq!(
            (stdout(&output), stderr(&output)),
            Default::default(),
            "{line}"
        );
    }
}

#[test]
fn a_secret_is_data_once_and_never_talk() {
    let files = offline();
    make_ci(&files);
    let output = files.cli(&words("keys create ci"));
    let printed = stdout(&output);
    let secret = printed
        .split_whitespace()
        .find(|word| word.starts_with("pcs_"));
    let secret = secret.expect("the secret is printed");
    assert!(!stderr(&output).contains("pcs_") && stderr(&output).contains("once"));
    for line in ["keys list -o json", "accounts show ci -o json", "keys list"] {
        assert!(!ends(&files, line, 0).contains(secret), "{line}");
    }
}

#[test]
fn a_token_is_read_from_stdin_or_a_file_and_told_apart() {
    let files = offline();
    make_ci(&files);
    let token = ends(&files, "tokens issue ci", 0);
    let inspect = |token: &str, more: &str| {
        let mut child = files
            .command(&words(&format!("tokens inspect -o json {more}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(token.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    let good = inspect(&token, "");
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert!(stdout(&good).contains("\"ci\""));
    assert_eq!(
        inspect("eyJhbGciOiJub25lIn0.e30.", "").status.code(),
        Some(1)
    );
    let file = files.path("token.txt");
    std::fs::write(&file, &token).unwrap();
    let line = format!("tokens inspect -o json --token-file {}", file.display());
    assert_eq!(ends(&files, &line, 0), stdout(&good));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let files = offline();
    let mut child = files
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn what_init_writes_is_valid_and_is_not_written_twice() {
    let files = offline();
    let folder = files.path("fresh");
    let init = format!("init {} --upstream http://127.0.0.1:3000", folder.display());
    ends(&files, &init, 0);
    let check = format!("check {}", folder.display());
    assert!(ends(&files, &check, 0).starts_with("ok: "));
    let before = std::fs::read(folder.join("portcullis.yaml")).unwrap();
    ends(&files, &init, 6);
    assert_eq!(
        std::fs::read(folder.join("portcullis.yaml")).unwrap(),
        before
    );
}

#[test]
fn check_names_every_place_and_every_test_that_failed() {
    let files = offline();
    ends(&files, "check", 0);
    files.write(
        "policies/more.yaml",
        "upstream: items\nrouts: {}\nroutes:\n  GET /x: thing:view\n",
    );
    let output = files.cli(&["check"]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(1), "")
    );
    let said = stderr(&output);
    for told in ["more.yaml:2:1: ", "did you mean `routes`?", "more.yaml:4:"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let report: Value = serde_json::from_str(&ends(&files, "check -o json", 1)).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["faults"][0]["line"], 2);

    files.write(
        "policies/more.yaml",
        "tests:\n  - request: GET /v1/tenants\n    expect: allow\n",
    );
    let said = stderr(&files.cli(&["check"]));
    assert!(
        said.contains("more.yaml:2:") && said.contains("credential_missing"),
        "{said}"
    );
    ends(&files, "check", 1);
}

#[test]
fn the_demo_does_what_it_says() {
    let files = offline();
    let printed = ends(&files, "demo --check", 0);
    assert!(printed.contains("403 outside_boundary"), "{printed}");
    assert!(!printed.contains("\nno  "), "{printed}");
}

#[test]
fn every_line_the_demo_prints_can_be_pasted() {
    let files = offline();
    let mut demo = files
        .command(&["demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut folder, mut script) = (String::new(), String::new());
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some(rest) = line.strip_prefix("  files ") {
            folder = rest.trim().split(' ').next().unwrap().to_owned();
        }
        if let Some(command) = line.strip_prefix("   ") {
            script += &format!("{command}\n");
            if command.contains("keys expire") {
                break;
            }
        }
    }
    let last = lines.by_ref().map_while(Result::ok);
    let last = last.filter(|line| line.starts_with("   ")).take(1);
    script.extend(last);
    let pasted = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let seen = stdout(&pasted);
    for expected in [
        "network inventory",
        "credential_missing",
        "edge-router",
        "outside_boundary",
        "accounts grant ci --role operator --within tenant=umbrella",
        "token_invalid",
    ] {
        assert!(
            seen.contains(expected),
            "no {expected} from {script}: {seen}"
        );
    }
    let pid = Pid::from_child(&demo);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(0));
    assert!(
        !folder.is_empty() && !Path::new(&folder).exists(),
        "{folder}"
    );
}

#[test]
fn the_demo_takes_an_api_of_ones_own() {
    let upstream = Upstream::start();
    let files = offline();
    files.write("own.yaml", "");
    let folder = files.path("own");
    std::fs::create_dir(&folder).unwrap();
    let policy = "upstream: mine\npermissions: { a:view: See }\nroles: { r: { description: R, \
                  permissions: ['a:view'] } }\nroutes:\n  GET /a: a:view\n";
    std::fs::write(folder.join("p.yaml"), policy).unwrap();
    let line = format!(
        "demo --check --upstream {} --policies {}",
        upstream.url(),
        folder.display()
    );
    let printed = ends(&files, &line, 0);
    assert!(printed.contains("GET /a: 200"), "{printed}");
    assert!(!upstream.requests().is_empty());
}

#[test]
fn completions_and_pages_come_from_the_tree() {
    let files = offline();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            ends(&files, &format!("completions {shell}"), 0).contains("PORTCULLIS_COMPLETE"),
            "{shell}"
        );
    }
    assert!(ends(&files, "man", 0).contains(".TH portcullis"));
    let pages = files.path("pages");
    ends(&files, &format!("man --dir {}", pages.display()), 0);
    assert!(pages.join("portcullis-accounts-create.1").is_file());
}

#[test]
fn version_says_which_build() {
    let files = offline();
    assert!(ends(&files, "version", 0).starts_with(concat!(
        "portcullis ",
        env!("CARGO_PKG_VERSION"),
        " ("
    )));
    let build: Value = serde_json::from_str(&ends(&files, "version -o json", 0)).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn whatever_is_named_and_not_there_is_not_found() {
    let files = offline();
    make_ci(&files);
    ends(&files, "groups create staff --role operator", 0);
    ends(&files, "roles create seer --permission devices:view", 0);
    for line in [
        "accounts show nope",
        "accounts update nope --description x",
        "accounts create cd --role nope",
        "accounts create cd --role operator --within nope=1",
        "accounts grant nope --role operator",
        "accounts grant ci --role nope",
        "accounts ungrant ci --role nope",
        "accounts disable nope",
        "accounts enable nope",
        "accounts delete nope --yes",
        "keys create nope",
        "keys list nope",
        "groups show nope",
        "groups create crew --role nope",
        "groups add nope ci",
        "groups add staff nope",
        "groups remove staff ci",
        "groups grant nope --role operator",
        "groups grant staff --role nope",
        "groups delete nope --yes",
        "roles show nope",
        "roles create r --permission devices:nope",
        "roles create r --include nope",
        "roles update seer --permission devices:nope",
        "roles update nope --description x",
        "roles delete nope --yes",
        "tokens issue nope",
        "tokens issue ci --scope devices:nope",
        "can-i GET /api/about --as nope",
        "can-i GET /api/about --role nope",
        "can-i --list --as nope",
        "can-i --list --role nope",
        "explain GET /api/about --as nope",
        "explain GET /api/about --role nope",
        "explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70",
        "permissions who devices:nope",
        "routes matrix --account nope",
        "routes match GET /nope",
        "denials list --account nope",
        "denials top --account nope",
    ] {
        ends(&files, line, 5);
    }
}

#[test]
fn a_token_on_the_command_line_is_not_taken_and_not_said_again() {
    let files = offline();
    let token = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl";
    for line in [
        format!("tokens inspect {token}"),
        format!("tokens inspect --token-file {token}"),
        format!("tokens issue ci {token}"),
        "keys create ci pcs_0123456789".to_owned(),
        "accounts show pcs_0123456789ABC".to_owned(),
    ] {
        let output = files.cli(&words(&line));
        let told = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {told}");
        let hidden = ["c2ln", "0123456789"].map(|secret| !told.contains(secret));
        assert_eq!(hidden, [true, true], "{told}");
    }
    let told = stderr(&files.cli(&["tokens", "inspect", token]));
    assert!(told.contains("--token-file"), "{told}");
}

#[test]
fn a_role_given_everywhere_is_said_to_be() {
    let files = offline();
    ends(&files, "accounts create ci", 0);
    let said = |line: &str| stderr(&files.cli(&words(line)));
    let everywhere = said("accounts grant ci --role operator");
    assert!(
        everywhere.contains("account `ci` holds `operator` everywhere"),
        "{everywhere}"
    );
    let bounded = said("accounts grant ci --role operator --within tenant=acme");
    assert!(!bounded.contains("everywhere"), "{bounded}");
}

#[test]
fn a_path_that_misses_its_route_by_spelling_is_led_there() {
    let files = offline();
    for (path, differs) in [
        ("/v1/Tenants", "upper and lower case"),
        ("/v1/tenants/", "the slash at the end"),
    ] {
        let told = ends(&files, &format!("explain GET {path} --role operator"), 1);
        let near = format!("but for {differs}, `GET /v1/tenants` would");
        assert!(told.contains(&near), "{told}");
    }
}
