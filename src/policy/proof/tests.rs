//! Each rule where it speaks, and beside it where it is silent.

use crate::policy::Policy;
use crate::policy::compile::{Context, SourceFile, UpstreamRules, compile};
use crate::words::{Level, Method, Rule};

const HEAD: &str = "upstream: api
dimensions: { tenant: T, site: S }
permissions: { d:view: V, d:edit: E, d:root: R }
";

fn context() -> Context {
    let rules = ["api", "other"].map(|name| (name.parse().unwrap(), UpstreamRules::default()));
    Context {
        upstreams: Some(rules.into_iter().collect()),
        own_endpoints: [Method::Get, Method::Post]
            .map(|it| (it, "/oauth/token".to_owned()))
            .into(),
        files_only: false,
    }
}

fn policy(text: &str, context: &Context) -> Policy {
    let file = SourceFile {
        path: std::path::Path::new("p.yaml").into(),
        text: format!("{HEAD}{text}"),
    };
    compile(&[file], context).unwrap_or_else(|faults| panic!("{text}\n{faults}"))
}

/// What `rule` finds: level and sentence of each.
fn found_with(rule: Rule, text: &str, context: &Context) -> Vec<String> {
    let policy = policy(text, context);
    let of_rule = policy.findings.iter().filter(|it| it.rule == rule);
    of_rule
        .map(|it| format!("{}: {}", it.level, it.message))
        .collect()
}

fn found(rule: Rule, routes: &[&str]) -> Vec<String> {
    let lines: String = routes.iter().map(|route| format!("  {route}\n")).collect();
    found_with(rule, &format!("routes:\n{lines}"), &context())
}

#[track_caller]
fn says(rule: Rule, routes: &[&str], parts: &[&str]) {
    let found = found(rule, routes);
    assert_eq!(found.len(), 1, "{routes:?}: {found:?}");
    for part in parts {
        assert!(found[0].contains(part), "{part} in {}", found[0]);
    }
}

#[track_caller]
fn silent(rule: Rule, routes: &[&str]) {
    assert_eq!(found(rule, routes), Vec::<String>::new(), "{routes:?}");
}

#[test]
fn what_must_both_be_satisfied_is_told_with_what_each_asks() {
    let rule = Rule::OverlapAsksBoth;
    says(
        rule,
        &["GET /a/{x}: d:view", "GET /{x}/b: d:edit"],
        &[
            "warning: ",
            "`GET /{x}/b` (`d:edit`) and `GET /a/{x}` (`d:view`) must satisfy both",
        ],
    );
    says(
        rule,
        &[
            "GET /a/{x}: d:view",
            "GET /b/{x}: d:view",
            "GET /{x}/c: d:edit",
        ],
        &["and one of 2 others, such as `GET /a/{x}`"],
    );
    says(
        rule,
        &[
            "GET /a/{tenant}: { needs: d:view, within: { tenant: path.tenant } }",
            "GET /{x}/b: d:view",
        ],
        &[
            "(`d:view`, unlimited)",
            "(`d:view`, tenant from path.tenant)",
        ],
    );
    silent(rule, &["GET /a/{x}: d:view", "GET /{x}/b: d:view"]);
    silent(rule, &["GET /a/{x}: d:view", "POST /{x}/b: d:edit"]);
    silent(rule, &["GET /a/b: d:view", "GET /a/{x}: d:edit"]);
}

#[test]
fn a_weaker_catch_all_behind_a_stronger_route_is_a_warning_whatever_it_asks() {
    let rule = Rule::WeakerBehind;
    for weak in [
        "public",
        "any_account",
        "d:view",
        "{ any: [d:edit, d:view] }",
        "{ needs: d:edit, within: forwarded }",
        "{ needs: d:edit, shadow: true }",
    ] {
        says(
            rule,
            &["GET /admin: d:edit", &format!("GET /{{rest...}}: {weak}")],
            &[
                "warning: `GET /{rest...}` is ",
                "stands behind 1 route",
                "such as `GET /admin`",
            ],
        );
    }
    for strong in ["d:edit", "{ all: [d:edit, d:view] }"] {
        silent(
            rule,
            &["GET /admin: d:edit", &format!("GET /{{rest...}}: {strong}")],
        );
    }
    silent(rule, &["GET /admin: public", "GET /{rest...}: d:edit"]);
    silent(rule, &["POST /admin: d:edit", "GET /{rest...}: public"]);
}

