//! The same command on this machine and from elsewhere, about two things that are alike but for their
//! names: the answers are alike but for their names too.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value};

use super::Remote;

/// What stands for the names in a line.
const NAME: char = '@';
/// The names: as long as each other, so that tables are alike.
const HERE: &str = "one";
const THERE: &str = "two";

/// What a line came to.
#[derive(Debug, PartialEq)]
struct Came {
    code: Option<i32>,
    answer: Value,
}

struct Twins {
    remote: Remote,
    /// The last key that was made, here and there.
    keys: (String, String),
    /// What was not alike.
    apart: Vec<String>,
}

impl Twins {
    /// Runs `line` both ways. Fields that say who asked are not compared.
    fn run(&mut self, line: &str, input: Option<(&str, &str)>) {
        let line = format!("{line} -o json");
        let here = named(&line, HERE, &self.keys.0);
        let words: Vec<_> = here.split_whitespace().collect();
        let here = fed(
            self.remote.gateway.files().command(&words),
            input.map(|it| it.0),
        );
        let there = named(&line, THERE, &self.keys.1);
        let there = fed(self.remote.command(&there), input.map(|it| it.1));
        let (one, other) = (came(&here), came(&there));
        if one != other {
            self.apart
                .push(format!("{line}\n  here:  {one:?}\n  there: {other:?}"));
        }
        if let (Some(one), Some(other)) = (made(&here), made(&there)) {
            self.keys = (one, other);
        }
    }
}

/// The key that was made, if one was.
fn made(output: &Output) -> Option<String> {
    let value: Value = serde_json::from_slice(&output.stdout).ok()?;
    let id = value.get("id")?.as_str()?;
    id.starts_with("pck_").then(|| id.to_owned())
}

fn named(line: &str, name: &str, key: &str) -> String {
    line.replace(NAME, name).replace("KEY", key)
}

fn fed(mut command: Command, input: Option<&str>) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn came(output: &Output) -> Came {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Came {
        code: output.status.code(),
        answer: plain(answer),
    }
}

/// An answer without what differs: names, ids, moments, and who asked.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(word(&text)),
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(plain).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        Value::Object(fields) => {
            // Of a right that reaches over those of others it is told whom it concerns.
            let who = [
                "created_by",
                "actor",
                "last_used_from",
                "living_keys",
                "living_keys_total",
                // Every question is a record of its own.
                "records",
                "through",
            ];
            let kept = fields.into_iter().filter(|(name, _)| {
                !who.contains(&name.as_str())
                    && !name.starts_with("user.")
                    && !name.starts_with("portcullis.actor")
                    && !name.starts_with("client.")
                    && !name.starts_with("event.")
                    && !name.starts_with("process.")
                    && !name.starts_with("portcullis.request_id")
                    && !name.starts_with("portcullis.chain")
                    && name != "token"
            });
            let kept = kept.map(|(name, value)| (word(&name), plain(value)));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Number(number) => match number.as_u64() {
            // Seconds of an age, and moments in seconds.
            Some(number) if number > 1_000_000 => Value::from("a moment"),
            _ => Value::Number(number),
        },
        Value::Null | Value::Bool(_) => value,
    }
}

fn word(text: &str) -> String {
    let is_moment = text.len() >= 20 && text.starts_with("20") && text.ends_with('Z');
    for (begins, stands) in [
        ("pck_", "a key"),
        ("pcs_", "a secret"),
        ("sa_", "an id"),
        ("eyJ", "a token"),
    ] {
        if text.starts_with(begins) {
            return stands.to_owned();
        }
    }
    let is_id = text.len() == 22 && text.chars().all(|c| c.is_ascii_alphanumeric());
    match (is_moment, is_id) {
        (true, _) => "a moment".to_owned(),
        (_, true) => "an id".to_owned(),
        _ => text.replace(HERE, "@").replace(THERE, "@"),
    }
}

