//! The answers on one HTTP/2 connection that have begun and not ended, by the frames that go out.
//!
//! The library keeps to itself what it has been given and may not send yet; once that is the end of
//! an answer, nobody else knows of it. It is seen from outside by what does not come: a stream whose
//! head went out, and of which no frame has been written for a long time.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::frames::{DATA, END_STREAM, Frame, HEADERS, RST_STREAM};

/// The answers on one connection that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    /// Each by the number of its stream, and when a frame of it went out last.
    answers: Vec<(u32, Instant)>,
    /// Streams that were over before their head went out: it may lie in the library's buffer still, and
    /// nothing follows it. The last of them: a buffer holds few heads.
    early: VecDeque<u32>,
}

/// Most streams kept that were over early.
const EARLY_MOST: usize = 64;

impl Unfinished {
    /// A frame goes out, now.
    pub(super) fn wrote(&mut self, frame: Frame, now: Instant) {
        match frame.kind {
            RST_STREAM => {
                self.ended(frame.stream);
            }
            HEADERS | DATA if frame.flags & END_STREAM != 0 => {
                self.ended(frame.stream);
            }
            HEADERS | DATA => {
                let mut answers = self.answers.iter_mut().rev();
                match answers.find(|(stream, _)| *stream == frame.stream) {
                    Some((_, at)) => *at = now,
                    // What still comes of a stream that is over begins none.
                    None if frame.kind == DATA || self.early.contains(&frame.stream) => {}
                    None => self.answers.push((frame.stream, now)),
                }
            }
            _ => {}
        }
    }

    /// The client has given this one up: nothing is begun of it any more.
    pub(super) fn over(&mut self, stream: u32) {
        if self.ended(stream).is_none() {
            self.early.truncate(EARLY_MOST - 1);
            self.early.push_front(stream);
        }
    }

    fn ended(&mut self, stream: u32) -> Option<(u32, Instant)> {
        let place = self
            .answers
            .iter()
            .rposition(|(number, _)| *number == stream)?;
        Some(self.answers.swap_remove(place))
    }

    /// How many have stood still since then.
    pub(super) fn still(&self, since: Instant) -> usize {
        self.answers.iter().filter(|(_, at)| *at <= since).count()
    }
}
