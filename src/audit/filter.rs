//! Which records somebody asks for.

use serde::{Deserialize, Serialize};

use crate::words::UnixTime;

/// How many are shown when nobody says.
const LIMIT_DEFAULT: usize = 50;
/// Most records of one page: 64 MiB if each of them were as long as one may be.
pub const PAGE_MAX: usize = 1000;

/// Which records somebody asks for; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Those that concern the account of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Those by this user, user id or account, or by the `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Those of this event, such as `key.create`, or of all of a kind, such as `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Those of this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixTime>,
    /// Those before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixTime>,
    /// Those with a lower number than this: the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Filter {
    /// How many to show at once.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, PAGE_MAX)
    }
}
