//! Widenings that show at one place only: where templates cross behind several literals, deep in a table.
//!
//! The pairs of the search beside have a handful of shallow routes. Here each table has dozens that are
//! four or five segments deep and cross each other many times, one route is taken away or asks for less,
//! and requests are made of all its literals.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use portcullis::explain::{Hypothesis, supposed};
use portcullis::policy::Policy;
use portcullis::policy::matcher::Lookup;
use portcullis::review::against::Direction;
use portcullis::review::{Answer, ask};
use portcullis::words::Method;

use super::{Dice, HEAD, PEOPLE, accounts, compared, policy, stored};
use crate::harness::long;

const LITERALS: &[&str] = &["a", "b"];
const NEEDS: &[&str] = &["p:a", "p:b", "{ all: [p:a, p:b] }", "p:c", "any_account"];

/// Templates by their shapes, so that no two are one route, each with what it needs.
type Table = BTreeMap<String, (String, &'static str)>;

fn template(dice: &mut Dice) -> (String, String) {
    let (mut shape, mut text) = (String::new(), String::new());
    for number in 0..4 + dice.roll(2) {
        if dice.roll(2) == 0 {
            let literal = dice.of(LITERALS);
            shape += &format!("/{literal}");
            text += &format!("/{literal}");
        } else {
            shape += "/*";
            text += &format!("/{{x{number}}}");
        }
    }
    (shape, text)
}

fn table(dice: &mut Dice) -> Table {
    let mut table = Table::new();
    while table.len() < 24 {
        let (shape, text) = template(dice);
        let needs = dice.of(NEEDS);
        table.entry(shape).or_insert((text, needs));
    }
    table
}

fn text(table: &Table) -> String {
    let lines = table.values();
    let lines: String = lines
        .map(|(template, needs)| format!("  GET {template}: {needs}\n"))
        .collect();
    format!("{HEAD}{PEOPLE}routes:\n{lines}")
}

/// The names of the routes that count for a path.
fn met(policy: &Policy, path: &str) -> BTreeSet<String> {
    match policy.find(None, Method::Get, path).unwrap() {
        Lookup::Found(found) => {
            let routes = std::iter::once(found.primary).chain(found.also.iter().copied());
            routes.map(|id| policy.route(id).name.clone()).collect()
        }
        Lookup::OtherMethods(_) | Lookup::Nothing => BTreeSet::new(),
    }
}

/// A path that a template covers.
fn filled(template: &str, dice: &mut Dice) -> String {
    let parts = template.split('/').skip(1);
    let part = |part| match part {
        "*" => format!("/{}", dice.of(&["a", "b", "z"])),
        literal => format!("/{literal}"),
    };
    parts.map(part).collect()
}

#[test]
fn a_widening_behind_literals_deep_in_a_table_is_told_with_the_routes_that_make_it() {
    let pairs: u64 = long::sized(24, 1_000);
    let (mut shown, mut of_several) = (0, 0);
    for seed in 1..=pairs {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let before = table(&mut dice);
        let mut after = before.clone();
        let changed = before.keys().nth(dice.roll(before.len())).unwrap();
        let (template, _) = before[changed].clone();
        if dice.roll(2) == 0 {
            after.remove(changed);
        } else {
            after.insert(changed.clone(), (template, "any_account"));
        }
        let (old, new) = (
            policy(&text(&before)).unwrap(),
            policy(&text(&after)).unwrap(),
        );
        let comparison = compared(&old, &new);
        assert!(!comparison.incomplete, "seed {seed}");
        let told = comparison.changes.iter();
        let told = told.filter(|it| it.change == Direction::Widened);
        let routes = told.map(|it| it.after.routes.iter().cloned().collect());
        let told: BTreeSet<BTreeSet<String>> = routes.collect();
        let mut callers = vec![(None, None)];
        for grants in ["{ role: ra }", "{ role: rb }", "{ role: ra }, { role: rb }"] {
            callers.push((Some(stored(&old, grants)), Some(stored(&new, grants))));
        }
        let (one, other) = (accounts(&old), accounts(&new));
        let both = |it| (one.get(it).cloned(), other.get(it).cloned());
        callers.extend(one.keys().map(both));
        for _ in 0..300 {
            let path = filled(changed, &mut dice);
            let (was, is) = callers[dice.roll(callers.len())].clone();
            let through = |policy: &Policy, account: Option<_>| {
                let call = Hypothesis {
                    method: Method::Get,
                    target: &path,
                    host: None,
                    headers: &HeaderMap::new(),
                    caller: account.map(supposed),
                    source: None,
                };
                !matches!(ask(policy, &call).answer, Answer::Refused(_))
            };
            if through(&new, is) && !through(&old, was) {
                shown += 1;
                let routes = met(&new, &path);
                of_several += usize::from(routes.len() > 1);
                assert!(
                    told.contains(&routes),
                    "seed {seed}: {path} goes through by {routes:?}, told is {told:?}"
                );
            }
        }
    }
    assert!(
        shown > pairs as usize && of_several > pairs as usize,
        "{shown} {of_several}"
    );
}
