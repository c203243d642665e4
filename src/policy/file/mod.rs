//! A policy file as written: its shape is checked and its names are well formed; nothing else is
//! trusted.
//!
//! Whether a name is declared, and what follows from several files together, is for `compile` to
//! say. A part with a fault is left out here, after the fault was added; a policy with a fault is
//! not made, so nobody acts on what is left.

mod cors;
mod keys;
mod needs;
mod people;
mod route;
mod within;
mod words;

use std::str::FromStr;

pub(super) use cors::CorsWritten;
pub(super) use needs::Needs;
pub(super) use people::{AccountWritten, GrantWritten, GroupWritten, KeyWritten, Limits};
pub(super) use route::RouteWritten;
pub(super) use within::{SourceWritten, Within};

use super::PolicyTest;
use super::hosts;
use crate::words::{
    DimensionName, Fault, Faults, NameError, Permission, PermissionPattern, Place, RoleName,
    UpstreamName,
};
use crate::yaml::shape::{Keys, Known, Preset, Shape};
use crate::yaml::{Fields, Key, Node, quoted};

/// A policy file.
pub(crate) const KEYS: Keys = Keys {
    what: "a policy file",
    known: &[
        Known::new(
            "upstream",
            Shape::Text(words::UPSTREAM),
            "Where the routes of this file lead, unless they say otherwise.",
        ),
        Known::new(
            "within",
            within::SHAPE,
            "The boundary every route of this file touches, unless it says otherwise.",
        ),
        Known::new(
            "shadow",
            Shape::Boolean,
            "Decisions for the routes of this file are logged and counted, and not enforced, unless they say otherwise.",
        ),
        Known::new(
            "hosts",
            Shape::filled_list(&Shape::Text(words::HOST)),
            "The hosts the routes of this file answer on. Without it, any.",
        ),
        Known::new(
            "cors",
            cors::SHAPE,
            "What becomes of preflights for the routes of this file, unless they say otherwise. Without it OPTIONS is a method like any other.",
        ),
        Known::new(
            "dimensions",
            Shape::Names {
                name: words::DIMENSION,
                of: &Shape::Text(words::DESCRIPTION),
                filled: false,
            },
            "What boundaries may limit, each with a sentence that says what it is.",
        ),
        Known::new(
            "permissions",
            Shape::Names {
                name: words::PERMISSION,
                of: &Shape::Text(words::DESCRIPTION),
                filled: false,
            },
            "What may be needed, as `resource:action`, each with a sentence that says what it allows.",
        ),
        Known::new(
            "roles",
            Shape::Names {
                name: words::ROLE,
                of: &Shape::Keys(&ROLE),
                filled: false,
            },
            "Named sets of permissions.",
        ),
        Known::new(
            "routes",
            Shape::Names {
                name: words::ROUTE,
                of: &route::SHAPE,
                filled: false,
            },
            "`METHODS TEMPLATE: what is needed`. What no route names is refused.",
        ),
        Known::new(
            "groups",
            Shape::Names {
                name: words::GROUP,
                of: &Shape::Keys(&keys::GROUP),
                filled: false,
            },
            "Accounts that share grants.",
        ),
        Known::new(
            "accounts",
            Shape::Names {
                name: words::ACCOUNT,
                of: &Shape::Keys(&keys::ACCOUNT),
                filled: false,
            },
            "Accounts managed by file, read-only elsewhere.",
        ),
        Known::new(
            "tests",
            Shape::list(&Shape::Keys(&keys::TEST)),
            "What must stay allowed and what must stay refused; run by `portcullis check`.",
        ),
    ],
    later: &["trusts"],
    rules: &[],
};

/// A role.
const ROLE: Keys = Keys {
    what: "a role",
    known: &[
        DESCRIBED,
        Known::new(
            "permissions",
            Shape::list(&Shape::Text(words::PERMISSIONS)),
            "What it gives: permissions, or all of a resource, as `devices:*`.",
        ),
        Known::new(
            "include",
            Shape::list(&Shape::Text(words::ROLE)),
            "Roles whose permissions it has too.",
        ),
        Known::new(
            "api_access",
            Shape::Boolean,
            "Whether accounts and groups can be given it. One that is `false` is there to be included.",
        )
        .or(Preset::Boolean(true)),
        keys::OWNER,
    ],
    later: &[],
    rules: &[],
};

/// An optional description.
const DESCRIBED: Known = Known::new(
    "description",
    Shape::Text(words::DESCRIPTION),
    "What it is for, for people.",
);

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) place: Place,
    pub(super) value: T,
}

/// A name and what it is for.
#[derive(Debug)]
pub(super) struct Declared<T> {
    pub(super) place: Place,
    pub(super) name: T,
    pub(super) description: String,
}

