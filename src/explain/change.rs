//! One thing that can be changed, what it makes of an account, and how it is written down: as a
//! command to run, or as a line for a file.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::world::{Managed, World};
use crate::policy::Policy;
use crate::words::{
    Account, AddressRules, Boundary, Holding, Limit, Permission, PermissionId, PermissionSet,
    Place, RoleName,
};

/// One thing that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The account is let in again.
    Enable,
    /// It may call from one more address.
    Address(IpAddr),
    /// It is given a role.
    Grant {
        /// The role.
        role: RoleName,
        /// Where it holds.
        within: Boundary,
    },
    /// A role gives more.
    Widen {
        /// The role.
        role: RoleName,
        /// What it gives besides.
        permissions: Vec<Permission>,
    },
    /// It is given a role that is made for it.
    NewRole {
        /// The new role's name.
        role: RoleName,
        /// What it gives.
        permissions: Vec<Permission>,
        /// Where it holds.
        within: Boundary,
    },
}

/// A change, written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// A command, a line for a file, or advice.
    pub kind: Kind,
    /// The command, the line, or the sentence.
    pub change: String,
    /// Where the line belongs: `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Into what there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// What a [`Line`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To be run.
    Command,
    /// To be written into a policy file.
    Edit,
    /// To be thought about: nothing that could be tried out beforehand.
    Advice,
}

impl Line {
    pub(super) fn command(change: String) -> Self {
        Self {
            kind: Kind::Command,
            change,
            file: None,
            into: None,
        }
    }

    pub(super) fn advice(change: impl Into<String>) -> Self {
        Self {
            kind: Kind::Advice,
            ..Self::command(change.into())
        }
    }

    /// Whether it changes what a role gives, to whoever holds it.
    pub(super) fn is_about_a_role(&self) -> bool {
        let edits = self
            .into
            .as_ref()
            .is_some_and(|into| into.starts_with("role `"));
        edits || self.change.starts_with("portcullis roles update")
    }

    fn edit(change: String, place: &Place, into: String) -> Self {
        Self {
            kind: Kind::Edit,
            change,
            file: Some(place.to_string()),
            into: Some(into),
        }
    }
}

impl Change {
    /// Makes it, on an account that is only thought of.
    pub(super) fn apply(&self, account: &mut Account, policy: &Policy, world: &World) {
        match self {
            Self::Enable => account.enabled = true,
            Self::Address(address) => {
                account.addresses = AddressRules::new(with(account, *address));
            }
            Self::Grant { role, within } => {
                let gives = world.roles.get(role).map(|known| known.gives.clone());
                hold(account, policy, (role, within), gives.unwrap_or_default());
            }
            Self::Widen { role, permissions } => {
                let more = set(policy, permissions);
                for holding in &mut account.holdings {
                    if world.includes(&holding.role, role) {
                        holding.permissions.extend(&more);
                    }
                }
            }
            Self::NewRole {
                role,
                permissions,
                within,
            } => hold(account, policy, (role, within), set(policy, permissions)),
        }
    }

    /// How it is written down for `account`.
    pub(super) fn lines(&self, account: &Account, world: &World) -> Vec<Line> {
        let name = &account.name;
        match self {
            Self::Enable => vec![Line::command(format!("portcullis accounts enable {name}"))],
            Self::Address(address) => vec![allow_from(account, *address, &world.managed)],
            Self::Grant { role, within } => vec![grant(account, (role, within), &world.managed)],
            Self::Widen { role, permissions } => vec![widen(role, permissions, world)],
            Self::NewRole {
                role,
                permissions,
                within,
            } => vec![
                new_role(role, permissions, &world.managed),
                grant(account, (role, within), &world.managed),
            ],
        }
    }
}

fn set(policy: &Policy, permissions: &[Permission]) -> PermissionSet {
    let ids = permissions.iter();
    ids.filter_map(|name| policy.permission_id(name.as_str()))
        .collect::<Vec<PermissionId>>()
        .into_iter()
        .collect()
}

fn hold(
    account: &mut Account,
    policy: &Policy,
    (role, within): (&RoleName, &Boundary),
    permissions: PermissionSet,
) {
    let limit = |(dimension, values): (
        &crate::words::DimensionName,
        &std::collections::BTreeSet<String>,
    )| {
        let values = values.iter().map(|value| value.as_str().into()).collect();
        let dimension = policy.dimension_id(dimension.as_str())?;
        Some(Limit { dimension, values })
    };
    // Unknown dimensions do not come up: the boundary was read from a request of this policy.
    let limits = within.iter().filter_map(limit).collect();
    let mut holdings = std::mem::take(&mut account.holdings).into_vec();
    holdings.push(Holding {
        role: role.clone(),
        permissions,
        limits,
        within: within.clone(),
        group: None,
    });
    account.holdings = holdings.into_boxed_slice();
}

fn with(account: &Account, address: IpAddr) -> Vec<IpNet> {
    let networks = account.addresses.networks().iter().copied();
    networks
        .chain([IpNet::from(address.to_canonical())])
        .collect()
}

