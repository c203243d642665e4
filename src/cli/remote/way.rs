//! Which request of the admin API each operation is: one table, without a wildcard, so that an
//! operation that is new does not compile before somebody has said how it is asked for from elsewhere.
//!
//! The fields of an operation are called what the endpoint calls them. Those that the path names go
//! there, the others into the query or the body. A test reads every request back with the endpoint's
//! own reader, and must get the same operation.

use http::Method;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::cli::transport::Operation;
use crate::words::UNRESERVED;

/// Where the admin API is.
const BASE: &str = "/api/v1";
/// Most entries that an endpoint shows at once.
pub(super) const PAGE_MAX: u64 = 1000;

/// How an operation is asked for.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// By a request of the admin API.
    Api(Row),
    /// Not at all: it is asked for on the machine of the server.
    Host,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) method: Method,
    /// The path below [`BASE`]; `{field}` stands for a field of the operation.
    template: &'static str,
    carries: Carries,
}

/// Where the fields go that the path does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    Query,
    Body,
    /// Into the query; `after` and `limit` choose among pages.
    Pages,
}

/// A request to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    /// Which part of a list is wanted, if it comes in pages.
    pub(super) pages: Option<Pages>,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pages {
    /// What it begins after.
    pub(super) after: Option<String>,
    /// Most entries; all if nothing is said.
    pub(super) limit: Option<u64>,
}

fn asks(method: Method, template: &'static str) -> Way {
    row(method, template, Carries::Query)
}

fn sends(method: Method, template: &'static str) -> Way {
    row(method, template, Carries::Body)
}

fn lists(template: &'static str) -> Way {
    row(Method::GET, template, Carries::Pages)
}

fn row(method: Method, template: &'static str, carries: Carries) -> Way {
    Way::Api(Row {
        method,
        template,
        carries,
    })
}

/// The table.
#[expect(
    clippy::too_many_lines,
    reason = "one arm an operation, nothing between them"
)]
pub(super) fn of(operation: &Operation) -> Way {
    use Operation as O;
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    match operation {
        O::AccountsCreate { .. } => sends(POST, "/accounts"),
        O::AccountsList { .. } => lists("/accounts"),
        O::AccountsApply { .. } => sends(POST, "/apply"),
        O::AccountsShow { .. } => asks(GET, "/accounts/{name}"),
        O::AccountsUpdate { .. } => sends(PATCH, "/accounts/{name}"),
        O::AccountsGrant { .. } => sends(POST, "/accounts/{name}/grant"),
        O::AccountsUngrant { .. } => sends(POST, "/accounts/{name}/ungrant"),
        O::AccountsDisable { .. } => asks(POST, "/accounts/{name}/disable"),
        O::AccountsEnable { .. } => asks(POST, "/accounts/{name}/enable"),
        O::AccountsDelete { .. } => asks(DELETE, "/accounts/{name}"),
        O::KeysCreate { .. } => sends(POST, "/accounts/{account}/keys"),
        O::KeysImport { .. } => sends(POST, "/accounts/{account}/keys/import"),
        O::KeysList { .. } => lists("/keys"),
        O::KeysShow { .. } => asks(GET, "/keys/{key}"),
        O::KeysUpdate { .. } => sends(PATCH, "/keys/{key}"),
        O::KeysRotate { .. } => sends(POST, "/keys/{key}/rotate"),
        O::KeysExpire { .. } => sends(POST, "/keys/{key}/expire"),
        O::RolesCreate { .. } => sends(POST, "/roles"),
        O::RolesList {} => lists("/roles"),
        O::RolesShow { .. } => asks(GET, "/roles/{name}"),
        O::RolesUpdate { .. } => sends(PATCH, "/roles/{name}"),
        O::RolesDelete { .. } => asks(DELETE, "/roles/{name}"),
        O::GroupsCreate { .. } => sends(POST, "/groups"),
        O::GroupsList {} => lists("/groups"),
        O::GroupsShow { .. } => asks(GET, "/groups/{name}"),
        O::GroupsAdd { .. } => asks(PUT, "/groups/{group}/members/{account}"),
        O::GroupsRemove { .. } => asks(DELETE, "/groups/{group}/members/{account}"),
        O::GroupsGrant { .. } => sends(POST, "/groups/{name}/grant"),
        O::GroupsUngrant { .. } => sends(POST, "/groups/{name}/ungrant"),
        O::GroupsDelete { .. } => asks(DELETE, "/groups/{name}"),
        O::TokensIssue { .. } => sends(POST, "/tokens"),
        O::TokensList { .. } => asks(GET, "/tokens"),
        O::TokensRevoke { .. } => asks(POST, "/tokens/{id}/revoke"),
        O::SigningKeysList {} => asks(GET, "/signing-keys"),
        O::SigningKeysRotate { .. } => asks(POST, "/signing-keys/rotate"),
        O::TokensInspect { .. } => sends(POST, "/tokens/inspect"),
        O::RoutesList {} => asks(GET, "/routes"),
        O::RoutesMatch { .. } => sends(POST, "/routes/match"),
        O::RoutesOverlaps { .. } => asks(GET, "/routes/overlaps"),
        O::PermissionsList {} => asks(GET, "/permissions"),
        O::PermissionsWho { .. } => asks(GET, "/permissions/{permission}/holders"),
        O::RoutesMatrix { .. } => asks(GET, "/routes/matrix"),
        O::AllowedList { .. } => sends(POST, "/allowed"),
        O::Explain { .. } => sends(POST, "/explain"),
        O::DenialsList { .. } => asks(GET, "/denials"),
        O::DenialsFollow { .. } => asks(GET, "/denials/follow"),
        O::DenialsExplain { .. } => asks(GET, "/denials/{id}"),
        O::DenialsTop { .. } => asks(GET, "/denials/top"),
        O::AuditList { .. } => asks(GET, "/audit"),
        O::AuditFollow { .. } => asks(GET, "/audit/follow"),
        O::AuditAnchor {} => asks(GET, "/audit/anchor"),
        O::AuditVerify { .. } => sends(POST, "/audit/verify"),
        O::Whoami {} => asks(GET, "/me"),
        O::Status {} => asks(GET, "/status"),
        O::Reload {} => asks(POST, "/reload"),
        O::Drain {} | O::StoreStatus {} | O::StoreBackup { .. } => Way::Host,
    }
}

