//! A request has one credential or none, and what has the form of one of ours is known wherever it
//! stands (C01 to C12). The input is header lines.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis::credential::{
    Accepts, CREDENTIAL_BYTES_MAX, Credential, Foreign, Issuers, X_API_KEY, is_ours, read,
};
use portcullis::reason::Reason;

use super::{header_lines, key, world};

pub(crate) fn run(data: &[u8]) {
    let headers = header_lines(data);
    let issuers = Issuers::new([world::ISSUER]);
    for (basic, api_key) in [(false, false), (true, false), (false, true), (true, true)] {
        let accepts = Accepts { basic, api_key };
        counted(&headers, accepts, &issuers);
        let foreign = read(&headers, accepts, Foreign::MayPass(&issuers));
        what_passes_is_not_ours(&headers, foreign.as_ref(), &issuers);
    }
    hidden(data, &issuers);
}

fn counted(headers: &HeaderMap, accepts: Accepts, issuers: &Issuers) {
    let said = read(headers, accepts, Foreign::Counts);
    let places = headers.get_all(AUTHORIZATION).iter().count();
    let keys = headers.get_all(X_API_KEY).iter().count();
    match &said {
        Ok(Credential::Absent) => {
            assert!(!accepts.api_key || keys == 0, "an `X-Api-Key` is not seen");
            assert!(places <= 1, "two `Authorization` are not seen");
            let scheme = headers.get(AUTHORIZATION).map(|value| {
                let value = value.as_bytes();
                value[..value.len().min(5)].to_ascii_lowercase()
            });
            let is_basic = scheme.is_none_or(|scheme| scheme == b"basic");
            assert!(is_basic, "an `Authorization` is not seen");
        }
        Ok(Credential::Bearer(token)) => {
            assert_eq!(places, 1);
            assert!((1..=CREDENTIAL_BYTES_MAX).contains(&token.len()));
            assert!(
                token.bytes().all(|byte| byte.is_ascii_graphic()),
                "`{token}`"
            );
            let value = headers[AUTHORIZATION].as_bytes();
            assert!(value.ends_with(token.as_bytes()));
        }
        Ok(Credential::Key { id, .. }) => {
            assert!(places + keys >= 1);
            let holders = headers.get_all(AUTHORIZATION).iter();
            let mut holders = holders.chain(headers.get_all(X_API_KEY));
            // Base64 may hide the text, and never the form.
            assert!(
                holders.any(|value| is_ours(value, issuers)),
                "{id} would be forwarded"
            );
            let without = format!("Ok(Key({id}, ..))");
            assert_eq!(format!("{said:?}"), without, "a secret is printed");
        }
        Err(reason) => assert!(
            matches!(
                reason,
                Reason::CredentialMalformed | Reason::CredentialRepeated
            ),
            "{reason:?}"
        ),
    }
}

/// Where foreign credentials may pass, one that is ours still counts.
fn what_passes_is_not_ours(
    headers: &HeaderMap,
    said: Result<&Credential<'_>, &Reason>,
    issuers: &Issuers,
) {
    let ours = headers.get_all(AUTHORIZATION).iter();
    let ours = ours.filter(|value| is_ours(value, issuers)).count();
    if ours > 1 {
        assert!(matches!(said, Err(Reason::CredentialRepeated)), "{said:?}");
    }
    if let Ok(Credential::Bearer(_)) = said {
        assert_eq!(ours, 1, "a foreign token counts");
    }
}

/// A key is found in whatever stands around it.
fn hidden(data: &[u8], issuers: &Issuers) {
    let id = key::with_checksum("pck_", data, 22);
    let secret = key::with_checksum("pcs_", data, 43);
    for ours in [&id, &secret] {
        let middle = data.len() / 2;
        let mut around = data[..middle].to_vec();
        around.extend_from_slice(ours.as_bytes());
        around.extend_from_slice(&data[middle..]);
        if let Ok(value) = http::HeaderValue::from_bytes(&around) {
            assert!(is_ours(&value, issuers), "`{ours}` would be forwarded");
        }
        let mut basic = "Basic ".to_owned();
        let _ = write!(basic, "{}", STANDARD.encode(&around));
        let value = http::HeaderValue::from_str(&basic).expect("base64 is ASCII");
        assert!(
            is_ours(&value, issuers),
            "`{ours}` would be forwarded in base64"
        );
    }
}
