//! Header surgery: what the upstream is sent, and what the client is.
//!
//! The order is the safety of it. What belongs to one hop goes first, then everything a client may
//! not say to an upstream, and only then is ours added: were ours there earlier, a client could
//! name it in `Connection` and have it removed on the way.

use std::net::IpAddr;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, IF_NONE_MATCH, ORIGIN, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{Terms, proxy_status};
use crate::credential::{self, Issuers, X_API_KEY};
use crate::decision::Permit;
use crate::head::tokens;
use crate::words::RequestId;
use crate::words::fields::{HOP_BY_HOP, METHOD_OVERRIDES, OURS, is_claim, is_plain};

/// The id of the request: ours, on the way to the upstream and back to the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ACCOUNT: HeaderName = HeaderName::from_static("x-portcullis-account");
const ACCOUNT_ID: HeaderName = HeaderName::from_static("x-portcullis-account-id");
const PERMISSIONS: HeaderName = HeaderName::from_static("x-portcullis-permissions");
const BOUNDARY: HeaderName = HeaderName::from_static("x-portcullis-boundary");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Most fields that are ours in one message.
pub(super) const OURS_MAX: usize = 14;

/// What the headers of a request go through.
#[derive(Clone, Copy, Debug)]
pub struct Surgery<'a> {
    /// What it was let through by.
    pub permit: &'a Permit,
    /// What is known of it besides its head.
    pub terms: &'a Terms<'a>,
    /// Whose tokens are ours.
    pub issuers: &'a Issuers,
}

/// The value of a field that goes out.
#[derive(Clone, Copy, Debug)]
pub enum Outbound<'a> {
    /// One that is there.
    Value(&'a HeaderValue),
    /// One that is only text so far: visible ASCII.
    Text(&'a str),
}

impl Outbound<'_> {
    /// The value as it stands on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Value(value) => value.as_bytes(),
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// The value for a map.
    ///
    /// # Panics
    ///
    /// Never: a text is visible ASCII.
    pub fn to_value(self) -> HeaderValue {
        match self {
            Self::Value(value) => value.clone(),
            Self::Text(text) => HeaderValue::from_str(text).expect("it is visible ASCII"),
        }
    }
}

