//! JSON as text: checked once, opened object by object.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::words::{Fault, Place};

/// Bytes between two marks: how much is read to tell the line and column of a byte.
const MARK_EVERY: usize = 4_096;

/// Says of any byte which line and column it is, in bounded time, however long lines are.
#[derive(Debug)]
pub(super) struct Marks(Vec<(usize, usize)>);

impl Marks {
    fn of(text: &str) -> Self {
        let (mut line, mut column) = (1, 1);
        let mut marks = Vec::with_capacity(text.len() / MARK_EVERY + 1);
        for chunk in text.as_bytes().chunks(MARK_EVERY) {
            marks.push((line, column));
            (line, column) = advance((line, column), chunk);
        }
        Self(marks)
    }

    /// Both count from 1; columns count characters.
    pub(super) fn line_and_column(&self, text: &str, offset: usize) -> (usize, usize) {
        let mark = offset / MARK_EVERY;
        let known = self.0.get(mark).copied().unwrap_or((1, 1));
        let bytes = text.as_bytes().get(mark * MARK_EVERY..offset);
        advance(known, bytes.unwrap_or_default())
    }
}

fn advance(from: (usize, usize), bytes: &[u8]) -> (usize, usize) {
    bytes.iter().fold(from, |(line, column), byte| match byte {
        b'\n' => (line + 1, 1),
        0x80..=0xbf => (line, column), // not the first byte of a character
        _ => (line, column + 1),
    })
}

/// Checks that `text` is JSON from end to end, and marks it.
pub(super) fn check(file: &Arc<Path>, text: &str) -> Result<Marks, Fault> {
    let checked = serde_json::from_str::<&RawValue>(text);
    let marks = Marks::of(text);
    let Err(error) = checked else {
        return Ok(marks);
    };
    let (line, column) = (error.line(), error.column());
    // Its column counts bytes.
    let start = match line {
        0 | 1 => 0,
        line => text
            .match_indices('\n')
            .nth(line - 2)
            .map_or(0, |(at, _)| at + 1),
    };
    let offset = (start + column.saturating_sub(1)).min(text.len());
    let (line, column) = marks.line_and_column(text, offset);
    let place = Place {
        file: Arc::clone(file),
        line,
        column,
    };
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Err(Fault::new(place, format!("this is not JSON: {message}")))
}

/// Where `part`, which is a piece of `text`, begins in it.
pub(super) fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The entries of an object, at most `most`; nothing if it is none.
pub(super) fn entries(value: &str, most: usize) -> Option<Vec<(Cow<'_, str>, &str)>> {
    if !value.starts_with('{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(value);
    let entries = deserializer.deserialize_map(Entries(most));
    entries.ok()
}

/// The items of a list, at most `most`; nothing if it is none.
pub(super) fn items(value: &str, most: usize) -> Option<Vec<&str>> {
    if !value.starts_with('[') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(value);
    deserializer.deserialize_seq(Items(most)).ok()
}

/// The text of a scalar.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(value)
            .ok()
            .map(|text| text.0),
        b'{' | b'[' => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

struct Entries(usize);

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.0 {
            let Some(key) = map.next_key::<Text<'de>>()? else {
                return Ok(entries);
            };
            entries.push((key.0, map.next_value::<&'de RawValue>()?.get()));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(entries)
    }
}

struct Items(usize);

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.0 {
            let Some(item) = list.next_element::<&'de RawValue>()? else {
                return Ok(items);
            };
            items.push(item.get());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

/// A string that is borrowed where it has no escapes.
struct Text<'d>(Cow<'d, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        check(&Arc::from(Path::new("a.json")), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_not_json_says_where() {
        assert_eq!(
            fault("{\n  \"é\": 1,,\n}"),
            "a.json:2:10: this is not JSON: key must be a string"
        );
        assert_eq!(
            fault("{\"a\": [1, 2}"),
            "a.json:1:12: this is not JSON: expected `,` or `]`"
        );
        assert!(fault("{\n\"a\": ").starts_with("a.json:2:"));
    }

    #[test]
    fn a_line_as_long_as_the_file_tells_its_columns() {
        let text = format!("{{\n\"é{}\": 1}}", "x".repeat(10_000));
        let marks = check(&Arc::from(Path::new("a.json")), &text).unwrap();
        assert_eq!(marks.line_and_column(&text, 2), (2, 1));
        assert_eq!(marks.line_and_column(&text, text.len() - 1), (2, 10_007));
    }

    #[test]
    fn what_is_nested_deeply_is_passed_over() {
        let deep = 100_000;
        let text = format!(
            "{{\"a\": {}{}, \"b\": \"\\u00e9\"}}",
            "[".repeat(deep),
            "]".repeat(deep)
        );
        check(&Arc::from(Path::new("a.json")), &text).unwrap();
        let entries = entries(&text, 10).unwrap();
        assert_eq!(super::text(entries[1].1).unwrap(), "é");
        assert_eq!(items(entries[0].1, 10).unwrap().len(), 1);
        assert!(fault(&"[".repeat(deep)).contains("this is not JSON: EOF"));
    }
}
