//! The life of an integration from outside: accounts, groups, roles and keys, by commands and real
//! calls to a gateway that runs.

mod applied;
mod handover;
mod many;
mod rotated;
mod undone;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use portcullis::words::{KeyId, Secret};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Fixture, Gateway, Key, Message, Upstream, request};

const READ: &str = "GET /v1/items/7";
const WRITE: &str = "POST /v1/items";

fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    (upstream, gateway)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs `line`, which must end with `code`; what it printed and what it said.
fn ends(gateway: &Gateway, line: &str, code: i32) -> (String, String) {
    told(&gateway.cli(&words(line)), line, code)
}

fn told(output: &Output, line: &str, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    (text(&output.stdout), said)
}

fn key_of(made: &Value) -> Key {
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Key {
        id: text("id"),
        secret: text("secret"),
    }
}

/// What the token endpoint says to a key.
fn asks_for_token(gateway: &Gateway, key: &Key) -> Message {
    let basic = key.basic();
    let form = "application/x-www-form-urlencoded";
    let headers = [("Authorization", basic.as_str()), ("Content-Type", form)];
    let body = b"grant_type=client_credentials";
    gateway.send(&request("POST /oauth/token", &headers, body))
}

#[test]
fn what_a_group_is_given_its_members_have_at_once_and_what_is_taken_they_have_no_more() {
    let (_upstream, gateway) = start();
    let key = gateway.account("ci", &[]);
    let token = gateway.token(&key);
    let may = || gateway.ask(READ, Some(&token)).status();
    assert_eq!(may(), 403);
    gateway.json(&words(
        "groups create builders --description Builds --role reader",
    ));
    assert_eq!(may(), 403);
    gateway.json(&words("groups add builders ci"));
    assert_eq!(may(), 200);
    gateway.json(&words("groups ungrant builders --role reader"));
    assert_eq!(may(), 403);
    gateway.json(&words("groups grant builders --role writer"));
    assert_eq!(may(), 200);
    let shown = gateway.json(&words("groups show builders"));
    assert_eq!(shown["members"], json!(["ci"]));
    gateway.json(&words("groups remove builders ci"));
    assert_eq!(may(), 403);
    gateway.json(&words("groups add builders ci"));
    assert_eq!(may(), 200);
    ends(&gateway, "groups delete builders --yes", 0);
    assert_eq!(may(), 403);
}

#[test]
fn a_key_may_do_less_than_its_account_and_only_from_where_it_says() {
    let (_upstream, gateway) = start();
    let wide = gateway.account("ci", &["writer"]);
    let narrow = key_of(&gateway.json(&words("keys create ci --only items:read")));
    let (wide, token) = (gateway.token(&wide), gateway.token(&narrow));
    let status = |line: &str, token: &str| gateway.ask(line, Some(token)).status();
    assert_eq!([status(READ, &wide), status(WRITE, &wide)], [200, 200]);
    assert_eq!([status(READ, &token), status(WRITE, &token)], [200, 403]);
    // Another limit holds for the tokens that are out already.
    let update = |more: &str| {
        let line = format!("keys update {} {more}", narrow.id);
        ends(&gateway, &line, 0)
    };
    update("--only items:write");
    assert_eq!([status(READ, &token), status(WRITE, &token)], [403, 200]);
    update("--all-permissions");
    assert_eq!([status(READ, &token), status(WRITE, &token)], [200, 200]);
    update("--allow-from 192.0.2.0/24");
    let refused = gateway.ask(READ, Some(&token));
    assert_eq!(
        (refused.status(), refused.reason().as_str()),
        (403, "address_not_allowed")
    );
    assert_ne!(asks_for_token(&gateway, &narrow).status(), 200);
    update("--allow-from-anywhere");
    assert_eq!(status(READ, &token), 200);
    let listed = gateway.json(&words("keys list ci"));
    let listed = listed.as_array().unwrap();
    let used = listed.iter().find(|key| key["id"] == *narrow.id).unwrap();
    assert_eq!(used["last_used_from"], "127.0.0.1");
    ends(&gateway, "keys create ci --only items:raed", 5);
}

