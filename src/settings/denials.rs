//! `denials`: how many refusals are kept, and for how long.

use std::time::Duration;

use crate::words::Faults;
use crate::yaml::shape::{Keys, Known, Preset, Shape};
use crate::yaml::{Fields, Node, Value};

/// Refusals of known callers kept in memory: what a fleet that is being set up is refused in a day.
const KNOWN_DEFAULT: usize = 4096;
/// Refusals of strangers kept in memory. They have a room of their own, so that a scan from outside
/// pushes out nothing but itself.
const STRANGERS_DEFAULT: usize = 1024;
/// Memory that both may take, in bytes, a quarter of it for strangers. A refusal takes some 600.
const BYTES_DEFAULT: usize = 8 * 1024 * 1024;
/// Groups told apart by `denials top`, of known callers and of strangers each.
const GROUPS_DEFAULT: usize = 2000;
/// Refusals kept in the store, at some 700 bytes each: 14 MB.
const STORED_DEFAULT: usize = 20_000;
/// How long a refusal is kept: two weeks of shadow mode, and a weekend to look at them.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(17 * 24 * 60 * 60);

/// A million refusals are half a gigabyte; somebody who wants more wants the decision log.
const COUNT_LIMIT: u64 = 1_000_000;
/// Beyond this a decision log is the better place.
const BYTES_LIMIT: u64 = 1024 * 1024 * 1024;
/// More groups than anybody reads.
const GROUPS_LIMIT: u64 = 100_000;
/// Kept for less than a minute they would be gone before anybody asks.
const AGE_LEAST: Duration = Duration::from_secs(60);
/// Ten years.
const AGE_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How many refusals are kept.
pub(super) const KEYS: Keys = Keys {
    what: "`denials`",
    known: &[
        Known::new(
            "known",
            Shape::count(COUNT_LIMIT),
            "Most refusals of known callers in memory.",
        )
        .or(Preset::count(KNOWN_DEFAULT)),
        Known::new(
            "strangers",
            Shape::count(COUNT_LIMIT),
            "Most refusals of strangers in memory.",
        )
        .or(Preset::count(STRANGERS_DEFAULT)),
        Known::new(
            "bytes",
            Shape::count(BYTES_LIMIT),
            "Most memory that both may take, in bytes; a quarter is for strangers.",
        )
        .or(Preset::count(BYTES_DEFAULT)),
        Known::new(
            "groups",
            Shape::count(GROUPS_LIMIT),
            "Most groups that `denials top` tells apart, of known callers and of strangers each.",
        )
        .or(Preset::count(GROUPS_DEFAULT)),
        Known::new(
            "stored",
            Shape::count(COUNT_LIMIT),
            "Most refusals in the store; a fifth is for strangers.",
        )
        .or(Preset::count(STORED_DEFAULT)),
        Known::new(
            "max_age",
            Shape::span(AGE_LEAST, AGE_LIMIT),
            "How long one is kept.",
        )
        .or(Preset::Span(MAX_AGE_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

/// How many refusals are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denials {
    /// Whether any are kept at all.
    pub kept: bool,
    /// Most of known callers, in memory.
    pub known: usize,
    /// Most of strangers, in memory.
    pub strangers: usize,
    /// Most memory for both, in bytes.
    pub bytes: usize,
    /// Most groups that are counted apart, of known callers and of strangers each.
    pub groups: usize,
    /// Most in the store.
    pub stored: usize,
    /// Longest time one is kept.
    pub max_age: Duration,
}

impl Default for Denials {
    fn default() -> Self {
        Self {
            kept: true,
            known: KNOWN_DEFAULT,
            strangers: STRANGERS_DEFAULT,
            bytes: BYTES_DEFAULT,
            groups: GROUPS_DEFAULT,
            stored: STORED_DEFAULT,
            max_age: MAX_AGE_DEFAULT,
        }
    }
}

/// `off`, or a bound for each.
pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> Denials {
    let default = Denials::default();
    let Some(node) = node else {
        return default;
    };
    if matches!(&node.value, Value::Scalar(text) if text == "off") {
        return Denials {
            kept: false,
            ..default
        };
    }
    let Some(fields) = Fields::of(node, &KEYS, faults) else {
        return default;
    };
    let mut number = |name, default| fields.count(name, faults).unwrap_or(default);
    Denials {
        kept: true,
        known: number("known", default.known),
        strangers: number("strangers", default.strangers),
        bytes: number("bytes", default.bytes),
        groups: number("groups", default.groups),
        stored: number("stored", default.stored),
        max_age: fields
            .duration("max_age", faults)
            .unwrap_or(default.max_age),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    fn of(text: &str) -> Denials {
        let settings = Settings::from_text(Path::new("p.yaml"), text);
        settings.unwrap_or_else(|faults| panic!("{faults}")).denials
    }

    #[test]
    fn every_bound_has_a_default_and_can_be_set() {
        assert_eq!(of("ops: off\n"), Denials::default());
        let set = of(
            "denials: { known: 10, strangers: 5, bytes: 4096, groups: 3, stored: 20, max_age: 1h }\n",
        );
        assert_eq!((set.known, set.strangers, set.bytes), (10, 5, 4096));
        assert_eq!((set.groups, set.stored), (3, 20));
        assert_eq!(set.max_age, Duration::from_secs(3600));
        assert!(!of("denials: off\n").kept);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "denials: { known: 0 }",
            "denials: { age: 1h }",
            "denials: { max_age: 1s }",
        ] {
            assert!(
                Settings::from_text(Path::new("p.yaml"), text).is_err(),
                "{text}"
            );
        }
    }
}
