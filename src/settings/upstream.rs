//! `upstreams`: the APIs behind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::Reader;
use super::{
    CONNECT_TIMEOUT_DEFAULT, CONNECTIONS_DEFAULT, HostHeader, IDLE_TIMEOUT_DEFAULT, QUEUE_DEFAULT,
    QUEUE_TIMEOUT_DEFAULT, RESOLVE_EVERY_DEFAULT, RESPONSE_TIMEOUT_DEFAULT, STREAM_IDLE_DEFAULT,
    Upstream, reach, rules,
};
use crate::words::{Fault, Faults, UpstreamName};
use crate::yaml::shape::{Keys, Known, Preset, Shape, Word, words};
use crate::yaml::{Fields, Node, quoted};

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

/// An upstream.
pub(super) const KEYS: Keys = Keys {
    what: "an upstream",
    known: &[
        Known::new(
            "url",
            Shape::Either(&[Shape::Text(reach::URL), Shape::filled_list(&Shape::Text(reach::URL))]),
            "Where it is: scheme and authority only, or a Unix socket. A list names servers that answer alike, of which the least busy is asked.",
        )
        .required(),
        Known::new(
            "tls",
            Shape::Keys(&reach::TLS_KEYS),
            "Whom an `https:` upstream is believed to be, and who we are to it. It is always verified.",
        ),
        Known::new("http2", Shape::Boolean, "HTTP/2 to it, by ALPN or in the clear.")
            .or(Preset::Boolean(false)),
        Known::new(
            "resolve_every",
            Shape::span(RESOLVE_LEAST, WAIT_MOST),
            "How long the addresses behind a name are believed.",
        )
        .or(Preset::Span(RESOLVE_EVERY_DEFAULT)),
        Known::new(
            "health",
            Shape::Keys(&reach::HEALTH_KEYS),
            "What each address is asked now and then; one that fails is left alone until it passes.",
        ),
        Known::new(
            "host",
            Shape::Choice(|| words(&HOSTS)),
            "Whose `Host` it is sent: its own, or the client's.",
        )
        .or(Preset::Word("upstream")),
        Known::new(
            "unsafe_allow",
            Shape::filled_list(&Shape::Choice(rules::classes_of_upstream)),
            "Classes of paths that are let through to it although two readers may read them two ways.",
        ),
        Known::new(
            "unsafe_header_names",
            Shape::filled_list(&Shape::Text(rules::HEADER_NAME)),
            "Header names with more in them than letters, digits and `-` that are let through to it.",
        ),
        Known::new(
            "unsafe_query_keys",
            Shape::filled_list(&Shape::Choice(|| words(&rules::QUERY_KEYS))),
            "`[_method]`: the query may ask it for another method than the one decided on.",
        ),
        Known::new(
            "shadow",
            Shape::Boolean,
            "Decisions for it are logged and counted, and not enforced.",
        )
        .or(Preset::Boolean(false)),
        Known::new(
            "pass_authorization",
            Shape::Choice(|| words(&rules::PASS)),
            "An `Authorization` that is not of ours goes on to it.",
        ),
        Known::new(
            "trailing_slash",
            Shape::Choice(|| words(&rules::SLASH)),
            "It takes `/items/` for `/items`.",
        ),
        Known::new(
            "case_insensitive",
            Shape::Boolean,
            "It takes `/Items` for `/items`.",
        )
        .or(Preset::Boolean(false)),
        Known::new(
            "timeout",
            WAIT,
            "Longest wait for the head of an answer.",
        )
        .or(Preset::Span(RESPONSE_TIMEOUT_DEFAULT)),
        Known::new("connect_timeout", WAIT, "Longest wait for a connection to it.")
            .or(Preset::Span(CONNECT_TIMEOUT_DEFAULT)),
        Known::new("idle_timeout", WAIT, "Longest rest of a connection to it.")
            .or(Preset::Span(IDLE_TIMEOUT_DEFAULT)),
        Known::new(
            "stream_idle",
            WAIT,
            "Longest silence inside an answer or a tunnel.",
        )
        .or(Preset::Span(STREAM_IDLE_DEFAULT)),
        Known::new(
            "connections",
            Shape::count(CONNECTIONS_LIMIT),
            "Most connections to it, all cores together.",
        )
        .or(Preset::count(CONNECTIONS_DEFAULT)),
        Known::new(
            "queue",
            Shape::Number { least: 0, most: QUEUE_LIMIT },
            "Most requests that wait for a connection to it, all cores together.",
        )
        .or(Preset::count(QUEUE_DEFAULT)),
        Known::new(
            "queue_timeout",
            WAIT,
            "Longest wait for a connection to be free. Beyond it the answer is 503 `upstream_overloaded`.",
        )
        .or(Preset::Span(QUEUE_TIMEOUT_DEFAULT)),
        Known::new(
            "probe",
            Shape::Text(REQUEST_PATH),
            "The path that `/probe/<name>` on the ops port asks it for.",
        ),
    ],
    later: &["assertion", "credential", "stream_max_age"],
    rules: &[],
};

