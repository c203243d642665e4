//! Tokens for the APIs behind.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::http::endpoint::{Answer, Endpoint, Shape, Verb};
use crate::admin::http::shapes::Told;
use crate::admin::{Operation, Token};
use crate::words::{AccountName, Permission};

const TAG: &str = "tokens";
const EDIT: &str = "portcullis.tokens:edit";

/// A token for an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenToIssue)]
struct New {
    #[schema(value_type = String)]
    account: AccountName,
    /// The only permissions it may use; everything the account may do if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    scope: Option<Vec<Permission>>,
    #[serde(default)]
    lifetime_seconds: Option<u64>,
}

/// A token to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenToInspect)]
struct Shown {
    #[schema(value_type = String)]
    token: Token,
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "issueToken",
        verb: Verb::Post,
        path: "/tokens",
        tag: TAG,
        summary: "Issues a token for an account, without a key",
        permission: EDIT,
        query: &[],
        body: Some(Shape::of::<New>()),
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::TokensIssue {
                account: new.account,
                scope: new.scope,
                lifetime_seconds: new.lifetime_seconds,
            })
        },
    },
    Endpoint {
        id: "inspectToken",
        verb: Verb::Post,
        path: "/tokens/inspect",
        tag: TAG,
        summary: "What a token says, and whether it would be believed",
        permission: EDIT,
        query: &[],
        body: Some(Shape::of::<Shown>()),
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            let shown: Shown = asked.body()?;
            Ok(Operation::TokensInspect { token: shown.token })
        },
    },
];
