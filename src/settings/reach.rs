//! Where an upstream is, and how it is reached: addresses, TLS, HTTP/2, health.

use std::path::PathBuf;
use std::time::Duration;

use super::load::{Reader, count};
use super::upstream::path;
use super::{
    HEALTH_FAILURES_DEFAULT, HEALTH_INTERVAL_DEFAULT, HEALTH_TIMEOUT_DEFAULT, HealthCheck,
    UpstreamAddress, UpstreamTls,
};
use crate::words::{Fault, Faults};
use crate::yaml::{Fields, Node, Value, quoted};

/// Most addresses of one upstream, whether they are listed or a name stands for them. Beyond it an
/// answer of the name service is a mistake or an attack, and each address costs a series of metrics.
pub const ADDRESSES_MAX: usize = 64;

const TLS_KEYS: &[&str] = &["roots", "certificate", "key", "server_name"];
const HEALTH_KEYS: &[&str] = &["path", "interval", "timeout", "failures"];

/// Shortest interval of health checks: less is a load of its own.
const INTERVAL_LEAST: Duration = Duration::from_millis(100);
/// Longest interval of health checks: more is no check.
const INTERVAL_MOST: Duration = Duration::from_secs(60 * 60);
/// More failures in a row than anybody waits for.
const FAILURES_LIMIT: u64 = 100;

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
        None => usual_port,
    };
    if host.is_empty() {
        return Err("expected `http://HOST:PORT`");
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
    let fields = Fields::of(node, "`tls`", TLS_KEYS, &[], faults)?;
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
    let fields = Fields::of(node, "`health`", HEALTH_KEYS, &[], faults)?;
    let Some(path_node) = fields.get("path") else {
        let message = "`health` has no `path`, such as `path: /healthz`";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let path = path(path_node, faults);
    let mut span = |name, default| {
        let node = fields.get(name);
        node.and_then(|node| node.duration(INTERVAL_LEAST, INTERVAL_MOST, faults))
            .unwrap_or(default)
    };
    let (interval, timeout) = (
        span("interval", HEALTH_INTERVAL_DEFAULT),
        span("timeout", HEALTH_TIMEOUT_DEFAULT),
    );
    let failures = count(fields.get("failures"), FAILURES_LIMIT, faults);
    Some(HealthCheck {
        path: path?,
        interval,
        timeout,
        failures: failures.unwrap_or(HEALTH_FAILURES_DEFAULT),
    })
}
