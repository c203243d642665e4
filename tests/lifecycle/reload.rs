//! Edits of the policy folder, good and bad, by every way they come.

use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::Signal;

use super::{metric, until};
use crate::harness::{Client, Files, Fixture, Gateway, ITEMS, Upstream, request};

/// An edit is live within this time.
const SOON: Duration = Duration::from_secs(2);

/// A policy whose only route is `/vN/x`, open to all.
fn version(number: usize) -> String {
    format!("upstream: items\nroutes:\n  GET /v{number}/x: public\n")
}

fn is_open(gateway: &Gateway, number: usize) -> bool {
    gateway.ask(&format!("GET /v{number}/x"), None).status() == 200
}

/// Waits until version `number` is in force, and no other.
fn comes_into_force(gateway: &Gateway, number: usize) {
    let took = until("the new policy", || is_open(gateway, number));
    assert!(took < SOON, "version {number} took {took:?}");
    assert!(
        !is_open(gateway, number - 1),
        "version {} is still open",
        number - 1
    );
}

#[test]
fn an_edit_is_live_within_two_seconds_however_it_is_made() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &version(1))
        .start();
    assert!(is_open(&gateway, 1));
    let files = gateway.files();
    files.write("policies/items.yaml", &version(2));
    comes_into_force(&gateway, 2);
    // As an editor saves: another file takes the name.
    files.write("new", &version(3));
    std::fs::rename(files.path("new"), files.path("policies/items.yaml")).unwrap();
    comes_into_force(&gateway, 3);
    // A file more, and it is gone again.
    files.write("policies/more.yaml", &version(4));
    until("the second file", || is_open(&gateway, 4));
    assert!(is_open(&gateway, 3));
    std::fs::remove_file(files.path("policies/items.yaml")).unwrap();
    until("the first file to go", || !is_open(&gateway, 3));
    assert!(is_open(&gateway, 4));
}

/// F19: Kubernetes swaps one link under all files, and removes what it led to.
#[test]
fn f19_config_map_swaps_are_live_one_after_the_other() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    let at = |name: &str| files.path(&format!("policies/{name}"));
    std::fs::remove_file(at("items.yaml")).unwrap();
    let swap = |number: usize| {
        let folder = format!("..{number}");
        std::fs::create_dir(at(&folder)).unwrap();
        files.write(&format!("policies/{folder}/items.yaml"), &version(number));
        symlink(&folder, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    swap(1);
    symlink("..data/items.yaml", at("items.yaml")).unwrap();
    let gateway = Gateway::start(files.clone());
    assert!(is_open(&gateway, 1));
    for number in 2..=4 {
        swap(number);
        std::fs::remove_dir_all(at(&format!("..{}", number - 1))).unwrap();
        comes_into_force(&gateway, number);
    }
}

/// Makes a folder one that must not take effect.
type Spoil = fn(&Files);

fn write_broken(files: &Files) {
    files.write(
        "policies/items.yaml",
        "upstream: items\nroutes:\n  GET /v2/x: publik\n",
    );
}

fn empty(files: &Files) {
    std::fs::remove_file(files.path("policies/items.yaml")).unwrap();
}

fn vanish(files: &Files) {
    std::fs::remove_dir_all(files.path("policies")).unwrap();
}

fn put_back(files: &Files) {
    std::fs::create_dir_all(files.path("policies")).unwrap();
    files.write("policies/items.yaml", &version(2));
}

#[test]
fn a_bad_edit_changes_nothing_and_says_so() {
    let upstream = Upstream::start();
    let successful = "portcullis_config_last_reload_successful";
    let cases: [(Spoil, &str); 3] = [
        (write_broken, "policies/items.yaml:3:14"),
        (empty, "there is no policy file here"),
        (vanish, "policies"),
    ];
    for (spoil, said) in cases {
        let gateway = Fixture::new(&upstream)
            .policy("items.yaml", &version(1))
            .start();
        assert_eq!(metric(&gateway, successful), "1");
        spoil(gateway.files());
        until("the refusal", || metric(&gateway, successful) == "0");
        let logged = gateway.wait_for_log("policy refused");
        assert!(logged.contains(said), "{logged}");
        assert!(is_open(&gateway, 1), "the good policy is gone");
        assert_eq!(gateway.ops("/readyz").status(), 200);
        let reload = gateway.cli(&["reload"]);
        let stderr = String::from_utf8_lossy(&reload.stderr);
        assert_eq!(reload.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        put_back(gateway.files());
        comes_into_force(&gateway, 2);
        assert_eq!(metric(&gateway, successful), "1");
    }
}

#[test]
fn a_hang_up_and_a_command_reload() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &version(1))
        .start();
    let reloads = || gateway.printed().matches("policy in force").count();
    let before = reloads();
    gateway.signal(Signal::HUP);
    until("the reload", || reloads() > before);
    // When the command returns, it is done.
    gateway.files().write("policies/items.yaml", &version(2));
    let answer = gateway.json(&["reload"]);
    assert_eq!(answer["changed"], true, "{answer}");
    assert!(is_open(&gateway, 2) && !is_open(&gateway, 1));
}

