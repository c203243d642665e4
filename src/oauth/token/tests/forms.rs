//! What the body of a request may be.

use super::*;

#[test]
fn e05_a_scope_is_had_whole_or_not_at_all() {
    let world = World::new();
    let ask = |account: &str, scope: &str| {
        let more: String = form_urlencoded::byte_serialize(scope.as_bytes()).collect();
        extended(&world, account, &format!("&scope={more}")).ask(&world, START)
    };
    let answer = ask("ci", "tenants:view devices:view tenants:view");
    assert_eq!(
        body(&answer)["scope"],
        "devices:view tenants:view",
        "sorted, each once"
    );
    let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
    let subset = world.bearer(&token, START).unwrap().subset.unwrap();
    assert_eq!(subset.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);

    for malformed in [
        " ",
        "devices:view ",
        "devices:view  devices:edit",
        "CANARY",
        "devices:*",
        "a:b\tc:d",
        "devices:view\0",
        "\"devices:view\"",
        "портал:вид",
    ] {
        check(
            &ask("ci", malformed),
            400,
            "invalid_scope",
            Reason::RequestMalformed,
        );
    }
    for wide in ["users:edit", "ghosts:view", "devices:view users:edit"] {
        check(
            &ask("ci", wide),
            400,
            "invalid_scope",
            Reason::PermissionMissing,
        );
    }
    check(
        &ask("poor", "devices:view"),
        400,
        "invalid_scope",
        Reason::PermissionMissing,
    );
    assert_eq!(body(&good(&world, "poor").ask(&world, START))["scope"], "");
}

#[test]
fn e06_only_a_short_form_by_post_is_read() {
    let world = World::new();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::OPTIONS,
        Method::DELETE,
    ] {
        let curl = Curl {
            method,
            ..good(&world, "ci")
        };
        let answer = curl.ask(&world, START);
        check(&answer, 405, "invalid_request", Reason::MethodNotAllowed);
        assert_eq!(answer.response.headers()[ALLOW], "POST");
    }
    for query in ["grant_type=client_credentials", "x", "="] {
        let curl = Curl {
            query: Some(query),
            ..good(&world, "ci")
        };
        check(
            &curl.ask(&world, START),
            400,
            "invalid_request",
            Reason::RequestMalformed,
        );
    }
    let empty = Curl {
        query: Some(""),
        ..good(&world, "ci")
    };
    assert_eq!(empty.ask(&world, START).outcome, "issued");
    for other in [
        "application/json",
        "multipart/form-data; boundary=x",
        "",
        "text/plain",
        "application/x-www-form-urlencodedx",
    ] {
        let curl = good(&world, "ci").header("content-type", other);
        check(
            &curl.ask(&world, START),
            400,
            "invalid_request",
            Reason::RequestMalformed,
        );
    }
    let fine = "Application/X-WWW-Form-Urlencoded ; charset=UTF-8";
    let curl = good(&world, "ci").header("content-type", fine);
    assert_eq!(curl.ask(&world, START).outcome, "issued");
    let mut none = good(&world, "ci");
    none.headers.remove(CONTENT_TYPE);
    check(
        &none.ask(&world, START),
        400,
        "invalid_request",
        Reason::RequestMalformed,
    );
}

#[test]
fn e06_a_body_has_a_longest_length() {
    let world = World::new();
    let room = BODY_BYTES_MAX - GRANT.len() - "&x=".len();
    let ask = |length| {
        let more = format!("&x={}", "a".repeat(length));
        extended(&world, "ci", &more).ask(&world, START)
    };
    assert_eq!(ask(room).outcome, "issued");
    check(&ask(room + 1), 413, "invalid_request", Reason::BodyTooLarge);
}
