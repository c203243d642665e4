//! A denial becomes a problem document (RFC 9457).
//!
//! One place decides who is told what: a known caller learns exactly what is missing, a stranger
//! whether to bring a credential, and neither learns more from the headers than from the body.

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::decision::{Denial, Limited, Needs};
use crate::reason::Reason;
use crate::words::RequestId;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What a response we made ourselves has for `Content-Type`.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The answer to a refused request, without its `X-Request-Id`, which every response gets.
pub fn respond(denial: &Denial, id: &RequestId) -> Response<Bytes> {
    let reason = denial.reason;
    let body = serde_json::to_vec(&problem(denial, id)).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = reason.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(PROXY_STATUS, proxy_status(reason));
    if let Some(challenge) = challenge(denial) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if reason == Reason::MethodNotAllowed
        && let Ok(allow) = HeaderValue::from_str(&denial.allow.to_string())
    {
        headers.insert(ALLOW, allow);
    }
    if reason == Reason::UpgradeRefused {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if reason.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(limited) = &denial.limited {
        tell_limits(headers, limited);
    }
    response
}

/// When to come again, and what was exceeded if that is told: `RateLimit-Policy` says how often (`q` in
/// `w` seconds), `RateLimit` that nothing is left (`r`) and for how long (`t`).
///
/// # Panics
///
/// Never: a header of our own words and numbers is one.
pub fn tell_limits(headers: &mut HeaderMap, limited: &Limited) {
    const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    // Rounded up: who comes when the second begins would come in vain.
    let wait = limited.wait.as_millis().div_ceil(1000).max(1);
    let mut set = |name, text: String| {
        let value = HeaderValue::from_str(&text).expect("made of our own words and numbers");
        headers.insert(name, value);
    };
    set(RETRY_AFTER, wait.to_string());
    if let Some((name, rate)) = limited.quota {
        let (quota, window) = (rate.count, rate.per.as_secs());
        set(
            RATE_LIMIT_POLICY,
            format!("\"{name}\";q={quota};w={window}"),
        );
        set(RATE_LIMIT, format!("\"{name}\";r=0;t={wait}"));
    }
}

/// Says the same in the words of gRPC, whose clients look for a status of their own beside HTTP's, and
/// take a body for the fault it would be in an answer of theirs: such an answer has none.
pub fn tell_grpc(headers: &mut HeaderMap, reason: Reason) {
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(grpc_status(reason)));
    headers.insert(GRPC_MESSAGE, grpc_message(reason));
}

fn grpc_message(reason: Reason) -> HeaderValue {
    let message = format!("{}: {}", reason.public_code(), reason.title());
    HeaderValue::from_str(&message).expect("made of our own words")
}

/// gRPC's word for what happened.
fn grpc_status(reason: Reason) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const FAILED_PRECONDITION: u16 = 9;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match reason.status().as_u16() {
        400 | 414 | 431 => INVALID_ARGUMENT,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 | 421 | 501 | 505 => UNIMPLEMENTED,
        413 | 429 => RESOURCE_EXHAUSTED,
        417 | 426 => FAILED_PRECONDITION,
        408 | 502..=504 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// The problem document.
fn problem(denial: &Denial, id: &RequestId) -> Value {
    let reason = denial.reason;
    let mut problem = Map::new();
    let public = reason.public_code();
    problem.insert(
        "type".into(),
        json!(format!("urn:portcullis:reason:{public}")),
    );
    problem.insert("title".into(), json!(reason.title()));
    problem.insert("status".into(), json!(reason.status().as_u16()));
    problem.insert("detail".into(), json!(denial.sentence()));
    problem.insert("instance".into(), json!(format!("urn:uuid:{id}")));
    problem.insert("reason".into(), json!(public));
    problem.insert("request_id".into(), json!(id.as_str()));
    if let Some(class) = denial.class {
        problem.insert("class".into(), json!(class.code()));
    }
    if matches!(reason, Reason::PermissionMissing | Reason::OutsideBoundary) {
        if let Some(needs) = &denial.needs {
            problem.insert("needs".into(), needs_value(needs));
        }
        if !denial.missing.is_empty() {
            problem.insert("missing".into(), json!(denial.missing));
        }
        if reason == Reason::OutsideBoundary && !denial.boundary.is_empty() {
            let place = denial.boundary.iter();
            let place: Map<_, _> = place
                .map(|(name, value)| (name.to_string(), json!(value)))
                .collect();
            problem.insert("boundary".into(), Value::Object(place));
        }
    }
    Value::Object(problem)
}

/// `"devices:edit"`, `{"any": […]}` or `{"all": […]}`.
pub fn needs_value(needs: &Needs) -> Value {
    match needs {
        Needs::All(all) => match all.as_slice() {
            [one] => json!(one),
            _ => json!({ "all": all }),
        },
        Needs::Any(any) => json!({ "any": any }),
    }
}

/// `WWW-Authenticate` (RFC 6750 §3): without an error for a caller that showed nothing, with
/// `insufficient_scope` and what is missing for a known one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reason without a word of its own has the general one"
)]
fn challenge(denial: &Denial) -> Option<HeaderValue> {
    const REALM: &str = "Bearer realm=\"portcullis\"";
    let text = match denial.reason {
        Reason::CredentialMissing => REALM.to_owned(),
        reason if reason.status() == StatusCode::UNAUTHORIZED => {
            format!("{REALM}, error=\"invalid_token\"")
        }
        Reason::CredentialRepeated => format!("{REALM}, error=\"invalid_request\""),
        Reason::PermissionMissing => {
            let missing: Vec<_> = denial.missing.iter().map(AsRef::as_ref).collect();
            let scope = missing.join(" ");
            format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\"")
        }
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}

/// `Proxy-Status` (RFC 9209) with the standard's word for what happened, and ours beside it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reason without a word of its own has the general one"
)]
fn proxy_status(reason: Reason) -> HeaderValue {
    let error = match reason {
        Reason::UpstreamUnreachable => "connection_refused",
        Reason::UpstreamReset => "connection_terminated",
        Reason::UpstreamMalformed => "http_protocol_error",
        Reason::UpstreamTimeout => "http_response_timeout",
        Reason::UpstreamOverloaded => "connection_limit_reached",
        Reason::InternalError => "proxy_internal_error",
        Reason::LoopDetected => "proxy_loop_detected",
        // Of class 5, and the client's all the same.
        Reason::VersionUnknown | Reason::MethodUnknown | Reason::TransferCodingUnknown => {
            "http_request_error"
        }
        reason if reason.status().is_client_error() => "http_request_denied",
        _ => "proxy_configuration_error",
    };
    let text = format!(
        "portcullis; error={error}; details=\"{}\"",
        reason.public_code()
    );
    HeaderValue::from_str(&text).expect("made of our own words")
}
