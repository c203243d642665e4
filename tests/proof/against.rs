//! What `check --against` says of two versions: every kind of change that can be made to a policy, and
//! pairs made at random, of which none may let through what was not told.

mod deep;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use portcullis::directory::Directory;
use portcullis::explain::{Hypothesis, supposed};
use portcullis::policy::Policy;
use portcullis::policy::compile::{Context, SourceFile, UpstreamRules, compile};
use portcullis::review::against::{Comparison, Direction, Side, compare};
use portcullis::review::ask;
use portcullis::words::{Account, AccountName, Method};

use super::Folder;
use crate::harness::long;

const HEAD: &str = "upstream: api
dimensions: { t: T, s: S }
permissions: { p:a: A, p:b: B, p:c: C }
";

const PEOPLE: &str = "roles: { ra: { permissions: [p:a] }, rb: { permissions: [p:b] } }
accounts: { one: { grants: [{ role: ra, within: { t: [acme] } }], allow_from: [10.0.0.0/8] }, two: { grants: [{ role: rb }] } }
groups: { g: { members: [two], grants: [{ role: ra, within: { t: [globex] } }] } }
";

fn policy(text: &str) -> Option<Policy> {
    policy_before(text, &UpstreamRules::default())
}

/// A policy whose upstream `api` is said to be so.
fn policy_before(text: &str, api: &UpstreamRules) -> Option<Policy> {
    let rules = ["api", "loose"].map(|name| {
        let mut rules = if name == "api" {
            api.clone()
        } else {
            UpstreamRules::default()
        };
        rules.spelling.any_case = name == "loose";
        rules.spelling.any_slash = name == "loose";
        (name.parse().unwrap(), rules)
    });
    let context = Context {
        upstreams: Some(rules.into_iter().collect()),
        own_endpoints: Vec::new(),
        files_only: false,
    };
    let file = SourceFile {
        path: Path::new("p.yaml").into(),
        text: text.to_owned(),
    };
    compile(&[file], &context).ok()
}

type Accounts = BTreeMap<AccountName, Arc<Account>>;

fn accounts(policy: &Policy) -> Accounts {
    let directory = Directory::of_files(policy).directory;
    let names = policy.accounts.keys();
    names
        .map(|name| {
            (
                name.clone(),
                Arc::clone(directory.account_named(name.as_str()).unwrap()),
            )
        })
        .collect()
}

fn compared(old: &Policy, new: &Policy) -> Comparison {
    let (before, after) = (accounts(old), accounts(new));
    let old = Side {
        policy: old,
        accounts: &before,
    };
    let new = Side {
        policy: new,
        accounts: &after,
    };
    compare(old, new)
}

#[track_caller]
fn told(old: &str, new: &str) -> (bool, bool) {
    let read = |text: &str| policy(text).unwrap_or_else(|| panic!("not a policy:\n{text}"));
    let comparison = compared(&read(old), &read(new));
    assert!(!comparison.incomplete);
    let any = |direction| comparison.changes.iter().any(|it| it.change == direction);
    (any(Direction::Widened), any(Direction::Narrowed))
}

fn routes(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{PEOPLE}routes:\n{lines}")
}

