//! What operators can ask for, as a command or another program sends it.

mod ways;

use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::audit::{self, Anchor};
use crate::denials::Filter;
use crate::policy::manifest::Manifest;
use crate::words::{
    AccountName, Boundary, GroupName, KeyId, Method, Permission, PermissionPattern, RequestId,
    RoleName, SecretDigest, SetName, TokenId, UnixTime,
};

pub use ways::HOST_ONLY;

/// A role, and where it shall hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role.
    pub role: RoleName,
    /// Where it holds; empty is everywhere.
    #[serde(default, skip_serializing_if = "Boundary::is_everywhere")]
    pub within: Boundary,
}

/// A key that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedKey {
    /// The id it shall have; a new one if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<KeyId>,
    /// SHA-256 of its secret.
    pub digest: SecretDigest,
    /// Where it is used.
    #[serde(default)]
    pub description: String,
}

/// What the columns of a matrix are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixBy {
    /// Permissions.
    #[default]
    Permission,
    /// Routes.
    Route,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty,)* };)+) => {
        /// One thing an operator asks for.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
        #[expect(missing_docs, reason = "the fields are the words of the product's own vocabulary")]
        pub enum Operation {
            $($(#[$doc])* $name { $($(#[$meta])* $field: $kind,)* },)+
        }

        impl Operation {
            /// Every operation by its name, in the order they are declared.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// Its name in logs.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name { .. } => stringify!($name),)+ }
            }

            /// Says whether it changes anything, rather than looks.
            pub fn changes(&self) -> bool {
                let name = self.name();
                let looks = [
                    "List", "Show", "Match", "Inspect", "Explain", "Status", "Follow", "Top", "Who", "Matrix",
                    "Overlaps", "Anchor", "Verify", "Whoami",
                ];
                !looks.iter().any(|verb| name.ends_with(verb))
            }
        }
    };
}

