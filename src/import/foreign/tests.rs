//! What becomes of patterns, and that no text at all makes an import panic or its policy fail.

use proptest::prelude::*;

use super::*;
use crate::import::{Plan, Way, write};
use crate::policy::compile;

const ALL: [Format; 3] = [Format::Oathkeeper, Format::KubeRbacProxy, Format::Nginx];

/// The routes that `text` becomes, `key: needs` each, and the notes.
fn import(format: Format, text: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let mut draft = Draft::default();
    let file: Arc<Path> = Arc::from(Path::new("rules"));
    read(format, (&file, text), &mut draft).map_err(|fault| fault.to_string())?;
    let way = Way {
        upstream: "api".parse().unwrap(),
        dimensions: Vec::new(),
        own_endpoints: Vec::new(),
    };
    let (plan, notes) = Plan::of(draft, way);
    let routes: Vec<_> = plan
        .routes
        .iter()
        .map(|route| format!("{}: {}", route.key(), shown(&route.needs)))
        .collect();
    if !routes.is_empty() {
        assert_compiles(&write(&plan));
    }
    Ok((routes, notes.iter().map(ToString::to_string).collect()))
}

fn shown(needs: &Needs) -> String {
    let permissions = needs.permissions().iter().map(ToString::to_string);
    match needs {
        Needs::ReviewPublic => "review_public".to_owned(),
        Needs::AnyAccount => "any_account".to_owned(),
        Needs::All(_) | Needs::Any(_) => permissions.collect::<Vec<_>>().join("+"),
    }
}

/// As a person would have decided.
fn assert_compiles(policy: &str) {
    let file = compile::SourceFile {
        path: Path::new("api.yaml").into(),
        text: policy.replace("review_public", "any_account"),
    };
    let context = compile::Context {
        upstreams: None,
        own_endpoints: Vec::new(),
        files_only: false,
    };
    if let Err(faults) = compile::compile(&[file], &context) {
        panic!("{faults}\n{policy}");
    }
}

fn oathkeeper(url: &str) -> Result<(Vec<String>, Vec<String>), String> {
    import(
        Format::Oathkeeper,
        &format!(
            "- id: r\n  match: {{ url: {}, methods: [GET] }}\n  authenticators: [{{ handler: jwt }}]\n  authorizer: {{ handler: allow }}\n",
            serde_json::json!(url)
        ),
    )
}

#[test]
fn patterns_that_are_templates_in_disguise_become_templates() {
    for (url, expected) in [
        ("https://a/users", &["/users"][..]),
        (
            "<https|http>://<.*>/users/<[^/]+>/posts",
            &["/users/{p1}/posts"],
        ),
        ("https://a/files/<.*>", &["/files/", "/files/{rest...}"]),
        ("https://a/files/<.+>", &["/files/{rest...}"]),
        ("https://a/users/<\\d+>", &["/users/{p1}"]),
        ("https://a/users/<[a-z0-9-]{8}>", &["/users/{p1}"]),
        (
            "https://a/<(cats|dogs)>/<[^/]+>",
            &["/cats/{p1}", "/dogs/{p1}"],
        ),
        ("https://a/users/<*>", &["/users/{p1}"]),
        ("https://a/users/<**>", &["/users/", "/users/{rest...}"]),
        ("https://a/<{cats,dogs}>", &["/cats", "/dogs"]),
        // Not widened: left out.
        ("https://a/<.*>/admin", &[]),
        ("https://a/<(?!admin).*>", &[]),
        ("https://a/<[^/]+><[^/]+>", &[]),
        ("https://a/<[^a]+>", &[]),
        ("https://a/<a", &[]),
        ("a/b", &[]),
        ("https://a/<a|b|c|d|e>/<a|b|c|d|e>", &[]),
    ] {
        let (routes, notes) = oathkeeper(url).unwrap();
        let paths: Vec<_> = routes
            .iter()
            .filter_map(|it| it.strip_prefix("GET "))
            .filter_map(|it| it.split_once(": "))
            .map(|(path, _)| path)
            .collect();
        assert_eq!(paths, expected, "{url}: {notes:?}");
        if expected.is_empty() {
            assert!(
                notes.iter().any(|it| it.contains("is not carried over")),
                "{url}: {notes:?}"
            );
        }
        let wider = url.contains("\\d") || url.contains("{8}");
        assert_eq!(
            notes.iter().any(|it| it.contains("is wider")),
            wider,
            "{url}: {notes:?}"
        );
    }
}

