//! `upstreams`: the APIs behind.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;

use super::load::{Reader, count};
use super::{CONNECTIONS_DEFAULT, HostHeader, QUEUE_DEFAULT, Upstream, UpstreamRules, reach};
use crate::words::{
    Allowable, ClassSet, Fault, Faults, PathClass, Spelling, UpstreamName, fields, nearest,
};
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
const LATER: &[&str] = &["assertion", "credential", "cors", "stream_max_age"];

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

/// All upstreams, and every setting of theirs that weakens a promise.
pub(super) fn read_all(
    reader: &Reader<'_>,
    node: &Node,
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
        let Some(upstream) = read(reader, name, node, faults) else {
            continue;
        };
        let classes: Vec<_> = upstream
            .rules
            .unsafe_allow
            .iter()
            .map(PathClass::code)
            .collect();
        if !classes.is_empty() {
            weakened.push(format!(
                "upstreams.{}.unsafe_allow: {}",
                upstream.name,
                classes.join(", ")
            ));
        }
        let names = &upstream.rules.header_names;
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
            weakened.push(format!(
                "upstreams.{}.unsafe_header_names: {}",
                upstream.name,
                names.join(", ")
            ));
        }
        upstreams.insert(upstream.name.clone(), upstream);
    }
    (upstreams, weakened)
}

fn read(
    reader: &Reader<'_>,
    name: UpstreamName,
    node: &Node,
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
    let rules = rules(&fields, faults);
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

fn rules(fields: &Fields<'_>, faults: &mut Faults) -> UpstreamRules {
    let allow = fields.get("unsafe_allow");
    let shadow = fields.get("shadow").and_then(|node| node.boolean(faults));
    let pass = fields.get("pass_authorization");
    let names = fields.get("unsafe_header_names");
    let slash = fields.get("trailing_slash");
    let case = fields.get("case_insensitive");
    UpstreamRules {
        unsafe_allow: allow.map_or(ClassSet::EMPTY, |node| classes(node, false, faults)),
        shadow: shadow.unwrap_or(false),
        pass_authorization: pass
            .and_then(|node| node.choice(&[("foreign", true)], faults))
            .unwrap_or(false),
        spelling: Spelling {
            any_case: case.and_then(|node| node.boolean(faults)).unwrap_or(false),
            any_slash: slash
                .and_then(|node| node.choice(&[("same", true)], faults))
                .unwrap_or(false),
        },
        header_names: names
            .map_or_else(Vec::new, |node| header_names(node, faults))
            .into(),
    }
}

/// The names of `unsafe_header_names`, each of which another reader could take for a plain one.
fn header_names(node: &Node, faults: &mut Faults) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for item in node.filled_list("header names", faults).unwrap_or_default() {
        let Some(text) = item.text("a header name such as `api_key`", faults) else {
            continue;
        };
        let message = match HeaderName::from_bytes(text.as_bytes()) {
            Err(_) => format!("{} is not the name of a header", quoted(text)),
            Ok(_) if fields::is_reserved(text) => format!(
                "{} cannot be let through: some take it for `{}`, which no client may say to an upstream",
                quoted(text),
                fields::folded(text)
            ),
            Ok(_) if fields::is_plain(text) => format!(
                "{} is let through as it is: remove it from the list",
                quoted(text)
            ),
            Ok(name) => {
                names.push(name);
                continue;
            }
        };
        faults.push(Fault::new(item.place.clone(), message));
    }
    names
}

/// The classes of an `unsafe_allow`, of a route or of an upstream.
pub(crate) fn classes(node: &Node, on_route: bool, faults: &mut Faults) -> ClassSet {
    let items = node.filled_list("path classes", faults).unwrap_or_default();
    let mut set = ClassSet::EMPTY;
    for item in items {
        let Some(text) = item.text("a path class", faults) else {
            continue;
        };
        let codes = PathClass::ALL.iter().map(|class| class.code());
        let message = match PathClass::ALL.iter().find(|class| class.code() == text) {
            None => format!(
                "{} is not a path class{}",
                quoted(text),
                nearest(text, codes)
            ),
            Some(class) => match (class.allowable(), on_route) {
                (Allowable::Anywhere, _) | (Allowable::Upstream, false) => {
                    set = set.with(*class);
                    continue;
                }
                (Allowable::Upstream, true) => {
                    format!("`{text}` can only be allowed on an upstream, for all its routes")
                }
                (Allowable::Never, _) => {
                    format!("`{text}` cannot be allowed: no two readers agree on what it means")
                }
            },
        };
        faults.push(Fault::new(item.place.clone(), message));
    }
    set
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
