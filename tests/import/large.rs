//! A description of twelve thousand operations and twenty megabytes: all of it is imported, and compiles.
//! How long that takes and what memory it needs is held to in the long run of a release build.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis::import::openapi::Options;
use tempfile::TempDir;

use super::{decided, import};
use crate::harness::{long, tool};

/// Longest an import of it may take, in seconds.
const SECONDS_MAX: f64 = 3.0;
/// Longest a check of what comes of it may take, in seconds.
const CHECK_SECONDS_MAX: f64 = 2.0;
/// Most memory either may take, in kibibytes: 500 MB.
const MEMORY_KIB_MAX: u64 = 500_000_000 / 1024;

/// Two operations a path, with responses as published descriptions write them out.
fn description(operations: usize) -> String {
    let properties: Vec<_> = (0..28)
        .map(|number| {
            format!("\"p{number}\":{{\"type\":\"string\",\"description\":\"What it is\"}}")
        })
        .collect();
    let schema = format!(
        "{{\"type\":\"object\",\"properties\":{{{}}}}}",
        properties.join(",")
    );
    let mut text = "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Large\"},\"paths\":{".to_owned();
    for number in 0..operations / 2 {
        let comma = if number == 0 { "" } else { ",\n" };
        write!(
            text,
            "{comma}\"/kind{}/{{id}}/part{number}/{{part-id}}\":{{",
            number % 400
        )
        .unwrap();
        for (method, comma) in [("get", ","), ("patch", "}")] {
            write!(
                text,
                "\"{method}\":{{\"operationId\":\"{method}.{number}\",\"tags\":[\"kind{}\"],\"parameters\":[{{\"name\":\"id\",\"in\":\"path\"}}],\
                 \"responses\":{{\"200\":{{\"content\":{{\"application/json\":{{\"schema\":{schema}}}}}}}}}}}{comma}",
                number % 400
            )
            .unwrap();
        }
    }
    text + "}}"
}

#[test]
fn twelve_thousand_operations_are_imported_and_compile() {
    let operations = long::sized(1_200, 12_000);
    let text = description(operations);
    let imported = import("large.json", &text, &Options::default()).unwrap();
    assert_eq!(imported.plan.routes.len(), operations);
    assert_eq!(imported.notes.count(), 0);
    let policy = decided(&imported.text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(policy.routes.len(), operations);
    if long::is_strict() {
        is_quick_and_small(&text);
    }
}

/// Imports with the binary that is shipped, and proves what comes of it.
fn is_quick_and_small(text: &str) {
    assert!(text.len() > 18_000_000, "{}", text.len());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("large.json"), text).unwrap();
    for (line, most) in [
        (
            "-q routes import large.json --write policies/large.yaml",
            SECONDS_MAX,
        ),
        ("-q check policies", CHECK_SECONDS_MAX),
    ] {
        let (seconds, memory) = taken(line, folder.path());
        let bytes = text.len();
        long::told(&format!(
            "{bytes} bytes, `{line}`: {seconds} s, {memory} KiB"
        ));
        assert!(seconds <= most, "{line}: {seconds} s");
        assert!(memory <= MEMORY_KIB_MAX, "{line}: {memory} KiB");
    }
}

/// How long a command took, in seconds, and how much memory, in kibibytes, as the system says.
fn taken(line: &str, folder: &Path) -> (f64, u64) {
    let script = "import resource, subprocess, sys, time; began = time.monotonic(); \
                  code = subprocess.run(sys.argv[1:]).returncode; took = time.monotonic() - began; \
                  print(took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)";
    let output = Command::new(tool("venv/bin/python"))
        .args(["-c", script])
        .arg(std::env::var_os("PORTCULLIS_TEST_BINARY").unwrap())
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let (seconds, memory) = told.trim().split_once(' ').unwrap();
    (seconds.parse().unwrap(), memory.parse().unwrap())
}

/// Starts the command on a terminal of its own, and prints what came to that.
const ON_A_TERMINAL: &str = "import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
";

/// C-10: a bar for who waits, and nothing of it in a log.
#[test]
fn a_long_import_shows_a_bar_on_a_terminal_and_leaves_nothing_of_it() {
    let folder = TempDir::new().unwrap();
    // Longer than a second in this build, and the bar comes after one.
    fs::write(folder.path().join("large.json"), description(12_000)).unwrap();
    let import = |before: &[&str]| {
        let words = [
            env!("CARGO_BIN_EXE_portcullis"),
            "routes",
            "import",
            "large.json",
        ];
        let words: Vec<_> = before
            .iter()
            .copied()
            .chain(words)
            .chain(["--write", "p.yaml", "--force"])
            .collect();
        let output = Command::new(words[0])
            .args(&words[1..])
            .current_dir(folder.path())
            .env("TERM", "xterm")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    let python = tool("venv/bin/python");
    let shown = import(&[python.to_str().unwrap(), "-c", ON_A_TERMINAL]);
    let (drawn, left) = shown.rsplit_once("\u{1b}[2K").unwrap_or_default();
    assert!(drawn.contains('█') && drawn.contains("/6000"), "{left:?}");
    assert!(
        !left.contains('█') && left.contains("12000 operations: "),
        "{left:?}"
    );
    let piped = import(&[]);
    assert!(!piped.contains(['█', '\r', '\u{1b}']), "{piped:?}");
    assert!(piped.contains("12000 operations: "), "{piped}");
}
