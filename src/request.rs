//! The target of a request: a path with one meaning, and a query nobody touches.
//!
//! A gateway and the API behind it can be made to disagree about a path: one decodes `%2e%2e`, the
//! other does not; one cuts `;x` off, the other keeps it. Whoever can make them disagree walks
//! around the rules. So a path is brought to one canonical form (escaped unreserved characters are
//! decoded, the escapes that remain are written in upper case, nothing else changes), that form is
//! matched, and that form is forwarded, byte for byte. What two readers could still take two ways
//! belongs to a [`PathClass`], and is refused unless somebody has said that it is safe.
//!
//! Not here: the other forms of a request target (`*`, `host:port`, `http://…`), which the
//! connection turns away or takes apart; and whether a class that *something* allows is allowed
//! where this request goes, which is known only after the match.

mod query;
mod scan;

use std::fmt;

use http::uri::PathAndQuery;

use crate::words::{ClassSet, PathClass};

/// A path in canonical form, and the query as it came.
///
/// Invariant: the path starts with `/`, and reading it again gives the same path and the same
/// classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    forwarded: PathAndQuery,
    classes: ClassSet,
}

impl Target {
    /// Reads the path of a request. A path that is canonical already is not copied.
    ///
    /// `allowed` are the classes that some route or upstream allows; whether they are allowed
    /// *here* is for the caller to ask after the match, see [`Target::classes`]. Classes that
    /// nobody may allow are refused even if they stand in it.
    ///
    /// # Errors
    ///
    /// The class that comes first in the path among those not allowed.
    pub fn parse(raw: &PathAndQuery, allowed: ClassSet) -> Result<Self, Ambiguous> {
        let text = raw.as_str();
        if text.starts_with('/') {
            let scanned = scan::scan(raw.path(), allowed)?;
            let Some(path) = scanned.canonical else {
                return Ok(Self {
                    forwarded: raw.clone(),
                    classes: scanned.classes,
                });
            };
            return Self::assemble(path, raw.query(), scanned.classes);
        }
        // `http://host?query` has an empty path, which means `/` (RFC 9110, 4.2.3). Anything else
        // that does not start with a slash is no path, and what it would be to others is unknown.
        if text.starts_with('?') {
            return Self::assemble("/".to_owned(), raw.query(), ClassSet::EMPTY);
        }
        Err(Ambiguous {
            class: PathClass::RawCharacter,
        })
    }

    /// Reads path and query as somebody typed them, for commands and tests. Refuses everything
    /// [`Target::parse`] refuses, and besides what could not have come in over the wire.
    ///
    /// # Errors
    ///
    /// Says what is wrong with `text`; the first fault from the left if there are several.
    pub fn from_text(text: &str, allowed: ClassSet) -> Result<Self, TargetError> {
        if !text.starts_with('/') {
            return Err(TargetError::NotAPath(text.to_owned()));
        }
        if text.len() > TARGET_BYTES_MAX {
            return Err(TargetError::TooLong(text.len()));
        }
        let (path, query) = match text.split_once('?') {
            // The `?` of `/a#b?c` belongs to the fragment; the scan meets the `#` first.
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let scanned = scan::scan(path, allowed)?;
        if let Some(class) = query.and_then(scan::fault_of_query) {
            return Err(Ambiguous { class }.into());
        }
        let path = scanned.canonical.unwrap_or_else(|| path.to_owned());
        Ok(Self::assemble(path, query, scanned.classes)?)
    }

    /// The target as it would come in if it were sent as `text`, which it was read from.
    pub fn as_sent(&self, text: &str) -> PathAndQuery {
        // What cannot be sent was turned away when it was read.
        text.parse().unwrap_or_else(|_| self.forwarded.clone())
    }

    /// The path, in canonical form.
    pub fn path(&self) -> &str {
        self.forwarded.path()
    }

    /// The query as it came, without the `?`; `Some("")` for `/path?`.
    pub fn query(&self) -> Option<&str> {
        self.forwarded.query()
    }

    /// Says whether the query asks the upstream to act on another method, as `_method=DELETE` does
    /// with many frameworks.
    pub fn overrides_method(&self) -> bool {
        self.query().is_some_and(query::overrides_method)
    }

    /// The classes the path shows, each of which must be allowed where the request goes.
    pub fn classes(&self) -> ClassSet {
        self.classes
    }

    /// What is forwarded, byte for byte.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.forwarded
    }

    fn assemble(
        mut path: String,
        query: Option<&str>,
        classes: ClassSet,
    ) -> Result<Self, Ambiguous> {
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        // A canonical path is never longer than it came and holds nothing `http` would refuse; the
        // one way to fail is a slash put before a query of the greatest length there is.
        let forwarded =
            PathAndQuery::from_maybe_shared(bytes::Bytes::from(path)).map_err(|_| Ambiguous {
                class: PathClass::RawCharacter,
            })?;
        Ok(Self { forwarded, classes })
    }
}

/// Longest target that can be represented, in bytes: a limit of the `http` crate, which counts in
/// 16 bits. What a listener reads is bounded much lower, by its settings.
pub const TARGET_BYTES_MAX: usize = 65_534;

/// A path that two readers could take two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// In which way.
    pub class: PathClass,
}

impl std::error::Error for Ambiguous {}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.class {
            PathClass::DotSegment => "`.` or `..` is a segment: send the path it leads to",
            PathClass::EmptySegment => {
                "nothing stands between two slashes: send one slash, or fill in the segment"
            }
            PathClass::EncodedSlash => "`%2F` is a slash to some and data to others",
            PathClass::Backslash => "`\\` is a slash to some and data to others",
            PathClass::EncodedPercent => "what follows `%25` may be decoded once more",
            PathClass::EncodedDelimiter => "`%3F` and `%23` end the path for some",
            PathClass::Semicolon => "`;` starts parameters for some and is data to others",
            PathClass::Fragment => "`#` ends the path for some: leave out what follows it",
            PathClass::RawCharacter => "it holds a character that must be percent-encoded",
            PathClass::NonUtf8 => "its escapes do not spell UTF-8",
            PathClass::BadEscape => "`%` is not followed by two hexadecimal digits",
            PathClass::Control => "it holds a control character",
        };
        write!(f, "`{}`: {remedy}", self.class)
    }
}

/// Why a text is not the target of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It can be read two ways.
    #[error("the path can be read two ways, {0}")]
    Ambiguous(#[from] Ambiguous),
    /// It is something else.
    #[error("`{0}` is not a path: expected one that starts with `/`, such as `/v1/items?page=2`")]
    NotAPath(String),
    /// It is too long, in bytes.
    #[error("the target is {0} bytes long, at most {TARGET_BYTES_MAX} can be sent")]
    TooLong(usize),
}

impl TargetError {
    /// The class, if it can be read two ways.
    pub fn class(&self) -> Option<PathClass> {
        match self {
            Self::Ambiguous(ambiguous) => Some(ambiguous.class),
            Self::NotAPath(_) | Self::TooLong(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
