//! Trailers: fields behind a body, and who may say what there.
//!
//! A reader that merges trailers into the header section takes them for headers nobody decided on.
//! So a request's trailers stop here, but for names its route lists; and what comes back from an
//! upstream passes, but for names that frame the message, route it, carry a credential or are ours.
//! A client is sent trailers only if it can take them (RFC 9110 §6.5.1).

use std::rc::Rc;

use http::header::{CONTENT_TYPE, TE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::proxy_status;
use crate::head::tokens;
use crate::words::fields::may_be_trailer;

/// The trailers of gRPC over HTTP/2, which never announces them.
const GRPC: HeaderValue =
    HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");

/// Which trailers pass.
#[derive(Clone, Debug, Default)]
pub enum Trailers {
    /// None.
    #[default]
    Stop,
    /// These.
    Listed(Rc<[HeaderName]>),
    /// All but those that may stand in no trailer section.
    Pass,
}

impl Trailers {
    /// Those of a request on a route that lists `names`.
    pub fn listed(names: &[HeaderName]) -> Self {
        if names.is_empty() {
            return Self::Stop;
        }
        Self::Listed(names.into())
    }

    /// Those of an answer to a client that sent this.
    pub fn for_client(version: Version, headers: &HeaderMap) -> Self {
        match version {
            Version::HTTP_2 => Self::Pass,
            Version::HTTP_11 if takes(headers) => Self::Pass,
            _ => Self::Stop,
        }
    }

    /// Those of `trailers` that pass; nothing if none is left.
    pub fn admit(&self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        let passes = |name: &HeaderName| match self {
            Self::Stop => false,
            Self::Listed(names) => names.contains(name) && may_be_trailer(name.as_str()),
            Self::Pass => may_be_trailer(name.as_str()),
        };
        let doomed: Vec<_> = trailers
            .keys()
            .filter(|name| !passes(name))
            .cloned()
            .collect();
        for name in doomed {
            trailers.remove(name);
        }
        proxy_status::strip(&mut trailers);
        (!trailers.is_empty()).then_some(trailers)
    }

    /// What is announced in the head of a request whose trailers these are.
    pub fn announcement(&self) -> Option<HeaderValue> {
        match self {
            Self::Listed(names) => announce(names.iter().map(HeaderName::as_str)),
            Self::Stop | Self::Pass => None,
        }
    }

    /// What is announced in the head of an answer: what its upstream announced, as far as it passes,
    /// or what gRPC has without announcing it. HTTP/1.1 sends no trailer that was not announced.
    pub fn announced(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let Self::Pass = self else {
            return None;
        };
        let names: Vec<_> = headers
            .get_all(TRAILER)
            .iter()
            .flat_map(tokens)
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            .filter(|name| may_be_trailer(name.as_str()))
            .collect();
        if names.is_empty() && is_grpc(headers) {
            return Some(GRPC);
        }
        announce(names.iter().map(HeaderName::as_str))
    }
}

/// Whether a client says that it can take trailers.
pub(super) fn takes(headers: &HeaderMap) -> bool {
    let says =
        |value: &HeaderValue| tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
    headers.get_all(TE).iter().any(says)
}

fn announce<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    (!text.is_empty())
        .then(|| HeaderValue::from_str(&text).expect("header names are visible ASCII"))
}

/// Whether a message is of a gRPC call.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let grpc = |value: &HeaderValue| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
    };
    headers.get(CONTENT_TYPE).is_some_and(grpc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(names: &[&str]) -> HeaderMap {
        let name = |name: &&str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_static("x");
        names
            .iter()
            .map(|text| (name(text), value.clone()))
            .collect()
    }

    fn names(admitted: Option<HeaderMap>) -> Vec<String> {
        let admitted = admitted.unwrap_or_default();
        admitted.keys().map(ToString::to_string).collect()
    }

    /// B42: whatever a route lists, a trailer never frames, routes, vouches or speaks for us.
    #[test]
    fn no_list_admits_what_belongs_in_front_of_a_body() {
        let hostile = [
            "authorization",
            "content-length",
            "host",
            "transfer-encoding",
            "te",
            "trailer",
            "cookie",
            "x-api-key",
            "x-portcullis-account",
            "x_portcullis_account",
            "x-forwarded-for",
            "x-request-id",
            "set-cookie",
            "connection",
        ];
        let listed = Trailers::listed(&trailers(&hostile).keys().cloned().collect::<Vec<_>>());
        for rule in [listed, Trailers::Pass, Trailers::Stop] {
            assert_eq!(names(rule.admit(trailers(&hostile))), [""; 0], "{rule:?}");
        }
    }

    #[test]
    fn a_request_brings_only_what_its_route_lists() {
        let listed = Trailers::listed(&[HeaderName::from_static("x-checksum")]);
        assert_eq!(
            names(listed.admit(trailers(&["x-checksum", "x-other"]))),
            ["x-checksum"]
        );
        assert_eq!(listed.announcement().unwrap(), "x-checksum");
        assert!(
            Trailers::listed(&[])
                .admit(trailers(&["x-checksum"]))
                .is_none()
        );
    }

    #[test]
    fn a_client_is_sent_trailers_if_it_can_take_them() {
        let te = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TE, HeaderValue::from_static(value));
            headers
        };
        let takes = |version, headers: &HeaderMap| {
            matches!(Trailers::for_client(version, headers), Trailers::Pass)
        };
        assert!(takes(Version::HTTP_2, &HeaderMap::new()));
        assert!(takes(Version::HTTP_11, &te("trailers")));
        assert!(takes(Version::HTTP_11, &te("gzip, Trailers")));
        assert!(!takes(Version::HTTP_11, &te("gzip")));
        assert!(!takes(Version::HTTP_10, &te("trailers")));
    }

    #[test]
    fn an_answer_announces_what_will_pass() {
        let mut headers = HeaderMap::new();
        headers.insert(
            TRAILER,
            HeaderValue::from_static("X-Sum, Content-Length, x-portcullis-a"),
        );
        assert_eq!(Trailers::Pass.announced(&headers).unwrap(), "x-sum");
        assert_eq!(Trailers::Stop.announced(&headers), None);
        let mut grpc = HeaderMap::new();
        grpc.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/grpc+proto"),
        );
        assert_eq!(Trailers::Pass.announced(&grpc).unwrap(), GRPC);
        assert_eq!(Trailers::Pass.announced(&HeaderMap::new()), None);
    }
}