operations! {
    /// A new account.
    AccountsCreate {
        name: AccountName,
        #[serde(default)] description: String,
        #[serde(default)] grants: Vec<Grant>,
        #[serde(default)] allow_from: Vec<IpNet>,
        /// Within what those who manage it must hold the right to; where whoever makes it holds his
        /// if nothing is said.
        #[serde(default)] owner: Option<Boundary>,
    };
    /// Every account by name, or at most `limit` of those that come after `after`.
    AccountsList {
        #[serde(default)] after: Option<AccountName>,
        #[serde(default)] limit: Option<usize>,
    };
    /// Accounts, groups and roles as files say: all of it or nothing.
    AccountsApply {
        /// The name of those files together.
        set: SetName,
        manifest: Manifest,
        /// Whether what came from the set and is not in the files goes.
        #[serde(default)] prune: bool,
        /// Whether it is only said what would be done.
        #[serde(default)] dry_run: bool,
    };
    /// One account.
    AccountsShow { name: AccountName, };
    /// Another description, other addresses.
    AccountsUpdate {
        name: AccountName,
        #[serde(default)] description: Option<String>,
        #[serde(default)] allow_from: Option<Vec<IpNet>>,
    };
    /// Gives a role.
    AccountsGrant {
        name: AccountName,
        role: RoleName,
        #[serde(default)] within: Boundary,
    };
    /// Takes exactly this grant away.
    AccountsUngrant {
        name: AccountName,
        role: RoleName,
        #[serde(default)] within: Boundary,
    };
    /// Shuts an account off, one managed by file too.
    AccountsDisable { name: AccountName, };
    /// Lets an account in again.
    AccountsEnable { name: AccountName, };
    /// Removes an account and its keys for ever.
    AccountsDelete { name: AccountName, };
    /// A new key; the answer is the only place its secret is ever shown.
    KeysCreate {
        account: AccountName,
        #[serde(default)] description: String,
        #[serde(default)] expires_at: Option<UnixTime>,
        /// The only permissions it may use; none is no such limit.
        #[serde(default)] only: Vec<PermissionPattern>,
        #[serde(default)] allow_from: Vec<IpNet>,
    };
    /// Keys that were made elsewhere, by the digests of their secrets. All of them or none.
    KeysImport {
        account: AccountName,
        keys: Vec<ImportedKey>,
        #[serde(default)] expires_at: Option<UnixTime>,
        #[serde(default)] only: Vec<PermissionPattern>,
        #[serde(default)] allow_from: Vec<IpNet>,
    };
    /// Every key, or those of one account: by account, at most `limit` that come after `after`.
    KeysList {
        #[serde(default)] account: Option<AccountName>,
        /// Only keys that still open something and were not used since.
        #[serde(default)] unused_since: Option<UnixTime>,
        /// Only keys that still open something and end before this.
        #[serde(default)] ends_before: Option<UnixTime>,
        #[serde(default)] after: Option<KeyId>,
        #[serde(default)] limit: Option<usize>,
    };
    /// One key, without its secret.
    KeysShow { key: KeyId, };
    /// Another description, other limits; what is not named stays, an empty list is no limit.
    KeysUpdate {
        key: KeyId,
        #[serde(default)] description: Option<String>,
        #[serde(default)] only: Option<Vec<PermissionPattern>>,
        #[serde(default)] allow_from: Option<Vec<IpNet>>,
    };
    /// A new key, and an end for the one it replaces.
    KeysRotate {
        key: KeyId,
        overlap_seconds: u64,
        /// When the new key ends; when the old one was meant to, if left out.
        #[serde(default)] expires_at: Option<UnixTime>,
    };
    /// Sets the end of a key: now, if nothing else is said.
    KeysExpire { key: KeyId, #[serde(default)] at: Option<UnixTime>, };
    /// A new custom role.
    RolesCreate {
        name: RoleName,
        #[serde(default)] description: String,
        #[serde(default)] permissions: Vec<PermissionPattern>,
        #[serde(default)] include: Vec<RoleName>,
        /// Whether accounts and groups can be given it; they can if nothing is said.
        #[serde(default)] api_access: Option<bool>,
        #[serde(default)] owner: Option<Boundary>,
    };
    /// Every role, built-in and custom.
    RolesList {};
    /// One role.
    RolesShow { name: RoleName, };
    /// Another text for a custom role; what is not named stays.
    RolesUpdate {
        name: RoleName,
        #[serde(default)] description: Option<String>,
        #[serde(default)] permissions: Option<Vec<PermissionPattern>>,
        #[serde(default)] include: Option<Vec<RoleName>>,
        #[serde(default)] api_access: Option<bool>,
    };
    /// Removes a custom role that nobody holds; with `force` it is taken from everybody first.
    RolesDelete {
        name: RoleName,
        #[serde(default)] force: bool,
    };
    /// A new group.
    GroupsCreate {
        name: GroupName,
        #[serde(default)] description: String,
        #[serde(default)] grants: Vec<Grant>,
        #[serde(default)] owner: Option<Boundary>,
    };
    /// Every group.
    GroupsList {};
    /// One group.
    GroupsShow { name: GroupName, };
    /// Puts an account into a group.
    GroupsAdd { group: GroupName, account: AccountName, };
    /// Takes an account out of a group.
    GroupsRemove { group: GroupName, account: AccountName, };
    /// Gives a role to a group.
    GroupsGrant {
        name: GroupName,
        role: RoleName,
        #[serde(default)] within: Boundary,
    };
    /// Takes exactly this grant away from a group.
    GroupsUngrant {
        name: GroupName,
        role: RoleName,
        #[serde(default)] within: Boundary,
    };
    /// Removes a group.
    GroupsDelete { name: GroupName, };
    /// A token for an account, without a key.
    TokensIssue {
        account: AccountName,
        #[serde(default)] scope: Option<Vec<Permission>>,
        #[serde(default)] lifetime_seconds: Option<u64>,
    };
    /// Tokens that were verified lately or taken back, and have not run out.
    TokensList { #[serde(default)] account: Option<AccountName>, };
    /// Takes one token back.
    TokensRevoke { id: TokenId, };
    /// The keys that tokens are signed with.
    SigningKeysList {};
    /// A new key to sign with. What the old one signed is good until it runs out, or ends at once.
    SigningKeysRotate { #[serde(default)] end_tokens: bool, };
    /// What a token says, and whether it would be believed.
    TokensInspect { token: Token, };
    /// Every route.
    RoutesList {};
    /// The routes one request meets.
    RoutesMatch {
        method: Method,
        target: String,
        #[serde(default)] host: Option<String>,
    };
    /// Pairs of routes that match a path in common.
    RoutesOverlaps {
        /// Only those of which neither is more specific.
        #[serde(default)] incomparable: bool,
    };
    /// Every permission.
    PermissionsList {};
    /// Who holds a permission, by which role, and where.
    PermissionsWho { permission: Permission, };
    /// What every account may do, by permission or by route.
    RoutesMatrix {
        #[serde(default)] by: MatrixBy,
        #[serde(default)] accounts: Vec<AccountName>,
    };
    /// Every route that an account may call. Instead of an account, grants may be given for one that
    /// is only thought of.
    AllowedList {
        #[serde(default)] account: Option<AccountName>,
        #[serde(default)] grants: Vec<Grant>,
    };
    /// What would happen to a request, step by step.
    Explain {
        method: Method,
        target: String,
        #[serde(default)] account: Option<AccountName>,
        #[serde(default)] grants: Vec<Grant>,
        #[serde(default)] host: Option<String>,
        #[serde(default)] from: Option<IpAddr>,
        #[serde(default)] headers: Vec<(String, String)>,
        /// Without what would turn it.
        #[serde(default)] brief: bool,
    };
    /// Refusals that are kept, newest first.
    DenialsList { #[serde(default)] filter: Filter, };
    /// Refusals since the last time this was asked, oldest first, and what to ask for next.
    DenialsFollow {
        #[serde(default)] after: Option<u64>,
        #[serde(default)] filter: Filter,
    };
    /// What one refusal was about, and what the same request would get now.
    DenialsExplain { id: RequestId, };
    /// Who was refused what and how often.
    DenialsTop { #[serde(default)] filter: Filter, };
    /// Records of the audit trail, newest first.
    AuditList { #[serde(default)] filter: audit::Filter, };
    /// Records above a number, oldest first, and what to ask for next.
    AuditFollow {
        #[serde(default)] after: Option<u64>,
        /// Whether what comes up to `after` has been handed on to be kept elsewhere, all of it.
        #[serde(default)] exported: bool,
        #[serde(default)] filter: audit::Filter,
    };
    /// The end of the audit trail, to be kept elsewhere.
    AuditAnchor {};
    /// Proves a page of the audit trail, and that it holds what was kept of it elsewhere.
    AuditVerify {
        #[serde(default)] after: Option<u64>,
        #[serde(default)] anchors: Vec<Anchor>,
    };
    /// Who asks, and what he may ask for.
    Whoami {};
    /// What the store holds, and whether it is whole.
    StoreStatus {};
    /// A copy of the store in a new file, where the server can write one.
    StoreBackup {
        file: PathBuf,
        /// Where a copy of the pepper goes, if it is to be copied.
        #[serde(default)] pepper: Option<PathBuf>,
    };
    /// How the gateway is.
    Status {};
    /// Reads the policy folder again, now.
    Reload {};
    /// Finishes what is in flight and ends.
    Drain {};
}

impl Operation {
    /// What it is about, for logs: the account, key, role, group or path it names. Never a token, a
    /// query, a header or a description: those are where secrets are pasted.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm an operation, nothing between them"
    )]
    pub fn object(&self) -> Option<String> {
        let given = |whose: &dyn Display, role: &RoleName, within: &Boundary| {
            format!("{whose}, role `{role}`, {within}")
        };
        let object = match self {
            Self::AccountsCreate { name, .. }
            | Self::AccountsShow { name }
            | Self::AccountsUpdate { name, .. }
            | Self::AccountsDisable { name }
            | Self::AccountsEnable { name }
            | Self::AccountsDelete { name }
            | Self::KeysCreate { account: name, .. }
            | Self::KeysImport { account: name, .. }
            | Self::TokensIssue { account: name, .. } => format!("account `{name}`"),
            Self::AccountsGrant { name, role, within }
            | Self::AccountsUngrant { name, role, within } => {
                given(&format_args!("account `{name}`"), role, within)
            }
            Self::TokensRevoke { id } => format!("token `{id}`"),
            Self::TokensList { account } => format!("account `{}`", account.as_ref()?),
            Self::AccountsApply { set, .. } => format!("set `{set}`"),
            Self::AllowedList { account, .. } => format!("account `{}`", account.as_ref()?),
            Self::PermissionsWho { permission } => format!("permission `{permission}`"),
            Self::DenialsExplain { id } => format!("request `{id}`"),
            Self::KeysList { account, .. } => format!("account `{}`", account.as_ref()?),
            Self::KeysShow { key }
            | Self::KeysRotate { key, .. }
            | Self::KeysUpdate { key, .. }
            | Self::KeysExpire { key, .. } => format!("key `{key}`"),
            Self::RolesCreate { name, .. }
            | Self::RolesShow { name }
            | Self::RolesUpdate { name, .. }
            | Self::RolesDelete { name, .. } => format!("role `{name}`"),
            Self::GroupsCreate { name, .. }
            | Self::GroupsShow { name }
            | Self::GroupsDelete { name } => {
                format!("group `{name}`")
            }
            Self::GroupsAdd { group, account } | Self::GroupsRemove { group, account } => {
                format!("group `{group}`, account `{account}`")
            }
            Self::GroupsGrant { name, role, within }
            | Self::GroupsUngrant { name, role, within } => {
                given(&format_args!("group `{name}`"), role, within)
            }
            Self::RoutesMatch { method, target, .. } | Self::Explain { method, target, .. } => {
                let path = target.split(['?', '#']).next().unwrap_or_default();
                format!("{method} {path}")
            }
            Self::StoreBackup { file, .. } => format!("file `{}`", file.display()),
            Self::AccountsList { .. }
            | Self::RolesList {}
            | Self::GroupsList {}
            | Self::TokensInspect { .. }
            | Self::SigningKeysList {}
            | Self::SigningKeysRotate { .. }
            | Self::RoutesList {}
            | Self::RoutesOverlaps { .. }
            | Self::PermissionsList {}
            | Self::RoutesMatrix { .. }
            | Self::DenialsList { .. }
            | Self::DenialsFollow { .. }
            | Self::DenialsTop { .. }
            | Self::AuditList { .. }
            | Self::AuditFollow { .. }
            | Self::AuditAnchor {}
            | Self::AuditVerify { .. }
            | Self::Whoami {}
            | Self::StoreStatus {}
            | Self::Status {}
            | Self::Reload {}
            | Self::Drain {} => return None,
        };
        Some(object)
    }
}

/// A token on its way to be looked at. It does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_names_what_an_operation_is_about_and_no_secret() {
        let object = |operation| {
            serde_json::from_value::<Operation>(operation)
                .unwrap()
                .object()
        };
        let key = KeyId::random();
        let named = [
            (
                json!({ "operation": "accounts_grant", "name": "ci", "role": "reader",
                    "within": { "tenant": ["acme"] } }),
                "account `ci`, role `reader`, tenant acme".to_owned(),
            ),
            (
                json!({ "operation": "keys_create", "account": "ci", "description": "hush" }),
                "account `ci`".to_owned(),
            ),
            (
                json!({ "operation": "keys_expire", "key": key }),
                format!("key `{key}`"),
            ),
            (
                json!({ "operation": "groups_add", "group": "night", "account": "ci" }),
                "group `night`, account `ci`".to_owned(),
            ),
            (
                json!({ "operation": "explain", "method": "GET", "target": "/v1/x?token=hush",
                    "headers": [["authorization", "Bearer hush"]] }),
                "GET /v1/x".to_owned(),
            ),
        ];
        for (operation, expected) in named {
            assert_eq!(object(operation), Some(expected));
        }
        let inspect = json!({ "operation": "tokens_inspect", "token": "hush" });
        assert_eq!(object(inspect), None);
    }
}
