//! What answers look like, for the document. Answers themselves come from [`crate::admin`], the same
//! as commands print them; a test holds the two against each other.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Where something holds: values per dimension. Empty is everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Places(BTreeMap<String, Vec<String>>);

/// A role that is held, and where.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldGrant {
    role: String,
    within: Places,
    /// Why it gives nothing, if it gives nothing.
    closed: Option<String>,
}

/// A key that is alive, told with a change that lies beyond what whoever made it holds himself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LivingKey {
    id: String,
    account: String,
    #[schema(required)]
    created_by: Option<String>,
    #[schema(required)]
    created_at: Option<String>,
    #[schema(required)]
    expires_at: Option<String>,
    #[schema(required)]
    last_used_at: Option<String>,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Account {
    name: String,
    #[schema(required)]
    id: Option<String>,
    description: String,
    enabled: bool,
    /// `store` or `file`; what files manage is changed there.
    managed_by: String,
    /// Where it stands in a file, if a file manages it.
    file: Option<String>,
    grants: Vec<HeldGrant>,
    groups: Vec<String>,
    allow_from: Vec<String>,
    /// Within what those who manage it must hold the right to; empty is everywhere.
    owner: Option<Places>,
    /// Who made it, as far as that is known; an account that the caller does not see is not named.
    #[schema(required)]
    created_by: Option<String>,
    #[schema(required)]
    created_at: Option<String>,
    #[schema(required)]
    updated_at: Option<String>,
    #[schema(required)]
    last_used_at: Option<String>,
    /// The set of files it was applied from, if it was.
    applied_as: Option<String>,
    /// Whether a command has shut it off, whatever its file says.
    overridden: Option<bool>,
    /// With a change that took `portcullis.grants:any`: the keys that are alive, and who made them.
    living_keys: Option<Vec<LivingKey>>,
    /// How many those are, of which the newest are named.
    living_keys_total: Option<u64>,
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Key {
    id: String,
    account: String,
    description: String,
    managed_by: String,
    /// Who made it, as far as that is known; an account that the caller does not see is not named.
    #[schema(required)]
    created_by: Option<String>,
    #[schema(required)]
    created_at: Option<String>,
    #[schema(required)]
    expires_at: Option<String>,
    #[schema(required)]
    last_used_at: Option<String>,
    #[schema(required)]
    last_used_from: Option<String>,
    /// The only permissions it may use, if there is such a limit.
    #[schema(required)]
    only: Option<Vec<String>>,
    allow_from: Vec<String>,
    /// `active`, `expiring` or `expired`.
    state: String,
    living_keys: Option<Vec<LivingKey>>,
    living_keys_total: Option<u64>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewKey {
    id: String,
    /// What proves it. It is shown here and nowhere else, ever.
    secret: String,
    account: String,
    created_at: Option<String>,
    expires_at: Option<String>,
    /// The key it is instead of.
    replaces: Option<String>,
    replaces_expires_at: Option<String>,
    /// When that one would have ended, if ever: what to give it back should nobody have got the secret.
    replaces_was_to_end_at: Option<String>,
    /// When the key it is instead of was meant to end, where the settings let no key live so long.
    shortened_from: Option<String>,
    living_keys: Option<Vec<LivingKey>>,
    living_keys_total: Option<u64>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Role {
    name: String,
    description: String,
    /// `gateway`, `file` or `store`.
    managed_by: String,
    file: Option<String>,
    permissions: Vec<String>,
    include: Vec<String>,
    /// Every permission it gives in the end.
    gives: Vec<String>,
    /// Whether accounts and groups can be given it.
    api_access: Option<bool>,
    applied_as: Option<String>,
    /// Within what those who manage it must hold the right to; empty is everywhere.
    owner: Option<Places>,
    /// Who made it, as far as that is known; an account that the caller does not see is not named.
    created_by: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// Those it was taken from with its end, of those the caller sees.
    taken_from: Option<Vec<String>>,
    living_keys: Option<Vec<LivingKey>>,
    living_keys_total: Option<u64>,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Group {
    name: String,
    description: String,
    managed_by: String,
    file: Option<String>,
    /// Those that the caller sees.
    members: Vec<String>,
    grants: Vec<HeldGrant>,
    applied_as: Option<String>,
    /// Within what those who manage it must hold the right to; empty is everywhere.
    owner: Option<Places>,
    /// Who made it, as far as that is known; an account that the caller does not see is not named.
    created_by: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    living_keys: Option<Vec<LivingKey>>,
    living_keys_total: Option<u64>,
}

/// A permission.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Permission {
    name: String,
    description: String,
    /// The roles that give it, of those the caller sees.
    roles: Vec<String>,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    account: String,
    id: String,
    /// The same in the words of the audit trail.
    actor: String,
    /// The key he shows, or has his token from.
    #[schema(required)]
    key: Option<String>,
    #[schema(required)]
    key_expires_at: Option<String>,
    /// The token he shows, if it is one.
    #[schema(required)]
    token: Option<ShownToken>,
    /// What his credential may use, wherever that is.
    permissions: Vec<String>,
    /// What he holds.
    grants: Vec<OwnGrant>,
    groups: Vec<String>,
}

/// A token that is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownToken {
    id: String,
    expires_at: String,
}

/// A role that whoever asks holds himself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnGrant {
    role: String,
    within: Places,
    /// The group it comes by, if it is not his own.
    #[schema(required)]
    group: Option<String>,
}

/// Tokens, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tokens {
    tokens: Vec<ListedToken>,
    /// How many there are, of which these are the newest.
    total: u64,
}

/// A token that was verified lately or taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedToken {
    id: String,
    #[schema(required)]
    account: Option<String>,
    /// Whom it is for: the APIs behind, or the admin API.
    #[schema(required)]
    audience: Option<String>,
    #[schema(required)]
    key: Option<String>,
    #[schema(required)]
    scope: Option<Vec<String>>,
    #[schema(required)]
    issued_at: Option<String>,
    expires_at: String,
    /// `good`, or why it is refused.
    state: String,
}

/// Keys that tokens are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningKeys {
    signing_keys: Vec<SigningKey>,
}

/// A key that tokens are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningKey {
    id: String,
    created_at: String,
    #[schema(required)]
    retired_at: Option<String>,
    /// Until when tokens it signed may be good, once it signs no more.
    #[schema(required)]
    verifies_until: Option<String>,
    signs: bool,
}

/// What the command of the same name prints with `-o json`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Told(BTreeMap<String, serde_json::Value>);

/// What is wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// A sentence for a person.
    detail: String,
    instance: Option<String>,
    request_id: Option<String>,
    /// What kind of no it is: `not_found`, `conflict`, `stale`, `invalid`, `not_permitted` or
    /// `unavailable`.
    kind: Option<String>,
    /// Why the caller was refused, if he was.
    reason: Option<String>,
    /// The field of the body or the query that is wrong.
    field: Option<String>,
    /// The permissions that are missing.
    missing: Option<Vec<String>>,
    /// What the thing is now, where it is not what `If-Match` says.
    #[schema(value_type = Option<Object>)]
    newer: Option<serde_json::Value>,
}
