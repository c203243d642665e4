//! Questions about who may do what: one call, a whole table, a permission, everybody.
//!
//! All of them ask the decision that requests are judged by. Nothing is changed and nothing is
//! remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::desk::{Answer, Desk, conflict, invalid, not_found};
use super::{AdminError, ErrorKind, Grant, MatrixBy};
use crate::directory::Resolver;
use crate::explain::{self, Asker, Depth, KnownRole, Managed, World};
use crate::words::{Account, AccountName, AddressRules, Method, Permission, PermissionId, nearest};

/// Most cells of a matrix: a thousand accounts and two hundred permissions fit, and take some ten
/// megabytes of the memory that requests are served with.
const CELLS_MAX: usize = 200_000;
/// Longest text that the cells of a matrix may add up to, in bytes. A boundary may name a thousand values,
/// and each cell names its boundary.
const CELLS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What an account is called that is only thought of.
const SOMEBODY: &str = "somebody";

/// Who is meant: an account, or grants for one that is only thought of.
pub(super) type Who = (Option<AccountName>, Vec<Grant>);

/// A request that is only thought of.
pub(super) struct Explain {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) who: Who,
    pub(super) host: Option<String>,
    pub(super) from: Option<IpAddr>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) depth: Depth,
}

/// What would happen to a request, by the decision itself.
pub(super) fn explain(desk: &Desk<'_>, question: &Explain) -> Answer {
    let (account, world) = meant(desk, &question.who)?;
    let headers = headers(&question.headers)?;
    let call = explain::Hypothesis {
        method: question.method,
        target: &question.target,
        host: question.host.as_deref(),
        headers: &headers,
        caller: account.map(explain::supposed),
        source: question.from,
    };
    shown(&explain::explain_in(
        desk.policy(),
        &call,
        &world,
        question.depth,
    ))
}