/// Before, after, and whether that widens and narrows.
const CHANGES: &[(&[&str], &[&str], bool, bool)] = &[
    (&["GET /x: p:a"], &["GET /x: p:a"], false, false),
    (&["GET /x: p:a"], &["GET /{y}: p:a"], true, false),
    (&["GET /x: p:a"], &["GET /x: p:b"], true, true),
    (&["GET /x: p:a"], &["GET /x: public"], true, false),
    (&["GET /x: p:a"], &["GET /x: any_account"], true, false),
    (&["GET /x: any_account"], &["GET /x: public"], true, false),
    (
        &["GET /x: p:a"],
        &["GET /x: { any: [p:a, p:b] }"],
        true,
        false,
    ),
    (
        &["GET /x: { all: [p:a, p:b] }"],
        &["GET /x: { all: [p:b] }"],
        true,
        false,
    ),
    (
        &["GET /x: { all: [p:a, p:b] }"],
        &["GET /x: { all: [p:b, p:a] }"],
        false,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { all: [p:a, p:b] }"],
        false,
        true,
    ),
    (&["GET /x: p:a"], &["GET,DELETE /x: p:a"], true, false),
    (
        &["GET /x: p:a"],
        &["GET /x: p:a", "GET /y: p:c"],
        true,
        false,
    ),
    (
        &["GET /x: p:a", "GET /y: p:c"],
        &["GET /x: p:a"],
        false,
        true,
    ),
    // A boundary that is read elsewhere, or not at all.
    (
        &["GET /t/{t}: { needs: p:a, within: { t: path.t } }"],
        &["GET /t/{t}: { needs: p:a, within: { t: query.t } }"],
        true,
        true,
    ),
    (
        &["GET /t/{t}: { needs: p:a, within: { t: path.t } }"],
        &["GET /t/{t}: { needs: p:a, within: unlimited }"],
        false,
        true,
    ),
    (
        &["GET /t/{t}: { needs: p:a, within: unlimited }"],
        &["GET /t/{t}: { needs: p:a, within: { t: path.t } }"],
        true,
        false,
    ),
    (
        &["GET /t/{t}: { needs: p:a, within: { t: path.t } }"],
        &["GET /t/{t}: { needs: p:a, within: forwarded }"],
        true,
        false,
    ),
    (
        &["GET /t/{t}: { needs: p:a, within: { t: path.t } }"],
        &["GET /t/{t}: { needs: p:a, within: { t: path.t, s: query.s } }"],
        true,
        false,
    ),
    (
        &["GET /t/{t}/{u}: { needs: p:a, within: { t: path.t } }"],
        &["GET /t/{t}/{u}: { needs: p:a, within: { t: path.u } }"],
        true,
        true,
    ),
    (
        &["GET /l: { needs: p:a, within: { t: { query: t, separator: ',' } } }"],
        &["GET /l: { needs: p:a, within: { t: query.t } }"],
        true,
        true,
    ),
    (
        &["GET /l: { needs: p:a, within: { t: header.X-T } }"],
        &["GET /l: { needs: p:a, within: { t: query.t } }"],
        true,
        true,
    ),
    // A stricter overlap that is gone, or no longer in the way.
    (
        &["GET /a/{x}: p:a", "GET /{x}/b: p:b"],
        &["GET /a/{x}: p:a"],
        true,
        true,
    ),
    (
        &["GET /a/{x}: p:a"],
        &["GET /a/{x}: p:a", "GET /{x}/b: p:b"],
        true,
        true,
    ),
    (
        &["GET /a/{x}: p:a", "GET /a/{x...}: p:b"],
        &["GET /a/{x}: p:a", "GET /{x...}: p:b"],
        true,
        false,
    ),
    (
        &["GET /a/{x}: p:a", "GET /a/b: p:c"],
        &["GET /a/{x}: p:a"],
        true,
        true,
    ),
    (
        &["GET /a{x}: p:a", "GET /{x}b: p:b"],
        &["GET /a{x}: p:a"],
        true,
        true,
    ),
    (
        &[
            "GET /{r...}: p:a",
            "GET /a/{x}: p:b",
            "GET /a/{x}/{r...}: p:b",
        ],
        &[
            "GET /{r...}: p:c",
            "GET /a/{x}: p:b",
            "GET /a/{x}/{r...}: p:b",
        ],
        true,
        true,
    ),
    (
        &["DELETE /{r...}: p:c", "GET /a: p:a", "DELETE /a: p:b"],
        &["DELETE /{r...}: p:c", "GET /a: p:a"],
        true,
        true,
    ),
    // What goes through beside a request.
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, shadow: true }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, unsafe_allow: [semicolon] }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, pass_authorization: foreign }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, upgrade: [websocket] }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, trailers: [x-sum] }"],
        true,
        false,
    ),
    (
        &["POST /x: { needs: p:a, body_bytes: 10 }"],
        &["POST /x: { needs: p:a, body_bytes: 20 }"],
        true,
        false,
    ),
    (
        &["POST /x: { needs: p:a, body_bytes: 20 }"],
        &["POST /x: { needs: p:a, body_bytes: 10 }"],
        false,
        true,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, timeout: 5s }"],
        false,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, cors: pass }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, cors: answer }"],
        true,
        false,
    ),
    (
        &["GET /x: { needs: p:a, cors: { origins: ['https://a.example'] } }"],
        &["GET /x: { needs: p:a, cors: { origins: ['https://a.example', 'https://b.example'] } }"],
        true,
        false,
    ),
    (
        &["GET /x: p:a"],
        &["GET /x: { needs: p:a, upstream: loose }"],
        true,
        true,
    ),
];

