//! Where WebSocket frames end (RFC 6455 §5.2), and whether one was a goodbye.

/// The opcode of a close frame.
const CLOSE: u8 = 0x8;

/// Longest head of a frame: two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

/// How far one direction of a WebSocket has come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of a head that are here.
    have: usize,
    /// Bytes of the payload that are still to come.
    payload: u64,
    /// Whether the frame that passes now is a close frame.
    closing: bool,
    closed: bool,
}

impl Frames {
    /// These bytes went by.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let most = usize::try_from(self.payload).unwrap_or(usize::MAX);
                let (passed, after) = bytes.split_at(most.min(bytes.len()));
                self.payload -= u64::try_from(passed.len()).unwrap_or(self.payload);
                bytes = after;
            } else {
                if let Some(place) = self.head.get_mut(self.have) {
                    *place = *first;
                }
                self.have += 1;
                bytes = rest;
                if self.have == self.head_length() {
                    self.payload = self.payload_length();
                    self.closing = self.head[0] & 0x0f == CLOSE;
                    self.have = 0;
                }
            }
            if self.have == 0 && self.payload == 0 {
                self.closed |= self.closing;
            }
        }
    }

    /// At most so many bytes are left of the frame that was begun; nothing between two frames.
    pub(super) fn left(&self) -> Option<usize> {
        match (self.have, self.payload) {
            (0, 0) => None,
            (0, payload) => Some(usize::try_from(payload).unwrap_or(usize::MAX)),
            // How long the rest of a head is, it says itself.
            _ => Some(1),
        }
    }

    /// Whether a close frame went by.
    pub(super) fn has_closed(&self) -> bool {
        self.closed
    }

    fn head_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.head[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_length(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.head;
        match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            length => u64::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of every kind of length, masked or not.
    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => bytes.push(mask | short),
            (_, Ok(middle)) => {
                bytes.push(mask | 126);
                bytes.extend(middle.to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(if masked { vec![7; 4] } else { vec![] });
        bytes.extend(vec![0xff; length]);
        bytes
    }

    fn passes_whole(bytes: &[u8], piece: usize) {
        let mut frames = Frames::default();
        for (number, part) in bytes.chunks(piece).enumerate() {
            assert_eq!(
                frames.left().is_none(),
                number == 0,
                "{} {piece}",
                bytes.len()
            );
            frames.pass(part);
        }
        assert_eq!(frames.left(), None, "{} {piece}", bytes.len());
        assert!(!frames.has_closed());
    }

    #[test]
    fn the_end_of_a_frame_is_found_however_it_is_cut() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 300, 70_000] {
                let bytes = frame(1, masked, length);
                [1, 3, bytes.len()]
                    .into_iter()
                    .for_each(|piece| passes_whole(&bytes, piece));
            }
        }
    }

    #[test]
    fn what_is_left_of_a_frame_is_never_too_much() {
        let bytes = [frame(1, true, 300), frame(2, false, 5)].concat();
        let first = frame(1, true, 300).len();
        let mut frames = Frames::default();
        frames.pass(&bytes[..1]);
        let mut at = 1;
        while let Some(left) = frames.left() {
            let left = left.min(bytes.len() - at);
            frames.pass(&bytes[at..at + left]);
            at += left;
        }
        assert_eq!(at, first);
    }

    #[test]
    fn a_goodbye_is_noticed_when_it_is_whole() {
        let mut frames = Frames::default();
        frames.pass(&frame(1, false, 3));
        let close = frame(CLOSE, true, 2);
        frames.pass(&close[..close.len() - 1]);
        assert!(!frames.has_closed());
        frames.pass(&close[close.len() - 1..]);
        assert!(frames.has_closed());
    }
}
