//! A table nobody here wrote: the 1,223 operations of GitHub's REST API.
//!
//! Each operation is a route, each is asked for, and so is every path that two of them share; the
//! answers are those of the oracle, which knows nothing of the table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portcullis::policy::matcher::{Entry, Found, Lookup, Table};
use portcullis::policy::overlap::{Relation, pairs};
use portcullis::policy::template::Template;
use portcullis::words::{Method, MethodSet, RouteId};

use crate::harness::tool;
use crate::oracle;

/// Where the compact list for the benchmark lies, which needs no npm package.
const ROUTES: &str = "benches/data/github-routes.txt";

struct Operation {
    method: Method,
    template: String,
}

/// The operations, in the order of their paths.
fn operations() -> Vec<Operation> {
    let text = std::fs::read_to_string(document()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operation = |path: &String, key: &String| {
        let method = Method::parse(&key.to_uppercase())?;
        Some(Operation {
            method,
            template: path.clone(),
        })
    };
    paths
        .iter()
        .flat_map(|(path, item)| {
            let keys = item.as_object().unwrap().keys();
            keys.filter_map(move |key| operation(path, key))
        })
        .collect()
}

fn document() -> PathBuf {
    tool("node_modules/@octokit/openapi/generated/api.github.com.json")
}

/// A route for each operation, numbered in the order of their paths.
fn entries(operations: &[Operation]) -> Vec<Entry> {
    let entry = |(operation, number): (&Operation, u32)| Entry {
        route: RouteId(number),
        methods: MethodSet::of(operation.method),
        template: Template::parse(&operation.template).unwrap(),
    };
    operations.iter().zip(0..).map(entry).collect()
}

/// The operations, by method and template, of the list that needs no npm package.
pub(crate) fn lines() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(ROUTES).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(method, template)| (method.to_owned(), template.to_owned()))
        .collect()
}

/// A policy with a route for each operation: what looks asks for one permission, what changes for
/// another, and where an owner is named it is bound.
pub(crate) fn policy(operations: &[(String, String)]) -> String {
    let mut text = String::from(
        "upstream: items\ndimensions: { owner: Whose it is }\npermissions:\n  api:view: Look\n  \
         api:edit: Change\nroles:\n  views: { description: V, permissions: ['api:view'] }\n  \
         everything: { description: E, permissions: ['api:*'] }\nroutes:\n",
    );
    for (method, template) in operations {
        let needs = if method == "GET" {
            "api:view"
        } else {
            "api:edit"
        };
        let within = if template.contains("/{owner}/") {
            "{ owner: path.owner }"
        } else {
            "unlimited"
        };
        writeln!(
            text,
            "  {method} {template}: {{ needs: {needs}, within: {within} }}"
        )
        .unwrap();
    }
    text
}

/// The template with `value` for each of its parameters.
pub(crate) fn filled(template: &str, value: &str) -> String {
    let mut parts = template.split('{');
    let mut path = parts.next().unwrap().to_owned();
    for part in parts {
        let (_, after) = part.split_once('}').unwrap();
        write!(path, "{value}{after}").unwrap();
    }
    path
}

/// A path that matches both: of two segments the one without a parameter, if one is.
fn shared(one: &str, two: &str) -> String {
    let segments = one.split('/').zip(two.split('/')).map(|(one, two)| {
        let literal = [one, two]
            .into_iter()
            .find(|segment| !segment.contains('{'));
        let partly = || {
            if one.starts_with('{') && one.ends_with('}') {
                two
            } else {
                one
            }
        };
        filled(literal.unwrap_or_else(partly), "7")
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Names of the routes the oracle wants satisfied, the primary first.
fn wanted<'o>(operations: &'o [Operation], method: Method, path: &str) -> Vec<&'o str> {
    let depth = path.matches('/').count();
    let matching: Vec<&str> = operations
        .iter()
        .filter(|operation| operation.method == method)
        .map(|operation| operation.template.as_str())
        .filter(|template| template.matches('/').count() == depth) // none ends in `{x...}`
        .filter(|template| oracle::matches(template, path))
        .collect();
    // Good enough here: no literal of GitHub's holds a tilde.
    let within = |a: &str, b: &str| oracle::matches(b, &filled(a, "~"));
    oracle::counting(&matching, |a, b| within(a, b) && !within(b, a))
}

fn answered<'o>(
    operations: &'o [Operation],
    table: &Table,
    method: Method,
    path: &str,
) -> Vec<&'o str> {
    let Lookup::Found(Found { primary, also }) = table.find(method, path) else {
        panic!("{method} {path} is not found");
    };
    let routes = std::iter::once(primary).chain(also);
    routes
        .map(|route| &*operations[route.0 as usize].template)
        .collect()
}

#[test]
fn every_operation_of_github_is_matched_as_the_oracle_says() {
    let operations = operations();
    assert_eq!(operations.len(), 1_223);
    let table = Table::build(entries(&operations));
    for operation in &operations {
        let path = filled(&operation.template, "7");
        let answered = answered(&operations, &table, operation.method, &path);
        assert_eq!(
            answered,
            wanted(&operations, operation.method, &path),
            "{path}"
        );
        assert_eq!(answered, [&operation.template], "{path}");
    }
}

#[test]
fn every_path_two_operations_of_github_share_is_matched_as_the_oracle_says() {
    let operations = operations();
    let entries = entries(&operations);
    let pairs = pairs(&entries);
    let table = Table::build(entries);
    let mut several = 0;
    for pair in &pairs {
        let (one, two) = (&operations[pair.first], &operations[pair.second]);
        let path = shared(&one.template, &two.template);
        let answered = answered(&operations, &table, one.method, &path);
        assert_eq!(answered, wanted(&operations, one.method, &path), "{path}");
        several += usize::from(answered.len() > 1);
    }
    // A path two crossing routes share asks for both, any other for the more specific one.
    let crossing = |pairs: &[portcullis::policy::overlap::Pair]| {
        pairs
            .iter()
            .filter(|pair| pair.relation == Relation::Crossing)
            .count()
    };
    assert_eq!((pairs.len(), crossing(&pairs), several), (114, 43, 43));
}

#[test]
fn the_list_for_the_benchmark_is_the_document() {
    let lines = operations()
        .into_iter()
        .fold(String::new(), |mut lines, operation| {
            writeln!(lines, "{} {}", operation.method, operation.template).unwrap();
            lines
        });
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join(ROUTES);
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&list, &lines).unwrap();
    }
    let kept = std::fs::read_to_string(&list).unwrap();
    assert!(
        kept == lines,
        "`{ROUTES}` is old: run this test with `PORTCULLIS_UPDATE=1`"
    );
}
