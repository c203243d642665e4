//! Who is asked about: everybody the files know, and whoever holds just enough.
//!
//! A store may hold accounts that the files do not know. Whatever such an account holds, it matters
//! only as far as it satisfies what counts for a request, and of all that satisfies it the least is the
//! one that the other version is most likely to refuse. So for each way to satisfy one version with as
//! little as possible (one permission of an `any`, a grant within one dimension that the route binds)
//! there is a caller who holds that and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use super::places::{Request, reads};
use super::{Both, Side, Who, form};
use crate::policy::{FileGrant, Policy, Requirement, Route, RouteBoundary};
use crate::words::{
    Account, AccountId, AddressRules, Boundary, Holding, Limit, PermissionId, PermissionSet,
};

/// Most ways to satisfy one request that are tried.
const WAYS_MAX: usize = 128;

/// A value no request says: a grant within it holds nowhere.
const NOWHERE: &str = "\u{fffd}";

/// Somebody to ask about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) who: Who,
    /// Not there at all where there is none.
    pub(super) old: Option<Arc<Account>>,
    pub(super) new: Option<Arc<Account>>,
    /// Whether it holds something else than before.
    pub(super) changed: bool,
    /// Whether it may hold more than the files say: members of a group, whoever has a role.
    pub(super) open: bool,
    /// One value for each set of its grants that list some.
    pub(super) values: Vec<String>,
}

/// Both accounts of a caller: before and after.
pub(super) type Accounts = (Option<Arc<Account>>, Option<Arc<Account>>);

/// The accounts, groups and roles of both versions.
pub(super) fn subjects(old: Side<'_>, new: Side<'_>) -> Vec<Subject> {
    let subject = |who, (before, after): Accounts, open| {
        let forms = (
            form::holdings(old.policy, before.as_deref()),
            form::holdings(new.policy, after.as_deref()),
        );
        Subject {
            who,
            changed: forms.0 != forms.1,
            open,
            values: values(before.as_deref(), after.as_deref()),
            old: before,
            new: after,
        }
    };
    let mut subjects = Vec::new();
    let names: BTreeSet<_> = old.accounts.keys().chain(new.accounts.keys()).collect();
    for name in names {
        let accounts = (
            old.accounts.get(name).cloned(),
            new.accounts.get(name).cloned(),
        );
        subjects.push(subject(Who::Account(name.to_string()), accounts, false));
    }
    let groups = |policy: &Policy| policy.groups.keys().cloned().collect::<BTreeSet<_>>();
    for name in groups(old.policy).union(&groups(new.policy)) {
        let of = |policy: &Policy| {
            let grants = policy
                .groups
                .get(name)
                .map_or(&[][..], |group| &group.grants);
            Some(account(
                grants
                    .iter()
                    .filter_map(|grant| granted(policy, grant))
                    .collect(),
            ))
        };
        let accounts = (of(old.policy), of(new.policy));
        subjects.push(subject(Who::Group(name.to_string()), accounts, true));
    }
    let roles = |policy: &Policy| policy.roles.keys().cloned().collect::<BTreeSet<_>>();
    for name in roles(old.policy).union(&roles(new.policy)) {
        let of = |policy: &Policy| {
            let role = policy.roles.get(name);
            let role =
                role.map(|role| held(role.gives.clone(), Box::default(), Boundary::default()));
            Some(account(role.into_iter().collect()))
        };
        let accounts = (of(old.policy), of(new.policy));
        subjects.push(subject(Who::Role(name.to_string()), accounts, true));
    }
    subjects
}

/// A known account that holds nothing.
pub(super) fn bare() -> Arc<Account> {
    account(Vec::new())
}

fn account(holdings: Vec<Holding>) -> Arc<Account> {
    Arc::new(Account {
        id: AccountId::random(),
        name: "somebody".parse().expect("a plain word is a name"),
        enabled: true,
        addresses: AddressRules::default(),
        holdings: holdings.into(),
        name_header: HeaderValue::from_static("somebody"),
        id_header: HeaderValue::from_static("somebody"),
    })
}

fn held(permissions: PermissionSet, limits: Box<[Limit]>, within: Boundary) -> Holding {
    Holding {
        role: "something".parse().expect("a plain word is a name"),
        permissions,
        limits,
        within,
        group: None,
    }
}

/// What a grant of the files gives; nothing if its role is not there.
fn granted(policy: &Policy, grant: &FileGrant) -> Option<Holding> {
    let role = policy.roles.get(&grant.role)?;
    let limits = limits(policy, &grant.within)?;
    Some(held(role.gives.clone(), limits, grant.within.clone()))
}

