//! `rates`: how often an account may ask, and how any rate is written.

use std::time::Duration;

use crate::words::{Faults, Rate};
use crate::yaml::shape::{Keys, Known, Preset, Shape, Word};
use crate::yaml::{Fields, Node, Value};

/// Tokens one account may ask for. A token lasts for minutes, so a client that wants more of them than
/// this forgets what it has; a thousand pods that start at once get theirs.
const TOKEN_ENDPOINT_DEFAULT: Rate = Rate::new(100, Duration::from_secs(1)).at_once(1000);
/// The same, as it is written in a file.
const TOKEN_ENDPOINT_WRITTEN: &str = "100/s";

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSettings {
    /// What each account may do on all routes together, if there is a bound.
    pub account: Option<Rate>,
    /// Tokens each account may ask for.
    pub token_endpoint: Rate,
    /// Whether a refusal says in `RateLimit` and `RateLimit-Policy` which rate was exceeded.
    pub headers: bool,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            account: None,
            token_endpoint: TOKEN_ENDPOINT_DEFAULT,
            headers: false,
        }
    }
}

/// A rate: `100/s`, or that and how many at once.
pub(crate) const RATE: Shape = Shape::Either(&[Shape::Text(WRITTEN), Shape::Keys(&PARTS)]);

const WRITTEN: Word = Word::ruled("a rate", Rate::pattern, &["100/s", "600/m"]);

const PARTS: Keys = Keys {
    what: "a rate",
    known: &[
        Known::new(
            "limit",
            Shape::Text(WRITTEN),
            "How often: `100/s`, `600/m` or `5000/h`.",
        )
        .required(),
        Known::new(
            "burst",
            Shape::count(Rate::COUNT_MAX as u64),
            "How many at once, after a rest. Without it, as many as stand before the `/`.",
        ),
    ],
    later: &[],
    rules: &[],
};

pub(super) const KEYS: Keys = Keys {
    what: "`rates`",
    known: &[
        Known::new(
            "account",
            RATE,
            "What each account may do on all routes together. Without it there is no such bound; routes may have bounds of their own.",
        ),
        Known::new(
            "token_endpoint",
            RATE,
            "Tokens each account may ask for; without it as many as 1000 at once.",
        )
        .or(Preset::Word(TOKEN_ENDPOINT_WRITTEN)),
        Known::new(
            "headers",
            Shape::Boolean,
            "A refusal for a rate carries `RateLimit` and `RateLimit-Policy`, which are a draft still, beside `Retry-After`.",
        )
        .or(Preset::Boolean(false)),
    ],
    later: &[],
    rules: &[],
};

/// A rate, as it stands in either kind of file.
pub(crate) fn rate(node: &Node, faults: &mut Faults) -> Option<Rate> {
    if let Value::Scalar(_) = &node.value {
        return node.word("a rate such as `100/s`", faults);
    }
    let fields = Fields::of(node, &PARTS, faults)?;
    let burst = fields.number("burst", faults);
    let Some(limit) = fields.get("limit") else {
        return node.expected(
            "a rate with a `limit`, such as `{ limit: 100/s, burst: 20 }`",
            faults,
        );
    };
    let rate: Rate = limit.word("a rate such as `100/s`", faults)?;
    let burst = burst.and_then(|burst| u32::try_from(burst).ok());
    Some(burst.map_or(rate, |burst| rate.at_once(burst)))
}

/// `rates`; every default where it is left out.
pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> RateSettings {
    let mut rates = RateSettings::default();
    let Some(fields) = node.and_then(|node| Fields::of(node, &KEYS, faults)) else {
        return rates;
    };
    rates.account = fields.get("account").and_then(|node| rate(node, faults));
    if let Some(rate) = fields
        .get("token_endpoint")
        .and_then(|node| rate(node, faults))
    {
        rates.token_endpoint = rate;
    }
    rates.headers = fields.boolean("headers", faults).unwrap_or(false);
    rates
}
