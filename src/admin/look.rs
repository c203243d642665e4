//! Questions that change nothing: routes, permissions, tokens.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::authority::Subject;
use super::desk::{Answer, Desk, Found, conflict, invalid, not_found};
use super::{AdminError, ErrorKind, Token};
use crate::audit::Object;
use crate::directory::State;
use crate::oauth::{MintRequest, mint};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Requirement, Route, RouteBoundary, Source};
use crate::request::Target;
use crate::settings::TOKEN_LIFETIME_MAX;
use crate::store::Told;
use crate::words::{AccountName, Method, Permission, PermissionId, RouteId, TokenId, UnixTime};

/// Every route, in the order of the files.
pub fn routes(policy: &Policy) -> Value {
    let routes = policy.routes.iter();
    routes.map(|found| route(policy, found)).collect()
}

/// Every permission that a policy declares, by name.
pub fn declared(policy: &Policy) -> Value {
    let permissions = policy.permissions.iter();
    permissions
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect()
}

/// The routes one request meets.
pub(super) fn route_of(
    desk: &Desk<'_>,
    method: Method,
    target: &str,
    host: Option<&str>,
) -> Answer {
    let policy = desk.policy();
    let target = Target::from_text(target, policy.classes_read)
        .map_err(|error| invalid(error.to_string()))?;
    let lookup = policy
        .find(host, method, target.path())
        .map_err(|error| not_found(format!("{error}: name one of the policy's hosts")))?;
    let shown = |id: RouteId| route(policy, policy.route(id));
    match lookup {
        Lookup::Found(found) => Ok(json!({
            "path": target.path(),
            "route": shown(found.primary),
            "also": found.also.iter().map(|id| shown(*id)).collect::<Vec<_>>(),
        })),
        Lookup::OtherMethods(methods) => Err(not_found(format!(
            "no route answers {method} {}; there it is {methods}",
            target.path()
        ))),
        Lookup::Nothing => {
            let near = policy.near(host, target.path());
            let hint = near.map_or_else(String::new, |near| {
                format!("; but for {}, `{}` would", near.by, near.route.name)
            });
            let path = target.path();
            Err(not_found(format!("no route matches `{path}`{hint}")))
        }
    }
}

/// What is told of one route.
pub(super) fn route(policy: &Policy, route: &Route) -> Value {
    json!({
        "name": route.name,
        "hosts": route.hosts,
        "needs": needs(policy, &route.requirement),
        "within": within(policy, route),
        "upstream": policy.upstreams.get(usize::from(route.upstream.0)),
        "shadow": route.shadow,
        "file": route.place.to_string(),
    })
}

fn needs(policy: &Policy, requirement: &Requirement) -> Value {
    let names = |ids: &[PermissionId]| -> Vec<&Permission> {
        ids.iter().map(|id| policy.permission(*id)).collect()
    };
    match requirement {
        Requirement::Public => json!("public"),
        Requirement::AnyAccount => json!("any_account"),
        Requirement::All(ids) | Requirement::Any(ids) if ids.len() == 1 => {
            json!(names(ids).first())
        }
        Requirement::All(ids) => json!({ "all": names(ids) }),
        Requirement::Any(ids) => json!({ "any": names(ids) }),
    }
}

fn within(policy: &Policy, route: &Route) -> Value {
    // Where nothing is needed there is no boundary either.
    if matches!(
        route.requirement,
        Requirement::Public | Requirement::AnyAccount
    ) {
        return Value::Null;
    }
    match &route.boundary {
        RouteBoundary::Unlimited => json!("unlimited"),
        RouteBoundary::Forwarded => json!("forwarded"),
        RouteBoundary::Bound(bound) => {
            let bound = bound.iter().map(|(dimension, source)| {
                (
                    policy.dimension(*dimension).to_string(),
                    json!(source_text(route, source)),
                )
            });
            Value::Object(bound.collect::<Map<_, _>>())
        }
    }
}

fn source_text(route: &Route, source: &Source) -> String {
    match source {
        Source::Path(place) => {
            let name = route.template.params().get(*place);
            format!("path.{}", name.map_or("?", String::as_str))
        }
        Source::Query {
            name,
            separator: None,
        } => format!("query.{name}"),
        Source::Query {
            name,
            separator: Some(separator),
        } => {
            format!("query.{name}, separated by `{separator}`")
        }
        Source::Header(name) => format!("header.{name}"),
    }
}

