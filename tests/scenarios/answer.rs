//! What came of a request, and what holds of every answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use portcullis::decision::{Denial, Permit, preflight};
use portcullis::reason::Reason;
use portcullis::reject;
use portcullis::words::RequestIds;
use portcullis::words::UnixTime;
use serde_json::Value;

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// It goes to an upstream.
    Forwarded {
        permit: Box<Permit>,
        /// What shadow mode does not enforce.
        despite: Option<Reason>,
    },
    /// What a browser asked before a request.
    Preflight(Box<preflight::Answer>),
    /// A token.
    Issued { response: Response<Bytes> },
    /// It is refused.
    Refused {
        reason: Reason,
        route: String,
        response: Response<Bytes>,
    },
}

impl Answer {
    pub(super) fn refused(denial: &Denial) -> Self {
        let id = RequestIds::new().next(UnixTime::from_secs(0));
        Self::Refused {
            reason: denial.reason,
            route: denial
                .route
                .as_ref()
                .map_or_else(String::new, |route| route.name.clone()),
            response: reject::respond(denial, &id),
        }
    }

    /// The answer in the word of a case.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Forwarded { .. } => "allow",
            Self::Preflight(_) => "answered",
            Self::Issued { .. } => "issued",
            Self::Refused { reason, .. } => reason.code(),
        }
    }

    /// The reason against the request, enforced or not.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Forwarded { despite, .. } => *despite,
            Self::Preflight(_) | Self::Issued { .. } => None,
            Self::Refused { reason, .. } => Some(*reason),
        }
    }

    pub(super) fn route(&self) -> &str {
        match self {
            Self::Forwarded { permit, .. } => permit.route().map_or("", |route| &route.name),
            Self::Preflight(answer) => &answer.route.name,
            Self::Issued { .. } => "",
            Self::Refused { route, .. } => route,
        }
    }

    fn response(&self) -> Option<&Response<Bytes>> {
        match self {
            Self::Forwarded { .. } | Self::Preflight(_) => None,
            Self::Issued { response } | Self::Refused { response, .. } => Some(response),
        }
    }

    /// The status; 0 where the upstream gives it.
    pub(super) fn status(&self) -> u16 {
        self.response()
            .map_or(0, |response| response.status().as_u16())
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let headers = match self {
            Self::Preflight(answer) => &answer.headers,
            Self::Forwarded { .. } | Self::Issued { .. } | Self::Refused { .. } => {
                self.response()?.headers()
            }
        };
        let value = headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    /// The body, which is JSON whenever we made it.
    pub(super) fn problem(&self) -> Value {
        let body = self.response().map(|response| response.body());
        body.map_or(Value::Null, |body| serde_json::from_slice(body).unwrap())
    }

    /// The token endpoint speaks as RFC 6749 says.
    pub(super) fn is_of_token_endpoint(&self) -> bool {
        self.problem().get("error").is_some()
    }

    /// What the upstream is told.
    pub(super) fn told(&self) -> BTreeMap<&'static str, String> {
        let Self::Forwarded { permit, .. } = self else {
            return BTreeMap::new();
        };
        let mut told = BTreeMap::from([
            ("target", permit.path_and_query().to_string()),
            (
                "passes_authorization",
                permit.passes_authorization().to_string(),
            ),
        ]);
        if let Some(identity) = permit.identity() {
            told.insert("account", identity.caller.account.name.to_string());
            let header = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            let permissions = identity.permissions.as_ref().map(header);
            let boundary = identity.boundary.as_ref().map(header);
            told.extend(permissions.map(|value| ("permissions", value)));
            told.extend(boundary.map(|value| ("boundary", value)));
        }
        told
    }

    /// What holds of every answer and does not of this one.
    pub(super) fn broken_laws(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut law = |holds: bool, law: &str| {
            if !holds {
                broken.push(format!("{law}: {self:?}"));
            }
        };
        match self {
            Self::Forwarded { permit, despite } => {
                law(
                    despite.is_none() || permit.identity().is_none(),
                    "shadow gives no identity",
                );
            }
            Self::Preflight(answer) => law(
                is_safe(&answer.headers),
                "no page of any origin uses a browser's credentials",
            ),
            Self::Issued { .. } => {}
            Self::Refused {
                reason, response, ..
            } => {
                if self.is_of_token_endpoint() {
                    return broken;
                }
                let (problem, status) = (self.problem(), reason.status().as_u16());
                law(
                    response.status() == reason.status(),
                    "the reason gives the status",
                );
                law(
                    problem["status"] == status,
                    "the document repeats the status",
                );
                law(
                    problem["reason"] == reason.public_code(),
                    "the public code is told",
                );
                law(
                    problem["request_id"]
                        .as_str()
                        .is_some_and(|id| id.len() == 36),
                    "the request id is told",
                );
                let kind = self.header("content-type").unwrap_or_default();
                law(
                    kind == "application/problem+json",
                    "a refusal is a problem document",
                );
                let challenged = self.header("www-authenticate").is_some();
                law(status != 401 || challenged, "401 carries a challenge");
                let secret = ["needs", "missing", "boundary"];
                let tells = secret.iter().any(|name| problem.get(name).is_some());
                law(status == 403 || !tells, "only 403 says what is missing");
                law(
                    status != 401 || problem["detail"] == problem["title"],
                    "401 says nothing but its title",
                );
            }
        }
        broken
    }
}

fn is_safe(headers: &http::HeaderMap) -> bool {
    let origin = headers.get("access-control-allow-origin");
    let anybody = origin.is_none_or(|origin| origin == "*");
    !anybody || !headers.contains_key("access-control-allow-credentials")
}
