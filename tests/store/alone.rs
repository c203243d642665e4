//! One process has the store, whatever it is and by whatever name it knows it (F31).

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::told;
use crate::harness::{Files, Fixture, Gateway, Upstream, long, until};

/// A line for each command that touches the store when no server answers.
const OFFLINE: &[&str] = &[
    "accounts apply -f TEAM",
    "accounts create x",
    "accounts delete ci --yes",
    "accounts disable ci",
    "accounts enable ci",
    "accounts grant ci --role reader",
    "accounts list",
    "accounts show ci",
    "accounts ungrant ci --role reader",
    "accounts update ci --description x",
    "audit anchor",
    "audit export",
    "audit list",
    "audit tail",
    "audit verify",
    "can-i GET /v1/items/7 --as ci",
    "denials list",
    "denials tail",
    "denials top",
    "explain GET /v1/items/7 --as ci",
    "groups add g ci",
    "groups create g",
    "groups delete g --yes",
    "groups grant g --role reader",
    "groups list",
    "groups remove g ci",
    "groups show g",
    "groups ungrant g --role reader",
    "keys create ci",
    "keys expire KEY",
    "keys import ci --sha256 0000000000000000000000000000000000000000000000000000000000000000",
    "keys list",
    "keys rotate KEY",
    "keys update KEY --description x",
    "permissions list",
    "permissions who items:read",
    "roles create r --permission items:read",
    "roles delete r --yes",
    "roles list",
    "roles show reader",
    "roles update r --description x",
    "routes export",
    "routes list",
    "routes match GET /v1/items/7",
    "routes matrix",
    "routes overlaps",
    "serve",
    "status",
    "store backup BACKUP.new",
    "store migrate",
    "store restore BACKUP --yes",
    "store status",
    "tokens inspect --token-file TOKEN",
    "tokens issue ci",
    "tokens keys",
    "tokens list",
    "tokens revoke 3kTMd8Z0xV1bQyLw7nPsHc",
    "tokens rotate-key",
    "reload",
    "drain",
];

/// Commands that have nothing to do with a store.
const ELSEWHERE: &[&str] = &[
    "check",
    "completions",
    "contexts list",
    "contexts use",
    "demo",
    "init",
    "login",
    "logout",
    "man",
    "routes import",
    "schema",
    "version",
    "whoami",
];

/// The commands there are, by the pages of the manual.
fn commands(files: &Files) -> BTreeSet<String> {
    let folder = files.path("man");
    told(files, &format!("man --dir {}", folder.display()), 0);
    let pages = fs::read_dir(folder).unwrap();
    let pages = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = pages
        .map(|page| page.trim_end_matches(".1").to_owned())
        .collect();
    let has_parts = |page: &String| {
        let part = format!("{page}-");
        pages.iter().any(|other| other.starts_with(&part))
    };
    let leaves = pages.iter().filter(|page| !has_parts(page));
    let commands = leaves.filter_map(|page| page.strip_prefix("portcullis-"));
    commands.map(str::to_owned).collect()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one server, asked by each command in turn"
)]
fn every_command_beside_a_server_that_does_not_answer_is_told_who_has_the_store() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).settings("# no way in").start();
    let key = gateway.account("ci", &["reader"]);
    let backup = gateway.files().path("b.db");
    told(
        gateway.files(),
        &format!("store backup {}", backup.display()),
        0,
    );
    let files = gateway.files();
    let settings = fs::read_to_string(files.config()).unwrap();
    files.write(
        "portcullis.yaml",
        &settings.replace("control: control.sock", "control: off"),
    );
    files.write("TEAM", "accounts: {}\n");
    files.write("TOKEN", "x\n");
    let spelled = |line: &str| -> String {
        let words = line.split_whitespace();
        let words =
            words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        words.collect::<Vec<_>>().join("-")
    };
    for command in commands(files) {
        let known = OFFLINE.iter().chain(ELSEWHERE).any(|line| {
            let line = spelled(line);
            line == command || line.starts_with(&format!("{command}-"))
        });
        assert!(known, "`{command}`: give it a line in OFFLINE or ELSEWHERE");
    }
    // A quarter of them in the ordinary run: each waits two seconds for the lock.
    let chosen = OFFLINE
        .iter()
        .enumerate()
        .filter(|(place, _)| long::is_long() || place % 4 == 0);
    let lines: Vec<_> = chosen.map(|(_, line)| *line).collect();
    let always = [
        "serve",
        "store restore BACKUP --yes",
        "store migrate",
        "keys expire KEY",
        "status",
    ];
    let lines: BTreeSet<_> = lines.into_iter().chain(always).collect();
    let holder = format!("is in use by process {}", gateway.id());
    let tried: Vec<_> = lines
        .iter()
        .map(|line| {
            let line = line
                .replace("KEY", &key.id)
                .replace("BACKUP", backup.to_str().unwrap());
            let line = ["TEAM", "TOKEN"].iter().fold(line, |line, name| {
                line.replace(name, files.path(name).to_str().unwrap())
            });
            let child = files
                .command(&line.split_whitespace().collect::<Vec<_>>())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            (line, child.unwrap())
        })
        .collect();
    for (line, child) in tried {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.contains(&holder), "{line}: {said}");
    }
}

