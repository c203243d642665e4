//! What `README.md` says is so: its commands run, its policy compiles, its answers come, its table is
//! the tree of commands, and links in all our pages lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Behaviour, Lines, Upstream};

/// A fenced block: the heading it stands under, its language, its text.
struct Block {
    heading: String,
    language: String,
    text: String,
}

fn readme() -> String {
    fs::read_to_string("README.md").unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut heading = "";
    let mut open = false;
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            open = !open;
            if open {
                blocks.push(Block {
                    heading: heading.to_owned(),
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text += line;
            block.text.push('\n');
        } else if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        }
    }
    blocks
}

fn under<'b>(blocks: &'b [Block], heading: &str) -> Vec<&'b Block> {
    let found: Vec<_> = blocks.iter().filter(|b| b.heading == heading).collect();
    assert!(!found.is_empty(), "nothing stands under `{heading}`");
    found
}

const GUIDE: &str = "Five minutes with your own API";
const SHADOW: &str = "Switch it on without fear";
const IMPORT: &str = "From an OpenAPI description";
const LIFE: &str = "The life of an integration";

/// A description such as a reader may have.
const DESCRIPTION: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "Pets", "version": "1" },
  "paths": {
    "/pets": { "get": { "tags": ["pets"] }, "post": { "tags": ["pets"] } },
    "/pets/{pet}": { "delete": { "tags": ["pets"], "operationId": "removePet" } }
  }
}"#;

/// Every `sh` block is one of these, so that no command is left unrun.
#[test]
fn every_command_stands_under_a_heading_whose_commands_are_run() {
    for block in blocks(&readme()).iter().filter(|b| b.language == "sh") {
        // `remote` runs what is done from elsewhere.
        let elsewhere = "Manage it from elsewhere";
        // `store` copies a store, asks how it is, and puts the copy back.
        let keeping = "Keep the store";
        let known = [
            "See it work",
            "Pass the tests",
            GUIDE,
            LIFE,
            SHADOW,
            IMPORT,
            elsewhere,
            keeping,
        ];
        let heading = block.heading.as_str();
        assert!(
            known.contains(&heading),
            "who runs what is under `{heading}`?"
        );
    }
}

