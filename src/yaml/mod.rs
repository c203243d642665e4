//! YAML as people write it into files of ours: a tree in which everything knows its place.
//!
//! A deliberately small part of YAML. Where a string is due, a scalar is its source text: `no`,
//! `042`, `1e3` and `~` stay what was written, because nothing here guesses types. Anchors,
//! aliases, merge keys, tags, directives and second documents are faults: a file that says who may
//! do what should read the same to a person and to a program. Size, depth and the number of nodes
//! are bounded, so the worst file costs milliseconds.
//!
//! The events come from `granit-parser`; a deserializer would have to guess types before we could
//! say which one is due, and would stop at the first fault.
//!
//! Not here: what the keys mean. Readers walk the tree with [`Fields`] and the methods of [`Node`],
//! which collect faults instead of stopping.

mod fields;
pub mod shape;
mod tree;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use fields::Fields;
pub use tree::parse;

use crate::words::{Fault, Place, steers};

/// Largest file, in bytes: 50,000 routes, the most of one policy, of a hundred and sixty bytes each. The
/// largest published description, of 22,000 operations with long paths, becomes 4.5 MB.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deepest nesting. The deepest thing anybody has to write is seven levels down.
pub const DEPTH_MAX: usize = 32;
/// Most scalars, lists and mappings in one file: 50,000 routes that each bind a boundary take four fifths.
pub const NODES_MAX: usize = 500_000;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text, as written; numbers and booleans are text too until somebody asks for them.
    Scalar(String),
    /// Nothing at all, as in `key:`. (`~` and `null` are text.)
    Nothing,
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file. No key stands twice.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping, and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it starts.
    pub place: Place,
    /// The key as written.
    pub text: String,
}

/// The text of a file, from its bytes.
///
/// # Errors
///
/// A fault if it is larger than [`FILE_BYTES_MAX`] or not UTF-8.
pub fn decode(file: &Arc<Path>, bytes: Vec<u8>) -> Result<String, Fault> {
    let whole = Place {
        file: Arc::clone(file),
        line: 0,
        column: 0,
    };
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes and the largest read is {FILE_BYTES_MAX}: split it",
            bytes.len()
        );
        return Err(Fault::new(whole, message));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = "the file is UTF-16: save it as UTF-8";
        return Err(Fault::new(whole, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let before = String::from_utf8_lossy(before.unwrap_or_default());
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        let place = Place {
            line,
            column,
            ..whole
        };
        Fault::new(
            place,
            "the file is not UTF-8 from here on: save it as UTF-8",
        )
    })
}

/// Text for a message: in backticks, at most 80 characters, with nothing a terminal would act on.
pub fn quoted(text: &str) -> impl fmt::Display + '_ {
    Quoted(text)
}

struct Quoted<'a>(&'a str);

/// Longest piece of a file repeated in a message, in characters.
const QUOTED_CHARS_MAX: usize = 80;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for character in self.0.chars().take(QUOTED_CHARS_MAX) {
            if steers(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        let cut = self.0.chars().nth(QUOTED_CHARS_MAX).is_some();
        f.write_str(if cut { "…`" } else { "`" })
    }
}

#[cfg(test)]
mod tests;
