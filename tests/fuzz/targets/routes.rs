//! The route table says what an oracle says that knows nothing of it (A38, A39).
//!
//! The input is lines: `GPD /v1/{x}` is a route for GET, POST and DELETE, `/v1/7` a path to look up.

use portcullis::policy::matcher::{Entry, Found, Lookup, Table};
use portcullis::policy::template::Template;
use portcullis::request::Target;
use portcullis::words::{ClassSet, Method, MethodSet, PathClass, RouteId};

use crate::oracle;

/// The oracle tries every way there is: what it is given has to be small.
const ROUTES_MAX: usize = 16;
const PATHS_MAX: usize = 6;
const TEMPLATE_BYTES_MAX: usize = 40;
const PARAMS_MAX: usize = 5;
const PATH_BYTES_MAX: usize = 32;

const METHODS: [(char, Method); 3] = [
    ('G', Method::Get),
    ('P', Method::Post),
    ('D', Method::Delete),
];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        let number = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let Some(entry) = entry(line, RouteId(number)) else {
            continue;
        };
        // What compiles a policy refuses this: which of the two counts would not be said.
        let shared = |other: &Entry| {
            !other.methods.intersection(entry.methods).is_empty()
                && other.template.shape() == entry.template.shape()
        };
        if entries.len() < ROUTES_MAX && !entries.iter().any(shared) {
            entries.push(entry);
        }
    }
    let table = Table::build(entries.clone());
    let backwards = Table::build(entries.iter().rev().cloned().collect());
    for path in text.lines().filter_map(canonical).take(PATHS_MAX) {
        for (_, method) in METHODS {
            let found = table.find(method, &path);
            let asked = format!("{method} {path} of\n{text}");
            assert_eq!(found, wanted(&entries, method, &path), "{asked}");
            assert_eq!(found, backwards.find(method, &path), "backwards, {asked}");
        }
        entries.iter().for_each(|entry| captures(entry, &path));
    }
}

fn entry(line: &str, route: RouteId) -> Option<Entry> {
    let (letters, template) = line.split_once(' ')?;
    let methods: MethodSet = METHODS
        .iter()
        .filter(|(letter, _)| letters.contains(*letter))
        .map(|(_, method)| *method)
        .collect();
    let template = (template.len() <= TEMPLATE_BYTES_MAX)
        .then(|| Template::parse(template).ok())
        .flatten()?;
    (!methods.is_empty() && template.params().len() <= PARAMS_MAX).then_some(Entry {
        route,
        methods,
        template,
    })
}

fn canonical(line: &str) -> Option<String> {
    let every = PathClass::ALL.iter().copied().collect::<ClassSet>();
    let target = (line.len() <= PATH_BYTES_MAX)
        .then(|| Target::from_text(line, every).ok())
        .flatten()?;
    Some(target.path().to_owned())
}

/// What the oracle says.
fn wanted(entries: &[Entry], method: Method, path: &str) -> Lookup {
    let matching: Vec<_> = entries
        .iter()
        .filter(|entry| oracle::matches(entry.template.as_str(), path))
        .collect();
    let of_method: Vec<_> = matching
        .iter()
        .filter(|entry| entry.methods.contains(method))
        .map(|entry| entry.template.as_str())
        .collect();
    let counting = oracle::counting(&of_method, |a, b| within(a, b) && !within(b, a));
    let route = |template: &&str| {
        let is_it = |entry: &&&Entry| {
            entry.methods.contains(method) && entry.template.as_str() == *template
        };
        matching.iter().find(is_it).map(|entry| entry.route)
    };
    let mut routes = counting.iter().filter_map(route);
    if let Some(primary) = routes.next() {
        return Lookup::Found(Found {
            primary,
            also: routes.collect(),
        });
    }
    let methods = matching.iter().map(|entry| entry.methods);
    let methods = methods.fold(MethodSet::EMPTY, MethodSet::union);
    if methods.is_empty() {
        Lookup::Nothing
    } else {
        Lookup::OtherMethods(methods)
    }
}

/// Says whether every path of `a` is one of `b`: whether `b` matches `a` with its parameters filled by
/// a character that stands in neither, so that only a parameter can match it.
fn within(a: &str, b: &str) -> bool {
    ["\u{1}", "\u{1}/\u{1}", "/\u{1}"]
        .iter()
        .all(|rest| oracle::matches(b, &filled(a, rest)))
}

fn filled(template: &str, rest: &str) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, after) = part.split_once('}').unwrap_or_default();
        text.push_str(if name.ends_with("...") { rest } else { "\u{1}" });
        text.push_str(after);
    }
    text
}

/// The values of the parameters, put back where they stood, are the path.
fn captures(entry: &Entry, path: &str) {
    let template = &entry.template;
    let values = template.captures(path);
    let asked = format!("`{path}` by `{}`", template.as_str());
    assert_eq!(values.is_some(), template.matches(path), "{asked}");
    assert_eq!(
        template.matches(path),
        oracle::matches(template.as_str(), path),
        "{asked}"
    );
    let Some(values) = values else { return };
    assert_eq!(values.len(), template.params().len(), "{asked}");
    let mut parts = template.as_str().split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (part, value) in parts.zip(values) {
        let (name, after) = part.split_once('}').unwrap_or_default();
        let spans = value.contains('/') || value.contains("%2F");
        assert!(!value.is_empty(), "{asked}: `{name}` is empty");
        assert!(
            name.ends_with("...") || !spans,
            "{asked}: `{name}` is `{value}`"
        );
        text.push_str(value);
        text.push_str(after);
    }
    assert_eq!(text, path, "{asked}");
}
