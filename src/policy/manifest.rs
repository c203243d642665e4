//! Accounts, groups and roles in files that are applied to a store: the shape they have in a policy
//! folder, in files that are none of it.
//!
//! Only what one file alone can tell is checked here. Which roles and dimensions there are is known
//! to the gateway they are applied to, so each part carries the place it stands at.

use std::collections::BTreeMap;
use std::fmt::Display;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::compile::SourceFile;
use super::file::{AccountWritten, GrantWritten, GroupWritten, Limits, PolicyFile, RoleWritten};
use crate::words::{
    AccountName, Boundary, Fault, Faults, GroupName, PermissionPattern, Place, RoleName,
};
use crate::yaml::{self, Node};

/// What may stand in such a file.
const KEYS: [&str; 3] = ["roles", "groups", "accounts"];

/// Accounts, groups and roles as they shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The roles.
    #[serde(default)]
    pub roles: Vec<RoleWanted>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<GroupWanted>,
    /// The accounts.
    #[serde(default)]
    pub accounts: Vec<AccountWanted>,
}

/// A role as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleWanted {
    /// Where that is said.
    pub place: String,
    /// What it is called.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What it gives itself.
    pub permissions: Vec<PermissionPattern>,
    /// The roles it includes.
    pub include: Vec<RoleName>,
    /// Whether accounts and groups can be given it.
    pub api_access: bool,
    /// Whose it is from the moment it is made, if that is said.
    #[serde(default)]
    pub owner: Option<Boundary>,
}

/// A group as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupWanted {
    /// Where that is said.
    pub place: String,
    /// What it is called.
    pub name: GroupName,
    /// What it is for.
    pub description: String,
    /// Who is in it, and nobody else.
    pub members: Vec<AccountName>,
    /// What its members hold, and nothing else.
    pub grants: Vec<GrantWanted>,
    /// Whose it is from the moment it is made, if that is said.
    #[serde(default)]
    pub owner: Option<Boundary>,
}

/// An account as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountWanted {
    /// Where that is said.
    pub place: String,
    /// What it is called.
    pub name: AccountName,
    /// What it is for.
    pub description: String,
    /// Where it may call from; none means anywhere.
    pub allow_from: Vec<IpNet>,
    /// What it holds itself, and nothing else.
    pub grants: Vec<GrantWanted>,
    /// Whose it is from the moment it is made, if that is said.
    #[serde(default)]
    pub owner: Option<Boundary>,
}

/// A grant as it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantWanted {
    /// Where that is said.
    pub place: String,
    /// The role.
    pub role: RoleName,
    /// Where it holds.
    pub within: Boundary,
}

impl Manifest {
    /// What `files` say together.
    ///
    /// # Errors
    ///
    /// Every fault in every file.
    pub fn read(files: &[SourceFile]) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut manifest = Self::default();
        for file in files {
            if let Some(root) = yaml::parse(&file.path, &file.text, &mut faults) {
                refuse_others(&root, &mut faults);
                let written = PolicyFile::read(&root, &mut faults);
                manifest.add(written, &mut faults);
            }
        }
        let roles = manifest.roles.iter().map(|it| (&it.name, &it.place));
        once("role", roles, &mut faults);
        let groups = manifest.groups.iter().map(|it| (&it.name, &it.place));
        once("group", groups, &mut faults);
        let accounts = manifest.accounts.iter().map(|it| (&it.name, &it.place));
        once("account", accounts, &mut faults);
        faults.into_result(manifest)
    }

    fn add(&mut self, written: PolicyFile, faults: &mut Faults) {
        self.roles.extend(written.roles.into_iter().map(role));
        self.groups.extend(written.groups.into_iter().map(group));
        for written in written.accounts {
            refuse_secrets(&written, faults);
            self.accounts.push(account(written));
        }
    }
}

/// Refuses what belongs into the policy folder: it would be taken for in force.
fn refuse_others(root: &Node, faults: &mut Faults) {
    let entries = root.entries("a file to apply", faults);
    for (key, _) in entries.unwrap_or_default() {
        if !KEYS.contains(&key.text.as_str()) {
            let message = format!(
                "`{}` cannot be applied: only `roles`, `groups` and `accounts` can, and the rest \
                 belongs into the policy folder",
                key.text
            );
            faults.push(Fault::new(key.place.clone(), message));
        }
    }
}

