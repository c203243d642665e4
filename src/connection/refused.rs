//! What the HTTP/2 library refuses by itself, seen by the frames it writes.
//!
//! It resets a stream, answers a bare 431, or says goodbye, and tells nobody. Every frame it sends is
//! looked at for that on its way out, since nothing else knows: a request that it refuses is never
//! handed over, and of a connection that it ends the error says only the last of it.

use std::fmt;

use hyper::Error;

use tokio::time::Instant;

use super::frames::{Frame, GOAWAY, HEADERS, RST_STREAM, Splitter};
use super::unfinished::Unfinished;
use crate::telemetry::doors::Closed;

/// Codes (RFC 9113 §7) that are no refusal: an end, a fault or a change of mind of our own.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;
/// Those that say more than that the client broke a rule.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What was refused, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refused {
    /// Streams beyond those a client may have open at once.
    Streams,
    /// A list of fields larger than the library reads.
    FieldsTooLarge,
    /// Frames that are none, or not as the standard has them.
    Protocol(Code),
    /// More than it may, of something.
    Flood,
}

impl Refused {
    /// How it is counted, where it is not by a reason.
    pub(super) fn cause(self) -> Option<Closed> {
        match self {
            Self::Streams => Some(Closed::Streams),
            Self::FieldsTooLarge => None,
            Self::Protocol(_) => Some(Closed::Protocol),
            Self::Flood => Some(Closed::Flood),
        }
    }

    fn of(code: u32) -> Option<Self> {
        match code {
            NO_ERROR | INTERNAL_ERROR | CANCEL => None,
            REFUSED_STREAM => Some(Self::Streams),
            ENHANCE_YOUR_CALM => Some(Self::Flood),
            code => Some(Self::Protocol(Code(code))),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams => f.write_str("REFUSED_STREAM"),
            Self::FieldsTooLarge => f.write_str("431"),
            Self::Protocol(Code(code)) => write!(f, "{:?}", h2::Reason::from(*code)),
            Self::Flood => f.write_str("ENHANCE_YOUR_CALM"),
        }
    }
}

/// The standard's number for what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code(u32);

/// The frames the library writes on one connection.
#[derive(Debug)]
pub(super) struct Said {
    splitter: Splitter,
    /// Answers, and trailers, that it was given to write, less those it wrote.
    owed: i64,
    /// Answers of ours that broke off, each with a reset to come.
    broken: u32,
    worst: Option<Refused>,
    unfinished: Unfinished,
}

impl Said {
    /// A connection on which nothing has been said.
    pub(super) fn new() -> Self {
        Self {
            splitter: Splitter::behind(0),
            owed: 0,
            broken: 0,
            worst: None,
            unfinished: Unfinished::default(),
        }
    }

    /// The library was given fields to write: the head of an answer, or its trailers.
    pub(super) fn gave_fields(&mut self) {
        self.owed += 1;
    }

    /// The library was told that an answer breaks off.
    pub(super) fn broke_off(&mut self) {
        self.broken += 1;
    }

    /// The library wrote these bytes, at about this time.
    pub(super) fn wrote(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some(frame) = self.splitter.next(&mut bytes) {
            self.unfinished.wrote(frame, now);
            self.frame(frame);
        }
    }

    /// The client has reset a stream.
    pub(super) fn was_reset(&mut self, stream: u32) {
        self.unfinished.over(stream);
    }

    /// How many answers have begun and not ended, and stood still since then.
    pub(super) fn still(&self, since: Instant) -> usize {
        self.unfinished.still(since)
    }

    fn frame(&mut self, frame: Frame) {
        match (frame.kind, frame.code) {
            (HEADERS, _) => {
                self.owed -= 1;
                if self.owed < 0 {
                    // Nobody gave it these.
                    self.owed = 0;
                    self.note(Refused::FieldsTooLarge);
                }
            }
            (RST_STREAM, Some(code)) if !matches!(code, NO_ERROR | CANCEL) && self.broken > 0 => {
                // An upstream's own code may be handed on with what broke off.
                self.broken -= 1;
            }
            (RST_STREAM | GOAWAY, Some(code)) => {
                if let Some(refused) = Refused::of(code) {
                    self.note(refused);
                }
            }
            _ => {}
        }
    }

