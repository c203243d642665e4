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
        O::SigningKeysRotate {} => asks(POST, "/signing-keys/rotate"),
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
        O::Drain {} => Way::Host,
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
