//! A refusal, and what a known caller is told about it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::policy::Route;
use crate::policy::cors::Cors;
use crate::reason::Reason;
use crate::words::{Caller, DimensionName, MethodSet, PathClass, Permission, Rate};

/// A refusal: one reason, and what a known caller is told about it.
#[derive(Clone, Debug)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// The primary route, if any matched.
    pub route: Option<Arc<Route>>,
    /// What the routes say of pages of other sites, if they say the same.
    pub cors: Option<Arc<Cors>>,
    /// Who asked, if known.
    pub caller: Option<Caller>,
    /// What the failing route needs.
    pub needs: Option<Needs>,
    /// The permissions that are missing.
    pub missing: Vec<Permission>,
    /// The place that was asked for: where no grant holds, or where the missing permission is needed.
    pub boundary: Vec<(DimensionName, Option<String>)>,
    /// The methods the path exists under.
    pub allow: MethodSet,
    /// Why the path is ambiguous.
    pub class: Option<PathClass>,
    /// When it is worth another try, of what may not be done as often.
    pub limited: Option<Limited>,
    /// What exactly is malformed, in words of ours.
    pub hint: Option<&'static str>,
    /// The status it is told with, where that is not the one of its reason: at token endpoints, which have
    /// a vocabulary of their own.
    pub told_with: Option<StatusCode>,
}

/// How long somebody has to wait who did something too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Until then nothing changes.
    pub wait: Duration,
    /// What was exceeded, if that is told: its name and how often it may be done.
    pub quota: Option<(&'static str, Rate)>,
}

/// What a route needs, in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All of these.
    All(Vec<Permission>),
    /// One of these.
    Any(Vec<Permission>),
}

impl Denial {
    /// A refusal for `reason` of which nothing else is known.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            route: None,
            cors: None,
            caller: None,
            needs: None,
            missing: Vec::new(),
            boundary: Vec::new(),
            allow: MethodSet::EMPTY,
            class: None,
            limited: None,
            hint: None,
            told_with: None,
        }
    }

    /// The status it is told with.
    pub fn status(&self) -> StatusCode {
        self.told_with.unwrap_or(self.reason.status())
    }

    /// The refusal of a source that has to wait for so long.
    pub fn throttled(wait: Duration) -> Self {
        Self {
            limited: Some(Limited { wait, quota: None }),
            ..Self::new(Reason::SourceThrottled)
        }
    }

    /// The same, with words of ours that say what exactly is wrong.
    #[must_use]
    pub fn because(reason: Reason, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..Self::new(reason)
        }
    }

    /// One sentence for a person. For a stranger it is the title of the reason again.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a reason without a word of its own has the general one"
    )]
    pub fn sentence(&self) -> String {
        let title = self.reason.title();
        let account = self
            .caller
            .as_ref()
            .map(|caller| caller.account.name.as_str());
        match self.reason {
            Reason::PathAmbiguous => match self.class {
                Some(class) => format!("{title}: {}", class.code()),
                None => title.to_owned(),
            },
            Reason::PermissionMissing => {
                let missing: Vec<_> = self.missing.iter().map(AsRef::as_ref).collect();
                let or = matches!(self.needs, Some(Needs::Any(_)));
                let missing = missing.join(if or { " or " } else { " and " });
                format!("`{}` lacks {missing}", account.unwrap_or("the account"))
            }
            Reason::OutsideBoundary if self.boundary.is_empty() => format!(
                "`{}` holds the permission only within a boundary, and only grants without one count here",
                account.unwrap_or("the account")
            ),
            Reason::OutsideBoundary => {
                let place = self.boundary.iter().map(|(dimension, value)| match value {
                    Some(value) => format!("{dimension} {value:?}"),
                    None => format!("no {dimension}"),
                });
                let place = place.collect::<Vec<_>>().join(", ");
                format!(
                    "`{}` holds the permission, but not at {place}",
                    account.unwrap_or("the account")
                )
            }
            Reason::MethodNotAllowed => format!("{title}: it is there for {}", self.allow),
            _ if self.hint.is_some() => format!("{title}: {}", self.hint.unwrap_or_default()),
            _ => title.to_owned(),
        }
    }
}

impl From<crate::request::Ambiguous> for Denial {
    fn from(ambiguous: crate::request::Ambiguous) -> Self {
        Self {
            class: Some(ambiguous.class),
            ..Self::new(Reason::PathAmbiguous)
        }
    }
}

#[cfg(test)]
mod tests;
