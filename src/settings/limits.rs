//! `limits` of a listener: what one client may cost it, in time, bytes and places.

use std::time::Duration;

use super::http2::{self, Http2Limits};
use super::load::count;
use crate::words::Faults;
use crate::yaml::{Fields, Node};

const KEYS: [&str; 12] = [
    "header_timeout",
    "body_idle",
    "write_idle",
    "keep_alive",
    "handshake_timeout",
    "proxy_header_timeout",
    "header_bytes",
    "header_count",
    "target_bytes",
    "body_bytes",
    "connections_per_source",
    "handshakes",
];

/// Longest time for a request's head to arrive.
const HEADER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest silence inside a request's body.
const BODY_IDLE_DEFAULT: Duration = Duration::from_secs(30);
/// Longest time in which a client takes no byte of the answer.
const WRITE_IDLE_DEFAULT: Duration = Duration::from_secs(60);
/// Longest rest between two requests of one connection. Above the 60 s of common balancers, so that
/// they close first and no request meets a closing connection.
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(75);
/// Longest that a client may make the gateway wait within a TLS handshake, in all. As for a request's
/// head: a client that needs longer is not coming.
const HANDSHAKE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest wait for a PROXY header. The peer that sends it has it at hand.
const PROXY_HEADER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Largest header section, in bytes: four times what large cookies and tokens need.
const HEADER_BYTES_DEFAULT: usize = 32 * 1024;
/// Most header fields of one request.
const HEADER_COUNT_DEFAULT: usize = 100;
/// Longest request target, in bytes.
const TARGET_BYTES_DEFAULT: usize = 16 * 1024;
/// Largest request body, in bytes: none, because APIs take uploads and bodies are never kept.
const BODY_BYTES_DEFAULT: Option<u64> = None;
/// Connections of one source to one listener. One address cannot take all there are, and what
/// stands before a whole site (a balancer, an ingress) belongs in `trusted_proxies`, where it is
/// not counted. An office behind one address has hundreds.
const CONNECTIONS_PER_SOURCE_DEFAULT: usize = 1000;
/// TLS handshakes that each core computes between two looks at whoever has a connection already. One
/// costs about a millisecond; more than these wait their turn. A client that is waited for has none.
const HANDSHAKES_DEFAULT: usize = 256;

/// Shortest timeout of a listener: anything less refuses honest clients on a busy network.
pub(super) const TIMEOUT_LEAST: Duration = Duration::from_millis(100);
/// Longest timeout of a listener: a connection that rests for a day is a leak.
const TIMEOUT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest header section that may be set, in bytes: what the HTTP library reads at most.
const HEADER_BYTES_LIMIT: u64 = 256 * 1024;
/// Most header fields that may be set.
const HEADER_COUNT_LIMIT: u64 = 1000;
/// Longest target that may be set, in bytes: what the HTTP library reads at most.
const TARGET_BYTES_LIMIT: u64 = 65_534;
/// Most connections of a source, and handshakes, that may be set: more than a process can have open.
const CONNECTIONS_LIMIT: u64 = 1_000_000;

/// What one client may cost a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Longest time for a request's head to arrive.
    pub header_timeout: Duration,
    /// Longest silence inside a request's body.
    pub body_idle: Duration,
    /// Longest time in which the client takes no byte of the answer.
    pub write_idle: Duration,
    /// Longest rest between two requests of one connection.
    pub keep_alive: Duration,
    /// Longest that a client may make the gateway wait within a TLS handshake, in all.
    pub handshake_timeout: Duration,
    /// Longest wait for a PROXY header.
    pub proxy_header_timeout: Duration,
    /// Largest header section, in bytes.
    pub header_bytes: usize,
    /// Most header fields of one request.
    pub header_count: usize,
    /// Longest request target, in bytes.
    pub target_bytes: usize,
    /// Largest request body, in bytes, if there is a bound.
    pub body_bytes: Option<u64>,
    /// Most connections of one source.
    pub connections_per_source: usize,
    /// Most TLS handshakes that each core computes at once.
    pub handshakes: usize,
    /// What one HTTP/2 connection may cost besides.
    pub http2: Http2Limits,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            header_timeout: HEADER_TIMEOUT_DEFAULT,
            body_idle: BODY_IDLE_DEFAULT,
            write_idle: WRITE_IDLE_DEFAULT,
            keep_alive: KEEP_ALIVE_DEFAULT,
            handshake_timeout: HANDSHAKE_TIMEOUT_DEFAULT,
            proxy_header_timeout: PROXY_HEADER_TIMEOUT_DEFAULT,
            header_bytes: HEADER_BYTES_DEFAULT,
            header_count: HEADER_COUNT_DEFAULT,
            target_bytes: TARGET_BYTES_DEFAULT,
            body_bytes: BODY_BYTES_DEFAULT,
            connections_per_source: CONNECTIONS_PER_SOURCE_DEFAULT,
            handshakes: HANDSHAKES_DEFAULT,
            http2: Http2Limits::default(),
        }
    }
}

/// `limits` of a listener; every default where it is left out.
pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    let keys: Vec<&str> = KEYS.into_iter().chain(http2::KEYS).collect();
    let Some(fields) = node.and_then(|node| Fields::of(node, "`limits`", &keys, &[], faults))
    else {
        return limits;
    };
    for (name, slot) in [
        ("header_timeout", &mut limits.header_timeout),
        ("body_idle", &mut limits.body_idle),
        ("write_idle", &mut limits.write_idle),
        ("keep_alive", &mut limits.keep_alive),
        ("handshake_timeout", &mut limits.handshake_timeout),
        ("proxy_header_timeout", &mut limits.proxy_header_timeout),
    ] {
        let node = fields.get(name);
        if let Some(span) = node.and_then(|n| n.duration(TIMEOUT_LEAST, TIMEOUT_MOST, faults)) {
            *slot = span;
        }
    }
    for (name, slot, most) in [
        ("header_bytes", &mut limits.header_bytes, HEADER_BYTES_LIMIT),
        ("header_count", &mut limits.header_count, HEADER_COUNT_LIMIT),
        ("target_bytes", &mut limits.target_bytes, TARGET_BYTES_LIMIT),
        (
            "connections_per_source",
            &mut limits.connections_per_source,
            CONNECTIONS_LIMIT,
        ),
        ("handshakes", &mut limits.handshakes, CONNECTIONS_LIMIT),
    ] {
        if let Some(number) = count(fields.get(name), most, faults) {
            *slot = number;
        }
    }
    let body = fields.get("body_bytes");
    limits.body_bytes = body.and_then(|node| node.number(0, u64::MAX, faults));
    limits.http2 = http2::read(&fields, faults);
    limits
}