#[test]
fn every_change_of_a_route_is_told_by_what_it_does() {
    for (old, new, widens, narrows) in CHANGES {
        let (widened, narrowed) = told(&routes(old), &routes(new));
        assert_eq!(widened, *widens, "widens: {old:?} to {new:?}");
        // What pages may read by another rule counts as more, and is told as both.
        assert!(narrowed || !narrows, "narrows: {old:?} to {new:?}");
        if !widens && !narrows {
            assert!(!narrowed, "{old:?} to {new:?}");
        }
    }
}

#[test]
fn every_change_of_who_holds_what_is_told() {
    let routes = "routes:
  GET /a/{t}: { needs: p:a, within: { t: path.t } }
  GET /b: p:b
  GET /both: { all: [p:b, p:c] }
  GET /f: { needs: p:a, within: forwarded }
";
    for (from, to, widens, narrows) in [
        (
            "ra: { permissions: [p:a] }",
            "ra: { permissions: [p:a, p:b] }",
            true,
            false,
        ),
        // It opens nothing by itself, and something to whoever has the other.
        (
            "ra: { permissions: [p:a] }",
            "ra: { permissions: [p:a, p:c] }",
            true,
            false,
        ),
        (
            "rb: { permissions: [p:b] }",
            "rb: { permissions: [p:a] }",
            true,
            true,
        ),
        ("t: [acme] }", "t: [acme, umbrella] }", true, false),
        ("t: [acme] }", "s: [acme] }", true, true),
        ("members: [two]", "members: [one, two]", true, false),
        ("members: [two]", "members: []", false, true),
        ("t: [globex] }", "t: [globex, acme] }", true, false),
        ("[10.0.0.0/8]", "[10.0.0.0/8, 192.0.2.0/24]", true, false),
        ("[10.0.0.0/8]", "[10.0.0.0/9]", false, true),
        (", allow_from: [10.0.0.0/8]", "", true, false),
        (
            "two: { grants: [{ role: rb }] }",
            "two: { grants: [{ role: rb }, { role: ra }] }",
            true,
            false,
        ),
        (
            "two: { grants: [{ role: rb }] }",
            "two: { grants: [{ role: rb }] }, three: { grants: [{ role: rb }] }",
            true,
            false,
        ),
        ("ra: {", "rc: { permissions: [p:c] }, ra: {", true, false),
        ("GET /b: p:b", "GET /b: p:b", false, false),
    ] {
        let old = format!("{HEAD}{PEOPLE}{routes}");
        let new = old.replacen(from, to, 1);
        let said = told(&old, &new);
        assert_eq!(said, (widens, narrows), "{from} to {to}");
    }
}

#[test]
fn a_spelling_or_a_host_that_opens_is_told() {
    let loose = |lines: &str| format!("{}routes:\n{lines}", HEAD.replace("api", "loose"));
    let said = told(
        &loose("  GET /Items: p:a\n  GET /items/: p:b\n"),
        &loose("  GET /Items: p:a\n"),
    );
    assert_eq!(said, (true, false));
    let hosts = |host: &str| format!("hosts: [{host}]\n{HEAD}routes:\n  GET /x: p:a\n");
    assert_eq!(told(&hosts("a.example"), &hosts("b.example")), (true, true));
    let all = format!("{HEAD}routes:\n  GET /x: p:a\n");
    assert_eq!(told(&hosts("a.example"), &all), (true, false));
}

