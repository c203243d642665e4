//! `POST /oauth/token`: a key in, a token out (RFC 6749, sections 4.4 and 5).
//!
//! The answer to a given request, state and instant is a pure function; reading the body and writing
//! the log are the caller's. What is wrong with a request is said in the words of the RFC and in
//! sentences that stand in this file, never in what the request said. Why a client is refused is not
//! said at all: unknown, expired, switched off and calling from elsewhere read the same, and the true
//! reason goes into [`TokenAnswer::reason`] for the log.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use zeroize::Zeroizing;

use super::mint::{MintError, MintRequest, joined, mint};
use crate::credential::{basic, basic_pair};
use crate::directory::{Key, State};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::verify::{Verifier, touch};
use crate::words::{Account, KeyId, Permission, PermissionSet, Secret, UnixTime};

/// Where the token endpoint is.
pub const PATH: &str = "/oauth/token";

/// Longest body of a token request, in bytes: a key takes 86 and a scope may name some hundred
/// permissions. Whoever reads the body stops there.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request to the token endpoint.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// What stands behind `?`, if anything does.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, whole.
    pub body: &'a [u8],
    /// Where it comes from; if nobody knows, addresses are not looked at.
    pub source: Option<IpAddr>,
}

/// The answer, and what the log should say about it.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The answer.
    pub response: Response<Bytes>,
    /// `issued`, or the error code of the answer.
    pub outcome: &'static str,
    /// Why there is no token, in full.
    pub reason: Option<Reason>,
    /// Who asked; only if the secret was right.
    pub account: Option<Arc<Account>>,
    /// The key that was shown, whether or not there is such a key.
    pub key: Option<KeyId>,
}

/// Answers a token request.
pub fn answer(
    verifier: &Verifier,
    state: &State,
    tokens: &Tokens,
    request: &TokenRequest<'_>,
    now: UnixTime,
) -> TokenAnswer {
    let desk = Desk {
        verifier,
        state,
        tokens,
        now,
    };
    let mut client = Client::default();
    let issued = read(request).and_then(|form| {
        let key = desk.authenticate(request, &form, &mut client)?;
        desk.issue(key, form.scope.as_deref())
    });
    let (response, outcome, reason) = match issued {
        Ok(issued) => (issued.response(), "issued", None),
        Err(refusal) => (refusal.response(), refusal.error(), Some(refusal.reason())),
    };
    TokenAnswer {
        response,
        outcome,
        reason,
        account: client.account,
        key: client.key,
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Method,
    BodyTooLarge,
    /// In which way the request is not what the RFC asks for.
    Request(&'static str),
    TwoCredentials,
    GrantType,
    /// The true reason, for the log.
    Client(Reason),
    /// In which way the scope cannot be had, and the reason for the log.
    Scope(&'static str, Reason),
    NotReady,
}

impl Refusal {
    /// The error code, of RFC 6749 where that has one.
    fn error(self) -> &'static str {
        match self {
            Self::Method | Self::BodyTooLarge | Self::Request(_) | Self::TwoCredentials => {
                "invalid_request"
            }
            Self::GrantType => "unsupported_grant_type",
            Self::Client(_) => "invalid_client",
            Self::Scope(..) => "invalid_scope",
            Self::NotReady => "temporarily_unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Request(_) | Self::TwoCredentials | Self::GrantType | Self::Scope(..) => {
                StatusCode::BAD_REQUEST
            }
            Self::Client(_) => StatusCode::UNAUTHORIZED,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Method => "use POST",
            Self::BodyTooLarge => "the body is longer than 16384 bytes",
            Self::Request(how) | Self::Scope(how, _) => how,
            Self::TwoCredentials => "send the client's id and secret once, in one way",
            Self::GrantType => "the only grant type here is client_credentials",
            // One sentence for all, or the endpoint would tell which keys exist.
            Self::Client(_) => "the client's id and secret are not valid here",
            Self::NotReady => "no token can be signed now",
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::Method => Reason::MethodNotAllowed,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::Request(_) | Self::GrantType => Reason::RequestMalformed,
            Self::TwoCredentials => Reason::CredentialRepeated,
            Self::Client(reason) | Self::Scope(_, reason) => reason,
            Self::NotReady => Reason::NotReady,
        }
    }

    fn response(self) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            error_description: &'static str,
        }
        let body = Body {
            error: self.error(),
            error_description: self.description(),
        };
        let mut response = json(self.status(), &body);
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if self.status() == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// RFC 9110 asks for a challenge with every 401, however the client tried.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"portcullis\"");

/// No answer of this endpoint may be kept by anybody.
fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("texts and numbers always become JSON");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The parameters we know. One without a value is one that was not sent.
#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    scope: Option<String>,
}

/// Reads the request as far as that needs no secret.
fn read(request: &TokenRequest<'_>) -> Result<Form, Refusal> {
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
    let form = Form::parse(request.body)?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => Ok(form),
        Some(_) => Err(Refusal::GrantType),
        None => Err(Refusal::Request("the parameter grant_type is missing")),
    }
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
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
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
                _ => {} // RFC 6749, 3.2: parameters nobody knows are ignored
            }
            if !seen.insert(name) {
                return Err(Refusal::Request("a parameter is sent twice"));
            }
        }
        Ok(form)
    }
}

/// Who asks, as far as it is known.
#[derive(Default)]
struct Client {
    key: Option<KeyId>,
    account: Option<Arc<Account>>,
}

/// What every step needs.
struct Desk<'s> {
    verifier: &'s Verifier,
    state: &'s State,
    tokens: &'s Tokens,
    now: UnixTime,
}

