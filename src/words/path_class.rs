//! The ways a path can be read two ways.

use std::fmt;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $allow:ident;)+) => {
        /// Why two readers could take one path for two different ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PathClass { $($(#[$doc])* $name,)+ }

        impl PathClass {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word for the class: in problem documents, logs, metrics and `unsafe_allow`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Where `unsafe_allow` may list the class.
            pub const fn allowable(self) -> Allowable {
                match self { $(Self::$name => Allowable::$allow,)+ }
            }
        }
    };
}

/// Where a class may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowable {
    /// Nowhere: no two readers agree on what it means.
    Never,
    /// On an upstream, whose own reading of it is then trusted for all its routes.
    Upstream,
    /// On an upstream or a route.
    Anywhere,
}

classes! {
    /// `.` or `..` as a whole segment.
    DotSegment = "dot_segment", Never;
    /// Nothing between two slashes.
    EmptySegment = "empty_segment", Upstream;
    /// `%2F`: a slash to some, data to others.
    EncodedSlash = "encoded_slash", Anywhere;
    /// `\` or `%5C`: a slash to some.
    Backslash = "backslash", Upstream;
    /// `%25`: what follows may be decoded once more.
    EncodedPercent = "encoded_percent", Anywhere;
    /// `%3F` or `%23`: the end of the path to a reader that decodes early.
    EncodedDelimiter = "encoded_delimiter", Anywhere;
    /// `;` or `%3B`: the start of parameters to some.
    Semicolon = "semicolon", Anywhere;
    /// `#`: cut off by some, data to others.
    Fragment = "fragment", Never;
    /// A character that RFC 3986 does not allow raw in a path.
    RawCharacter = "raw_character", Never;
    /// Escapes that do not spell UTF-8.
    NonUtf8 = "non_utf8", Anywhere;
    /// `%` without two hexadecimal digits.
    BadEscape = "bad_escape", Never;
    /// A control character, raw or encoded.
    Control = "control", Never;
}

impl PathClass {
    /// Says whether shadow mode may let the class through. What it may not is no path at all to some
    /// reader on the way, or ends a message early.
    pub const fn is_shadowable(self) -> bool {
        !matches!(
            self,
            Self::Fragment | Self::RawCharacter | Self::BadEscape | Self::Control
        )
    }
}

impl fmt::Display for PathClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassSet(u16);

const _: () = assert!(PathClass::ALL.len() <= 16, "a class is a bit of a u16");

impl ClassSet {
    /// No class.
    pub const EMPTY: Self = Self(0);

    /// This set and `class`.
    #[must_use]
    pub const fn with(self, class: PathClass) -> Self {
        Self(self.0 | 1 << class as u16)
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Says whether `class` is in the set.
    pub const fn contains(self, class: PathClass) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// Says whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes of the set, in the order of [`PathClass::ALL`].
    pub fn iter(self) -> impl Iterator<Item = PathClass> {
        PathClass::ALL
            .iter()
            .copied()
            .filter(move |class| self.contains(*class))
    }
}

impl FromIterator<PathClass> for ClassSet {
    fn from_iter<I: IntoIterator<Item = PathClass>>(classes: I) -> Self {
        classes.into_iter().fold(Self::EMPTY, Self::with)
    }
}