pub(super) fn shown(told: &impl serde::Serialize) -> Answer {
    serde_json::to_value(told)
        .map_err(|error| AdminError::new(ErrorKind::Unavailable, error.to_string()))
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, AdminError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) else {
            return Err(invalid(format!(
                "`{}` is not a header",
                name.escape_default()
            )));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

/// Every route that an account may call.
pub(super) fn allowed(desk: &Desk<'_>, who: &Who) -> Answer {
    let (account, _) = meant(desk, who)?;
    shown(&Asker::new(desk.policy(), account.as_ref()).table())
}

/// Who is meant, and what could be changed about it.
fn meant(desk: &Desk<'_>, who: &Who) -> Result<(Option<Arc<Account>>, World), AdminError> {
    match who {
        (None, grants) if grants.is_empty() => Ok((None, world(desk, None))),
        (None, grants) => {
            let account = Arc::new(thought_of(desk, grants)?);
            let world = World {
                managed: Managed::Hypothesis,
                ..world(desk, None)
            };
            Ok((Some(account), world))
        }
        (Some(_), grants) if !grants.is_empty() => Err(invalid(
            "name an account, or roles for one that is only thought of, not both",
        )),
        (Some(name), _) => {
            let account = usable(desk, name)?;
            let world = world(desk, Some(account));
            Ok((Some(Arc::clone(account)), world))
        }
    }
}

fn usable<'d>(desk: &'d Desk<'_>, name: &AccountName) -> Result<&'d Arc<Account>, AdminError> {
    desk.find(name)?;
    let account = desk.directory().account_named(name.as_str());
    account.ok_or_else(|| {
        conflict(format!(
            "account `{name}` cannot be used: see `portcullis status`"
        ))
    })
}

/// An account that nobody has made.
fn thought_of(desk: &Desk<'_>, grants: &[Grant]) -> Result<Account, AdminError> {
    desk.check_grants(grants)?;
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    let worth = |grant: &Grant| {
        let worth = resolver.worth(&grant.role, &grant.within, None);
        worth.map_err(|closed| conflict(format!("role `{}`: {closed}", grant.role)))
    };
    let holdings: Vec<_> = grants.iter().map(worth).collect::<Result<_, _>>()?;
    let named = |what: &str| AdminError::new(ErrorKind::Unavailable, what.to_owned());
    Ok(Account {
        id: SOMEBODY
            .parse()
            .map_err(|_| named("no id for an account"))?,
        name: SOMEBODY
            .parse()
            .map_err(|_| named("no name for an account"))?,
        enabled: true,
        addresses: AddressRules::default(),
        holdings: holdings.into(),
        name_header: HeaderValue::from_static(SOMEBODY),
        id_header: HeaderValue::from_static(SOMEBODY),
    })
}

/// What could be changed, of roles and of `account`.
pub(super) fn world(desk: &Desk<'_>, account: Option<&Arc<Account>>) -> World {
    let (policy, records) = (desk.policy(), desk.records());
    let stored = account.is_some_and(|account| records.accounts.contains_key(&account.id));
    let filed = account.filter(|_| !stored).map(|account| &account.name);
    let mut world = World::of_files(policy, filed);
    world.rate = desk.service.rate;
    let mut resolver = Resolver::new(policy, records);
    for (name, role) in &records.roles {
        // One that stands in the files too gives nothing, whichever of the two is meant.
        let Ok(gives) = resolver.role(name) else {
            world.roles.remove(name);
            continue;
        };
        let known = KnownRole {
            gives,
            permissions: role.permissions.clone(),
            include: role.include.clone(),
            api_access: role.api_access,
            place: None,
        };
        world.roles.insert(name.clone(), known);
    }
    if let Some(name) = filed {
        let row = records.file_accounts.get(name);
        world.can_enable = row.is_some_and(|row| row.disabled);
    }
    let others = desk.directory().accounts();
    let others = others.filter(|other| account.is_none_or(|account| account.id != other.id));
    world.count_holders(others.map(|other| {
        let roles = other.holdings.iter().map(|held| &held.role);
        roles.collect::<BTreeSet<_>>()
    }));
    world
}

fn declared(desk: &Desk<'_>, permission: &Permission) -> Result<PermissionId, AdminError> {
    let id = desk.policy().permission_id(permission.as_str());
    id.ok_or_else(|| {
        let known = desk
            .policy()
            .permissions
            .iter()
            .map(|(name, _)| name.as_str());
        let near = nearest(permission.as_str(), known);
        not_found(format!(
            "the policy declares no permission `{permission}`{near}"
        ))
    })
}

/// The accounts that hold a permission, by name, one row a grant.
pub(super) fn who(desk: &Desk<'_>, permission: &Permission) -> Answer {
    let id = declared(desk, permission)?;
    let mut rows = Vec::new();
    for account in by_name(desk) {
        let holdings = account
            .holdings
            .iter()
            .filter(|held| held.permissions.contains(id));
        for held in holdings {
            rows.push(json!({
                "account": account.name,
                "enabled": account.enabled,
                "role": held.role,
                "within": held.within,
                "group": held.group,
            }));
        }
    }
    Ok(rows.into())
}

fn by_name<'d>(desk: &'d Desk<'_>) -> Vec<&'d Arc<Account>> {
    let mut accounts: Vec<_> = desk.directory().accounts().collect();
    accounts.sort_by(|one, other| one.name.cmp(&other.name));
    accounts
}

/// What every account may do: for each, the columns where it may do something, and where it may.
pub(super) fn matrix(desk: &Desk<'_>, by: MatrixBy, names: &[AccountName]) -> Answer {
    let policy = desk.policy();
    let accounts = if names.is_empty() {
        by_name(desk)
    } else {
        let named = names.iter().map(|name| usable(desk, name));
        named.collect::<Result<_, _>>()?
    };
    let columns: Vec<String> = match by {
        MatrixBy::Permission => {
            let names = policy.permissions.iter().map(|(name, _)| name.to_string());
            names.collect()
        }
        MatrixBy::Route => policy.routes.iter().map(|it| it.name.clone()).collect(),
    };
    let cells = accounts.len().saturating_mul(columns.len());
    if cells > CELLS_MAX {
        return Err(invalid(format!(
            "these are {} accounts and {} columns, and at most {CELLS_MAX} cells are worked out at \
             once: ask for some accounts with `--account`",
            accounts.len(),
            columns.len()
        )));
    }
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    for account in accounts {
        let cells = match by {
            MatrixBy::Permission => permission_cells(desk, account),
            MatrixBy::Route => route_cells(desk, account),
        };
        let texts = cells.iter();
        let texts = texts.map(|(name, told)| name.len() + told.as_str().map_or(0, str::len));
        bytes = bytes.saturating_add(texts.sum());
        if bytes > CELLS_BYTES_MAX {
            return Err(invalid(format!(
                "the boundaries of these accounts make more than {CELLS_BYTES_MAX} bytes of cells: \
                 ask for fewer accounts with `--account`"
            )));
        }
        rows.push(json!({ "account": account.name, "enabled": account.enabled, "cells": cells }));
    }
    Ok(json!({ "columns": columns, "rows": rows }))
}

/// Of each permission that any grant gives, where it holds.
fn permission_cells(desk: &Desk<'_>, account: &Account) -> Map<String, Value> {
    let mut cells = BTreeMap::<PermissionId, BTreeSet<String>>::new();
    for held in &account.holdings {
        for id in held.permissions.iter() {
            cells.entry(id).or_default().insert(held.within.to_string());
        }
    }
    let cells = cells.into_iter().map(|(id, places)| {
        let everywhere = places.contains("everywhere");
        let places: Vec<_> = places.into_iter().collect();
        let told = match everywhere {
            true => "everywhere".to_owned(),
            false => places.join(" or "),
        };
        (desk.policy().permission(id).to_string(), json!(told))
    });
    cells.collect()
}

/// Of each route that it may call, where it may. One that is disabled may call none.
fn route_cells(desk: &Desk<'_>, account: &Arc<Account>) -> Map<String, Value> {
    let table = Asker::new(desk.policy(), Some(account)).table();
    let cells = table.into_iter();
    cells
        .map(|row| (row.route, json!(row.within.to_string())))
        .collect()
}
