//! HTTP/2 frames, told apart and counted, and not read.
//!
//! The library answers every ping and takes every setting, priority and window for as long as they
//! come. Here the frames that move nothing forward are counted between two signs of progress, and a
//! connection that sends too many of them at once is told apart from one that works.

use std::time::Duration;

use tokio::time::Instant;

/// What the client sends first (RFC 9113 §3.4). Not a frame.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head: three of length, one of type, one of flags, four of its stream.
const HEAD: usize = 9;
/// Most bytes behind the head that are looked at: those up to the code of a `GOAWAY`.
const AHEAD: usize = 8;
/// Within this time the frames allowed in a row may be used up once: a client that asks every ten
/// seconds whether we are there does not add up over a day.
const SPAN: Duration = Duration::from_secs(10);

/// Frame types (RFC 9113 §6). `DATA`, if it holds any, and the two that hold fields, for which there
/// are limits of their own, are more than control; the last two say why they were sent.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const GOAWAY: u8 = 7;
/// The flag of the last frame of a stream, which has no more to say.
pub(super) const END_STREAM: u8 = 1;
/// The flag of the last part of a block of fields.
const END_HEADERS: u8 = 4;

/// More frames came than may, and nothing moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood;

/// What is looked at of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Bytes behind its head.
    length: usize,
    /// Why it was sent, if it is one of those that say so.
    pub(super) code: Option<u32>,
}

/// Tells frames apart in bytes that are cut anywhere.
#[derive(Debug)]
pub(super) struct Splitter {
    /// Bytes that are still to come of what needs no look: the preface, a frame's payload.
    skip: usize,
    /// What has come of a frame's head, and of what is looked at behind it.
    seen: [u8; HEAD + AHEAD],
    read: usize,
}

impl Splitter {
    /// Of bytes that begin with `skip` that are no frame.
    pub(super) fn behind(skip: usize) -> Self {
        Self {
            skip,
            seen: [0; HEAD + AHEAD],
            read: 0,
        }
    }

    /// The next frame of which everything has come that is looked at; `bytes` is what is left.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            *bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = self.wanted();
            let rest = self.seen.get_mut(self.read..wanted)?;
            let taken = rest.len().min(bytes.len());
            let (taken, later) = bytes.split_at(taken);
            for (slot, byte) in rest.iter_mut().zip(taken) {
                *slot = *byte;
            }
            self.read += taken.len();
            *bytes = later;
            if self.read < wanted {
                return None;
            }
            if self.read == self.wanted() {
                return Some(self.frame());
            }
        }
    }

    /// Bytes of the frame that is coming that are looked at, as far as is known.
    fn wanted(&self) -> usize {
        let ahead = match self.seen {
            _ if self.read < HEAD => 0,
            [_, _, _, RST_STREAM, ..] => 4,
            [_, _, _, GOAWAY, ..] => AHEAD,
            _ => 0,
        };
        HEAD + ahead.min(self.length())
    }

    fn length(&self) -> usize {
        let [a, b, c, ..] = self.seen;
        usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX)
    }

    fn frame(&mut self) -> Frame {
        let [_, _, _, kind, flags, a, b, c, d, ..] = self.seen;
        // Its first bit says nothing.
        let stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
        let length = self.length();
        self.skip = length.saturating_sub(self.read - HEAD);
        let code = (self.read > HEAD).then(|| {
            let end = self.seen.get(self.read.saturating_sub(4)..self.read);
            let end = end.and_then(|end| end.try_into().ok()).unwrap_or_default();
            u32::from_be_bytes(end)
        });
        self.read = 0;
        Frame {
            kind,
            flags,
            stream,
            length,
            code,
        }
    }
}

/// The frames a client sends on one connection.
#[derive(Debug)]
pub(super) struct Frames {
    splitter: Splitter,
    /// Whether a block of fields has begun and not ended.
    in_block: bool,
    /// Frames that may come in a row.
    allowed: u32,
    /// Frames that came since something moved.
    idle: u32,
    /// Since when they are counted.
    since: Instant,
    /// Streams that were reset, until somebody asks.
    resets: Vec<u32>,
}