/// What no route names goes through where the whole upstream is in shadow, and nothing there is enforced.
#[test]
fn what_only_shadow_lets_through_is_told() {
    let enforced = routes(&["GET /x: p:a", "PUT /y: { needs: p:a, upstream: loose }"]);
    let shadow = UpstreamRules {
        shadow: true,
        is_default: true,
        ..UpstreamRules::default()
    };
    let old = policy(&enforced).unwrap();
    let new = policy_before(&enforced, &shadow).unwrap();
    let comparison = compared(&old, &new);
    let stray = comparison.changes.iter().filter(|it| {
        it.change == Direction::Widened
            && it.after.verdict == "shadow"
            && it.after.routes.is_empty()
    });
    assert!(stray.count() > 0, "{:?}", comparison.changes);
    assert!(!compared(&new, &old).widens());
    assert!(!compared(&new, &new).widens());
}

/// Numbers that look random and come again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.roll(list.len())]
    }
}

const TEMPLATES: &[&str] = &[
    "/a",
    "/{x}",
    "/a/",
    "/a/b",
    "/a/{x}",
    "/{x}/b",
    "/{x}/{y}",
    "/a{x}/b",
    "/{x}b/{y}",
    "/{r...}",
    "/a/{r...}",
    "/{x}/b/{r...}",
    "/{x}:go",
    "/a/{x}/c",
    "/{x}/b/{y}",
    "/{x}/{y}/c",
    "/A",
    "/a/{x}/",
];
const NEEDS: &[&str] = &[
    "public",
    "any_account",
    "p:a",
    "p:a",
    "p:b",
    "p:c",
    "{ all: [p:a, p:b] }",
    "{ any: [p:a, p:b] }",
    "{ any: [p:b, p:c] }",
];
const WITHIN: &[&str] = &[
    "",
    "",
    "within: unlimited, ",
    "within: forwarded, ",
    "within: { t: query.t }, ",
    "within: { t: header.X-T }, ",
    "within: { t: path.x }, ",
    "within: { s: path.x }, ",
    "within: { t: path.x, s: query.s }, ",
    "within: { t: path.y }, ",
];
const METHODS: &[&str] = &["GET", "GET", "POST", "GET,POST", "HEAD", "OPTIONS"];
const OPTIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "shadow: true, ",
    "unsafe_allow: [semicolon], ",
    "cors: answer, ",
];

fn random_route(dice: &mut Dice) -> String {
    let needs = dice.of(NEEDS);
    let within = if needs.starts_with("public") || needs.starts_with("any_") {
        ""
    } else {
        dice.of(WITHIN)
    };
    let (methods, template, options) = (dice.of(METHODS), dice.of(TEMPLATES), dice.of(OPTIONS));
    format!("  {methods} {template}: {{ {within}{options}needs: {needs} }}\n")
}

const GRANTS: &[&str] = &[
    "{ role: ra }",
    "{ role: rb }",
    "{ role: rc }",
    "{ role: ra, within: { t: [acme] } }",
    "{ role: ra, within: { t: [acme, globex] } }",
    "{ role: rb, within: { s: [one] } }",
    "{ role: rb, within: { t: [globex], s: [one] } }",
];
const ROLES: &[&str] = &["p:a", "p:b", "p:c", "p:a, p:b", "p:b, p:c"];
const NETWORKS: &[&str] = &[
    "",
    ", allow_from: [10.0.0.0/8]",
    ", allow_from: [10.0.0.0/9]",
    ", allow_from: [10.0.0.0/8, 192.0.2.1/32]",
];

/// The parts of a policy: head, roles, people, routes.
fn random_parts(dice: &mut Dice) -> Vec<String> {
    let upstream = dice.of(&["api", "api", "api", "loose"]);
    let mut parts = vec![HEAD.replace("api", upstream)];
    let (a, b, c) = (dice.of(ROLES), dice.of(ROLES), dice.of(ROLES));
    parts.push(format!("roles: {{ ra: {{ permissions: [{a}] }}, rb: {{ permissions: [{b}] }}, rc: {{ permissions: [{c}] }} }}\n"));
    let (one, two, three) = (dice.of(GRANTS), dice.of(GRANTS), dice.of(GRANTS));
    let from = dice.of(NETWORKS);
    parts.push(format!(
        "accounts: {{ one: {{ grants: [{one}]{from} }}, two: {{ grants: [{two}, {three}] }} }}\n"
    ));
    let (members, grant) = (dice.of(&["one", "two", "one, two", ""]), dice.of(GRANTS));
    parts.push(format!(
        "groups: {{ g: {{ members: [{members}], grants: [{grant}] }} }}\n"
    ));
    parts.push("routes:\n".to_owned());
    for _ in 0..=dice.roll(5) {
        parts.push(random_route(dice));
    }
    parts
}