#[test]
fn locations_of_nginx_become_routes() {
    let text = "http {
  auth_request /auth;
  server {
    location = /login { auth_request off; proxy_pass http://app; }
    location /api { proxy_pass http://app; limit_except GET { deny all; } }
    location ~ ^/v1/users/(?<id>[^/]+)$ { proxy_pass http://app; }
    location ~ \\.php$ { proxy_pass http://app; }
    location /outer/ { location /outer/inner { proxy_pass http://app:1/x; } }
    location = /auth { internal; proxy_pass http://auth; }
    location /static/ { root /srv; }
    include more.conf;
  }
}
";
    let (routes, notes) = import(Format::Nginx, text).unwrap();
    for expected in [
        "GET,HEAD /login: review_public",
        "GET,HEAD /api: api:view",
        "GET,HEAD /api/{rest...}: api:view",
        "GET,HEAD /v1/users/{p1}: users:view",
        "DELETE,PATCH,POST,PUT /v1/users/{p1}: users:edit",
        "GET,HEAD /outer/inner: inner:view",
    ] {
        let mut parts: Vec<_> = expected.split(' ').map(str::to_owned).collect();
        let methods: MethodSet = parts[0].split(',').filter_map(Method::parse).collect();
        parts[0] = methods
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(",");
        let expected = parts.join(" ");
        assert!(routes.contains(&expected), "{expected}: {routes:#?}");
    }
    assert!(
        !routes
            .iter()
            .any(|it| it.contains("/auth") || it.contains("POST /api") || it.contains("/static"))
    );
    for expected in ["rules:7:", "rules:8:", "rules:10:", "include more.conf"] {
        assert!(
            notes.iter().any(|it| it.contains(expected)),
            "{expected}: {notes:#?}"
        );
    }
}

#[test]
fn flags_and_configuration_of_kube_rbac_proxy_become_routes() {
    let flags = "kind: Pod\nspec:\n  containers:\n  - name: app\n  - args:\n    - --upstream=http://127.0.0.1:8080/\n    - --ignore-paths=/healthz\n    - --allow-paths=/metrics,/api/*\n";
    let flags = &format!("kind: Service\n---\n{flags}");
    let (routes, notes) = import(Format::KubeRbacProxy, flags).unwrap();
    assert!(
        routes.contains(&"GET,HEAD /healthz: review_public".to_owned()),
        "{routes:?}"
    );
    assert!(
        routes.contains(&"GET,HEAD /metrics: metrics:view".to_owned()),
        "{routes:?}"
    );
    assert!(
        routes.iter().any(|it| it.contains(" /api/{p1}: ")),
        "{routes:?}"
    );
    assert!(
        notes.iter().any(|it| it.starts_with("rules:8:")),
        "{notes:?}"
    );
    let configuration = "authorization:\n  rewrites: { byQueryParameter: { name: namespace } }\n  resourceAttributes: { resource: namespaces, subresource: metrics, namespace: '{{ .Value }}' }\n  static:\n  - { user: { name: prom }, verb: get, path: /metrics }\n";
    let (routes, notes) = import(Format::KubeRbacProxy, configuration).unwrap();
    assert!(
        routes.contains(&"GET,HEAD /metrics: metrics:view".to_owned()),
        "{routes:?}"
    );
    assert!(
        routes.contains(&"GET,HEAD /{rest...}: namespaces-metrics:view".to_owned()),
        "{routes:?}"
    );
    assert_eq!(notes.iter().filter(|it| it.contains("rewrites")).count(), 1);
    assert!(import(Format::KubeRbacProxy, "a: b\n").is_err());
}

#[test]
fn hostile_files_end_soon_and_say_why() {
    for text in [
        "{".repeat(1_000_000),
        "a {".repeat(500_000),
        "\"".to_owned(),
        "}".to_owned(),
        "[".repeat(1_000_000),
        "---\n".repeat(500_000),
        "\n".repeat(1_900_000) + &"---\n".repeat(40),
        "x".repeat(3_000_000),
    ] {
        for format in ALL {
            let began = std::time::Instant::now();
            drop(import(format, &text));
            assert!(began.elapsed().as_secs() < 10, "{format:?}");
        }
    }
}

/// Words that mean something to one of the readers, and some that do not.
fn words() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "location",
        "=",
        "~",
        "^~",
        "/",
        "/api",
        "{",
        "}",
        ";",
        "auth_request",
        "off",
        "/auth",
        "proxy_pass",
        "http://app",
        "limit_except",
        "GET",
        "deny",
        "all",
        "^/a/(\\d+)$",
        "^/[^/]+/(a|b)",
        "server",
        "\"",
        "'",
        "\\",
        "#",
        "\n",
        "- id: r\n",
        "  match: { url: 'https://h/<.*>', methods: [GET, PUT] }\n",
        "  authorizer: { handler: allow }\n",
        "  authenticators: [{ handler: noop }]\n",
        "<",
        ">",
        "authorization:\n",
        "  static: [{ path: /x, verb: get }]\n",
        "  resourceAttributes: { resource: a b }\n",
        "- --allow-paths=/a*b,/c/*/d,*\n",
        "- --ignore-paths=/é,/%41\n",
        "---\n",
        "é",
        "\u{202e}",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.join(" ").replace("\n ", "\n"))
}

/// A rule whose URL is anything.
fn urls() -> impl Strategy<Value = String> {
    "(https://h)?/(<[a-z|()\\[\\]^/+*.?{}0-9\\\\d-]{0,8}>|[a-z/{}%<>. é]{0,6}){0,4}"
}

proptest! {
    #[test]
    fn any_text_is_refused_or_becomes_a_policy_that_compiles(text in words(), raw in "\\PC{0,60}") {
        for format in ALL {
            drop(import(format, &text));
            drop(import(format, &raw));
        }
    }

    #[test]
    fn any_pattern_is_refused_or_becomes_templates(url in urls()) {
        drop(oathkeeper(&url));
        drop(import(Format::Nginx, &format!("location ~ \"^{url}$\" {{ proxy_pass http://a; }}")));
        drop(import(Format::Nginx, &format!("location {url} {{ proxy_pass http://a; }}")));
    }
}