    /// How the connection ended, which may be before the goodbye could be said.
    pub(super) fn ended(&mut self, error: &Error) {
        let source = std::error::Error::source(error);
        let error = source.and_then(|source| source.downcast_ref::<h2::Error>());
        let own = error.filter(|error| error.is_go_away() && error.is_library());
        let code = own.and_then(h2::Error::reason).map(u32::from);
        if let Some(refused) = code.and_then(Refused::of) {
            self.note(refused);
        }
    }

    /// Something was refused.
    pub(super) fn note(&mut self, refused: Refused) {
        self.worst = self.worst.max(Some(refused));
    }

    /// The worst of what was refused.
    pub(super) fn worst(&self) -> Option<Refused> {
        self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, 4, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    }

    fn reset(code: u8) -> Vec<u8> {
        frame(RST_STREAM, &[0, 0, 0, code])
    }

    fn goaway(code: u8) -> Vec<u8> {
        frame(GOAWAY, &[0, 0, 0, 1, 0, 0, 0, code, b'w', b'h', b'y'])
    }

    /// What is seen of an answer, its data, its trailers, and these frames.
    fn seen(frames: &[Vec<u8>], piece: usize) -> Option<Refused> {
        let own = [
            frame(HEADERS, b"abc"),
            frame(0, b"data"),
            frame(HEADERS, b""),
        ];
        let mut said = Said::new();
        said.gave_fields();
        said.gave_fields();
        let all = [own.concat(), frames.concat()].concat();
        all.chunks(piece)
            .for_each(|bytes| said.wrote(bytes, Instant::now()));
        said.worst()
    }

    #[test]
    fn the_worst_of_what_the_library_says_no_to_is_seen_however_it_is_cut() {
        let protocol = |code| Some(Refused::Protocol(Code(code)));
        for (frames, expected) in [
            (vec![], None),
            (vec![reset(0), reset(2), reset(8), goaway(0)], None),
            (vec![reset(1)], protocol(1)),
            (vec![goaway(9)], protocol(9)),
            (vec![reset(7)], Some(Refused::Streams)),
            (
                vec![reset(7), frame(HEADERS, b"4")],
                Some(Refused::FieldsTooLarge),
            ),
            (vec![reset(1), reset(7)], protocol(1)),
            (vec![reset(1), goaway(11), reset(3)], Some(Refused::Flood)),
            (vec![frame(RST_STREAM, b""), frame(GOAWAY, b"")], None),
        ] {
            for piece in 1..60 {
                assert_eq!(seen(&frames, piece), expected, "{frames:?} by {piece}");
            }
        }
    }

    #[test]
    fn an_answer_stands_still_until_its_last_frame() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let end = |kind| [0, 0, 0, kind, 1, 0, 0, 0, 1].to_vec();
        for (frames, still) in [
            (vec![], 0),
            (vec![frame(HEADERS, b"")], 1),
            (vec![frame(HEADERS, b""), frame(0, b"x")], 1),
            (vec![end(HEADERS)], 0),
            (vec![frame(HEADERS, b""), end(0)], 0),
            (vec![frame(HEADERS, b""), reset(8)], 0),
            (vec![frame(HEADERS, b""), frame(8, b"1234")], 1),
        ] {
            let mut said = Said::new();
            said.wrote(&frames.concat(), now);
            assert_eq!(said.still(now), still, "{frames:?}");
            said.wrote(&frame(0, b"x"), later);
            assert_eq!(said.still(now), 0, "{frames:?}: it moves");
            said.was_reset(1);
            assert_eq!(said.still(later), 0, "{frames:?}");
        }
    }

    /// The library may have frames of it in its buffer when a reset comes.
    #[test]
    fn what_is_written_of_a_stream_that_was_reset_begins_no_answer() {
        let now = Instant::now();
        for (before, after) in [
            (vec![], vec![frame(HEADERS, b""), frame(0, b"x")]),
            (vec![frame(HEADERS, b"")], vec![frame(0, b"x")]),
        ] {
            let mut said = Said::new();
            said.wrote(&before.concat(), now);
            said.was_reset(1);
            said.wrote(&after.concat(), now);
            assert_eq!(said.still(now), 0, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_an_upstream_broke_off_is_not_held_against_the_client() {
        let mut said = Said::new();
        said.broke_off();
        said.wrote(&reset(1), Instant::now());
        assert_eq!(said.worst(), None);
        said.wrote(&reset(1), Instant::now());
        assert_eq!(said.worst(), Some(Refused::Protocol(Code(1))));
    }
}