/// The limits of a boundary; none where a dimension is not declared: such a grant gives nothing.
fn limits(policy: &Policy, within: &Boundary) -> Option<Box<[Limit]>> {
    let limit = |(name, values): (&crate::words::DimensionName, &BTreeSet<String>)| {
        Some(Limit {
            dimension: policy.dimension_id(name.as_str())?,
            values: values.iter().map(|value| value.as_str().into()).collect(),
        })
    };
    within.iter().map(limit).collect()
}

/// One value for each set of grants that list it.
fn values(old: Option<&Account>, new: Option<&Account>) -> Vec<String> {
    let holdings =
        |account: Option<&Account>| account.map_or(Vec::new(), |it| it.holdings.to_vec());
    let all = holdings(old).into_iter().chain(holdings(new)).enumerate();
    let mut listed: BTreeMap<String, BTreeSet<(usize, String)>> = BTreeMap::new();
    for (number, holding) in all {
        for (dimension, values) in holding.within.iter() {
            for value in values {
                let by = listed.entry(value.clone()).or_default();
                by.insert((number, dimension.to_string()));
            }
        }
    }
    let mut kinds: BTreeMap<BTreeSet<(usize, String)>, String> = BTreeMap::new();
    for (value, by) in listed {
        kinds.entry(by).or_insert(value);
    }
    kinds.into_values().collect()
}

/// A permission that one route needs, in one way to satisfy all of them.
type Need<'p> = (&'p Route, PermissionId);

/// Every way to satisfy all routes with as few permissions as possible; and whether these are all.
fn ways<'p>(routes: &[&'p Arc<Route>]) -> (Vec<Vec<Need<'p>>>, bool) {
    let mut ways: Vec<Vec<Need<'p>>> = vec![Vec::new()];
    let mut whole = true;
    for route in routes {
        let choices: Vec<Vec<PermissionId>> = match &route.requirement {
            Requirement::Public | Requirement::AnyAccount => vec![Vec::new()],
            Requirement::All(ids) => vec![ids.clone()],
            Requirement::Any(ids) => ids.iter().map(|id| vec![*id]).collect(),
        };
        whole &= ways.len().saturating_mul(choices.len()) <= WAYS_MAX;
        let longer = |way: &Vec<Need<'p>>| -> Vec<Vec<Need<'p>>> {
            let with = |ids: &Vec<PermissionId>| {
                let more = ids.iter().map(|id| (&***route, *id));
                way.iter().copied().chain(more).collect()
            };
            choices.iter().map(with).collect()
        };
        ways = ways.iter().flat_map(longer).take(WAYS_MAX).collect();
    }
    (ways, whole)
}

/// A permission and where it is held.
type Grant = (String, Boundary);

/// Callers who hold just enough for one version: the new one, or the old one. What is held everywhere
/// comes before what is held within a boundary.
pub(super) fn holders(
    (old, new): (Side<'_>, Side<'_>),
    both: &Both<'_>,
    request: &Request,
    after: bool,
) -> (Vec<(Who, Accounts)>, bool) {
    let (policy, routes) = if after {
        (new.policy, &both.new)
    } else {
        (old.policy, &both.old)
    };
    let (ways, mut whole) = ways(routes);
    let mut seen: BTreeSet<Vec<Grant>> = BTreeSet::new();
    let mut holders = Vec::new();
    for way in ways.iter().filter(|way| !way.is_empty()) {
        let mut grants: Vec<Vec<Grant>> = vec![Vec::new()];
        for (route, id) in way {
            let places = places(policy, route, request);
            whole &= grants.len().saturating_mul(places.len()) <= WAYS_MAX;
            let longer = |held: &Vec<Grant>| -> Vec<Vec<Grant>> {
                let with = |place: &Boundary| {
                    let grant = (policy.permission(*id).to_string(), place.clone());
                    held.iter().cloned().chain([grant]).collect()
                };
                places.iter().map(with).collect()
            };
            grants = grants.iter().flat_map(longer).take(WAYS_MAX).collect();
        }
        for mut grants in grants {
            grants.sort();
            grants.dedup();
            if seen.insert(grants.clone()) {
                let of = |policy: &Policy| Some(holding(policy, &grants, &[]));
                let accounts = (of(old.policy), of(new.policy));
                holders.push((Who::Holder(told(&grants)), accounts));
            }
        }
    }
    (holders, whole)
}