/// Refuses an id and keys: a store gives ids, and keys come by their own commands.
fn refuse_secrets(account: &AccountWritten, faults: &mut Faults) {
    if account.id.is_some() {
        let message = format!(
            "account `{}` cannot be applied with an `id`: the store gives it one",
            account.name
        );
        faults.push(Fault::new(account.place.clone(), message));
    }
    for written in &account.keys {
        let message = format!(
            "keys cannot be applied: `portcullis keys import {} --sha256 …` takes one from elsewhere",
            account.name
        );
        faults.push(Fault::new(written.key.place.clone(), message));
    }
}

fn once<'m, T: Ord + Display + 'm>(
    what: &str,
    items: impl Iterator<Item = (&'m T, &'m String)>,
    faults: &mut Faults,
) {
    let mut seen = BTreeMap::new();
    for (name, place) in items {
        if let Some(first) = seen.insert(name, place) {
            let message = format!("{what} `{name}` stands at {first} and at {place}: keep one");
            faults.push(Fault::new(Place::whole(first.as_str()), message));
        }
    }
}

fn role(written: RoleWritten) -> RoleWanted {
    let permissions = written.permissions.into_iter();
    let include = written.include.into_iter();
    RoleWanted {
        place: written.place.to_string(),
        name: written.name,
        description: written.description,
        permissions: permissions.map(|at| at.value).collect(),
        include: include.map(|at| at.value).collect(),
        api_access: written.api_access,
        owner: written.owner.map(|at| boundary(at.value)),
    }
}

fn group(written: GroupWritten) -> GroupWanted {
    GroupWanted {
        place: written.place.to_string(),
        name: written.name,
        description: written.description,
        members: written.members,
        grants: written.grants.into_iter().map(grant).collect(),
        owner: written.owner.map(|at| boundary(at.value)),
    }
}

fn account(written: AccountWritten) -> AccountWanted {
    AccountWanted {
        place: written.place.to_string(),
        name: written.name,
        description: written.description,
        allow_from: written.allow_from,
        grants: written.grants.into_iter().map(grant).collect(),
        owner: written.owner.map(|at| boundary(at.value)),
    }
}

fn grant(written: GrantWritten) -> GrantWanted {
    GrantWanted {
        place: written.place.to_string(),
        role: written.role.value,
        within: boundary(written.within),
    }
}

fn boundary(limits: Limits) -> Boundary {
    let pairs = limits.into_iter().flat_map(|(dimension, values)| {
        let pair = move |value| (dimension.value.clone(), value);
        values.into_iter().map(pair)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        let file = SourceFile {
            path: Arc::from(PathBuf::from("a.yaml")),
            text: text.to_owned(),
        };
        Manifest::read(&[file]).map_err(|faults| faults.to_string())
    }

    #[test]
    fn accounts_groups_and_roles_are_read_with_their_places() {
        let manifest = read(
            "roles:\n  inner: { permissions: [a:b], api_access: false }\n\
             groups:\n  g: { members: [ci], grants: [{ role: r }] }\n\
             accounts:\n  ci:\n    description: Builds\n    allow_from: [10.0.0.0/8]\n    \
             grants: [{ role: r, within: { tenant: [a, b] } }]\n",
        )
        .unwrap();
        assert!(!manifest.roles[0].api_access);
        assert_eq!(manifest.groups[0].members[0].as_str(), "ci");
        let account = &manifest.accounts[0];
        assert_eq!(account.place, "a.yaml:6:3");
        assert_eq!(account.grants[0].place, "a.yaml:9:14");
        assert_eq!(account.grants[0].within.to_string(), "tenant a, b");
    }

    #[test]
    fn what_cannot_be_applied_is_refused_with_its_place_all_of_it_at_once() {
        let faults = read(
            "routes:\n  GET /x: public\naccounts:\n  ci:\n    id: sa_1\n    grant: []\n  \
             ci: {}\n",
        )
        .unwrap_err();
        for said in [
            "a.yaml:1:1: `routes` cannot be applied",
            "a.yaml:6:5: ",
            "a.yaml:7:3: ",
        ] {
            assert!(faults.contains(said), "{said} is not in\n{faults}");
        }
        let faults = read("accounts:\n  ci: { id: sa_1 }\n").unwrap_err();
        assert!(faults.contains("a.yaml:2:3: account `ci` cannot be applied with an `id`"));
    }
}