#[test]
fn a_weaker_route_that_no_other_spelling_reaches_is_none() {
    let rule = Rule::WeakerBehind;
    says(
        rule,
        &["GET /a/me: d:edit", "GET /a/{x}: d:view"],
        &["note: ", "a path in other case"],
    );
    silent(rule, &["GET /a/1: d:edit", "GET /a/{x}: d:view"]);
    says(
        rule,
        &["GET /a/1: d:edit", "GET /a/{x}: public"],
        &["warning: "],
    );
}

#[test]
fn what_leads_to_another_upstream_weighs_less() {
    let elsewhere =
        |needs: &str| format!("GET /{{rest...}}: {{ needs: {needs}, upstream: other }}");
    says(
        Rule::WeakerBehind,
        &["GET /admin: d:edit", &elsewhere("public")],
        &["note: "],
    );
    silent(
        Rule::WeakerBehind,
        &["GET /admin: d:edit", &elsewhere("d:view")],
    );
    silent(
        Rule::MethodFallsThrough,
        &["POST /admin: d:edit", &elsewhere("public")],
    );
}

#[test]
fn a_role_that_has_both_makes_it_a_note() {
    let text = "roles: { root: { permissions: [d:root, d:edit] } }
routes:
  GET /admin: d:edit
  GET /{rest...}: d:root
";
    let found = found_with(Rule::WeakerBehind, text, &context());
    assert!(found[0].starts_with("note: "), "{found:?}");
}

#[test]
fn a_method_that_falls_to_a_weaker_route_is_told_and_one_that_is_refused_is_not() {
    let rule = Rule::MethodFallsThrough;
    says(
        rule,
        &[
            "GET /things/{id}: d:view",
            "DELETE,PUT /{rest...}: any_account",
        ],
        &[
            "warning: `DELETE,PUT /{rest...}` is `any_account` and answers PUT, DELETE on the paths of 1 route that needs",
        ],
    );
    says(
        rule,
        &["GET /things: d:edit", "POST /{x}: d:view"],
        &["note: `POST /{x}` is `d:view` and answers POST on"],
    );
    silent(rule, &["POST /things: d:edit", "GET /{x}: d:view"]);
    silent(
        rule,
        &["GET /things/{id}: d:view", "DELETE /things/{id}: d:edit"],
    );
    silent(rule, &["GET /things/{id}: d:view"]);
    silent(
        rule,
        &["GET /things/{id}: d:view", "DELETE /{rest...}: d:view"],
    );
    silent(
        rule,
        &["GET /things/{id}: d:view", "OPTIONS /{rest...}: public"],
    );
    silent(rule, &["GET /things/{id}: d:view", "DELETE /{x}/1: public"]);
    // What is between them asks for enough.
    silent(
        rule,
        &[
            "GET /a/b: d:view",
            "DELETE /a/{x}: d:view",
            "DELETE /{rest...}: { all: [d:view, d:edit] }",
        ],
    );
}

#[test]
fn head_that_is_asked_for_less_than_get_is_told() {
    says(
        Rule::HeadWeaker,
        &["GET /a/{x}: d:view", "HEAD /a/{y}: public"],
        &["`HEAD /a/{y}` is `public`"],
    );
    silent(
        Rule::HeadWeaker,
        &["GET /a/{x}: d:view", "HEAD /a/{y}: d:view"],
    );
    silent(
        Rule::HeadWeaker,
        &["GET /a/{x}: public", "HEAD /a/{y}: d:view"],
    );
}

#[test]
fn a_route_without_a_path_of_its_own_is_out_of_reach() {
    let rule = Rule::RouteUnreachable;
    let narrower = [
        "GET /f/{x}: d:view",
        "GET /f/{x}/: d:view",
        "GET /f/{x}/{y...}: d:view",
    ];
    let whole: Vec<_> = narrower
        .iter()
        .copied()
        .chain(["GET /f/{p...}: d:edit"])
        .collect();
    says(
        rule,
        &whole,
        &["warning: no request reaches `GET /f/{p...}`: "],
    );
    for missing in 0..narrower.len() {
        let part: Vec<_> = whole
            .iter()
            .enumerate()
            .filter(|it| it.0 != missing)
            .map(|it| *it.1)
            .collect();
        silent(rule, &part);
    }
    let whole: Vec<_> = narrower
        .iter()
        .copied()
        .chain(["GET,PUT /f/{p...}: d:edit"])
        .collect();
    says(
        rule,
        &whole,
        &["no request reaches `GET,PUT /f/{p...}` by GET: "],
    );
    says(
        rule,
        &["GET /a;b: d:view"],
        &["every path of `GET /a;b` shows `semicolon`"],
    );
    says(
        rule,
        &["GET /{a}%2F{b}: d:view"],
        &["shows `encoded_slash`"],
    );
    silent(
        rule,
        &["GET /a;b: { needs: d:view, unsafe_allow: [semicolon] }"],
    );
    silent(
        rule,
        &[
            "GET /{x}/b: d:view",
            "GET /a/{x}: d:view",
            "GET /a/b: d:view",
        ],
    );
}

