//! `listeners`: where requests are taken, and what one client may cost.

use std::path::PathBuf;
use std::time::Duration;

use super::http2;
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
    "proxy_protocol",
    "http2",
    "limits",
];
const TLS: &[&str] = &["certificate", "key", "client_roots", "client_certificates"];
const LIMITS: [&str; 10] = [
    "header_timeout",
    "body_idle",
    "write_idle",
    "keep_alive",
    "header_bytes",
    "header_count",
    "target_bytes",
    "body_bytes",
    "connections_per_source",
    "handshakes",
];

/// Connections of one source to one listener. One address cannot take all there are, and what
/// stands before a whole site (a balancer, an ingress) belongs in `trusted_proxies`, where it is
/// not counted. An office behind one address has hundreds.
pub(super) const CONNECTIONS_PER_SOURCE_DEFAULT: usize = 1000;
/// TLS handshakes that each core computes between two looks at whoever has a connection already. One
/// costs about a millisecond; more than these wait their turn. A client that is waited for has none.
pub(super) const HANDSHAKES_DEFAULT: usize = 256;

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

/// Which client certificates a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Whose certificates are believed, PEM.
    pub roots: PathBuf,
    /// Whether there has to be one.
    pub demand: ClientCertificates,
}

/// Whether a client has to show a certificate. One that is shown has to be good in either case; it
/// lets a connection in and names nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It has to.
    #[default]
    Require,
    /// It may.
    Request,
}

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
    let fields = Fields::of(node, "a listener", KEYS, &[], faults)?;
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
    let http2 = fields.get("http2").and_then(|node| node.boolean(faults));
    let mut networks = |name| {
        let node = fields.get(name);
        node.map_or_else(Vec::new, |node| node.networks(faults))
    };
    let (trusted_proxies, proxy_protocol) =
        (networks("trusted_proxies"), networks("proxy_protocol"));
    Some(Listener {
        // Where nothing was negotiated, HTTP/2 is spoken only if somebody wants it.
        http2: http2.unwrap_or(tls.is_some()),
        tls,
        basic,
        api_key,
        trusted_proxies,
        proxy_protocol,
        limits: limits(fields.get("limits"), faults),
        ..Listener::plain(address?)
    })
}

fn tls(reader: &Reader<'_>, node: &Node, faults: &mut Faults) -> Option<ListenerTls> {
    let fields = Fields::of(node, "`tls`", TLS, &[], faults)?;
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
    let client = client_tls(reader, &fields, faults);
    Some(ListenerTls {
        certificate: certificate?,
        key: key?,
        client,
    })
}

fn client_tls(reader: &Reader<'_>, fields: &Fields<'_>, faults: &mut Faults) -> Option<ClientTls> {
    let words = [
        ("require", ClientCertificates::Require),
        ("request", ClientCertificates::Request),
    ];
    let demand = fields.get("client_certificates");
    let (roots, demand) = match (fields.get("client_roots"), demand) {
        (None, None) => return None,
        (None, Some(demand)) => {
            let message = "`client_certificates` is set and `client_roots` is not: say whose \
                           certificates are believed, or remove it";
            faults.push(Fault::new(demand.place.clone(), message));
            return None;
        }
        (Some(roots), demand) => (roots, demand.and_then(|node| node.choice(&words, faults))),
    };
    Some(ClientTls {
        roots: reader.path(Some(roots), faults)?,
        demand: demand.unwrap_or_default(),
    })
}

fn limits(node: Option<&Node>, faults: &mut Faults) -> ListenerLimits {
    let mut limits = ListenerLimits::default();
    let keys: Vec<&str> = LIMITS.into_iter().chain(http2::KEYS).collect();
    let Some(fields) = node.and_then(|node| Fields::of(node, "`limits`", &keys, &[], faults))
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
