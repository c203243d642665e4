//! The command line from elsewhere: everything that commands do on the machine of a server, done over
//! its admin API, with the same answers and the same ends.

mod lost;
mod places;
mod shells;
mod terminal;
mod twins;
mod watched;

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Files, Fixture, Gateway, Key, Lines, PATIENCE, Upstream, until};

const READ: &str = "GET /v1/items/7";

/// A gateway with its admin API open, and somebody who manages it from elsewhere.
struct Remote {
    gateway: Gateway,
    _upstream: Upstream,
    url: String,
    /// The key of an administrator, as `keys create -o env` has it.
    key: PathBuf,
}

impl Remote {
    fn start() -> Self {
        let upstream = Upstream::start();
        let gateway = Fixture::new(&upstream).admin("").start();
        let url = format!("http://{}", gateway.address_of("admin"));
        let root = gateway.account("root", &["portcullis-admin"]);
        let key = keep(gateway.files(), "root.key", &root);
        Self {
            gateway,
            _upstream: upstream,
            url,
            key,
        }
    }

    /// A command for the server, from elsewhere.
    fn command(&self, line: &str) -> Command {
        let mut command = self.gateway.files().command(&["--server", &self.url]);
        command
            .args(line.split_whitespace())
            .env("PORTCULLIS_KEY_FILE", &self.key)
            .env("XDG_CONFIG_HOME", self.gateway.files().path("nobody"));
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the binary runs")
    }

    /// Runs `line`, which must end with `code`; what it printed and what it said.
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        told(&self.run(line), line, code)
    }

    /// What `line` prints as JSON.
    fn json(&self, line: &str) -> Value {
        let (printed, _) = self.ends(&format!("{line} -o json"), 0);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}"))
    }

    fn key_of(&self, line: &str) -> Key {
        let made = self.json(line);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Key {
            id: text("id"),
            secret: text("secret"),
        }
    }
}

/// Keeps a key in a file of its owner.
fn keep(files: &Files, name: &str, key: &Key) -> PathBuf {
    let path = files.path(name);
    let text = format!(
        "export PORTCULLIS_KEY_ID={}\nexport PORTCULLIS_KEY_SECRET={}\n",
        key.id, key.secret
    );
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path
}

fn told(output: &Output, line: &str, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}: {printed} {said}");
    (printed, said)
}

#[test]
fn an_integration_lives_and_dies_by_commands_from_elsewhere() {
    let remote = Remote::start();
    let gateway = &remote.gateway;
    let mut tail = remote
        .command("audit tail --event account -o jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let seen = Lines::of(tail.stdout.take().unwrap());
    gateway.wait_for_log("audit.follow");

    // Made, given a right, and handed over.
    remote.json("accounts create ci --description Builds");
    let file = gateway.files().path("ci.env");
    let line = format!("keys create ci -o env --secret-file {}", file.display());
    let (printed, _) = remote.ends(&line, 0);
    assert!(!printed.contains("pcs_"), "{printed}");
    let old = handed_over(&fs::read_to_string(&file).unwrap());
    let token = gateway.token(&old);
    let may = |token: &str| gateway.ask(READ, Some(token)).status();
    assert_eq!(may(&token), 403);
    let (answer, said) = remote.ends("can-i GET /v1/items/7 --as ci", 1);
    assert!(answer.contains("permission_missing"), "{answer} {said}");
    remote.json("accounts grant ci --role reader");
    assert_eq!(may(&token), 200);
    remote.ends("can-i GET /v1/items/7 --as ci", 0);

    // Watched.
    is_watched(&remote, &token);

    // Rotated without an outage.
    let new = remote.key_of(&format!("keys rotate {} --overlap 1h", old.id));
    let after = gateway.token(&new);
    assert_eq!([may(&token), may(&after)], [200, 200]);
    let listed = remote.json("keys list ci");
    let mut states = listed.as_array().unwrap().iter().map(|key| &key["state"]);
    assert!(states.any(|state| state == "expiring"), "{listed}");

    // Who changed what.
    let records = remote.json("audit list --account ci --event key.rotate");
    assert_eq!(
        records[0]["portcullis.actor.account.name"], "root",
        "{records}"
    );
    assert_eq!(remote.json("audit verify")["whole"], true);
    let grant = seen.wait("the grant on the tail", |lines| {
        lines
            .iter()
            .find(|line| line.contains("account.grant"))
            .cloned()
    });
    assert!(grant.contains("\"ci\""), "{grant}");

    // Killed at once.
    remote.ends(&format!("keys expire {}", new.id), 0);
    assert_eq!(may(&after), 401);
    remote.ends("accounts disable ci", 0);
    assert_eq!(may(&token), 401);
    remote.ends("accounts delete ci --yes", 0);
    remote.ends("accounts show ci", 5);
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert!(!gateway.printed().contains(&new.secret));
}

/// What the account does, and what it is refused, is seen from elsewhere.
fn is_watched(remote: &Remote, token: &str) {
    let listed = remote.json("keys list ci");
    assert_eq!(listed[0]["last_used_from"], "127.0.0.1");
    let refused = remote.gateway.ask("DELETE /v1/items/7", Some(token));
    let id = refused.header("x-request-id").unwrap();
    let (printed, _) = remote.ends(&format!("explain {id}"), 1);
    assert!(printed.contains("items:delete"), "{printed}");
    let (printed, _) = remote.ends("denials list --account ci", 0);
    assert!(printed.contains("permission_missing"), "{printed}");
}

/// The key in what `-o env` writes.
fn handed_over(text: &str) -> Key {
    let value = |name: &str| {
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(&format!("export {name}=")));
        found.unwrap().to_owned()
    };
    Key {
        id: value("PORTCULLIS_KEY_ID"),
        secret: value("PORTCULLIS_KEY_SECRET"),
    }
}

