//! The token endpoint, and the tokens it makes.
//!
//! A key is exchanged for a short-lived token by `client_credentials` (RFC 6749, section 4.4); the
//! token is an `at+jwt` (RFC 9068).

mod mint;

pub use mint::{MintError, MintRequest, jwks, mint};