/// The same with one to three parts changed, added or taken away.
fn changed(parts: &[String], dice: &mut Dice) -> Vec<String> {
    let mut parts = parts.to_vec();
    for _ in 0..=dice.roll(3) {
        let others = random_parts(dice);
        match dice.roll(8) {
            0 => parts[0].clone_from(&others[0]),
            1 => parts[1].clone_from(&others[1]),
            2 => parts[2].clone_from(&others[2]),
            3 => parts[3].clone_from(&others[3]),
            4 => parts.push(random_route(dice)),
            5 if parts.len() > 6 => {
                let at = 5 + dice.roll(parts.len() - 5);
                parts.remove(at);
            }
            _ => {
                let at = 5 + dice.roll(parts.len() - 5);
                parts[at] = random_route(dice);
            }
        }
    }
    parts
}

const SEGMENTS: &[&str] = &[
    "a", "b", "c", "A", "acme", "globex", "one", "ab", "z", "z:go", "z%3Ago", "x;y",
];

/// A request: target and headers.
fn random_request(dice: &mut Dice) -> (Method, String, HeaderMap) {
    let mut target = String::new();
    for _ in 0..=dice.roll(3) {
        target = format!("{target}/{}", dice.of(SEGMENTS));
    }
    target += dice.of(&["", "", "", "/"]);
    target += dice.of(&["", "", "?t=acme", "?t=globex&s=one", "?s=one", "?t=z"]);
    let mut headers = HeaderMap::new();
    let value = dice.of(&["", "acme", "globex"]);
    if !value.is_empty() {
        headers.insert("x-t", value.parse().unwrap());
    }
    let method = [
        Method::Get,
        Method::Get,
        Method::Post,
        Method::Head,
        Method::Options,
    ][dice.roll(5)];
    if method == Method::Options && dice.roll(2) == 0 {
        headers.insert("origin", "https://page.example".parse().unwrap());
        headers.insert("access-control-request-method", "GET".parse().unwrap());
    }
    (method, target, headers)
}

/// A caller as two policies know it.
type BeforeAndAfter = (Option<Arc<Account>>, Option<Arc<Account>>);

/// Who may ask, before and after: nobody, the accounts of the files, and some of a store that hold
/// roles of the files.
fn callers(dice: &mut Dice, (old, new): (&Policy, &Policy)) -> Vec<BeforeAndAfter> {
    let (before, after) = (accounts(old), accounts(new));
    let mut callers = vec![(None, None)];
    for name in ["one", "two"] {
        let name: AccountName = name.parse().unwrap();
        callers.push((before.get(&name).cloned(), after.get(&name).cloned()));
    }
    for _ in 0..4 {
        let mut grants = vec![dice.of(GRANTS)];
        if dice.roll(2) == 0 {
            grants.push(dice.of(GRANTS));
        }
        let grants = grants.join(", ");
        callers.push((Some(stored(old, &grants)), Some(stored(new, &grants))));
    }
    callers
}

/// An account that only a store knows, with these grants.
fn stored(policy: &Policy, grants: &str) -> Arc<Account> {
    let roles = policy.roles.iter().map(|(name, role)| {
        let names = role.permissions.iter().map(ToString::to_string);
        let names = names.collect::<Vec<_>>().join(", ");
        format!("{name}: {{ permissions: [{names}] }}")
    });
    let roles = roles.collect::<Vec<_>>().join(", ");
    let text = format!(
        "{HEAD}roles: {{ {roles} }}\naccounts: {{ three: {{ grants: [{grants}] }} }}\nroutes: {{ GET /x: p:a }}\n"
    );
    let policy = super::against::policy(&text).unwrap();
    accounts(&policy).into_values().next().unwrap()
}

