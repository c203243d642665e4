//! An HTTP/1.1 connection to an upstream as most requests need it: a request without a body, and an
//! answer of a stated length.
//!
//! The HTTP library runs a connection in a task of its own, and hands request and answer through two
//! channels; that is a third of what a request costs. Here whoever waits for the answer reads it. To
//! be quick and not to be a second opinion, this understands one kind of answer only, about which
//! no two readers differ: final, HTTP/1.1, with its usual reason, one `Content-Length`, no coding, and
//! nothing asked of the connection but to stay. Whatever else comes is [`Said::Other`]: the connection
//! and all that was read go to the library (see `wire`), which reads the answer from its first byte.
//!
//! Not here: requests with a body, which the library sends from the start; what an answer means.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use httparse::{ParserConfig, Status};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use super::link::Link;

/// Most fields of an answer read here; the library reads more.
const FIELDS_MAX: usize = 64;

/// Most bytes of an answer's head read here; the library reads more.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Room for an answer's head, and a small body behind it.
const ROOM: usize = 8 * 1024;

/// Room for a part of a larger body. As much as is read of other connections at a time.
const ROOM_OF_BODY: usize = 16 * 1024 - 1;

/// Most digits of a length: no body is longer than 18 of them can say.
const LENGTH_DIGITS_MAX: usize = 18;

/// A connection that carries one request at a time.
pub(super) struct Plain {
    io: Link,
    /// What was read and belongs to nobody yet.
    read: BytesMut,
    /// The head of the request, and how much of it went out.
    head: Vec<u8>,
    written: usize,
    /// Whether a byte has come since the last request.
    heard: bool,
}

/// What came in answer to a request.
#[derive(Debug)]
pub(in crate::forward) enum Said {
    /// An answer.
    Answer(Response<Measured>),
    /// Something that is for the library to read.
    Other,
}

/// The body of an answer with a stated length.
#[derive(Debug)]
pub(in crate::forward) struct Measured {
    /// What came with the head.
    ahead: Bytes,
    /// Bytes behind that.
    left: u64,
    /// Whether it has been found that they do not come.
    broken: bool,
}

impl Plain {
    /// Speaks HTTP/1.1 on `link`.
    pub(super) fn new(io: Link) -> Self {
        Self {
            io,
            read: BytesMut::new(),
            head: Vec::new(),
            written: 0,
            heard: false,
        }
    }

