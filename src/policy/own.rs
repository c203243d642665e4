//! The gateway's own permissions and roles: what its admin API asks for.
//!
//! They are declared by the program and not by files, so a policy cannot leave one out or change
//! what it means. They are numbered after those of the files: lists of what a policy declares stay
//! what its files say, and a grant gives them like any other. Their names begin with `portcullis.`,
//! which files cannot declare.

use std::sync::LazyLock;

use super::Policy;
use crate::words::{Permission, PermissionId, PermissionPattern, PermissionSet, RoleName};

/// Every permission of the gateway's own, sorted by name, and what it is for.
const DECLARED: [(&str, &str); 16] = [
    (
        "portcullis.accounts:edit",
        "Make, change, grant and delete accounts",
    ),
    ("portcullis.accounts:view", "See accounts"),
    ("portcullis.audit:view", "Read the audit trail"),
    ("portcullis.denials:view", "See refused requests"),
    (
        "portcullis.grants:any",
        "Give and manage what one does not hold oneself",
    ),
    (
        "portcullis.grants:view",
        "See what one does not hold oneself",
    ),
    ("portcullis.groups:edit", "Make, change and delete groups"),
    ("portcullis.groups:view", "See groups"),
    ("portcullis.keys:edit", "Make, rotate and expire keys"),
    ("portcullis.keys:view", "See keys"),
    (
        "portcullis.policy:view",
        "See routes and permissions, and ask what they allow",
    ),
    (
        "portcullis.roles:edit",
        "Make, change and delete custom roles",
    ),
    ("portcullis.roles:view", "See roles"),
    ("portcullis.server:edit", "Reload and drain the server"),
    ("portcullis.server:view", "See how the server is"),
    ("portcullis.tokens:edit", "Issue and inspect tokens"),
];

/// The role that holds everything of the gateway's own.
pub const ADMIN_ROLE: &str = "portcullis-admin";
/// The role that sees everything of the gateway's own and changes nothing.
pub const VIEWER_ROLE: &str = "portcullis-viewer";

/// A role of the gateway's own.
#[derive(Debug)]
pub struct OwnRole {
    /// What it is called.
    pub name: RoleName,
    /// What it is for.
    pub description: &'static str,
    /// What it gives.
    pub permissions: Vec<PermissionPattern>,
}

static PERMISSIONS: LazyLock<Vec<(Permission, String)>> = LazyLock::new(|| {
    let own = DECLARED.iter().map(|(name, description)| {
        let name = name.parse().expect("a test reads every one of them");
        (name, (*description).to_owned())
    });
    own.collect()
});

static ROLES: LazyLock<[OwnRole; 2]> = LazyLock::new(|| {
    let role = |name: &str, description, given: fn(&str) -> bool| OwnRole {
        name: name.parse().expect("a test reads every one of them"),
        description,
        permissions: PERMISSIONS
            .iter()
            .filter(|(name, _)| given(name.as_str()))
            .map(|(name, _)| name.clone().into())
            .collect(),
    };
    [
        role(ADMIN_ROLE, "Manages everything in the gateway", |_| true),
        role(VIEWER_ROLE, "Sees everything in the gateway", |name| {
            name.ends_with(":view")
        }),
    ]
});

/// Every permission of the gateway's own with what it is for, sorted by name.
pub fn permissions() -> &'static [(Permission, String)] {
    &PERMISSIONS
}

/// Every role of the gateway's own, sorted by name.
pub fn roles() -> &'static [OwnRole] {
    &*ROLES
}

/// The role of the gateway's own called `name`.
pub fn role(name: &RoleName) -> Option<&'static OwnRole> {
    ROLES.iter().find(|role| role.name == *name)
}

impl Policy {
    /// Every permission there is, by number: those the files declare, then the gateway's own.
    pub fn every_permission(&self) -> impl Iterator<Item = (PermissionId, &Permission)> {
        let named = self.permissions.iter().chain(&*PERMISSIONS);
        let ids = (0..=u16::MAX).map(PermissionId);
        ids.zip(named.map(|(name, _)| name))
    }

    /// What a role of the gateway's own gives under this policy.
    pub fn own_role(&self, name: &RoleName) -> Option<PermissionSet> {
        let role = role(name)?;
        let covered = |permission: &Permission| {
            let mut patterns = role.permissions.iter();
            patterns.any(|pattern| pattern.covers(permission))
        };
        let given = self.every_permission();
        let given = given.filter(|(_, permission)| covered(permission));
        Some(given.map(|(id, _)| id).collect())
    }

    pub(super) fn own_id(&self, name: &str) -> Option<PermissionId> {
        let found = PERMISSIONS.binary_search_by(|(known, _)| known.as_str().cmp(name));
        let place = self.permissions.len() + found.ok()?;
        u16::try_from(place).ok().map(PermissionId)
    }

    pub(super) fn own_permission(&self, id: PermissionId) -> Option<&'static Permission> {
        let place = usize::from(id.0).checked_sub(self.permissions.len())?;
        PERMISSIONS.get(place).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    use crate::policy::compile::{Context, SourceFile, compile};

    #[test]
    fn own_permissions_are_sorted_and_numbered_after_those_of_the_files() {
        assert!(PERMISSIONS.is_sorted_by(|(first, _), (second, _)| first < second));
        let policy = compile(&[], &Context::default()).unwrap();
        for (id, permission) in policy.every_permission() {
            assert_eq!(policy.permission(id), permission);
            assert_eq!(policy.permission_id(permission.as_str()), Some(id));
        }
        assert_eq!(policy.permission_id("portcullis.accounts:burn"), None);
    }

    #[test]
    fn a_role_of_a_file_may_give_them_and_is_not_called_like_one_of_ours() {
        let compiled = |roles: &str| {
            let file = SourceFile {
                path: Arc::from(Path::new("policies/own.yaml")),
                text: format!("permissions: {{ devices:view: See }}\nroles:\n{roles}"),
            };
            compile(&[file], &Context::default())
        };
        let policy = compiled(
            "  desk: { description: D, include: [portcullis-viewer], permissions: ['portcullis.keys:*'] }\n",
        )
        .unwrap();
        let gives = &policy.roles["desk"].gives;
        let holds = |name| gives.contains(policy.permission_id(name).unwrap());
        assert!(holds("portcullis.keys:edit") && holds("portcullis.accounts:view"));
        assert!(!holds("portcullis.accounts:edit") && !holds("devices:view"));
        // Or whoever includes it and may change anything could change everything.
        assert!(holds("portcullis.grants:view") && !holds("portcullis.grants:any"));
        let refused =
            compiled("  portcullis-admin: { description: D, permissions: ['devices:view'] }\n");
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("the gateway's own"), "{said}");
    }

    #[test]
    fn an_administrator_holds_all_and_a_viewer_only_looks() {
        let policy = Policy::default();
        let gives = |name: &str| {
            let given = policy.own_role(&name.parse().unwrap()).unwrap();
            given.iter().count()
        };
        assert_eq!(gives(ADMIN_ROLE), DECLARED.len());
        assert_eq!(gives(VIEWER_ROLE), 9);
        assert!(policy.own_role(&"reader".parse().unwrap()).is_none());
    }
}
