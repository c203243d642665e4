//! Who asks, and how that is shown.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn e03_e08_e32_every_refused_client_reads_the_same() {
    let mut world = World::new();
    world.end_key("poor", START);
    let (id, secret) = world.keys.get("ci").unwrap();
    let (other, stranger) = (Secret::random(), KeyId::random());
    let form = |id: &str, secret: &str| {
        Curl::new(format!("{GRANT}&client_id={id}&client_secret={secret}"))
    };
    let user = |id: &str, secret: &str| Curl::new(GRANT).user(id, secret);
    let (id, secret) = (id.as_str(), secret.reveal());
    let rows = [
        (user(id, other.reveal()), Reason::KeyUnknown),
        (form(id, other.reveal()), Reason::KeyUnknown),
        (user(stranger.as_str(), secret), Reason::KeyUnknown),
        (form(stranger.as_str(), secret), Reason::KeyUnknown),
        (user("CANARY", secret), Reason::CredentialMalformed),
        (form("CANARY", "CANARY"), Reason::CredentialMalformed),
        (user(id, secret.split_at(5).1), Reason::KeyUnknown),
        (
            user(id, &secret.replace("pcs_", "pcs_0")),
            Reason::CredentialMalformed,
        ),
        (user(secret, id), Reason::CredentialMalformed),
        (Curl::new(GRANT), Reason::CredentialMissing),
        (
            Curl::new(format!("{GRANT}&client_id={id}")),
            Reason::CredentialMissing,
        ),
        (
            Curl::new(GRANT).header("authorization", "Bearer CANARY"),
            Reason::CredentialMalformed,
        ),
        (
            Curl::new(GRANT).header("authorization", "Basic CANARY!"),
            Reason::CredentialMalformed,
        ),
        (
            Curl::new(GRANT).header("authorization", ""),
            Reason::CredentialMalformed,
        ),
        (good(&world, "poor"), Reason::KeyExpired),
        (good(&world, "off"), Reason::AccountDisabled),
        (good(&world, "far"), Reason::AddressNotAllowed),
    ];
    let mut bodies = BTreeSet::new();
    for (curl, reason) in rows {
        let answer = curl.ask(&world, START);
        check(&answer, 401, "invalid_client", reason);
        bodies.insert(answer.response.body().clone());
        let known = [
            Reason::KeyExpired,
            Reason::AccountDisabled,
            Reason::AddressNotAllowed,
        ];
        assert_eq!(
            answer.account.is_some(),
            known.contains(&reason),
            "{reason}"
        );
    }
    assert_eq!(bodies.len(), 1);
    world.forget_account("ci");
    let gone = good(&world, "ci").ask(&world, START);
    check(&gone, 401, "invalid_client", Reason::KeyUnknown);
}

#[test]
fn e04_a_client_shows_itself_once_and_a_parameter_stands_once() {
    let world = World::new();
    let (id, secret) = &world.keys["ci"];
    let (id, secret) = (id.as_str(), secret.reveal());
    let both = extended(&world, "ci", &format!("&client_secret={secret}"));
    check(
        &both.ask(&world, START),
        400,
        "invalid_request",
        Reason::CredentialRepeated,
    );
    let twice = good(&world, "ci").user(id, secret);
    check(
        &twice.ask(&world, START),
        400,
        "invalid_request",
        Reason::CredentialRepeated,
    );
    for more in [
        "&grant_type=client_credentials",
        "&scope=devices:view&scope=devices:edit",
        "&scope=&scope=",
        "&s%63ope=a&scope=b",
        "&CANARY=1&CANARY=2",
        &format!("&client_id={}", world.key("far")),
        "&client_id=CANARY",
    ] {
        let answer = extended(&world, "ci", more).ask(&world, START);
        check(&answer, 400, "invalid_request", Reason::RequestMalformed);
    }
    let alone = Curl::new(format!("{GRANT}&client_secret={secret}"));
    check(
        &alone.ask(&world, START),
        400,
        "invalid_request",
        Reason::RequestMalformed,
    );
    let same = extended(&world, "ci", &format!("&client_id={id}"));
    assert_eq!(same.ask(&world, START).outcome, "issued");
}

#[test]
fn e07_id_and_secret_are_form_encoded_inside_basic() {
    let world = World::new();
    let (id, secret) = &world.keys["ci"];
    let encoded = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
    let ask = |user: &str, password: &str| Curl::new(GRANT).user(user, password).ask(&world, START);
    assert_eq!(
        ask(&encoded(id.as_str()), &encoded(secret.reveal())).outcome,
        "issued"
    );
    assert_eq!(form::form_decoded("a%3Ab+c%2B").unwrap().as_str(), "a:b c+");
    for bad in [format!("{}%", id), format!("{}+", id), "%ff".to_owned()] {
        check(
            &ask(&bad, secret.reveal()),
            401,
            "invalid_client",
            Reason::CredentialMalformed,
        );
    }
}

/// RFC 6749 asks clients to encode the two halves of `Basic`, and curl does not. A key from elsewhere
/// opens either way; one of ours has nothing to encode.
#[test]
fn e07_a_foreign_secret_opens_encoded_and_as_it_stands() {
    let mut world = World::new();
    let foreign = "a+b%41/c d:e==";
    let id = world.give("ci", Secret::parse(foreign).unwrap());
    let encoded: String = form_urlencoded::byte_serialize(foreign.as_bytes()).collect();
    let ask = |curl: Curl| curl.ask(&world, START);
    for shown in [foreign, &encoded] {
        let answer = ask(Curl::new(GRANT).user(id.as_str(), shown));
        assert_eq!(answer.outcome, "issued", "{shown}");
    }
    let body = format!("{GRANT}&client_id={id}&client_secret={encoded}");
    assert_eq!(ask(Curl::new(body)).outcome, "issued");
    for wrong in ["a+b", "a+b%41/c d:e=", "", "a b%41/c d:e=="] {
        let answer = ask(Curl::new(GRANT).user(id.as_str(), wrong));
        assert_eq!(answer.outcome, "invalid_client", "{wrong}");
    }
}

#[test]
fn an_address_is_looked_at_where_it_is_known() {
    let world = World::new();
    let from = |source: Option<&str>| {
        let source = source.map(|text| text.parse().unwrap());
        Curl {
            source,
            ..good(&world, "far")
        }
        .ask(&world, START)
        .outcome
    };
    assert_eq!(from(Some("10.1.2.3")), "issued");
    assert_eq!(from(Some("::ffff:10.1.2.3")), "issued");
    assert_eq!(from(Some("11.1.2.3")), "invalid_client");
    assert_eq!(from(None), "issued");
}
