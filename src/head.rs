//! What HTTP itself asks of a request's head, before any rule of a policy does.
//!
//! The parser below accepts more than a gateway may: request targets of every form, a `Host` that
//! is missing or stands twice, transfer codings nobody decodes. Whatever a second parser behind us
//! could read another way is refused here, once, for every request.
//!
//! Not here: the path (see `request`), and what is sent on, which is rebuilt from parts (see
//! `forward`).

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Version};

use crate::decision::Denial;
use crate::reason::Reason;
use crate::words::Method;

/// What a head says, once it is fit to be looked at.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The host asked for, without its port; empty if the client sent an empty `Host`.
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

/// Checks a head.
///
/// # Errors
///
/// A [`Denial`] with `request_malformed`, `method_unknown`, `target_too_long`,
/// `transfer_coding_unknown` or `expectation_failed`.
pub fn check(parts: &Parts, target_bytes_max: usize) -> Result<Head<'_>, Box<Denial>> {
    let malformed = |hint| Box::new(Denial::because(Reason::RequestMalformed, hint));
    let method =
        Method::parse(parts.method.as_str()).ok_or_else(|| refusal(Reason::MethodUnknown))?;
    let path_and_query = origin_form(parts).map_err(malformed)?;
    if path_and_query.as_str().len() > target_bytes_max {
        return Err(refusal(Reason::TargetTooLong));
    }
    let host = host(parts).map_err(malformed)?;
    framing(&parts.headers, parts.version)?;
    connection(&parts.headers).map_err(malformed)?;
    expectation(&parts.headers, parts.version)?;
    Ok(Head {
        method,
        host,
        path_and_query,
    })
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
    match uri.path_and_query() {
        Some(path_and_query) if path_and_query.path().starts_with('/') => {
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

/// The host asked for, as the client wrote it: that of an absolute target, else `Host`. What is
/// sent on and logged must be what [`check`] looked at, and nothing else a head says besides.
pub fn stated_host(parts: &Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => parts.headers.get(HOST).cloned(),
    }
}

fn without_port(authority: &str) -> Result<&str, &'static str> {
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
    let Some(value) = values.next().filter(|_| version == Version::HTTP_11) else {
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
mod tests {
    use super::*;

    /// Host and target, or what was wrong.
    fn verdict(
        request: http::request::Builder,
    ) -> Result<(String, String), (Reason, Option<&'static str>)> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let head = check(&parts, 16 * 1024).map_err(|denial| (denial.reason, denial.hint))?;
        Ok((head.host.to_owned(), head.path_and_query.to_string()))
    }

    fn get(target: &str) -> http::request::Builder {
        http::Request::builder()
            .uri(target)
            .header("host", "a.example")
    }

    /// A25, A27, A28.
    #[test]
    fn only_a_path_or_an_http_uri_is_a_target() {
        for bad in [
            "admin",
            "admin:443",
            "*",
            "ftp://a/x",
            "a://a/x",
            "http://u@a/x",
        ] {
            assert_eq!(
                verdict(get(bad)).unwrap_err().0,
                Reason::RequestMalformed,
                "{bad}"
            );
        }
        assert_eq!(verdict(get("/a?b")).unwrap().1, "/a?b");
        assert_eq!(verdict(get("http://a")).unwrap().1, "/");
    }

    /// A24: the host of an absolute target wins.
    #[test]
    fn the_targets_host_wins() {
        assert_eq!(
            verdict(get("http://b.example:80/x")).unwrap().0,
            "b.example"
        );
        assert_eq!(verdict(get("/x")).unwrap().0, "a.example");
    }

    /// B17.
    #[test]
    fn a_host_is_one_host() {
        let with = |host: &str| {
            verdict(http::Request::builder().uri("/").header("host", host)).map(|head| head.0)
        };
        for bad in [
            "a,b", "u@a", "a/b", "a b", "[::1", "a:99999", "a:b", "a:1:2", "[x]", "a%41",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
        assert_eq!(with("[::1]:80").unwrap(), "[::1]");
        assert_eq!(with("A.example:").unwrap(), "A.example");
        assert!(verdict(http::Request::builder().uri("/")).is_err());
        assert!(verdict(get("/").header("host", "a.example")).is_err());
    }

    /// A29–A31.
    #[test]
    fn unknown_methods_are_not_implemented() {
        for method in ["CONNECT", "TRACE", "TRACK", "get", "FOO", "G!#$%"] {
            let reason = verdict(get("/").method(method)).unwrap_err().0;
            assert_eq!(reason, Reason::MethodUnknown, "{method}");
        }
    }

    #[test]
    fn the_only_coding_is_chunked() {
        let with = |coding: &str| {
            verdict(get("/").header("transfer-encoding", coding))
                .map(|_| ())
                .map_err(|e| e.0)
        };
        assert_eq!(with("Chunked"), Ok(()));
        assert_eq!(with("gzip, chunked"), Err(Reason::TransferCodingUnknown));
        assert_eq!(with("identity"), Err(Reason::TransferCodingUnknown));
        assert_eq!(with("chunked, chunked"), Err(Reason::RequestMalformed));
        assert_eq!(with(", chunked"), Err(Reason::RequestMalformed));
    }

    /// B41.
    #[test]
    fn connection_names_nothing_end_to_end() {
        for name in ["Host", "Authorization", "content-length", "close, Cookie"] {
            assert!(
                verdict(get("/").header("connection", name)).is_err(),
                "{name}"
            );
        }
        assert!(verdict(get("/").header("connection", "close, X-Foo")).is_ok());
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        assert!(verdict(get("/").header("expect", "100-Continue")).is_ok());
        let reason = verdict(get("/").header("expect", "magic")).unwrap_err().0;
        assert_eq!(reason, Reason::ExpectationFailed);
    }

    /// A41.
    #[test]
    fn a_long_target_is_too_long() {
        let at = |length: usize| verdict(get(&format!("/{}", "a".repeat(length - 1))));
        assert!(at(16 * 1024).is_ok());
        assert_eq!(at(16 * 1024 + 1).unwrap_err().0, Reason::TargetTooLong);
    }
}
