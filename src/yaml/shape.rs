//! What may stand where in a file: said once, for the reader that reads it and for the editor that
//! helps to write it.
//!
//! A reader names its keys in a table of [`Known`] words and reads them with [`Fields`](super::Fields), which takes the
//! words, the kinds and the bounds from that table. `schema` makes the JSON Schema from the same
//! table. So a key, a bound or a choice cannot be in one of them only. What remains on two sides is the rule of
//! a word (code here, a pattern there); a test with generated files holds the two together.

use std::net::SocketAddr;
use std::time::Duration;

/// A mapping with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// What the mapping is, in a sentence: "a route", "`tls`".
    pub what: &'static str,
    /// The keys.
    pub known: &'static [Known],
    /// Words of the product that this release does not act on; they are refused by name.
    pub later: &'static [&'static str],
    /// What keys have to do with each other.
    pub rules: &'static [Rule],
}

impl Keys {
    /// The keys.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().map(|known| known.name)
    }

    /// Says whether `word` is one of the keys.
    pub fn has(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }
}

/// A key, and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The word.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// What it says, for people: one or two sentences.
    pub about: &'static str,
    /// What holds without it, if that can be said in a word.
    pub preset: Option<Preset>,
    /// Whether nothing is said without it.
    pub required: bool,
}

impl Known {
    /// A key that may be left out.
    pub const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self {
            name,
            shape,
            about,
            preset: None,
            required: false,
        }
    }

    /// A key that has to stand there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The key, and what holds without it.
    #[must_use]
    pub const fn or(self, preset: Preset) -> Self {
        Self {
            preset: Some(preset),
            ..self
        }
    }
}

/// What holds where a key is left out.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// Yes or no.
    Boolean(bool),
    /// A number.
    Number(u64),
    /// A span of time.
    Span(Duration),
    /// A word.
    Word(&'static str),
    /// An address and a port.
    Address(SocketAddr),
}

impl Preset {
    /// A count as a preset.
    pub const fn count(count: usize) -> Self {
        Self::Number(count as u64)
    }
}

/// What keys of one mapping have to do with each other.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The first goes only with the second.
    Needs(&'static str, &'static str),
    /// The first, if it is `true`, goes only with the second.
    TrueNeeds(&'static str, &'static str),
    /// The first goes only where the second is this word.
    Only(&'static str, &'static str, &'static str),
    /// One of them, and one only.
    OneOf(&'static [&'static str]),
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text.
    Text(Word),
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    Choice(fn() -> Vec<&'static str>),
    /// A whole number.
    Number {
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
        most: u64,
    },
    /// A span of time.
    Span {
        /// The shortest that is taken.
        least: Duration,
        /// The longest that is taken.
        most: Duration,
    },
    /// A list.
    List {
        /// Of what.
        of: &'static Self,
        /// Whether it has to name something.
        filled: bool,
    },
    /// A mapping with known keys.
    Keys(&'static Keys),
    /// A mapping whose keys are names somebody chose.
    Names {
        /// What the names are.
        name: Word,
        /// What stands behind each.
        of: &'static Self,
        /// Whether it has to name something.
        filled: bool,
    },
    /// Nothing at all, as in `key:`.
    Nothing,
    /// One of several.
    Either(&'static [Self]),
}

impl Shape {
    /// A list that names something.
    pub const fn filled_list(of: &'static Self) -> Self {
        Self::List { of, filled: true }
    }

    /// A whole number from 1 to `most`.
    pub const fn count(most: u64) -> Self {
        Self::Number { least: 1, most }
    }

    /// A span of time from `least` to `most`.
    pub const fn span(least: Duration, most: Duration) -> Self {
        Self::Span { least, most }
    }

    /// A list that may be empty.
    pub const fn list(of: &'static Self) -> Self {
        Self::List { of, filled: false }
    }
}

/// Text with a rule.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// What it is: "a role".
    pub what: &'static str,
    /// The rule as a regular expression, without anchors; `None` takes any text.
    pub pattern: Option<fn() -> String>,
    /// Texts that are good, for editors to offer and tests to begin with.
    pub examples: &'static [&'static str],
    /// Which other scalars may be good.
    pub scalars: Scalars,
}

/// What other readers of YAML may take a text for that is good to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalars {
    /// Text only.
    Text,
    /// A number, `true` or `false` as well.
    Any,
    /// The same, but nothing below 0: names do not begin with `-`.
    NotNegative,
}

