//! `limits` of a listener: what one client may cost it, in time, bytes and places.

use std::time::Duration;

use super::http2::{self, Http2Limits};
use crate::words::{Faults, Rate};
use crate::yaml::shape::{Keys, Known, Preset, Shape};
use crate::yaml::{Fields, Node};

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
/// Credentials of one source that may be wrong within [`FAILURES_WINDOW_DEFAULT`] before nothing new of it
/// is verified: a fleet of a hundred clients whose key has just been deleted, and who each try ten
/// times, passes; whoever guesses is left with one guess in 60 ms.
const FAILURES_DEFAULT: usize = 1000;
/// The time those are counted over.
const FAILURES_WINDOW_DEFAULT: Duration = Duration::from_secs(60);
/// Shortest time they may be counted over: the unit that `Retry-After` is written in.
const FAILURES_WINDOW_LEAST: Duration = Duration::from_secs(1);
/// Longest time they may be counted over: who is told to come back in a day does not.
const FAILURES_WINDOW_MOST: Duration = Duration::from_secs(60 * 60);
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

/// What one client may cost.
pub(super) const KEYS: Keys = Keys {
    what: "`limits`",
    known: &LIMITS_KNOWN,
    later: &[],
    rules: &[],
};

/// The limits of a listener, those of HTTP/2 behind the others.
const LIMITS_KNOWN: [Known; LIMITS_OF_ALL.len() + http2::KEYS.len()] = {
    let [a, b, c, d, e, f, g, h, i, j, w, x, y, z] = LIMITS_OF_ALL;
    let [k, l, m, n, o, p, q, r, s, t] = http2::KEYS;
    [
        a, b, c, d, e, f, g, h, i, j, w, x, y, z, k, l, m, n, o, p, q, r, s, t,
    ]
};

const LIMITS_OF_ALL: [Known; 14] = [
    Known::new(
        "header_timeout",
        TIMEOUT,
        "Longest time for a request's head to arrive.",
    )
    .or(Preset::Span(HEADER_TIMEOUT_DEFAULT)),
    Known::new(
        "body_idle",
        TIMEOUT,
        "Longest silence inside a request's body.",
    )
    .or(Preset::Span(BODY_IDLE_DEFAULT)),
    Known::new(
        "write_idle",
        TIMEOUT,
        "Longest time in which a client takes no byte of the answer.",
    )
    .or(Preset::Span(WRITE_IDLE_DEFAULT)),
    Known::new(
        "keep_alive",
        TIMEOUT,
        "Longest rest between two requests of one connection.",
    )
    .or(Preset::Span(KEEP_ALIVE_DEFAULT)),
    Known::new(
        "handshake_timeout",
        TIMEOUT,
        "Longest that a client may make the gateway wait within a TLS handshake, in all.",
    )
    .or(Preset::Span(HANDSHAKE_TIMEOUT_DEFAULT)),
    Known::new(
        "proxy_header_timeout",
        TIMEOUT,
        "Longest wait for a PROXY header.",
    )
    .or(Preset::Span(PROXY_HEADER_TIMEOUT_DEFAULT)),
    Known::new(
        "header_bytes",
        Shape::count(HEADER_BYTES_LIMIT),
        "Largest header section, in bytes.",
    )
    .or(Preset::count(HEADER_BYTES_DEFAULT)),
    Known::new(
        "header_count",
        Shape::count(HEADER_COUNT_LIMIT),
        "Most header fields of one request.",
    )
    .or(Preset::count(HEADER_COUNT_DEFAULT)),
    Known::new(
        "target_bytes",
        Shape::count(TARGET_BYTES_LIMIT),
        "Longest request target, in bytes.",
    )
    .or(Preset::count(TARGET_BYTES_DEFAULT)),
    Known::new(
        "body_bytes",
        BODY_BYTES,
        "Largest request body, in bytes. There is no bound unless it is set.",
    ),
    Known::new(
        "connections_per_source",
        Shape::count(CONNECTIONS_LIMIT),
        "Connections of one address to this listener.",
    )
    .or(Preset::count(CONNECTIONS_PER_SOURCE_DEFAULT)),
    Known::new(
        "failures_per_source",
        Shape::Number {
            least: 1,
            most: Rate::COUNT_MAX as u64,
        },
        "Wrong credentials of one address (of IPv6, one /64) in `failures_window`; beyond it nothing new of it is verified.",
    )
    .or(Preset::count(FAILURES_DEFAULT)),
    Known::new(
        "failures_window",
        Shape::span(FAILURES_WINDOW_LEAST, FAILURES_WINDOW_MOST),
        "The time that `failures_per_source` is counted over.",
    )
    .or(Preset::Span(FAILURES_WINDOW_DEFAULT)),
    Known::new(
        "handshakes",
        Shape::count(CONNECTIONS_LIMIT),
        "TLS handshakes that each core computes between two looks at whoever has a connection already.",
    )
    .or(Preset::count(HANDSHAKES_DEFAULT)),
];

/// Largest request body, in bytes; a route may set it, too.
pub(crate) const BODY_BYTES: Shape = Shape::Number {
    least: 0,
    most: u64::MAX,
};
const TIMEOUT: Shape = Shape::span(TIMEOUT_LEAST, TIMEOUT_MOST);

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
    /// Most wrong credentials of one source in [`Self::failures_window`].
    pub failures_per_source: usize,
    /// The time they are counted over.
    pub failures_window: Duration,
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
            failures_per_source: FAILURES_DEFAULT,
            failures_window: FAILURES_WINDOW_DEFAULT,
            handshakes: HANDSHAKES_DEFAULT,
            http2: Http2Limits::default(),
        }
    }
}

impl ListenerLimits {
    /// How many wrong credentials of one source are put up with.
    pub fn failures(&self) -> Rate {
        let count = u32::try_from(self.failures_per_source).unwrap_or(Rate::COUNT_MAX);
        Rate::new(count, self.failures_window)
    }
}

/// `limits` of a listener; every default where it is left out.
pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    let Some(fields) = node.and_then(|node| Fields::of(node, &KEYS, faults)) else {
        return limits;
    };
    for (name, slot) in [
        ("header_timeout", &mut limits.header_timeout),
        ("body_idle", &mut limits.body_idle),
        ("write_idle", &mut limits.write_idle),
        ("keep_alive", &mut limits.keep_alive),
        ("handshake_timeout", &mut limits.handshake_timeout),
        ("proxy_header_timeout", &mut limits.proxy_header_timeout),
        ("failures_window", &mut limits.failures_window),
    ] {
        if let Some(span) = fields.duration(name, faults) {
            *slot = span;
        }
    }
    for (name, slot) in [
        ("header_bytes", &mut limits.header_bytes),
        ("header_count", &mut limits.header_count),
        ("target_bytes", &mut limits.target_bytes),
        ("connections_per_source", &mut limits.connections_per_source),
        ("failures_per_source", &mut limits.failures_per_source),
        ("handshakes", &mut limits.handshakes),
    ] {
        if let Some(number) = fields.count(name, faults) {
            *slot = number;
        }
    }
    limits.body_bytes = fields.number("body_bytes", faults);
    limits.http2 = http2::read(&fields, faults);
    limits
}