/// Puts out what the upstream is sent of a client's headers, and then what we say ourselves.
pub fn prepare(
    headers: &HeaderMap,
    surgery: &Surgery<'_>,
    put: &mut impl FnMut(&HeaderName, Outbound<'_>),
) {
    let Surgery { permit, terms, .. } = *surgery;
    let nominated: SmallVec<[&[u8]; 4]> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .collect();
    for (name, value) in headers {
        let is_this = |token: &&[u8]| token.eq_ignore_ascii_case(name.as_str().as_bytes());
        if !is_unwanted(name, value, surgery) && !nominated.iter().any(is_this) {
            put(name, Outbound::Value(value));
        }
    }
    match terms.trusted_chain {
        None => put(&X_FORWARDED_FOR, Outbound::Value(terms.forwarded_for)),
        Some(chain) => {
            let by = terms.forwarded_for.to_str().unwrap_or_default();
            put(&X_FORWARDED_FOR, Outbound::Text(&format!("{chain}, {by}")));
        }
    }
    put(&X_FORWARDED_HOST, Outbound::Value(terms.host));
    let proto = forwarded_proto(terms, headers);
    put(&X_FORWARDED_PROTO, Outbound::Text(proto));
    put(&X_REQUEST_ID, Outbound::Text(terms.id.as_str()));
    let Some(identity) = permit.identity() else {
        return;
    };
    let account = &identity.caller.account;
    put(&ACCOUNT, Outbound::Value(&account.name_header));
    put(&ACCOUNT_ID, Outbound::Value(&account.id_header));
    if let Some(permissions) = &identity.permissions {
        put(&PERMISSIONS, Outbound::Value(permissions));
    }
    if let Some(boundary) = &identity.boundary {
        put(&BOUNDARY, Outbound::Value(boundary));
    }
}

/// Whether a field may not reach an upstream: it is for one hop, could be taken for ours, or could be a
/// credential of ours.
fn is_unwanted(name: &HeaderName, value: &HeaderValue, surgery: &Surgery<'_>) -> bool {
    let Surgery {
        permit, issuers, ..
    } = *surgery;
    if *name == AUTHORIZATION {
        return !permit.passes_authorization() || credential::is_ours(value, issuers);
    }
    // Wherever it stands: a token in a cookie is a token.
    if (*name == X_API_KEY || may_hold_ours(value)) && credential::is_ours(value, issuers) {
        return true;
    }
    if is_harmless(name) {
        return false;
    }
    // Rebuilt by whoever writes the message: one Host, one length.
    if matches!(*name, HOST | CONTENT_LENGTH | EXPECT) {
        return true;
    }
    let admitted = || permit.header_names().contains(name);
    let name = name.as_str();
    name.starts_with(OURS)
        || HOP_BY_HOP.contains(&name)
        || is_claim(name)
        || METHOD_OVERRIDES.contains(&name)
        // A CGI-like reader takes `x_portcullis_account` for `x-portcullis-account`; a name that
        // can be read two ways is not sent.
        || !(is_plain(name) || admitted())
}

/// Names that nearly every request has and no rule is about, so that they are not compared with all of
/// those that some rule is about.
fn is_harmless(name: &HeaderName) -> bool {
    matches!(
        *name,
        ACCEPT
            | ACCEPT_ENCODING
            | ACCEPT_LANGUAGE
            | CACHE_CONTROL
            | CONTENT_TYPE
            | COOKIE
            | IF_NONE_MATCH
            | ORIGIN
            | REFERER
            | USER_AGENT
    )
}

/// A quick look that finds every value [`credential::is_ours`] could mean but encoded ones, which
/// stand in `Authorization` or `X-Api-Key`: the start of a key, or of a JWT. It looks at all bytes
/// rather than stop at the first find: the compiler then looks at many at a time.
fn may_hold_ours(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let (second, third) = (bytes.iter().skip(1), bytes.iter().skip(2));
    let threes = bytes.iter().zip(second).zip(third);
    threes.fold(false, |found, ((first, second), third)| {
        let key = (*first == b'p') & (*second == b'c') & ((*third == b'k') | (*third == b's'));
        let token = (*first == b'e') & (*second == b'y') & (*third == b'J');
        found | key | token
    })
}

/// The address of whoever is at the other end, as it is said to an upstream.
///
/// # Panics
///
/// Never: an address is visible ASCII.
pub fn address(peer: IpAddr) -> HeaderValue {
    let text = peer.to_canonical().to_string();
    HeaderValue::from_str(&text).expect("an address is visible ASCII")
}

/// The scheme the client used: what a trusted peer that speaks for another says it was, else that of
/// our own socket.
fn forwarded_proto(terms: &Terms<'_>, headers: &HeaderMap) -> &'static str {
    let stated = terms.trusted_chain.and(headers.get(X_FORWARDED_PROTO));
    match stated.map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ if terms.tls => "https",
        _ => "http",
    }
}

/// Turns an upstream's headers into those the client is sent: nothing for one hop, nothing that
/// looks like ours.
pub fn relay(headers: &mut HeaderMap) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for value in headers.get_all(CONNECTION) {
        doomed.extend(tokens(value).filter_map(|token| HeaderName::from_bytes(token).ok()));
    }
    let unwanted =
        |name: &HeaderName| name.as_str().starts_with(OURS) || HOP_BY_HOP.contains(&name.as_str());
    doomed.extend(headers.keys().filter(|name| unwanted(name)).cloned());
    for name in &doomed {
        // An upstream that lists an end-to-end field would have us drop the body's length.
        if *name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    proxy_status::strip(headers);
}

/// The request's id as a header value.
///
/// # Panics
///
/// Never: it is made of hexadecimal digits and hyphens.
pub fn request_id(id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(id.as_str()).expect("made of hexadecimal digits and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::fields::is_reserved;

    #[test]
    fn no_rule_is_about_a_name_that_is_not_compared() {
        let names = [
            ACCEPT,
            ACCEPT_ENCODING,
            ACCEPT_LANGUAGE,
            CACHE_CONTROL,
            CONTENT_TYPE,
            COOKIE,
            IF_NONE_MATCH,
            ORIGIN,
            REFERER,
            USER_AGENT,
        ];
        for name in names {
            assert!(is_harmless(&name), "{name}");
            // A cookie is a credential to others; of ours it is looked through like any value.
            assert_eq!(is_reserved(name.as_str()), name == COOKIE, "{name}");
        }
        assert!(!is_harmless(&HOST));
    }

    #[test]
    fn the_start_of_a_credential_is_seen_wherever_it_stands() {
        for (text, expected) in [
            ("", false),
            ("pc", false),
            ("eY", false),
            ("pck", true),
            ("a; b=pcs_1", true),
            ("session=eyJhbGciOi", true),
            ("Mozilla/5.0 (X11; Linux x86_64) pc eyj EYJ", false),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(may_hold_ours(&value), expected, "{text}");
        }
    }
}