/// Every permission, by name, with the built-in and custom roles that give it.
pub(super) fn permissions(desk: &Desk<'_>) -> Value {
    let policy = desk.policy();
    let mut resolver = crate::directory::Resolver::new(policy, desk.records());
    let names = policy.roles.keys().chain(desk.records().roles.keys());
    let roles: Vec<_> = names
        .filter(|name| desk.sees(Subject::Role(name)))
        .filter_map(|name| Some((name, resolver.role(name).ok()?)))
        .collect();
    let show = |(name, description): &(Permission, String)| {
        let id = policy.permission_id(name.as_str());
        let given = roles
            .iter()
            .filter(|(_, set)| id.is_some_and(|id| set.contains(id)));
        json!({
            "name": name,
            "description": description,
            "roles": given.map(|(name, _)| name).collect::<Vec<_>>(),
        })
    };
    policy.permissions.iter().map(show).collect()
}

/// A token for an account, signed now, without a key. Its record says which one it is and what it is
/// good for, so that whoever reads it can take it back.
pub(super) fn issue_token(
    desk: &mut Desk<'_>,
    name: &AccountName,
    scope: Option<&[Permission]>,
    lifetime_seconds: Option<u64>,
) -> Answer {
    let lifetime = lifetime_seconds.map_or(desk.service.tokens.lifetime, Duration::from_secs);
    if lifetime.is_zero() || lifetime > TOKEN_LIFETIME_MAX {
        return Err(invalid(format!(
            "a token may live 1s to {}: what should live longer is a key",
            humantime::format_duration(TOKEN_LIFETIME_MAX)
        )));
    }
    for (place, name) in scope
        .into_iter()
        .flatten()
        .map(Permission::as_str)
        .enumerate()
    {
        if desk.policy().permission_id(name).is_none() {
            return Err(desk.undeclared("scope", (place, name)));
        }
    }
    if let Found::Filed(entry) = desk.find(name)?
        && desk.directory().account_named(name.as_str()).is_none()
    {
        return Err(conflict(format!(
            "account `{name}` of {} cannot be used",
            entry.place
        )));
    }
    let account = desk.directory().account_named(name.as_str());
    let account = account.ok_or_else(|| not_found(format!("there is no account `{name}`")))?;
    if !account.enabled {
        return Err(conflict(format!("account `{name}` is disabled")));
    }
    let id = TokenId::random();
    let request = MintRequest {
        id,
        account,
        key: None,
        scope,
        lifetime,
    };
    let signer = desk.directory().signing().current();
    let token = mint(signer, &desk.service.tokens, request, desk.now)
        .map_err(|error| AdminError::new(ErrorKind::Unavailable, error.to_string()))?;
    let ends_at = UnixTime::from_secs(desk.now.plus(lifetime).as_secs());
    let audience = &desk.service.tokens.audience;
    let after = json!({ "scope": scope, "audience": audience, "expires_at": ends_at });
    desk.asked.hands_out(issued(id, name, after));
    Ok(json!({
        "id": id,
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "account": name,
        "scope": scope,
    }))
}

/// What is told of a token that is handed out.
fn issued(id: TokenId, name: &AccountName, after: Value) -> Told {
    Told {
        object: Object {
            kind: "token",
            id: Some(id.to_string()),
            name: Some(name.to_string()),
            account: Some(name.to_string()),
        },
        before: Value::Null,
        after,
    }
}

/// What a token says, and whether it would be believed.
pub(super) fn inspect_token(desk: &Desk<'_>, token: &Token) -> Value {
    let service = desk.service;
    let verifiers = (&*service.verifier, service.admin_verifier.as_deref());
    let inspect = |state| crate::oauth::inspect(verifiers, state, &token.0, desk.now);
    let told = inspect(&desk.state);
    let account = told.get("account").and_then(Value::as_str);
    let account = account.and_then(|name| name.parse().ok());
    let is_seen = match &account {
        Some(name) => desk.sees(Subject::Account(name)),
        None => desk.sees_all(),
    };
    match is_seen {
        true => told,
        // Of a token of somebody he does not see he is told what he is told of junk.
        false => inspect(&State::nobody()),
    }
}
