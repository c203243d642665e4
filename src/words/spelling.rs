//! Spellings of one path: which of them an upstream takes for the same.
//!
//! Case and a slash at the end count, unless an upstream is declared to ignore them. Then all its
//! spellings of a path are brought to one here, for templates and for requests alike. What is
//! forwarded is never changed: this is only for finding out what the upstream could be asked.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What stands for itself in any part of a URL: the unreserved characters of RFC 3986.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What an upstream ignores in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spelling {
    /// `/Items` is `/items`.
    pub any_case: bool,
    /// `/items/` is `/items`.
    pub any_slash: bool,
}

/// How far case is folded: readers differ beyond ASCII, and some never go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// `A` to `Z` only.
    Ascii,
    /// Every letter, also where an ASCII letter comes of it: the Kelvin sign is a `k`.
    Unicode,
}

impl Spelling {
    /// Says whether nothing is ignored.
    pub fn is_exact(self) -> bool {
        !self.any_case && !self.any_slash
    }

    /// The one spelling of `text`, a path in canonical form or a template. Names of parameters stay.
    pub fn of(self, text: &str, folding: Folding) -> Cow<'_, str> {
        let folded = if self.any_case {
            folded(text, folding)
        } else {
            Cow::Borrowed(text)
        };
        if !self.any_slash {
            return folded;
        }
        let kept = folded.trim_end_matches('/').len().max(1);
        match folded {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..kept).unwrap_or(text)),
            Cow::Owned(mut text) => {
                text.truncate(kept);
                Cow::Owned(text)
            }
        }
    }
}

fn folded(text: &str, folding: Folding) -> Cow<'_, str> {
    // The common path is in lower case already, and costs no allocation.
    if !text
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || byte == b'%')
    {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    let mut left = text;
    while let Some(at) = left.find(['%', '{']) {
        let (plain, special) = left.split_at(at);
        folded.extend(plain.chars().map(|c| c.to_ascii_lowercase()));
        let end = if special.starts_with('{') {
            special.find('}').map_or(special.len(), |brace| brace + 1)
        } else {
            escapes_end(special)
        };
        let (special, after) = special.split_at(end);
        if special.starts_with('{') {
            folded.push_str(special);
        } else {
            fold_escapes(special, folding, &mut folded);
        }
        left = after;
    }
    folded.extend(left.chars().map(|c| c.to_ascii_lowercase()));
    Cow::Owned(folded)
}

/// Where the escapes that `text` begins with end; beyond the `%` of one that is none.
fn escapes_end(text: &str) -> usize {
    let escapes = text.as_bytes().chunks_exact(3).take_while(
        |escape| matches!(escape, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()),
    );
    (escapes.count() * 3).max(1)
}

/// Folds the letters that escapes spell. An escape of an ASCII character stays one: what it means
/// may depend on being escaped.
fn fold_escapes(escapes: &str, folding: Folding, folded: &mut String) {
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(escapes).collect();
    if folding == Folding::Ascii || escapes.len() < 3 {
        folded.push_str(escapes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                escape(character, folded);
                continue;
            }
            for character in character.to_uppercase().flat_map(char::to_lowercase) {
                if character.is_ascii_alphanumeric() {
                    folded.push(character);
                } else {
                    escape(character, folded);
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(folded, "%{byte:02X}");
        }
    }
}

fn escape(character: char, folded: &mut String) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(folded, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Spelling = Spelling {
        any_case: true,
        any_slash: true,
    };

    #[test]
    fn all_spellings_of_a_path_are_brought_to_one() {
        let rows = [
            ("/", "/"),
            ("//", "/"),
            ("/items", "/items"),
            ("/Items/", "/items"),
            (
                "/items/{itemId}/Parts/{Rest...}",
                "/items/{itemId}/parts/{Rest...}",
            ),
            ("/A%2FB%20C/%3A", "/a%2Fb%20c/%3A"),
            ("/CAF%C3%89", "/caf%C3%A9"),
            ("/%E2%84%AAeys", "/keys"),
            ("/%C5%BFecret", "/secret"),
            ("/STRASSE", "/strasse"),
            ("/stra%C3%9Fe", "/strasse"),
            ("/%FF%C3%89", "/%FF%C3%A9"),
            ("/%zz%", "/%zz%"),
        ];
        for (text, expected) in rows {
            let found = BOTH.of(text, Folding::Unicode);
            assert_eq!(found, expected, "{text}");
            assert_eq!(BOTH.of(&found, Folding::Unicode), expected, "{text}");
        }
    }

    #[test]
    fn who_reads_ascii_only_leaves_the_rest() {
        assert_eq!(
            BOTH.of("/%E2%84%AAEYS%C3%89", Folding::Ascii),
            "/%E2%84%AAeys%C3%89"
        );
    }

    #[test]
    fn what_is_not_ignored_stays() {
        let spelling = |any_case, any_slash| Spelling {
            any_case,
            any_slash,
        };
        for folding in [Folding::Ascii, Folding::Unicode] {
            assert_eq!(spelling(false, false).of("/A/", folding), "/A/");
            assert_eq!(spelling(true, false).of("/A/", folding), "/a/");
            assert_eq!(spelling(false, true).of("/A/", folding), "/A");
        }
        assert!(matches!(
            BOTH.of("/v1/items", Folding::Unicode),
            Cow::Borrowed(_)
        ));
    }
}