fn allow_from(account: &Account, address: IpAddr, managed: &Managed) -> Line {
    let networks = with(account, address);
    match managed {
        Managed::File { account: place, .. } => {
            let networks: Vec<_> = networks
                .iter()
                .map(|net| quoted(&net.to_string()))
                .collect();
            let line = format!("allow_from: [{}]", networks.join(", "));
            Line::edit(line, place, format!("account `{}`", account.name))
        }
        Managed::Store | Managed::Hypothesis => {
            let networks = networks.iter().map(|net| format!(" --allow-from {net}"));
            let networks: String = networks.collect();
            Line::command(format!(
                "portcullis accounts update {}{networks}",
                account.name
            ))
        }
    }
}

fn grant(account: &Account, (role, within): (&RoleName, &Boundary), managed: &Managed) -> Line {
    let name = &account.name;
    match managed {
        Managed::File {
            account,
            last_grant,
        } => {
            let line = format!("- {{ role: {role}{} }}", yaml_within(within));
            match last_grant {
                Some(place) => Line::edit(line, place, format!("`grants` of account `{name}`")),
                None => {
                    let line = line.trim_start_matches("- ");
                    let line = format!("grants: [{line}]");
                    Line::edit(line, account, format!("account `{name}`"))
                }
            }
        }
        Managed::Store => {
            let within = shell_within(within);
            Line::command(format!(
                "portcullis accounts grant {name} --role {role}{within}"
            ))
        }
        Managed::Hypothesis => Line::advice(format!("--role {role}{}", shell_within(within))),
    }
}

fn widen(role: &RoleName, more: &[Permission], world: &World) -> Line {
    let known = world.roles.get(role);
    let written = known.map(|known| known.permissions.iter().map(ToString::to_string));
    let written = written.into_iter().flatten();
    let all = written.chain(more.iter().map(ToString::to_string));
    match known.and_then(|known| known.place.as_ref()) {
        Some(place) => {
            let all: Vec<_> = all.map(|one| quoted(&one)).collect();
            let line = format!("permissions: [{}]", all.join(", "));
            Line::edit(line, place, format!("role `{role}`"))
        }
        None => {
            let all: String = all
                .map(|one| format!(" --permission {}", shell(&one)))
                .collect();
            Line::command(format!("portcullis roles update {role}{all}"))
        }
    }
}

fn new_role(role: &RoleName, permissions: &[Permission], managed: &Managed) -> Line {
    match managed {
        Managed::File { account, .. } => {
            let names: Vec<_> = permissions.iter().map(|one| quoted(one.as_str())).collect();
            let names = names.join(", ");
            let line =
                format!("{role}: {{ description: Made for one account, permissions: [{names}] }}");
            Line::edit(line, account, "`roles` of that file".to_owned())
        }
        Managed::Store | Managed::Hypothesis => {
            let names = permissions.iter().map(|one| format!(" --permission {one}"));
            let names: String = names.collect();
            Line::command(format!("portcullis roles create {role}{names}"))
        }
    }
}

fn yaml_within(within: &Boundary) -> String {
    if within.is_everywhere() {
        return String::new();
    }
    let dimensions = within.iter().map(|(dimension, values)| {
        let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        format!("{dimension}: [{}]", values.join(", "))
    });
    let dimensions: Vec<_> = dimensions.collect();
    format!(", within: {{ {} }}", dimensions.join(", "))
}

fn shell_within(within: &Boundary) -> String {
    let dimensions = within.iter().map(|(dimension, values)| {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        format!(
            " --within {}",
            shell(&format!("{dimension}={}", values.join(",")))
        )
    });
    dimensions.collect()
}

/// Whether a boundary with this value can be written down: as an argument it may hold no comma, and
/// nowhere a control character.
pub(super) fn can_be_written(value: &str, managed: &Managed) -> bool {
    const VALUE_BYTES_MAX: usize = 256;
    let in_file = matches!(managed, Managed::File { .. });
    (1..=VALUE_BYTES_MAX).contains(&value.len())
        && !value.chars().any(char::is_control)
        && (in_file || !value.contains(','))
}

/// A word of a command, quoted if the shell would take it for more than a word.
fn shell(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/=@,+%".contains(&b);
    if word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A scalar in a flow list, quoted if it could be read as more than text.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let colons_inside = text
        .split(':')
        .all(|part| !part.is_empty() && part.bytes().all(plain));
    if colons_inside && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_reader_would_take_them_for_more() {
        for (text, as_word, as_scalar) in [
            ("acme", "acme", "acme"),
            ("tenant=acme", "tenant=acme", "'tenant=acme'"),
            ("devices:*", "'devices:*'", "'devices:*'"),
            ("devices:view", "devices:view", "devices:view"),
            ("10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32", "'2001:db8::/32'"),
            ("it's", r"'it'\''s'", "'it''s'"),
            ("a b", "'a b'", "'a b'"),
            ("$(id)", "'$(id)'", "'$(id)'"),
            ("é", "'é'", "'é'"),
        ] {
            assert_eq!(
                (shell(text).as_str(), quoted(text).as_str()),
                (as_word, as_scalar)
            );
        }
    }

    #[test]
    fn what_cannot_be_written_down_is_not() {
        for (value, in_store, in_file) in [
            ("acme", true, true),
            ("a,b", false, true),
            ("", false, false),
            ("a\nb", false, false),
        ] {
            let place = Place::whole("p.yaml");
            let file = Managed::File {
                account: place,
                last_grant: None,
            };
            assert_eq!(
                can_be_written(value, &Managed::Store),
                in_store,
                "{value:?}"
            );
            assert_eq!(can_be_written(value, &file), in_file, "{value:?}");
        }
    }
}
