//! The methods a route may name, as a closed set.
//!
//! Closed, because a method outside of it is answered 501 before anything else looks at it, and
//! because a metric label made from an open set could be filled by strangers. `CONNECT` and `TRACE`
//! are left out on purpose: a gateway has no use for either.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! methods {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// An HTTP method the gateway forwards (RFC 9110, RFC 5789, those of RFC 4918 and
        /// RFC 3253, `QUERY`, and `PURGE` as caches use it).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names say all there is")]
        pub enum Method { $(#[serde(rename = $text)] $name,)+ }

        impl Method {
            /// Every method.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The method as it stands in a request line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The method with exactly this name; methods are case-sensitive (RFC 9110 §9.1).
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

methods! {
    Get = "GET", Head = "HEAD", Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE",
    Options = "OPTIONS", Query = "QUERY", Propfind = "PROPFIND", Proppatch = "PROPPATCH",
    Mkcol = "MKCOL", Copy = "COPY", Move = "MOVE", Lock = "LOCK", Unlock = "UNLOCK",
    Report = "REPORT", Search = "SEARCH", Purge = "PURGE",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MethodSet(u32);

const _: () = assert!(Method::ALL.len() <= 32, "a method is a bit of a u32");

impl MethodSet {
    /// No method.
    pub const EMPTY: Self = Self(0);

    /// The set of one method.
    pub const fn of(method: Method) -> Self {
        Self(1 << method as u32)
    }

    /// This set and `method`.
    #[must_use]
    pub const fn with(self, method: Method) -> Self {
        Self(self.0 | 1 << method as u32)
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

    /// Says whether `method` is in the set.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u32) != 0
    }

    /// Says whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods of the set, in the order of [`Method::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL
            .iter()
            .copied()
            .filter(move |method| self.contains(*method))
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        methods.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// Comma and space between, as an `Allow` header has them (RFC 9110 §10.2.1).
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, method) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_reads_back_and_case_counts() {
        for method in Method::ALL {
            assert_eq!(Method::parse(method.as_str()), Some(*method));
            assert_eq!(Method::parse(&method.as_str().to_lowercase()), None);
        }
        assert_eq!(Method::parse("TRACE").or(Method::parse("CONNECT")), None);
    }

    #[test]
    fn a_set_prints_as_an_allow_header() {
        let set: MethodSet = [Method::Delete, Method::Get].into_iter().collect();
        assert_eq!(set.to_string(), "GET, DELETE");
        assert!(set.minus(set).is_empty() && set.intersection(set) == set);
    }
}
