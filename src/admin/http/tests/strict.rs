//! What is asked is read strictly, and what is wrong with it is said by the name of its field.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{Desk, request};

#[test]
fn what_nobody_can_read_is_refused_by_name_and_changes_nothing() {
    let desk = Desk::new();
    let root = desk.administrator();
    let post = |kind: &str, body: Vec<u8>| {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/accounts")
            .header("host", "localhost")
            .header("x-api-key", &root)
            .header("content-type", kind)
            .body(Body::from(body));
        desk.send(request.unwrap())
    };
    for (body, field) in [
        (r#"{"name":"x","is_admin":true}"#, "is_admin"),
        (r#"{"name":"x","name":"y"}"#, "name"),
        (r#"{"name":7}"#, "name"),
        (
            r#"{"name":"x","grants":[{"role":"reader","within":{"planet":["a"]}}]}"#,
            "grants[0].within",
        ),
        (
            r#"{"name":"x","grants":[{"role":"reader"},{"role":"nothing"}]}"#,
            "grants[1].role",
        ),
        (r#"{"name":"x","description":"a\nb"}"#, "description"),
    ] {
        let (status, _, told) = post("application/json", body.into());
        assert_eq!(status, 400, "{body}: {told}");
        assert_eq!(told["field"], field, "{body}: {told}");
    }
    assert_eq!(post("text/plain", b"{}".to_vec()).0, 415);
    assert_eq!(post("application/json", vec![b' '; 2 * 1024 * 1024]).0, 413);
    assert_eq!(
        post("application/json", "[".repeat(100_000).into_bytes()).0,
        400
    );
    assert_eq!(desk.ask("GET /accounts/x", &root, None).0, 404);
}

#[test]
fn nothing_is_answered_to_another_name_or_another_page() {
    let desk = Desk::new();
    let root = desk.administrator();
    let headers = [
        ("x-api-key", root.as_str()),
        ("origin", "https://evil-console.example"),
    ];
    let (status, told, _) = desk.send(request("GET /accounts", &headers, None));
    assert_eq!(status, 200);
    assert!(
        told.keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(told["cache-control"], "no-store");
    assert_eq!(told["x-content-type-options"], "nosniff");
    assert!(told.contains_key("x-request-id"));
    let mut foreign = request("GET /accounts", &headers, None);
    foreign
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    assert_eq!(desk.send(foreign).0, 421);
    let (status, told, _) = desk.ask("PUT /accounts", &root, None);
    assert_eq!(status, 405);
    assert_eq!(told["allow"], "GET, HEAD, POST");
    assert_eq!(desk.ask("GET /nothing", &root, None).0, 404);
}

/// A request, its body, and what is said of it: the field and the sentence.
type Fault<'a> = (&'a str, Value, &'a str, &'a str);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_name_in_a_body_that_is_nobodys_is_a_fault_of_its_field() {
    let desk = Desk::new();
    let root = desk.administrator();
    let key = desk.account("ci", &json!([{ "role": "reader" }]));
    let key = key.split_once('.').unwrap().0;
    for (line, body) in [
        (
            "POST /roles",
            json!({ "name": "custom", "permissions": ["devices:view"] }),
        ),
        ("POST /groups", json!({ "name": "night" })),
    ] {
        assert_eq!(desk.ask(line, &root, Some(&body)).0, 201);
    }
    let keys = json!([{ "digest": format!("sha256:{}", "ab".repeat(32)) }]);
    let grant = json!({ "place": "team.yaml:3:7", "role": "nothing", "within": {} });
    let manifest = json!({ "accounts": [{
        "place": "team.yaml:2:3", "name": "new", "description": "", "allow_from": [], "grants": [grant],
    }] });
    let cases: Vec<Fault<'_>> = vec![
        (
            "POST /accounts",
            json!({ "name": "x", "grants": [{ "role": "reader" }, { "role": "reeder" }] }),
            "grants[1].role",
            "there is no role `reeder`, did you mean `reader`?",
        ),
        (
            "POST /groups",
            json!({ "name": "x", "grants": [{ "role": "custon" }] }),
            "grants[0].role",
            "there is no role `custon`, did you mean `custom`?",
        ),
        (
            "POST /accounts/ci/grant",
            json!({ "role": "elephant" }),
            "role",
            "there is no role `elephant`",
        ),
        (
            "POST /groups/night/grant",
            json!({ "role": "reader", "within": { "tenent": ["acme"] } }),
            "within",
            "the policy declares no dimension `tenent`, did you mean `tenant`?",
        ),
        (
            "POST /accounts/ci/ungrant",
            json!({ "role": "operator" }),
            "role",
            "account `ci` does not hold role `operator`",
        ),
        (
            "POST /accounts/ci/ungrant",
            json!({ "role": "reader", "within": { "tenant": ["acme"] } }),
            "within",
            "account `ci` holds role `reader` not for `tenant acme`, but for `everywhere`: name what it is held for",
        ),
        (
            "POST /roles",
            json!({ "name": "x", "permissions": ["devices:*", "devices:vew"] }),
            "permissions[1]",
            "the policy declares no permission `devices:vew`, did you mean `devices:view`?",
        ),
        (
            "POST /roles",
            json!({ "name": "x", "include": ["reeder"] }),
            "include[0]",
            "there is no role `reeder`, did you mean `reader`?",
        ),
        (
            "PATCH /roles/custom",
            json!({ "permissions": ["nothing:at-all"] }),
            "permissions[0]",
            "the policy declares no permission `nothing:at-all`",
        ),
        (
            "PATCH /roles/custom",
            json!({ "include": ["reader", "costum"] }),
            "include[1]",
            "there is no role `costum`, did you mean `custom`?",
        ),
        (
            "POST /accounts/ci/keys",
            json!({ "only": ["devises:view"] }),
            "only[0]",
            "the policy declares no permission `devises:view`, did you mean `devices:view`?",
        ),
        (
            "POST /accounts/ci/keys/import",
            json!({ "keys": keys, "only": ["devises:*"] }),
            "only[0]",
            "the policy declares no permission `devises:*`",
        ),
        (
            "PATCH /keys/KEY",
            json!({ "only": ["devices:view", "x:y"] }),
            "only[1]",
            "the policy declares no permission `x:y`",
        ),
        (
            "POST /tokens",
            json!({ "account": "ci", "scope": ["devices:veiw"] }),
            "scope[0]",
            "the policy declares no permission `devices:veiw`, did you mean `devices:view`?",
        ),
        (
            "POST /tokens",
            json!({ "account": "cy" }),
            "account",
            "there is no account `cy`",
        ),
        (
            "POST /allowed",
            json!({ "account": "cy" }),
            "account",
            "there is no account `cy`",
        ),
        (
            "POST /explain",
            json!({ "method": "GET", "target": "/x", "grants": [{ "role": "reeder" }] }),
            "grants[0].role",
            "there is no role `reeder`, did you mean `reader`?",
        ),
        (
            "POST /apply",
            json!({ "set": "team", "manifest": manifest }),
            "manifest",
            "there is no role `nothing`",
        ),
    ];
    for (line, body, field, detail) in cases {
        let (status, _, told) = desk.ask(&line.replace("KEY", key), &root, Some(&body));
        assert_eq!(status, 400, "{line} {body}: {told}");
        // Commands tell by it that something is missing, and end as for what is not there.
        assert_eq!(told["kind"], "not_found", "{line} {body}: {told}");
        assert_eq!(told["field"], field, "{line} {body}: {told}");
        let said = told["detail"].as_str().unwrap();
        assert!(said.ends_with(detail), "{line} {body}: {told}");
    }
    // What the path names is not there.
    for (line, body) in [
        ("GET /roles/reeder", None),
        ("PATCH /roles/reeder", Some(json!({ "permissions": [] }))),
        ("POST /accounts/cy/grant", Some(json!({ "role": "reader" }))),
        ("POST /groups/nigt/grant", Some(json!({ "role": "reader" }))),
        ("PUT /groups/night/members/cy", None),
        ("GET /keys?account=cy", None),
    ] {
        let (status, _, told) = desk.ask(line, &root, body.as_ref());
        assert_eq!(status, 404, "{line}: {told}");
        assert_eq!(told.get("field"), None, "{line}: {told}");
    }
}

#[test]
fn a_name_is_offered_to_those_alone_who_may_know_it() {
    let desk = Desk::new();
    let root = desk.administrator();
    for (name, tenant) in [("acme-desk", "acme"), ("globex-desk", "globex")] {
        let role = json!({
            "name": name, "permissions": ["devices:view"], "owner": { "tenant": [tenant] },
        });
        assert_eq!(desk.ask("POST /roles", &root, Some(&role)).0, 201);
    }
    let role = |name: &str, more: &str| {
        let permissions = json!([
            "portcullis.roles:*",
            "portcullis.accounts:*",
            "devices:view",
            more
        ]);
        desk.world
            .done(json!({ "operation": "roles_create", "name": name, "permissions": permissions }));
        let grants = json!([{ "role": name, "within": { "tenant": ["acme"] } }]);
        desk.account(&format!("a-{name}"), &grants)
    };
    let (manager, lister) = (
        role("manager", "portcullis.keys:view"),
        role("lister", "portcullis.policy:view"),
    );
    let said = |line: &str, key: &str, body: &Value| {
        let (status, _, told) = desk.ask(line, key, Some(body));
        assert_eq!(status, 400, "{line} {body}: {told}");
        told["detail"].as_str().unwrap().to_owned()
    };
    let give = |role: &str| json!({ "name": "x", "grants": [{ "role": role }] });
    assert_eq!(
        said("POST /accounts", &manager, &give("acme-dask")),
        "there is no role `acme-dask`, did you mean `acme-desk`?"
    );
    // What is somebody else's looks like what is not there, under its own name too.
    for name in ["globex-desk", "globex-dask"] {
        assert_eq!(
            said("POST /accounts", &manager, &give(name)),
            format!("there is no role `{name}`")
        );
        let told = said("POST /accounts", &root, &give("globex-dask"));
        assert!(told.ends_with("did you mean `globex-desk`?"), "{told}");
    }
    let make = |permission: &str| json!({ "name": "x", "permissions": [permission] });
    for (key, asked, offered) in [
        (&manager, "devices:vew", "devices:view"),
        (&manager, "tenants:vew", ""),
        (&lister, "tenants:vew", "tenants:view"),
    ] {
        let told = said("POST /roles", key, &make(asked));
        let offer = format!(", did you mean `{offered}`?");
        assert_eq!(told.ends_with(&offer), !offered.is_empty(), "{told}");
        assert_eq!(told.contains("did you"), !offered.is_empty(), "{told}");
    }
}
