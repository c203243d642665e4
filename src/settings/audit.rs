//! `audit`: how much of the audit trail is kept, and for how long.

use std::time::Duration;

use crate::words::Faults;
use crate::yaml::shape::{Keys, Known, Preset, Shape};
use crate::yaml::{Fields, Node};

/// How long a record is kept: a year, and the month in which that year is looked into.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Records kept, at some 900 bytes each with what they are found by: 0.9 GB, or a change every half
/// minute for a year.
const RECORDS_DEFAULT: usize = 1_000_000;

/// Kept for less than a day it is no trail.
const AGE_LEAST: Duration = Duration::from_secs(24 * 60 * 60);
/// A hundred years.
const AGE_LIMIT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Some hundred gigabytes.
const RECORDS_LIMIT: u64 = 100_000_000;

/// How much is kept.
pub(super) const KEYS: Keys = Keys {
    what: "`audit`",
    known: &[
        Known::new(
            "max_age",
            Shape::span(AGE_LEAST, AGE_LIMIT),
            "How long a record of the audit trail is kept.",
        )
        .or(Preset::Span(MAX_AGE_DEFAULT)),
        Known::new(
            "records",
            Shape::count(RECORDS_LIMIT),
            "Most records of the audit trail; the oldest go first.",
        )
        .or(Preset::count(RECORDS_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

/// How much of the audit trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Longest time a record is kept.
    pub max_age: Duration,
    /// Most records.
    pub records: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            max_age: MAX_AGE_DEFAULT,
            records: RECORDS_DEFAULT,
        }
    }
}

/// A bound for each.
pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> Audit {
    let default = Audit::default();
    let Some(fields) = node.and_then(|node| Fields::of(node, &KEYS, faults)) else {
        return default;
    };
    Audit {
        max_age: fields
            .duration("max_age", faults)
            .unwrap_or(default.max_age),
        records: fields.count("records", faults).unwrap_or(default.records),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn both_bounds_have_a_default_and_can_be_set() {
        let of = |text: &str| {
            Settings::from_text(Path::new("p.yaml"), text)
                .unwrap()
                .audit
        };
        assert_eq!(of("ops: off\n"), Audit::default());
        let set = of("audit: { max_age: 90d, records: 5000 }\n");
        assert_eq!(set.max_age, Duration::from_secs(90 * 24 * 60 * 60));
        assert_eq!(set.records, 5000);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "audit: off",
            "audit: { max_age: 1h }",
            "audit: { records: 0 }",
        ] {
            let read = Settings::from_text(Path::new("p.yaml"), text);
            assert!(read.is_err(), "{text}");
        }
    }
}
