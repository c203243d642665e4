//! One line of the decision log: its fields, their names, their order.
//!
//! The names are OpenTelemetry's where it has one, flat, so that every reader of logs can filter by
//! them without a parser of its own; `portcullis.*` is the rest. There is no field that could hold
//! a secret.

use std::net::IpAddr;
use std::time::Duration;

use super::json::{Key, Object, key};
use crate::reason::Reason;
use crate::words::{Account, Cause, KeyId, PathClass, RequestId, UnixTime};

/// How many missing permissions one line lists. A route seldom asks for more than three.
const MISSING_MAX: usize = 16;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was forwarded, or answered by us.
    Access,
    /// A request was refused, or would have been.
    Denied,
    /// A request was let through, and came to nothing.
    Failed,
    /// A token was given out.
    TokenIssued,
    /// A token was refused.
    TokenRefused,
    /// The admin API did what it was asked.
    Admin,
    /// The admin API did not.
    AdminRefused,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "http.access",
            Self::Denied => "authz.denied",
            Self::Failed => "http.failed",
            Self::TokenIssued => "token.issued",
            Self::TokenRefused => "token.refused",
            Self::Admin => "admin.access",
            Self::AdminRefused => "admin.refused",
        }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through.
    Allow,
    /// Let through, and without an answer of the upstream all the same.
    AllowInVain(Reason),
    /// Refused.
    Deny(Reason),
    /// Let through, and would have been refused.
    ShadowDeny(Reason),
    /// Not done, for something other than a decision: the admin API's word for it.
    Refuse(&'static str),
}

impl Decision {
    const fn name(self) -> &'static str {
        match self {
            Self::Allow | Self::AllowInVain(_) => "allow",
            Self::Deny(_) | Self::Refuse(_) => "deny",
            Self::ShadowDeny(_) => "shadow_deny",
        }
    }

    /// The one word for why not, as logs and metrics have it.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Allow => None,
            Self::AllowInVain(reason) | Self::Deny(reason) | Self::ShadowDeny(reason) => {
                Some(reason.code())
            }
            Self::Refuse(word) => Some(word),
        }
    }

    fn severity(self) -> &'static str {
        match self {
            Self::Allow => "INFO",
            // 501 and 505 answer what a client asked for; a stranger must not fill the error log.
            Self::Deny(
                Reason::MethodUnknown | Reason::TransferCodingUnknown | Reason::VersionUnknown,
            ) => "WARN",
            Self::Deny(reason) | Self::AllowInVain(reason) if reason.status().is_server_error() => {
                "ERROR"
            }
            Self::AllowInVain(_) | Self::Deny(_) | Self::ShadowDeny(_) | Self::Refuse(_) => "WARN",
        }
    }
}

/// What ended an answer, or a tunnel, before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The gateway went away, and its patience was over.
    Draining,
    /// What allowed it is no more.
    Revoked,
    /// Nothing moved for as long as nothing may.
    Silent,
    /// The client left, or took nothing for too long.
    ClientGone,
    /// The upstream broke it off.
    UpstreamReset,
}

impl Ended {
    /// Its name, and whether it is nothing that happens every day: clients come and go.
    const fn row(self) -> (&'static str, bool) {
        match self {
            Self::Draining => ("draining", true),
            Self::Revoked => ("revoked", true),
            Self::Silent => ("silent", true),
            Self::ClientGone => ("client_gone", false),
            Self::UpstreamReset => ("upstream_reset", true),
        }
    }

    /// Whether somebody should know, where only refusals are logged too.
    pub const fn is_notable(self) -> bool {
        self.row().1
    }
}

/// One line, as borrowed from whoever knows. Fields that are `None` are left out. Everything a
/// client sent is bytes here, because that is what clients send.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When the request began.
    pub time: UnixTime,
    /// What happened.
    pub event: Event,
    /// What was decided.
    pub decision: Decision,
    /// What ended it before its end; none if it was whole.
    pub ended: Option<Ended>,
    /// Our id of the request.
    pub request_id: &'a RequestId,
    /// The client's own id of it.
    pub client_request_id: Option<&'a [u8]>,
    /// The method, as sent.
    pub method: &'a [u8],
    /// The path, without the query: a query may hold what nobody should read.
    pub path: &'a [u8],
    /// `http` or `https`, as the client came to us.
    pub scheme: &'static str,
    /// The version of HTTP, such as `1.1`.
    pub protocol: &'static str,
    /// What was spoken instead of HTTP once both ends had agreed to it.
    pub upgraded: Option<&'static str>,
    /// The host asked for.
    pub host: Option<&'a [u8]>,
    /// The user agent, as it calls itself.
    pub user_agent: Option<&'a [u8]>,
    /// The source of the request, behind trusted proxies.
    pub client: Option<IpAddr>,
    /// The status of the answer; none if the client went away before there was one.
    pub status: Option<u16>,
    /// Bytes of the request's body that were read, or out of the client's end of a tunnel.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body that were sent.
    pub response_bytes: Option<u64>,
    /// The route, as written.
    pub route: Option<&'a str>,
    /// What the route needs, in words.
    pub permission: Option<&'a str>,
    /// Which permissions the account lacks.
    pub missing: &'a [&'a str],
    /// Why the path is ambiguous.
    pub class: Option<PathClass>,
    /// What exactly is malformed, in words of ours.
    pub hint: Option<&'static str>,
    /// Who called.
    pub account: Option<&'a Account>,
    /// The key it used, or the key its token was made from.
    pub key: Option<&'a KeyId>,
    /// The first bytes of the token's digest: enough to find its other lines.
    pub token: Option<&'a [u8; 8]>,
    /// The upstream.
    pub upstream: Option<&'a str>,
    /// Why that one has not answered.
    pub cause: Option<&'a Cause>,
    /// From the request's head to the decision.
    pub authz: Option<Duration>,
    /// From the request sent to the upstream to the head of its response.
    pub upstream_wait: Option<Duration>,
    /// From the request's head to the end of the response.
    pub total: Duration,
}

