//! `listeners`: where requests are taken, and what one client may cost.

use std::time::Duration;

use super::load::{Reader, address, count};
use super::{LISTENER_DEFAULT, Listener, ListenerLimits, ListenerTls};
use crate::words::{Fault, Faults};
use crate::yaml::{Fields, Node};

const KEYS: &[&str] = &[
    "address",
    "tls",
    "basic",
    "api_key",
    "trusted_proxies",
    "limits",
];
const LATER: &[&str] = &["proxy_protocol", "http2"];
const TLS_LATER: &[&str] = &["client_roots", "client_certificates"];
const LIMITS: &[&str] = &[
    "header_timeout",
    "body_idle",
    "write_idle",
    "keep_alive",
    "header_bytes",
    "header_count",
    "target_bytes",
    "body_bytes",
];

/// Shortest timeout of a listener: anything less refuses honest clients on a busy network.
const TIMEOUT_LEAST: Duration = Duration::from_millis(100);
/// Longest timeout of a listener: a connection that rests for a day is a leak.
const TIMEOUT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest header section that may be set, in bytes: what the HTTP library reads at most.
const HEADER_BYTES_LIMIT: u64 = 256 * 1024;
/// Most header fields that may be set.
const HEADER_COUNT_LIMIT: u64 = 1000;
/// Longest target that may be set, in bytes: what the HTTP library reads at most.
const TARGET_BYTES_LIMIT: u64 = 65_534;

/// All listeners; the default one when none is named.
pub(super) fn read_all(
    reader: &Reader<'_>,
    node: Option<&Node>,
    faults: &mut Faults,
) -> Vec<Listener> {
    let Some(node) = node else {
        return vec![Listener::plain(LISTENER_DEFAULT)];
    };
    let Some(items) = node.filled_list("listeners", faults) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| read(reader, item, faults))
        .collect()
}

fn read(reader: &Reader<'_>, node: &Node, faults: &mut Faults) -> Option<Listener> {
    let fields = Fields::of(node, "a listener", KEYS, LATER, faults)?;
    let Some(address_node) = fields.get("address") else {
        let message = "the listener has no `address`, such as `address: 127.0.0.1:7080`";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let address = address(address_node, faults);
    let tls = fields.get("tls").and_then(|node| tls(reader, node, faults));
    let mut flag = |name| {
        let node = fields.get(name);
        node.and_then(|node| node.boolean(faults)).unwrap_or(false)
    };
    let (basic, api_key) = (flag("basic"), flag("api_key"));
    let trusted_proxies = fields.get("trusted_proxies");
    Some(Listener {
        tls,
        basic,
        api_key,
        trusted_proxies: trusted_proxies.map_or_else(Vec::new, |node| node.networks(faults)),
        limits: limits(fields.get("limits"), faults),
        ..Listener::plain(address?)
    })
}

fn tls(reader: &Reader<'_>, node: &Node, faults: &mut Faults) -> Option<ListenerTls> {
    let fields = Fields::of(node, "`tls`", &["certificate", "key"], TLS_LATER, faults)?;
    let certificate = fields.get("certificate");
    let key = fields.get("key");
    let missing = match (certificate, key) {
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some("`certificate` is set and `key` is not: set both"),
        (None, Some(_)) => Some("`key` is set and `certificate` is not: set both"),
        (None, None) => Some("`tls` says neither `certificate` nor `key`: set both"),
    };
    if let Some(message) = missing {
        faults.push(Fault::new(node.place.clone(), message));
    }
    let certificate = reader.path(certificate, faults);
    let key = reader.path(key, faults);
    Some(ListenerTls {
        certificate: certificate?,
        key: key?,
    })
}

fn limits(node: Option<&Node>, faults: &mut Faults) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    let Some(fields) = node.and_then(|node| Fields::of(node, "`limits`", LIMITS, &[], faults))
    else {
        return limits;
    };
    for (name, slot) in [
        ("header_timeout", &mut limits.header_timeout),
        ("body_idle", &mut limits.body_idle),
        ("write_idle", &mut limits.write_idle),
        ("keep_alive", &mut limits.keep_alive),
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
    ] {
        if let Some(number) = count(fields.get(name), most, faults) {
            *slot = number;
        }
    }
    let body = fields.get("body_bytes");
    limits.body_bytes = body.and_then(|node| node.number(0, u64::MAX, faults));
    limits
}
