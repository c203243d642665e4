//! What is wrong, as RFC 9457 has it: the same shape for every refusal of the admin API.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::record::Notes;
use crate::admin::{AdminError, ErrorKind};
use crate::decision::Denial;
use crate::reject::PROBLEM_JSON;
use crate::words::RequestId;

/// A refusal that is no decision: a request nobody can read, a thing that is not there, a conflict.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    detail: String,
    kind: Option<ErrorKind>,
    field: Option<String>,
    newer: Option<Value>,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            detail: detail.into(),
            kind: None,
            field: None,
            newer: None,
            header: None,
        }))
    }

    /// The part of the request that is wrong.
    #[must_use]
    pub(super) fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    #[must_use]
    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// A field of a body or a query that is wrong.
    pub(super) fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).at(field)
    }

    pub(super) fn response(self, request_id: &str) -> Response<Body> {
        let parts = *self.0;
        let title = parts.status.canonical_reason().unwrap_or("Error");
        let kind = title.to_ascii_lowercase().replace([' ', '-'], "_");
        let mut problem = Map::new();
        problem.insert(
            "type".into(),
            json!(format!("urn:portcullis:problem:{kind}")),
        );
        problem.insert("title".into(), json!(title));
        problem.insert("status".into(), json!(parts.status.as_u16()));
        problem.insert("detail".into(), json!(parts.detail));
        if let Some(kind) = parts.kind {
            problem.insert("kind".into(), json!(kind));
        }
        problem.insert("instance".into(), json!(format!("urn:uuid:{request_id}")));
        problem.insert("request_id".into(), json!(request_id));
        if let Some(field) = parts.field {
            problem.insert("field".into(), json!(field));
        }
        if let Some(newer) = parts.newer {
            problem.insert("newer".into(), newer);
        }
        let body = Value::Object(problem).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = parts.status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some((name, value)) = parts.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Why a request is not answered as it would like.
pub(super) enum Refusal {
    Decision(Box<Denial>),
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        Self::Problem(error.into())
    }
}

impl Refusal {
    /// The answer; why is noted.
    pub(super) fn response(self, id: &RequestId, notes: &Notes) -> Response<Body> {
        match self {
            Self::Decision(denial) => {
                notes.denied(&denial);
                crate::reject::respond(&denial, id).map(Body::from)
            }
            Self::Problem(problem) => {
                notes.refused(word(problem.0.status));
                problem.response(id.as_str())
            }
        }
    }
}

/// The word that logs and counts have for a status that is no decision's.
fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "request_timeout",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PRECONDITION_FAILED => "precondition_failed",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::MISDIRECTED_REQUEST => "misdirected_request",
        StatusCode::UNPROCESSABLE_ENTITY => "unprocessable_entity",
        StatusCode::SERVICE_UNAVAILABLE => "service_unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "internal_server_error",
        _ => "other",
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let status = match error.kind {
            // What the body names and is not there is a fault of the body.
            ErrorKind::NotFound if error.field.is_some() => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Stale => StatusCode::PRECONDITION_FAILED,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotPermitted => StatusCode::FORBIDDEN,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut problem = Self::new(status, error.message);
        problem.0.kind = Some(error.kind);
        problem.0.field = error.field;
        problem.0.newer = error.newer.map(|newer| *newer);
        problem
    }
}
