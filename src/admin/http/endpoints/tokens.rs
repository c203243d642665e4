//! Tokens for the APIs behind, and the keys they are signed with.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::{SigningKeys, Tokens, Told};
use crate::admin::{Operation, Token};
use crate::words::{AccountName, Permission};

const TAG: &str = "tokens";
const EDIT: Option<&str> = Some("portcullis.tokens:edit");
const SERVER_VIEW: Option<&str> = Some("portcullis.server:view");
const SERVER_EDIT: Option<&str> = Some("portcullis.server:edit");

const ACCOUNT: &[Parameter] = &[Parameter {
    name: "account",
    about: "Only tokens of this account",
}];

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
        id: "listTokens",
        verb: Verb::Get,
        path: "/tokens",
        tag: TAG,
        summary: "Tokens that were verified lately or taken back, and have not run out",
        permission: EDIT,
        query: ACCOUNT,
        body: None,
        answer: Answer::One(Shape::of::<Tokens>()),
        reads: |asked| {
            Ok(Operation::TokensList {
                account: asked.query("account")?,
            })
        },
    },
    Endpoint {
        id: "revokeToken",
        verb: Verb::Post,
        path: "/tokens/{token}/revoke",
        tag: TAG,
        summary: "Takes one token back, by its id; a second time changes nothing",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::TokensRevoke {
                id: asked.path("token")?,
            })
        },
    },
    Endpoint {
        id: "listSigningKeys",
        verb: Verb::Get,
        path: "/signing-keys",
        tag: TAG,
        summary: "The keys that tokens are signed with, oldest first, without their private halves",
        permission: SERVER_VIEW,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<SigningKeys>()),
        reads: |_| Ok(Operation::SigningKeysList {}),
    },
    Endpoint {
        id: "rotateSigningKey",
        verb: Verb::Post,
        path: "/signing-keys/rotate",
        tag: TAG,
        summary: "Makes a new key to sign with; what the old one signed is good until it runs out",
        permission: SERVER_EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |_| Ok(Operation::SigningKeysRotate {}),
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
