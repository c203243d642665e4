//! The token endpoint, and the tokens it makes.
//!
//! A key is exchanged for a short-lived token by `client_credentials` (RFC 6749, section 4.4); the
//! token is an `at+jwt` (RFC 9068). A client can give its tokens back (RFC 7009).
//!
//! Not here: reading a token again, which is the request path's; see [`crate::verify`].

mod inspect;
mod metadata;
mod mint;
pub mod revoke;
pub mod token;

pub use inspect::inspect;
pub use metadata::{METADATA_PATH, document, metadata};
pub use mint::{JWKS_PATH, MintError, MintRequest, jwks, key_set, mint};
pub use token::{BODY_BYTES_MAX, TokenAnswer, TokenRequest, answer};