#[test]
fn a_server_does_not_start_beside_a_command_that_has_the_store() {
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    told(&files, "accounts create ci", 0);
    let mut tail = files
        .command(&["audit", "export", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Whoever is not heard any more ends.
    let mut heard = BufReader::new(tail.stdout.take().unwrap());
    heard.read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    let said = told(&files, "serve", 3).1;
    assert!(
        said.contains(&format!("is in use by process {}", tail.id())),
        "{said}"
    );
    tail.kill().unwrap();
    tail.wait().unwrap();
    drop(Gateway::start(files));
}

#[test]
fn the_same_file_by_another_name_is_the_same_store() {
    let upstream = Upstream::start();
    let gateway = Fixture::new(&upstream).start();
    gateway.account("ci", &["reader"]);
    let files = gateway.files();
    let settings = fs::read_to_string(files.config()).unwrap();
    let other = files.path("other");
    fs::create_dir(&other).unwrap();
    let (real, pepper) = (
        files.path("portcullis.db"),
        files.path("portcullis.db.pepper"),
    );
    let mut names = vec![
        ("symbolic.db", "is in use by process"),
        ("hard.db", "by another name"),
    ];
    std::os::unix::fs::symlink(&real, other.join("symbolic.db")).unwrap();
    fs::hard_link(&real, other.join("hard.db")).unwrap();
    let bound = Bound::of(&real, &other.join("bound.db"));
    match &bound {
        Some(_) => names.push(("bound.db", "by another name")),
        None => long::skipped("a store that is bound to another place (mounting is not allowed)"),
    }
    for (name, words) in names {
        let more = format!("pepper: {}\nstore: sqlite:other/{name}", pepper.display());
        let settings = settings.replace("store: sqlite:portcullis.db", &more);
        files.write(
            "portcullis.yaml",
            &settings.replace("control: control.sock", "control: off"),
        );
        for command in ["serve", "accounts list", "store status"] {
            let said = told(files, command, 3).1;
            assert!(said.contains(words), "{name}, {command}: {said}");
        }
    }
    files.write("portcullis.yaml", &settings);
    let listed = gateway.json(&["accounts", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

/// One file mounted at another place.
struct Bound(std::path::PathBuf);

impl Bound {
    fn of(file: &Path, place: &Path) -> Option<Self> {
        fs::write(place, "").unwrap();
        let mounted = Command::new("mount")
            .arg("--bind")
            .arg(file)
            .arg(place)
            .output();
        mounted.ok()?.status.success().then(|| Self(place.into()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        until("the mount to be let go", crate::harness::PATIENCE, || {
            let gone = Command::new("umount").arg(&self.0).output();
            gone.is_ok_and(|gone| gone.status.success())
        });
    }
}
