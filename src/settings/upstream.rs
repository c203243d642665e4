//! `upstreams`: the APIs behind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::{Reader, count};
use super::{CONNECTIONS_DEFAULT, HostHeader, QUEUE_DEFAULT, Upstream, reach, rules};
use crate::words::{Fault, Faults, UpstreamName};
use crate::yaml::{Fields, Node, quoted};

const KEYS: &[&str] = &[
    "url",
    "tls",
    "http2",
    "resolve_every",
    "health",
    "host",
    "unsafe_allow",
    "unsafe_header_names",
    "unsafe_query_keys",
    "shadow",
    "pass_authorization",
    "trailing_slash",
    "case_insensitive",
    "timeout",
    "connect_timeout",
    "idle_timeout",
    "stream_idle",
    "connections",
    "queue",
    "queue_timeout",
    "probe",
];
const LATER: &[&str] = &["assertion", "credential", "stream_max_age"];

/// Shortest wait for an upstream that may be set: less fails on a healthy network.
const WAIT_LEAST: Duration = Duration::from_millis(10);
/// Longest wait for an upstream that may be set.
const WAIT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// Shortest time between two looks at the addresses behind a name: a name service is asked by others
/// as well.
const RESOLVE_LEAST: Duration = Duration::from_secs(1);
/// More requests in a queue than anybody's patience lasts for.
const QUEUE_LIMIT: u64 = 65_536;
/// More connections to one upstream than one address has ports.
const CONNECTIONS_LIMIT: u64 = 65_536;

/// All upstreams, and every setting of theirs that weakens a promise. `shadow` is what the gateway
/// says of all of them.
pub(super) fn read_all(
    reader: &Reader<'_>,
    node: &Node,
    shadow: bool,
    faults: &mut Faults,
) -> (BTreeMap<UpstreamName, Upstream>, Vec<String>) {
    let mut upstreams = BTreeMap::new();
    let mut weakened = Vec::new();
    for (key, node) in node.entries("`upstreams`", faults).unwrap_or_default() {
        let name = match key.text.parse::<UpstreamName>() {
            Ok(name) => name,
            Err(error) => {
                faults.push(Fault::new(key.place.clone(), error.to_string()));
                continue;
            }
        };
        let Some(upstream) = read(reader, name, (node, shadow), faults) else {
            continue;
        };
        weakened.extend(rules::weakened(&upstream.name, &upstream.rules));
        upstreams.insert(upstream.name.clone(), upstream);
    }
    (upstreams, weakened)
}

fn read(
    reader: &Reader<'_>,
    name: UpstreamName,
    (node, shadow): (&Node, bool),
    faults: &mut Faults,
) -> Option<Upstream> {
    let fields = Fields::of(node, "an upstream", KEYS, LATER, faults)?;
    let Some(url_node) = fields.get("url") else {
        let message =
            format!("upstream `{name}` has no `url`, such as `url: http://127.0.0.1:3000`");
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let leads = reach::urls(url_node, faults);
    let tls = reach::tls(reader, fields.get("tls"), leads.as_ref(), faults);
    let http2 = fields.get("http2").and_then(|node| node.boolean(faults));
    let health = fields.get("health");
    let health = health.and_then(|node| reach::health(node, faults));
    let mut rules = rules::read(&fields, shadow, faults);
    let hosts = [
        ("upstream", HostHeader::Upstream),
        ("client", HostHeader::Client),
    ];
    let host_header = fields
        .get("host")
        .and_then(|node| node.choice(&hosts, faults));
    let probe = fields.get("probe").and_then(|node| path(node, faults));
    let connections = count(fields.get("connections"), CONNECTIONS_LIMIT, faults);
    let queue = fields.get("queue");
    let queue = queue.and_then(|node| node.number(0, QUEUE_LIMIT, faults));
    let is_somewhere = leads.is_some();
    let leads = leads.unwrap_or_default();
    rules.addresses.clone_from(&leads.addresses);
    let mut upstream = Upstream {
        tls,
        http2: http2.unwrap_or(false),
        rules,
        host_header: host_header.unwrap_or_default(),
        connections_max: connections.unwrap_or(CONNECTIONS_DEFAULT),
        queue_max: queue
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(QUEUE_DEFAULT),
        health,
        probe,
        ..Upstream::plain(name, leads.addresses, leads.authority)
    };
    waits(&fields, &mut upstream, faults);
    is_somewhere.then_some(upstream)
}

/// Every span of time of an upstream.
fn waits(fields: &Fields<'_>, upstream: &mut Upstream, faults: &mut Faults) {
    for (name, slot, least) in [
        ("connect_timeout", &mut upstream.connect_timeout, WAIT_LEAST),
        ("timeout", &mut upstream.response_timeout, WAIT_LEAST),
        ("idle_timeout", &mut upstream.idle_timeout, WAIT_LEAST),
        ("stream_idle", &mut upstream.stream_idle, WAIT_LEAST),
        ("queue_timeout", &mut upstream.queue_timeout, WAIT_LEAST),
        ("resolve_every", &mut upstream.resolve_every, RESOLVE_LEAST),
    ] {
        let node = fields.get(name);
        if let Some(span) = node.and_then(|node| node.duration(least, WAIT_MOST, faults)) {
            *slot = span;
        }
    }
}

/// The path that a check asks for.
pub(super) fn path(node: &Node, faults: &mut Faults) -> Option<String> {
    let expected = "a path such as `/healthz`";
    let text = node.text(expected, faults)?;
    let path = text.parse::<http::uri::PathAndQuery>();
    if text.starts_with('/') && path.is_ok_and(|path| path.as_str() == text) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not {expected}", quoted(text));
    faults.push(Fault::new(node.place.clone(), message));
    None
}