impl Frames {
    /// A connection of which nothing has been read.
    pub(super) fn new(allowed: u32) -> Self {
        Self {
            splitter: Splitter::behind(PREFACE.len()),
            in_block: false,
            allowed,
            idle: 0,
            since: Instant::now(),
            resets: Vec::new(),
        }
    }

    /// Something moved: a request began, or a part of a body.
    pub(super) fn progress(&mut self) {
        self.idle = 0;
    }

    /// A stream that the client has reset.
    pub(super) fn reset(&mut self) -> Option<u32> {
        self.resets.pop()
    }

    /// Whether a part of something has come and the rest of it has not.
    pub(super) fn is_midway(&self) -> bool {
        let Splitter { skip, read, .. } = self.splitter;
        let nothing = skip == PREFACE.len() && read == 0;
        !nothing && (self.in_block || read > 0 || skip > 0)
    }

    /// Bytes came.
    pub(super) fn arrived(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while let Some(frame) = self.splitter.next(&mut bytes) {
            self.frame(frame)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<(), Flood> {
        if frame.kind == RST_STREAM {
            self.resets.push(frame.stream);
        }
        match frame.kind {
            DATA if frame.length > 0 => self.progress(),
            HEADERS | CONTINUATION => self.in_block = frame.flags & END_HEADERS == 0,
            _ => self.idle += 1,
        }
        if self.idle < self.allowed {
            return Ok(());
        }
        self.idle = 0;
        let before = std::mem::replace(&mut self.since, Instant::now());
        if before.elapsed() < SPAN {
            return Err(Flood);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of this type with so many bytes.
    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD + usize::from(length), kind);
        frame
    }

    fn connection(allowed: u32) -> Frames {
        let mut frames = Frames::new(allowed);
        assert_eq!(frames.arrived(PREFACE), Ok(()));
        frames
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_move_nothing_have_a_budget() {
        for (kind, length, flood) in [
            (0, 0, true),
            (0, 1, false),
            (1, 40, false),
            (2, 5, true),
            (3, 4, true),
            (4, 0, true),
            (6, 8, true),
            (8, 4, true),
            (9, 40, false),
            (200, 0, true),
        ] {
            let mut frames = connection(10);
            let bytes = frame(kind, length);
            let refused = (0..30).any(|_| frames.arrived(&bytes).is_err());
            assert_eq!(refused, flood, "type {kind} of {length} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_matter_how_the_bytes_are_cut() {
        let stream = [frame(6, 8), frame(0, 3), frame(4, 6)].concat();
        let stream = stream.repeat(9);
        for piece in 1..stream.len() {
            let mut frames = Frames::new(3);
            let all = [PREFACE.as_slice(), &stream].concat();
            let fits = all.chunks(piece).all(|bytes| frames.arrived(bytes).is_ok());
            assert!(fits && frames.idle == 1 && !frames.is_midway(), "{piece}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_block_of_fields_is_midway_and_a_whole_one_is_not() {
        let part = |kind: u8, flags: u8| [0, 0, 1, kind, flags, 0, 0, 0, 1, 0x82];
        for (bytes, expected) in [
            (vec![], false),
            (part(HEADERS, 4).to_vec(), false),
            (part(HEADERS, 0).to_vec(), true),
            ([part(HEADERS, 0), part(CONTINUATION, 0)].concat(), true),
            ([part(HEADERS, 0), part(CONTINUATION, 4)].concat(), false),
            (part(HEADERS, 4)[..9].to_vec(), true),
            (part(HEADERS, 4)[..3].to_vec(), true),
        ] {
            let mut frames = connection(10);
            assert_eq!(frames.arrived(&bytes), Ok(()));
            assert_eq!(frames.is_midway(), expected, "{bytes:?}");
        }
        let mut frames = Frames::new(10);
        assert!(!frames.is_midway(), "nothing has come");
        assert_eq!(frames.arrived(&PREFACE[..3]), Ok(()));
        assert!(frames.is_midway());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_and_time_give_the_budget_back() {
        let mut frames = connection(10);
        let ping = frame(6, 8);
        for _ in 0..100 {
            for _ in 0..9 {
                assert_eq!(frames.arrived(&ping), Ok(()));
            }
            frames.progress();
        }
        for _ in 0..1000 {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert_eq!(frames.arrived(&ping), Ok(()));
        }
    }
}
