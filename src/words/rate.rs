//! How often something may happen: `100/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::NameError;

/// So many in a span of time, and how many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many in [`Self::per`]; at least one.
    pub count: u32,
    /// The span.
    pub per: Duration,
    /// How many at once, after a rest; at least one.
    pub burst: u32,
}

impl Rate {
    /// The most that may be written in front of the unit: more than one process answers.
    pub const COUNT_MAX: u32 = 1_000_000;

    /// `count` in `per`, and as many at once.
    pub const fn new(count: u32, per: Duration) -> Self {
        Self {
            count,
            per,
            burst: count,
        }
    }

    /// The same, with another number at once.
    #[must_use]
    pub const fn at_once(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    /// The rule of its text as a regular expression, without anchors.
    pub fn pattern() -> String {
        "(?:[1-9][0-9]{0,5}|1000000)/[smh]".to_owned()
    }
}

/// Units a rate is written in.
const UNITS: [(&str, Duration); 3] = [
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
];

impl FromStr for Rate {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let read = || {
            let (count, unit) = text.split_once('/')?;
            let (_, per) = UNITS.iter().find(|(word, _)| *word == unit)?;
            let digits = count.bytes().all(|byte| byte.is_ascii_digit());
            let count = count.parse().ok().filter(|_| digits)?;
            let is_plain = (1..=Self::COUNT_MAX).contains(&count) && !text.starts_with('0');
            is_plain.then(|| Self::new(count, *per))
        };
        read().ok_or_else(|| {
            NameError::new(
                text,
                "a rate",
                "a number from 1 to 1000000 and a unit, such as `100/s`, `600/m` or `5000/h`",
            )
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, per)| *per == self.per) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count),
            None => write!(
                f,
                "{} in {}",
                self.count,
                humantime::format_duration(self.per)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for (text, count, secs) in [
            ("1/s", 1, 1),
            ("600/m", 600, 60),
            ("1000000/h", 1_000_000, 3600),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate, Rate::new(count, Duration::from_secs(secs)));
            assert_eq!(rate.to_string(), text);
        }
        for bad in [
            "",
            "/s",
            "0/s",
            "01/s",
            "+1/s",
            "-1/s",
            "1",
            "1/",
            "1/d",
            "1 /s",
            "1/s ",
            "1000001/s",
            "1e3/s",
            "1.5/s",
            "99999999999/s",
        ] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
