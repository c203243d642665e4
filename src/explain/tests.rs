//! What is told of a decision, and that what is said to turn it does.

use std::path::Path;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::directory::Directory;
use crate::policy::compile::{Context, SourceFile, compile};

const POLICY: &str = r"
upstream: inventory
within: { tenant: path.tenant }
dimensions:
  tenant: The customer
permissions:
  devices:view: See devices
  devices:edit: Change devices
  reports:view: Read reports
  audit:view: Read the audit log
roles:
  viewer: { description: Sees, permissions: [devices:view] }
  editor: { description: Changes, permissions: [devices:edit] }
  operator: { description: Both, include: [viewer], permissions: ['devices:*', reports:view] }
routes:
  GET /about: public
  GET /v1/{tenant}/devices: devices:view
  GET /v1/{tenant}/devices/{device}: devices:view
  PUT,DELETE /v1/{tenant}/devices/{device}: devices:edit
  PATCH /v1/{tenant}/devices: { needs: { all: [devices:view, devices:edit] } }
  GET /v1/{tenant}/reports: { needs: { any: [reports:view, audit:view] } }
  GET /v1/audit: { needs: audit:view, within: unlimited }
  GET /v1/search: { needs: devices:edit, within: forwarded }
  POST /x/{a}/fixed: { needs: devices:view, within: unlimited }
  POST /x/fixed/{b}: { needs: devices:edit, within: unlimited }
accounts:
  ci: { description: A, grants: [{ role: viewer, within: { tenant: [acme] } }] }
  new: { description: B }
  inside: { description: C, allow_from: [10.0.0.0/8] }
";

