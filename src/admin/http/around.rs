//! What is the same for every request: its id, its host, the headers of its answer; and what is
//! answered beside the table: nothing here, another method, the document, a token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::endpoint::Verb;
use super::guard::{Refused, Whom};
use super::problem::{Problem, Refusal};
use super::record::{Notes, Place, Ticket};
use super::serve::{Api, BASE, DOCUMENT, collect};
use super::{document, endpoints, guard};
use crate::decision::Denial;
use crate::listener::aside::Client;
use crate::oauth;
use crate::source;
use crate::words::RequestId;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request meets and every answer carries. A source that is throttled hears so before it
/// hears anything else; only the token endpoint asks for itself, because there the credential may stand
/// in the body.
pub(super) async fn around(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = api.request_id();
    let client = request.extensions().get::<Client>();
    let peer = client.map_or(IpAddr::from([0, 0, 0, 0]), |client| client.peer.ip());
    let source = source::of(peer, &api.trusted_proxies, request.headers()).address;
    let mut ticket = Ticket::new(&api, id, source, &request);
    let notes = ticket.notes().clone();
    let extensions = request.extensions_mut();
    extensions.insert(id);
    extensions.insert(Source(source));
    extensions.insert(notes.clone());
    let host = guard::host(request.headers(), request.uri(), &api.hosts);
    let is_token = host.is_ok() && request.uri().path() == oauth::token::PATH;
    let held = match is_token {
        true => Ok(()),
        false => guard::throttle(&api, request.headers(), source),
    };
    let refused = match (held, host) {
        (Err(denial), _) => Some(Refusal::Decision(denial)),
        (Ok(()), Err(problem)) => Some(problem.into()),
        (Ok(()), Ok(())) => None,
    };
    let mut response = match refused {
        Some(refusal) => refusal.response(&id, &notes),
        None => answered(next.run(request).await, &id, &notes),
    };
    let headers = response.headers_mut();
    for (name, value) in CARRIED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    ticket.answered(&response);
    response
}

/// The answer, if somebody stands for it. What nobody does was added beside the table, where no guard
/// is, and does not go out.
fn answered(response: Response, id: &RequestId, notes: &Notes) -> Response {
    if notes.is_answered() {
        return response;
    }
    tracing::error!("a route of the admin API stands beside its table: its answer is kept back");
    let said = "the gateway failed: see the server's log";
    Refusal::from(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, said)).response(id, notes)
}

/// Where a request comes from: its peer, or whom a trusted peer speaks for.
#[derive(Clone, Copy, Debug)]
struct Source(IpAddr);

/// Whoever sent it has shown a good credential.
pub(super) fn is_known(extensions: &http::Extensions) {
    if let Some(client) = extensions.get::<Client>() {
        client.is_known();
    }
}

/// Where a request comes from.
pub(super) fn source_of(extensions: &http::Extensions) -> IpAddr {
    let told = extensions.get::<Source>();
    told.expect("`around` gives every request one").0
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
    refused(&request, Problem::new(StatusCode::NOT_FOUND, said))
}

fn refused(request: &Request, problem: Problem) -> Response {
    let notes = Notes::of(request);
    notes.at(Place::Nobody);
    Refusal::from(problem).response(&id_of(request), &notes)
}

pub(super) async fn other_method(request: Request) -> Response {
    let said = "this method is not answered here: `/api/v1/openapi.json` says which are";
    let allowed = allowed(request.uri().path());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, said);
    let problem = match HeaderValue::from_str(&allowed) {
        Ok(allowed) => problem.with(header::ALLOW, allowed),
        Err(_) => problem,
    };
    refused(&request, problem)
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

pub(super) async fn description(request: Request) -> Response {
    Notes::of(&request).at(Place::Document);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document::text()).into_response()
}

/// `POST /oauth/token` for the audience of the admin API.
pub(super) async fn token(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (id, notes) = (id_of(&request), Notes::of(&request));
    notes.at(Place::Token);
    let (parts, body) = request.into_parts();
    let body = match collect(body).await {
        Ok(body) => body,
        Err(problem) => return Refusal::from(problem).response(&id, &notes),
    };
    let source = source_of(&parts.extensions);
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
            tells_rates: api.tells_rates,
        }),
    };
    let answer = oauth::answer(&api.verifier, &state, &api.tokens, &request, now);
    if answer.was_guess {
        api.throttle.failed(source, api.failures, now);
    }
    notes.shows(answer.account.clone(), answer.key);
    if answer.reason.is_none() {
        is_known(&parts.extensions);
    }
    if let Some(reason) = answer.reason {
        let denial = Denial {
            hint: answer.hint,
            told_with: Some(answer.response.status()),
            ..Denial::new(reason)
        };
        notes.denied(&denial);
        let whom = match (answer.key, answer.account) {
            (key, Some(account)) => Whom::Known { account, key },
            (Some(key), None) => guard::guesses(&state, key, reason),
            (None, None) => Whom::Nobody,
        };
        let refused = Refused::new(denial, whom);
        api.keep(&refused, Place::Token, (id, source)).await;
    }
    answer.response.map(Body::from)
}
