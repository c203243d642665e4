//! Schema and readers agree: on files made from the schema's own words, on those files with one thing
//! changed, and on every file of ours.

mod texts;

use std::path::Path;
use std::sync::Arc;

use jsonschema::Validator;

use super::*;
use crate::settings::Settings as SettingsOf;
use crate::words::{Faults, KeyId};
use crate::{policy, yaml};
use texts::{Dice, change, make, places, written};

/// What readers say of that no schema can see: each is about two values, or about how large a text is
/// when it is understood. Whoever adds to this list weakens what editors know.
const BEYOND: &[&str] = &[
    "is not in the settings",
    "requests that no route names go on in shadow only",
    "have the same address",
    "the same address stands here twice",
    "all URLs of an upstream are `https:`",
    "`tls` is for `https:` upstreams",
    "`pepper` has nothing to guard with `store: none`",
    "the store keeps the signing keys",
    "has bits beyond its prefix",
    "is not between",
    "a template has at most",
];

fn validator(kind: Kind) -> Validator {
    jsonschema::draft7::new(&kind.schema()).unwrap()
}

/// What the reader of such files says of `text`, without what is [`BEYOND`].
fn faults(kind: Kind, text: &str) -> Vec<String> {
    let file: Arc<Path> = Arc::from(Path::new("f.yaml"));
    let mut faults = Faults::default();
    let said = match kind {
        Kind::Settings => SettingsOf::from_text(&file, text).map(drop),
        Kind::Policy => {
            if let Some(root) = yaml::parse(&file, text, &mut faults) {
                policy::read_alone(&root, &mut faults);
            }
            faults.into_result(())
        }
    };
    let said = said.err().unwrap_or_default().to_string();
    let said = said.lines().map(str::to_owned);
    said.filter(|line| !BEYOND.iter().any(|beyond| line.contains(beyond)))
        .collect()
}

/// Files made for one seed, good and nearly good; the verdicts have to be the same.
fn agree(kind: Kind, seeds: std::ops::Range<u64>) {
    let (schema, validator) = (kind.schema(), validator(kind));
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for seed in seeds {
        let mut dice = Dice(seed);
        let mut value = make(&schema, &mut dice, 0);
        for round in 0..6 {
            let text = written(&value);
            let (faults, valid) = (faults(kind, &text), validator.is_valid(&value));
            if faults.is_empty() != valid {
                let errors: Vec<_> = validator
                    .iter_errors(&value)
                    .map(|e| e.to_string())
                    .collect();
                wrong.push(format!(
                    "{seed}.{round}: {text}\n  reader: {faults:?}\n  schema: {errors:?}"
                ));
            }
            if valid {
                good += 1;
            } else {
                bad += 1;
            }
            value = make(&schema, &mut dice, 0);
            let mut place = dice.roll(places(&value));
            change(&mut value, &mut place, false, &mut dice);
        }
    }
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(good > bad / 5 && bad > good / 5, "{good} good, {bad} bad");
}

/// More of them where somebody has the time: `PORTCULLIS_SCHEMA_SEEDS=100000`.
fn seeds() -> u64 {
    let said = std::env::var("PORTCULLIS_SCHEMA_SEEDS").ok();
    said.and_then(|seeds| seeds.parse().ok()).unwrap_or(400)
}

#[test]
fn schema_and_reader_agree_on_settings() {
    agree(Kind::Settings, 0..seeds());
}

#[test]
fn schema_and_reader_agree_on_policies() {
    agree(Kind::Policy, 0..seeds());
}

/// Every escape, every character, every doubling in a route's name.
#[test]
fn schema_and_reader_agree_on_the_names_of_routes() {
    let validator = validator(Kind::Policy);
    let mut names: Vec<String> = Vec::new();
    for byte in 0..=255_u8 {
        names.push(format!("GET /a%{byte:02X}b"));
        names.push(format!("GET /a%{byte:02x}b"));
        if byte.is_ascii() {
            names.push(format!("GET /a{}b", char::from(byte)));
            names.push(format!("GET /{{a{}b}}", char::from(byte)));
        }
    }
    names.extend(
        [
            "GET /",
            "GET //",
            "GET /a/",
            "GET /a//b",
            "GET /.",
            "GET /../a",
            "GET /.a",
            "GET /a/..",
            "GET /...",
            "GET /{a}{b}",
            "GET /{a}/{a}",
            "GET /{a}/{aa}",
            "GET /{a}.{a}",
            "GET /{a...}",
            "GET /x{a...}",
            "GET /{a...}/b",
            "GET /{a}/{a...}",
            "GET /{a}...{b}",
            "GET /{a}b{c}",
            "GET /{}",
            "GET /{...}",
            "GET /{1}",
            "GET,GET /a",
            "GET,PUT,GET /a",
            "PUT,GET,PUT,DELETE /a",
            "GET,PUT /a",
            "GET, PUT /a",
            "GETS /a",
            "get /a",
            "GET  /a",
            "GET",
            "/a",
            " GET /a",
            "GET,/a",
            "TRACE /a",
            "GET a",
            "GET /a b",
            "PUT,PUTS /a",
        ]
        .map(str::to_owned),
    );
    for name in names {
        let value = json!({ "routes": { &name: "public" } });
        let faults = faults(Kind::Policy, &written(&value));
        // Control characters stand in no file at all.
        let valid = validator.is_valid(&value);
        assert_eq!(faults.is_empty(), valid, "{name:?}: {faults:?}");
    }
}

