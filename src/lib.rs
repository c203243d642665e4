//! Portcullis puts existing HTTP APIs behind service-account authorization.
//!
//! # The way of a request
//!
//! | step | where | what leaves it |
//! |---|---|---|
//! | accept, TLS, limits | [`listener`] | an admitted socket |
//! | HTTP framing, timeouts | [`connection`] | a request and its id |
//! | decide, act, record | [`gateway`] | the whole product on one screen |
//! | one meaning for the path | [`request`] | a `Target`, or `path_ambiguous` |
//! | route match | [`policy`] | routes, or nothing |
//! | credential | [`credential`] | what the caller presented, or a reason |
//! | cache, verify | [`verify`] | a caller, or a reason |
//! | decision | [`decision`] | a `Permit`, or a `Denial` |
//! | forward, or reject | [`forward`], [`reject`] | a response |
//! | log and metrics | [`record`] | one line, a few counters |

// The way of a request, in the order it meets them.
pub mod connection;
pub mod credential;
pub mod decision;
pub mod directory;
pub mod explain;
pub mod forward;
pub mod gateway;
pub mod head;
pub mod listener;
pub mod policy;
pub mod reason;
pub mod record;
pub mod reject;
pub mod request;
pub mod source;
pub mod verify;

// Beside the way.
pub mod admin;
pub mod oauth;
pub mod store;

// Underneath.
pub mod clock;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod words;
pub mod yaml;

// The shell.
pub mod app;
pub mod cli;
