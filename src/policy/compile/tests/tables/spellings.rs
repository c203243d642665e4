//! Routes to an upstream that ignores case, or a slash at the end: which of them count for a path, and
//! what is said of those that would be ways around others.

use super::*;

fn loose(text: &str, any_case: bool, any_slash: bool) -> Result<Policy, Faults> {
    let mut context = context(&["api", "other"]);
    let rules = UpstreamRules {
        spelling: crate::words::Spelling {
            any_case,
            any_slash,
        },
        ..UpstreamRules::default()
    };
    let upstreams = context.upstreams.as_mut().unwrap();
    upstreams.insert("api".parse().unwrap(), rules);
    compile(&files(&[text]), &context)
}

const SPELLINGS: &str = r"
routes:
  GET /Items: d:view
  GET /items/: d:edit
  GET,PUT /items/{id}: d:view
  GET /items/all: d:edit
  POST /{rest...}: any_account
  POST /items: d:edit
  GET /other/{x...}: { needs: any_account, upstream: other }
  GET /Other/y: d:view
  GET /caf%C3%A9: d:view
  GET /keys: d:view
";

/// A request, and where it ends up if its upstream ignores nothing; a slash at the end; case; both.
const SPELT: &[(&str, &str)] = &[
    (
        "GET /Items",
        "GET /Items|GET /Items|GET /Items|GET /Items + GET /items/",
    ),
    (
        "GET /Items/",
        "POST only|GET /Items|GET /items/|GET /Items + GET /items/",
    ),
    (
        "GET /items",
        "POST only|GET /items/|GET /Items|GET /Items + GET /items/",
    ),
    (
        "GET /items/ALL",
        "GET,PUT /items/{id}|GET,PUT /items/{id}|GET,PUT /items/{id} + GET /items/all|GET,PUT /items/{id} + GET /items/all",
    ),
    (
        "PUT /ITEMS/7/",
        "POST only|POST only|POST only|GET,PUT /items/{id}",
    ),
    (
        "POST /ITEMS/",
        "POST /{rest...}|POST /{rest...}|POST /{rest...}|POST /{rest...} + POST /items",
    ),
    (
        "DELETE /ITEMS/7",
        "POST only|POST only|GET, HEAD, POST, PUT only|GET, HEAD, POST, PUT only",
    ),
    // What leads to an upstream that is exact goes there.
    (
        "GET /other/y",
        "GET /other/{x...}|GET /other/{x...}|GET /other/{x...}|GET /other/{x...}",
    ),
    (
        "GET /OTHER/y",
        "POST only|POST only|GET /Other/y|GET /Other/y",
    ),
    (
        "GET /Caf%C3%89",
        "POST only|POST only|GET /caf%C3%A9|GET /caf%C3%A9",
    ),
    (
        "GET /%E2%84%AAEYS",
        "POST only|POST only|GET /keys|GET /keys",
    ),
];

/// A07, A47: whichever of its routes the upstream takes a path for, that route was asked.
#[test]
fn an_upstream_that_ignores_a_spelling_is_asked_for_all_of_them() {
    let ignored = [(false, false), (true, false), (false, true), (true, true)];
    for (number, (any_slash, any_case)) in ignored.into_iter().enumerate() {
        let policy = loose(SPELLINGS, any_case, any_slash).unwrap();
        for (request, expected) in SPELT {
            let (method, path) = request.split_once(' ').unwrap();
            let found = found(&policy, None, Method::parse(method).unwrap(), path);
            let expected = expected.split('|').nth(number).unwrap();
            assert_eq!(found, expected, "{request}, {any_slash}, {any_case}");
        }
    }
}

/// A47.
#[test]
fn a_weak_route_behind_a_strong_one_is_pointed_at_as_its_upstream_reads_paths() {
    let text =
        "routes:\n  GET /admin/x: d:edit\n  GET /Admin/{y}: d:view\n  GET /{rest...}: public\n";
    let warnings = |any_case, any_slash| {
        let policy = loose(text, any_case, any_slash).unwrap();
        said(&policy).join("\n")
    };
    let weak = "0.yaml:5:3: `GET /{rest...}` is `public` and stands behind 2 routes that need more, such as `GET /admin/x`: ";
    for (any_case, any_slash, consequence) in [
        (
            false,
            false,
            "another spelling of a path, with a slash at the end or in other case, falls to it",
        ),
        (
            false,
            true,
            "a path in other case falls to it, for case counts with its upstream",
        ),
        (
            true,
            false,
            "a path with a slash at the end falls to it, for the slash counts with its upstream",
        ),
        (
            true,
            true,
            "what its upstream takes for the same path in yet another way falls to it",
        ),
    ] {
        assert_eq!(
            warnings(any_case, any_slash),
            format!("{weak}{consequence}")
        );
    }
    let text = "routes:\n  GET /a/: d:edit\n  GET /a: d:view\n";
    let policy = loose(text, false, true).unwrap();
    assert_eq!(
        said(&policy)[0],
        "0.yaml:4:3: a request that matches both `GET /a` (`d:view`) and `GET /a/` (`d:edit`) must satisfy both"
    );
}

/// Another Host is no way around in another spelling either.
#[test]
fn another_host_is_no_way_around_for_an_upstream_that_ignores_case() {
    let file = |text: &str| format!("upstream: api\n{text}");
    let texts = [
        file("hosts: [a.example]\nroutes: { GET /items: d:edit }\n"),
        file("routes: { GET /Items/: d:view }\n"),
        HEAD.to_owned(),
    ];
    let files: Vec<_> = (0..)
        .zip(&texts)
        .map(|(number, text)| super::file(&format!("{number}.yaml"), text))
        .collect();
    let mut context = context(&["api"]);
    assert!(compile(&files, &context).is_ok());
    let rules = context
        .upstreams
        .as_mut()
        .unwrap()
        .values_mut()
        .next()
        .unwrap();
    rules.spelling = crate::words::Spelling {
        any_case: true,
        any_slash: true,
    };
    let faults = compile(&files, &context).unwrap_err().to_string();
    assert!(faults.contains("is asked for less at 1.yaml"), "{faults}");
}