#[test]
fn a_rotation_leaves_no_gap_and_shows_when_the_old_key_fell_silent() {
    let (_upstream, gateway) = start();
    let old = gateway.account("ci", &["reader"]);
    let before = gateway.token(&old);
    let line = format!("keys rotate {} --overlap 1h", old.id);
    let new = key_of(&gateway.json(&words(&line)));
    assert_eq!(asks_for_token(&gateway, &old).status(), 200);
    let after = gateway.token(&new);
    for token in [&before, &after] {
        assert_eq!(gateway.ask(READ, Some(token)).status(), 200);
    }
    let listed = gateway.json(&words("keys list ci"));
    let of = |id: &str| {
        let listed = listed.as_array().unwrap();
        listed.iter().find(|key| key["id"] == *id).unwrap().clone()
    };
    assert_eq!(of(&old.id)["state"], "expiring");
    assert_eq!(of(&new.id)["state"], "active");
    assert!(of(&old.id)["last_used_at"].is_string() && of(&new.id)["last_used_at"].is_string());
    ends(&gateway, &format!("keys expire {}", old.id), 0);
    assert_eq!(gateway.ask(READ, Some(&before)).status(), 401);
    assert_eq!(gateway.ask(READ, Some(&after)).status(), 200);
}

#[test]
fn a_secret_goes_into_a_private_file_and_never_over_another() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create ci --role reader"));
    let count = || gateway.json(&words("keys list")).as_array().unwrap().len();
    let path = gateway.files().path("ci.secret");
    let create = |path: &std::path::Path| {
        let path = path.to_str().unwrap();
        gateway.cli(&["keys", "create", "ci", "--secret-file", path, "-o", "json"])
    };
    let (printed, said) = told(&create(&path), "create", 0);
    let made: Value = serde_json::from_str(&printed).unwrap();
    assert!(
        made.get("secret").is_none() && said.contains("ci.secret"),
        "{printed} {said}"
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stored = fs::read_to_string(&path).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(asks_for_token(&gateway, &key_of(&stored)).status(), 200);

    let (_, said) = told(&create(&path), "create", 6);
    assert!(said.contains("no key was made"), "{said}");
    let (_, said) = told(
        &create(&gateway.files().path("no/such/folder")),
        "create",
        3,
    );
    assert!(said.contains("cannot be made"), "{said}");
    assert_eq!(count(), 1);

    let (printed, _) = ends(&gateway, "keys create ci -o env", 0);
    let lines: Vec<_> = printed.lines().collect();
    assert!(
        lines[0].starts_with("export PORTCULLIS_KEY_ID=pck_"),
        "{printed}"
    );
    assert!(
        lines[1].starts_with("export PORTCULLIS_KEY_SECRET=pcs_"),
        "{printed}"
    );
    let (printed, _) = ends(&gateway, "keys create ci -o k8s-secret", 0);
    let manifest: Value = serde_saphyr::from_str(&printed).unwrap();
    assert_eq!(manifest["kind"], "Secret");
    assert!(manifest["stringData"]["PORTCULLIS_KEY_SECRET"].is_string());
    ends(&gateway, "accounts list -o env", 2);
    // A secret alone is what a file holds that nobody said anything else of.
    let plain = gateway.files().path("plain");
    let line = [
        "keys",
        "create",
        "ci",
        "--secret-file",
        plain.to_str().unwrap(),
    ];
    told(&gateway.cli(&line), "plain", 0);
    let plain = fs::read_to_string(&plain).unwrap();
    assert!(
        plain.starts_with("pcs_") && plain.lines().count() == 1,
        "{plain}"
    );
}

#[test]
fn keys_from_elsewhere_come_by_what_sha256sum_prints() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create ci --role reader"));
    let secret = Secret::random();
    let digest: String = Sha256::digest(secret.reveal())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let import = |text: &str| {
        let mut command = gateway.files().command(&words("keys import ci -o json"));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    let (printed, _) = told(&import(&format!("{digest}  -\n")), "import", 0);
    assert!(!printed.contains(&digest), "{printed}");
    let made: Value = serde_json::from_str(&printed).unwrap();
    let key = Key {
        id: made[0]["id"].as_str().unwrap().to_owned(),
        secret: secret.reveal().to_owned(),
    };
    let token = gateway.token(&key);
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 200);
    told(&import(&format!("{digest}\n")), "the same again", 6);
    let (_, said) = told(&import(&format!("\n{}\n", secret.reveal())), "a secret", 1);
    assert!(
        said.contains("line 2") && !said.contains(secret.reveal()),
        "{said}"
    );
}