fn policy_of(text: &str) -> Policy {
    let file = SourceFile {
        path: Path::new("p.yaml").into(),
        text: text.to_owned(),
    };
    compile(&[file], &Context::default()).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn explained(policy: &Policy, account: &str, request: &str, source: Option<&str>) -> Explanation {
    let directory = Directory::of_files(policy).directory;
    let (method, target) = request.split_once(' ').unwrap();
    let account = directory.account_named(account).cloned();
    explain(
        policy,
        &Hypothesis {
            method: Method::parse(method).unwrap(),
            target,
            host: None,
            headers: &HeaderMap::new(),
            caller: account.map(supposed),
            source: source.map(|source| source.parse().unwrap()),
        },
    )
}

fn told(account: &str, request: &str) -> String {
    let explanation = explained(&policy_of(POLICY), account, request, None);
    let steps = explanation.steps.iter();
    let steps = steps.map(|step| {
        let mark = if step.passed { "ok" } else { "no" };
        format!("{mark} {}: {}", step.step, step.found)
    });
    let beaten = explanation.beaten.iter();
    let beaten = beaten.map(|beaten| format!("beaten {}: {}", beaten.route, beaten.why));
    let remedies = explanation.remedies.iter().map(|remedy| {
        let opens = remedy.opens.as_ref();
        let opens = opens.map_or(String::new(), |opens| {
            format!(" [{}: {}]", opens.operations, opens.some.join("; "))
        });
        format!("=> {}{opens}", remedy.text())
    });
    steps
        .chain(beaten)
        .chain(remedies)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_step_is_told_up_to_the_one_that_settled_it() {
    insta::assert_snapshot!(told("ci", "GET /v1/acme/devices"), @r"
    ok path: `/v1/acme/devices`
    ok route: `GET /v1/{tenant}/devices` (p.yaml:17:3) asks for devices:view within tenant = path.tenant
    ok caller: `ci` is known and enabled
    ok permission: `ci` holds devices:view by role `viewer` within tenant acme
    ok boundary: tenant acme
    beaten PATCH /v1/{tenant}/devices: it answers PATCH
    ");
    insta::assert_snapshot!(told("nobody", "GET /v1/acme/devices"), @r"
    ok path: `/v1/acme/devices`
    ok route: `GET /v1/{tenant}/devices` (p.yaml:17:3) asks for devices:view within tenant = path.tenant
    no caller: a credential is required
    beaten PATCH /v1/{tenant}/devices: it answers PATCH
    => call with a token of an account, as `Authorization: Bearer`; or with a key, where the listener takes `basic` or `api_key`
    ");
    insta::assert_snapshot!(told("nobody", "GET /nowhere"), @r"
    ok path: `/nowhere`
    no route: no route matches
    no caller: a credential is required
    => call with a token of an account, as `Authorization: Bearer`; or with a key, where the listener takes `basic` or `api_key` and add a route for `GET /nowhere` to a policy file
    ");
    insta::assert_snapshot!(told("ci", "GET /nowhere"), @r"
    ok path: `/nowhere`
    no route: no route matches
    ok caller: `ci` is known and enabled
    => add a route for `GET /nowhere` to a policy file
    ");
}

#[test]
fn the_smallest_change_comes_first_and_says_what_else_it_opens() {
    insta::assert_snapshot!(told("ci", "PUT /v1/acme/devices/7"), @r"
    ok path: `/v1/acme/devices/7`
    ok route: `PUT,DELETE /v1/{tenant}/devices/{device}` (p.yaml:19:3) asks for devices:edit within tenant = path.tenant
    ok caller: `ci` is known and enabled
    no permission: `ci` lacks devices:edit; roles that give it: editor, operator
    beaten GET /v1/{tenant}/devices/{device}: it answers GET
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: editor, within: { tenant: [acme] } } [3: DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme; GET /v1/search]
    => p.yaml:12:3: add to role `viewer`: permissions: [devices:view, devices:edit] [3: DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme; GET /v1/search]
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: operator, within: { tenant: [acme] } } [4: DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme; GET /v1/{tenant}/reports within tenant acme; GET /v1/search]
    ");
    insta::assert_snapshot!(told("ci", "GET /v1/umbrella/devices"), @r"
    ok path: `/v1/umbrella/devices`
    ok route: `GET /v1/{tenant}/devices` (p.yaml:17:3) asks for devices:view within tenant = path.tenant
    ok caller: `ci` is known and enabled
    ok permission: `ci` holds devices:view by role `viewer` within tenant acme
    no boundary: `ci` holds devices:view within tenant acme, not umbrella
    beaten PATCH /v1/{tenant}/devices: it answers PATCH
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: viewer, within: { tenant: [umbrella] } } [1: GET /v1/{tenant}/devices/{device} within tenant umbrella]
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: operator, within: { tenant: [umbrella] } } [6: GET /v1/{tenant}/devices/{device} within tenant umbrella; PUT /v1/{tenant}/devices/{device} within tenant umbrella; DELETE /v1/{tenant}/devices/{device} within tenant umbrella; PATCH /v1/{tenant}/devices within tenant umbrella; GET /v1/{tenant}/reports within tenant umbrella; GET /v1/search]
    ");
    insta::assert_snapshot!(told("new", "PATCH /v1/acme/devices"), @r"
    ok path: `/v1/acme/devices`
    ok route: `PATCH /v1/{tenant}/devices` (p.yaml:20:3) asks for devices:edit and devices:view within tenant = path.tenant
    ok caller: `new` is known and enabled
    no permission: `new` lacks devices:edit and devices:view; the role that gives it: operator
    beaten GET /v1/{tenant}/devices: it answers GET
    => p.yaml:28:3: add to account `new`: grants: [{ role: operator, within: { tenant: [acme] } }] [6: GET /v1/{tenant}/devices within tenant acme; GET /v1/{tenant}/devices/{device} within tenant acme; PUT /v1/{tenant}/devices/{device} within tenant acme; DELETE /v1/{tenant}/devices/{device} within tenant acme; GET /v1/{tenant}/reports within tenant acme; GET /v1/search]
    ");
}

#[test]
fn where_several_routes_count_all_of_them_are_satisfied() {
    insta::assert_snapshot!(told("new", "POST /x/fixed/fixed"), @r"
    ok path: `/x/fixed/fixed`
    ok route: `POST /x/fixed/{b}` (p.yaml:25:3) asks for devices:edit, granted without a boundary; `POST /x/{a}/fixed` (p.yaml:24:3) too, for devices:view, granted without a boundary
    ok caller: `new` is known and enabled
    no permission: `new` lacks devices:edit; roles that give it: editor, operator
    => p.yaml:28:3: add to account `new`: grants: [{ role: operator }] [8: GET /v1/{tenant}/devices; GET /v1/{tenant}/devices/{device}; PUT /v1/{tenant}/devices/{device}; DELETE /v1/{tenant}/devices/{device}; PATCH /v1/{tenant}/devices; GET /v1/{tenant}/reports; GET /v1/search; POST /x/{a}/fixed]
    ");
    insta::assert_snapshot!(told("new", "GET /v1/audit"), @r"
    ok path: `/v1/audit`
    ok route: `GET /v1/audit` (p.yaml:22:3) asks for audit:view, granted without a boundary
    ok caller: `new` is known and enabled
    no permission: `new` lacks audit:view, which no role gives
    => p.yaml:28:3: add to `roles` of that file: new-1: { description: Made for one account, permissions: [audit:view] } and p.yaml:28:3: add to account `new`: grants: [{ role: new-1 }] [1: GET /v1/{tenant}/reports]
    ");
    insta::assert_snapshot!(told("ci", "GET /v1/search"), @r"
    ok path: `/v1/search`
    ok route: `GET /v1/search` (p.yaml:23:3) asks for devices:edit; the boundary goes to the upstream
    ok caller: `ci` is known and enabled
    no permission: `ci` lacks devices:edit; roles that give it: editor, operator
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: editor, within: { tenant: [acme] } } [3: PUT /v1/{tenant}/devices/{device} within tenant acme; DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme]
    => p.yaml:12:3: add to role `viewer`: permissions: [devices:view, devices:edit] [3: PUT /v1/{tenant}/devices/{device} within tenant acme; DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme]
    => p.yaml:27:34: add to `grants` of account `ci`: - { role: operator, within: { tenant: [acme] } } [4: PUT /v1/{tenant}/devices/{device} within tenant acme; DELETE /v1/{tenant}/devices/{device} within tenant acme; PATCH /v1/{tenant}/devices within tenant acme; GET /v1/{tenant}/reports within tenant acme]
    ");
}

#[test]
fn an_address_and_a_right_may_be_missing_together() {
    let policy = policy_of(POLICY);
    let found = explained(&policy, "inside", "GET /v1/acme/devices", Some("192.0.2.7"));
    let remedy = found.remedies.first().unwrap();
    let lines: Vec<_> = remedy
        .changes
        .iter()
        .map(|line| line.change.as_str())
        .collect();
    assert_eq!(
        lines,
        [
            "allow_from: [10.0.0.0/8, 192.0.2.7/32]",
            "grants: [{ role: viewer, within: { tenant: [acme] } }]"
        ]
    );
}

#[test]
fn the_whole_table_of_an_account_is_what_the_decision_says() {
    let policy = policy_of(POLICY);
    let directory = Directory::of_files(&policy).directory;
    let table = |name: &str| {
        let account = directory.account_named(name);
        let table = Asker::new(&policy, account).table();
        let rows = table.iter().map(|row| {
            let by: Vec<_> = row.by.iter().map(ToString::to_string).collect();
            format!(
                "{} {} {} {}",
                row.methods.join(","),
                row.path,
                row.within,
                by.join(",")
            )
            .trim_end()
            .to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(table("ci"), @r"
    GET /about everywhere
    GET /v1/{tenant}/devices tenant acme viewer
    GET /v1/{tenant}/devices/{device} tenant acme viewer
    ");
    insta::assert_snapshot!(table("nobody"), @"GET /about everywhere");
}

/// A small world of policies: what routes ask for and bind, what roles give, what an account has.
#[derive(Clone, Debug)]
struct Made {
    routes: Vec<(usize, usize)>,
    roles: Vec<Vec<usize>>,
    grants: Vec<(usize, usize)>,
    asked: (usize, usize),
}

const NEEDS: [&str; 7] = [
    "a:x",
    "b:x",
    "{ all: [a:x, b:x] }",
    "{ any: [b:x, c:x] }",
    "{ all: [b:x, c:x] }",
    "d:x",
    "any_account",
];
const BOUND: [&str; 5] = [
    "{ tenant: path.t }",
    "unlimited",
    "forwarded",
    "{ tenant: query.tenant }",
    "{ site: header.x-site }",
];
const TEMPLATES: [&str; 5] = [
    "/v/{t}/one",
    "/v/{t}/{x}",
    "/v/one/{t}",
    "/v/{t}",
    "/v/{t}/two/{rest...}",
];
const PERMISSIONS: [&str; 4] = ["a:x", "b:x", "c:x", "d:x"];
const PATHS: [&str; 5] = [
    "/v/one/one",
    "/v/acme/one",
    "/v/acme",
    "/v/one/two/3",
    "/v/acme/other?tenant=acme",
];
const WITHIN: [&str; 4] = [
    "",
    ", within: { tenant: [acme] }",
    ", within: { tenant: [one], site: [s] }",
    ", within: { site: [s] }",
];

impl Made {
    fn text(&self, more: &str, wider: Option<(&str, &str)>) -> String {
        let mut text =
            String::from("upstream: u\ndimensions: { tenant: T, site: S }\npermissions:\n");
        for permission in PERMISSIONS {
            text += &format!("  {permission}: P\n");
        }
        text += "roles:\n";
        for (number, permissions) in self.roles.iter().enumerate() {
            let name = format!("r{number}");
            let listed: Vec<_> = permissions
                .iter()
                .map(|place| PERMISSIONS[*place])
                .collect();
            let mut line = format!("permissions: [{}]", listed.join(", "));
            if let Some((_, wide)) = wider.filter(|(role, _)| *role == name) {
                line = wide.to_owned();
            }
            text += &format!("  {name}: {{ description: R, {line} }}\n");
        }
        text += "  unused: { description: R, permissions: ['a:*'] }\nroutes:\n";
        for (template, (needs, bound)) in TEMPLATES.iter().zip(&self.routes) {
            let within = match NEEDS[*needs] {
                "any_account" => String::new(),
                _ => format!(", within: {}", BOUND[*bound]),
            };
            text += &format!("  GET {template}: {{ needs: {}{within} }}\n", NEEDS[*needs]);
        }
        let grants = self.grants.iter().map(|(role, within)| {
            let role = role % self.roles.len().max(1);
            format!("{{ role: r{role}{} }}", WITHIN[*within])
        });
        let grants = grants.chain((!more.is_empty()).then(|| more.to_owned()));
        let grants: Vec<_> = grants.collect();
        text + &format!(
            "accounts:\n  me: {{ description: A, grants: [{}] }}\n",
            grants.join(", ")
        )
    }
}

fn made() -> impl Strategy<Value = Made> {
    let routes = prop::collection::vec((0..NEEDS.len(), 0..BOUND.len()), TEMPLATES.len());
    let roles = prop::collection::vec(prop::collection::vec(0..PERMISSIONS.len(), 1..3), 1..4);
    let grants = prop::collection::vec((0..3_usize, 0..WITHIN.len()), 0..3);
    (routes, roles, grants, (0..PATHS.len(), 0..2_usize)).prop_map(
        |(routes, roles, grants, asked)| Made {
            routes,
            roles,
            grants,
            asked,
        },
    )
}

fn asked_of(policy: &Policy, made: &Made) -> Explanation {
    let directory = Directory::of_files(policy).directory;
    let account = directory.account_named("me").cloned();
    let mut headers = HeaderMap::new();
    if made.asked.1 == 1 {
        headers.insert("x-site", http::HeaderValue::from_static("s"));
    }
    let call = Hypothesis {
        method: Method::Get,
        target: PATHS[made.asked.0],
        host: None,
        headers: &headers,
        caller: account.map(supposed),
        source: None,
    };
    explain(policy, &call)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Law: every remedy about grants and permissions, written into the file as it is printed,
    /// allows the very call; and there is always one.
    #[test]
    fn what_is_said_to_turn_a_refusal_turns_it(made in made()) {
        let policy = policy_of(&made.text("", None));
        let found = asked_of(&policy, &made);
        if !matches!(found.reason, Some("permission_missing" | "outside_boundary")) {
            return Ok(());
        }
        prop_assert!(!found.remedies.is_empty(), "no way out of {found:?}");
        for remedy in &found.remedies {
            let (mut grants, mut wider, mut new_role) = (Vec::new(), None, None);
            for line in &remedy.changes {
                let into = line.into.clone().unwrap_or_default();
                let change = line.change.trim_start_matches("- ");
                let change = change.strip_prefix("grants: [").map_or(change, |rest| rest.trim_end_matches(']'));
                if into.contains("role `") {
                    let role = into.trim_start_matches("role `").trim_end_matches('`').to_owned();
                    wider = Some((role, line.change.clone()));
                } else if into.contains("`roles`") {
                    new_role = Some(line.change.clone());
                } else {
                    // `grants: [{ … [acme] } }]` loses one bracket too many where lists stand inside.
                    grants.push(balanced(change));
                }
            }
            let wider = wider.as_ref().map(|(role, line)| (role.as_str(), line.as_str()));
            let mut text = made.text(&grants.join(", "), wider);
            if let Some(role) = new_role {
                text = text.replace("roles:\n", &format!("roles:\n  {role}\n"));
            }
            let after = asked_of(&policy_of(&text), &made);
            prop_assert!(after.allowed, "{remedy:?} leaves {after:?}\n{text}");
        }
    }
}

/// `text` with the brackets closed that it opens.
fn balanced(text: &str) -> String {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => drop(open.pop()),
            _ => {}
        }
    }
    text.chars().chain(open.into_iter().rev()).collect()
}
