//! `accounts`, `groups` and `tests`: who, and what is expected of them.

use std::str::FromStr;

use http::HeaderName;
use ipnet::IpNet;

use super::keys::{ACCOUNT, FILE_KEY, GRANT, GROUP, TEST};
use super::{At, at, description, named, names, words};
use crate::policy::{Expectation, FileKey, PolicyTest};
use crate::reason::Reason;
use crate::words::{
    AccountId, AccountName, DimensionName, Fault, Faults, GroupName, Method, Permission,
    PermissionPattern, Place, RoleName, nearest,
};
use crate::yaml::{Fields, Key, Node, quoted};

/// An account as written.
#[derive(Debug)]
pub(crate) struct AccountWritten {
    pub(crate) place: Place,
    pub(crate) name: AccountName,
    pub(crate) id: Option<AccountId>,
    pub(crate) description: String,
    pub(crate) grants: Vec<GrantWritten>,
    pub(crate) allow_from: Vec<IpNet>,
    pub(crate) keys: Vec<KeyWritten>,
    pub(crate) owner: Option<At<Limits>>,
}

/// Dimensions, and the values of each.
pub(crate) type Limits = Vec<(At<DimensionName>, Vec<String>)>;

/// A key as written.
#[derive(Debug)]
pub(crate) struct KeyWritten {
    pub(crate) key: FileKey,
    /// What `only` names, with where it stands.
    pub(crate) only: Vec<At<PermissionPattern>>,
}

/// A group as written.
#[derive(Debug)]
pub(crate) struct GroupWritten {
    pub(crate) place: Place,
    pub(crate) name: GroupName,
    pub(crate) description: String,
    pub(crate) members: Vec<AccountName>,
    pub(crate) grants: Vec<GrantWritten>,
    pub(crate) owner: Option<At<Limits>>,
}

/// A grant as written.
#[derive(Debug)]
pub(crate) struct GrantWritten {
    pub(crate) place: Place,
    pub(crate) role: At<RoleName>,
    pub(crate) within: Limits,
}

/// Longest value of a dimension, in bytes. Longer ones do not fit into a path segment that anybody
/// types, and all values of a grant have to fit into a header.
const VALUE_BYTES_MAX: usize = 256;

pub(super) fn account(key: &Key, node: &Node, faults: &mut Faults) -> Option<AccountWritten> {
    let fields = Fields::of(node, &ACCOUNT, faults);
    let name = named(key, faults);
    let fields = fields?;
    let id = fields.get("id");
    let addresses = fields.get("allow_from");
    Some(AccountWritten {
        place: key.place.clone(),
        id: id.and_then(|node| node.word("an account id", faults)),
        description: description(&fields, faults),
        grants: grants(&fields, faults),
        allow_from: addresses.map_or_else(Vec::new, |node| node.networks(faults)),
        keys: file_keys(&fields, faults),
        owner: owner(&fields, faults),
        name: name?,
    })
}

pub(super) fn group(key: &Key, node: &Node, faults: &mut Faults) -> Option<GroupWritten> {
    let fields = Fields::of(node, &GROUP, faults);
    let name = named(key, faults);
    let fields = fields?;
    let members: Vec<At<AccountName>> = names(fields.get("members"), "accounts", faults);
    Some(GroupWritten {
        place: key.place.clone(),
        description: description(&fields, faults),
        members: members.into_iter().map(|member| member.value).collect(),
        grants: grants(&fields, faults),
        owner: owner(&fields, faults),
        name: name?,
    })
}

/// Whose it is, if that is said.
pub(super) fn owner(fields: &Fields<'_>, faults: &mut Faults) -> Option<At<Limits>> {
    let node = fields.get("owner")?;
    Some(At {
        place: node.place.clone(),
        value: limits("owner", node, faults),
    })
}

fn grants(fields: &Fields<'_>, faults: &mut Faults) -> Vec<GrantWritten> {
    let items = fields
        .get("grants")
        .and_then(|node| node.list("grants", faults));
    let items = items.unwrap_or_default().iter();
    items.filter_map(|item| grant(item, faults)).collect()
}

