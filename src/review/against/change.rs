//! What a comparison tells.

use serde::Serialize;

use crate::words::Method;

/// Which way something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More goes through.
    Widened,
    /// Less goes through.
    Narrowed,
}

/// Whose verdict changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Who {
    /// Who shows no credential.
    Nobody,
    /// A known account that holds nothing.
    AnyAccount,
    /// An account of the files.
    Account(String),
    /// A group of the files.
    Group(String),
    /// Whoever has a role, everywhere.
    Role(String),
    /// Whoever holds these permissions, as `devices:view within tenant`.
    Holder(String),
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Which way.
    pub change: Direction,
    /// Whose.
    pub who: Who,
    /// The method; none where every call of his is meant.
    pub method: Option<Method>,
    /// A request that shows it: path and query.
    pub target: Option<String>,
    /// Its host, if routes name hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its headers, if they count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Before.
    pub before: Told,
    /// After.
    pub after: Told,
    /// What else is let through, where the request itself was and is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// What a version says of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Told {
    /// `allow`, `shadow`, or the reason against it.
    pub verdict: String,
    /// The routes that count, the primary first.
    pub routes: Vec<String>,
}

/// Everything that changed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// The changes, those that widen first.
    pub changes: Vec<Change>,
    /// How many more there are.
    pub left_out: usize,
    /// How many calls both versions were asked about.
    pub calls: usize,
    /// Whether there were too many calls to put all of them: then what is not told may differ too.
    pub incomplete: bool,
}

impl Comparison {
    /// Says whether anything goes through that did not before, or nobody can tell.
    pub fn widens(&self) -> bool {
        self.incomplete
            || self.left_out > 0
            || self
                .changes
                .iter()
                .any(|it| it.change == Direction::Widened)
    }
}
