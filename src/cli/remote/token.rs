//! A token for the admin API: how it is asked for, and how long it is good.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Key;
use crate::cli::Failure;
use crate::oauth;

/// A token is asked for anew when less than a fifth of its life is left: what is under way then comes
/// through, and a clock that goes differently does no harm.
const GOOD_PART: (u32, u32) = (4, 5);

/// A token, and until when it is used.
pub(super) struct Token {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: u64,
}

impl Token {
    /// What the token endpoint answered; `None` if that is no token.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let issued: Issued = serde_json::from_slice(body).ok()?;
        let plain = Zeroizing::new(issued.access_token);
        let text = Zeroizing::new(format!("Bearer {}", *plain));
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        let (part, whole) = GOOD_PART;
        let life = Duration::from_secs(issued.expires_in) * part / whole;
        Some(Self {
            header,
            until: Instant::now() + life,
        })
    }

    /// What stands in `Authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Whether it is good for a while.
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }
}

/// The request for a token, with the key it is made from.
pub(super) fn request(key: &Key) -> Result<Request<Bytes>, Failure> {
    // RFC 6749, section 2.3.1: both halves are written as in a form first.
    let secret = form_urlencoded::byte_serialize(key.secret.reveal().as_bytes());
    let secret = Zeroizing::new(secret.collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", key.id, *secret));
    let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
    let mut basic = HeaderValue::from_str(&basic).map_err(Failure::server)?;
    basic.set_sensitive(true);
    Request::builder()
        .method(Method::POST)
        .uri(oauth::token::PATH)
        .header(header::AUTHORIZATION, basic)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_static(b"grant_type=client_credentials"))
        .map_err(Failure::server)
}
