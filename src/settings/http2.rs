//! What one HTTP/2 connection may cost. On by default, all of it; HTTP/2 is where one client can ask
//! for most with least.

use std::time::Duration;

use super::limits::TIMEOUT_LEAST;
use crate::words::Faults;
use crate::yaml::Fields;
use crate::yaml::shape::{Known, Preset, Shape};

/// Streams a client may have open at once: what RFC 9113 §6.5.2 holds to be the least that does not
/// slow an honest client, and what edge proxies allow.
const STREAMS_DEFAULT: u32 = 100;
/// Largest header list, in bytes as HTTP/2 counts them: decoded, with 32 bytes for each field. Half
/// of what HTTP/1.1 may send, because a few bytes on the wire can ask for all of it.
const HEADER_LIST_BYTES_DEFAULT: usize = 16 * 1024;
/// Bytes of a request's body that may arrive ahead of being read, for one stream.
const STREAM_WINDOW_DEFAULT: u32 = 64 * 1024;
/// The same for all streams of a connection together: sixteen busy uploads.
const CONNECTION_WINDOW_DEFAULT: u32 = 1024 * 1024;
/// Bytes of an answer that may wait for a client to take them, for one stream.
const STREAM_BUFFER_DEFAULT: usize = 64 * 1024;
/// Requests a client may take back before they were begun, at once. Twenty are more than a page that
/// is left takes back, and few enough that taking back costs the client more than us.
const EARLY_RESETS_DEFAULT: usize = 20;
/// Streams that may end by the client's own fault, in the life of a connection.
const STREAM_ERRORS_DEFAULT: usize = 100;
/// How often a client is asked whether it is still there. Twice within the minute after which
/// balancers forget a silent connection.
const PING_INTERVAL_DEFAULT: Duration = Duration::from_secs(30);
/// Longest wait for the answer to that. Twenty seconds are as long as a lost packet is sent again by
/// somebody who is still there.
const PING_TIMEOUT_DEFAULT: Duration = Duration::from_secs(20);
/// Frames that move nothing forward, in a row: pings, settings, priorities, windows, empty data. A
/// browser sends a dozen with a page; each costs us an answer or a search.
const CONTROL_FRAMES_DEFAULT: u32 = 1000;

/// Most streams that may be set.
const STREAMS_LIMIT: u64 = 10_000;
/// Largest header list that may be set, in bytes: what the HTTP/1 library reads at most.
const HEADER_LIST_LIMIT: u64 = 256 * 1024;
/// The protocol's smallest sensible window: with less, every frame is waited for.
const WINDOW_LEAST: u64 = 16 * 1024;
/// Largest window and buffer that may be set, in bytes. The protocol allows 2 GiB; a hundred streams
/// of 16 MiB are that already.
const WINDOW_LIMIT: u64 = 16 * 1024 * 1024;
/// Most resets, faults and control frames that may be set.
const EVENTS_LIMIT: u64 = 1_000_000;
/// A connection that is asked only once an hour is not asked.
const PING_MOST: Duration = Duration::from_secs(60 * 60);

