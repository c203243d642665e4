//! The scoreboard: every row with its result, as a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::rows::{Protocol, Row};
use super::run::Played;

const PAGE: &str = "tests/SCOREBOARD.md";

/// Set to write the page instead of comparing it.
const UPDATE: &str = "PORTCULLIS_UPDATE";

/// The days of the long runs, by the row that was run at full size. Written by those runs.
pub(super) fn long_runs() -> BTreeMap<String, String> {
    let text = fs::read_to_string("tests/conformance/long-runs.yaml").unwrap();
    let days: Option<_> =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("long-runs.yaml: {error}"));
    days.unwrap_or_default()
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Green,
    /// It holds at the size every run has; nobody has run it at full size yet.
    Short,
    Red,
}

impl State {
    fn of(row: &Row, long_runs: &BTreeMap<String, String>) -> Self {
        if row.red.is_some() {
            Self::Red
        } else if row.long.is_some() && !long_runs.contains_key(&row.id) {
            Self::Short
        } else {
            Self::Green
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Short => "green, short only",
            Self::Red => "**red**",
        }
    }
}

/// How many of a section there are.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    rows: usize,
    green: usize,
    /// Green, and not run at full size yet.
    short: usize,
    red: usize,
    runs: usize,
    tests: usize,
}

const SECTIONS: [(char, &str); 7] = [
    (
        'A',
        "Request target: what is authorized is what is forwarded",
    ),
    ('B', "Message framing and HTTP/2"),
    ('C', "Headers and credentials"),
    ('D', "Tokens"),
    ('E', "Keys, tokens and their end"),
    ('F', "Availability"),
    ('G', "Operators, and what they change"),
];

/// Says how many rows of each section hold, and keeps the page as it is.
pub(super) fn publish(rows: &[Row], played: &BTreeMap<String, Played>) {
    let long_runs = long_runs();
    let sums = sums(rows, played, &long_runs);
    println_table(&sums);
    let page = page(rows, played, &sums, &long_runs);
    let updates = std::env::var_os(UPDATE).is_some_and(|value| value != "0");
    if updates {
        fs::write(PAGE, page).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
        return;
    }
    let found = fs::read_to_string(PAGE).unwrap_or_default();
    let differs = found
        .lines()
        .zip(page.lines())
        .find(|(found, made)| found != made);
    assert!(
        found == page,
        "{PAGE} is not what the rows say (first at {differs:?}): run again with {UPDATE}=1"
    );
}

#[expect(
    clippy::print_stdout,
    reason = "the summary is for whoever runs the rows"
)]
fn println_table(sums: &[(char, &str, Sum)]) {
    println!("section   rows  green  short  red  runs  tests");
    for (letter, _, sum) in sums {
        let Sum {
            rows,
            green,
            short,
            red,
            runs,
            tests,
        } = sum;
        println!("{letter:<8} {rows:>5} {green:>6} {short:>6} {red:>4} {runs:>5} {tests:>6}");
    }
}

fn sums(
    rows: &[Row],
    played: &BTreeMap<String, Played>,
    long_runs: &BTreeMap<String, String>,
) -> Vec<(char, &'static str, Sum)> {
    let sections = SECTIONS.iter().map(|(letter, title)| {
        let mut sum = Sum::default();
        for row in rows.iter().filter(|row| row.id.starts_with(*letter)) {
            sum.rows += 1;
            sum.runs += played.get(&row.id).map_or(0, |played| played.runs);
            sum.tests += row.kept_by.len();
            match State::of(row, long_runs) {
                State::Green => sum.green += 1,
                State::Short => sum.short += 1,
                State::Red => sum.red += 1,
            }
        }
        (*letter, *title, sum)
    });
    sections.collect()
}

