//! Pages of other sites: an answer says that its page may read it, and a refusal too, or the page could
//! not tell its user why.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Outgoing;
use crate::decision::preflight;
use crate::policy::cors::Cors;

/// The page a request comes from, and what is said of such pages where it goes.
pub(super) struct Page {
    cors: Arc<Cors>,
    origin: HeaderValue,
}

impl Page {
    /// The page of a request with these headers, if anything is said of pages.
    pub(super) fn of(cors: Option<&Arc<Cors>>, headers: &HeaderMap) -> Option<Self> {
        // The header is looked for only where a rule speaks of pages.
        let cors = Arc::clone(cors?);
        let origin = headers.get(ORIGIN)?.clone();
        Some(Self { cors, origin })
    }
}

/// The answer to a preflight.
pub(super) fn answered(headers: HeaderMap) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// Says in an answer's head whether `page` may read it.
pub(super) fn share(page: Option<&Page>, headers: &mut HeaderMap) {
    if let Some(page) = page {
        preflight::share(&page.cors, &page.origin, headers);
    }
}