/// The demo itself is run by `cli`, and in a release build by `tests/run`.
#[test]
fn the_two_main_commands_are_what_they_say() {
    let blocks = blocks(&readme());
    let only = |heading: &str| under(&blocks, heading)[0].text.trim().to_owned();
    let run = fs::read_to_string("tests/run").unwrap();
    assert_eq!(only("See it work"), "cargo run --release -- demo");
    assert!(run.contains("cargo run --locked --release -- demo --check"));
    assert_eq!(only("Pass the tests"), "tests/run");
    assert!(run.contains("--long"));
    let status = Command::new("bash").args(["-n", "tests/run"]).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_guide_works_as_it_is_printed() {
    let mut reader = Reader::new();
    for block in under(&blocks(&readme()), GUIDE) {
        match block.language.as_str() {
            "sh" => block.text.lines().for_each(|line| reader.does(line)),
            "yaml" => reader.writes_policy(&block.text),
            "json" => reader.has_seen(&block.text),
            other => panic!("what is a reader to do with a block of `{other}`?"),
        }
    }
    assert!(
        reader.server.is_none(),
        "the guide ends with the server's end"
    );
    assert!(reader.ran > 12, "only {} commands were run", reader.ran);
}

/// With the policy of the guide, as it says.
#[test]
fn an_integration_lives_as_it_is_printed() {
    let mut reader = Reader::new();
    let blocks = blocks(&readme());
    reader.does("portcullis init --upstream http://127.0.0.1:3000");
    let policy = under(&blocks, GUIDE);
    let policy = policy
        .iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    reader.writes_policy(&policy.text);
    for block in under(&blocks, LIFE) {
        match block.language.as_str() {
            "sh" => block.text.lines().for_each(|line| reader.does(line)),
            "text" => reader.has_seen_table(&block.text),
            other => panic!("what is a reader to do with a block of `{other}`?"),
        }
    }
    assert!(reader.server.is_none() && reader.ran > 15);
}

/// Before an API that nobody has a credential for.
#[test]
fn it_is_switched_on_as_it_is_printed() {
    let mut reader = Reader::new();
    reader.does("portcullis init --upstream http://127.0.0.1:3000");
    for block in under(&blocks(&readme()), SHADOW) {
        match block.language.as_str() {
            "sh" => block.text.lines().for_each(|line| reader.does(line)),
            "yaml" => reader.adds_settings(&block.text),
            other => panic!("what is a reader to do with a block of `{other}`?"),
        }
    }
    assert!(reader.server.is_none() && reader.ran > 6);
}

#[test]
fn a_description_is_imported_as_it_is_printed() {
    let mut reader = Reader::new();
    fs::write(reader.folder.path().join("api.json"), DESCRIPTION).unwrap();
    for block in under(&blocks(&readme()), IMPORT) {
        block.text.lines().for_each(|line| reader.does(line));
    }
    assert!(reader.server.is_none() && reader.ran > 5);
    let exported = fs::read_to_string(reader.folder.path().join("openapi.json")).unwrap();
    let exported: Value = serde_json::from_str(&exported).unwrap();
    let needs = &exported["paths"]["/pets/{pet}"]["delete"]["security"][0]["portcullis"][0];
    assert_eq!(needs, "pets:edit");
}

/// Whoever does not write a policy of his own at once has one that works.
#[test]
fn the_first_files_serve_as_they_are() {
    let mut reader = Reader::new();
    for line in [
        "portcullis init --upstream http://127.0.0.1:3000",
        "portcullis check",
        "portcullis serve &",
        "portcullis accounts create ci --role reader",
        "portcullis keys create ci -o json",
        "KEY=pck_…:pcs_…",
        "curl -su $KEY -d grant_type=client_credentials http://127.0.0.1:7080/oauth/token",
        "TOKEN=…",
        "curl -i -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:7080/v1/things",
        "curl -s -X POST -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:7080/v1/things",
    ] {
        reader.does(line);
    }
    assert_eq!(reader.json()["missing"], serde_json::json!(["things:edit"]));
}

/// Somebody who follows the guide in an empty folder, with an API of his own.
struct Reader {
    folder: TempDir,
    upstream: Upstream,
    /// What the guide writes, and what stands for it here, because its ports may be taken.
    here: Vec<(&'static str, String)>,
    variables: BTreeMap<String, String>,
    server: Option<Child>,
    last: String,
    ran: usize,
}

impl Reader {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let binary = env!("CARGO_BIN_EXE_portcullis");
        std::os::unix::fs::symlink(binary, bin.join("portcullis")).unwrap();
        let upstream = Upstream::start();
        upstream.behave(Behaviour::json("[]"));
        let free: Vec<_> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let free = |place: usize| free[place].local_addr().unwrap().to_string();
        Self {
            here: vec![
                ("http://127.0.0.1:3000", upstream.url()),
                ("127.0.0.1:7080", free(0)),
                ("127.0.0.1:7090", free(1)),
            ],
            folder,
            upstream,
            variables: BTreeMap::new(),
            server: None,
            last: String::new(),
            ran: 0,
        }
    }

    fn here(&self, text: &str) -> String {
        let replace = |text: String, (there, here): &(&str, String)| text.replace(there, here);
        self.here.iter().fold(text.to_owned(), replace)
    }

    /// Types one line, and looks at what its comment promises.
    fn does(&mut self, line: &str) {
        self.ran += 1;
        let (command, promise) = line.split_once("  #").unwrap_or((line, ""));
        let (command, promise) = (command.trim(), promise.trim());
        match command {
            // Here the binary is there already, and one that was built a moment ago.
            "cargo install --path ." => {}
            "portcullis serve &" => self.serves(),
            "KEY=pck_…:pcs_…" => {
                let made = self.json();
                let text = |name: &str| made[name].as_str().unwrap().to_owned();
                let pair = format!("{}:{}", text("id"), text("secret"));
                self.variables.insert("KEY".to_owned(), pair);
                self.here.push(("pck_…", text("id")));
            }
            "TOKEN=…" => {
                let token = self.json()["access_token"].as_str().unwrap().to_owned();
                self.variables.insert("TOKEN".to_owned(), token);
            }
            "ID=…" => {
                let id = self.json()["request_id"].as_str().unwrap().to_owned();
                self.variables.insert("ID".to_owned(), id);
            }
            command if command.starts_with(". ./") => {
                let file = self.folder.path().join(command.trim_start_matches(". "));
                for line in fs::read_to_string(file).unwrap().lines() {
                    let line = line.strip_prefix("export ").unwrap();
                    let (name, value) = line.split_once('=').unwrap();
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
            }
            "OLD=$PORTCULLIS_KEY_ID" => {
                let id = self.variables["PORTCULLIS_KEY_ID"].clone();
                self.variables.insert("OLD".to_owned(), id);
            }
            // Whoever follows the guide copies it from what was printed.
            command if command.starts_with("portcullis accounts grant") => {
                let first = self
                    .last
                    .lines()
                    .find(|line| line.starts_with("  portcullis "));
                assert_eq!(first.map(str::trim), Some(command), "{}", self.last);
                self.types(command, promise);
            }
            command => self.types(command, promise),
        }
        self.is_as_told(command);
    }

    fn types(&mut self, command: &str, promise: &str) {
        let output = self.shell(&self.here(command)).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let code = i32::from(promise.starts_with("no"));
        assert_eq!(output.status.code(), Some(code), "{command}: {told}");
        self.last = String::from_utf8(output.stdout).unwrap();
        if promise == "decided differently now" {
            assert!(self.last.contains("decided differently"), "{}", self.last);
        }
        if promise == "401" {
            assert_eq!(self.json()["status"], 401);
        }
        if promise.starts_with("no:") {
            let begin = promise.trim_end_matches('…');
            assert!(self.last.starts_with(begin), "{command}: {}", self.last);
        }
    }

    /// What the text around a command says of it.
    fn is_as_told(&mut self, command: &str) {
        let words: Vec<_> = command.split_whitespace().take(3).collect();
        match words.as_slice() {
            ["portcullis", "init", ..] => {
                let settings = self.folder.path().join("portcullis.yaml");
                let text = fs::read_to_string(&settings).unwrap();
                assert!(text.contains(&self.upstream.url()), "{text}");
                fs::write(&settings, self.here(&text)).unwrap();
            }
            ["curl", "-i", ..] => {
                let answered = self.last.starts_with("HTTP/1.1 200") && self.last.ends_with("[]");
                assert!(answered, "{}", self.last);
            }
            ["curl", "-s", "-X"] if self.variables.contains_key("ID") => {
                assert_eq!(self.last, "[]", "it was granted a moment ago");
            }
            ["portcullis", "keys", "expire"] if command.contains("pck_") => {
                let revoked = "curl -s -H \"Authorization: Bearer $TOKEN\" \
                               http://127.0.0.1:7080/v1/tenants/acme/devices";
                self.types(revoked, "");
                assert_eq!(self.json()["status"], 401);
            }
            ["curl", "-s", url] if url.ends_with("/metrics") => {
                assert!(self.last.contains("portcullis_"), "{}", self.last);
            }
            ["portcullis", "drain"] => {
                let status = self.server.take().unwrap().wait().unwrap();
                assert!(status.success(), "{status}");
            }
            _ => {}
        }
    }

    fn writes_policy(&self, text: &str) {
        fs::write(self.folder.path().join("policies/api.yaml"), text).unwrap();
    }

    fn adds_settings(&self, text: &str) {
        let settings = self.folder.path().join("portcullis.yaml");
        let before = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, before + text).unwrap();
    }

    /// The last answer is the one printed, but for ids.
    fn has_seen(&self, text: &str) {
        let printed: Value = serde_json::from_str(text).unwrap();
        let (printed, seen) = (printed.as_object().unwrap(), self.json());
        let names = |object: &serde_json::Map<String, Value>| -> Vec<String> {
            object.keys().cloned().collect()
        };
        assert_eq!(names(printed), names(seen.as_object().unwrap()));
        for (name, value) in printed {
            let same = match value.as_str().and_then(|text| text.strip_suffix('…')) {
                Some(begin) => seen[name].as_str().unwrap().starts_with(begin),
                None => seen[name] == *value,
            };
            assert!(same, "`{name}` is {}, not {value}", seen[name]);
        }
    }

    /// The last table is the one printed, but for what is another every time.
    fn has_seen_table(&self, text: &str) {
        let words = |text: &str| -> Vec<Vec<String>> {
            let lines = text.lines().map(|line| {
                let words = line.split_whitespace().map(str::to_owned);
                words.collect::<Vec<_>>()
            });
            lines.collect()
        };
        let (printed, seen) = (words(text), words(&self.last));
        assert_eq!(printed.len(), seen.len(), "{}", self.last);
        for (printed, seen) in printed.iter().zip(&seen) {
            let mut left = seen.iter();
            for word in printed {
                // What was left out may be any number of words.
                let found = match word.split_once('…') {
                    Some(("", _)) => true,
                    Some((begin, _)) => left.any(|seen| seen.starts_with(begin)),
                    None => left.any(|seen| seen == word),
                };
                assert!(found, "no `{word}` in {seen:?}");
            }
        }
    }

    fn json(&self) -> Value {
        let error = |error| panic!("{error}: {}", self.last);
        serde_json::from_str(&self.last).unwrap_or_else(error)
    }

    fn serves(&mut self) {
        let mut child = self
            .shell("exec portcullis serve")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stderr.take().unwrap());
        self.server = Some(child);
        lines.wait("the gateway to be ready", |lines| {
            let ready = |line: &String| line.contains("\"ready\"");
            lines.iter().any(ready).then_some(())
        });
    }

    fn shell(&self, command: &str) -> Command {
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env("XDG_RUNTIME_DIR", folder)
            .env_remove("PORTCULLIS_CONFIG")
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        shell
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The pages of the manual are made from the tree of commands, one each.
#[test]
fn the_table_of_commands_is_the_tree() {
    let folder = TempDir::new().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["-q", "man", "--dir"])
        .arg(folder.path())
        .status();
    assert!(status.unwrap().success());
    let mut tree = BTreeSet::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".1").unwrap();
        let is_help = name.split('-').any(|word| word == "help");
        if let Some(command) = name.strip_prefix("portcullis-").filter(|_| !is_help) {
            tree.insert(command.to_owned());
        }
    }
    // A noun alone is not a command to type.
    let nouns: BTreeSet<_> = tree
        .iter()
        .filter_map(|command| command.split_once('-'))
        .map(|(noun, _)| noun.to_owned())
        .filter(|noun| tree.contains(noun))
        .collect();
    let tree: BTreeSet<_> = tree.difference(&nouns).cloned().collect();

    let readme = readme();
    let (_, table) = readme.split_once("## Commands").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed = BTreeSet::new();
    for row in rows.take_while(|row| !row.starts_with('-')) {
        let (cell, _) = row.split_once(" |").unwrap();
        for span in cell
            .split('`')
            .filter(|span| span.trim() != "," && !span.is_empty())
        {
            listed.extend(commands(span));
        }
    }
    assert_eq!(listed, tree);
}