/// `@` is the name, `KEY` the key that was made last.
const LINES: &[&str] = &[
    "roles create @-role --description R --permission items:read --api-access true",
    "roles create @-role --permission items:read",
    "roles update @-role --permission items:write --include reader",
    "roles update @-role --permission items:nope",
    "roles show @-role",
    "roles show @-none",
    "accounts create @ --description Builds --role reader --allow-from 127.0.0.0/8",
    "accounts create @",
    "accounts create @-x --role nope",
    "accounts create @-x --owner tenant=acme",
    "accounts update @ --description Other --allow-from-anywhere",
    "accounts grant @ --role @-role",
    "accounts grant @ --role nope",
    "accounts ungrant @ --role @-role",
    "accounts ungrant @ --role @-role",
    "accounts disable @",
    "accounts enable @",
    "accounts show @",
    "accounts delete @",
    "groups create @-crew --description C --role writer",
    "groups add @-crew @",
    "groups add @-crew nobody",
    "groups grant @-crew --role owner",
    "groups ungrant @-crew --role owner",
    "groups show @-crew",
    "groups remove @-crew @",
    "groups show @-none",
    "keys create @ --description runner --only items:read --expires 90d",
    "keys list @",
    "keys list @ --expiring 100d",
    "keys list @ --unused 1d",
    "keys update KEY --description other --all-permissions",
    "keys rotate KEY --overlap 1h",
    "keys list @ --limit 1",
    "keys expire KEY --at 2h",
    "keys expire KEY",
    "keys expire KEY --at 2h",
    "keys create @-none",
    "tokens issue @ --lifetime 5m --scope items:read",
    "tokens issue @ --scope items:nope",
    "tokens list @",
    "tokens revoke 3kTMd8Z0xV1bQyLw7nP@",
    "tokens keys",
    "routes list",
    "routes match GET /v1/items/7",
    "routes match GET /nope",
    "routes overlaps",
    "routes overlaps --incomparable",
    "routes matrix --account @",
    "routes matrix --by route --account @ --account root",
    "routes export",
    "permissions list",
    "permissions who items:read",
    "permissions who items:nope",
    "can-i GET /v1/items/7 --as @",
    "can-i DELETE /v1/items/7 --as @",
    "can-i GET /v1/items/7 --role reader",
    "can-i --list --as @",
    "can-i --list --role nope",
    "explain GET /v1/items/7 --as @ --from 10.0.0.1 --header X-Site:7",
    "explain GET /v1/items/7 --as nobody",
    "denials list --account @",
    "denials top --account @",
    "audit list --account @ --event account.disable",
    "audit list --account @ --since 1h --until 0s --limit 2",
    "audit verify",
    "groups delete @-crew --yes",
    "roles delete @-role --yes",
    "roles delete @-none --yes",
    "accounts delete @ --yes",
    "accounts show @",
    "roles list",
    "groups list",
    "accounts list",
    "reload",
];

#[test]
fn every_command_answers_the_same_on_the_machine_and_from_elsewhere() {
    let mut twins = Twins {
        remote: Remote::start(),
        keys: Default::default(),
        apart: Vec::new(),
    };
    for line in LINES {
        twins.run(line, None);
    }
    let digests = ("0a".repeat(32), "0b".repeat(32));
    twins.run("accounts create @", None);
    let digests = (digests.0.as_str(), digests.1.as_str());
    twins.run("keys import @", Some(digests));
    twins.run("keys import @", Some(digests));
    twins.run(
        "tokens inspect",
        Some(("eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30.")),
    );
    let file = twins.remote.gateway.files().path("team.yaml");
    std::fs::write(
        &file,
        "accounts:\n  filed: { grants: [{ role: reader }] }\n",
    )
    .unwrap();
    let apply = |more: &str| format!("accounts apply -f {} --set @ {more}", file.display());
    twins.run(&apply("--dry-run"), None);
    assert!(twins.apart.is_empty(), "{}", twins.apart.join("\n"));
}