    /// Sends a request without a body, whose head `encode` writes, and waits for the answer.
    ///
    /// # Errors
    ///
    /// What the system says, or that the upstream closed the connection before it had answered.
    pub(super) async fn ask(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<Said> {
        self.heard = false;
        self.written = 0;
        self.head.clear();
        encode(&mut self.head);
        std::future::poll_fn(|cx| self.poll_write(cx)).await?;
        loop {
            if std::future::poll_fn(|cx| self.poll_more(cx, ROOM)).await? == 0 {
                return Err(early_end());
            }
            self.heard = true;
            match answer(&mut self.read) {
                Some(said) => return Ok(said),
                None if self.read.len() >= HEAD_BYTES_MAX => return Ok(Said::Other),
                None => {}
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.head.get(self.written..) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Reads on: how many bytes came, none if there will be no more.
    fn poll_more(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        self.read.reserve(room);
        pin!(self.io.read_buf(&mut self.read)).poll(cx)
    }

    /// The next part of the body of its last answer; none behind the last one.
    ///
    /// # Errors
    ///
    /// What the system says, or that the upstream closed the connection before the end.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Measured,
    ) -> Poll<io::Result<Option<Bytes>>> {
        if let Some(ahead) = body.take_ahead() {
            return Poll::Ready(Ok(Some(ahead)));
        }
        if body.left == 0 {
            return Poll::Ready(Ok(None));
        }
        let room = usize::try_from(body.left).unwrap_or(usize::MAX);
        let more = ready!(self.poll_more(cx, room.min(ROOM_OF_BODY)));
        if let Ok(1..) = more {
            return Poll::Ready(Ok(Some(body.cut(&mut self.read))));
        }
        if !std::mem::replace(&mut body.broken, true) {
            // Told a turn later, and it will be the same then: what came before goes out first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(more.and(Err(early_end())))
    }

    /// Whether a byte of an answer has come.
    pub(super) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Whether a byte of the last request went out.
    pub(super) fn has_said(&self) -> bool {
        self.written > 0
    }

    /// Whether it can carry another request: it is open, and nothing came that nobody asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let mut cx = Context::from_waker(Waker::noop());
        self.read.is_empty()
            && Pin::new(&mut self.io)
                .poll_read(&mut cx, &mut ReadBuf::uninit(&mut byte))
                .is_pending()
    }

    /// Takes the connection, and what was read of it.
    pub(super) fn take(self) -> (Link, Bytes) {
        (self.io, self.read.freeze())
    }
}

/// What is said of a connection that ended before its answer did: the words of the library.
fn early_end() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "connection closed before message completed",
    )
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

impl Measured {
    /// Bytes that are still to come.
    pub(in crate::forward) fn left(&self) -> u64 {
        u64::try_from(self.ahead.len()).map_or(u64::MAX, |ahead| self.left.saturating_add(ahead))
    }

    /// What came with the head, if that was not taken yet.
    fn take_ahead(&mut self) -> Option<Bytes> {
        (!self.ahead.is_empty()).then(|| std::mem::take(&mut self.ahead))
    }

    /// As much of what was read as belongs to it.
    fn cut(&mut self, read: &mut BytesMut) -> Bytes {
        let here = usize::try_from(self.left).map_or(read.len(), |left| left.min(read.len()));
        self.left = self
            .left
            .saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        read.split_to(here).freeze()
    }
}

/// Where a field stands in what was read: its name from and to, its value from and to.
type Place = [usize; 4];

/// The answer that `read` begins with, which is taken out if it is of the kind read here; nothing if
/// its head is not whole.
fn answer(read: &mut BytesMut) -> Option<Said> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut head, read, &mut room);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return None,
        Err(_) => return Some(Said::Other),
    };
    let Some(status) = usual(&head) else {
        return Some(Said::Other);
    };
    let begin = read.as_ptr().addr();
    let place = |part: &[u8]| {
        let from = part.as_ptr().addr() - begin;
        (from, from + part.len())
    };
    let fields: SmallVec<[Place; 16]> = head
        .headers
        .iter()
        .map(|field| {
            let (name, value) = (place(field.name.as_bytes()), place(field.value));
            [name.0, name.1, value.0, value.1]
        })
        .collect();
    let Some((headers, stated)) = headers(read, length, &fields) else {
        return Some(Said::Other);
    };
    let mut body = Measured {
        ahead: Bytes::new(),
        left: stated,
        broken: false,
    };
    body.ahead = body.cut(read);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Some(Said::Answer(response))
}

/// The status of an answer that is final, may have a body, and says what it is in the usual words.
fn usual(head: &httparse::Response<'_, '_>) -> Option<StatusCode> {
    let status = StatusCode::from_u16(head.code?).ok()?;
    let is_bodiless = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    let is_usual = head.version == Some(1) && head.reason == status.canonical_reason();
    (is_usual && !status.is_informational() && !is_bodiless).then_some(status)
}

/// The fields of the head that is `length` bytes of `read`, which it is taken out of, and the length
/// of the body; nothing, and nothing taken, if any of them asks for more than to be handed on.
fn headers(read: &mut BytesMut, length: usize, fields: &[Place]) -> Option<(HeaderMap, u64)> {
    let mut stated = None;
    let mut names: SmallVec<[HeaderName; 16]> = SmallVec::new();
    for [from, to, value_from, value_to] in fields {
        let name = HeaderName::from_bytes(read.get(*from..*to)?).ok()?;
        let value = read.get(*value_from..*value_to)?;
        if !value.iter().all(may_stand) {
            return None;
        }
        match name {
            CONTENT_LENGTH if stated.is_some() => return None,
            CONTENT_LENGTH => stated = Some(number(value)?),
            TRANSFER_ENCODING | UPGRADE => return None,
            CONNECTION if !value.eq_ignore_ascii_case(b"keep-alive") => return None,
            _ => {}
        }
        names.push(name);
    }
    let stated = stated?;
    let head = read.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(names.len());
    for (name, [_, _, from, to]) in names.into_iter().zip(fields) {
        let value = HeaderValue::from_maybe_shared(head.slice(*from..*to));
        headers.append(name, value.expect("each of its bytes may stand in a value"));
    }
    Some((headers, stated))
}

/// Whether a byte may stand in a field's value (RFC 9110 §5.5).
fn may_stand(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}

/// A length: digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = text.len() <= LENGTH_DIGITS_MAX && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