fn page(
    rows: &[Row],
    played: &BTreeMap<String, Played>,
    sums: &[(char, &str, Sum)],
    long_runs: &BTreeMap<String, String>,
) -> String {
    let mut page = String::from(
        "# Scoreboard\n\n\
         What a client, an upstream or a network may try, and what comes of it. Written by `PORTCULLIS_UPDATE=1 cargo test --test\n\
         capabilities conformance`, and compared by every other run. The rows are data in `tests/conformance/`, whose README says how to\n\
         read them and what their classes mean. \"Short only\" is what holds at the size every run has, and has not been run at the full\n\
         size it names.\n\n\
         | section | rows | green | green, short only | red | cases × protocols | tests in Rust |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (letter, title, sum) in sums {
        let Sum {
            rows,
            green,
            short,
            red,
            runs,
            tests,
        } = sum;
        let _ = writeln!(
            page,
            "| {letter}: {title} | {rows} | {green} | {short} | {red} | {runs} | {tests} |"
        );
    }
    let red: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, row.red.as_ref()?)))
        .collect();
    if !red.is_empty() {
        page += "\n## Red\n\n";
        for (row, why) in red {
            let _ = writeln!(page, "* **{}** ({}): {why}", row.id, row.class.words());
        }
    }
    for (letter, title, _) in sums {
        let _ = write!(
            page,
            "\n## {letter}. {title}\n\n| id | what is tried, and what comes of it | class | result | shown by |\n|---|---|---|---|---|\n"
        );
        for row in rows.iter().filter(|row| row.id.starts_with(*letter)) {
            let result = State::of(row, long_runs).words();
            let holds = row
                .holds
                .as_ref()
                .map(|holds| format!(" *Here:* {holds}"))
                .unwrap_or_default();
            let _ = writeln!(
                page,
                "| {} | {}{} | {} | {result} | {} |",
                row.id,
                cell(&row.title),
                cell(&holds),
                row.class.words(),
                cell(&how(row, played.get(&row.id), long_runs)),
            );
        }
    }
    page
}

fn cell(text: &str) -> String {
    text.trim_end().replace('|', "\\|").replace('\n', " ")
}

/// What shows that a row holds.
fn how(row: &Row, played: Option<&Played>, long_runs: &BTreeMap<String, String>) -> String {
    let mut parts = Vec::new();
    if let Some(played) = played.filter(|played| played.runs > 0) {
        let names = played.protocols.iter().map(|protocol| match protocol {
            Protocol::Http1 => "h1",
            Protocol::Http1Tls => "h1 TLS",
            Protocol::Http2 => "h2",
            Protocol::Http2Tls => "h2 TLS",
        });
        let runs = played.runs;
        parts.push(format!(
            "{runs} runs ({})",
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    parts.extend(row.kept_by.iter().map(|test| format!("`{test}`")));
    if let Some(long) = &row.long {
        parts.push(match long_runs.get(&row.id) {
            Some(day) => format!("at full size ({long}) last on {day}"),
            None => format!("at full size ({long}) not yet"),
        });
    }
    parts.join("; ")
}

/// Says whether `test`, as `module::name`, is a test in the sources that every run has: one that is
/// ignored or left out of some builds shows nothing.
pub(super) fn is_a_test(test: &str, sources: &[(String, String)]) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
    let module = module.strip_suffix("::tests").unwrap_or(module);
    let marked = |text: &str| {
        let lines: Vec<_> = text.lines().collect();
        let is_it = |line: &str| {
            let line = line.trim_start();
            line.starts_with(&format!("fn {name}("))
                || line.starts_with(&format!("async fn {name}("))
        };
        lines
            .iter()
            .enumerate()
            .any(|(number, line)| is_it(line) && is_run(&lines[..number]))
    };
    sources
        .iter()
        .any(|(own, text)| own == module && marked(text))
}

/// Says whether the attributes at the end of `above` are those of a test that every run has.
fn is_run(above: &[&str]) -> bool {
    let ends = |line: &str| line.is_empty() || line.ends_with(['{', '}', ';']);
    let lines = above.iter().rev().map(|line| line.trim());
    let attributes: Vec<_> = lines
        .take_while(|line| !ends(line))
        .filter_map(|line| line.strip_prefix("#["))
        .collect();
    let has = |words: &[&str]| {
        let is_one = |line: &&str| words.iter().any(|word| line.starts_with(word));
        attributes.iter().any(is_one)
    };
    has(&["test", "tokio::test"]) && !has(&["ignore", "cfg"])
}

#[test]
fn only_what_every_run_has_is_a_test() {
    let is = |above: &str| is_run(&above.lines().collect::<Vec<_>>());
    for above in [
        "#[test]",
        "}\n\n/// Why.\n#[tokio::test]\n#[expect(\n    x\n)]",
    ] {
        assert!(is(above), "{above}");
    }
    for above in [
        "#[test]\n#[ignore = \"slow\"]",
        "#[cfg(unix)]\n#[test]",
        "#[test]\n#[cfg_attr(miri, ignore)]",
        "#[test]\nfn other() {}",
        "#[test]\n\n/// Helps.",
        "",
    ] {
        assert!(!is(above), "{above}");
    }
}

/// Every source file of the product and its tests, by its module.
pub(super) fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for root in ["src", "tests"] {
        collect(Path::new(root), root, &mut sources);
    }
    sources
}

fn collect(folder: &Path, root: &str, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, root, sources);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let inner = path.strip_prefix(root).unwrap().with_extension("");
            let module = inner.to_string_lossy().replace('/', "::");
            let module = module
                .strip_suffix("::tests")
                .or(module.strip_suffix("::mod"))
                .unwrap_or(&module);
            sources.push((module.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}