impl Row {
    /// The request that asks for `operation`.
    ///
    /// # Errors
    ///
    /// When it asks for more at once than is shown from elsewhere.
    pub(super) fn call(&self, operation: &Operation) -> Result<Call, Failure> {
        let mut fields = fields(operation)?;
        let mut path = BASE.to_owned();
        for segment in self.template.split('/').skip(1) {
            path.push('/');
            let field = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            let value = field.and_then(|field| fields.shift_remove(field));
            let text = value.as_ref().and_then(Value::as_str).unwrap_or(segment);
            path.extend(utf8_percent_encode(text, UNRESERVED));
        }
        let mut call = Call {
            method: self.method.clone(),
            path,
            query: Vec::new(),
            body: None,
            pages: None,
        };
        match self.carries {
            Carries::Body => {
                fields.retain(|_, value| !value.is_null());
                call.body = Some(Value::Object(fields));
            }
            Carries::Query => {
                call.query = query(&fields);
                let limit = fields.get("limit").and_then(Value::as_u64);
                if limit.is_some_and(|limit| limit > PAGE_MAX) {
                    return Err(Failure::invalid(format_args!(
                        "a server shows at most {PAGE_MAX} at once: ask for fewer with `--limit`"
                    )));
                }
            }
            Carries::Pages => {
                let after = fields.shift_remove("after");
                let limit = fields.shift_remove("limit");
                call.pages = Some(Pages {
                    after: after.as_ref().and_then(Value::as_str).map(str::to_owned),
                    limit: limit.as_ref().and_then(Value::as_u64),
                });
                call.query = query(&fields);
            }
        }
        Ok(call)
    }
}

/// The fields of an operation; those of a filter are its own.
fn fields(operation: &Operation) -> Result<Map<String, Value>, Failure> {
    let value = serde_json::to_value(operation).map_err(Failure::server)?;
    let Value::Object(mut fields) = value else {
        return Err(Failure::server("an operation has no fields"));
    };
    fields.shift_remove("operation");
    if let Some(Value::Object(filter)) = fields.shift_remove("filter") {
        fields.extend(filter);
    }
    Ok(fields)
}

