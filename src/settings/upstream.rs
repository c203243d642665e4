//! `upstreams`: the APIs behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use super::{
    CONNECT_TIMEOUT_DEFAULT, CONNECTIONS_DEFAULT, HostHeader, IDLE_TIMEOUT_DEFAULT,
    RESPONSE_TIMEOUT_DEFAULT, STREAM_IDLE_DEFAULT, Upstream, UpstreamAddress, UpstreamRules,
    load::count,
};
use crate::words::{
    Allowable, ClassSet, Fault, Faults, PathClass, Spelling, UpstreamName, fields, nearest,
};
use crate::yaml::{Fields, Node, quoted};

const KEYS: &[&str] = &[
    "url",
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
    "probe",
];
const LATER: &[&str] = &["assertion", "credential", "cors", "stream_max_age"];

/// Shortest wait for an upstream that may be set: less fails on a healthy network.
const WAIT_LEAST: Duration = Duration::from_millis(10);
/// Longest wait for an upstream that may be set.
const WAIT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// More connections to one upstream than one address has ports.
const CONNECTIONS_LIMIT: u64 = 65_536;

/// All upstreams, and every setting of theirs that weakens a promise.
pub(super) fn read_all(
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
        let Some(upstream) = read(name, node, faults) else {
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

fn read(name: UpstreamName, node: &Node, faults: &mut Faults) -> Option<Upstream> {
    let fields = Fields::of(node, "an upstream", KEYS, LATER, faults)?;
    let Some(url_node) = fields.get("url") else {
        let message =
            format!("upstream `{name}` has no `url`, such as `url: http://127.0.0.1:3000`");
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let url = url(url_node, faults);
    let rules = rules(&fields, faults);
    let hosts = [
        ("upstream", HostHeader::Upstream),
        ("client", HostHeader::Client),
    ];
    let host_header = fields
        .get("host")
        .and_then(|node| node.choice(&hosts, faults));
    let probe = fields.get("probe").and_then(|node| probe(node, faults));
    let connections = count(fields.get("connections"), CONNECTIONS_LIMIT, faults);
    let mut wait = |name, default| {
        let node = fields.get(name);
        node.and_then(|node| node.duration(WAIT_LEAST, WAIT_MOST, faults))
            .unwrap_or(default)
    };
    let (connect_timeout, response_timeout, idle_timeout, stream_idle) = (
        wait("connect_timeout", CONNECT_TIMEOUT_DEFAULT),
        wait("timeout", RESPONSE_TIMEOUT_DEFAULT),
        wait("idle_timeout", IDLE_TIMEOUT_DEFAULT),
        wait("stream_idle", STREAM_IDLE_DEFAULT),
    );
    let (address, authority) = url?;
    Some(Upstream {
        name,
        address,
        authority,
        rules,
        host_header: host_header.unwrap_or_default(),
        connect_timeout,
        response_timeout,
        idle_timeout,
        stream_idle,
        connections_max: connections.unwrap_or(CONNECTIONS_DEFAULT),
        probe,
    })
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

/// Where `url` leads, and the `Host` that belongs to it.
fn url(node: &Node, faults: &mut Faults) -> Option<(UpstreamAddress, String)> {
    let text = node.text("a URL such as `http://127.0.0.1:3000`", faults)?;
    let read = match text.split_once(':') {
        Some(("http", _)) => http(text),
        Some(("unix", path)) if path.starts_with('/') && !path.starts_with("//") => {
            // RFC 9110 §7.2 asks for a Host; a socket has none of its own.
            Ok((
                UpstreamAddress::Unix(PathBuf::from(path)),
                "localhost".to_owned(),
            ))
        }
        Some(("unix", _)) => {
            Err("a socket is named by its whole path, such as `unix:/run/app.sock`")
        }
        Some(("https", _)) => Err(
            "`https:` upstreams are not in this release: speak plain HTTP to a neighbour, or `unix:`",
        ),
        Some(_) | None => Err("expected `http://HOST:PORT` or `unix:/PATH`"),
    };
    read.map_err(|message| {
        let message = format!("{} is not the URL of an upstream: {message}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    })
    .ok()
}

fn http(text: &str) -> Result<(UpstreamAddress, String), &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "expected `http://HOST:PORT`")?;
    let authority = uri.authority().ok_or("expected `http://HOST:PORT`")?;
    if authority.as_str().contains('@') {
        return Err("it must not hold a user or a password");
    }
    if uri
        .path_and_query()
        .is_some_and(|rest| rest.as_str() != "/")
    {
        return Err("scheme and authority only; paths are forwarded as they come");
    }
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let has_port = authority.as_str().len() > authority.host().len();
    let port = match authority.port_u16() {
        Some(0) => return Err("port 0 cannot be reached"),
        Some(port) => port,
        None if has_port => return Err("the port is not a number from 1 to 65535"),
        None => 80,
    };
    if host.is_empty() {
        return Err("expected `http://HOST:PORT`");
    }
    let sent = if port == 80 {
        authority.host().to_owned()
    } else {
        authority.as_str().to_owned()
    };
    let host = host.to_owned();
    Ok((UpstreamAddress::Tcp { host, port }, sent))
}

fn probe(node: &Node, faults: &mut Faults) -> Option<String> {
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
