//! What differs from another version of the policy: the review that a change needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::output::Output;
use super::super::table::View;
use super::super::{Context, Failure};
use super::report::Line;
use super::{compiled, settings_in};
use crate::directory::Directory;
use crate::policy::Policy;
use crate::review::against::{Change, Comparison, Direction, Side, Told, Who, compare};
use crate::settings::Settings;
use crate::words::{Account, AccountName, Place, Rule};

/// What changes look like.
const VIEW: View = View {
    plural: "verdicts that change",
    name: "example",
    columns: &[
        ("change", "change"),
        ("methods", "methods"),
        ("route", "route"),
        ("before", "before"),
        ("after", "after"),
        ("who", "who"),
        ("example", "example"),
    ],
};

/// Most callers that one row names.
const NAMED_MAX: usize = 4;

/// The comparison of `new` with the policy in `folder`; where that has no settings of its own it is held
/// against those of the new one.
///
/// # Errors
///
/// What is wrong with the files of `folder`.
pub(super) fn with(
    folder: &Path,
    (new, settings): (&Policy, Option<&Settings>),
    context: &Context<'_>,
) -> Result<Comparison, Failure> {
    let own = settings_in(Some(folder), context)?.transpose()?;
    let old = match &own {
        Some(own) => compiled(&own.policies, Some(own))?,
        None => compiled(folder, settings)?,
    };
    let (before, after) = (accounts(&old), accounts(new));
    let old = Side {
        policy: &old,
        accounts: &before,
    };
    let new = Side {
        policy: new,
        accounts: &after,
    };
    Ok(compare(old, new))
}

fn accounts(policy: &Policy) -> BTreeMap<AccountName, Arc<Account>> {
    let directory = Directory::of_files(policy).directory;
    let names = policy.accounts.keys();
    let known = names.filter_map(|name| {
        let account = directory.account_named(name.as_str())?;
        Some((name.clone(), Arc::clone(account)))
    });
    known.collect()
}

/// What is wrong with a comparison that widens.
pub(super) fn fault(comparison: &Comparison, policy: &Policy, folder: &Path) -> Option<Line> {
    if !comparison.widens() {
        return None;
    }
    let first = policy.routes.first();
    let place = first.map_or_else(
        || Place::whole("policies"),
        |it| Place::whole(&*it.place.file),
    );
    let changes = comparison.changes.iter();
    let count = changes.filter(|it| it.change == Direction::Widened).count() + comparison.left_out;
    let message = if comparison.incomplete && count == 0 {
        format!(
            "there are too many calls to put all of them before this policy and `{}`: what was not asked may be wider",
            folder.display()
        )
    } else {
        let verdicts = if count == 1 {
            "1 verdict widens"
        } else {
            &*format!("{count} verdicts widen")
        };
        format!(
            "{verdicts} compared with `{}`: look at each, and say `--allow-widening` if that is meant",
            folder.display()
        )
    };
    Some(Line::at(&place, Rule::VerdictsWidened, message))
}

/// Prints the changes for people: one row for all whom it changes alike.
pub(super) fn print(comparison: &Comparison, output: &mut Output) -> Result<(), Failure> {
    let mut rows = Rows::new();
    for change in &comparison.changes {
        let row = Row {
            change: change.change,
            method: change.method.map_or_else(String::new, |it| it.to_string()),
            before: &change.before,
            after: &change.after,
            options: &change.options,
        };
        let (who, _) = rows.entry(row).or_insert_with(|| (BTreeSet::new(), change));
        who.insert(&change.who);
    }
    fold_heads(&mut rows);
    let rows: Value = rows
        .iter()
        .map(|(row, (who, change))| row.drawn(who, change))
        .collect();
    output.answer(&rows, &VIEW)?;
    if comparison.left_out > 0 {
        output.remark(format_args!("and {} changes more", comparison.left_out))?;
    }
    if comparison.incomplete {
        output.remark("not every call was asked: there were too many")?;
    }
    Ok(())
}

/// Whom each of them changes, and a call that shows it.
type Rows<'c> = BTreeMap<Row<'c>, (BTreeSet<&'c Who>, &'c Change)>;

/// A HEAD that changes as the GET of the same routes does, for the same callers, is no row of its own.
fn fold_heads(rows: &mut Rows<'_>) {
    let gets = rows.iter().filter(|(row, _)| row.method == "GET");
    let gets: Vec<_> = gets
        .map(|(row, (who, _))| (row.clone(), who.clone()))
        .collect();
    for (get, who) in gets {
        let by = |method: &str| Row {
            method: method.to_owned(),
            ..get.clone()
        };
        let head = by("HEAD");
        if rows.get(&head).is_some_and(|(other, _)| *other == who)
            && let Some(both) = rows.remove(&get)
        {
            rows.remove(&head);
            rows.insert(by("GET,HEAD"), both);
        }
    }
}

/// What people see as one change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row<'c> {
    change: Direction,
    method: String,
    before: &'c Told,
    after: &'c Told,
    options: &'c [String],
}

impl Row<'_> {
    fn drawn(&self, who: &BTreeSet<&Who>, change: &Change) -> Value {
        let routes = |told: &Told| told.routes.join(" + ");
        let (old, new) = (routes(self.before), routes(self.after));
        let route = match (old == new, old.is_empty(), new.is_empty()) {
            (true, true, _) => "every call".to_owned(),
            (true, false, _) | (false, _, true) => old,
            (false, true, false) => new,
            (false, false, false) => format!("{new}, before {old}"),
        };
        let named: Vec<String> = who.iter().take(NAMED_MAX).map(|who| name(who)).collect();
        let mut named = named.join("; ");
        if who.len() > NAMED_MAX {
            named += &format!("; and {} more", who.len() - NAMED_MAX);
        }
        let after = if self.options.is_empty() {
            self.after.verdict.clone()
        } else {
            self.options.join(", ")
        };
        let target = change.target.as_deref().unwrap_or("-");
        json!({
            "change": change.change,
            "route": route,
            "before": self.before.verdict,
            "after": after,
            "who": named,
            "example": format!("{} {target}", self.method.replace(",HEAD", "")).trim(),
            "methods": if self.method.is_empty() { "every method" } else { &*self.method },
        })
    }
}

fn name(who: &Who) -> String {
    match who {
        Who::Nobody => "without a credential".to_owned(),
        Who::AnyAccount => "any account".to_owned(),
        Who::Account(name) => format!("account {name}"),
        Who::Group(name) => format!("group {name}"),
        Who::Role(name) => format!("role {name}"),
        Who::Holder(grants) => format!("whoever holds {grants}"),
    }
}