/// What stands in a query: what says something. Several values are one, with commas between.
fn query(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            (!items.is_empty()).then(|| items.join(","))
        }
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    };
    let pairs = fields.iter();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::admin::http::echo;

    #[expect(
        clippy::too_many_lines,
        reason = "a row an operation, nothing between them"
    )]
    /// Each operation, with everything said that can be said from elsewhere, and once with as little as
    /// there has to be.
    fn samples() -> Vec<Operation> {
        let key = crate::words::KeyId::random();
        let grants = json!([{ "role": "reader", "within": { "tenant": ["acme", "b/c"] } }, { "role": "all" }]);
        let denials = json!({ "account": "ci", "route": "GET /a?b&c=d e", "reason": "permission_missing",
            "since": "2026-11-21T12:00:00Z", "shadow": true, "limit": 7 });
        let records =
            json!({ "account": "ci", "actor": "root", "event": "key.create", "limit": 9 });
        let rows = [
            json!([
                { "operation": "accounts_create", "name": "ci", "description": "B", "grants": grants,
                  "allow_from": ["10.0.0.0/8"], "owner": { "tenant": ["acme"] } },
                { "operation": "accounts_create", "name": "ci" },
                { "operation": "accounts_list" },
                { "operation": "accounts_apply", "set": "team", "prune": true, "dry_run": true,
                  "manifest": { "accounts": [{ "place": "a.yaml:1:1", "name": "ci", "description": "", "allow_from": [],
                    "grants": [] }] } },
                { "operation": "accounts_show", "name": "ci" },
                { "operation": "accounts_update", "name": "ci", "description": "", "allow_from": [] },
                { "operation": "accounts_update", "name": "ci" },
                { "operation": "accounts_grant", "name": "ci", "role": "reader", "within": { "tenant": ["a"] } },
                { "operation": "accounts_ungrant", "name": "ci", "role": "reader" },
                { "operation": "accounts_disable", "name": "ci" },
                { "operation": "accounts_enable", "name": "ci" },
                { "operation": "accounts_delete", "name": "ci" },
            ]),
            json!([
                { "operation": "keys_create", "account": "ci", "description": "x", "only": ["a:view"],
                  "expires_at": "2027-01-31T00:00:00Z", "allow_from": ["192.0.2.7/32"] },
                { "operation": "keys_import", "account": "ci", "expires_at": "2027-01-31T00:00:00Z",
                  "keys": [{ "digest": format!("sha256:{}", "0a".repeat(32)), "description": "d" }] },
                { "operation": "keys_list", "account": "ci", "unused_since": "2026-01-31T00:00:00Z",
                  "ends_before": "2027-01-31T00:00:00.125Z" },
                { "operation": "keys_show", "key": key },
                { "operation": "keys_update", "key": key, "description": "d", "only": [], "allow_from": [] },
                { "operation": "keys_rotate", "key": key, "overlap_seconds": 60 },
                { "operation": "keys_expire", "key": key },
                { "operation": "keys_expire", "key": key, "at": "2027-01-31T00:00:00Z" },
            ]),
            json!([
                { "operation": "roles_create", "name": "r", "description": "R", "permissions": ["a:*"],
                  "include": ["b"], "api_access": false },
                { "operation": "roles_list" },
                { "operation": "roles_show", "name": "r" },
                { "operation": "roles_update", "name": "r", "permissions": [], "api_access": true },
                { "operation": "roles_delete", "name": "r" },
                { "operation": "roles_delete", "name": "r", "force": true },
                { "operation": "groups_create", "name": "g", "grants": grants },
                { "operation": "groups_list" },
                { "operation": "groups_show", "name": "g" },
                { "operation": "groups_add", "group": "g", "account": "ci" },
                { "operation": "groups_remove", "group": "g", "account": "ci" },
                { "operation": "groups_grant", "name": "g", "role": "r" },
                { "operation": "groups_ungrant", "name": "g", "role": "r", "within": { "tenant": ["a"] } },
                { "operation": "groups_delete", "name": "g" },
            ]),
            json!([
                { "operation": "tokens_issue", "account": "ci", "scope": ["a:view"], "lifetime_seconds": 60 },
                { "operation": "tokens_issue", "account": "ci" },
                { "operation": "tokens_list", "account": "ci" },
                { "operation": "tokens_list" },
                { "operation": "tokens_revoke", "id": "3kTMd8Z0xV1bQyLw7nPsHc" },
                { "operation": "signing_keys_list" },
                { "operation": "signing_keys_rotate" },
                { "operation": "tokens_inspect", "token": "eyJ" },
                { "operation": "routes_list" },
                { "operation": "routes_match", "method": "GET", "target": "/a?b=c", "host": "h" },
                { "operation": "routes_overlaps" },
                { "operation": "routes_overlaps", "incomparable": true },
                { "operation": "permissions_list" },
                { "operation": "permissions_who", "permission": "devices:view" },
                { "operation": "routes_matrix", "by": "route", "accounts": ["a", "b"] },
                { "operation": "routes_matrix" },
                { "operation": "allowed_list", "account": "ci" },
                { "operation": "allowed_list", "grants": grants },
            ]),
            json!([
                { "operation": "explain", "method": "DELETE", "target": "/a", "account": "ci", "host": "h",
                  "from": "10.0.0.1", "headers": [["x-site", "7"]], "brief": true },
                { "operation": "explain", "method": "GET", "target": "/a", "grants": grants },
                { "operation": "denials_list", "filter": denials },
                { "operation": "denials_list", "filter": { "failed": true, "limit": 50 } },
                { "operation": "denials_follow", "after": 0, "filter": denials },
                { "operation": "denials_explain", "id": "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70" },
                { "operation": "denials_top", "filter": denials },
                { "operation": "audit_list", "filter": { "since": "2026-11-21T12:00:00Z", "before": 8,
                  "until": "2026-11-22T12:00:00Z", "limit": 50 } },
                { "operation": "audit_list", "filter": records },
                { "operation": "audit_follow", "after": 12, "filter": records },
                { "operation": "audit_anchor" },
                { "operation": "audit_verify", "after": 5, "anchors": [
                    { "number": 4, "hash": "0a".repeat(32), "at": "2026-11-21T12:00:00Z" }] },
                { "operation": "audit_verify" },
                { "operation": "whoami" },
                { "operation": "status" },
                { "operation": "reload" },
                { "operation": "drain" },
                { "operation": "store_status" },
                { "operation": "store_backup", "file": "/var/backups/b.db" },
            ]),
        ];
        let read = |rows| -> Vec<Operation> { serde_json::from_value(rows).unwrap() };
        rows.into_iter().flat_map(read).collect()
    }

    #[test]
    fn every_operation_is_read_by_its_endpoint_as_what_was_asked_for() {
        let mut tried = BTreeSet::new();
        for operation in samples() {
            tried.insert(operation.name());
            let Way::Api(row) = of(&operation) else {
                assert!(operation.host_only().is_some(), "{operation:?}");
                continue;
            };
            assert_eq!(operation.host_only(), None, "{operation:?}");
            let mut call = row.call(&operation).unwrap();
            if call.pages.is_some() {
                call.query.push(("limit".into(), PAGE_MAX.to_string()));
            }
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&call.query);
            let body = call.body.as_ref();
            let read = echo::read_as(&call.method, &call.path, &query.finish(), body);
            assert_eq!(read.map(whole), Ok(operation.clone()), "{call:?}");
        }
        let all: BTreeSet<_> = Operation::NAMES.iter().copied().collect();
        let untried: Vec<_> = all.difference(&tried).collect();
        assert!(untried.is_empty(), "add a sample of each: {untried:?}");
    }

    /// Without the page that an endpoint reads into an operation.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have no pages")]
    fn whole(operation: Operation) -> Operation {
        match operation {
            Operation::AccountsList { after, .. } => Operation::AccountsList { after, limit: None },
            Operation::KeysList {
                account,
                unused_since,
                ends_before,
                after,
                ..
            } => Operation::KeysList {
                account,
                unused_since,
                ends_before,
                after,
                limit: None,
            },
            other => other,
        }
    }

    #[test]
    fn more_than_is_shown_at_once_is_refused_and_not_cut() {
        let operation: Operation = serde_json::from_value(json!(
            { "operation": "denials_list", "filter": { "limit": 1001 } }
        ))
        .unwrap();
        let Way::Api(row) = of(&operation) else {
            panic!("it has an endpoint");
        };
        assert!(
            row.call(&operation)
                .unwrap_err()
                .message
                .contains("--limit")
        );
    }
}
