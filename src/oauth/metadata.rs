//! `/.well-known/oauth-authorization-server`: where a client finds the endpoints (RFC 8414).
//!
//! Endpoints are told as the issuer says that the gateway is reached, never as a request does. So there
//! is a document only where `tokens.issuer` is the address of a server, and nothing after it; elsewhere
//! the issuer is a name that nobody looks up.
//!
//! Which permissions there are is not said: a stranger could read it.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::uri::Uri;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

use super::{JWKS_PATH, revoke, token};

/// Where the document is.
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// How long readers may keep it: it changes with the settings, at a start.
const MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The document for this issuer, if it is one that clients could look up. `can_keep` says whether tokens
/// can be given back.
pub fn metadata(issuer: &str, can_keep: bool) -> Option<Value> {
    let root = root(issuer)?;
    let mut document = json!({
        "issuer": issuer,
        "token_endpoint": format!("{root}{}", token::PATH),
        "jwks_uri": format!("{root}{JWKS_PATH}"),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        // Required, and there is none; clients that read it at all ask for a list.
        "response_types_supported": [],
    });
    if let Some(document) = document.as_object_mut().filter(|_| can_keep) {
        let methods = document
            .get("token_endpoint_auth_methods_supported")
            .cloned();
        document.insert(
            "revocation_endpoint".into(),
            json!(format!("{root}{}", revoke::PATH)),
        );
        document.insert(
            "revocation_endpoint_auth_methods_supported".into(),
            json!(methods),
        );
    }
    Some(document)
}

/// `https://host` of an issuer that says no more than that.
fn root(issuer: &str) -> Option<&str> {
    let root = issuer.strip_suffix('/').unwrap_or(issuer);
    let uri: Uri = root.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let is_server = ["http", "https"].contains(&scheme) && !authority.as_str().contains('@');
    (is_server && root.len() == scheme.len() + "://".len() + authority.as_str().len())
        .then_some(root)
}

/// The answer that holds it.
///
/// # Panics
///
/// Never: JSON becomes text.
pub fn document(metadata: &Value) -> Response<Bytes> {
    let body = serde_json::to_vec(metadata).expect("JSON always becomes text");
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, MAX_AGE);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_issuer_that_is_a_server_has_a_document() {
        for name in [
            "portcullis",
            "urn:gate",
            "https://gate.example.com/tenant",
            "https://gate.example.com?x",
            "https://user@gate.example.com",
            "ftp://gate.example.com",
            "https://",
        ] {
            assert_eq!(metadata(name, true), None, "{name}");
        }
        for (issuer, root) in [
            ("https://gate.example.com", "https://gate.example.com"),
            ("https://gate.example.com/", "https://gate.example.com"),
            ("http://127.0.0.1:7080", "http://127.0.0.1:7080"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            let found = metadata(issuer, true).unwrap();
            assert_eq!(found["issuer"], issuer);
            assert_eq!(found["token_endpoint"], format!("{root}/oauth/token"));
            assert_eq!(found["revocation_endpoint"], format!("{root}/oauth/revoke"));
        }
        let found = metadata("https://gate.example.com", false).unwrap();
        assert!(found.get("revocation_endpoint").is_none());
    }
}
