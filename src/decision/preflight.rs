//! Preflights: what a browser asks before it sends a page's request to another site.
//!
//! A preflight is decided on by the routes that the request it announces would have to satisfy, and
//! by those for OPTIONS if there are any; every one of them has to say the same `cors`. Whatever is
//! not a real preflight, or is not meant by the rule, is an OPTIONS request like any other, and a
//! stranger's is a 401.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_LENGTH, HeaderName, ORIGIN, TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::{Matched, Permit, Question, matched, two_readings};
use crate::policy::Route;
use crate::policy::cors::{Cors, CorsRule};
use crate::policy::matcher::Lookup;
use crate::words::Method;

/// What becomes of a preflight.
#[derive(Debug)]
pub enum Preflight {
    /// It goes to the upstream.
    Pass(Box<Permit>),
    /// The gateway answers it.
    Answer(Box<Answer>),
}

/// An answer to a preflight.
#[derive(Debug)]
pub struct Answer {
    /// The route it was asked for.
    pub route: Arc<Route>,
    /// What it says.
    pub headers: HeaderMap,
}

/// Decides on an OPTIONS request that may be a preflight; nothing if it is none, or is not meant.
/// `question` is the one of the OPTIONS request itself, which was for `host`.
pub fn preflight(question: &Question<'_>, host: Option<&str>) -> Option<Preflight> {
    if !question.policy.answers_preflights {
        return None;
    }
    let (origin, method) = asked(question.headers)?;
    let path = question.target.path();
    let announced = question.policy.find(host, method, path).ok()?;
    // Without a route of its own the request is OPTIONS on what other methods answer.
    let lookup = match question.lookup {
        Lookup::Found(_) => announced.with_routes_of(question.lookup)?,
        Lookup::OtherMethods(_) | Lookup::Nothing => announced,
    };
    let matched = matched(question.policy, &lookup)?;
    let cors = matched.cors()?;
    if two_readings(question, &matched).is_some() {
        return None;
    }
    match &**cors {
        Cors::Pass => {
            let permit = Permit::preflight(question, &matched);
            Some(Preflight::Pass(Box::new(permit)))
        }
        Cors::Answer(rule) => rule
            .admits(origin)
            .then(|| Preflight::Answer(Box::new(answer(&matched, rule, origin, method)))),
    }
}

/// Origin and method of a real preflight: one of each, and no body.
fn asked(headers: &HeaderMap) -> Option<(&HeaderValue, Method)> {
    let origin = one(headers, &ORIGIN)?;
    let method = one(headers, &ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Method::parse(method.to_str().ok()?)?;
    let length = headers.get_all(CONTENT_LENGTH);
    let empty = length.iter().all(|length| length.as_bytes() == b"0");
    (empty && !headers.contains_key(TRANSFER_ENCODING)).then_some((origin, method))
}

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn answer(matched: &Matched, rule: &CorsRule, origin: &HeaderValue, method: Method) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(method.as_str()),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, rule.headers.clone());
    headers.insert(ACCESS_CONTROL_MAX_AGE, rule.max_age.clone());
    allow(rule, origin, &mut headers);
    Answer {
        route: Arc::clone(&matched.primary),
        headers,
    }
}

/// Says to a browser that pages of `origin` may read an answer.
fn allow(rule: &CorsRule, origin: &HeaderValue, headers: &mut HeaderMap) {
    let origin = match rule.origins {
        None => HeaderValue::from_static("*"),
        Some(_) => {
            headers.append(VARY, HeaderValue::from_static("origin"));
            origin.clone()
        }
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if rule.credentials {
        let value = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, value);
    }
}

/// Says to a browser that the page of `origin` may read an answer, unless an upstream has spoken for
/// itself.
pub fn share(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    match cors {
        Cors::Answer(rule)
            if rule.admits(origin) && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) =>
        {
            allow(rule, origin, headers);
        }
        Cors::Answer(_) | Cors::Pass => {}
    }
}

#[cfg(test)]
mod tests;