const WAIT: Shape = Shape::span(WAIT_LEAST, WAIT_MOST);
const HOSTS: [(&str, HostHeader); 2] = [
    ("upstream", HostHeader::Upstream),
    ("client", HostHeader::Client),
];

/// A path that is asked for, perhaps with a query.
pub(super) const REQUEST_PATH: Word = Word::ruled(
    "a path",
    || r"\/[!$-;=?-Z\[\]_a-z~]*".to_owned(),
    &["/healthz", "/up?full=1"],
);

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
        reader.upstream(&upstream.name, &key.place);
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
    let fields = Fields::of(node, &KEYS, faults)?;
    let Some(url_node) = fields.get("url") else {
        let message =
            format!("upstream `{name}` has no `url`, such as `url: http://127.0.0.1:3000`");
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let leads = reach::urls(url_node, faults);
    let tls = reach::tls(reader, fields.get("tls"), leads.as_ref(), faults);
    let http2 = fields.boolean("http2", faults);
    let health = fields.get("health");
    let health = health.and_then(|node| reach::health(node, faults));
    let mut rules = rules::read(&fields, shadow, faults);
    let host_header = fields.choice("host", &HOSTS, faults);
    let probe = fields.get("probe").and_then(|node| path(node, faults));
    let connections = fields.count("connections", faults);
    let queue = fields.count("queue", faults);
    let is_somewhere = leads.is_some();
    let leads = leads.unwrap_or_default();
    rules.addresses.clone_from(&leads.addresses);
    let mut upstream = Upstream {
        tls,
        http2: http2.unwrap_or(false),
        rules,
        host_header: host_header.unwrap_or_default(),
        connections_max: connections.unwrap_or(CONNECTIONS_DEFAULT),
        queue_max: queue.unwrap_or(QUEUE_DEFAULT),
        health,
        probe,
        ..Upstream::plain(name, leads.addresses, leads.authority)
    };
    waits(&fields, &mut upstream, faults);
    is_somewhere.then_some(upstream)
}

/// Every span of time of an upstream.
fn waits(fields: &Fields<'_>, upstream: &mut Upstream, faults: &mut Faults) {
    for (name, slot) in [
        ("connect_timeout", &mut upstream.connect_timeout),
        ("timeout", &mut upstream.response_timeout),
        ("idle_timeout", &mut upstream.idle_timeout),
        ("stream_idle", &mut upstream.stream_idle),
        ("queue_timeout", &mut upstream.queue_timeout),
        ("resolve_every", &mut upstream.resolve_every),
    ] {
        if let Some(span) = fields.duration(name, faults) {
            *slot = span;
        }
    }
}

/// The path that a check asks for.
pub(super) fn path(node: &Node, faults: &mut Faults) -> Option<String> {
    let expected = "a path such as `/healthz`";
    let text = node.text(expected, faults)?;
    let path = text.parse::<http::uri::PathAndQuery>();
    // The parser lets more pass than RFC 3986 does, and upstreams read that in several ways.
    let plain = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    let whole = text.starts_with('/') && text.bytes().all(plain);
    if whole && path.is_ok_and(|path| path.as_str() == text) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not {expected}", quoted(text));
    faults.push(Fault::new(node.place.clone(), message));
    None
}