#[test]
fn no_pair_of_policies_lets_through_what_was_not_told() {
    let pairs: u64 = long::sized(400, 20_000);
    let (mut widened, mut shown) = (0, 0);
    for seed in 1..=pairs {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let parts = random_parts(&mut dice);
        let texts = (parts.concat(), changed(&parts, &mut dice).concat());
        let (Some(old), Some(new)) = (policy(&texts.0), policy(&texts.1)) else {
            continue;
        };
        let comparison = compared(&old, &new);
        widened += usize::from(comparison.widens());
        let known = callers(&mut dice, (&old, &new));
        for _ in 0..200 {
            let (method, target, headers) = random_request(&mut dice);
            let callers = known[dice.roll(known.len())].clone();
            let source: Option<IpAddr> = dice
                .of(&["", "10.0.0.1", "10.200.0.1", "192.0.2.1"])
                .parse()
                .ok();
            let through = |policy: &Policy, account: &Option<Arc<Account>>| {
                let call = Hypothesis {
                    method,
                    target: &target,
                    host: None,
                    headers: &headers,
                    caller: account.clone().map(supposed),
                    source,
                };
                !matches!(
                    ask(policy, &call).answer,
                    portcullis::review::Answer::Refused(_)
                )
            };
            if through(&new, &callers.1) && !through(&old, &callers.0) {
                shown += 1;
                assert!(
                    comparison.widens(),
                    "seed {seed}: {method} {target} {headers:?} goes through from {source:?} as {:?}\nbefore:\n{}\nafter:\n{}",
                    callers.1.map(|it| it.holdings.clone()),
                    texts.0,
                    texts.1
                );
            }
        }
    }
    assert!(
        widened > pairs as usize / 10 && shown > pairs as usize,
        "{widened} {shown}"
    );
}

#[test]
fn check_tells_what_changed_and_ends_by_it() {
    let folder = Folder::with(&routes(&["GET /x: any_account", "GET /y: p:a"])).file(
        "old/p.yaml",
        &routes(&["GET /x: p:a", "GET /y: any_account"]),
    );
    let (printed, said) = folder.ends("check policies --against old", 1);
    assert!(said.contains("[verdicts_widened]"), "{said}");
    let rows: Vec<&str> = printed.lines().collect();
    assert!(rows[0].starts_with("CHANGE"), "{printed}");
    assert!(
        printed.contains("widened")
            && printed.contains("narrowed")
            && printed.contains("any account"),
        "{printed}"
    );
    folder.ends("check policies --against old --allow-widening", 0);
    folder.ends("check policies --against policies", 0);
    folder.ends("check policies --allow-widening", 2);
    folder.ends("check policies --against nowhere", 1);
    let report = folder.json("check policies --against old", 1);
    let change = &report["against"]["changes"][0];
    assert_eq!(change["change"], "widened");
    assert_eq!(change["method"], "GET");
    assert_eq!(change["target"], "/x");
    assert_eq!(change["before"]["verdict"], "permission_missing");
    assert_eq!(change["after"]["routes"][0], "GET /x");
}

/// What answers GET answers HEAD, so both change together, and people read it once.
#[test]
fn a_head_that_changes_as_its_get_does_is_no_row_of_its_own() {
    let folder = Folder::with(&routes(&[
        "GET /x: public",
        "GET /y: p:a",
        "HEAD /y: public",
    ]))
    .file(
        "old/p.yaml",
        &routes(&["GET /x: p:a", "GET /y: p:a", "HEAD /y: p:a"]),
    );
    let (printed, _) = folder.ends("check policies --against old", 1);
    let row = |line: &str| -> Vec<String> {
        let words = line.split_whitespace().take(4);
        words.map(str::to_owned).collect()
    };
    let rows: Vec<_> = printed.lines().skip(1).map(row).collect();
    let both = rows
        .iter()
        .filter(|row| row[1] == "GET,HEAD" && row[3] == "/x");
    let head = rows.iter().filter(|row| row[1] == "HEAD" && row[3] == "/y");
    assert!(both.count() > 0 && head.count() > 0, "{printed}");
    let alone = rows
        .iter()
        .filter(|row| row[1] != "GET,HEAD" && row[3] == "/x");
    assert_eq!(alone.count(), 0, "{printed}");
    let report = folder.json("check policies --against old", 1);
    let changes = report["against"]["changes"].as_array().unwrap();
    assert!(
        changes
            .iter()
            .any(|it| it["method"] == "HEAD" && it["target"] == "/x")
    );
}