/// What was verified once is worth what it is worth now, on a connection that was open before.
#[test]
fn d30_a_right_that_is_taken_away_is_gone_at_once_wherever_it_is_known() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    let key = gateway.account("ci", &["reader"]);
    let token = format!("Bearer {}", gateway.token(&key));
    let mut client = Client::connect(gateway.address());
    let mut ask = || {
        let headers = [("Authorization", token.as_str())];
        let answer = client
            .send(request("GET /v1/items/7", &headers, b""))
            .response();
        (answer.status(), answer.reason())
    };
    let allowed = (200, String::new());
    let denied = |status: u16, reason: &str| (status, reason.to_owned());
    assert_eq!([ask(), ask()], [allowed.clone(), allowed.clone()]);

    let without = ITEMS.replace("permissions: [items:read]", "permissions: [admin:read]");
    gateway.files().write("policies/items.yaml", &without);
    gateway.json(&["reload"]);
    assert_eq!(ask(), denied(403, "permission_missing"));
    gateway.files().write("policies/items.yaml", ITEMS);
    gateway.json(&["reload"]);
    assert_eq!(ask(), allowed);

    gateway.json(&["accounts", "ungrant", "ci", "--role", "reader"]);
    assert_eq!(ask(), denied(403, "permission_missing"));
    gateway.json(&["accounts", "grant", "ci", "--role", "reader"]);
    assert_eq!(ask(), allowed);
    gateway.json(&["accounts", "disable", "ci"]);
    assert_eq!(ask(), denied(401, "token_invalid"));
    gateway.json(&["accounts", "enable", "ci"]);
    assert_eq!(ask(), allowed);
    gateway.json(&["keys", "expire", &key.id]);
    assert_eq!(ask(), denied(401, "token_invalid"));
}

#[test]
fn a_policy_for_an_upstream_that_was_added_since_is_told_when_settings_are_read() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream)
        .policy("items.yaml", &version(1))
        .start();
    let files = gateway.files();
    let settings = std::fs::read_to_string(files.config()).unwrap();
    let more = "upstreams:\n  more: { url: http://127.0.0.1:9 }\n";
    files.write(
        "policies/more.yaml",
        "upstream: more\nroutes:\n  GET /y: public\n",
    );
    let reload = || {
        let output = files.cli(&["reload"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let before = reload();
    assert!(before.contains("`more`"), "{before}");
    assert!(!before.contains("restart"), "{before}");
    files.write("portcullis.yaml", &settings.replace("upstreams:\n", more));
    let after = reload();
    let sentence = "has changed since the server was started, which is when settings are read: \
                    restart it, and this holds";
    assert!(after.contains(sentence), "{after}");
    assert!(is_open(&gateway, 1));
}
