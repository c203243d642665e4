//! Headers in, a credential or a reason out.

use proptest::prelude::*;

use super::*;

const ALL: Accepts = Accepts {
    basic: true,
    api_key: true,
};
const BEARER_ONLY: Accepts = Accepts {
    basic: false,
    api_key: false,
};
/// A key whose checksums hold.
const ID: &str = "pck_0000000000000000000000";
const US: &str = "https://gate.example.com";

#[test]
fn a_listener_reads_keys_in_the_forms_its_settings_say() {
    for (said, basic, api_key) in [
        ("", false, false),
        (", basic: true", true, false),
        (", api_key: true", false, true),
    ] {
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:0{said} }}]\nupstreams: {{ a: {{ url: http://127.0.0.1:1 }} }}\n"
        );
        let settings = crate::settings::Settings::from_text(std::path::Path::new("p.yaml"), &text);
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
        let accepts = Accepts::of(&settings.listeners[0]);
        assert_eq!(accepts, Accepts { basic, api_key }, "{said}");
    }
}

fn id() -> String {
    with_sum(ID)
}

fn secret() -> String {
    with_sum(&format!("pcs_{}", "1".repeat(43)))
}

/// The checksum as its definition says: CRC-32 as six base62 digits.
fn with_sum(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let crc = crc32fast::hash(body.as_bytes());
    let digit = |place| char::from(DIGITS[(crc / 62_u32.pow(place) % 62) as usize]);
    let sum: String = (0..6).rev().map(digit).collect();
    format!("{body}{sum}")
}

fn basic_value(text: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn jwt(issuer: &str) -> String {
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"EdDSA"}"#.into()),
        part(format!(r#"{{"sub":"x","iss":"{issuer}"}}"#)),
    )
}

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    map
}

fn check(lines: &[(&'static str, &[u8])], accepts: Accepts, expected: &str) {
    let headers = headers(lines);
    let said = match read(&headers, accepts, Foreign::Counts) {
        Ok(credential) => format!("{credential:?}"),
        Err(reason) => reason.code().to_owned(),
    };
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(said, expected, "{lines:?}");
}

#[test]
fn c10_the_scheme_ignores_case_and_takes_one_space_or_two() {
    for good in ["bearer t", "BEARER t", "BeArEr  t", "Bearer a-._~+/9=="] {
        check(&[("authorization", good.as_bytes())], ALL, "Bearer(..)");
    }
}

#[test]
fn c11_what_is_not_a_b64token_behind_its_scheme_is_malformed() {
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer   t",
        "Bearer\tt",
        "Bearer:t",
        "Bearer,t",
        "Bearer \"t\"",
        "Bearer a b",
        "Bearer a,b",
        "Bearer ==",
        "Bearer a=b",
        " Bearer t",
        "Bearer t ",
        "Bearert",
        "Digest t",
        "t",
        "Bearer a, Bearer b",
    ] {
        check(
            &[("authorization", bad.as_bytes())],
            ALL,
            "credential_malformed",
        );
    }
}

#[test]
fn c11_the_bytes_of_a_token_are_those_the_rfc_lists() {
    for byte in 0_u8..=127 {
        let text = format!("a{}a", char::from(byte));
        let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        assert_eq!(is_b64token(&text), listed, "{text:?}");
    }
}

#[test]
fn c18_a_credential_is_bounded_and_plain_before_anybody_hashes_it() {
    assert_eq!(CREDENTIAL_BYTES_MAX, 8192);
    let longest = format!("Bearer {}", "a".repeat(CREDENTIAL_BYTES_MAX));
    check(&[("authorization", longest.as_bytes())], ALL, "Bearer(..)");
    for bad in [
        format!("{longest}a").into_bytes(),
        format!("Bearer {}", "a".repeat(1 << 20)).into_bytes(),
        b"Bearer \x80\xff".to_vec(),
        b"\xff\xfe".to_vec(),
        format!("Bearer {}", ",".repeat(10_000)).into_bytes(),
        basic_value(&[b'a'; CREDENTIAL_BYTES_MAX]).into_bytes(),
    ] {
        check(&[("authorization", &bad)], ALL, "credential_malformed");
    }
}

#[test]
fn c09_two_credentials_are_one_too_many_whatever_they_are_worth() {
    let basic = basic_value(format!("{}:{}", id(), secret()).as_bytes());
    let key = format!("{}.{}", id(), secret());
    let bearer = ("authorization", b"Bearer t".as_slice());
    for pair in [
        [bearer, bearer],
        [bearer, ("x-api-key", key.as_bytes())],
        [bearer, ("x-api-key", b"junk")],
        [bearer, ("authorization", basic.as_bytes())],
        [
            ("authorization", basic.as_bytes()),
            ("x-api-key", key.as_bytes()),
        ],
        [("x-api-key", key.as_bytes()), ("x-api-key", key.as_bytes())],
        [bearer, ("authorization", b"")],
    ] {
        check(&pair, ALL, "credential_repeated");
    }
}

#[test]
fn c12_c13_query_body_and_cookie_are_no_credential() {
    check(&[], ALL, "Absent");
    check(&[("cookie", b"access_token=t; session=t")], ALL, "Absent");
    check(&[("proxy-authorization", b"Bearer t")], ALL, "Absent");
}

#[test]
fn c19_basic_is_a_key_and_its_secret_or_malformed() {
    let good = format!("{}:{}", id(), secret());
    let said = format!("Key({}, ..)", id());
    check(
        &[("authorization", basic_value(good.as_bytes()).as_bytes())],
        ALL,
        &said,
    );
    for bad in [
        basic_value(format!("{}{}", id(), secret()).as_bytes()),
        basic_value(format!("{good}\0").as_bytes()),
        basic_value(format!("{good}:").as_bytes()),
        basic_value(format!(":{good}").as_bytes()),
        basic_value(b"\xff\xfe:\xff"),
        basic_value("ключ:тайна".as_bytes()),
        basic_value(b"admin:admin"),
        basic_value(b""),
        "Basic %%%".to_owned(),
        "Basic ".to_owned(),
        "Basic".to_owned(),
    ] {
        check(
            &[("authorization", bad.as_bytes())],
            ALL,
            "credential_malformed",
        );
    }
}

/// E14: a wrong checksum is refused here, where nothing can be looked up.
#[test]
fn e14_a_key_whose_checksum_is_wrong_is_malformed() {
    let said = format!("Key({}, ..)", id());
    let good = format!("{}.{}", id(), secret());
    check(&[("x-api-key", good.as_bytes())], ALL, &said);
    let swapped = format!("{}.{}", secret(), id());
    let slipped = good.replacen('1', "2", 1);
    for bad in [
        &*swapped,
        &*slipped,
        "",
        ".",
        "a.b",
        &id(),
        &format!("{good}."),
    ] {
        check(
            &[("x-api-key", bad.as_bytes())],
            ALL,
            "credential_malformed",
        );
    }
}

/// The secret of a key that was made elsewhere may have any form; its id is ours.
#[test]
fn a_foreign_secret_is_read_whole_behind_an_id_of_ours() {
    for secret in ["hunter2", "a.b:c/d+e==", "x y", ".", ":"] {
        for (name, value) in [
            (
                "authorization",
                basic_value(format!("{}:{secret}", id()).as_bytes()),
            ),
            ("x-api-key", format!("{}.{secret}", id())),
        ] {
            let headers = headers(&[(name, value.as_bytes())]);
            let Ok(Credential::Key { secret: read, .. }) = read(&headers, ALL, Foreign::Counts)
            else {
                panic!("{value} was not read");
            };
            assert_eq!(read.reveal(), secret, "{name}");
            assert!(is_ours(&headers[name], &Issuers::default()), "{value}");
        }
    }
}

#[test]
fn what_a_listener_does_not_accept_is_data() {
    let basic = basic_value(format!("{}:{}", id(), secret()).as_bytes());
    let key = format!("{}.{}", id(), secret());
    check(
        &[("authorization", basic.as_bytes())],
        BEARER_ONLY,
        "Absent",
    );
    check(&[("x-api-key", key.as_bytes())], BEARER_ONLY, "Absent");
    check(
        &[("x-api-key", b"1"), ("x-api-key", b"2")],
        BEARER_ONLY,
        "Absent",
    );
    let both = [
        ("authorization", b"Bearer t".as_slice()),
        ("x-api-key", key.as_bytes()),
    ];
    check(&both, BEARER_ONLY, "Bearer(..)");
}

#[test]
fn a_foreign_authorization_is_not_counted_where_it_may_pass() {
    let issuers = Issuers::new([US]);
    let ours = format!("Bearer {}", jwt(US));
    let theirs = format!("Bearer {}", jwt("https://other.example.com"));
    let key = format!("{}.{}", id(), secret());
    let said = |lines: &[(&'static str, &[u8])]| {
        read(&headers(lines), ALL, Foreign::MayPass(&issuers)).map_or_else(
            |reason| reason.code().to_owned(),
            |found| format!("{found:?}"),
        )
    };
    let authorization = |value: &'static str| ("authorization", value.as_bytes());
    let theirs = ("authorization", theirs.as_bytes());
    let ours = ("authorization", ours.as_bytes());
    assert_eq!(said(&[theirs]), "Absent");
    assert_eq!(said(&[authorization("Bearer")]), "Absent");
    assert_eq!(
        said(&[authorization("AWS4-HMAC-SHA256 Credential=x")]),
        "Absent"
    );
    assert_eq!(said(&[theirs, ours]), "Bearer(..)");
    assert_eq!(
        said(&[theirs, ("x-api-key", key.as_bytes())]),
        format!("Key({}, ..)", id())
    );
    assert_eq!(said(&[ours, ours]), "credential_repeated");
    assert_eq!(said(&[authorization("Bearer pcs_lost")]), "Bearer(..)");
}

#[test]
fn what_has_the_form_of_ours_is_found_wherever_it_hides() {
    let issuers = Issuers::new(["https://trusted.example.com", US]);
    let ours = |value: &[u8]| is_ours(&HeaderValue::from_bytes(value).unwrap(), &issuers);
    let unpadded = basic_value(secret().as_bytes()).replace('=', "");
    for value in [
        id(),
        secret(),
        format!("Bearer {}", secret()),
        format!("prefix{}suffix", secret()),
        "token=pcs_shortened".to_owned(),
        "pck_".to_owned(),
        basic_value(format!("{}:{}", id(), secret()).as_bytes()),
        basic_value(b"user:pcs_x"),
        unpadded,
        format!("bearer  {}", jwt(US)),
        jwt(US),
        format!("Digest a=\"{}\", b=c", jwt("https://trusted.example.com")),
        basic_value(format!("jwt:{}", jwt(US)).as_bytes()),
    ] {
        assert!(ours(value.as_bytes()), "{value}");
    }
    for value in [
        "Bearer ".to_owned(),
        "Bearer opaque".to_owned(),
        "pck".to_owned(),
        "Bearer aapck_9".to_owned(),
        "Bearer aa-pck_9".to_owned(),
        "Bearer aa_pck_9".to_owned(),
        format!("Bearer {}", jwt("https://other.example.com")),
        format!("Bearer {}", jwt(&format!("{US}/"))),
        basic_value(b"user:password"),
        "Basic %%%".to_owned(),
    ] {
        assert!(!ours(value.as_bytes()), "{value}");
    }
    assert!(!ours(b"Bearer \x80\xff\xfe"));
    assert!(ours(b"\x80pcs_\xff"));
}

#[test]
fn a_pair_is_read_up_to_its_bound() {
    // Three bytes in four characters.
    let encoded =
        |bytes: usize| STANDARD.encode([b"u:".as_slice(), &vec![b'p'; bytes - 2]].concat());
    let longest = CREDENTIAL_BYTES_MAX / 4 * 3;
    assert_eq!(encoded(longest).len(), CREDENTIAL_BYTES_MAX);
    for (bytes, read) in [(2, true), (longest, true), (longest + 1, false)] {
        assert_eq!(
            basic_pair(encoded(bytes).as_bytes()).is_some(),
            read,
            "{bytes}"
        );
    }
}

#[test]
fn an_issuer_is_read_from_three_parts_only() {
    let token = jwt(US);
    assert_eq!(issuer_of(&token).as_deref(), Some(US));
    assert_eq!(issuer_of(&format!("{token}.x")), None);
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.e30",
        "e.W10.e",
        "e.eyJpc3MiOjF9.e",
    ] {
        assert_eq!(issuer_of(bad), None, "{bad}");
    }
}

proptest! {
    /// Law: no header stops the reader, and what prints never holds what was sent.
    #[test]
    fn no_value_is_too_strange_to_read(
        pieces in prop::collection::vec(prop::sample::select(vec![
            b"Bearer ".as_slice(), b"Basic ", b"basic  ", b"pck_", b"pcs_", b".", b":", b"=",
            b"\xff", b"\t", b",", b"ey", b"eyJpc3MiOiJ4In0", b"CANARY", b" ",
        ]), 0..12),
    ) {
        let value = pieces.concat();
        let map = headers(&[("authorization", &value), ("x-api-key", &value)]);
        let issuers = Issuers::new(["x"]);
        for accepts in [ALL, BEARER_ONLY] {
            for foreign in [Foreign::Counts, Foreign::MayPass(&issuers)] {
                let said = format!("{:?}", read(&map, accepts, foreign));
                prop_assert!(!said.contains("CANARY"));
            }
        }
    }
}
