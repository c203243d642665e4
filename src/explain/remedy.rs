//! The smallest change that would turn a refusal.
//!
//! Nothing is printed that was not tried: each change is made on an account that is only thought
//! of, and the decision is asked again. What does not turn the verdict is thrown away. Where one
//! change is not enough (an address and a role, two roles for two routes), several belong together.

use std::sync::Arc;

use serde::Serialize;

use super::Hypothesis;
use super::change::Line;
use super::opened::{Opened, Prober};
use super::search::{Found, Search};
use super::world::World;
use crate::decision::{Denial, Needs, Question};
use crate::policy::{Lookup, Policy};
use crate::reason::Reason;
use crate::words::{Account, PermissionSet, RoleName};

/// Most remedies that are shown, those that open least first.
const SHOWN_MAX: usize = 5;
/// Most ways that are compared by what else they open; those that give fewest permissions.
const COMPARED_MAX: usize = 16;

/// A way to allow a refused call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What to do: all of it.
    pub changes: Vec<Line>,
    /// What the account could do besides, if it is about an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens: Option<Opened>,
    /// How many other accounts would be given the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Remedy {
    pub(super) fn advice(text: impl Into<String>) -> Self {
        Self {
            changes: vec![Line::advice(text)],
            ..Self::default()
        }
    }

    /// Its lines as one text.
    pub fn text(&self) -> String {
        let line = |line: &Line| match (&line.into, &line.file) {
            (Some(into), Some(file)) => format!("{file}: add to {into}: {}", line.change),
            _ => line.change.clone(),
        };
        let lines: Vec<_> = self.changes.iter().map(line).collect();
        lines.join(" and ")
    }
}

/// What a stranger does to be known. A key that a listener does not take is like none, so it is said.
const CALL_AS_ONE: &str = "call with a token of an account, as `Authorization: Bearer`; or with a key, where the \
                           listener takes `basic` or `api_key`";

/// A refused call, and what could be changed.
pub(super) struct Case<'a> {
    pub(super) question: &'a Question<'a>,
    pub(super) call: &'a Hypothesis<'a>,
    pub(super) world: &'a World,
}

/// What would allow a refused call, what opens least first. For a caller whose rights are too few
/// every one was tried out.
pub(super) fn remedies(case: &Case<'_>, denial: &Denial) -> Vec<Remedy> {
    let account = denial.caller.as_ref().map(|caller| &caller.account);
    match (denial.reason.status().as_u16(), account) {
        (401, None) => {
            let mut remedy = Remedy::advice(CALL_AS_ONE);
            // Who he is would not help then.
            if let Lookup::Nothing = case.question.lookup {
                remedy.changes.push(new_route(case));
            }
            vec![remedy]
        }
        (401 | 403, Some(account)) => ranked(&Search::new(case, account), case, account, denial),
        (404, _) => vec![Remedy {
            changes: vec![new_route(case)],
            ..Remedy::default()
        }],
        (405, _) => vec![Remedy::advice(format!("use one of {}", denial.allow))],
        _ => Vec::new(),
    }
}

fn new_route(case: &Case<'_>) -> Line {
    let method = case.call.method;
    let path = case.question.target.path();
    Line::advice(format!(
        "add a route for `{method} {path}` to a policy file"
    ))
}

/// The roles that give what a refusal says is missing.
pub(super) fn roles_that_give<'w>(
    policy: &Policy,
    world: &'w World,
    denial: &Denial,
) -> Vec<&'w RoleName> {
    let ids = denial.missing.iter();
    let ids: Vec<_> = ids
        .filter_map(|name| policy.permission_id(name.as_str()))
        .collect();
    let any = matches!(denial.needs, Some(Needs::Any(_)));
    let gives = |set: &PermissionSet| match any {
        true => ids.iter().any(|id| set.contains(*id)),
        false => ids.iter().all(|id| set.contains(*id)),
    };
    let roles = world.roles.iter().filter(|(_, role)| gives(&role.gives));
    roles.map(|(name, _)| name).collect()
}

/// What was found, what opens least first; then what fewest others get; then what gives least.
fn ranked(
    search: &Search<'_>,
    case: &Case<'_>,
    account: &Arc<Account>,
    denial: &Denial,
) -> Vec<Remedy> {
    if denial.reason == Reason::AccountDisabled && !case.world.can_enable {
        return vec![Remedy::advice(
            "`portcullis status` says what stands against the account",
        )];
    }
    let mut found = search.found(denial);
    let given = |found: &Found| -> usize {
        let holdings = found.after.holdings.iter();
        holdings.map(|held| held.permissions.iter().count()).sum()
    };
    found.sort_by_cached_key(|found| (found.changes.len(), given(found)));
    found.truncate(COMPARED_MAX);
    let Some(asked) = search
        .routes
        .first()
        .map(|route| (route.id, case.call.method))
    else {
        return Vec::new();
    };
    if found.is_empty() {
        return Vec::new();
    }
    let prober = Prober::new(case.question.policy, account, &search.values());
    let mut ways: Vec<_> = found
        .iter()
        .map(|found| {
            let remedy = Remedy {
                changes: search.lines(&found.changes),
                opens: Some(prober.opened(&found.after, asked)),
                others: search.others(&found.changes),
            };
            (given(found), remedy)
        })
        .collect();
    ways.sort_by_cached_key(|(given, remedy)| {
        let opens = remedy.opens.as_ref().map_or(0, |opens| opens.operations);
        // A line more for one account before a line more for whoever holds a role.
        let shared = remedy.changes.iter().any(Line::is_about_a_role);
        let lines = remedy.changes.len();
        (opens, remedy.others, shared, lines, *given, remedy.text())
    });
    ways.into_iter()
        .take(SHOWN_MAX)
        .map(|(_, remedy)| remedy)
        .collect()
}