impl Word {
    /// Text without a rule.
    pub const fn any(what: &'static str, examples: &'static [&'static str]) -> Self {
        Self {
            what,
            pattern: None,
            examples,
            scalars: Scalars::Any,
        }
    }

    /// Text whose rule no number keeps.
    pub const fn ruled(
        what: &'static str,
        pattern: fn() -> String,
        examples: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            pattern: Some(pattern),
            examples,
            scalars: Scalars::Text,
        }
    }

    /// A name of ours, which may be `42`.
    pub const fn name(what: &'static str, examples: &'static [&'static str]) -> Self {
        Self {
            what,
            pattern: Some(pattern::name),
            examples,
            scalars: Scalars::NotNegative,
        }
    }
}

/// A network, or an address.
pub const NETWORK: Word = Word::ruled(
    "a network or an address",
    pattern::network,
    &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"],
);

/// The words of `choices`, for a [`Shape::Choice`] that is read with the same list.
pub fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// Rules of words as regular expressions that ECMA-262 reads, with its `u` flag too.
pub mod pattern {
    use crate::words::{NAME_PATTERN, Permission, PermissionPattern};

    /// Any IPv4 address.
    const IPV4: &str = concat!(
        r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])",
        r"(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}"
    );
    /// The name of a header field (RFC 9110 §5.1).
    const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

    /// A name of ours.
    pub fn name() -> String {
        NAME_PATTERN.to_owned()
    }

    /// `devices:view`.
    pub fn permission() -> String {
        Permission::PATTERN.to_owned()
    }

    /// `devices:view` or `devices:*`.
    pub fn permissions() -> String {
        PermissionPattern::PATTERN.to_owned()
    }

    /// Any IPv6 address: eight groups, or fewer with one `::`, the last two perhaps as IPv4.
    pub fn ipv6() -> String {
        let group = "[0-9A-Fa-f]{1,4}";
        let tail = format!("(?:{group}:{group}|{IPV4})");
        let mut forms = vec![format!("(?:{group}:){{6}}{tail}")];
        // `::` with up to `before` groups in front of it and `after` behind it.
        for after in 0..=7_usize {
            let before = 7 - after;
            let front = match before {
                0 => String::new(),
                1 => format!("(?:{group})?"),
                _ => format!("(?:(?:{group}:){{0,{}}}{group})?", before - 1),
            };
            let back = match after {
                0 => String::new(),
                1 => group.to_owned(),
                _ => format!("(?:{group}:){{{}}}{tail}", after - 2),
            };
            forms.push(format!("{front}::{back}"));
        }
        format!("(?:{})", forms.join("|"))
    }

    /// An address.
    pub fn address() -> String {
        format!("(?:{IPV4}|{})", ipv6())
    }

    /// A network or an address.
    pub fn network() -> String {
        let four = format!("{IPV4}(?:/(?:3[0-2]|[12]?[0-9]))?");
        let six = format!("{}(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?", ipv6());
        format!("(?:{four}|{six})")
    }

    /// A port, from `least`, which is 0 or 1.
    pub fn port(least: u8) -> String {
        let zero = if least == 0 { "0|" } else { "" };
        format!(
            "0*(?:{zero}[1-9][0-9]{{0,3}}|[1-5][0-9]{{4}}|6[0-4][0-9]{{3}}|65[0-4][0-9]{{2}}|655[0-2][0-9]|6553[0-5])"
        )
    }

    /// `127.0.0.1:7080` or `[::]:7080`.
    pub fn socket() -> String {
        format!(r"(?:{IPV4}|\[{}(?:%[0-9]+)?\]):{}", ipv6(), port(0))
    }

    /// The name of a header field.
    pub fn header() -> String {
        TOKEN.to_owned()
    }

    /// `text` in any case.
    pub fn any_case(text: &str) -> String {
        let both = |c: char| match c {
            'a'..='z' => format!("[{}{c}]", c.to_ascii_uppercase()),
            _ => escaped(c),
        };
        text.chars().map(both).collect()
    }

    /// Any of `texts`, each a pattern.
    pub fn any_of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
        let texts: Vec<_> = texts.into_iter().map(|it| it.as_ref().to_owned()).collect();
        format!("(?:{})", texts.join("|"))
    }

    /// `c`, and nothing else.
    pub fn escaped(c: char) -> String {
        if r"\^$.*+?()[]{}|/".contains(c) {
            format!("\\{c}")
        } else {
            c.to_string()
        }
    }
}
