//! What an operation answered, as an answer to a request: its page, its headers, its body.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::endpoint::{Answer, Endpoint};
use super::page::{link, read};
use super::problem::Problem;
use super::read::Asked;
use crate::admin::{Page, version};

/// Which page of a list is asked for, and by what its entries are told apart.
pub(super) struct Turn {
    by: Option<&'static str>,
    after: Option<String>,
    limit: usize,
}

impl Turn {
    pub(super) fn of(endpoint: &Endpoint, asked: &Asked) -> Result<Self, Problem> {
        let Answer::Pages(_, by) = endpoint.answer else {
            return Ok(Self {
                by: None,
                after: None,
                limit: 0,
            });
        };
        let cursor: Option<String> = asked.query("cursor")?;
        Ok(Self {
            by: Some(by),
            after: cursor.map(|cursor| read(&cursor)).transpose()?,
            limit: asked.limit()?,
        })
    }

    /// One entry more than is shown, to know whether there is one.
    pub(super) fn asked(&self) -> Page {
        Page {
            after: self.after.clone(),
            limit: self.by.map(|_| self.limit + 1),
        }
    }
}

pub(super) fn respond(
    endpoint: &Endpoint,
    mut answer: Value,
    turn: &Turn,
    uri: &http::Uri,
) -> Response {
    let mut headers = HeaderMap::new();
    if let (Some(by), Value::Array(entries)) = (turn.by, &mut answer)
        && entries.len() > turn.limit
    {
        entries.truncate(turn.limit);
        let last = entries.last().and_then(|entry| entry.get(by)?.as_str());
        let link = last.map(|last| link(uri, last, turn.limit));
        headers.extend(link.map(|link| (header::LINK, link)));
    }
    if let Answer::Made(_, by) = endpoint.answer {
        let name = answer.get(by).and_then(Value::as_str).unwrap_or_default();
        let place = format!("{}/{name}", uri.path());
        headers.extend(
            HeaderValue::from_str(&place)
                .ok()
                .map(|it| (header::LOCATION, it)),
        );
    }
    // With its secret a key is shown once, and that is no version of it.
    let has_version = answer.get("secret").is_none();
    if matches!(endpoint.answer, Answer::One(_) | Answer::Made(..)) && has_version {
        let tag = version(&answer);
        headers.extend(
            HeaderValue::from_str(&tag)
                .ok()
                .map(|it| (header::ETAG, it)),
        );
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (endpoint.answer.status(), json, headers, answer.to_string()).into_response()
}
