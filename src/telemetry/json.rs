//! One flat JSON object into a byte buffer, whatever bytes a stranger sent.
//!
//! `serde_json` would want valid UTF-8 and would print control characters of the C1 set, line
//! separators and marks that turn the direction of text as they are; each of them lets a request
//! write into somebody's terminal or split a line for some reader. Here every field is escaped,
//! cut to a bound, and still copied in one piece where there is nothing to escape.

use std::io::Write as _;
use std::net::IpAddr;

use crate::words::discreet;

/// Longest value of one field, in bytes of what was sent. Paths and user agents of real clients
/// stay far below; what is cut off is marked with its length.
pub(super) const FIELD_BYTES_MAX: usize = 1024;

/// The name of a field, as it stands in the line: with the comma before it, and with the quotation
/// mark that opens a text, so that each is one copy.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) of_text: &'static str,
    pub(super) of_other: &'static str,
}

/// The [`Key`] of a name, put together while compiling.
macro_rules! key {
    ($name:literal) => {
        Key {
            of_text: concat!(",\"", $name, "\":\""),
            of_other: concat!(",\"", $name, "\":"),
        }
    };
}
pub(super) use key;

/// Writes one object, field by field.
pub(super) struct Object<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Object<'b> {
    pub(super) fn open(buffer: &'b mut Vec<u8>) -> Self {
        let start = buffer.len();
        Self { buffer, start }
    }

    /// Ends the object and its line. There is at least one field.
    pub(super) fn close(self) {
        // Every field begins with a comma; the first one's is where the object opens.
        if let Some(comma) = self.buffer.get_mut(self.start) {
            *comma = b'{';
        }
        self.buffer.extend_from_slice(b"}\n");
    }

    /// A value that is ours and needs no escape.
    #[inline]
    pub(super) fn plain(&mut self, key: Key, value: &str) {
        self.plain_parts(key, &[value.as_bytes()]);
    }

    /// The same in parts.
    #[inline]
    pub(super) fn plain_parts(&mut self, key: Key, parts: &[&[u8]]) {
        self.buffer.extend_from_slice(key.of_text.as_bytes());
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        self.buffer.push(b'"');
    }

    /// A value somebody else chose: a secret that stands where none should does not get any further.
    #[inline]
    pub(super) fn text(&mut self, key: Key, value: &[u8]) {
        self.buffer.extend_from_slice(key.of_text.as_bytes());
        cut_and_escape(self.buffer, &discreet(value));
    }

    /// A value that somebody of ours chose, so that it holds no secret, and may have to be escaped.
    #[inline]
    pub(super) fn own(&mut self, key: Key, value: &[u8]) {
        self.buffer.extend_from_slice(key.of_text.as_bytes());
        cut_and_escape(self.buffer, value);
    }

    pub(super) fn list<'v>(&mut self, key: Key, values: impl Iterator<Item = &'v str>) {
        self.buffer.extend_from_slice(key.of_other.as_bytes());
        self.buffer.push(b'[');
        for (place, value) in values.enumerate() {
            if place > 0 {
                self.buffer.push(b',');
            }
            self.buffer.push(b'"');
            cut_and_escape(self.buffer, value.as_bytes());
        }
        self.buffer.push(b']');
    }

    #[inline]
    pub(super) fn number(&mut self, key: Key, value: u64) {
        self.buffer.extend_from_slice(key.of_other.as_bytes());
        let mut digits = itoa::Buffer::new();
        self.buffer
            .extend_from_slice(digits.format(value).as_bytes());
    }

    /// Microseconds, printed as milliseconds.
    pub(super) fn millis(&mut self, key: Key, micros: u64) {
        self.number(key, micros / 1000);
        let mut digits = itoa::Buffer::new();
        // One digit more than is printed, so that the zeros in front are there.
        let thousandths = digits.format(1000 + micros % 1000).as_bytes();
        self.buffer.push(b'.');
        self.buffer
            .extend_from_slice(thousandths.get(1..).unwrap_or_default());
    }

    pub(super) fn address(&mut self, key: Key, address: IpAddr) {
        self.buffer.extend_from_slice(key.of_text.as_bytes());
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let mut digits = itoa::Buffer::new();
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.buffer.push(b'.');
                    }
                    self.buffer
                        .extend_from_slice(digits.format(octet).as_bytes());
                }
            }
            IpAddr::V6(address) => write!(self.buffer, "{address}").unwrap_or(()),
        }
        self.buffer.push(b'"');
    }
}

/// Writes `value`, cut to [`FIELD_BYTES_MAX`], and the quotation mark that ends it.
fn cut_and_escape(buffer: &mut Vec<u8>, value: &[u8]) {
    let kept = value.get(..cut(value)).unwrap_or(value);
    escape(buffer, kept);
    if kept.len() < value.len() {
        write!(buffer, "…(+{} bytes)", value.len() - kept.len()).unwrap_or(());
    }
    buffer.push(b'"');
}

/// Where to cut, so that no character is split.
fn cut(value: &[u8]) -> usize {
    if value.len() <= FIELD_BYTES_MAX {
        return value.len();
    }
    let is_start = |place: &usize| value.get(*place).is_none_or(|byte| byte & 0xc0 != 0x80);
    // A character has at most four bytes; if none starts within that, it is not text anyway.
    let mut places = (FIELD_BYTES_MAX - 3..=FIELD_BYTES_MAX).rev();
    places.find(is_start).unwrap_or(FIELD_BYTES_MAX)
}

