//! Portcullis puts existing HTTP APIs behind service-account authorization.
//!
//! # The way of a request
//!
//! | step | where | what leaves it |
//! |---|---|---|
//! | accept, TLS, limits | [`listener`] | an admitted socket |
//! | HTTP framing, timeouts | [`connection`] | a request and its id |
//! | decide, act, record | [`gateway`] | an answer: the whole product on one screen |
//! | the order of the next six | [`judge`] | a decision |
//! | what HTTP asks of a head | [`head`], [`source`] | method, host, target, where it comes from |
//! | one meaning for the path | [`request`] | a `Target`, or `path_ambiguous` |
//! | route match | [`policy`] | the routes to satisfy, or nothing |
//! | credential | [`credential`] | what the caller presented, or a reason |
//! | cache, verify | [`verify`], [`throttle`] | a caller, or a reason |
//! | decision | [`decision`] | a `Permit`, or a `Denial` |
//! | forward, or reject | [`forward`], [`reject`] | a response |
//! | log and metrics | [`record`] | one line, a few counters |
//!
//! # What always holds
//!
//! 1. **No decision waits.** From [`request`] to [`decision`] nothing is `async`: no store, no file,
//!    no other host.
//! 2. **No upstream without a permit.** [`decision::Permit`] has private fields and one maker, and
//!    [`forward`] takes it by value.
//! 3. **Nothing is open by silence.** A route without a requirement does not compile; public is
//!    spelled `public`.
//! 4. **One reason, one row.** Status, problem document, metric label and log field come from
//!    [`reason`].
//! 5. **A stranger learns nothing; a known caller learns exactly what is missing.** [`reject`].
//! 6. **A bad edit never takes effect and never takes us down.** The last good policy stays:
//!    [`app`].
//! 7. **What is acknowledged is durable, and what is revoked is refused** from the instant the call
//!    returns: [`store`], [`directory`], [`admin`].
//! 8. **Nothing secret has a `Display`.** [`words::Secret`].
//! 9. **Every queue, cache, body, header and wait has a bound** with a name, a unit and a reason.
//! 10. **The path decided on is the path forwarded**, byte for byte: the permit carries it. (In shadow the
//!     path that was sent, counted, and only where nothing is enforced: [`policy::shadow`].)
//! 11. **Rights of different grants never mix.** [`decision::rights`].
//!
//! # Who may use whom
//!
//! ```text
//! 5  main  cli  app                                                    the shell
//! 4  listener connection gateway judge forward reject record oauth      one request, one process
//!    admin telemetry shutdown
//! 3  verify  directory  denials  store  audit  pem  policy::reload     memory and disk
//!    throttle
//! 2  credential head source request policy decision explain import     decisions: no I/O, no clock, no log
//!    schema
//! 1  words  reason  settings  yaml  clock  sync                        words
//! ```
//!
//! Uses point down or sideways, never up; a test keeps it.

// The way of a request, in the order it meets them.
pub mod connection;
pub mod credential;
pub mod decision;
pub mod directory;
pub mod explain;
pub mod forward;
pub mod gateway;
pub mod head;
pub mod judge;
pub mod listener;
pub mod policy;
pub mod reason;
pub mod record;
pub mod reject;
pub mod request;
pub mod review;
pub mod source;
pub mod verify;

// Beside the way.
pub mod admin;
pub mod audit;
pub mod denials;
pub mod import;
pub mod oauth;
pub mod schema;
pub mod store;
pub mod throttle;

// Underneath.
pub mod clock;
pub mod pem;
pub mod settings;
pub mod shutdown;
mod sync;
pub mod telemetry;
pub mod words;
pub mod yaml;

// The shell.
pub mod app;
pub mod cli;
