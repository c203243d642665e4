//! Header surgery: what the upstream is sent, and what the client is.
//!
//! The order is the safety of it. What belongs to one hop goes first, then everything a client may
//! not say to an upstream, and only then is ours added: were ours there earlier, a client could
//! name it in `Connection` and have it removed on the way.

use std::fmt::Write as _;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

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

/// Turns a client's headers into those the upstream is sent.
pub fn prepare(headers: &mut HeaderMap, permit: &Permit, terms: &Terms<'_>, issuers: &Issuers) {
    let (forwarded_for, forwarded_proto) = (forwarded_for(terms), forwarded_proto(terms, headers));
    strip(headers, permit, issuers);
    headers.insert(X_FORWARDED_FOR, forwarded_for);
    headers.insert(X_FORWARDED_HOST, terms.host.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(forwarded_proto));
    headers.insert(X_REQUEST_ID, request_id(terms.id));
    let Some(identity) = permit.identity() else {
        return;
    };
    let account = &identity.caller.account;
    headers.insert(ACCOUNT, account.name_header.clone());
    headers.insert(ACCOUNT_ID, account.id_header.clone());
    if let Some(permissions) = &identity.permissions {
        headers.insert(PERMISSIONS, permissions.clone());
    }
    if let Some(boundary) = &identity.boundary {
        headers.insert(BOUNDARY, boundary.clone());
    }
}

/// Removes what may not reach an upstream: what is for one hop, what could be taken for ours, and
/// what could be a credential of ours.
fn strip(headers: &mut HeaderMap, permit: &Permit, issuers: &Issuers) {
    let mut doomed: smallvec::SmallVec<[HeaderName; 8]> = smallvec::SmallVec::new();
    for value in headers.get_all(CONNECTION) {
        doomed.extend(tokens(value).filter_map(|token| HeaderName::from_bytes(token).ok()));
    }
    for (name, value) in headers.iter() {
        if is_unwanted(name, value, permit, issuers) {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
}

fn is_unwanted(name: &HeaderName, value: &HeaderValue, permit: &Permit, issuers: &Issuers) -> bool {
    if *name == AUTHORIZATION {
        return !permit.passes_authorization() || credential::is_ours(value, issuers);
    }
    // Wherever it stands: a token in a cookie is a token.
    if (*name == X_API_KEY || may_hold_ours(value)) && credential::is_ours(value, issuers) {
        return true;
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

/// A quick look that finds every value [`credential::is_ours`] could mean but encoded ones, which
/// stand in `Authorization` or `X-Api-Key`: the start of a key, or of a JWT.
fn may_hold_ours(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .windows(3)
        .any(|three| matches!(three, b"pck" | b"pcs" | b"eyJ"))
}

fn forwarded_for(terms: &Terms<'_>) -> HeaderValue {
    let mut text = String::with_capacity(40);
    if let Some(chain) = terms.trusted_chain {
        let _ = write!(text, "{chain}, ");
    }
    let _ = write!(text, "{}", terms.peer.to_canonical());
    HeaderValue::from_str(&text).expect("addresses, and a chain that was a header before")
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
    let mut doomed: smallvec::SmallVec<[HeaderName; 4]> = smallvec::SmallVec::new();
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
