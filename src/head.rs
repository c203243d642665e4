//! What HTTP itself asks of a request's head, before any rule of a policy does.
//!
//! The parser below accepts more than a gateway may: request targets of every form, a `Host` that
//! is missing or stands twice, transfer codings nobody decodes. Whatever a second parser behind us
//! could read another way is refused here, once, for every request.
//!
//! Not here: the path (see `request`), and what is sent on, which is rebuilt from parts (see
//! `forward`).

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Version};

use crate::decision::Denial;
use crate::reason::Reason;
use crate::settings::{Listener, ListenerLimits};
use crate::words::Method;

/// What a head says, once it is fit to be looked at.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The host asked for, without its port.
    pub host: &'a str,
    /// Path and query as sent.
    pub path_and_query: PathAndQuery,
}

/// Fields that are never for one hop only: a `Connection` header that names one of them asks for a
/// disagreement (RFC 9110 §7.6.1).
const END_TO_END: [&str; 6] = [
    "host",
    "authorization",
    "content-length",
    "transfer-encoding",
    "cookie",
    "x-api-key",
];

/// What the listener a head came in by asks of it.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// Its limits.
    pub limits: &'a ListenerLimits,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether the client is a proxy that is believed.
    pub is_trusted: bool,
}

impl<'a> Entrance<'a> {
    /// That of `listener`, for a client that is a proxy it believes, or is not.
    pub fn of(listener: &'a Listener, is_trusted: bool) -> Self {
        Self {
            limits: &listener.limits,
            tls: listener.tls.is_some(),
            is_trusted,
        }
    }
}

/// Checks a head.
///
/// # Errors
///
/// A [`Denial`] with `request_malformed`, `method_unknown`, `target_too_long`, `headers_too_large`,
/// `transfer_coding_unknown` or `expectation_failed`.
pub fn check<'a>(parts: &'a Parts, entrance: Entrance<'_>) -> Result<Head<'a>, Box<Denial>> {
    let malformed = |hint| Box::new(Denial::because(Reason::RequestMalformed, hint));
    let is_http2 = parts.version == Version::HTTP_2;
    if is_http2 && !fits(&parts.headers, entrance.limits) {
        return Err(refusal(Reason::HeadersTooLarge));
    }
    let method =
        Method::parse(parts.method.as_str()).ok_or_else(|| refusal(Reason::MethodUnknown))?;
    let path_and_query = origin_form(parts).map_err(malformed)?;
    if path_and_query.as_str().len() > entrance.limits.target_bytes {
        return Err(refusal(Reason::TargetTooLong));
    }
    let host = if is_http2 {
        trimmed(&parts.headers).map_err(malformed)?;
        scheme(parts, entrance).map_err(malformed)?;
        authority(parts).map_err(malformed)?
    } else {
        host(parts).map_err(malformed)?
    };
    framing(&parts.headers, parts.version)?;
    connection(&parts.headers).map_err(malformed)?;
    expectation(&parts.headers, parts.version)?;
    Ok(Head {
        method,
        host,
        path_and_query,
    })
}

/// No white space around a value (RFC 9113 §8.2.1): a reader of HTTP/1.1 would take it off, and see
/// another value than we do.
fn trimmed(headers: &HeaderMap) -> Result<(), &'static str> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for value in headers.values() {
        let bytes = value.as_bytes();
        if is_space(bytes.first()) || is_space(bytes.last()) {
            return Err("a value begins or ends with white space");
        }
    }
    Ok(())
}

fn refusal(reason: Reason) -> Box<Denial> {
    Box::new(Denial::new(reason))
}

/// The target in origin form: as sent, or what is left of an absolute form.
fn origin_form(parts: &Parts) -> Result<PathAndQuery, &'static str> {
    let uri = &parts.uri;
    match (uri.scheme_str(), uri.authority()) {
        (None, Some(_)) => return Err("the request target has no leading slash"),
        (Some(scheme), Some(authority)) => {
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err("the request target is of a foreign scheme");
            }
            if authority.as_str().contains('@') {
                return Err("the request target holds a user");
            }
        }
        (None, None) | (Some(_), None) => {}
    }
    // An absolute form may leave its path out; HTTP/2 always states one (RFC 9113 §8.3.1), and
    // `http` takes one that is missing before a query for the root.
    let states_path = |path_and_query: &PathAndQuery| {
        parts.version != Version::HTTP_2 || path_and_query.as_str().starts_with('/')
    };
    match uri.path_and_query() {
        Some(path_and_query)
            if path_and_query.path().starts_with('/') && states_path(path_and_query) =>
        {
            Ok(path_and_query.clone())
        }
        None if uri.authority().is_some() => Ok(PathAndQuery::from_static("/")),
        _ => Err("the request target has no leading slash"),
    }
}

/// The host asked for. In an absolute form the target's wins over `Host` (RFC 9112 §3.2.2), which
/// has to be there and well formed all the same.
fn host(parts: &Parts) -> Result<&str, &'static str> {
    let mut values = parts.headers.get_all(HOST).iter();
    let stated = match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .map_err(|_| "the Host is not visible ASCII")?,
        (Some(_), Some(_)) => return Err("there are several Host headers"),
        (None, _) => return Err("there is no Host header"),
    };
    let stated = without_port(stated)?;
    parts
        .uri
        .authority()
        .map_or(Ok(stated), |authority| without_port(authority.as_str()))
}