#[test]
fn a_key_that_ends_soon_is_spoken_of() {
    let (_upstream, gateway) = start();
    gateway.json(&words("accounts create ci --role reader"));
    let made = gateway.json(&words("keys create ci --expires 7d"));
    gateway.json(&words("keys create ci --expires 300d"));
    let line = gateway.wait_for_log("a key ends soon");
    assert!(line.contains(made["id"].as_str().unwrap()), "{line}");
    let metrics = gateway.ops("/metrics");
    let metrics = metrics.text();
    assert!(
        metrics.contains("\nportcullis_api_keys_expiring 1\n"),
        "{metrics}"
    );
    let (printed, _) = ends(&gateway, "keys list --expiring 14d -o name", 0);
    assert_eq!(printed.trim(), made["id"].as_str().unwrap());
    let (printed, _) = ends(&gateway, "keys list --unused 90d -o name", 0);
    assert_eq!(printed, "");
}

#[test]
fn an_account_of_a_file_says_so_and_can_be_stopped_all_the_same() {
    let upstream = Upstream::start();
    let made = Made::new();
    let filed =
        format!("accounts:\n  nightly: {{ grants: [{{ role: reader }}], keys: [{{ {made} }}] }}\n");
    let mut gateway = Fixture::new(&upstream)
        .policy("people.yaml", &filed)
        .start();
    let key = gateway.key("nightly");
    let token = gateway.token(&key);
    let may = |gateway: &Gateway| gateway.ask(READ, Some(&token)).status();
    assert_eq!(may(&gateway), 200);
    for line in [
        "accounts update nightly --description x",
        "accounts grant nightly --role writer",
        "accounts delete nightly --yes",
        "accounts create nightly",
    ] {
        let (_, said) = ends(&gateway, line, 6);
        assert!(said.contains("people.yaml:2:3"), "{line}: {said}");
    }
    let shown = gateway.json(&words("accounts disable nightly"));
    assert_eq!(
        (&shown["enabled"], &shown["overridden"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(may(&gateway), 401);
    // It holds until it is lifted, whatever the files say meanwhile, and across a crash.
    gateway
        .files()
        .write("policies/people.yaml", &format!("# edited\n{filed}"));
    ends(&gateway, "reload", 0);
    assert_eq!(may(&gateway), 401);
    gateway.crash();
    assert_eq!(may(&gateway), 401);
    gateway.json(&words("accounts enable nightly"));
    assert_eq!(may(&gateway), 200);

    // A key of the file is ended for good: neither a reload nor a start nor a later end brings it back.
    let in_file = made.0;
    let by_key = |gateway: &Gateway| asks_for_token(gateway, &in_file).status();
    assert_eq!(by_key(&gateway), 200);
    ends(&gateway, &format!("keys expire {}", in_file.id), 0);
    assert_eq!(by_key(&gateway), 401);
    ends(&gateway, "reload", 0);
    gateway.crash();
    assert_eq!(by_key(&gateway), 401);
    ends(&gateway, &format!("keys expire {} --at 90d", in_file.id), 6);
    ends(&gateway, &format!("keys expire {}", key.id), 0);
    assert_eq!(may(&gateway), 401);
}

/// `store: none`: all there is to know of a key stands in its file, and a reload is the revocation.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_key_of_a_file_is_limited_there_and_only_there() {
    let upstream = Upstream::start();
    let (wide, narrow, far, over) = (Made::new(), Made::new(), Made::new(), Made::new());
    let filed = format!(
        "accounts:\n  nightly:\n    id: sa_nightly\n    grants: [{{ role: writer }}]\n    keys:\n\
         \x20     - {{ {wide}, description: warehouse }}\n\
         \x20     - {{ {narrow}, only: ['items:read'], expires_at: 2100-01-01T00:00:00Z }}\n\
         \x20     - {{ {far}, allow_from: [192.0.2.0/24] }}\n\
         \x20     - {{ {over}, expires_at: 2020-01-01T00:00:00Z }}\n"
    );
    let gateway = Fixture::new(&upstream)
        .store("none")
        .listener("basic: true")
        .policy("people.yaml", &filed)
        .start();
    let statuses = |key: &Made| {
        let basic = key.0.basic();
        [READ, WRITE].map(|line| {
            let bytes = request(line, &[("Authorization", &basic)], b"");
            gateway.send(&bytes).status()
        })
    };
    assert_eq!(statuses(&wide), [200, 200]);
    assert_eq!(statuses(&narrow), [200, 403]);
    assert_eq!(statuses(&far), [403, 403]);
    assert_eq!(statuses(&over), [401, 401]);
    let listed = gateway.json(&words("keys list nightly"));
    let of = |key: &Made| {
        let listed = listed.as_array().unwrap();
        listed
            .iter()
            .find(|one| one["id"] == *key.0.id)
            .unwrap()
            .clone()
    };
    assert_eq!(of(&wide)["description"], "warehouse");
    assert_eq!(
        (&of(&narrow)["only"], &of(&narrow)["managed_by"]),
        (&json!(["items:read"]), &json!("file"))
    );
    assert_eq!(of(&far)["allow_from"], json!(["192.0.2.0/24"]));
    assert_eq!(of(&over)["state"], "expired");

    // There is nothing that a command could write it down in, and the file to edit is named.
    let line = |key: &Made, line: &str| line.replace("KEY", &key.0.id);
    for (line, place) in [
        (line(&wide, "keys expire KEY --yes"), "people.yaml:6:9"),
        (line(&wide, "keys rotate KEY"), "people.yaml:6:9"),
        (
            line(&wide, "keys update KEY --only items:read"),
            "people.yaml:6:9",
        ),
        ("accounts disable nightly".to_owned(), "people.yaml:2:3"),
        ("keys create nightly".to_owned(), "people.yaml:2:3"),
    ] {
        let (_, said) = ends(&gateway, &line, 6);
        assert!(said.contains(place), "{line}: {said}");
    }
    assert_eq!(statuses(&wide), [200, 200]);
    let without = filed.lines().filter(|line| !line.contains(&wide.0.id));
    let without: Vec<_> = without.collect();
    gateway
        .files()
        .write("policies/people.yaml", &without.join("\n"));
    ends(&gateway, "reload", 0);
    assert_eq!(statuses(&wide), [401, 401]);
    assert_eq!(statuses(&narrow), [200, 403]);
}

/// A key as it is written into a file.
struct Made(Key);

impl Made {
    fn new() -> Self {
        let (id, secret) = (KeyId::random(), Secret::random());
        Self(Key {
            id: id.to_string(),
            secret: secret.reveal().to_owned(),
        })
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = Secret::parse(&self.0.secret).unwrap().digest();
        write!(f, "id: {}, digest: '{digest}'", self.0.id)
    }
}

#[test]
fn a_name_that_was_deleted_comes_back_as_another_account() {
    let (_upstream, gateway) = start();
    let key = gateway.account("ci", &["reader"]);
    let token = gateway.token(&key);
    let id = || gateway.json(&words("accounts show ci"))["id"].clone();
    let before = id();
    ends(&gateway, "accounts delete ci", 2);
    ends(&gateway, "accounts delete ci --yes", 0);
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 401);
    gateway.json(&words("accounts create ci --role reader"));
    assert_ne!(before, id());
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 401);
    assert_eq!(asks_for_token(&gateway, &key).status(), 401);
}

#[test]
fn a_role_in_use_is_taken_from_everybody_or_left_alone() {
    let (_upstream, gateway) = start();
    gateway.json(&words("roles create mine --permission items:read"));
    let key = gateway.account("ci", &["mine"]);
    let token = gateway.token(&key);
    let (_, said) = ends(&gateway, "roles delete mine --yes", 6);
    assert!(said.contains("account `ci`"), "{said}");
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 200);
    ends(&gateway, "roles delete mine --force --yes", 0);
    assert_eq!(gateway.ask(READ, Some(&token)).status(), 403);
    gateway.json(&words(
        "roles create inner --permission items:read --api-access false",
    ));
    let (_, said) = ends(&gateway, "accounts grant ci --role inner", 1);
    assert!(said.contains("api_access"), "{said}");
}
