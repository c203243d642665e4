//! One HTTP/1.1 message as it stood on the wire, read leniently and without any library, so that
//! the tests do not share the gateway's own mistakes.

use std::fmt;

/// A request or a response.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Every byte of it.
    pub(crate) raw: Vec<u8>,
    /// Request line or status line.
    pub(crate) start: String,
    /// Names as they were written, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without chunks.
    pub(crate) body: Vec<u8>,
    /// The trailer section of a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
}

/// How the body of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No length, no body.
    Request,
    /// No length, everything until the end.
    Response,
    /// Never a body, whatever the length says.
    ResponseToHead,
}

impl Message {
    /// The first message in `bytes`, or nothing if more bytes are needed; `ended` says that none
    /// will come. What follows it starts at `raw.len()`.
    pub(crate) fn parse(bytes: &[u8], kind: Kind, ended: bool) -> Option<Self> {
        let (head, mut rest) = split_at_blank_line(bytes)?;
        let head = String::from_utf8_lossy(head);
        let (start, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mut message = Self {
            raw: Vec::new(),
            start: start.to_owned(),
            headers: fields_of(fields),
            body: Vec::new(),
            trailers: Vec::new(),
        };
        let bodiless = kind == Kind::ResponseToHead
            || kind == Kind::Response && matches!(message.status(), 100..=199 | 204 | 304);
        let length = message.header("content-length").map(str::parse::<usize>);
        let coding = message
            .header("transfer-encoding")
            .map(str::to_ascii_lowercase);
        if bodiless {
        } else if coding.is_some_and(|coding| coding.contains("chunked")) {
            (message.body, message.trailers, rest) = dechunk(rest)?;
        } else if let Some(length) = length {
            let (body, after) = rest.split_at_checked(length.ok()?)?;
            (message.body, rest) = (body.to_vec(), after);
        } else if kind == Kind::Response {
            if !ended {
                return None;
            }
            (message.body, rest) = (rest.to_vec(), &[]);
        }
        message.raw = bytes.strip_suffix(rest)?.to_vec();
        Some(message)
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).unwrap_or_default();
        status
            .parse()
            .unwrap_or_else(|_| panic!("`{}` is not a status line", self.start))
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request, as it was sent.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every header of this name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON ({error}): {self:?}"))
    }

    /// `reason` of a problem document; empty if there is none.
    pub(crate) fn reason(&self) -> String {
        let problem = self.header("content-type") == Some("application/problem+json");
        let reason = problem.then(|| self.json()["reason"].as_str().map(str::to_owned));
        reason.flatten().unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

fn split_at_blank_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end + 4..)?))
}

fn fields_of(lines: &str) -> Vec<(String, String)> {
    let lines = lines.split("\r\n").filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
        })
        .collect()
}

type Dechunked<'b> = (Vec<u8>, Vec<(String, String)>, &'b [u8]);

/// Body, trailers, and what follows; nothing if the last chunk is not there yet.
fn dechunk(mut rest: &[u8]) -> Option<Dechunked<'_>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            break;
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
    if let Some(after) = rest.strip_prefix(b"\r\n") {
        return Some((body, Vec::new(), after));
    }
    let (trailers, after) = split_at_blank_line(rest)?;
    Some((body, fields_of(&String::from_utf8_lossy(trailers)), after))
}

#[test]
fn a_message_is_read_whole_or_not_at_all() {
    let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: a\r\nx:  b \r\n\r\n\
                  3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\nrest";
    let message = Message::parse(whole, Kind::Response, false).expect("all of it is there");
    assert_eq!((message.status(), message.text()), (200, "abcde"));
    assert_eq!(message.all("X"), ["a", "b"]);
    assert_eq!(message.trailers, [("T".to_owned(), "v".to_owned())]);
    assert_eq!(message.raw.len(), whole.len() - "rest".len());
    for end in 0..message.raw.len() {
        let part = whole.get(..end).expect("a part of the whole");
        assert_eq!(Message::parse(part, Kind::Response, true), None, "{end}");
    }
}

#[test]
fn what_says_no_length_depends_on_who_says_it() {
    let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
    assert_eq!(Message::parse(bytes, Kind::Response, false), None);
    let body = |kind| Message::parse(bytes, kind, true).map(|message| message.body);
    assert_eq!(body(Kind::Response), Some(b"abc".to_vec()));
    assert_eq!(body(Kind::ResponseToHead), Some(Vec::new()));
    assert_eq!(body(Kind::Request), Some(Vec::new()));
}
