//! The house's rules that no compiler checks: who may import whom, what decisions keep their hands
//! off, and that every file says what it is for.
//!
//! Each fault names file, line and remedy. Rules clippy knows are in `Cargo.toml`, not here.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A module may use modules of its own layer and of the layers before it. A module of
/// `policy` or `store` may have a layer of its own.
const LAYERS: [&[&str]; 5] = [
    &["clock", "reason", "settings", "sync", "words", "yaml"],
    // Decisions: no I/O, no clock, no log.
    &[
        "credential",
        "decision",
        "explain",
        "head",
        "import",
        "policy",
        "request",
        "review",
        "schema",
        "source",
    ],
    // Memory and disk.
    &[
        "audit",
        "denials",
        "directory",
        "pem",
        "policy::folder",
        "policy::reload",
        "store",
        "throttle",
        "verify",
    ],
    // One request, one process.
    &[
        "admin",
        "connection",
        "forward",
        "gateway",
        "judge",
        "listener",
        "oauth",
        "record",
        "reject",
        "shutdown",
        "telemetry",
    ],
    // The shell.
    &["app", "cli", "main"],
];

/// Sideways steps that are not to be taken.
const APART: [(&str, &str, &str); 5] = [
    ("gateway", "store", "a request is answered from memory"),
    ("judge", "store", "a request is answered from memory"),
    ("forward", "store", "a request is answered from memory"),
    ("admin", "forward", "who manages does not forward"),
    ("oauth", "forward", "who gives out tokens does not forward"),
];

/// What the layer of decisions does not touch.
const HANDS_OFF: [&str; 12] = [
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "tokio::",
    "tracing::",
    "SystemTime",
    "Instant::now",
    "println!",
    ".await",
    "async fn",
];

/// Longest file, in lines without comments and unit tests: what one head holds.
const LINES_MAX: usize = 400;

/// Files that are longer, and how long they may be. The list may only shrink.
const LONG: &[(&str, usize)] = &[];

struct Source {
    /// Below the root, with `/` between.
    path: String,
    /// Its lines before the unit tests, with their numbers; comments are left out.
    code: Vec<(usize, String)>,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    let source = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file is text");
        let path = path.strip_prefix(root).expect("found below the root");
        Source {
            path: path.to_string_lossy().into_owned(),
            code: code(&text),
            text,
        }
    };
    paths.iter().map(source).collect()
}

/// The lines of code with their numbers: without comments, without unit tests.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = text.lines().collect();
    let is_test_mark = |number: usize| lines.get(number).is_some_and(|line| *line == TEST_MARK);
    let opens_tests = |number: usize| {
        let next = lines.get(number + 1).copied().unwrap_or_default();
        is_test_mark(number) && next.starts_with("mod ") && next.ends_with('{')
    };
    let end = (0..lines.len())
        .find(|number| opens_tests(*number))
        .unwrap_or(lines.len());
    let is_code = |number: &usize| {
        let marked = is_test_mark(*number) || (*number > 0 && is_test_mark(number - 1));
        !marked && !lines[*number].trim_start().starts_with("//")
    };
    let numbers = (0..end).filter(is_code);
    numbers
        .map(|number| (number + 1, lines[number].to_owned()))
        .collect()
}

const TEST_MARK: &str = "#[cfg(test)]";

/// Modules that are built for tests alone: those that stand below a mark, without a body.
fn test_modules(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().collect();
    let module = |pair: &[&str]| {
        let name = pair[1].split_once("mod ")?.1.strip_suffix(';')?;
        (pair[0] == TEST_MARK).then(|| format!("{}::{name}", module_of(&source.path)))
    };
    lines.windows(2).filter_map(module).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// `src/policy/reload.rs` is `policy::reload`.
fn module_of(path: &str) -> String {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.trim_end_matches("/mod").replace('/', "::")
}

/// Says whether `module` is `other`, or a part of it.
fn lies_in(module: &str, other: &str) -> bool {
    let rest = module.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The layer of the longest name in [`LAYERS`] that `module` is or lies in.
fn layer(module: &str) -> Option<usize> {
    let covers = |name: &&str| lies_in(module, name);
    let names = LAYERS.iter().enumerate().flat_map(|(layer, names)| {
        let names = names.iter().filter(|name| covers(name));
        names.map(move |name| (name.len(), layer))
    });
    names.max().map(|(_, layer)| layer)
}

/// Every module that a line of code names by `crate::`.
fn uses(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == ':'));
        rest.split_at(end.unwrap_or(rest.len()))
            .0
            .trim_end_matches(':')
    })
}