fn escape(buffer: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    loop {
        let (done, other) = rest.split_at(plain_length(rest));
        buffer.extend_from_slice(done);
        let Some(first) = other.first() else { return };
        let length = match first {
            b'"' | b'\\' => {
                buffer.extend_from_slice(&[b'\\', *first]);
                1
            }
            0x00..=0x1f | 0x7f => {
                unicode_escape(buffer, u32::from(*first));
                1
            }
            _ => wide(buffer, other),
        };
        rest = other.get(length..).unwrap_or_default();
    }
}

/// How many bytes from the start on are written as they are.
fn plain_length(bytes: &[u8]) -> usize {
    let is_odd = |byte: &u8| !matches!(byte, b' '..=b'~') | (*byte == b'"') | (*byte == b'\\');
    // Sixteen at a time and without a branch for each, which compilers turn into few instructions.
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |odd, byte| odd | is_odd(byte));
    let whole = 16 * bytes.chunks_exact(16).take_while(is_plain).count();
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().position(is_odd).unwrap_or(rest.len())
}

/// Writes the character `bytes` start with, and says how many bytes it took.
fn wide(buffer: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let head = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The four bytes may end inside the character after the one we want.
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    let Some(character) = valid.chars().next() else {
        // Not UTF-8: the byte itself, as a reader of logs would write it.
        let byte = bytes.first().copied().unwrap_or_default();
        write!(buffer, "\\\\x{byte:02x}").unwrap_or(());
        return 1;
    };
    if is_hidden(character) {
        unicode_escape(buffer, u32::from(character));
    } else {
        let mut utf8 = [0; 4];
        buffer.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
    }
    character.len_utf8()
}

/// Characters that move, hide or break what stands around them.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'                              // C1 controls: terminals obey them
        | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' // nothing to see
        | '\u{200b}'..='\u{200f}'                        // zero width, direction marks
        | '\u{2028}'..='\u{202e}'                        // separators, direction overrides
        | '\u{2060}'..='\u{206f}'                        // invisible operators, isolates
        | '\u{fff9}'..='\u{fffb}'                        // annotations
        | '\u{e0000}'..='\u{e0fff}') // tags
}

/// `\uXXXX`, as a surrogate pair where one is needed.
fn unicode_escape(buffer: &mut Vec<u8>, code: u32) {
    let mut units = [0; 2];
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    for unit in character.encode_utf16(&mut units) {
        write!(buffer, "\\u{unit:04x}").unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(value: &[u8]) -> String {
        let mut buffer = Vec::new();
        let mut object = Object::open(&mut buffer);
        object.text(key!("field"), value);
        object.close();
        String::from_utf8(buffer).expect("a line is text, whatever went in")
    }

    fn read_back(line: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_byte_gives_valid_json_without_a_control_character() {
        for byte in 0..=u8::MAX {
            let line = printed(&[b'a', byte, b'b']);
            let text = read_back(&line);
            assert!(
                text.starts_with('a') && text.ends_with('b'),
                "{byte:#x}: {line}"
            );
            let body = line.trim_end_matches('\n');
            assert!(!body.contains(char::is_control), "{byte:#x}: {line:?}");
            if byte < 0x80 {
                assert_eq!(text, format!("a{}b", char::from(byte)));
            } else {
                assert_eq!(text, format!("a\\x{byte:02x}b"));
            }
        }
    }

    #[test]
    fn text_stays_text_and_what_hides_in_it_is_shown() {
        for (value, expected) in [
            ("grüße/日本", r#"{"field":"grüße/日本"}"#),
            (
                "a\u{2028}b\u{85}c\u{202e}d",
                r#"{"field":"a\u2028b\u0085c\u202ed"}"#,
            ),
            ("\u{e0041}", r#"{"field":"\udb40\udc41"}"#),
            ("\"}\n{\"x\":1", r#"{"field":"\"}\u000a{\"x\":1"}"#),
        ] {
            assert_eq!(printed(value.as_bytes()).trim_end(), expected);
            assert_eq!(read_back(&printed(value.as_bytes())), value);
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_marked() {
        assert_eq!(read_back(&printed(&[b'a'; 1024])), "a".repeat(1024));
        let cut = read_back(&printed(&[b'a'; 65_536]));
        assert_eq!(cut, format!("{}…(+64512 bytes)", "a".repeat(1024)));
        let cut = read_back(&printed("ü".repeat(600).as_bytes()));
        assert_eq!(cut, format!("{}…(+176 bytes)", "ü".repeat(512)));
        let cut = read_back(&printed("a日".repeat(400).as_bytes()));
        assert!(cut.starts_with("a日") && !cut.contains("\\x"), "{cut}");
    }

    #[test]
    fn an_address_is_printed_as_people_write_it() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
        ] {
            let mut buffer = Vec::new();
            let mut object = Object::open(&mut buffer);
            object.address(key!("field"), address.parse().unwrap());
            object.close();
            assert_eq!(read_back(std::str::from_utf8(&buffer).unwrap()), expected);
        }
    }

    /// Pieces rather than random bytes, which almost never spell a character of three bytes.
    const PIECES: [&[u8]; 14] = [
        b"a",
        b"\"",
        b"\\",
        b"\n",
        b"\0",
        b"\x7f",
        b"\xc2",
        b"\x80",
        b"\xe2\x80\xa8",
        b"\xe2\x80",
        b"\xf0\x9f\x98\x80",
        b"\xf0\x9f",
        b"\xed\xa0\x80",
        b"/path/of/some/length",
    ];

    proptest! {
        /// Law: a line is one line of valid JSON, no longer than six times the bound and its mark.
        #[test]
        fn whatever_is_written_is_one_bounded_line_of_json(
            pieces in prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..200),
        ) {
            let line = printed(&pieces.concat());
            read_back(&line);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.len() <= 6 * FIELD_BYTES_MAX + 64);
        }
    }
}
