//! Looks for changes that turn a refusal, by trying them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::{Change, Line, can_be_written};
use super::remedy::Case;
use super::sample::Values;
use super::supposed;
use crate::decision::{self, Denial, Outcome, place};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Requirement, Route, RouteBoundary};
use crate::reason::Reason;
use crate::words::{
    Account, Boundary, DimensionName, Permission, PermissionId, PermissionSet, RoleName,
};

/// Most dimensions that a boundary is put together of; every subset of them is tried.
const DIMENSIONS_MAX: usize = 4;
/// Most boundaries of an account that are tried for a new grant of it.
const OWN_BOUNDARIES_MAX: usize = 8;
/// Most values of one dimension that are looked at for what else a change opens.
const OWN_VALUES_MAX: usize = 8;

/// A way that was tried and works.
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    /// The account as it would be.
    pub(super) after: Arc<Account>,
}

/// Looks for ways to allow one call of one account.
pub(super) struct Search<'a> {
    case: &'a Case<'a>,
    policy: &'a Policy,
    account: &'a Arc<Account>,
    /// The routes that have to be satisfied, the primary first.
    pub(super) routes: Vec<&'a Arc<Route>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(case: &'a Case<'a>, account: &'a Arc<Account>) -> Self {
        let policy = case.question.policy;
        let routes = match case.question.lookup {
            Lookup::Found(found) => std::iter::once(&found.primary)
                .chain(&found.also)
                .map(|id| policy.route(*id))
                .collect(),
            Lookup::OtherMethods(_) | Lookup::Nothing => Vec::new(),
        };
        Self {
            case,
            policy,
            account,
            routes,
        }
    }

    pub(super) fn found(&self, denial: &Denial) -> Vec<Found> {
        let mut base = Vec::new();
        if denial.reason == Reason::AccountDisabled {
            base.push(Change::Enable);
        }
        if let Some(source) = self.case.call.source
            && !self.account.addresses.admit(source)
        {
            base.push(Change::Address(source));
        }
        if let Some(enough) = self.try_out(&base) {
            return vec![enough];
        }
        if self.routes.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .one_role(&base)
            .into_iter()
            .chain(self.wider_role(&base))
            .collect();
        if found.is_empty() {
            found.extend(self.several_roles(&base));
        }
        if found.is_empty() {
            found.extend(self.new_role(&base));
        }
        found
    }

    /// The account after `changes`, if the call is allowed then.
    fn try_out(&self, changes: &[Change]) -> Option<Found> {
        let mut account = (**self.account).clone();
        for change in changes {
            change.apply(&mut account, self.policy, self.case.world);
        }
        let after = Arc::new(account);
        let caller = supposed(Arc::clone(&after));
        let allowed = matches!(
            decision::decide(self.case.question, Ok(Some(caller))),
            Outcome::Allowed(_)
        );
        allowed.then(|| Found {
            changes: changes.to_vec(),
            after,
        })
    }

    fn with(&self, base: &[Change], more: impl IntoIterator<Item = Change>) -> Option<Found> {
        let changes: Vec<_> = base.iter().cloned().chain(more).collect();
        self.try_out(&changes)
    }

    /// Each role that is enough, within the narrowest boundary that is.
    fn one_role(&self, base: &[Change]) -> Vec<Found> {
        let boundaries = self.boundaries();
        let try_role = |role: &RoleName| {
            boundaries
                .iter()
                .find_map(|within| self.with(base, [granted(role, within)]))
        };
        self.helpful_roles()
            .into_iter()
            .filter_map(try_role)
            .collect()
    }

    /// Each role of the account that would be enough if it gave more.
    fn wider_role(&self, base: &[Change]) -> Vec<Found> {
        let held: BTreeSet<_> = self
            .account
            .holdings
            .iter()
            .map(|held| &held.role)
            .collect();
        let known = held.into_iter().filter_map(|name| {
            let role = self.case.world.roles.get(name)?;
            Some((name, &role.gives))
        });
        known
            .flat_map(|(role, gives)| self.widened(base, role, gives))
            .collect()
    }

    fn widened(&self, base: &[Change], role: &RoleName, gives: &PermissionSet) -> Vec<Found> {
        let lacking: Vec<_> = self
            .wanted()
            .into_iter()
            .filter(|id| !gives.contains(*id))
            .collect();
        let widen = |ids: &[PermissionId]| Change::Widen {
            role: role.clone(),
            permissions: self.names(ids),
        };
        let alone = lacking
            .iter()
            .filter_map(|id| self.with(base, [widen(&[*id])]));
        let alone: Vec<_> = alone.collect();
        if !alone.is_empty() {
            return alone;
        }
        fewest(&lacking, |ids| self.with(base, [widen(ids)]))
            .into_iter()
            .collect()
    }

    /// Several roles that are enough together: for each permission the smallest role that gives it.
    fn several_roles(&self, base: &[Change]) -> Option<Found> {
        let smallest = |id: PermissionId| {
            let roles = self.case.world.roles.iter();
            let roles = roles.filter(|(_, role)| self.case.world.may_be_granted(role));
            let giving = roles.filter(|(_, role)| role.gives.contains(id));
            let smallest = giving.min_by_key(|(name, role)| (role.gives.iter().count(), *name));
            smallest.map(|(name, _)| name)
        };
        let roles: BTreeSet<_> = self.wanted().into_iter().filter_map(smallest).collect();
        let roles: Vec<_> = roles.into_iter().collect();
        let boundaries = self.boundaries();
        boundaries.iter().find_map(|within| {
            let grants = |roles: &[&RoleName]| -> Vec<Change> {
                roles.iter().map(|role| granted(role, within)).collect()
            };
            fewest(&roles, |roles| self.with(base, grants(roles)))
        })
    }

    /// A role made for it, where no role there is would do.
    fn new_role(&self, base: &[Change]) -> Option<Found> {
        let name = self.free_name()?;
        let boundaries = self.boundaries();
        boundaries.iter().find_map(|within| {
            fewest(&self.wanted(), |ids| {
                let role = Change::NewRole {
                    role: name.clone(),
                    permissions: self.names(ids),
                    within: within.clone(),
                };
                self.with(base, [role])
            })
        })
    }

    fn free_name(&self) -> Option<RoleName> {
        let short: String = self.account.name.as_str().chars().take(60).collect();
        let names = (1..100).map(|number| format!("{short}-{number}"));
        let mut names = names.filter_map(|name| name.parse::<RoleName>().ok());
        names.find(|name| !self.case.world.roles.contains_key(name))
    }

    /// The permissions that the routes of the call speak of.
    fn wanted(&self) -> Vec<PermissionId> {
        let mut wanted = BTreeSet::new();
        for route in &self.routes {
            match &route.requirement {
                Requirement::Public | Requirement::AnyAccount => {}
                Requirement::All(ids) | Requirement::Any(ids) => wanted.extend(ids),
            }
        }
        wanted.into_iter().collect()
    }

    fn names(&self, ids: &[PermissionId]) -> Vec<Permission> {
        ids.iter()
            .map(|id| self.policy.permission(*id).clone())
            .collect()
    }

    /// The roles that give some of it.
    fn helpful_roles(&self) -> Vec<&'a RoleName> {
        let wanted = self.wanted();
        let roles = self.case.world.roles.iter();
        let roles = roles.filter(|(_, role)| self.case.world.may_be_granted(role));
        let helpful = roles.filter(|(_, role)| wanted.iter().any(|id| role.gives.contains(*id)));
        helpful.map(|(name, _)| name).collect()
    }

    /// The values that the call names, of each dimension.
    fn named(&self) -> Vec<(DimensionName, BTreeSet<String>)> {
        let mut named = BTreeMap::<DimensionName, BTreeSet<String>>::new();
        for route in &self.routes {
            let question = self.case.question;
            let Ok(bounds) = place::read(route, question.target, question.headers) else {
                continue;
            };
            for bound in bounds {
                let dimension = self.policy.dimension(bound.dimension).clone();
                named.entry(dimension).or_default().extend(bound.values);
            }
        }
        let can_be = |value: &String| can_be_written(value, &self.case.world.managed);
        let sound = named
            .into_iter()
            .filter(|(_, values)| !values.is_empty() && values.iter().all(can_be));
        sound.collect()
    }

    /// Where a grant could hold, the narrowest first, everywhere last.
    fn boundaries(&self) -> Vec<Boundary> {
        let mut named = self.named();
        named.truncate(DIMENSIONS_MAX);
        let mut subsets: Vec<Vec<usize>> = (0..1_usize << named.len())
            .map(|bits| {
                (0..named.len())
                    .filter(|place| bits >> place & 1 == 1)
                    .collect()
            })
            .collect();
        subsets.sort_by_key(|subset| std::cmp::Reverse(subset.len()));
        let boundary = |subset: Vec<usize>| -> Boundary {
            let parts = subset.into_iter().filter_map(|place| named.get(place));
            let pairs = parts.flat_map(|(dimension, values)| {
                values
                    .iter()
                    .map(|value| (dimension.clone(), value.clone()))
            });
            pairs.collect()
        };
        let mut all: Vec<_> = subsets.into_iter().map(boundary).collect();
        let mut routes = self.routes.iter();
        if routes.any(|route| route.boundary == RouteBoundary::Forwarded) {
            // There the request names no place, and what the account has elsewhere will do.
            let own: BTreeSet<_> = self
                .account
                .holdings
                .iter()
                .map(|held| &held.within)
                .collect();
            let own = own.into_iter().filter(|within| !within.is_everywhere());
            all.splice(0..0, own.take(OWN_BOUNDARIES_MAX).cloned());
        }
        all
    }

    /// The values that make a difference: those the call names, and those the account has already.
    pub(super) fn values(&self) -> Values {
        let mut values = Values::new();
        let named = self.named().into_iter().filter_map(|(dimension, named)| {
            Some((self.policy.dimension_id(dimension.as_str())?, named))
        });
        for (dimension, named) in named {
            values.entry(dimension).or_default().extend(named);
        }
        for limit in self.account.holdings.iter().flat_map(|held| &held.limits) {
            let known = values.entry(limit.dimension).or_default();
            for value in limit.values.iter().take(OWN_VALUES_MAX) {
                if known.len() < OWN_VALUES_MAX && !known.iter().any(|one| **one == **value) {
                    known.push(value.to_string());
                }
            }
        }
        values
    }

    pub(super) fn lines(&self, changes: &[Change]) -> Vec<Line> {
        let lines = changes
            .iter()
            .map(|change| change.lines(self.account, self.case.world));
        lines.flatten().collect()
    }

    pub(super) fn others(&self, changes: &[Change]) -> usize {
        let widened = changes.iter().filter_map(|change| match change {
            Change::Widen { role, .. } => self.case.world.holders.get(role),
            Change::Enable | Change::Address(_) | Change::Grant { .. } | Change::NewRole { .. } => {
                None
            }
        });
        widened.sum()
    }
}

fn granted(role: &RoleName, within: &Boundary) -> Change {
    Change::Grant {
        role: role.clone(),
        within: within.clone(),
    }
}

/// As few of `all` as are enough, if all of them are.
fn fewest<T: Copy>(all: &[T], try_out: impl Fn(&[T]) -> Option<Found>) -> Option<Found> {
    let mut best = try_out(all)?;
    let mut kept = all.to_vec();
    for one in (0..all.len()).rev() {
        let fewer: Vec<T> = kept
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != one)
            .map(|(_, item)| *item)
            .collect();
        if !fewer.is_empty()
            && let Some(found) = try_out(&fewer)
        {
            best = found;
            kept = fewer;
        }
    }
    Some(best)
}