/// The same for texts with rules of their own, character by character.
#[test]
#[expect(clippy::too_many_lines, reason = "one table of texts")]
fn schema_and_reader_agree_on_every_character_of_a_text() {
    let validators = [validator(Kind::Settings), validator(Kind::Policy)];
    let mut wrong = Vec::new();
    for code in 1..=255_u8 {
        let c = char::from(code);
        // These are refused wherever they stand, before anybody asks what for.
        if ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\n' | '\r') {
            continue;
        }
        let (settings, policy) = (Kind::Settings, Kind::Policy);
        for (kind, value) in [
            (
                settings,
                json!({ "upstreams": { "a": { "url": format!("http://a{c}b") } } }),
            ),
            (
                settings,
                json!({ "upstreams": { "a": { "url": "http://a", "probe": format!("/a{c}b") } } }),
            ),
            (
                settings,
                json!({ "upstreams": { "a": { "url": "http://a", "unsafe_header_names": [format!("a_{c}b")] } } }),
            ),
            (
                settings,
                json!({ "upstreams": { "a": { "url": "https://a", "tls": { "server_name": format!("a{c}b") } } } }),
            ),
            (
                settings,
                json!({ "tokens": { "issuer": format!("a{c}b") } }),
            ),
            (settings, json!({ "store": format!("sqlite:{c}b") })),
            (
                settings,
                json!({ "upstreams": { format!("a{c}b"): { "url": "http://a" } } }),
            ),
            (policy, json!({ "hosts": [format!("a{c}b")] })),
            (policy, json!({ "permissions": { format!("a{c}b"): "x" } })),
            (
                policy,
                json!({ "within": { "tenant": { "query": "a", "separator": c.to_string() } } }),
            ),
            (
                policy,
                json!({ "within": { "tenant": { "query": format!("a{c}b") } } }),
            ),
            (
                policy,
                json!({ "within": { "tenant": { "header": format!("a{c}b") } } }),
            ),
            (
                policy,
                json!({ "within": { "tenant": format!("header{c}a") } }),
            ),
            (
                policy,
                json!({ "routes": { "GET /": { "needs": "public", "trailers": [format!("a{c}b")] } } }),
            ),
            (policy, json!({ "cors": { "headers": [format!("a{c}b")] } })),
            (
                policy,
                json!({ "cors": { "origins": [format!("https://a{c}b")] } }),
            ),
            (
                policy,
                json!({ "accounts": { "a": { "id": format!("a{c}b") } } }),
            ),
            (
                policy,
                json!({ "accounts": { "a": { "grants": [{ "role": "r", "within": { "t": [format!("a{c}b")] } }] } } }),
            ),
            (
                policy,
                json!({ "accounts": { "a": { "allow_from": [format!("10.0.0.0{c}")] } } }),
            ),
            (
                policy,
                json!({ "tests": [{ "request": format!("GET{c}/"), "expect": "allow" }] }),
            ),
        ] {
            let faults = faults(kind, &written(&value));
            let valid = validators[usize::from(kind == Kind::Policy)].is_valid(&value);
            if faults.is_empty() != valid {
                wrong.push(format!("{value}: reader {faults:?}, schema {valid}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Header names that no boundary, trailer or exception may be: the lists are read, not repeated.
#[test]
fn schema_and_reader_agree_on_reserved_header_names() {
    let (settings, policy) = (validator(Kind::Settings), validator(Kind::Policy));
    for name in [
        "authorization",
        "Authorization",
        "COOKIE",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-portcullis-account",
        "x_portcullis_account",
        "X_Api_Key",
        "x-request-id",
        "x_request_id",
        "te",
        "t_e",
        "content-type",
        "X-Tenant",
        "forwarded",
        "x-original-url",
        "x_ssl_client_cert",
        "x-http-method",
        "range",
        "host",
        "hosts",
        "x-forwarded",
    ] {
        let rows = [
            (
                Kind::Policy,
                json!({ "within": { "tenant": format!("header.{name}") } }),
            ),
            (
                Kind::Policy,
                json!({ "routes": { "GET /": { "needs": "public", "trailers": [name] } } }),
            ),
            (
                Kind::Settings,
                json!({ "upstreams": { "a": { "url": "http://a", "unsafe_header_names": [name] } } }),
            ),
        ];
        for (kind, value) in rows {
            let faults = faults(kind, &written(&value));
            let validator = if kind == Kind::Policy {
                &policy
            } else {
                &settings
            };
            assert_eq!(
                faults.is_empty(),
                validator.is_valid(&value),
                "{value}: {faults:?}"
            );
        }
    }
}

/// What stays different, because an editor has read the YAML before it looks at a schema.
#[test]
fn where_they_differ_is_known() {
    use Kind::{Policy, Settings};
    let alone = |text| SettingsOf::from_text(Path::new("f.yaml"), text).is_ok();
    for (kind, text, reader, schema) in [
        // A mapping may be left empty, and `~` is a text to us.
        (Settings, "upstreams: ~", false, true),
        (Policy, "permissions: { a:b: ~ }", true, false),
        // What stands in quotes is as good to us as what does not.
        (Settings, "threads: \"2\"", true, false),
        (
            Policy,
            "routes: { GET /: { needs: public, shadow: \"true\" } }",
            true,
            false,
        ),
        // Numbers are digits to us.
        (Settings, "threads: 0x10", false, true),
        (Settings, "metrics: { accounts: True }", false, true),
        // A name may be a number, and then its rule cannot be seen.
        (Policy, "roles: { r: { include: [1E3] } }", false, true),
        // The length of a span has to be understood first.
        (Settings, "drain: { timeout: 2h }", false, true),
    ] {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let said = match kind {
            Settings => alone(text),
            Policy => faults(kind, text).is_empty(),
        };
        assert_eq!(
            (said, validator(kind).is_valid(&value)),
            (reader, schema),
            "{text}"
        );
    }
}
