//! HTTP/2 frames, told apart and counted, and not read.
//!
//! The library answers every ping and takes every setting, priority and window for as long as they
//! come. Here the frames that move nothing forward are counted between two signs of progress, and a
//! connection that sends too many of them at once is told apart from one that works.

use std::time::Duration;

use tokio::time::Instant;

/// What the client sends first (RFC 9113 §3.4). Not a frame.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head: three of length, one of type, five we do not look at.
const HEAD: usize = 9;
/// Within this time the frames allowed in a row may be used up once: a client that asks every ten
/// seconds whether we are there does not add up over a day.
const SPAN: Duration = Duration::from_secs(10);

/// Frame types (RFC 9113 §6) that are more than control: `DATA`, if it holds any, and the two that
/// hold fields, for which there are limits of their own.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// More frames came than may, and nothing moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood;

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that are still to come of what needs no look: the preface, a frame's payload.
    skip: usize,
    /// What has come of a frame's head.
    head: [u8; HEAD],
    read: usize,
    /// Frames that may come in a row.
    allowed: u32,
    /// Frames that came since something moved.
    idle: u32,
    /// Since when they are counted.
    since: Instant,
}

impl Frames {
    /// A connection of which nothing has been read.
    pub(super) fn new(allowed: u32) -> Self {
        Self {
            skip: PREFACE.len(),
            head: [0; HEAD],
            read: 0,
            allowed,
            idle: 0,
            since: Instant::now(),
        }
    }

    /// Something moved: a request began, or a part of a body.
    pub(super) fn progress(&mut self) {
        self.idle = 0;
    }

    /// Bytes came.
    pub(super) fn arrived(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some(rest) = self.head.get_mut(self.read..) else {
                return Ok(());
            };
            let taken = rest.len().min(bytes.len());
            let (taken, later) = bytes.split_at(taken);
            for (slot, byte) in rest.iter_mut().zip(taken) {
                *slot = *byte;
            }
            self.read += taken.len();
            bytes = later;
            if self.read == HEAD {
                self.read = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    /// A frame begins.
    fn frame(&mut self) -> Result<(), Flood> {
        let [a, b, c, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = usize::try_from(length).unwrap_or(usize::MAX);
        match kind {
            DATA if length > 0 => self.progress(),
            HEADERS | CONTINUATION => {}
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
            assert!(fits && frames.idle == 1 && frames.skip == 0, "{piece}");
        }
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
