//! What is wrong with a file, and where.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::Rule;

/// A place in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<Path>,
    /// The line, or 0 when the whole file is meant.
    pub line: usize,
    /// The column, or 0 when the whole line is meant.
    pub column: usize,
}

impl Place {
    /// The whole of `file`.
    pub fn whole(file: impl Into<PathBuf>) -> Self {
        Self {
            file: Arc::from(file.into()),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// One thing that is wrong: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong: one sentence without a full stop, input in backticks.
    pub message: String,
    /// Which rule it breaks.
    pub rule: Rule,
}

impl Fault {
    /// A fault at `place`: something that means nothing.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self::of(Rule::Invalid, place, message)
    }

    /// A fault at `place` against `rule`. What would steer a terminal is written as an escape: a
    /// message repeats what a file holds, and is one line.
    pub fn of(rule: Rule, place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = match printable(&message) {
            Cow::Borrowed(_) => message,
            Cow::Owned(escaped) => escaped,
        };
        Self {
            place,
            message,
            rule,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Says whether `character` would steer a terminal rather than stand on it: a control, one that turns
/// the direction of text, or one that stands there unseen.
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with what would steer a terminal written as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if steers(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Everything that is wrong, in the order of files and lines, one fault a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Says whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, sorted by place.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    ///
    /// The faults, sorted by place and each said once.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        self.0.dedup();
        Err(self)
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// ", did you mean `…`?" with the nearest of `known`, or nothing when none is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .filter_map(|candidate| Some((distance(word, candidate)?, candidate)))
        .min();
    near.map_or_else(String::new, |(_, candidate)| {
        format!(", did you mean `{candidate}`?")
    })
}

/// Says whether `candidate` is near enough to `word` to be offered for it.
pub fn is_near(word: &str, candidate: &str) -> bool {
    distance(word, candidate).is_some()
}

/// How many letters two words differ by, if those are few.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(word, candidate);
    (distance <= 1 + candidate.len().max(word.len()) / 4).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let known = ["permissions", "roles", "routes"];
        assert_eq!(nearest("permision", known), ", did you mean `permissions`?");
        assert_eq!(nearest("rutes", known), ", did you mean `routes`?");
        assert_eq!(nearest("elephant", known), "");
    }

    #[test]
    fn what_a_file_holds_does_not_steer_a_terminal() {
        for (message, shown) in [
            ("`a\tb`", "`a\\tb`"),
            ("`\u{1b}[2J`", "`\\u{1b}[2J`"),
            ("`\u{202e}x\u{9b}`", "`\\u{202e}x\\u{9b}`"),
            ("`ключ é`", "`ключ é`"),
        ] {
            assert_eq!(Fault::new(Place::whole("f"), message).message, shown);
        }
    }

    #[test]
    fn faults_come_in_the_order_of_the_file_and_once() {
        let at = |line| Place {
            line,
            column: 1,
            ..Place::whole("a.yaml")
        };
        let mut faults = Faults::default();
        faults.push(Fault::new(at(9), "second"));
        faults.push(Fault::new(at(2), "first"));
        faults.push(Fault::new(at(2), "first"));
        let faults = faults.into_result(()).unwrap_err();
        assert_eq!(faults.to_string(), "a.yaml:2:1: first\na.yaml:9:1: second");
    }
}