/// The modules of the product: not those for tests, and not the map.
fn modules() -> impl Iterator<Item = (String, Source)> {
    let sources = sources("src");
    let for_tests: Vec<_> = sources.iter().flat_map(test_modules).collect();
    let named = |source: Source| (module_of(&source.path), source);
    let product = move |(module, _): &(String, Source)| {
        module != "lib" && !for_tests.iter().any(|one| lies_in(module, one))
    };
    sources.into_iter().map(named).filter(product)
}

#[test]
fn imports_point_down() {
    let mut faults = Vec::new();
    for (module, source) in modules() {
        let Some(here) = layer(&module) else {
            faults.push(format!(
                "{}: give `{module}` a place in LAYERS",
                source.path
            ));
            continue;
        };
        for (number, line) in &source.code {
            for used in uses(line) {
                if layer(used).is_some_and(|there| there > here) {
                    faults.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "imports that point up:\n{}",
        faults.join("\n")
    );
}

#[test]
fn what_is_kept_apart_stays_apart() {
    let within = |module: &str, part: &str| module.split("::").next() == Some(part);
    let mut faults = Vec::new();
    for (module, source) in modules() {
        for (_, there, why) in APART.iter().filter(|(here, ..)| within(&module, here)) {
            for (number, line) in &source.code {
                if uses(line).any(|used| within(used, there)) {
                    faults.push(format!("{}:{number}: {} ({why})", source.path, line.trim()));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "imports that go too far:\n{}",
        faults.join("\n")
    );
}

#[test]
fn decisions_touch_no_io_no_clock_and_no_log() {
    let mut faults = Vec::new();
    for (module, source) in modules().filter(|(module, _)| layer(module) == Some(1)) {
        for (number, line) in &source.code {
            if let Some(word) = HANDS_OFF.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: `{word}` in `{module}`", source.path));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "pass it in as an argument, or move the code a layer up:\n{}",
        faults.join("\n")
    );
}

#[test]
fn every_module_says_what_it_is_for() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let silent: Vec<_> = all
        .filter(|source| {
            let first = source.text.lines().next().unwrap_or_default();
            let said = first.strip_prefix("//! ").unwrap_or_default();
            said.split(' ').count() < 3
        })
        .map(|source| source.path)
        .collect();
    assert!(
        silent.is_empty(),
        "begin each with `//! ` and one sentence: what for; then why so, and what is not here:\n{}",
        silent.join("\n")
    );
}

#[test]
fn no_file_outgrows_one_head() {
    let allowed = |path: &str| {
        let exception = LONG.iter().find(|(name, _)| *name == path);
        exception.map_or(LINES_MAX, |(_, lines)| *lines)
    };
    let mut faults = Vec::new();
    for (_, source) in modules() {
        let lines = source.code.len();
        let allowed = allowed(&source.path);
        if lines <= LINES_MAX && allowed > LINES_MAX {
            faults.push(format!(
                "{}: {lines} lines, so take it off LONG",
                source.path
            ));
        }
        if lines > allowed {
            faults.push(format!(
                "{}: {lines} lines, {allowed} are allowed",
                source.path
            ));
        }
    }
    for (path, lines) in LONG {
        if !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists() {
            faults.push(format!("{path} ({lines}) is gone: take it off LONG"));
        }
    }
    assert!(
        faults.is_empty(),
        "split what has two purposes:\n{}",
        faults.join("\n")
    );
}
