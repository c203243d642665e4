//! Where an upstream is, and how it is reached: addresses, TLS, HTTP/2, health.

use std::path::PathBuf;
use std::time::Duration;

use super::keys::PATH;
use super::load::Reader;
use super::upstream::{REQUEST_PATH, path};
use super::{
    HEALTH_FAILURES_DEFAULT, HEALTH_INTERVAL_DEFAULT, HEALTH_TIMEOUT_DEFAULT, HealthCheck,
    UpstreamAddress, UpstreamTls,
};
use crate::words::{Fault, Faults};
use crate::yaml::shape::{Keys, Known, Preset, Rule, Shape, Word, pattern};
use crate::yaml::{Fields, Node, Value, quoted};

/// Most addresses of one upstream, whether they are listed or a name stands for them. Beyond it an
/// answer of the name service is a mistake or an attack, and each address costs a series of metrics.
pub const ADDRESSES_MAX: usize = 64;

/// Shortest interval of health checks: less is a load of its own.
const INTERVAL_LEAST: Duration = Duration::from_millis(100);
/// Longest interval of health checks: more is no check.
const INTERVAL_MOST: Duration = Duration::from_secs(60 * 60);
/// More failures in a row than anybody waits for.
const FAILURES_LIMIT: u64 = 100;

/// Whom an `https:` upstream is believed to be.
pub(super) const TLS_KEYS: Keys = Keys {
    what: "`tls`",
    known: &[
        Known::new(
            "roots",
            Shape::Text(PATH),
            "File of the authorities whose certificates are believed, PEM. Without it, those the host believes.",
        ),
        Known::new(
            "certificate",
            Shape::Text(PATH),
            "File of our certificate chain, PEM, for an upstream that asks for one.",
        ),
        Known::new("key", Shape::Text(PATH), "File of its private key, PEM."),
        Known::new(
            "server_name",
            Shape::Text(SERVER_NAME),
            "The name on its certificate, if that is not the host of its URL.",
        ),
    ],
    later: &[],
    rules: &[
        Rule::Needs("certificate", "key"),
        Rule::Needs("key", "certificate"),
    ],
};

