//! A token request as it is sent: its parameters, and the client's id and secret in one of two places.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::{BODY_BYTES_MAX, TokenRequest};
use crate::credential::{basic, basic_pair};
use crate::reason::Reason;
use crate::words::{KeyId, Secret};

/// The parameters we know. One without a value is one that was not sent.
#[derive(Default)]
pub(in crate::oauth) struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    pub(super) client_secret: Option<Zeroizing<String>>,
    pub(super) scope: Option<String>,
    /// The token that is given back.
    pub(in crate::oauth) token: Option<Zeroizing<String>>,
    /// Whom the token is to be for.
    pub(super) resource: Option<String>,
    /// How long it is to be good, at most.
    pub(super) lifetime: Option<Duration>,
}

/// Reads the request as far as that needs no secret.
pub(super) fn read(request: &TokenRequest<'_>) -> Result<Form, Refusal> {
    let form = form(request)?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => Ok(form),
        Some(_) => Err(Refusal::GrantType),
        None => Err(Refusal::Request("the parameter grant_type is missing")),
    }
}

/// The parameters of a request to any of the endpoints that clients ask.
pub(in crate::oauth) fn form(request: &TokenRequest<'_>) -> Result<Form, Refusal> {
    if request.method != Method::POST {
        return Err(Refusal::Method);
    }
    if request.body.len() > BODY_BYTES_MAX {
        return Err(Refusal::BodyTooLarge);
    }
    if request.query.is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::Request(
            "send the parameters in the body, not in the URI",
        ));
    }
    if !is_form(request.headers) {
        return Err(Refusal::Request(
            "send the body as application/x-www-form-urlencoded",
        ));
    }
    Form::parse(request.body)
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.as_bytes().split(|b| *b == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}

impl Form {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(body) {
            let value = Zeroizing::new(value.into_owned());
            let said = (!value.is_empty()).then_some(value);
            let plain = |said: Option<Zeroizing<String>>| said.map(|text| text.as_str().to_owned());
            match &*name {
                "grant_type" => form.grant_type = plain(said),
                "client_id" => form.client_id = plain(said),
                "client_secret" => form.client_secret = said,
                "scope" => form.scope = plain(said),
                "token" => form.token = said,
                "resource" => form.resource = plain(said),
                "lifetime" => form.lifetime = plain(said).as_deref().map(seconds).transpose()?,
                _ => {} // RFC 6749, 3.2: parameters nobody knows are ignored
            }
            if !seen.insert(name) {
                return Err(Refusal::Request("a parameter is sent twice"));
            }
        }
        Ok(form)
    }
}

/// A lifetime as `expires_in` says it.
fn seconds(text: &str) -> Result<Duration, Refusal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| plain && *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or(Refusal::Request("the lifetime is a number of seconds"))
}

/// The key a client shows.
pub(super) struct Shown {
    pub(super) id: KeyId,
    pub(super) secret: Secret,
    /// The same secret as a client means it that does not encode it as the RFC asks: curl, and many
    /// libraries. Secrets of ours have no character that would be encoded; others may.
    pub(super) plain: Option<Secret>,
}

/// Key id and secret, from the header or the body.
pub(super) fn credential(headers: &HeaderMap, form: &Form) -> Result<Shown, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(Refusal::TwoCredentials);
    }
    match (header, &form.client_id, &form.client_secret) {
        (Some(_), _, Some(_)) => Err(Refusal::TwoCredentials),
        (Some(header), id, None) => {
            let pair = basic(header).and_then(basic_pair).ok_or(MALFORMED)?;
            let (user, password) = pair.split_once(':').ok_or(MALFORMED)?;
            let user = form_decoded(user).ok_or(MALFORMED)?;
            if id.as_ref().is_some_and(|id| *id != *user) {
                return Err(Refusal::Request(
                    "client_id is not the client in the header",
                ));
            }
            let decoded = form_decoded(password).filter(|decoded| **decoded != *password);
            let decoded = decoded.and_then(|decoded| Secret::parse(&decoded).ok());
            let plain = Secret::parse(password).ok();
            let (secret, plain) = match decoded {
                Some(decoded) => (decoded, plain),
                None => (plain.ok_or(MALFORMED)?, None),
            };
            let id = user.parse().map_err(|_| MALFORMED)?;
            Ok(Shown { id, secret, plain })
        }
        (None, Some(id), Some(secret)) => Ok(Shown {
            id: id.parse().map_err(|_| MALFORMED)?,
            secret: Secret::parse(secret).map_err(|_| MALFORMED)?,
            plain: None,
        }),
        (None, None, Some(_)) => Err(Refusal::Request("the parameter client_id is missing")),
        (None, _, None) => Err(Refusal::Client(Reason::CredentialMissing)),
    }
}

const MALFORMED: Refusal = Refusal::Client(Reason::CredentialMalformed);

/// Client and secret in a `Basic` value are each form-encoded before the two are joined (RFC 6749,
/// 2.3.1).
pub(super) fn form_decoded(text: &str) -> Option<Zeroizing<String>> {
    let spaced = Zeroizing::new(text.replace('+', " "));
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}
