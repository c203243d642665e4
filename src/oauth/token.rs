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
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::verify::world::{START, World};

    /// A request, as curl would write it.
    struct Curl {
        method: Method,
        query: Option<&'static str>,
        headers: HeaderMap,
        body: String,
        source: Option<IpAddr>,
    }

    impl Curl {
        fn new(body: impl Into<String>) -> Self {
            let mut headers = HeaderMap::new();
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
            Self {
                method: Method::POST,
                query: None,
                headers,
                body: body.into(),
                source: Some("192.0.2.1".parse().unwrap()),
            }
        }

        fn user(mut self, user: &str, password: &str) -> Self {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            self.headers.append(AUTHORIZATION, value.parse().unwrap());
            self
        }

        fn header(mut self, name: &'static str, value: &str) -> Self {
            self.headers.insert(name, value.parse().unwrap());
            self
        }

        fn ask(&self, world: &World, now: UnixTime) -> TokenAnswer {
            let request = TokenRequest {
                method: &self.method,
                query: self.query,
                headers: &self.headers,
                body: self.body.as_bytes(),
                source: self.source,
            };
            answer(
                &world.verifier,
                &world.state(),
                &world.tokens,
                &request,
                now,
            )
        }
    }

    const GRANT: &str = "grant_type=client_credentials";

    /// `GRANT` by the account's own key.
    fn good(world: &World, account: &str) -> Curl {
        extended(world, account, "")
    }

    fn extended(world: &World, account: &str, more: &str) -> Curl {
        let (id, secret) = &world.keys[account];
        Curl::new(format!("{GRANT}{more}")).user(id.as_str(), secret.reveal())
    }

    fn body(answer: &TokenAnswer) -> Value {
        serde_json::from_slice(answer.response.body()).unwrap()
    }

    /// Says that the answer is this error, and that nothing in it is the client's or forbidden.
    fn check(answer: &TokenAnswer, status: u16, error: &str, reason: Reason) {
        let body = body(answer);
        assert_eq!(answer.response.status().as_u16(), status, "{body}");
        assert_eq!(
            (answer.outcome, answer.reason),
            (error, Some(reason)),
            "{body}"
        );
        assert_eq!(body["error"], error);
        let headers = answer.response.headers();
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[PRAGMA], "no-cache");
        let challenge = headers.get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
        let expected = (status == 401).then_some(b"Basic realm=\"portcullis\"".as_slice());
        assert_eq!(challenge, expected);
        // E09
        for text in [&body["error"], &body["error_description"]] {
            let text = text.as_str().unwrap();
            let allowed = |b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(!text.is_empty() && text.bytes().all(allowed), "{text}");
            assert!(!text.contains("CANARY"), "{text}");
        }
        assert_eq!(body.as_object().unwrap().len(), 2);
    }

    #[test]
    fn e01_a_good_key_gets_a_token_by_header_and_by_body() {
        let world = World::new();
        let (id, secret) = &world.keys["ci"];
        let by_body = format!("{GRANT}&client_id={id}&client_secret={}", secret.reveal());
        for curl in [good(&world, "ci"), Curl::new(by_body)] {
            let answer = curl.ask(&world, START);
            assert_eq!(answer.response.status(), StatusCode::OK);
            let headers = answer.response.headers();
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            assert_eq!(headers[PRAGMA], "no-cache");
            let body = body(&answer);
            let expected = json!({
                "access_token": body["access_token"],
                "token_type": "Bearer",
                "expires_in": 900,
                "scope": "devices:edit devices:view tenants:view",
            });
            assert_eq!(
                body.to_string(),
                expected.to_string(),
                "these members in this order"
            );
            assert_eq!((answer.outcome, answer.reason), ("issued", None));
            assert_eq!(
                (answer.key, answer.account.unwrap().name.as_str()),
                (Some(*id), "ci")
            );

            let caller = world
                .bearer(body["access_token"].as_str().unwrap(), START)
                .unwrap();
            assert_eq!(
                (caller.account.name.as_str(), caller.key),
                ("ci", Some(*id))
            );
            assert_eq!(caller.subset, None);
        }
    }

    #[test]
    fn e02_the_grant_type_is_client_credentials() {
        let world = World::new();
        let ask = |text: &str| {
            let (id, secret) = &world.keys["ci"];
            Curl::new(text)
                .user(id.as_str(), secret.reveal())
                .ask(&world, START)
        };
        for missing in [
            "",
            "grant_type=",
            "scope=devices:view",
            "grant_typeCANARY=x",
        ] {
            check(
                &ask(missing),
                400,
                "invalid_request",
                Reason::RequestMalformed,
            );
        }
        for unknown in [
            "password",
            "CANARY",
            "client_credentials+",
            "Client_Credentials",
            "%ff",
        ] {
            let answer = ask(&format!("grant_type={unknown}"));
            check(
                &answer,
                400,
                "unsupported_grant_type",
                Reason::RequestMalformed,
            );
        }
        // A parameter without a value was not sent; one nobody knows is ignored.
        for fine in [
            "&scope=",
            "&client_id=&client_secret=",
            "&resource=CANARY",
            "&",
        ] {
            assert_eq!(
                extended(&world, "ci", fine).ask(&world, START).outcome,
                "issued",
                "{fine}"
            );
        }
    }

    #[test]
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
            (user(id, secret.split_at(1).1), Reason::CredentialMalformed),
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
    fn e05_a_scope_is_had_whole_or_not_at_all() {
        let world = World::new();
        let ask = |account: &str, scope: &str| {
            let more: String = form_urlencoded::byte_serialize(scope.as_bytes()).collect();
            extended(&world, account, &format!("&scope={more}")).ask(&world, START)
        };
        let answer = ask("ci", "tenants:view devices:view tenants:view");
        assert_eq!(
            body(&answer)["scope"],
            "devices:view tenants:view",
            "sorted, each once"
        );
        let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
        let subset = world.bearer(&token, START).unwrap().subset.unwrap();
        assert_eq!(subset.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);

        for malformed in [
            " ",
            "devices:view ",
            "devices:view  devices:edit",
            "CANARY",
            "devices:*",
            "a:b\tc:d",
            "devices:view\0",
            "\"devices:view\"",
            "портал:вид",
        ] {
            check(
                &ask("ci", malformed),
                400,
                "invalid_scope",
                Reason::RequestMalformed,
            );
        }
        for wide in ["users:edit", "ghosts:view", "devices:view users:edit"] {
            check(
                &ask("ci", wide),
                400,
                "invalid_scope",
                Reason::PermissionMissing,
            );
        }
        check(
            &ask("poor", "devices:view"),
            400,
            "invalid_scope",
            Reason::PermissionMissing,
        );
        assert_eq!(body(&good(&world, "poor").ask(&world, START))["scope"], "");
    }

    #[test]
    fn e06_only_a_short_form_by_post_is_read() {
        let world = World::new();
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::OPTIONS,
            Method::DELETE,
        ] {
            let curl = Curl {
                method,
                ..good(&world, "ci")
            };
            let answer = curl.ask(&world, START);
            check(&answer, 405, "invalid_request", Reason::MethodNotAllowed);
            assert_eq!(answer.response.headers()[ALLOW], "POST");
        }
        for query in ["grant_type=client_credentials", "x", "="] {
            let curl = Curl {
                query: Some(query),
                ..good(&world, "ci")
            };
            check(
                &curl.ask(&world, START),
                400,
                "invalid_request",
                Reason::RequestMalformed,
            );
        }
        let empty = Curl {
            query: Some(""),
            ..good(&world, "ci")
        };
        assert_eq!(empty.ask(&world, START).outcome, "issued");
        for other in [
            "application/json",
            "multipart/form-data; boundary=x",
            "",
            "text/plain",
            "application/x-www-form-urlencodedx",
        ] {
            let curl = good(&world, "ci").header("content-type", other);
            check(
                &curl.ask(&world, START),
                400,
                "invalid_request",
                Reason::RequestMalformed,
            );
        }
        let fine = "Application/X-WWW-Form-Urlencoded ; charset=UTF-8";
        let curl = good(&world, "ci").header("content-type", fine);
        assert_eq!(curl.ask(&world, START).outcome, "issued");
        let mut none = good(&world, "ci");
        none.headers.remove(CONTENT_TYPE);
        check(
            &none.ask(&world, START),
            400,
            "invalid_request",
            Reason::RequestMalformed,
        );
    }

    #[test]
    fn e06_a_body_has_a_longest_length() {
        let world = World::new();
        let room = BODY_BYTES_MAX - GRANT.len() - "&x=".len();
        let ask = |length| {
            let more = format!("&x={}", "a".repeat(length));
            extended(&world, "ci", &more).ask(&world, START)
        };
        assert_eq!(ask(room).outcome, "issued");
        check(&ask(room + 1), 413, "invalid_request", Reason::BodyTooLarge);
    }

    #[test]
    fn e07_id_and_secret_are_form_encoded_inside_basic() {
        let world = World::new();
        let (id, secret) = &world.keys["ci"];
        let encoded =
            |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
        let ask =
            |user: &str, password: &str| Curl::new(GRANT).user(user, password).ask(&world, START);
        assert_eq!(
            ask(&encoded(id.as_str()), &encoded(secret.reveal())).outcome,
            "issued"
        );
        assert_eq!(form_decoded("a%3Ab+c%2B").unwrap().as_str(), "a:b c+");
        for bad in [format!("{}%", id), format!("{}+", id), "%ff".to_owned()] {
            check(
                &ask(&bad, secret.reveal()),
                401,
                "invalid_client",
                Reason::CredentialMalformed,
            );
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

    #[test]
    fn a_token_does_not_promise_to_outlive_its_key() {
        let mut world = World::new();
        world.end_key("ci", START.plus(Duration::from_secs(60)));
        let answer = body(&good(&world, "ci").ask(&world, START));
        assert_eq!(answer["expires_in"], 60);
    }

    #[test]
    fn without_a_signing_key_there_is_no_token_and_the_client_may_come_back() {
        let world = World {
            signing: Arc::default(),
            ..World::new()
        };
        let answer = good(&world, "ci").ask(&world, START);
        check(&answer, 503, "temporarily_unavailable", Reason::NotReady);
    }

    #[test]
    fn two_tokens_of_one_instant_are_not_the_same() {
        let world = World::new();
        let token = || body(&good(&world, "ci").ask(&world, START))["access_token"].clone();
        assert_ne!(token(), token());
    }

    /// E12: what is kept about an answer says nothing secret.
    #[test]
    fn e12_no_secret_prints() {
        let world = World::new();
        let secret = world.keys["ci"].1.reveal();
        let form = Form::parse(format!("client_secret={secret}").as_bytes()).unwrap();
        assert_eq!(form.client_secret.unwrap().as_str(), secret);
        let refused = Curl::new(format!("{GRANT}&client_id=x&client_secret={secret}"));
        let shown = format!("{:?}", refused.ask(&world, START));
        assert!(!shown.contains(secret), "{shown}");
    }
}