#[test]
fn every_ending_has_its_code_from_elsewhere_too() {
    let remote = Remote::start();
    let weak = remote.gateway.account("weak", &["reader"]);
    let weak = keep(remote.gateway.files(), "weak.key", &weak);
    remote.json("accounts create ci --role reader");
    let key = remote.key_of("keys create ci");
    let old = format!("keys expire {}", key.id);
    remote.ends(&old, 0);
    for (line, code, said) in [
        ("accounts list", 0, ""),
        ("can-i GET /v1/items/7 --as ci", 0, ""),
        ("can-i DELETE /v1/items/7 --as ci", 1, ""),
        (
            "accounts grant ci --role reader --within planet=x",
            5,
            "planet",
        ),
        (
            "accounts update ci --description a\u{7}b",
            1,
            "control characters",
        ),
        ("accounts update ci", 2, "nothing to change"),
        ("accounts delete ci", 2, "--yes"),
        ("drain", 2, "on its machine"),
        ("serve", 2, "on the machine of the server"),
        ("check", 2, "on the machine of the server"),
        ("accounts show nobody", 5, "there is no account `nobody`"),
        (
            "accounts create cd --role nope",
            5,
            "there is no role `nope`",
        ),
        ("keys create nobody", 5, "nobody"),
        ("explain 019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70", 5, ""),
        ("accounts create ci", 6, "ci"),
        ("roles create reader --permission items:read", 6, "reader"),
        ("accounts disable root", 6, "administrator"),
        ("denials list --limit 1001", 1, "--limit"),
    ] {
        let (_, told) = remote.ends(line, code);
        assert!(told.contains(said), "{line}: {told}");
    }
    let other = |line: &str, key: &PathBuf, code: i32| {
        let mut command = remote.command(line);
        let output = command.env("PORTCULLIS_KEY_FILE", key).output().unwrap();
        told(&output, line, code).1
    };
    let said = other("accounts list", &weak, 4);
    assert!(said.contains("portcullis.accounts:view"), "{said}");
    let ended = keep(remote.gateway.files(), "ended.key", &key);
    let said = other("accounts list", &ended, 4);
    assert!(
        said.contains(&key.id) && said.contains("portcullis login"),
        "{said}"
    );
    assert!(!said.contains(&key.secret), "{said}");
    let none = remote.gateway.files().path("no.key");
    assert!(other("accounts list", &none, 2).contains("no.key"));
}