/// `accounts create, list` are two commands; `can-i METHOD PATH --as ACCOUNT` is one.
fn commands(span: &str) -> Vec<String> {
    let plain = |word: &&str| {
        word.chars()
            .all(|c| c.is_ascii_lowercase() || c == '-' || c == ',')
    };
    let words: Vec<_> = span
        .split_whitespace()
        .take_while(|word| plain(word) && !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        [command] => vec![(*command).to_owned()],
        [noun, verbs @ ..] => verbs
            .iter()
            .map(|verb| format!("{noun}-{}", verb.trim_end_matches(',')))
            .collect(),
        [] => panic!("`{span}` is no command"),
    }
}

/// A frame that is off by one is the first thing everybody sees.
#[test]
fn the_picture_is_aligned() {
    let blocks = blocks(&readme());
    let picture = blocks
        .iter()
        .find(|block| block.language == "text")
        .unwrap();
    let lines: Vec<Vec<char>> = picture.text.lines().map(|l| l.chars().collect()).collect();
    let place = |line: &[char], corner: char| line.iter().position(|c| *c == corner);
    let top = lines
        .iter()
        .position(|line| place(line, '┐').is_some())
        .unwrap();
    let bottom = lines
        .iter()
        .rposition(|line| line.last() == Some(&'┘') && place(line, '└').is_some());
    let (left, right) = (
        place(&lines[top], '┌').unwrap(),
        place(&lines[top], '┐').unwrap(),
    );
    for line in &lines[top..=bottom.unwrap()] {
        let text: String = line.iter().collect();
        assert!("┌│┼├└◀".contains(line[left]), "the left side of `{text}`");
        assert!("┐│┼┤┘".contains(line[right]), "the right side of `{text}`");
    }
}

#[test]
fn links_in_our_pages_lead_somewhere() {
    let mut pages = Vec::new();
    find_pages(Path::new("."), &mut pages);
    assert!(pages.len() > 5, "{pages:?}");
    let mut dead = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let (target, _) = link.split_once(')').unwrap_or((link, ""));
            let file = target.split('#').next().unwrap_or_default();
            let folder = page.parent().unwrap();
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

fn find_pages(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                find_pages(&path, pages);
            }
        } else if path.extension().is_some_and(|kind| kind == "md") {
            pages.push(path);
        }
    }
}