/// What is asked of every address.
pub(super) const HEALTH_KEYS: Keys = Keys {
    what: "`health`",
    known: &[
        Known::new(
            "path",
            Shape::Text(REQUEST_PATH),
            "What is asked for; an answer of 2xx or 3xx is a good one.",
        )
        .required(),
        Known::new("interval", INTERVAL, "From one check to the next.")
            .or(Preset::Span(HEALTH_INTERVAL_DEFAULT)),
        Known::new("timeout", INTERVAL, "Longest wait for the answer.")
            .or(Preset::Span(HEALTH_TIMEOUT_DEFAULT)),
        Known::new(
            "failures",
            Shape::count(FAILURES_LIMIT),
            "How many bad answers in a row put an address aside.",
        )
        .or(Preset::count(HEALTH_FAILURES_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

const INTERVAL: Shape = Shape::span(INTERVAL_LEAST, INTERVAL_MOST);

/// Where a server is.
pub(super) const URL: Word = Word::ruled(
    "a URL of scheme and authority, or a socket",
    || {
        let port = pattern::port(1);
        let host = format!(r"(?:[A-Za-z0-9._-]+|\[{}\])", pattern::ipv6());
        format!(r"(?:https?:\/\/{host}(?::{port})?\/?|unix:\/(?!\/).*)")
    },
    &[
        "http://127.0.0.1:3000",
        "https://api.internal",
        "unix:/run/app.sock",
    ],
);

const SERVER_NAME: Word = Word::ruled(
    "the name on a certificate, or an address",
    || {
        let letter = "[A-Za-z0-9_]";
        let label = format!("{letter}(?:[A-Za-z0-9_-]{{0,61}}{letter})?");
        let name = format!(r"(?=.{{1,253}}$)(?!(?:.*\.)?[0-9]+\.?$)(?:{label}\.)*{label}\.?");
        format!("(?:{name}|{})", pattern::address())
    },
    &["api.internal", "10.0.0.1"],
);

/// Where a `url` leads.
#[derive(Debug, Default)]
pub(super) struct Leads {
    pub(super) addresses: Vec<UpstreamAddress>,
    /// The `Host` that belongs to the first of them.
    pub(super) authority: String,
    /// Whether it is `https:`.
    pub(super) tls: bool,
}

/// One URL, or several of servers that answer alike.
pub(super) fn urls(node: &Node, faults: &mut Faults) -> Option<Leads> {
    let nodes = match &node.value {
        Value::List(_) => node.filled_list("URLs such as `http://10.0.0.1:3000`", faults)?,
        Value::Scalar(_) | Value::Nothing | Value::Mapping(_) => std::slice::from_ref(node),
    };
    if nodes.len() > ADDRESSES_MAX {
        let message = format!("an upstream has at most {ADDRESSES_MAX} addresses");
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    }
    let read: Vec<_> = nodes.iter().map(|node| url(node, faults)).collect();
    let read: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    let mut leads: Option<Leads> = None;
    for (node, (address, authority, tls)) in nodes.iter().zip(read) {
        let Some(leads) = &mut leads else {
            leads = Some(Leads {
                addresses: vec![address],
                authority,
                tls,
            });
            continue;
        };
        let message = if tls != leads.tls {
            "all URLs of an upstream are `https:`, or none is: what goes to one may go to any"
        } else if leads.addresses.contains(&address) {
            "the same address stands here twice"
        } else {
            leads.addresses.push(address);
            continue;
        };
        faults.push(Fault::new(node.place.clone(), message));
    }
    leads
}

/// Where one URL leads, the `Host` that belongs to it, and whether it is `https:`.
fn url(node: &Node, faults: &mut Faults) -> Option<(UpstreamAddress, String, bool)> {
    let text = node.text("a URL such as `http://127.0.0.1:3000`", faults)?;
    let read = match text.split_once(':') {
        Some(("http", _)) => http(text, 80).map(|(address, host)| (address, host, false)),
        Some(("https", _)) => http(text, 443).map(|(address, host)| (address, host, true)),
        Some(("unix", path)) if path.starts_with('/') && !path.starts_with("//") => {
            // RFC 9110 §7.2 asks for a Host; a socket has none of its own.
            let address = UpstreamAddress::Unix(PathBuf::from(path));
            Ok((address, "localhost".to_owned(), false))
        }
        Some(("unix", _)) => {
            Err("a socket is named by its whole path, such as `unix:/run/app.sock`")
        }
        Some(_) | None => Err("expected `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`"),
    };
    read.map_err(|message| {
        let message = format!("{} is not the URL of an upstream: {message}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    })
    .ok()
}

fn http(text: &str, usual_port: u16) -> Result<(UpstreamAddress, String), &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "expected `http://HOST:PORT`")?;
    let authority = uri.authority().ok_or("expected `http://HOST:PORT`")?;
    if authority.as_str().contains('@') {
        return Err("it must not hold a user or a password");
    }
    // The parser drops what follows a `#`; nothing that was written may be dropped.
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let rest = rest.strip_prefix(authority.as_str());
    if !matches!(rest, Some("" | "/")) {
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
        None => usual_port,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let is_name = !host.is_empty() && host.bytes().all(plain);
    if !is_name && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("the host is letters, digits, `.`, `_` and `-`, or an address");
    }
    let sent = if port == usual_port {
        authority.host().to_owned()
    } else {
        authority.as_str().to_owned()
    };
    let host = host.to_owned();
    Ok((UpstreamAddress::Tcp { host, port }, sent))
}

/// Whom an `https:` upstream is believed to be, and who we are to it.
pub(super) fn tls(
    reader: &Reader<'_>,
    node: Option<&Node>,
    leads: Option<&Leads>,
    faults: &mut Faults,
) -> Option<UpstreamTls> {
    let secure = leads.is_some_and(|leads| leads.tls);
    let Some(node) = node else {
        return secure.then(UpstreamTls::default);
    };
    let fields = Fields::of(node, &TLS_KEYS, faults)?;
    if leads.is_some() && !secure {
        let message = "`tls` is for `https:` upstreams: say `https:`, or remove it";
        faults.push(Fault::new(node.place.clone(), message));
    }
    let (certificate, key) = (fields.get("certificate"), fields.get("key"));
    let missing = match (certificate, key) {
        (Some(_), Some(_)) | (None, None) => None,
        (Some(_), None) => Some("`certificate` is set and `key` is not: set both, or neither"),
        (None, Some(_)) => Some("`key` is set and `certificate` is not: set both, or neither"),
    };
    if let Some(message) = missing {
        faults.push(Fault::new(node.place.clone(), message));
    }
    let (certificate, key) = (reader.path(certificate, faults), reader.path(key, faults));
    let server_name = fields.get("server_name");
    Some(UpstreamTls {
        roots: reader.path(fields.get("roots"), faults),
        identity: certificate.zip(key),
        server_name: server_name.and_then(|node| server_name_of(node, faults)),
    })
}

fn server_name_of(node: &Node, faults: &mut Faults) -> Option<String> {
    let expected = "the name on the upstream's certificate, such as `api.internal`";
    let text = node.text(expected, faults)?;
    if rustls::pki_types::ServerName::try_from(text).is_ok() {
        return Some(text.to_owned());
    }
    let message = format!("{} is not {expected}", quoted(text));
    faults.push(Fault::new(node.place.clone(), message));
    None
}

/// What is asked of every address now and then.
pub(super) fn health(node: &Node, faults: &mut Faults) -> Option<HealthCheck> {
    let fields = Fields::of(node, &HEALTH_KEYS, faults)?;
    let Some(path_node) = fields.get("path") else {
        let message = "`health` has no `path`, such as `path: /healthz`";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let path = path(path_node, faults);
    let mut span = |name, default| fields.duration(name, faults).unwrap_or(default);
    let (interval, timeout) = (
        span("interval", HEALTH_INTERVAL_DEFAULT),
        span("timeout", HEALTH_TIMEOUT_DEFAULT),
    );
    let failures = fields.count("failures", faults);
    Some(HealthCheck {
        path: path?,
        interval,
        timeout,
        failures: failures.unwrap_or(HEALTH_FAILURES_DEFAULT),
    })
}
