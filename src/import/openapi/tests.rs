//! Documents in, operations and notes out.

use super::*;
use crate::import::{Plan, Way, write};

fn options() -> Options {
    Options::default()
}

fn draft_of(name: &str, text: &str, options: &Options) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let file = Arc::from(Path::new(name));
    read((&file, text), options, &mut draft, &mut |_| {})?;
    Ok(draft)
}

/// The routes, as the file has them, and the notes.
fn imported(text: &str, options: &Options) -> (Vec<String>, Vec<String>) {
    let draft = draft_of("a.yaml", text, options).unwrap_or_else(|fault| panic!("{fault}"));
    let way = Way {
        upstream: "api".parse().unwrap(),
        dimensions: Vec::new(),
        own_endpoints: Vec::new(),
    };
    let (plan, notes) = Plan::of(draft, way);
    let text = write(&plan);
    let (_, routes) = text.split_once("\nroutes:\n").unwrap_or_default();
    let routes = routes.lines().map(|line| line.trim().to_owned()).collect();
    (routes, notes.iter().map(ToString::to_string).collect())
}

const SMALL: &str = "
openapi: 3.0.3
info: { title: Pets }
servers: [{ url: https://example.com/v1 }]
security: [{ oauth: [pets:read] }]
paths:
  /pets:
    get: { operationId: listPets, tags: [Pets] }
    post: { operationId: addPet, security: [{ oauth: [write_pets] }, { key: [] }] }
  /pets/{id}:
    parameters: [{ name: id, in: path }]
    get: { security: [{ oauth: [pets:read] }, { oauth: [pets:admin] }] }
    delete: { x-portcullis-permission: pets:destroy }
  /login:
    post: { operationId: login, security: [] }
  /token:
    post: { security: [{}, { oauth: [pets:read] }] }
components:
  securitySchemes:
    oauth: { type: oauth2, flows: { clientCredentials: { scopes: { 'pets:read': Look at pets } } } }
";

#[test]
fn an_operation_becomes_a_route_with_what_its_document_asks() {
    let (routes, notes) = imported(SMALL, &options());
    assert_eq!(
        routes,
        [
            "GET /v1/pets: pets:read  # listPets",
            "POST /v1/pets: pets:write  # addPet",
            "GET /v1/pets/{id}: { any: [pets:admin, pets:read] }",
            "DELETE /v1/pets/{id}: pets:destroy",
            "POST /v1/login: { needs: review_public }  # login",
            "POST /v1/token: { needs: review_public }",
        ]
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn json_and_yaml_say_the_same() {
    let value: serde_json::Value = serde_saphyr::from_str(SMALL).unwrap();
    for json in [
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
    ] {
        assert_eq!(imported(&json, &options()), imported(SMALL, &options()));
    }
}

#[test]
fn without_scopes_a_permission_is_made_by_rule() {
    let text = "
swagger: '2.0'
basePath: /api/
securityDefinitions: { basic: { type: basic } }
security: [{ basic: [] }]
paths:
  /orders/{id}/lines:
    get: { operationId: lines/list, tags: [Order lines, more] }
    head: {}
    post: { operationId: lines/add }
";
    let by = |permission_from| {
        let options = Options {
            permission_from,
            ..options()
        };
        imported(text, &options).0.join("\n")
    };
    insta::assert_snapshot!(by(PermissionFrom::Tag), @r"
    GET /api/orders/{id}/lines: order-lines:view  # lines/list
    HEAD /api/orders/{id}/lines: lines:view
    POST /api/orders/{id}/lines: lines:edit  # lines/add
    ");
    assert!(by(PermissionFrom::Path).starts_with("GET /api/orders/{id}/lines: lines:view"));
    assert!(by(PermissionFrom::OperationId).contains("POST /api/orders/{id}/lines: lines:edit"));
}

#[test]
fn one_broken_operation_costs_only_itself() {
    let text = r##"{"openapi": "3.1.0", "paths": {
  "/a": {"get": 7, "put": {"security": "none"}, "post": {"operationId": ["x"], "tags": "y"}},
  "/b": [],
  "/c": {"$ref": "#/paths/~1c"},
  "/d": {"$ref": "other.yaml#/d"},
  "/e": {"$ref": "#/components/pathItems/e"},
  "/f//g": {"get": {}},
  "/h": {"trace": {}, "get": {"x-portcullis-permission": "everything"}},
  "/i": {"get": {"parameters": [{"$ref": "#/nowhere"}], "responses": {"200": [[[]]]}}}
}, "components": {"pathItems": {"e": {"get": {"operationId": "fromRef"}}}}}"##;
    let (routes, notes) = imported(text, &options());
    assert_eq!(
        routes,
        [
            "POST /a: a:edit",
            "GET /e: e:view  # fromRef",
            "GET /i: i:view"
        ]
    );
    insta::assert_snapshot!(notes.join("\n"), @r"
    a.yaml:2:10: GET `/a`: the operation is no mapping: left out
    a.yaml:2:20: PUT `/a`: `security` is not a list of requirements: left out
    a.yaml:3:3: the path `/b` is no mapping: left out
    a.yaml:4:3: `/c`: the `$ref` goes in circles: left out
    a.yaml:5:3: `/d`: the `$ref` `other.yaml#/d` leads out of the document: bundle it into one file first: left out
    a.yaml:7:13: GET `/f//g`: `//` has an empty segment, which no request shows: write `/`: left out
    a.yaml:8:10: TRACE `/h`: `TRACE` is not a method that is forwarded: left out
    a.yaml:8:23: GET `/h`: `everything` is not a permission: expected `resource:action`, such as `devices:view`: left out
    ");
}

#[test]
fn what_is_no_description_is_an_error_that_says_where() {
    for (name, text, message) in [
        (
            "a.json",
            "{",
            "a.json:1:1: this is not JSON: EOF while parsing an object",
        ),
        ("a.json", "", "a.json: the document is empty"),
        (
            "a.json",
            "[]",
            "a.json:1:1: this is no description of an API: expected a mapping with `openapi` or `swagger`",
        ),
        (
            "a.yaml",
            "a: 1",
            "a.yaml:1:1: this is no description of an API: it has neither `openapi: 3…` nor `swagger: \"2.0\"` at its top",
        ),
        (
            "a.yaml",
            "openapi: 4.0.0",
            "a.yaml:1:1: version `4.0.0` is not read: expected 2.0, 3.0 or 3.1",
        ),
        (
            "a.yaml",
            "openapi: 3.1.0\nwebhooks: {}",
            "a.yaml: the document has no `paths`, so there is nothing to import",
        ),
    ] {
        let fault = draft_of(name, text, &options()).unwrap_err();
        assert_eq!(fault.to_string(), message);
    }
}

#[test]
fn servers_that_lie_below_different_paths_have_to_be_chosen() {
    let text = "
openapi: 3.0.0
servers: [{ url: 'https://a/v1' }, { url: 'https://b/v1' }, { url: 'https://b/{stage}/v2' }]
paths: { /x: { get: {} }, /y: { servers: [{ url: 'https://up/load' }], get: {} } }
";
    let with = |server: Option<&str>, variables: &[(&str, &str)]| {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let options = Options {
            server: server.map(str::to_owned),
            server_variables: variables.iter().map(pair).collect(),
            ..options()
        };
        let draft = draft_of("a.yaml", text, &options).map_err(|fault| fault.to_string())?;
        let templates = draft.operations.iter().map(|it| it.template.to_string());
        Ok::<_, String>((templates.collect::<Vec<_>>().join(" "), draft.notes.count()))
    };
    let error = with(None, &[]).unwrap_err();
    assert!(error.contains("`--server-variable stage=…`"), "{error}");
    let error = with(None, &[("stage", "s")]).unwrap_err();
    assert!(
        error.contains("2: `https://b/v1`, 3: `https://b/{stage}/v2`"),
        "{error}"
    );
    assert_eq!(with(Some("1"), &[]), Ok(("/v1/x /load/y".to_owned(), 1)));
    assert_eq!(
        with(Some("https://b/{stage}/v2"), &[("stage", "s")])
            .unwrap()
            .0,
        "/s/v2/x /load/y"
    );
    assert_eq!(with(Some("/other"), &[]).unwrap().0, "/other/x /load/y");
    assert!(
        with(Some("4"), &[])
            .unwrap_err()
            .contains("there is no server 4")
    );
}

#[test]
fn parameters_say_what_spans_segments_and_what_binds() {
    let text = "
openapi: 3.1.0
paths:
  /orgs/{org.id}/files/{path}:
    parameters: [{ $ref: '#/components/parameters/path' }, { name: org.id, in: path }]
    get: {}
  /orgs/{org.id}-x: { get: {} }
  /open/{org.id}: { get: { security: [] } }
components: { parameters: { path: { name: path, in: path, x-multi-segment: true } } }
";
    let options = Options {
        within: vec![("tenant".parse().unwrap(), "org.id".to_owned())],
        ..options()
    };
    let (routes, notes) = imported(text, &options);
    assert_eq!(
        routes,
        [
            "GET /orgs/{org_id}/files/{path...}: { needs: files:view, within: { tenant: path.org_id } }",
            "GET /orgs/{org_id}-x: orgs:view",
            "GET /open/{org_id}: { needs: review_public }",
        ]
    );
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn hostile_documents_end_soon() {
    let deep = 100_000;
    let nested = format!(
        "{{\"openapi\":\"3.0.0\",\"paths\":{{\"/a\":{{\"get\":{{\"x\":{}{}}}}}}}}}",
        "[".repeat(deep),
        "]".repeat(deep)
    );
    assert_eq!(
        draft_of("a.json", &nested, &options())
            .unwrap()
            .operations
            .len(),
        1
    );
    let pointer = format!(
        "{{\"openapi\":\"3.0.0\",\"paths\":{{\"/a\":{{\"$ref\":\"#{}\"}}}}}}",
        "/a".repeat(deep)
    );
    assert_eq!(
        draft_of("a.json", &pointer, &options())
            .unwrap()
            .notes
            .count(),
        1
    );
    let paths: Vec<_> = (0..60_000)
        .map(|number| format!("\"/{number}\":{{\"get\":{{}}}}"))
        .collect();
    let many = format!(
        "{{\"openapi\":\"3.0.0\",\"paths\":{{{}}}}}",
        paths.join(",")
    );
    let fault = draft_of("a.json", &many, &options())
        .unwrap_err()
        .to_string();
    assert!(fault.contains("more than 50000 operations"), "{fault}");
    let big = "x".repeat(1_000_000);
    let paths: Vec<_> = (0..1_000)
        .map(|number| format!("\"/{number}\":{{\"$ref\":\"#/components/big\"}}"))
        .collect();
    let again = format!(
        "{{\"openapi\":\"3.0.0\",\"components\":{{\"big\":{{\"x\":\"{big}\",\"get\":{{}}}}}},\"paths\":{{{}}}}}",
        paths.join(",")
    );
    let fault = draft_of("a.json", &again, &options())
        .unwrap_err()
        .to_string();
    assert!(fault.contains("refers to more than"), "{fault}");
}
