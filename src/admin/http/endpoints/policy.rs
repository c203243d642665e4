//! Routes and permissions, and what they allow.

use std::net::IpAddr;

use serde::Deserialize;
use utoipa::ToSchema;

use super::accounts::GivenGrant;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::{Permission, Told};
use crate::admin::{Grant, Operation};
use crate::words::{AccountName, Method};

const TAG: &str = "policy";
const VIEW: Option<&str> = Some("portcullis.policy:view");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);

/// A request that is only thought of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    #[schema(value_type = String)]
    method: Method,
    /// Path and query.
    target: String,
    /// Who asks, if it is an account there is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    account: Option<AccountName>,
    /// What somebody holds who is only thought of.
    #[serde(default)]
    #[schema(value_type = Vec<GivenGrant>)]
    grants: Vec<Grant>,
    #[serde(default)]
    host: Option<String>,
    /// Where the call comes from.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    from: Option<IpAddr>,
    /// The headers a boundary reads, as pairs of name and value.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// Without what would turn it.
    #[serde(default)]
    brief: bool,
}

/// Whose routes are asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// Somebody there is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    account: Option<AccountName>,
    /// What somebody holds who is only thought of.
    #[serde(default)]
    #[schema(value_type = Vec<GivenGrant>)]
    grants: Vec<Grant>,
}

/// A request, as far as routes go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RouteQuestion)]
struct Matched {
    #[schema(value_type = String)]
    method: Method,
    /// Path and query.
    target: String,
    #[serde(default)]
    host: Option<String>,
}

const OVERLAPS: &[Parameter] = &[Parameter {
    name: "incomparable",
    about: "`true` for only those of which neither is more specific",
}];
const MATRIX: &[Parameter] = &[
    Parameter {
        name: "by",
        about: "`permission` or `route`",
    },
    Parameter {
        name: "accounts",
        about: "Only these accounts, separated by commas",
    },
];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listRoutes",
        path: "/routes",
        summary: "Every route, in the order of the files",
        answer: Answer::List(Shape::of::<Told>()),
        reads: |_| Ok(Operation::RoutesList {}),
        ..LOOK
    },
    Endpoint {
        id: "matchRoute",
        verb: Verb::Post,
        path: "/routes/match",
        summary: "The routes one request meets",
        body: Some(Shape::of::<Matched>()),
        reads: |asked| {
            let matched: Matched = asked.body()?;
            Ok(Operation::RoutesMatch {
                method: matched.method,
                target: matched.target,
                host: matched.host,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "listOverlaps",
        path: "/routes/overlaps",
        summary: "Pairs of routes that match a path in common",
        query: OVERLAPS,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::RoutesOverlaps {
                incomparable: asked.word("incomparable")?.unwrap_or_default(),
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "showMatrix",
        path: "/routes/matrix",
        summary: "What every account may do",
        query: MATRIX,
        reads: |asked| {
            Ok(Operation::RoutesMatrix {
                by: asked.word("by")?.unwrap_or_default(),
                accounts: asked.listed("accounts")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "listPermissions",
        path: "/permissions",
        summary: "Every permission that the policy declares",
        answer: Answer::List(Shape::of::<Permission>()),
        reads: |_| Ok(Operation::PermissionsList {}),
        ..LOOK
    },
    Endpoint {
        id: "listHolders",
        path: "/permissions/{permission}/holders",
        summary: "Who holds a permission, by which role, and where",
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::PermissionsWho {
                permission: asked.path("permission")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "listAllowed",
        verb: Verb::Post,
        path: "/allowed",
        summary: "Every route that an account may call, or somebody who holds these grants",
        body: Some(Shape::of::<Allowed>()),
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            let asked: Allowed = asked.body()?;
            Ok(Operation::AllowedList {
                account: asked.account,
                grants: asked.grants,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "explain",
        verb: Verb::Post,
        path: "/explain",
        summary: "What would happen to a request, step by step",
        body: Some(Shape::of::<Question>()),
        reads: |asked| {
            let question: Question = asked.body()?;
            Ok(Operation::Explain {
                method: question.method,
                target: question.target,
                account: question.account,
                grants: question.grants,
                host: question.host,
                from: question.from,
                headers: question.headers,
                brief: question.brief,
            })
        },
        ..LOOK
    },
];
