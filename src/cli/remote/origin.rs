//! The URL of a server: a scheme, a host and perhaps a port, and nothing in which a secret could hide.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use thiserror::Error;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// Why a text is not the URL of a server. What stands there is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::cli) enum OriginError {
    /// It is no URL.
    #[error(
        "expected the URL of a server with its scheme, such as `https://gate.example.com:7081`"
    )]
    Form,
    /// It has a user or a password in it.
    #[error(
        "a URL with a user in it is a secret that every process can read: leave it out, and name a key with \
         `--key-file` or `portcullis login`"
    )]
    User,
    /// It goes on after the port.
    #[error("a server is named by scheme, host and port alone: leave out what follows them")]
    Path,
    /// A secret would be sent in the clear.
    #[error(
        "keys and tokens are not sent over plain `http`, except to this machine itself: use `https`, or a \
         tunnel to a port on `127.0.0.1`"
    )]
    Clear,
}

impl Origin {
    /// Whether it is asked over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host, an IPv6 address without its brackets.
    pub(in crate::cli) fn host(&self) -> &str {
        bare(&self.authority)
    }

    pub(super) fn port(&self) -> u16 {
        let usual = if self.is_secure() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }

    /// What stands in `Host`.
    pub(super) fn authority(&self) -> HeaderValue {
        let text = self.authority.as_str();
        HeaderValue::from_str(text).expect("an authority is visible ASCII")
    }
}

fn bare(authority: &Authority) -> &str {
    let host = authority.host();
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host)
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let uri: Uri = text.parse().map_err(|_| OriginError::Form)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(OriginError::Form);
        };
        if authority.as_str().contains('@') {
            return Err(OriginError::User);
        }
        let goes_on = |path: &http::uri::PathAndQuery| path.as_str() != "/";
        if parts.path_and_query.as_ref().is_some_and(goes_on) || text.contains('#') {
            return Err(OriginError::Path);
        }
        if (scheme != Scheme::HTTP && scheme != Scheme::HTTPS) || authority.host().is_empty() {
            return Err(OriginError::Form);
        }
        if scheme == Scheme::HTTP && !is_this_machine(bare(&authority)) {
            return Err(OriginError::Clear);
        }
        Ok(Self { scheme, authority })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_scheme_host_and_port() {
        for (text, shown, host, port) in [
            (
                "https://gate.example.com",
                "https://gate.example.com",
                "gate.example.com",
                443,
            ),
            ("https://gate:7081/", "https://gate:7081", "gate", 7081),
            (
                "http://127.0.0.1:7081",
                "http://127.0.0.1:7081",
                "127.0.0.1",
                7081,
            ),
            ("http://[::1]:7081", "http://[::1]:7081", "::1", 7081),
            ("http://localhost", "http://localhost", "localhost", 80),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), shown);
            assert_eq!((origin.host(), origin.port()), (host, port));
        }
    }

    #[test]
    fn what_would_leak_a_secret_is_refused_and_not_repeated() {
        for (text, error) in [
            ("gate.example.com", OriginError::Form),
            ("ftp://gate", OriginError::Form),
            ("", OriginError::Form),
            ("https://ci:hunter2@gate", OriginError::User),
            ("https://gate/api/v1", OriginError::Path),
            ("https://gate?token=hunter2", OriginError::Path),
            ("https://gate/#hunter2", OriginError::Path),
            ("http://gate.example.com", OriginError::Clear),
            ("http://10.0.0.7:7081", OriginError::Clear),
            ("http://127.0.0.1.evil.example", OriginError::Clear),
        ] {
            let refused = text.parse::<Origin>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }
}
