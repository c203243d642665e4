//! Frames of HTTP/2 (RFC 9113 §4, §6), written and read by hand: what no client library would send
//! is what has to be shown.

use fluke_hpack::Decoder;
use fluke_hpack::encoder::encode_integer;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// The code of a stream that its opener has no more use for.
pub(super) const CANCEL: u32 = 8;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Largest frame either side may send unless told otherwise, in bytes.
const FRAME_BYTES_MAX: usize = 16_384;

/// Codes of errors, by their number.
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// The name of an error's code.
pub(super) fn code(number: u32) -> String {
    let name = usize::try_from(number)
        .ok()
        .and_then(|number| CODES.get(number));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// A frame, whatever is wrong with it.
    pub(super) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame of a test is small");
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The first frame in `pending`, which it is taken from.
    pub(super) fn take(pending: &mut Vec<u8>) -> Option<Self> {
        let head: [u8; 9] = pending.get(..9)?.try_into().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let end = 9 + usize::try_from(length).expect("24 bits");
        let payload = pending.get(9..end)?.to_vec();
        pending.drain(..end);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some(Self {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// The 32 bits that start at `at`.
    pub(super) fn number(&self, at: usize) -> u32 {
        let four = self
            .payload
            .get(at..at + 4)
            .and_then(|four| four.try_into().ok());
        four.map_or(0, u32::from_be_bytes)
    }

    /// The block of fields in a HEADERS frame, without padding and priority.
    pub(super) fn block(&self) -> &[u8] {
        let mut block = self.payload.as_slice();
        if self.flags & 8 != 0 {
            let padding = usize::from(block[0]);
            block = &block[1..block.len() - padding];
        }
        if self.flags & 0x20 != 0 {
            block = &block[5..];
        }
        block
    }
}

/// A block of fields, as few frames as it takes.
pub(super) fn section(stream: u32, block: &[u8], end_stream: bool) -> Vec<u8> {
    let mut parts = block.chunks(FRAME_BYTES_MAX).peekable();
    let mut bytes = Vec::new();
    let mut kind = HEADERS;
    let mut flags = if end_stream { END_STREAM } else { 0 };
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            flags |= END_HEADERS;
        }
        bytes.extend(Frame::new(kind, flags, stream, part).bytes());
        (kind, flags) = (CONTINUATION, 0);
    }
    bytes
}

/// A block of fields, each a literal that is not to be remembered (RFC 7541 §6.2.2).
pub(super) fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(encode_integer(text.len(), 7));
            block.extend(text);
        }
    }
    block
}

/// The fields of a block.
pub(super) fn fields(decoder: &mut Decoder<'_>, block: &[u8]) -> Vec<(String, String)> {
    let fields = decoder
        .decode(block)
        .expect("the gateway's blocks are sound");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    fields
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[test]
fn a_frame_is_read_as_it_is_written() {
    let frame = Frame::new(
        HEADERS,
        END_HEADERS,
        1,
        block(&[(b":status".to_vec(), b"200".to_vec())]),
    );
    let mut bytes = frame.bytes();
    bytes.push(7);
    assert_eq!(Frame::take(&mut bytes), Some(frame.clone()));
    assert_eq!((Frame::take(&mut bytes), bytes.len()), (None, 1));
    let read = fields(&mut Decoder::new(), frame.block());
    assert_eq!(read, [(":status".to_owned(), "200".to_owned())]);
}
