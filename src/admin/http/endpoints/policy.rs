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
        verb: Verb::Get,
        path: "/routes",
        tag: TAG,
        summary: "Every route, in the order of the files",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |_| Ok(Operation::RoutesList {}),
    },
    Endpoint {
        id: "matchRoute",
        verb: Verb::Post,
        path: "/routes/match",
        tag: TAG,
        summary: "The routes one request meets",
        permission: VIEW,
        query: &[],
        body: Some(Shape::of::<Matched>()),
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            let matched: Matched = asked.body()?;
            Ok(Operation::RoutesMatch {
                method: matched.method,
                target: matched.target,
                host: matched.host,
            })
        },
    },
    Endpoint {
        id: "listOverlaps",
        verb: Verb::Get,
        path: "/routes/overlaps",
        tag: TAG,
        summary: "Pairs of routes that match a path in common",
        permission: VIEW,
        query: OVERLAPS,
        body: None,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::RoutesOverlaps {
                incomparable: asked.word("incomparable")?.unwrap_or_default(),
            })
        },
    },
    Endpoint {
        id: "showMatrix",
        verb: Verb::Get,
        path: "/routes/matrix",
        tag: TAG,
        summary: "What every account may do",
        permission: VIEW,
        query: MATRIX,
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::RoutesMatrix {
                by: asked.word("by")?.unwrap_or_default(),
                accounts: asked.listed("accounts")?,
            })
        },
    },
    Endpoint {
        id: "listPermissions",
        verb: Verb::Get,
        path: "/permissions",
        tag: TAG,
        summary: "Every permission that the policy declares",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::List(Shape::of::<Permission>()),
        reads: |_| Ok(Operation::PermissionsList {}),
    },
    Endpoint {
        id: "listHolders",
        verb: Verb::Get,
        path: "/permissions/{permission}/holders",
        tag: TAG,
        summary: "Who holds a permission, by which role, and where",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::PermissionsWho {
                permission: asked.path("permission")?,
            })
        },
    },
    Endpoint {
        id: "listAllowed",
        verb: Verb::Post,
        path: "/allowed",
        tag: TAG,
        summary: "Every route that an account may call, or somebody who holds these grants",
        permission: VIEW,
        query: &[],
        body: Some(Shape::of::<Allowed>()),
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            let asked: Allowed = asked.body()?;
            Ok(Operation::AllowedList {
                account: asked.account,
                grants: asked.grants,
            })
        },
    },
    Endpoint {
        id: "explain",
        verb: Verb::Post,
        path: "/explain",
        tag: TAG,
        summary: "What would happen to a request, step by step",
        permission: VIEW,
        query: &[],
        body: Some(Shape::of::<Question>()),
        answer: Answer::One(Shape::of::<Told>()),
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
    },
];
