//! The message for an upstream, before it is written: one list of fields, whoever writes it.
//!
//! What the upstream is sent is built from typed parts: our own request line with the path that was
//! decided on, one `Host`, the headers of the client that may pass, and then ours. The client's head
//! is only looked at, so that a request which has to be sent again is written again from the same
//! parts, and the common one is written once, into the connection's own buffer.
//!
//! Not here: which headers may pass (see `headers`), and the body.

use http::header::{HOST, TE, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::body::Upload;
use super::headers::{self, Outbound, Surgery};

/// `TE` of a request whose client takes trailers: for one hop only, and gRPC does not work without it
/// on the next one.
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// A message that is about to be written.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// The head as the client sent it.
    pub(super) parts: &'a Parts,
    /// What becomes of its fields.
    pub(super) surgery: Surgery<'a>,
    /// Path and query that were decided on.
    pub(super) target: &'a http::uri::PathAndQuery,
    /// The `Host` the upstream is asked for.
    pub(super) host: &'a HeaderValue,
    /// What we add to the hops.
    pub(super) via: &'a HeaderValue,
    /// Whether it says that its client takes trailers.
    pub(super) takes_trailers: bool,
    /// How the end of the body is told, where the HTTP library would not tell it.
    pub(super) framing: Option<(HeaderName, HeaderValue)>,
    /// The trailers that may follow.
    pub(super) announcement: Option<(HeaderName, HeaderValue)>,
}

impl Draft<'_> {
    /// The method.
    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Each field the upstream is sent, in the order it stands there.
    fn fields(&self, mut put: impl FnMut(&HeaderName, Outbound<'_>)) {
        put(&HOST, Outbound::Value(self.host));
        headers::prepare(&self.parts.headers, &self.surgery, &mut put);
        put(&VIA, Outbound::Value(self.via));
        if self.takes_trailers {
            put(&TE, Outbound::Value(&TRAILERS));
        }
        for (name, value) in self.framing.iter().chain(&self.announcement) {
            put(name, Outbound::Value(value));
        }
    }

    /// Writes the head as HTTP/1.1 has it.
    pub(super) fn encode(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(self.method().as_str().as_bytes());
        head.push(b' ');
        head.extend_from_slice(self.target.as_str().as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        self.fields(|name, value| {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        });
        head.extend_from_slice(b"\r\n");
    }

    /// The message as the HTTP library takes it.
    pub(super) fn request(&self, body: Upload) -> Request<Upload> {
        let mut headers = HeaderMap::with_capacity(self.parts.headers.len() + headers::OURS_MAX);
        self.fields(|name, value| {
            headers.append(name.clone(), value.to_value());
        });
        let mut request = Request::new(body);
        *request.method_mut() = self.method().clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        request
    }
}
