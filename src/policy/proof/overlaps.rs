//! Routes that match a path in common: those that must both be satisfied, and those that ask for less
//! and stand behind others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Findings, asks, several};
use crate::policy::overlap::Relation;
use crate::policy::{Overlap, Policy, Route};
use crate::words::{Level, RouteId, Rule, Spelling};

pub(super) fn prove(policy: &Policy, findings: &mut Findings) {
    let mut both: BTreeMap<RouteId, BTreeSet<RouteId>> = BTreeMap::new();
    let mut behind: BTreeMap<RouteId, Behind> = BTreeMap::new();
    for overlap in &policy.overlaps {
        let (first, second) = (policy.route(overlap.first), policy.route(overlap.second));
        match overlap.relation {
            Relation::Crossing | Relation::Same => {
                if first.requirement != second.requirement || first.boundary != second.boundary {
                    let later = overlap.first.max(overlap.second);
                    let earlier = overlap.first.min(overlap.second);
                    both.entry(later).or_default().insert(earlier);
                }
            }
            Relation::Inside => {
                if let Some(weight) = weight(policy, overlap, (first, second)) {
                    behind
                        .entry(overlap.second)
                        .or_default()
                        .add(weight, overlap.first);
                }
            }
            Relation::Around | Relation::Disjoint => {} // the narrower one stands first
        }
    }
    for (later, earlier) in both {
        let others: Vec<_> = earlier.iter().map(|id| &**policy.route(*id)).collect();
        findings.push(asks_both(policy, policy.route(later), &others));
    }
    for (weak, behind) in behind {
        findings.push(stands_behind(policy, policy.route(weak), &behind));
    }
}

/// The routes that a weaker one stands behind, by how much that weighs.
#[derive(Default)]
struct Behind(BTreeMap<Level, BTreeSet<RouteId>>);

impl Behind {
    fn add(&mut self, level: Level, strong: RouteId) {
        self.0.entry(level).or_default().insert(strong);
    }

    /// Those that weigh most.
    fn heaviest(&self) -> Option<(Level, &BTreeSet<RouteId>)> {
        let (level, routes) = self.0.last_key_value()?;
        Some((*level, routes))
    }
}

/// How much it weighs that a wider route asks for less than a narrower one; nothing if it does not,
/// or if no other spelling of the narrower one's paths falls to it.
fn weight(policy: &Policy, overlap: &Overlap, (strong, weak): (&Route, &Route)) -> Option<Level> {
    if asks::as_much(weak, strong) {
        return None;
    }
    let open = !asks::is_listed(weak) || (weak.shadow && !strong.shadow);
    if strong.upstream != weak.upstream {
        // What falls through goes to another API, which knows nothing of the path.
        return open.then_some(Level::Note);
    }
    if open {
        return Some(Level::Warning);
    }
    if !weak.template.has_rest() {
        let falls = !overlap.spelling.any_case && says_letters(strong, weak);
        return falls.then_some(Level::Note);
    }
    let by_roles = asks::as_much_by_roles(policy, weak, strong);
    Some(if by_roles {
        Level::Note
    } else {
        Level::Warning
    })
}

/// Says whether the narrower route has a letter where the wider one takes anything: in other case
/// the path is still one of the wider route.
fn says_letters(strong: &Route, weak: &Route) -> bool {
    let letters = strong.template.as_str().split('/');
    let mut pairs = letters.zip(weak.template.as_str().split('/'));
    pairs.any(|(strong, weak)| {
        let literal = strong
            .split('{')
            .map(|part| part.rsplit('}').next().unwrap_or(part));
        strong != weak
            && weak.contains('{')
            && literal
                .flat_map(str::chars)
                .any(|c| c.is_ascii_alphabetic())
    })
}

fn asks_both(policy: &Policy, later: &Route, others: &[&Route]) -> Finding {
    let same = |other: &&&Route| other.requirement == later.requirement;
    let told = |route: &Route| {
        let asked = asks::asked(policy, route);
        if others.iter().any(|other| same(&other)) {
            return format!("{asked}, {}", asks::bound(policy, route));
        }
        asked
    };
    let example = others.first();
    let (name, asked) = example.map_or_else(Default::default, |it| (&*it.name, told(it)));
    let and = if others.len() > 1 {
        format!("one of {} others, such as ", others.len())
    } else {
        String::new()
    };
    let message = format!(
        "a request that matches both `{}` ({}) and {and}`{name}` ({asked}) must satisfy both",
        later.name,
        told(later),
    );
    Finding::new(Rule::OverlapAsksBoth, &later.place, message).about(policy, others.iter().copied())
}

fn stands_behind(policy: &Policy, weak: &Route, behind: &Behind) -> Finding {
    let (level, strong) = behind
        .heaviest()
        .unwrap_or((Level::Note, const { &BTreeSet::new() }));
    let routes: Vec<&Route> = strong.iter().map(|id| &**policy.route(*id)).collect();
    let more = if asks::is_listed(weak) {
        "what it does not"
    } else {
        "more"
    };
    let routes_need = if routes.len() == 1 {
        "1 route that needs".to_owned()
    } else {
        format!("{} that need", several(routes.len(), "route"))
    };
    let spelling = policy
        .overlaps
        .iter()
        .find(|overlap| overlap.second == weak.id && strong.contains(&overlap.first))
        .map_or_else(Spelling::default, |overlap| overlap.spelling);
    let message = format!(
        "`{}` is {} and stands behind {routes_need} {more}, such as `{}`: {}",
        weak.name,
        asks::asked(policy, weak),
        routes.first().map_or("", |route| &route.name),
        consequence(weak, spelling),
    );
    let finding = Finding::new(Rule::WeakerBehind, &weak.place, message);
    Finding { level, ..finding }.about(policy, routes.into_iter())
}

/// What becomes of a path in a spelling that the stronger route does not match.
fn consequence(weak: &Route, spelling: Spelling) -> &'static str {
    let Spelling {
        any_case,
        any_slash,
    } = spelling;
    match (any_slash, any_case) {
        (false, false) if !weak.template.has_rest() => "a path in other case falls to it",
        (false, false) => {
            "another spelling of a path, with a slash at the end or in other case, falls to it"
        }
        (true, false) => "a path in other case falls to it, for case counts with its upstream",
        (false, true) => {
            "a path with a slash at the end falls to it, for the slash counts with its upstream"
        }
        (true, true) => "what its upstream takes for the same path in yet another way falls to it",
    }
}
