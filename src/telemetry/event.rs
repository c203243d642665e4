//! What can be told to the metrics: a request that is over, an upstream that failed, the figures
//! other modules keep about themselves.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::policy::Route;
use crate::reason::Reason;
use crate::words::{Method, UnixTime};

/// Whether refusals are counted by account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountLabels {
    /// The label is always empty.
    Off,
    /// So many accounts are told apart; the rest are `_other`.
    UpTo(usize),
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Where it led.
    pub target: Target<'a>,
    /// Its method, if it is one we know.
    pub method: Option<Method>,
    /// What was answered.
    pub status: StatusCode,
    /// From its first line to the end of the response.
    pub total: Duration,
    /// From its head to the decision, if there was one.
    pub authz: Option<Duration>,
    /// What was decided.
    pub outcome: Outcome<'a>,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It was answered or forwarded.
    Allowed,
    /// It was refused.
    Denied(Denied<'a>),
    /// It would have been refused, and was forwarded.
    Shadowed(Denied<'a>),
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug)]
pub struct Denied<'a> {
    /// The reason.
    pub reason: Reason,
    /// The status it is told with.
    pub status: StatusCode,
    /// The permission the route asks for; empty if it asks for none.
    pub permission: &'a str,
    /// The account, as stored, if the caller is known.
    pub account: Option<&'a str>,
}

/// How an upstream failed us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// No connection.
    Connect,
    /// No TLS.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The answer is not HTTP.
    Protocol,
    /// It has all it can take.
    Overloaded,
}

impl UpstreamError {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Overloaded,
    ];

    /// The one a request ended with, if the upstream is to blame for its end.
    pub fn of(reason: Reason) -> Option<Self> {
        let rows = [
            (Reason::UpstreamUnreachable, Self::Connect),
            (Reason::Draining, Self::Connect),
            (Reason::UpstreamTimeout, Self::Timeout),
            (Reason::UpstreamReset, Self::Reset),
            (Reason::UpstreamMalformed, Self::Protocol),
            (Reason::UpstreamOverloaded, Self::Overloaded),
        ];
        let row = rows.into_iter().find(|(blamed, _)| *blamed == reason);
        row.map(|(_, error)| error)
    }

    /// The label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What the cache of verified tokens says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Look-ups that found their token.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Tokens that made room for others.
    pub evictions: u64,
    /// Tokens held.
    pub entries: u64,
}

/// How the audit trail goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFigures {
    /// Records written since the start.
    pub records: u64,
    /// Records that could not be written.
    pub failures: u64,
    /// The newest record.
    pub head: u64,
    /// When it was written.
    pub head_at: UnixTime,
    /// The newest record that is known to be kept elsewhere, too.
    pub exported: u64,
}

/// What the directory holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryFigures {
    /// Accounts that may call.
    pub accounts_enabled: u64,
    /// Accounts switched off.
    pub accounts_disabled: u64,
    /// Keys that open something.
    pub keys_active: u64,
    /// Keys whose time is over.
    pub keys_expired: u64,
    /// Keys that open something and end soon.
    pub keys_expiring: u64,
    /// When the next key runs out, if any will.
    pub next_expiry: Option<UnixTime>,
}

/// Where a request led.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Nowhere: no route, or refused before one was looked for.
    None,
    /// To the token endpoint.
    Token,
    /// To this route.
    Route(&'a Arc<Route>),
}

impl Target<'_> {
    /// The label.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::None => "_none",
            Self::Token => "_token",
            Self::Route(route) => &route.name,
        }
    }
}