/// The second last printed, and how: formatting a date costs more than the rest of a line.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    second: u64,
    text: String,
}

impl Seconds {
    /// `2026-11-21T23:00:00`, the part of `2026-11-21T23:00:00.000Z` that seldom changes.
    fn text(&mut self, time: UnixTime) -> &[u8] {
        let second = time.as_secs();
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = UnixTime::from_secs(second).to_string();
            self.text.truncate(19);
        }
        self.text.as_bytes()
    }
}

impl Line<'_> {
    fn severity(&self) -> &'static str {
        match self.decision {
            Decision::Allow if self.ended.is_some_and(Ended::is_notable) => "WARN",
            Decision::Allow
            | Decision::AllowInVain(_)
            | Decision::Deny(_)
            | Decision::ShadowDeny(_)
            | Decision::Refuse(_) => self.decision.severity(),
        }
    }

    /// Adds the line to `buffer`.
    pub(super) fn print(&self, buffer: &mut Vec<u8>, seconds: &mut Seconds) {
        let mut digits = itoa::Buffer::new();
        // One digit more than is printed, so that the zeros in front are there.
        let millis = digits.format(1000 + self.time.as_millis() % 1000);
        let millis = millis.as_bytes().get(1..).unwrap_or_default();

        let mut object = Object::open(buffer);
        let time = [seconds.text(self.time), b".", millis, b"Z"];
        object.plain_parts(key!("timestamp"), &time);
        object.plain(key!("severity"), self.severity());
        object.plain(key!("event.name"), self.event.name());
        print_request(&mut object, self);
        print_decision(&mut object, self);
        print_times(&mut object, self);
        object.close();
    }
}

fn print_request(object: &mut Object<'_>, line: &Line<'_>) {
    object.text(key!("http.request.method"), line.method);
    object.text(key!("url.path"), line.path);
    object.plain(key!("url.scheme"), line.scheme);
    if let Some(route) = line.route {
        object.own(key!("http.route"), route.as_bytes());
    }
    if let Some(status) = line.status {
        object.number(key!("http.response.status_code"), status.into());
    }
    if let Some(bytes) = line.request_bytes {
        object.number(key!("http.request.body.size"), bytes);
    }
    if let Some(bytes) = line.response_bytes {
        object.number(key!("http.response.body.size"), bytes);
    }
    if let Some(name) = line.upgraded {
        object.plain(key!("network.protocol.name"), name);
    }
    object.plain(key!("network.protocol.version"), line.protocol);
    if let Some(user_agent) = line.user_agent {
        object.text(key!("user_agent.original"), user_agent);
    }
    if let Some(client) = line.client {
        object.address(key!("client.address"), client);
    }
    if let Some(host) = line.host {
        object.text(key!("server.address"), host);
    }
}

fn print_decision(object: &mut Object<'_>, line: &Line<'_>) {
    object.plain(key!("portcullis.decision"), line.decision.name());
    if let Some(word) = line.decision.word() {
        object.plain(key!("error.type"), word);
        object.plain(key!("portcullis.reason"), word);
    }
    if let Some(ended) = line.ended {
        object.plain(key!("portcullis.ended"), ended.row().0);
    }
    if let Some(permission) = line.permission {
        object.own(key!("portcullis.permission"), permission.as_bytes());
    }
    if let Some(class) = line.class {
        object.plain(key!("portcullis.path_class"), class.code());
    }
    if let Some(hint) = line.hint {
        object.text(key!("portcullis.hint"), hint.as_bytes());
    }
    if !line.missing.is_empty() {
        let missing = line.missing.iter().take(MISSING_MAX).copied();
        object.list(key!("portcullis.missing"), missing);
    }
    if let Some(account) = line.account {
        object.plain(key!("portcullis.account.id"), account.id.as_str());
        object.plain(key!("portcullis.account.name"), account.name.as_str());
    }
    if let Some(key) = line.key {
        object.plain(key!("portcullis.key_id"), key.as_str());
    }
    if let Some(token) = line.token {
        let nibbles = token.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let mut text = [b'0'; 16];
        for (slot, nibble) in text.iter_mut().zip(nibbles) {
            *slot = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
        }
        object.plain_parts(key!("portcullis.token_id"), &[&text]);
    }
    object.plain(key!("portcullis.request_id"), line.request_id.as_str());
    if let Some(id) = line.client_request_id {
        object.text(key!("portcullis.client_request_id"), id);
    }
    if let Some(upstream) = line.upstream {
        object.plain(key!("portcullis.upstream"), upstream);
    }
    if let Some(cause) = line.cause {
        if let Some(address) = &cause.address {
            object.text(key!("portcullis.upstream_address"), address.as_bytes());
        }
        object.text(key!("portcullis.cause"), cause.what.as_bytes());
    }
}

fn print_times(object: &mut Object<'_>, line: &Line<'_>) {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    if let Some(authz) = line.authz {
        object.number(key!("portcullis.authz_us"), micros(authz));
    }
    if let Some(wait) = line.upstream_wait {
        object.millis(key!("portcullis.upstream_ms"), micros(wait));
    }
    object.millis(key!("portcullis.total_ms"), micros(line.total));
}