/// Where a grant may hold so that it holds for this request: everywhere; or within one dimension that
/// the route binds; or, where any grant counts, in a place that nothing else is at.
fn places(policy: &Policy, route: &Route, request: &Request) -> Vec<Boundary> {
    let mut places = vec![Boundary::default()];
    if route.boundary == RouteBoundary::Forwarded && !policy.dimensions.is_empty() {
        let nowhere = policy.dimensions.iter();
        let nowhere = nowhere.map(|(name, _)| (name.clone(), NOWHERE.to_owned()));
        places.push(nowhere.collect());
    }
    for (spot, dimension, _) in reads(policy, route) {
        if let Some(value) = request.value(&spot) {
            let name = policy.dimension(dimension).clone();
            places.push(Boundary::from_iter([(name, value.to_owned())]));
        }
    }
    places
}

fn told(grants: &[Grant]) -> String {
    let one = |(permission, within): &Grant| {
        let limits: Vec<_> = within.iter().map(|(name, _)| name.as_str()).collect();
        if limits.is_empty() {
            return permission.clone();
        }
        format!("{permission} within a {}", limits.join(" and "))
    };
    let told: BTreeSet<String> = grants.iter().map(one).collect();
    told.into_iter().collect::<Vec<_>>().join(", ")
}

/// An account that holds what `holdings` say and these grants, as far as the policy knows them.
fn holding(policy: &Policy, grants: &[Grant], holdings: &[Holding]) -> Arc<Account> {
    let made = grants.iter().filter_map(|(name, within)| {
        let id = policy.permission_id(name)?;
        let limits = limits(policy, within)?;
        Some(held([id].into_iter().collect(), limits, within.clone()))
    });
    account(holdings.iter().cloned().chain(made).collect())
}

/// The same caller before and after, with what else is needed for each version: a role that gives one
/// of two permissions opens nothing by itself, and something to those who have the other.
pub(super) fn helped(
    (old, new): (Side<'_>, Side<'_>),
    both: &Both<'_>,
    subject: &Subject,
) -> (Vec<Accounts>, bool) {
    let mut seen: BTreeSet<Vec<Grant>> = BTreeSet::new();
    let mut helped = Vec::new();
    let mut all = true;
    for (policy, routes, own) in [
        (new.policy, &both.new, &subject.new),
        (old.policy, &both.old, &subject.old),
    ] {
        let has = |id: PermissionId| {
            own.iter()
                .any(|it| it.holdings.iter().any(|own| own.permissions.contains(id)))
        };
        let (ways, whole) = ways(routes);
        all &= whole;
        for way in ways {
            let lacking = way.iter().filter(|(_, id)| !has(*id));
            let lacking =
                lacking.map(|(_, id)| (policy.permission(*id).to_string(), Boundary::default()));
            let lacking: BTreeSet<Grant> = lacking.collect();
            let lacking: Vec<Grant> = lacking.into_iter().collect();
            if !lacking.is_empty() && lacking.len() < way.len() && seen.insert(lacking.clone()) {
                let of = |policy: &Policy, account: &Option<Arc<Account>>| {
                    let own = account.as_ref().map_or(&[][..], |it| &it.holdings);
                    Some(holding(policy, &lacking, own))
                };
                helped.push((of(old.policy, &subject.old), of(new.policy, &subject.new)));
            }
        }
    }
    (helped, all)
}

/// Addresses that show every difference between where two accounts may call from: networks nest or lie
/// apart, so their ends and what is beside them are enough.
pub(super) fn addresses(before: &Account, after: &Account) -> Vec<IpAddr> {
    let networks = before
        .addresses
        .networks()
        .iter()
        .chain(after.addresses.networks());
    let mut addresses = BTreeSet::new();
    for network in networks {
        let (first, last) = (network.network(), network.broadcast());
        addresses.extend([first, last]);
        addresses.extend(beside(first, false));
        addresses.extend(beside(last, true));
    }
    addresses.extend(
        ["0.0.0.1", "::2"]
            .iter()
            .filter_map(|it| it.parse::<IpAddr>().ok()),
    );
    addresses.into_iter().collect()
}

/// The address after, or before.
fn beside(address: IpAddr, after: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let number = u32::from(address);
            let number = if after {
                number.checked_add(1)
            } else {
                number.checked_sub(1)
            };
            number.map(|number| IpAddr::V4(number.into()))
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            let number = if after {
                number.checked_add(1)
            } else {
                number.checked_sub(1)
            };
            number.map(|number| IpAddr::V6(number.into()))
        }
    }
}
