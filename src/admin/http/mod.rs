//! The admin API: what commands do, over HTTP, for those who manage the gateway from elsewhere.
//!
//! It listens on an address of its own, on threads of its own, so that a flood on the data plane
//! does not reach it and it slows no request down. Its callers are accounts like any other, judged
//! by the same decision; what they may do there is said by the gateway's own permissions, and by
//! [`super::authority`]. Their tokens have an audience of their own: one for the APIs behind is
//! refused here, and the other way round.
//!
//! One table, [`endpoints`], is the router, the guard and the document that describes it all. An
//! endpoint reads a request into one [`super::Operation`] and does nothing else.
//!
//! Not here: cookies, sessions and pages of other sites. Nothing is answered to a browser's script
//! that comes from elsewhere.

mod again;
mod around;
mod document;
mod endpoint;
mod endpoints;
mod guard;
mod matching;
mod page;
mod problem;
mod read;
mod record;
mod respond;
mod serve;
mod shapes;

pub use document::document;
pub use page::cursor;
pub use record::Records;
pub use serve::{Api, listener, start};

#[cfg(test)]
pub(crate) mod echo;
#[cfg(test)]
mod tests;