#[test]
fn what_does_not_answer_as_a_gateway_is_told_apart() {
    let remote = Remote::start();
    let at = |url: &str, code: i32| {
        let mut command = remote
            .gateway
            .files()
            .command(&["--server", url, "accounts", "list"]);
        let output = command
            .env("PORTCULLIS_KEY_FILE", &remote.key)
            .output()
            .unwrap();
        told(&output, url, code).1
    };
    let said = at("http://127.0.0.1:1", 3);
    assert!(said.contains("cannot be reached"), "{said}");
    // A listener takes the key for tokens of its own, and knows no such path.
    for other in ["ops", "0"] {
        let said = at(&format!("http://{}", remote.gateway.address_of(other)), 3);
        assert!(said.contains("is not the admin API"), "{other}: {said}");
    }
    for (url, part) in [
        ("http://10.0.0.7:7081", "plain `http`"),
        ("https://ci:hunter2@gate", "a user in it"),
        ("gate", "expected the URL"),
    ] {
        let said = at(url, 2);
        assert!(said.contains(part) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_list_longer_than_a_page_comes_whole_and_from_where_it_is_asked() {
    let remote = Remote::start();
    let accounts: String = (0..1100)
        .map(|number| format!("  a{number:04}: {{}}\n"))
        .collect();
    let file = remote.gateway.files().path("many.yaml");
    fs::write(&file, format!("accounts:\n{accounts}")).unwrap();
    remote.ends(&format!("accounts apply -f {} -o json", file.display()), 0);
    let names = |line: &str| {
        let (printed, _) = remote.ends(&format!("accounts list -o name {line}"), 0);
        let names: Vec<_> = printed.lines().map(str::to_owned).collect();
        names
    };
    let here = remote.gateway.cli(&["accounts", "list", "-o", "name"]);
    let (here, _) = told(&here, "accounts list", 0);
    assert_eq!(names(""), here.lines().collect::<Vec<_>>());
    assert_eq!(names("").len(), 1101);
    assert_eq!(names("--after a0001 --limit 2"), ["a0002", "a0003"]);
    assert_eq!(names("--limit 1050").len(), 1050);
}

#[test]
fn a_key_that_cannot_be_written_changes_nothing() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci", &["reader"]);
    let count = || remote.json("keys list ci").as_array().unwrap().len();
    let path = remote.gateway.files().path("new.secret");
    // A disk without room: what a file may have is less than any secret takes.
    let binary = remote.command("");
    let line = format!("keys rotate {} --overlap 1h --secret-file", key.id);
    let mut full = Command::new("sh");
    full.arg("-c")
        .arg("trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"")
        .arg(binary.get_program())
        .args(binary.get_args())
        .args(line.split_whitespace())
        .arg(&path)
        .envs(
            binary
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let (_, said) = told(&full.output().unwrap(), "a full disk", 3);
    assert!(said.contains("no key was made"), "{said}");
    assert!(!path.exists());
    let existing = remote.gateway.files().path("root.key");
    let (_, said) = remote.ends(&format!("{line} {}", existing.display()), 6);
    assert!(said.contains("there already"), "{said}");
    let listed = remote.json("keys list ci");
    assert_eq!((&listed[0]["expires_at"], count()), (&Value::Null, 1));
    // And nothing is left behind where the server refuses.
    remote.ends(&format!("keys expire {}", key.id), 0);
    remote.ends(&format!("{line} {}", path.display()), 6);
    assert!(!path.exists());
}

#[test]
fn a_token_is_got_once_and_again_when_the_server_has_forgotten_it() {
    let mut remote = Remote::start();
    // Each command gets one token, however much it asks.
    remote.json("accounts list");
    remote.ends("audit export", 0);
    let asked = || remote.gateway.printed().matches("/oauth/token").count();
    until("two tokens in the log", PATIENCE, || asked() >= 2);
    assert_eq!(asked(), 2);
    remote.gateway.crash();
    remote.url = format!("http://{}", remote.gateway.address_of("admin"));
    remote.json("accounts list");
}

#[test]
fn refusals_are_followed_from_elsewhere() {
    let remote = Remote::start();
    let key = remote.gateway.account("ci", &[]);
    let token = remote.gateway.token(&key);
    let mut tail = remote
        .command("denials tail --account ci -o jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let seen = Lines::of(tail.stdout.take().unwrap());
    // Who follows begins with what comes after his first question, so it is refused until he has.
    until("a refusal on the tail", PATIENCE, || {
        assert_eq!(remote.gateway.ask(READ, Some(&token)).status(), 403);
        !seen.all().is_empty()
    });
    let line = seen.all().remove(0);
    let refusal: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(refusal["account"], "ci", "{refusal}");
    assert_eq!(refusal["missing"][0], "items:read", "{refusal}");
    tail.kill().unwrap();
    tail.wait().unwrap();
}