/// The keys of `limits` that are about HTTP/2.
pub(super) const KEYS: [Known; 10] = [
    Known::new(
        "streams",
        Shape::count(STREAMS_LIMIT),
        "HTTP/2: streams a client may have open at once.",
    )
    .or(Preset::Number(STREAMS_DEFAULT as u64)),
    Known::new(
        "header_list_bytes",
        Shape::count(HEADER_LIST_LIMIT),
        "HTTP/2: largest header list, in bytes, decoded, with 32 bytes for each field.",
    )
    .or(Preset::count(HEADER_LIST_BYTES_DEFAULT)),
    Known::new(
        "stream_window_bytes",
        WINDOW,
        "HTTP/2: bytes of a request's body that may arrive ahead of being read, for one stream.",
    )
    .or(Preset::Number(STREAM_WINDOW_DEFAULT as u64)),
    Known::new(
        "connection_window_bytes",
        WINDOW,
        "HTTP/2: bytes of bodies that may arrive ahead of being read, for all streams of a connection together.",
    )
    .or(Preset::Number(CONNECTION_WINDOW_DEFAULT as u64)),
    Known::new(
        "stream_buffer_bytes",
        Shape::count(WINDOW_LIMIT),
        "HTTP/2: bytes of an answer that may wait for the client to take them, for one stream.",
    )
    .or(Preset::count(STREAM_BUFFER_DEFAULT)),
    Known::new(
        "early_resets",
        Shape::count(EVENTS_LIMIT),
        "HTTP/2: requests a client may take back before they were begun, at once.",
    )
    .or(Preset::count(EARLY_RESETS_DEFAULT)),
    Known::new(
        "stream_errors",
        Shape::count(EVENTS_LIMIT),
        "HTTP/2: streams that may end by the client's own fault, in the life of a connection.",
    )
    .or(Preset::count(STREAM_ERRORS_DEFAULT)),
    Known::new(
        "ping_interval",
        Shape::span(TIMEOUT_LEAST, PING_MOST),
        "HTTP/2: how often a client is asked whether it is still there.",
    )
    .or(Preset::Span(PING_INTERVAL_DEFAULT)),
    Known::new(
        "ping_timeout",
        Shape::span(TIMEOUT_LEAST, PING_MOST),
        "HTTP/2: longest wait for the answer to that.",
    )
    .or(Preset::Span(PING_TIMEOUT_DEFAULT)),
    Known::new(
        "control_frames",
        Shape::count(EVENTS_LIMIT),
        "HTTP/2: frames in a row that move nothing forward: pings, settings, priorities, empty data.",
    )
    .or(Preset::Number(CONTROL_FRAMES_DEFAULT as u64)),
];

/// A flow-control window, in bytes.
const WINDOW: Shape = Shape::Number {
    least: WINDOW_LEAST,
    most: WINDOW_LIMIT,
};

/// What one HTTP/2 connection may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams open at once.
    pub streams: u32,
    /// Largest header list, in bytes, decoded, with 32 bytes for each field.
    pub header_list_bytes: usize,
    /// Bytes of a request's body that may arrive ahead, for one stream.
    pub stream_window_bytes: u32,
    /// The same for all streams together.
    pub connection_window_bytes: u32,
    /// Bytes of an answer that may wait, for one stream.
    pub stream_buffer_bytes: usize,
    /// Requests a client may take back before they were begun, at once.
    pub early_resets: usize,
    /// Streams that may end by the client's own fault.
    pub stream_errors: usize,
    /// How often a client is asked whether it is still there.
    pub ping_interval: Duration,
    /// Longest wait for the answer to that.
    pub ping_timeout: Duration,
    /// Frames in a row that move nothing forward.
    pub control_frames: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: STREAMS_DEFAULT,
            header_list_bytes: HEADER_LIST_BYTES_DEFAULT,
            stream_window_bytes: STREAM_WINDOW_DEFAULT,
            connection_window_bytes: CONNECTION_WINDOW_DEFAULT,
            stream_buffer_bytes: STREAM_BUFFER_DEFAULT,
            early_resets: EARLY_RESETS_DEFAULT,
            stream_errors: STREAM_ERRORS_DEFAULT,
            ping_interval: PING_INTERVAL_DEFAULT,
            ping_timeout: PING_TIMEOUT_DEFAULT,
            control_frames: CONTROL_FRAMES_DEFAULT,
        }
    }
}

/// Those of `limits` that are about HTTP/2.
pub(super) fn read(fields: &Fields<'_>, faults: &mut Faults) -> Http2Limits {
    let mut limits = Http2Limits::default();
    for (name, slot) in [
        ("streams", &mut limits.streams),
        ("stream_window_bytes", &mut limits.stream_window_bytes),
        (
            "connection_window_bytes",
            &mut limits.connection_window_bytes,
        ),
        ("control_frames", &mut limits.control_frames),
    ] {
        let number = fields.number(name, faults);
        if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
            *slot = number;
        }
    }
    for (name, slot) in [
        ("header_list_bytes", &mut limits.header_list_bytes),
        ("stream_buffer_bytes", &mut limits.stream_buffer_bytes),
        ("early_resets", &mut limits.early_resets),
        ("stream_errors", &mut limits.stream_errors),
    ] {
        if let Some(number) = fields.count(name, faults) {
            *slot = number;
        }
    }
    for (name, slot) in [
        ("ping_interval", &mut limits.ping_interval),
        ("ping_timeout", &mut limits.ping_timeout),
    ] {
        if let Some(span) = fields.duration(name, faults) {
            *slot = span;
        }
    }
    limits
}
