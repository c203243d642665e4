//! Routes together: what merges, what answers on which host, and what may not stand together.

mod spellings;

use super::*;
use crate::policy::proof::Finding;

const HEAD: &str = "permissions: { d:view: V, d:edit: E }\n";

fn files(texts: &[&str]) -> Vec<SourceFile> {
    let numbered = texts.iter().enumerate();
    let mut files: Vec<_> = numbered
        .map(|(number, text)| file(&format!("{number}.yaml"), &format!("upstream: api\n{text}")))
        .collect();
    files.push(file("names.yaml", HEAD));
    files
}

fn policy(texts: &[&str]) -> Policy {
    compile(&files(texts), &context(&["api", "other"])).unwrap()
}

fn faults(texts: &[&str]) -> String {
    let compiled = compile(&files(texts), &context(&["api", "other"]));
    compiled.err().unwrap_or_default().to_string()
}

/// What was found about routes, a line each.
fn said(policy: &Policy) -> Vec<String> {
    let routes = policy.findings.iter().filter(|it| {
        let code = it.rule.code();
        !code.starts_with("permission") && !code.starts_with("role_")
    });
    let line = |it: &Finding| format!("{}: {}", it.place, it.message);
    routes.map(line).collect()
}

/// Where a request ends up: names of routes, or what is said instead.
fn found(policy: &Policy, host: Option<&str>, method: Method, path: &str) -> String {
    match policy.find(host, method, path) {
        Ok(Lookup::Found(Found { primary, also })) => {
            let routes = std::iter::once(primary).chain(also);
            let names = routes.map(|id| policy.route(id).name.clone());
            names.collect::<Vec<_>>().join(" + ")
        }
        Ok(Lookup::OtherMethods(methods)) => format!("{methods} only"),
        Ok(Lookup::Nothing) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn equal_routes_of_one_shape_are_one() {
    let policy = policy(&[
        "routes:\n  GET /x/{a}: d:view\n  POST /x/{b}: d:edit\n",
        "routes:\n  GET,PUT /x/{c}: { any: [d:view] }\n",
    ]);
    assert_eq!(found(&policy, None, Method::Get, "/x/1"), "GET /x/{a}");
    assert_eq!(found(&policy, None, Method::Head, "/x/1"), "GET /x/{a}");
    assert_eq!(found(&policy, None, Method::Put, "/x/1"), "GET,PUT /x/{c}");
    assert_eq!(
        found(&policy, None, Method::Delete, "/x/1"),
        "GET, HEAD, POST, PUT only"
    );
}

#[test]
fn every_option_counts_when_two_routes_are_compared() {
    for other in [
        "d:edit",
        "{ needs: d:view, upstream: other }",
        "{ needs: d:view, timeout: 5m }",
        "{ needs: d:view, upgrade: [websocket] }",
        "{ needs: d:view, trailers: [x-sum] }",
        "{ needs: d:view, body_bytes: 1 }",
        "{ needs: d:view, rate: 1/s }",
        "{ needs: d:view, rate_per_account: 1/s }",
        "{ needs: d:view, cors: pass }",
        "{ needs: d:view, shadow: true }",
        "{ needs: d:view, unsafe_allow: [semicolon] }",
        "{ needs: d:view, pass_authorization: foreign }",
        "{ needs: d:view, within: forwarded }",
    ] {
        let text = format!("routes:\n  GET /x/{{a}}: d:view\n  GET /x/{{b}}: {other}\n");
        assert!(faults(&[&text]).contains("differs from it"), "{other}");
    }
}

#[test]
fn a32_head_follows_get_unless_a_twin_names_it() {
    let policy = policy(&["routes:
  GET /plain: d:view
  GET /own: d:view
  HEAD /own: public
  GET /things/{id}: d:view
  HEAD /things/{rest...}: d:edit
"]);
    for (path, expected) in [
        ("/plain", "GET /plain"),
        ("/own", "HEAD /own"),
        ("/things/7", "GET /things/{id}"),
        ("/things/7/8", "HEAD /things/{rest...}"),
    ] {
        assert_eq!(found(&policy, None, Method::Head, path), expected, "{path}");
    }
}

#[test]
fn every_named_host_has_a_table_that_the_others_join() {
    let policy = policy(&[
        "hosts: [a.example, B.example.]\nroutes:\n  GET /own: d:view\n  POST /x: d:edit\n",
        "routes:\n  GET /x: d:view\n",
    ]);
    for (host, path, expected) in [
        (Some("a.example"), "/own", "GET /own"),
        (Some("A.Example:7080"), "/own", "GET /own"),
        (Some("b.example"), "/x", "GET /x"),
        (Some("c.example"), "/x", "GET /x"),
        (Some("c.example"), "/own", "nothing"),
        (None, "/own", "nothing"),
    ] {
        assert_eq!(
            found(&policy, host, Method::Get, path),
            expected,
            "{host:?} {path}"
        );
    }
    assert_eq!(
        found(&policy, Some("c.example"), Method::Post, "/x"),
        "GET, HEAD only"
    );
    assert_eq!(
        found(&policy, Some("a.example"), Method::Post, "/x"),
        "POST /x"
    );
}

#[test]
fn where_every_file_names_hosts_another_host_is_unknown() {
    let policy = policy(&["hosts: [a.example]\nroutes:\n  GET /x: d:view\n"]);
    assert_eq!(
        found(&policy, Some("a.example"), Method::Get, "/x"),
        "GET /x"
    );
    for host in [None, Some("b.example"), Some("")] {
        let answer = found(&policy, host, Method::Get, "/x");
        assert_eq!(answer, "no route answers on this host", "{host:?}");
    }
    let empty = compile(&[], &Context::default()).unwrap();
    assert_eq!(
        found(&empty, Some("b.example"), Method::Get, "/x"),
        "nothing"
    );
}

#[test]
fn another_host_is_no_way_around() {
    let guard = "hosts: [a.example]\nroutes:\n  GET /x/{id}: d:edit\n";
    let closed = [
        "routes:\n  GET /{path...}: d:edit\n",
        "routes:\n  GET /{path...}: { all: [d:edit, d:view] }\n",
        "routes:\n  GET /y/{path...}: public\n",
        "routes:\n  POST /x/{id}: public\n",
        "routes:\n  GET /{path...}: { needs: public, upstream: other }\n",
        "routes:\n  GET /{path...}: public\n  GET /x/{path...}: d:edit\n",
        "hosts: [a.example]\nroutes:\n  GET /{path...}: public\n",
    ];
    for text in closed {
        assert_eq!(faults(&[guard, text]), "", "{text}");
    }
    let open = [
        "routes:\n  GET /{path...}: d:view\n",
        "routes:\n  GET /{path...}: any_account\n",
        "routes:\n  GET /{path...}: { any: [d:edit, d:view] }\n",
        "routes:\n  GET /x/1: public\n",
        "routes:\n  GET /{path...}: { needs: d:edit, within: forwarded }\n",
        "routes:\n  GET /{path...}: { needs: d:edit, shadow: true }\n",
        "hosts: [b.example]\nroutes:\n  GET /x/{id}: public\n",
        "hosts: [a.example, b.example]\nroutes:\n  GET /{path...}: public\n",
    ];
    for text in open {
        let said = faults(&[guard, text]);
        assert!(
            said.starts_with("0.yaml:4:3: `GET /x/{id}` is asked for less at 1.yaml:"),
            "{text}{said}"
        );
    }
}

#[test]
fn a_stand_in_closes_the_way_only_where_it_stands() {
    let guard = "hosts: [a.example]\nroutes:\n  GET /x/{id}: d:edit\n";
    let around = "hosts: [b.example]\nroutes:\n  GET /{path...}: public\n";
    let there = "hosts: [b.example]\nroutes:\n  GET /x/{path...}: d:edit\n";
    let elsewhere = "hosts: [c.example]\nroutes:\n  GET /x/{path...}: d:edit\n";
    assert_eq!(faults(&[guard, around, there]), "");
    assert!(faults(&[guard, around, elsewhere]).contains("asked for less at 1.yaml:4:3"));
}

#[test]
fn what_must_be_satisfied_together_leads_to_one_upstream() {
    let crossing =
        "routes:\n  GET /a/{x}: d:view\n  GET /{x}/b: { needs: d:edit, upstream: other }\n";
    assert!(faults(&[crossing]).contains("lead to different upstreams"));
    let nested =
        "routes:\n  GET /a/{x}: d:view\n  GET /{x...}: { needs: d:edit, upstream: other }\n";
    assert_eq!(faults(&[nested]), "");
    let by_host = [
        "hosts: [a.example]\nroutes:\n  GET /a/{x}: d:view\n",
        "hosts: [b.example]\nroutes:\n  GET /{x}/b: { needs: d:edit, upstream: other }\n",
    ];
    assert_eq!(faults(&by_host), "");
}

#[test]
fn overlaps_that_deserve_a_look_are_warnings() {
    let policy = policy(&["routes:
  GET /a/{x}: d:view
  GET /{x}/b: d:edit
  GET /admin: d:edit
  GET /{path...}: any_account
  POST /{path...}: d:edit
"]);
    assert_eq!(
        said(&policy),
        [
            "0.yaml:4:3: a request that matches both `GET /{x}/b` (`d:edit`) and `GET /a/{x}` (`d:view`) must satisfy both",
            "0.yaml:6:3: `GET /{path...}` is `any_account` and stands behind 3 routes that need more, such as `GET /a/{x}`: another spelling of a path, with a slash at the end or in other case, falls to it",
            "0.yaml:7:3: `POST /{path...}` is `d:edit` and answers POST on the paths of 1 route that needs something else, such as `GET /a/{x}` (`d:view`): give those paths a route of their own for it, or ask for as much here",
            "0.yaml:7:3: `POST /oauth/token` is an endpoint of the gateway itself, and wins over `POST /{path...}`",
        ]
    );
}

#[test]
fn what_the_settings_say_of_an_upstream_reaches_its_routes() {
    let mut context = context(&["api", "other"]);
    let rules = UpstreamRules {
        unsafe_allow: [PathClass::Semicolon].into_iter().collect(),
        shadow: true,
        pass_authorization: true,
        header_names: [http::HeaderName::from_static("api_key")].into(),
        ..UpstreamRules::default()
    };
    context
        .upstreams
        .as_mut()
        .unwrap()
        .insert("api".parse().unwrap(), rules.clone());
    let text = "routes:\n  GET /a: d:view\n  GET /b: { needs: d:view, shadow: false }\n  GET /c: { needs: d:view, upstream: other }\n";
    let policy = compile(&files(&[text]), &context).unwrap();
    let [a, b, c] = &policy.routes[..] else {
        panic!()
    };
    assert!(a.shadow && a.pass_authorization && !a.unsafe_allow.is_empty());
    assert_eq!(a.header_names.as_ref(), ["api_key"]);
    assert!(c.header_names.is_empty());
    assert!(!b.shadow && b.pass_authorization);
    assert!(!c.shadow && !c.pass_authorization && c.unsafe_allow.is_empty());
    assert_eq!(
        policy.upstreams[usize::from(c.upstream.0)].as_str(),
        "other"
    );
    assert_eq!(policy.classes_allowed, rules.unsafe_allow);
}

#[test]
fn the_hash_is_of_names_and_texts_wherever_the_folder_lies() {
    let hash = |files: &[SourceFile]| compile(files, &Context::default()).unwrap().hash;
    let here = [
        file("here/p/a.yaml", "roles:\n"),
        file("here/p/t/b.yaml", "routes:\n"),
    ];
    let there = [
        file("/x/t/b.yaml", "routes:\n"),
        file("/x/a.yaml", "roles:\n"),
    ];
    let renamed = [
        file("/x/a.yaml", "roles:\n"),
        file("/x/t/c.yaml", "routes:\n"),
    ];
    let edited = [
        file("/x/a.yaml", "roles: {}\n"),
        file("/x/t/b.yaml", "routes:\n"),
    ];
    assert_eq!(hash(&here), hash(&there));
    assert_eq!(hash(&here).len(), 16);
    assert_ne!(hash(&here), hash(&renamed));
    assert_ne!(hash(&here), hash(&edited));
}

#[test]
fn patterns_and_roles_expand_and_unknown_names_come_back() {
    let policy = policy(&["roles: { viewer: { permissions: [d:view] } }\n"]);
    let (set, unknown) = policy.expand(
        &["d:edit".parse().unwrap(), "e:*".parse().unwrap()],
        &["viewer".parse().unwrap(), "ghost".parse().unwrap()],
    );
    let names: Vec<_> = set
        .iter()
        .map(|id| policy.permission(id).as_str())
        .collect();
    assert_eq!(names, ["d:edit", "d:view"]);
    assert_eq!(unknown, ["e:*", "ghost"]);
    assert_eq!(policy.permission_id("d:nothing"), None);
}

#[test]
fn twelve_thousand_routes_compile_within_the_budgets() {
    let mut text = String::from("routes:\n");
    for number in 0..6_000 {
        text.push_str(&format!("  GET /v1/r{number}/{{id}}: d:view\n"));
        text.push_str(&format!(
            "  PUT /v1/r{number}/{{id}}: {{ needs: d:edit, timeout: 5s }}\n"
        ));
    }
    let policy = policy(&[&text]);
    assert_eq!(policy.routes.len(), 12_000);
    assert_eq!(
        found(&policy, None, Method::Put, "/v1/r42/7"),
        "PUT /v1/r42/{id}"
    );
}

/// C02: a name that is let through must not be taken for one that says the place.
#[test]
fn a_boundary_is_not_read_from_a_header_that_has_a_double() {
    let mut context = context(&["api"]);
    let rules = UpstreamRules {
        header_names: [http::HeaderName::from_static("x_tenant")].into(),
        ..UpstreamRules::default()
    };
    let upstreams = context.upstreams.as_mut().unwrap();
    upstreams.insert("api".parse().unwrap(), rules);
    let text = "dimensions: { tenant: T }\nroutes:\n  GET /a: { needs: d:view, within: { tenant: header.X-Tenant } }\n";
    let faults = compile(&files(&[text]), &context).unwrap_err();
    assert!(
        faults.to_string().contains(
            "`x_tenant` is let through to this upstream, and some take it for `x-tenant`, which says the place: bind another header, or remove it from `unsafe_header_names`"
        ),
        "{faults}"
    );
}

#[test]
fn what_routes_weaken_is_listed_once() {
    let text = "routes:\n  GET /a: { needs: d:view, unsafe_allow: [semicolon] }\n  GET /b: { needs: d:view, unsafe_allow: [semicolon, encoded_slash] }\n";
    assert_eq!(
        policy(&[text]).weakened,
        [
            "routes.unsafe_allow: encoded_slash",
            "routes.unsafe_allow: semicolon"
        ]
    );
}
