//! Why there is no token, in the words of the RFC and in sentences that stand here.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::decision::Limited;
use crate::reason::Reason;
use crate::reject::tell_limits;
use crate::words::RequestId;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Refusal {
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
    /// It is to be for somebody else.
    Resource,
    /// How long to wait, and the reason for the log.
    TooOften(Limited, Reason),
    NotReady,
    /// The token was made for another account.
    NotYours,
    /// There is nowhere to write down that a token is taken back.
    Unkept,
    /// It could not be written down.
    Unwritten,
}

impl Refusal {
    /// The same from a source that is throttled for so long: what no client can be told apart by is
    /// told to nobody there.
    pub(super) fn held(self, wait: Option<Duration>) -> Self {
        match (self, wait) {
            (Self::Client(_), Some(wait)) => {
                Self::TooOften(Limited { wait, quota: None }, Reason::SourceThrottled)
            }
            _ => self,
        }
    }

    /// The same, of a client that may be one we know.
    pub(super) fn held_if_new(self, wait: Option<Duration>) -> Self {
        if self == Self::Client(Reason::SourceThrottled) {
            return self.held(wait);
        }
        self
    }

    /// The error code, of RFC 6749 where that has one.
    pub(super) fn error(self) -> &'static str {
        match self {
            Self::Method | Self::BodyTooLarge | Self::Request(_) | Self::TwoCredentials => {
                "invalid_request"
            }
            Self::GrantType => "unsupported_grant_type",
            Self::Client(_) => "invalid_client",
            Self::Scope(..) => "invalid_scope",
            Self::Resource => "invalid_target",
            Self::TooOften(..) | Self::NotReady | Self::Unwritten => "temporarily_unavailable",
            Self::NotYours => "unauthorized_client",
            Self::Unkept => "unsupported_token_type",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Request(_)
            | Self::TwoCredentials
            | Self::GrantType
            | Self::Scope(..)
            | Self::Resource
            | Self::NotYours
            | Self::Unkept => StatusCode::BAD_REQUEST,
            Self::Client(_) => StatusCode::UNAUTHORIZED,
            Self::TooOften(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady | Self::Unwritten => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Method => "use POST",
            Self::BodyTooLarge => "the body is longer than 16384 bytes",
            Self::Request(how) | Self::Scope(how, _) => how,
            Self::TwoCredentials => "send the client's id and secret once, in one way",
            Self::GrantType => "the only grant type here is client_credentials",
            Self::Resource => "the resource is not the audience of the tokens made here",
            // One sentence for all, or the endpoint would tell which keys exist.
            Self::Client(_) => "the client's id and secret are not valid here",
            Self::TooOften(_, Reason::SourceThrottled) => {
                "too many failed attempts from this address, try again later"
            }
            Self::TooOften(..) => "this client asks for tokens too often, keep the one you have",
            Self::NotReady => "no token can be signed now",
            Self::NotYours => "the token was made for another client",
            Self::Unkept => {
                "this gateway keeps no store, so its tokens end with their time or their key"
            }
            Self::Unwritten => "the token could not be taken back now, try again",
        }
    }

    pub(in crate::oauth) fn reason(self) -> Reason {
        match self {
            Self::Method => Reason::MethodNotAllowed,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::Request(_) | Self::GrantType | Self::Resource | Self::Unkept => {
                Reason::RequestMalformed
            }
            Self::NotYours => Reason::PermissionMissing,
            Self::TwoCredentials => Reason::CredentialRepeated,
            Self::Client(reason) | Self::Scope(_, reason) | Self::TooOften(_, reason) => reason,
            Self::NotReady | Self::Unwritten => Reason::NotReady,
        }
    }

    /// What the reason does not say.
    pub(in crate::oauth) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Request(_)
            | Self::GrantType
            | Self::Scope(..)
            | Self::Resource
            | Self::NotYours
            | Self::Unkept
            | Self::Unwritten => Some(self.description()),
            Self::Method
            | Self::BodyTooLarge
            | Self::TwoCredentials
            | Self::Client(_)
            | Self::TooOften(..)
            | Self::NotReady => None,
        }
    }

    /// The answer. RFC 6749 (5.2) allows more members than its own: by the id the true reason is
    /// found.
    pub(in crate::oauth) fn response(self, id: &RequestId) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'static str,
            error_description: &'static str,
            request_id: &'a str,
        }
        let body = Body {
            error: self.error(),
            error_description: self.description(),
            request_id: id.as_str(),
        };
        let mut response = json(self.status(), &body);
        let headers = response.headers_mut();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Self::TooOften(limited, _) = &self {
            tell_limits(headers, limited);
        }
        if self.status() == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// RFC 9110 asks for a challenge with every 401, however the client tried.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"portcullis\"");

/// Done, and nothing to say about it.
pub(in crate::oauth) fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// No answer of this endpoint may be kept by anybody.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("texts and numbers always become JSON");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
