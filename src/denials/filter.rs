//! Which refusals somebody asks for.

use serde::{Deserialize, Serialize};

use super::record::Decision;
use super::{Group, Record};
use crate::words::{AccountName, UnixTime};

/// How many are shown when nobody says.
const LIMIT_DEFAULT: usize = 50;
/// Most that are shown at once.
const LIMIT_MAX: usize = 10_000;

/// Which refusals somebody asks for; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Those of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// Those whose route has this in its name, or, where there is no route, their path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Those for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Those that were seen at this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixTime>,
    /// Only those that were not enforced.
    #[serde(default)]
    pub shadow: bool,
    /// Only those that were let through and failed. Without it none of these.
    #[serde(default)]
    pub failed: bool,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Filter {
    /// How many to show.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX)
    }

    /// Says whether it asks for `record`.
    pub fn admits(&self, record: &Record) -> bool {
        self.admits_row(
            (
                record.account.as_ref(),
                record.route.as_deref().or(Some(&record.path)),
            ),
            (&record.reason, record.decision),
            record.at,
        )
    }

    fn admits_row(
        &self,
        (account, route): (Option<&AccountName>, Option<&str>),
        (reason, decision): (&str, Decision),
        last: UnixTime,
    ) -> bool {
        let is = |asked: Option<&str>, has: &str| asked.is_none_or(|asked| asked == has);
        let of = self.account.is_none() || self.account.as_ref() == account;
        let on = self
            .route
            .as_ref()
            .is_none_or(|part| route.is_some_and(|route| route.contains(part.as_str())));
        let failed = decision == Decision::Allow;
        of && on
            && is(self.reason.as_deref(), reason)
            && self.since.is_none_or(|since| last >= since)
            && (!self.shadow || decision == Decision::ShadowDeny)
            && self.failed == failed
    }

    /// The groups it asks for, most often counted first.
    pub fn top(&self, mut groups: Vec<Group>) -> Vec<Group> {
        groups.retain(|group| {
            self.admits_row(
                (
                    group.account.as_ref(),
                    group.route.as_deref().or(group.path.as_deref()),
                ),
                (&group.reason, group.decision),
                group.last_at,
            )
        });
        groups.sort_by(|one, other| {
            let rank = |group: &Group| (std::cmp::Reverse(group.count), group.key());
            rank(one).cmp(&rank(other))
        });
        groups.truncate(self.limit());
        groups
    }
}