impl<'s> Desk<'s> {
    /// The key that was shown, if it and its account are good and may be used from here.
    fn authenticate(
        &self,
        request: &TokenRequest<'_>,
        form: &Form,
        client: &mut Client,
    ) -> Result<&'s Key, Refusal> {
        let (id, secret) = credential(request.headers, form)?;
        client.key = Some(id);
        let found = self.verifier.key(&id, &secret, self.state, self.now);
        if found.as_ref().err() != Some(&Reason::KeyUnknown) {
            let key = self.state.directory.key(&id);
            client.account = key.map(|key| Arc::clone(&key.account));
        }
        let key = found.map_err(Refusal::Client)?;
        if !key.account.enabled {
            return Err(Refusal::Client(Reason::AccountDisabled));
        }
        let admitted = |source| key.account.addresses.admit(source);
        if !request.source.is_none_or(admitted) {
            return Err(Refusal::Client(Reason::AddressNotAllowed));
        }
        Ok(key)
    }

    fn issue(&self, key: &Key, scope: Option<&str>) -> Result<Issued, Refusal> {
        let policy = &self.state.policy;
        let worth = worth(key);
        let asked = match scope {
            Some(scope) => Some(narrowed(policy, &worth, scope)?),
            None => None,
        };
        let given = asked.as_ref().unwrap_or(&worth);
        let names: Vec<Permission> = given
            .iter()
            .map(|id| policy.permission(id).clone())
            .collect();
        let request = MintRequest {
            account: &key.account,
            key: Some(key.id),
            scope: asked.is_some().then_some(&*names),
            lifetime: lifetime(key, self.tokens, self.now),
        };
        let signer = self.state.directory.signing().current();
        let token = mint(signer, self.tokens, request, self.now);
        touch(key, self.now);
        Ok(Issued {
            access_token: token.map_err(|error| refusal(&error))?,
            token_type: "Bearer",
            expires_in: request.lifetime.as_secs(),
            scope: joined(&names),
        })
    }
}

/// Key id and secret, from the header or the body.
fn credential(headers: &HeaderMap, form: &Form) -> Result<(KeyId, Secret), Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(Refusal::TwoCredentials);
    }
    match (header, &form.client_id, &form.client_secret) {
        (Some(_), _, Some(_)) => Err(Refusal::TwoCredentials),
        (Some(header), id, None) => {
            let (user, password) = from_basic(header).ok_or(MALFORMED)?;
            if id.as_ref().is_some_and(|id| *id != *user) {
                return Err(Refusal::Request(
                    "client_id is not the client in the header",
                ));
            }
            key(&user, &password)
        }
        (None, Some(id), Some(secret)) => key(id, secret),
        (None, None, Some(_)) => Err(Refusal::Request("the parameter client_id is missing")),
        (None, _, None) => Err(Refusal::Client(Reason::CredentialMissing)),
    }
}

const MALFORMED: Refusal = Refusal::Client(Reason::CredentialMalformed);

fn key(id: &str, secret: &str) -> Result<(KeyId, Secret), Refusal> {
    let id = id.parse().map_err(|_| MALFORMED)?;
    let secret = Secret::parse(secret).map_err(|_| MALFORMED)?;
    Ok((id, secret))
}

/// Client and secret of a `Basic` value, each form-encoded before the two were joined (RFC 6749,
/// 2.3.1).
fn from_basic(header: &HeaderValue) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let pair = basic_pair(basic(header)?)?;
    let (user, password) = pair.split_once(':')?;
    Some((form_decoded(user)?, form_decoded(password)?))
}

fn form_decoded(text: &str) -> Option<Zeroizing<String>> {
    let spaced = Zeroizing::new(text.replace('+', " "));
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

/// The token made, and what stands beside it in the answer.
#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

impl Issued {
    fn response(&self) -> Response<Bytes> {
        json(StatusCode::OK, self)
    }
}

/// A token outlives its key on paper only, so the paper says when it really ends.
fn lifetime(key: &Key, tokens: &Tokens, now: UnixTime) -> Duration {
    let rest = key.expires_at.map(|end| end.since(now));
    rest.map_or(tokens.lifetime, |rest| rest.min(tokens.lifetime))
}

fn refusal(error: &MintError) -> Refusal {
    match error {
        MintError::TooLong { .. } => Refusal::Scope(
            "the scope makes the token too long, ask for fewer permissions",
            Reason::RequestMalformed,
        ),
        MintError::NoSigningKey | MintError::Signing(_) => Refusal::NotReady,
    }
}

/// Everything a token from this key may do somewhere.
fn worth(key: &Key) -> PermissionSet {
    let mut held = PermissionSet::default();
    for holding in &key.account.holdings {
        held.extend(&holding.permissions);
    }
    match &key.subset {
        Some(subset) => held.iter().filter(|id| subset.contains(*id)).collect(),
        None => held,
    }
}

/// The permissions a scope names. All of them, or none: what was not asked for in vain is not
/// quietly left out.
fn narrowed(policy: &Policy, worth: &PermissionSet, scope: &str) -> Result<PermissionSet, Refusal> {
    let one = |name: &str| {
        let permission: Permission = name.parse().map_err(|_| {
            Refusal::Scope(
                "a scope is names of permissions with one space between",
                Reason::RequestMalformed,
            )
        })?;
        let id = policy.permission_id(permission.as_str());
        id.filter(|id| worth.contains(*id)).ok_or(Refusal::Scope(
            "the scope names a permission this client does not have",
            Reason::PermissionMissing,
        ))
    };
    scope.split(' ').map(one).collect()
}

#[cfg(test)]
mod tests;