#[test]
fn what_is_said_twice_is_told_once() {
    says(
        Rule::RouteRepeated,
        &["GET,PUT /a/{x}: d:view", "GET /a/{y}: d:view"],
        &["`GET /a/{y}` says once more what `GET,PUT /a/{x}` says"],
    );
    silent(
        Rule::RouteRepeated,
        &["GET /a/{x}: d:view", "GET,PUT /a/{y}: d:view"],
    );
}

#[test]
fn our_own_endpoints_are_told_once_a_route() {
    says(
        Rule::OwnEndpointWins,
        &["GET,POST /{rest...}: d:view"],
        &[
            "note: `GET,POST /oauth/token` is an endpoint of the gateway itself, and wins over `GET,POST /{rest...}`",
        ],
    );
    silent(Rule::OwnEndpointWins, &["PUT /{rest...}: d:view"]);
}

const PEOPLE: &str = "roles:
  viewer: { permissions: [d:view] }
  editor: { include: [viewer], permissions: [d:edit] }
  stray: { permissions: [d:view] }
routes:
  GET /a: d:view
  GET /b: d:edit
  GET /c: { all: [d:root, d:view] }
  GET /t/{tenant}: { needs: d:view, within: { tenant: path.tenant } }
  PUT /t/{tenant}: d:edit
accounts:
  one: { grants: [{ role: editor, within: { tenant: [acme] } }] }
";

#[test]
fn what_nobody_holds_or_uses_weighs_less_where_a_store_may_say_otherwise() {
    let files = Context {
        files_only: true,
        ..context()
    };
    for (context, level) in [(context(), "note"), (files, "warning")] {
        let held = found_with(Rule::PermissionUnheld, PEOPLE, &context);
        assert_eq!(
            held,
            [format!(
                "{level}: no role gives `d:root`, which 1 route needs: add it to a role"
            )]
        );
        let used = found_with(Rule::RoleUnused, PEOPLE, &context);
        assert_eq!(
            used,
            [format!(
                "{level}: no account and no group of the files has the role `stray`"
            )]
        );
    }
    let text = "roles: { viewer: { permissions: [d:view] } }\nroutes: { GET /a: d:view }\n";
    assert!(found_with(Rule::RoleUnused, text, &context()).is_empty());
    let unneeded = found_with(Rule::PermissionUnneeded, text, &context());
    assert_eq!(unneeded.len(), 2, "{unneeded:?}");
}

#[test]
fn a_route_that_no_account_can_satisfy_is_told_where_all_accounts_are_known() {
    assert!(found_with(Rule::RouteUncallable, PEOPLE, &context()).is_empty());
    let files = Context {
        files_only: true,
        ..context()
    };
    let found = found_with(Rule::RouteUncallable, PEOPLE, &files);
    let routes: Vec<_> = found
        .iter()
        .map(|it| it.split('`').nth(1).unwrap())
        .collect();
    // The one account's grant is within a tenant, which only one route binds.
    assert_eq!(routes, ["GET /a", "GET /b", "GET /c", "PUT /t/{tenant}"]);
}

#[test]
fn a_parameter_that_says_a_dimension_elsewhere_is_pointed_at() {
    let found = found_with(Rule::ParameterUnbound, PEOPLE, &context());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`PUT /t/{tenant}` does not bind `{tenant}`"));
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let routes: String = (0..300)
        .map(|n| format!("  GET /{n}/{{x}}: d:view\n"))
        .collect();
    let text = format!("routes:\n{routes}  PUT /{{rest...}}: any_account\n");
    let policy = policy(&text, &context());
    let holes = policy
        .findings
        .iter()
        .filter(|it| it.rule == Rule::MethodFallsThrough);
    assert_eq!(holes.count(), 1, "grouped by the route to change");
    let text: String = (0..300).map(|n| format!("  GET /{n};: d:view\n")).collect();
    let policy = super::tests::policy(&format!("routes:\n{text}"), &context());
    assert_eq!(policy.findings.count(Level::Warning), 300);
    assert_eq!(
        policy.findings.left_out().collect::<Vec<_>>(),
        [(Rule::RouteUnreachable, 200)]
    );
}