fn grant(node: &Node, faults: &mut Faults) -> Option<GrantWritten> {
    let fields = Fields::of(node, &GRANT, faults)?;
    let Some(role) = fields.get("role") else {
        let message = "the grant names no `role`, such as `{ role: operator }`";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let role = at(role, "the name of a role", faults);
    let within = fields
        .get("within")
        .map(|node| limits("within", node, faults));
    Some(GrantWritten {
        place: node.place.clone(),
        role: role?,
        within: within.unwrap_or_default(),
    })
}

/// `{ tenant: [acme, globex] }`. Empty ones are faults: they would hold everywhere, or nowhere, and
/// which of the two was meant cannot be seen.
fn limits(what: &str, node: &Node, faults: &mut Faults) -> Limits {
    let entries = node.entries("a boundary", faults).unwrap_or_default();
    if entries.is_empty() {
        let message = format!(
            "`{what}` limits nothing: name a dimension and its values, or leave it out for everywhere"
        );
        faults.push(Fault::new(node.place.clone(), message));
    }
    let mut limits = Vec::new();
    for (key, node) in entries {
        let name = named(key, faults);
        let items = node.filled_list(&format!("values of {}", quoted(&key.text)), faults);
        let values = items.unwrap_or_default().iter();
        let values = values.filter_map(|item| value(item, faults)).collect();
        if let Some(value) = name {
            let place = key.place.clone();
            limits.push((At { place, value }, values));
        }
    }
    limits
}

fn value(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = node.text("a value", faults)?;
    if (1..=VALUE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Some(text.to_owned());
    }
    let message = format!(
        "{} is not a value: expected 1 to {VALUE_BYTES_MAX} bytes without control characters",
        quoted(text)
    );
    faults.push(Fault::new(node.place.clone(), message));
    None
}

fn file_keys(fields: &Fields<'_>, faults: &mut Faults) -> Vec<KeyWritten> {
    let items = fields
        .get("keys")
        .and_then(|node| node.list("keys", faults));
    let items = items.unwrap_or_default().iter();
    items.filter_map(|item| file_key(item, faults)).collect()
}

fn file_key(node: &Node, faults: &mut Faults) -> Option<KeyWritten> {
    let fields = Fields::of(node, &FILE_KEY, faults)?;
    let (Some(id), Some(digest)) = (fields.get("id"), fields.get("digest")) else {
        let message = "a key needs both `id` and `digest`: `pck_…`, and `sha256:` of its secret";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let id = id.word("a key id", faults);
    let digest = digest.word("a digest", faults);
    let description = description(&fields, faults);
    let only = fields.get("only").map(|node| only(node, faults));
    let addresses = fields.get("allow_from");
    let expires_at = match fields.get("expires_at") {
        // A key whose expiry cannot be read must not become one without an expiry.
        Some(node) => Some(moment(node, faults)?),
        None => None,
    };
    let key = FileKey {
        id: id?,
        digest: digest?,
        description,
        expires_at,
        // Said and unreadable is a limit to nothing, and a fault besides.
        only: only
            .as_ref()
            .map(|only| only.iter().map(|at| at.value.clone()).collect()),
        allow_from: addresses.map_or_else(Vec::new, |node| node.networks(faults)),
        place: node.place.clone(),
    };
    Some(KeyWritten {
        key,
        only: only.unwrap_or_default(),
    })
}

fn only(node: &Node, faults: &mut Faults) -> Vec<At<PermissionPattern>> {
    let items = node.filled_list("permissions", faults).unwrap_or_default();
    let items = items.iter();
    items
        .filter_map(|item| at(item, "a permission or all of a resource", faults))
        .collect()
}

fn moment(node: &Node, faults: &mut Faults) -> Option<crate::words::UnixTime> {
    let expected = "a moment such as `2027-01-31T00:00:00Z`";
    let text = node.text(expected, faults)?;
    let moment = text.parse().ok();
    if moment.is_none() {
        let message = format!("{} is not {expected}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    }
    moment
}

pub(super) fn tests(node: &Node, faults: &mut Faults) -> Vec<PolicyTest> {
    let items = node.list("tests", faults).unwrap_or_default().iter();
    items.filter_map(|item| test(item, faults)).collect()
}

fn test(node: &Node, faults: &mut Faults) -> Option<PolicyTest> {
    let fields = Fields::of(node, &TEST, faults)?;
    let (Some(request), Some(expect)) = (fields.get("request"), fields.get("expect")) else {
        let message =
            "a test needs both `request` and `expect`: `GET /v1/tenants`, and `allow` or a reason";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let account = fields.get("as").map(|node| node.word("an account", faults));
    let request = request_of(request, faults);
    let expect = expectation(expect, faults);
    let host = fields.get("host").map(|node| node.text("a host", faults));
    let from = fields.get("from").map(|node| {
        let text = node.text("an address", faults)?;
        let address = std::net::IpAddr::from_str(text).ok();
        if address.is_none() {
            let message = format!("{} is not an address such as `10.1.2.3`", quoted(text));
            faults.push(Fault::new(node.place.clone(), message));
        }
        address
    });
    let headers = headers(&fields, faults);
    let missing = missing(&fields, expect, faults);
    let (method, target) = request?;
    Some(PolicyTest {
        account: spoken(account)?,
        method,
        target,
        host: spoken(host)?.map(str::to_owned),
        headers,
        from: spoken(from)?,
        expect: expect?,
        missing,
        place: node.place.clone(),
    })
}

/// The permissions that are to be missing: only one reason misses any.
fn missing(
    fields: &Fields<'_>,
    expect: Option<Expectation>,
    faults: &mut Faults,
) -> Option<Vec<Permission>> {
    let node = fields.get("missing")?;
    let reason = Reason::PermissionMissing;
    if expect.is_some_and(|expect| expect != Expectation::Deny(reason)) {
        let message =
            format!("`missing` goes with `expect: {reason}`: nothing else lacks a permission");
        faults.push(Fault::new(node.place.clone(), message));
    }
    let items = node.filled_list("permissions", faults).unwrap_or_default();
    let names = items.iter().map(|item| item.word("a permission", faults));
    Some(names.collect::<Vec<_>>().into_iter().flatten().collect())
}

/// Said and read, or not said; `None` when it was said and could not be read.
#[expect(
    clippy::option_option,
    reason = "said or not, and read or not, are two questions"
)]
fn spoken<T>(said: Option<Option<T>>) -> Option<Option<T>> {
    match said {
        Some(read) => read.map(Some),
        None => Some(None),
    }
}

fn request_of(node: &Node, faults: &mut Faults) -> Option<(Method, String)> {
    let expected = "a method and a path, such as `GET /v1/tenants?page=2`";
    let text = node.text(expected, faults)?;
    let parts = text
        .split_once(' ')
        .filter(|(_, target)| target.starts_with('/'));
    let method = parts.and_then(|(method, target)| Some((Method::parse(method)?, target)));
    if method.is_none() {
        let message = format!("{} is not a request: expected {expected}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    }
    method.map(|(method, target)| (method, target.to_owned()))
}

fn expectation(node: &Node, faults: &mut Faults) -> Option<Expectation> {
    let text = node.text("`allow` or a reason", faults)?;
    if text == "allow" {
        return Some(Expectation::Allow);
    }
    let reason = Reason::from_code(text);
    if reason.is_none() {
        let near = nearest(text, words::expectations());
        let message = format!("{} is not `allow` or a reason{near}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    }
    reason.map(Expectation::Deny)
}

fn headers(fields: &Fields<'_>, faults: &mut Faults) -> Vec<(HeaderName, String)> {
    let node = fields.get("headers");
    let entries = node.and_then(|node| node.entries("`headers`", faults));
    let mut headers = Vec::new();
    for (key, node) in entries.unwrap_or_default() {
        let Ok(name) = HeaderName::from_bytes(key.text.as_bytes()) else {
            let message = format!("{} is not a header name", quoted(&key.text));
            faults.push(Fault::new(key.place.clone(), message));
            continue;
        };
        if let Some(value) = node.text("a header's value", faults) {
            headers.push((name, value.to_owned()));
        }
    }
    headers
}
