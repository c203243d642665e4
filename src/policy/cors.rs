//! What a browser's preflight is told, as a policy says it.
//!
//! A preflight carries no credential, so it can be no more than a question about a route; and a
//! route answers none unless it says so. No wildcard goes together with credentials of the browser
//! (cookies): any page could then act as whoever looks at it. A token that a page sends by itself is
//! not such a credential.

use http::HeaderValue;

/// What becomes of a preflight for a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// It goes to the upstream, without a credential.
    Pass,
    /// The gateway answers it.
    Answer(CorsRule),
}

/// By what rule the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRule {
    /// The origins that may ask; none is any.
    pub origins: Option<Vec<HeaderValue>>,
    /// The headers a page may send, as a list.
    pub headers: HeaderValue,
    /// How long a browser may remember the answer, in seconds.
    pub max_age: HeaderValue,
    /// Whether the browser may send its own credentials; never for any origin.
    pub credentials: bool,
}

impl CorsRule {
    /// Says whether pages of `origin` may ask.
    pub fn admits(&self, origin: &HeaderValue) -> bool {
        self.origins
            .as_ref()
            .is_none_or(|origins| origins.contains(origin))
    }
}