/// The host asked for on HTTP/2, where `:authority` says it; a `Host` beside it has to say the same
/// (RFC 9113 §8.3.1).
fn authority(parts: &Parts) -> Result<&str, &'static str> {
    let Some(authority) = parts.uri.authority() else {
        return Err("there is no :authority");
    };
    let mut values = parts.headers.get_all(HOST).iter();
    let (stated, second) = (values.next(), values.next());
    if second.is_some() {
        return Err("there are several Host headers");
    }
    let is_same = |host: &HeaderValue| {
        host.as_bytes()
            .eq_ignore_ascii_case(authority.as_str().as_bytes())
    };
    if !stated.is_none_or(is_same) {
        return Err("the Host is not the :authority");
    }
    without_port(authority.as_str())
}

/// On HTTP/2 every request says its scheme: that of the listener, or what a trusted proxy was asked
/// by, which need not be how it asks us.
fn scheme(parts: &Parts, entrance: Entrance<'_>) -> Result<(), &'static str> {
    let own = if entrance.tls { "https" } else { "http" };
    match parts.uri.scheme_str() {
        Some(scheme) if scheme.eq_ignore_ascii_case(own) || entrance.is_trusted => Ok(()),
        Some(_) => Err("the :scheme is not the listener's"),
        // The library keeps no scheme without an authority, and that is refused for itself.
        None => Ok(()),
    }
}

/// Whether the fields of a request on HTTP/2 are within limits, as HTTP/2 counts them: decoded, and
/// each with 32 bytes (RFC 9113 §6.5.2), so that many empty ones cost as much as they take.
fn fits(headers: &HeaderMap, limits: &ListenerLimits) -> bool {
    const FIELD: usize = 32;
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    headers.len() <= limits.header_count && bytes.sum::<usize>() <= limits.http2.header_list_bytes
}

/// Joins the crumbs of `Cookie` that HTTP/2 allows into the one line that HTTP/1 has (RFC 9113
/// §8.2.3). They are counted one by one first: what is too much is left as it is, and refused.
pub fn join_cookies(headers: &mut HeaderMap, limits: &ListenerLimits) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.nth(1).is_none() || !fits(headers, limits) {
        return;
    }
    let crumbs: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(COOKIE, cookie);
    }
}

/// The host asked for, as the client wrote it: that of an absolute target, else `Host`. What is
/// sent on and logged must be what [`check`] looked at, and nothing else a head says besides.
pub fn stated_host(parts: &Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => parts.headers.get(HOST).cloned(),
    }
}

/// The host of a `Host` or an authority, without its port.
///
/// # Errors
///
/// When it is not a host and an optional port.
pub fn without_port(authority: &str) -> Result<&str, &'static str> {
    const BAD: &str = "the Host is not a host and an optional port";
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(BAD)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| BAD)?;
            (authority.get(..address.len() + 2).ok_or(BAD)?, port)
        }
        None => authority
            .find(':')
            .map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    if host.is_empty() {
        return Err("the Host is empty");
    }
    if !host.starts_with('[') && !host.bytes().all(|byte| plain(byte) && byte != b'%') {
        return Err(BAD);
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(host),
        Some("") => Ok(host),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() => {
            Ok(host)
        }
        _ => Err(BAD),
    }
}

/// One way to tell where the body ends, and only codings we decode.
fn framing(headers: &HeaderMap, version: Version) -> Result<(), Box<Denial>> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    let malformed = |hint| Err(Box::new(Denial::because(Reason::RequestMalformed, hint)));
    if codings.next().is_some() {
        return malformed("there are several Transfer-Encoding headers");
    }
    if version != Version::HTTP_11 {
        return malformed("Transfer-Encoding is for HTTP/1.1 only");
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return malformed("there are both Content-Length and Transfer-Encoding");
    }
    let text = coding.as_bytes();
    if text.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let other = |token: &[u8]| {
        let token = token.trim_ascii();
        !token.is_empty() && !token.eq_ignore_ascii_case(b"chunked")
    };
    if text.split(|byte| *byte == b',').any(other) {
        return Err(refusal(Reason::TransferCodingUnknown));
    }
    malformed("Transfer-Encoding is not exactly `chunked`")
}

fn connection(headers: &HeaderMap) -> Result<(), &'static str> {
    let names_end_to_end = |value: &HeaderValue| {
        tokens(value).any(|token| {
            END_TO_END
                .iter()
                .any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    if headers.get_all(CONNECTION).iter().any(names_end_to_end) {
        return Err("`Connection` names a header that is not for one hop only");
    }
    Ok(())
}

fn expectation(headers: &HeaderMap, version: Version) -> Result<(), Box<Denial>> {
    let mut values = headers.get_all(EXPECT).iter();
    let Some(value) = values.next().filter(|_| version >= Version::HTTP_11) else {
        return Ok(());
    };
    if values.next().is_none() && value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Ok(());
    }
    Err(refusal(Reason::ExpectationFailed))
}

/// The tokens of a comma-separated list, without the white space around them.
pub fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests;