/// A role as written.
#[derive(Debug)]
pub(super) struct RoleWritten {
    pub(super) place: Place,
    pub(super) name: RoleName,
    pub(super) description: String,
    pub(super) permissions: Vec<At<PermissionPattern>>,
    pub(super) include: Vec<At<RoleName>>,
    pub(super) api_access: bool,
    pub(super) owner: Option<At<Limits>>,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct PolicyFile {
    /// Where its routes lead, if they do not say.
    pub(super) upstream: Option<At<UpstreamName>>,
    /// What its routes bind, if they do not say.
    pub(super) within: Option<Within>,
    /// Whether its routes are in shadow, if they do not say.
    pub(super) shadow: Option<bool>,
    /// The hosts its routes answer on; none is any.
    pub(super) hosts: Vec<Box<str>>,
    /// What becomes of preflights for its routes, if they do not say.
    pub(super) cors: Option<CorsWritten>,
    pub(super) dimensions: Vec<Declared<DimensionName>>,
    pub(super) permissions: Vec<Declared<Permission>>,
    pub(super) roles: Vec<RoleWritten>,
    pub(super) routes: Vec<RouteWritten>,
    pub(super) groups: Vec<GroupWritten>,
    pub(super) accounts: Vec<AccountWritten>,
    pub(super) tests: Vec<PolicyTest>,
}

impl PolicyFile {
    /// Reads a file's tree.
    pub(super) fn read(root: &Node, faults: &mut Faults) -> Self {
        let Some(fields) = Fields::of(root, &KEYS, faults) else {
            return Self::default();
        };
        let upstream = fields.get("upstream");
        let within = fields.get("within");
        Self {
            upstream: upstream.and_then(|node| at(node, "the name of an upstream", faults)),
            within: within.and_then(|node| Within::read(node, faults)),
            shadow: fields.boolean("shadow", faults),
            hosts: fields
                .get("hosts")
                .map_or_else(Vec::new, |node| hosts_of(node, faults)),
            cors: fields
                .get("cors")
                .and_then(|node| CorsWritten::read(node, faults)),
            dimensions: declared(&fields, "dimensions", faults),
            permissions: declared(&fields, "permissions", faults),
            roles: section(&fields, "roles", faults, role),
            routes: section(&fields, "routes", faults, route::read),
            groups: section(&fields, "groups", faults, people::group),
            accounts: section(&fields, "accounts", faults, people::account),
            tests: fields
                .get("tests")
                .map_or_else(Vec::new, |node| people::tests(node, faults)),
        }
    }
}

/// Reads every entry of the mapping `name`.
fn section<T>(
    fields: &Fields<'_>,
    name: &str,
    faults: &mut Faults,
    read: impl Fn(&Key, &Node, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let node = fields.get(name);
    let entries = node.and_then(|node| node.entries(&format!("`{name}`"), faults));
    let entries = entries.unwrap_or_default().iter();
    entries
        .filter_map(|(key, node)| read(key, node, faults))
        .collect()
}

/// Reads every entry of the mapping `name`, each a name and what it is for.
fn declared<T: FromStr<Err = NameError>>(
    fields: &Fields<'_>,
    name: &str,
    faults: &mut Faults,
) -> Vec<Declared<T>> {
    section(fields, name, faults, |key, node, faults| {
        let description = node.text("a description, one sentence for people", faults);
        Some(Declared {
            name: named(key, faults)?,
            place: key.place.clone(),
            description: description?.to_owned(),
        })
    })
}

/// The name that a key is.
fn named<T: FromStr<Err = NameError>>(key: &Key, faults: &mut Faults) -> Option<T> {
    let name = key.text.parse();
    name.map_err(|error: NameError| faults.push(Fault::new(key.place.clone(), error.to_string())))
        .ok()
}

/// The name that a value is, with its place.
fn at<T: FromStr<Err = NameError>>(node: &Node, what: &str, faults: &mut Faults) -> Option<At<T>> {
    Some(At {
        value: node.word(what, faults)?,
        place: node.place.clone(),
    })
}

/// A list of names, empty ones too.
fn names<T: FromStr<Err = NameError>>(
    node: Option<&Node>,
    what: &str,
    faults: &mut Faults,
) -> Vec<At<T>> {
    let items = node.and_then(|node| node.list(what, faults));
    let items = items.unwrap_or_default().iter();
    items.filter_map(|item| at(item, what, faults)).collect()
}

/// An optional description.
fn description(fields: &Fields<'_>, faults: &mut Faults) -> String {
    let text = fields.get("description");
    let text = text.and_then(|node| node.text("a description", faults));
    text.unwrap_or_default().to_owned()
}

fn role(key: &Key, node: &Node, faults: &mut Faults) -> Option<RoleWritten> {
    let fields = Fields::of(node, &ROLE, faults);
    let name = named(key, faults);
    let fields = fields?;
    Some(RoleWritten {
        place: key.place.clone(),
        description: description(&fields, faults),
        permissions: names(fields.get("permissions"), "permissions", faults),
        include: names(fields.get("include"), "roles", faults),
        api_access: fields.boolean("api_access", faults).unwrap_or(true),
        owner: people::owner(&fields, faults),
        name: name?,
    })
}

/// Host names, as tables know them.
fn hosts_of(node: &Node, faults: &mut Faults) -> Vec<Box<str>> {
    let items = node.filled_list("host names", faults).unwrap_or_default();
    let mut hosts = Vec::new();
    for item in items {
        let Some(text) = item.text("a host name", faults) else {
            continue;
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let address = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_host = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => text.bytes().all(plain) && !text.trim_end_matches('.').is_empty(),
        };
        match hosts::normal(text).filter(|_| is_host) {
            Some(host) => hosts.push(host),
            None => {
                let message = format!(
                    "{} is not a host name: expected one such as `api.example.com`, without a port and without `*`",
                    quoted(text)
                );
                faults.push(Fault::new(item.place.clone(), message));
            }
        }
    }
    hosts
}
