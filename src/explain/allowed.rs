//! Everything an account may do: its whole table, asked of the decision route by route.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::sample::{self, Sample, Values};
use super::supposed;
use crate::policy::{Policy, Requirement, Route, RouteBoundary};
use crate::words::{Account, Boundary, DimensionName, MethodSet, RoleName};

/// Most values of one dimension that are looked at.
const VALUES_MAX: usize = 64;

/// A route that an account may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allowed {
    /// The route, as written.
    pub route: String,
    /// The methods of it that the account may use.
    pub methods: Vec<&'static str>,
    /// The path template.
    pub path: String,
    /// Where it may.
    pub within: Where,
    /// The roles by which it may; none where any account may, or anybody.
    pub by: Vec<RoleName>,
    /// Where the route is written.
    pub file: String,
}

/// Where an account may do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Where {
    /// A word: `everywhere`, or `forwarded` where the upstream filters by the account's boundaries.
    Word(&'static str),
    /// In one of these.
    Places(Vec<Boundary>),
}

impl std::fmt::Display for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Places(places) => {
                let places: Vec<_> = places.iter().map(ToString::to_string).collect();
                f.write_str(&places.join(" or "))
            }
        }
    }
}

/// Asks for one account.
#[derive(Debug)]
pub struct Asker<'a> {
    policy: &'a Policy,
    account: Option<&'a Arc<Account>>,
    values: Values,
}

impl<'a> Asker<'a> {
    /// Asks for `account`, or for nobody: then only what is public is allowed.
    pub fn new(policy: &'a Policy, account: Option<&'a Arc<Account>>) -> Self {
        let mut values = Values::new();
        let holdings = account.into_iter().flat_map(|account| &account.holdings);
        for limit in holdings.flat_map(|held| &held.limits) {
            let known = values.entry(limit.dimension).or_default();
            for value in &limit.values {
                if known.len() < VALUES_MAX && !known.iter().any(|one| **one == **value) {
                    known.push(value.to_string());
                }
            }
        }
        Self {
            policy,
            account,
            values,
        }
    }

    /// Every route that the account may call, in the order of the files.
    pub fn table(&self) -> Vec<Allowed> {
        let routes = self.policy.routes.iter();
        routes.filter_map(|route| self.route(route)).collect()
    }

    /// What it may do of one route.
    pub fn route(&self, route: &Arc<Route>) -> Option<Allowed> {
        let (samples, _) = sample::of_route(self.policy, route, &self.values);
        let caller = || self.account.map(|account| supposed(Arc::clone(account)));
        let allowed: Vec<_> = samples
            .into_iter()
            .filter(|sample| sample.is_allowed(self.policy, caller()))
            .collect();
        let methods: MethodSet = allowed.iter().map(|sample| sample.method).collect();
        let first = allowed.first()?;
        // Methods of one route ask the same; where other routes count for some of them, they are
        // told apart by what the first one may.
        let places: Vec<_> = allowed
            .iter()
            .filter(|sample| sample.method == first.method)
            .collect();
        Some(Allowed {
            route: route.name.clone(),
            methods: methods.iter().map(crate::words::Method::as_str).collect(),
            path: route.template.to_string(),
            within: self.within(route, &places),
            by: self.by(route),
            file: route.place.to_string(),
        })
    }

    fn within(&self, route: &Route, allowed: &[&Sample]) -> Where {
        if matches!(
            route.requirement,
            Requirement::Public | Requirement::AnyAccount
        ) {
            return Where::Word("everywhere");
        }
        if route.boundary == RouteBoundary::Forwarded {
            return Where::Word("forwarded");
        }
        let everywhere = |sample: &&&Sample| sample.place.iter().all(|(_, value)| value.is_none());
        if allowed.iter().any(|sample| everywhere(&sample)) {
            return Where::Word("everywhere");
        }
        Where::Places(self.merged(allowed))
    }

    /// Places that differ in one dimension alone become one; a place whose value for a dimension
    /// does not matter does not name it.
    fn merged(&self, allowed: &[&Sample]) -> Vec<Boundary> {
        type Named<'n> = BTreeMap<DimensionName, &'n str>;
        let named = |sample: &&'_ Sample| -> BTreeMap<DimensionName, String> {
            let values = sample.place.iter().filter_map(|(dimension, value)| {
                Some((self.policy.dimension(*dimension).clone(), value.clone()?))
            });
            values.collect()
        };
        let all: Vec<_> = allowed.iter().map(named).collect();
        let places: Vec<Named<'_>> = all
            .iter()
            .map(|place| {
                place
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str()))
                    .collect()
            })
            .collect();
        // One that holds within a wider one says nothing new.
        let wider = |place: &Named<'_>| {
            places.iter().any(|other| {
                other.len() < place.len()
                    && other
                        .iter()
                        .all(|(name, value)| place.get(name) == Some(value))
            })
        };
        let widest: Vec<_> = places.iter().filter(|place| !wider(place)).collect();
        let mut merged: BTreeMap<Vec<&DimensionName>, Vec<Boundary>> = BTreeMap::new();
        for place in widest {
            let names: Vec<_> = place.keys().collect();
            let pairs = place
                .iter()
                .map(|(name, value)| (name.clone(), (*value).to_owned()));
            let known = merged.entry(names).or_default();
            match known.first_mut() {
                Some(first) if place.len() == 1 => {
                    pairs.for_each(|(name, value)| first.insert(name, value));
                }
                Some(_) | None => known.push(pairs.collect()),
            }
        }
        merged.into_values().flatten().collect()
    }

    /// The roles that give what the route asks for.
    fn by(&self, route: &Route) -> Vec<RoleName> {
        let (Requirement::All(ids) | Requirement::Any(ids)) = &route.requirement else {
            return Vec::new();
        };
        let holdings = self
            .account
            .into_iter()
            .flat_map(|account| &account.holdings);
        let giving = holdings.filter(|held| ids.iter().any(|id| held.permissions.contains(*id)));
        let roles: BTreeSet<_> = giving.map(|held| held.role.clone()).collect();
        roles.into_iter().collect()
    }
}
