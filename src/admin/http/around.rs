//! What is the same for every request: its id, its host, the headers of its answer; and what is
//! answered beside the table: nothing here, another method, the document, a token.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::endpoint::Verb;
use super::problem::Problem;
use super::serve::{Api, BASE, DOCUMENT, collect, peer};
use super::{document, endpoints, guard};
use crate::oauth;
use crate::words::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request meets and every answer carries.
pub(super) async fn around(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = api.request_id();
    request.extensions_mut().insert(id);
    let mut response = match guard::host(request.headers(), request.uri(), &api.hosts) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.response(id.as_str()),
    };
    let headers = response.headers_mut();
    for (name, value) in CARRIED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// Nothing here is a page, a script or a picture for anybody, and nothing is to be kept.
const CARRIED: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

pub(super) fn id_of(request: &Request) -> RequestId {
    let id = request.extensions().get::<RequestId>().copied();
    id.expect("`around` gives every request one")
}

pub(super) async fn unknown(request: Request) -> Response {
    let said = "there is nothing here: `/api/v1/openapi.json` says what there is";
    Problem::new(StatusCode::NOT_FOUND, said).response(id_of(&request).as_str())
}

pub(super) async fn other_method(request: Request) -> Response {
    let said = "this method is not answered here: `/api/v1/openapi.json` says which are";
    let allowed = allowed(request.uri().path());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, said);
    let problem = match HeaderValue::from_str(&allowed) {
        Ok(allowed) => problem.with(header::ALLOW, allowed),
        Err(_) => problem,
    };
    problem.response(id_of(&request).as_str())
}

/// The methods of a path.
fn allowed(path: &str) -> String {
    if path == oauth::token::PATH {
        return "POST".to_owned();
    }
    let below = path.strip_prefix(BASE).unwrap_or_default();
    if below == DOCUMENT {
        return "GET, HEAD".to_owned();
    }
    let matches = |template: &str| {
        let (mut theirs, mut ours) = (below.split('/'), template.split('/'));
        loop {
            match (theirs.next(), ours.next()) {
                (None, None) => return true,
                (Some(_), Some(part)) if part.starts_with('{') => {}
                (Some(segment), Some(part)) if segment == part => {}
                (_, _) => return false,
            }
        }
    };
    let mut methods = Vec::new();
    for endpoint in endpoints::all().filter(|endpoint| matches(endpoint.path)) {
        methods.push(endpoint.verb.http().to_string());
        if endpoint.verb == Verb::Get {
            methods.push("HEAD".to_owned());
        }
    }
    methods.join(", ")
}

pub(super) async fn description() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document::text()).into_response()
}

/// `POST /oauth/token` for the audience of the admin API.
pub(super) async fn token(State(api): State<Arc<Api>>, request: Request) -> Response {
    let id = id_of(&request);
    let (parts, body) = request.into_parts();
    let body = match collect(body).await {
        Ok(body) => body,
        Err(problem) => return problem.response(id.as_str()),
    };
    let source = peer(&parts.extensions).ip().to_canonical();
    let (state, now) = (guard::state(&api), api.service.now());
    let request = oauth::TokenRequest {
        id: &id,
        method: &parts.method,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
        source: Some(source),
        limits: Some(oauth::token::Limits {
            held: api.throttle.holds(source, api.failures, now),
            rates: &api.rates,
            tells_rates: true,
        }),
    };
    let answer = oauth::answer(&api.verifier, &state, &api.tokens, &request, now);
    if answer.was_guess {
        api.throttle.failed(source, api.failures, now);
    }
    let (account, key) = (answer.account.as_ref(), answer.key);
    tracing::info!(
        request_id = %id,
        account = account.map(|account| account.name.as_str()),
        key = key.as_ref().map(crate::words::KeyId::as_str),
        outcome = answer.outcome,
        "token asked for the admin API"
    );
    answer.response.map(Body::from)
}
