//! The upstream's end of an HTTP/2 connection, frame by frame: it obeys only where a test says so.

use std::time::{Duration, Instant};

use fluke_hpack::Decoder;

use crate::harness::{Client, PATIENCE};

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const ACK: u8 = 1;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;

/// `MAX_CONCURRENT_STREAMS`.
pub(super) const STREAMS: u16 = 3;
/// `INITIAL_WINDOW_SIZE`.
pub(super) const WINDOW: u16 = 4;

/// One frame.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) stream: u32,
    pub(super) fields: Vec<(String, String)>,
    pub(super) ended: bool,
}

impl Asked {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The upstream's end of a connection.
pub(super) struct Peer {
    client: Client,
    pending: Vec<u8>,
    decoder: Decoder<'static>,
}

impl Peer {
    /// Takes the preface and greets with these settings.
    pub(super) fn greet(client: Client, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self {
            client,
            pending: Vec::new(),
            decoder: Decoder::new(),
        };
        assert_eq!(peer.exactly(PREFACE.len()).as_deref(), Some(PREFACE));
        peer.settings(settings);
        peer
    }

    pub(super) fn settings(&mut self, settings: &[(u16, u32)]) {
        let pair = |(name, value): &(u16, u32)| {
            [name.to_be_bytes().as_slice(), &value.to_be_bytes()].concat()
        };
        let payload: Vec<u8> = settings.iter().flat_map(pair).collect();
        self.send(SETTINGS, 0, 0, &payload);
    }

    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [
            &length[1..],
            &[kind, flags],
            stream.to_be_bytes().as_slice(),
        ]
        .concat();
        self.client.send([head.as_slice(), payload].concat());
    }

    /// The next frame that is not the connection's own business, settings and pings answered.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any_frame()?;
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]),
                (PING, 0) => self.send(PING, ACK, 0, &frame.payload),
                (SETTINGS | PING | WINDOW_UPDATE, _) => {}
                _ => return Some(frame),
            }
        }
    }

    pub(super) fn any_frame(&mut self) -> Option<Frame> {
        let head = self.exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.exactly(length as usize)?,
        })
    }

    /// The next request's head.
    pub(super) fn asked(&mut self) -> Asked {
        let frame = self.frame().expect("a request comes");
        assert_eq!(
            (frame.kind, frame.flags & END_HEADERS),
            (HEADERS, END_HEADERS)
        );
        let fields = self.decoder.decode(&frame.payload).expect("sound fields");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("fields are text");
        Asked {
            stream: frame.stream,
            fields: fields
                .into_iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            ended: frame.flags & END_STREAM != 0,
        }
    }

    /// `200` and this body.
    pub(super) fn answer(&mut self, stream: u32, body: &str) {
        self.send(HEADERS, END_HEADERS, stream, &[0x88]);
        self.send(DATA, END_STREAM, stream, body.as_bytes());
    }

    pub(super) fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    pub(super) fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload);
    }

    /// Whether the gateway says nothing for this long, but for the connection's own business.
    pub(super) fn is_left_alone_for(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        self.pending.is_empty() && {
            let left = until.saturating_duration_since(Instant::now());
            !self.client.ends_within(left) && !self.client.has_bytes()
        }
    }

    /// Waits for the end of the connection.
    pub(super) fn ends(&mut self) {
        while self.frame().is_some() {}
    }

    fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        while self.pending.len() < count {
            let more = self.client.bytes(1);
            if more.is_empty() || until < Instant::now() {
                return None;
            }
            self.pending.extend(more);
        }
        Some(self.pending.drain(..count).collect())
    }
}
