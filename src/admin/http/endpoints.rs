//! The table of endpoints. Whatever stands here is routed, guarded and documented; nothing else is.

mod accounts;
mod denials;
mod groups;
mod keys;
mod policy;
mod roles;
mod server;
mod tokens;

use super::endpoint::Endpoint;

/// Every endpoint.
pub(super) fn all() -> impl Iterator<Item = &'static Endpoint> {
    [
        accounts::ENDPOINTS,
        keys::ENDPOINTS,
        groups::ENDPOINTS,
        roles::ENDPOINTS,
        tokens::ENDPOINTS,
        policy::ENDPOINTS,
        denials::ENDPOINTS,
        server::ENDPOINTS,
    ]
    .into_iter()
    .flatten()
}
