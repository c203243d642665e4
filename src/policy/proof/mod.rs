//! What can be proven of a policy before anybody calls: what is not wrong, and should be looked at.
//!
//! Part of compiling, so that a reload looks as hard as `check` does. What cannot stand at all is a
//! fault, and is said by `compile`; here are warnings and notes, each under a rule of the one table
//! ([`Rule`]). They are grouped by the route, role or permission that has to be changed, and bounded:
//! a list that nobody reads to its end warns of nothing.
//!
//! Not here: what a request would be answered. That is for `decision`, and for `review`, which asks it.

pub mod asks;
mod methods;
mod overlaps;
mod people;
mod reach;
mod shadow;

use std::collections::BTreeMap;

use super::compile::Context;
use super::{Policy, Route};
use crate::words::{Level, Permission, Place, Rule};

/// Most findings of one rule that are kept: the rest is counted.
pub const FINDINGS_OF_A_RULE_MAX: usize = 100;

/// Most places that one finding points at besides its own.
pub const RELATED_MAX: usize = 5;

/// Something that should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// How much it weighs.
    pub level: Level,
    /// Where to change something.
    pub place: Place,
    /// What was found: one sentence without a full stop.
    pub message: String,
    /// What else it is about, at most [`RELATED_MAX`].
    pub related: Vec<Related>,
}

/// A place that a finding is about besides its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What stands there.
    pub message: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    /// How many more there are, by their rule.
    left_out: BTreeMap<Rule, usize>,
}

impl Finding {
    pub(super) fn new(rule: Rule, place: &Place, message: String) -> Self {
        Self {
            rule,
            level: rule.level(),
            place: place.clone(),
            message,
            related: Vec::new(),
        }
    }

    fn note(self) -> Self {
        Self {
            level: Level::Note,
            ..self
        }
    }

    /// Points at routes and what they ask for, as many as a finding may.
    fn about<'a>(self, policy: &Policy, routes: impl Iterator<Item = &'a Route>) -> Self {
        let related = |route: &Route| Related {
            place: route.place.clone(),
            message: format!("`{}` asks for {}", route.name, asks::asked(policy, route)),
        };
        Self {
            related: routes.take(RELATED_MAX).map(related).collect(),
            ..self
        }
    }
}

impl Findings {
    /// Adds a finding, or counts it where there are enough of its rule.
    pub(super) fn push(&mut self, finding: Finding) {
        let of_rule = self.list.iter().filter(|it| it.rule == finding.rule);
        if of_rule.count() < FINDINGS_OF_A_RULE_MAX {
            self.list.push(finding);
        } else {
            *self.left_out.entry(finding.rule).or_default() += 1;
        }
    }

    /// The findings, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// How many more there are of a rule.
    pub fn left_out(&self) -> impl Iterator<Item = (Rule, usize)> {
        self.left_out.iter().map(|(rule, count)| (*rule, *count))
    }

    /// How many there are of a level, those left out too.
    pub fn count(&self, level: Level) -> usize {
        let listed = self.list.iter().filter(|it| it.level == level).count();
        let left_out = self.left_out().filter(|(rule, _)| rule.level() == level);
        listed + left_out.map(|(_, count)| count).sum::<usize>()
    }

    fn sort(&mut self) {
        let key = |it: &Finding| (it.place.clone(), it.rule, it.message.clone());
        self.list.sort_by_cached_key(key);
    }
}

/// Looks at a policy that holds. `places` says where its permissions are declared.
pub(super) fn prove(
    policy: &Policy,
    context: &Context,
    places: &BTreeMap<&Permission, &Place>,
) -> Findings {
    let mut findings = Findings::default();
    overlaps::prove(policy, &mut findings);
    methods::prove(policy, &mut findings);
    reach::prove(policy, context, &mut findings);
    people::prove(policy, context, places, &mut findings);
    shadow::prove(policy, &mut findings);
    findings.sort();
    findings
}

/// `1 route`, `3 routes`.
fn several(count: usize, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

#[cfg(test)]
mod tests;
