//! `keys`: how long a key may live, and how early its end is spoken of.

use std::time::Duration;

use crate::words::Faults;
use crate::yaml::shape::{Keys, Known, Preset, Shape};
use crate::yaml::{Fields, Node};

/// How long before its end a key is spoken of: two weeks, so that a holiday does not hide it.
const WARN_BEFORE_DEFAULT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Shortest life of a key that may be demanded: less is what tokens are for.
const LIFETIME_LEAST: Duration = Duration::from_secs(60);
/// Ten years: whoever wants more wants no bound.
const SPAN_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How long keys may live.
pub(super) const KEYS: Keys = Keys {
    what: "`keys`",
    known: &[
        Known::new(
            "max_lifetime",
            Shape::span(LIFETIME_LEAST, SPAN_LIMIT),
            "Longest life of a key that is made, imported, rotated or extended from now on. Without it, any.",
        ),
        Known::new(
            "warn_before",
            Shape::span(Duration::ZERO, SPAN_LIMIT),
            "How long before its end a key is spoken of, in the log, in metrics and in `keys list`.",
        )
        .or(Preset::Span(WARN_BEFORE_DEFAULT)),
    ],
    later: &[],
    rules: &[],
};

/// How long keys may live, and when their end is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeys {
    /// Longest life of a new key; `None` is no bound.
    pub max_lifetime: Option<Duration>,
    /// How long before its end a key is spoken of.
    pub warn_before: Duration,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self {
            max_lifetime: None,
            warn_before: WARN_BEFORE_DEFAULT,
        }
    }
}

pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> ApiKeys {
    let default = ApiKeys::default();
    let Some(fields) = node.and_then(|node| Fields::of(node, &KEYS, faults)) else {
        return default;
    };
    ApiKeys {
        max_lifetime: fields.duration("max_lifetime", faults),
        warn_before: fields
            .duration("warn_before", faults)
            .unwrap_or(default.warn_before),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_key_lives_as_long_as_is_said_and_for_any_time_if_nothing_is() {
        let of = |text: &str| {
            let settings = Settings::from_text(Path::new("p.yaml"), text);
            settings.map(|settings| settings.keys)
        };
        assert_eq!(of("ops: off\n").unwrap(), ApiKeys::default());
        let set = of("keys: { max_lifetime: 90d, warn_before: 7d }\n").unwrap();
        let days = |count: u64| Duration::from_secs(count * 24 * 60 * 60);
        assert_eq!(set.max_lifetime, Some(days(90)));
        assert_eq!(set.warn_before, days(7));
        for text in ["keys: { max_lifetime: 1s }", "keys: { max_life: 90d }"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
