//! Tokens for the APIs behind, and the keys they are signed with.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::{SigningKeys, Tokens};
use crate::admin::{Operation, Token};
use crate::words::{AccountName, Permission};

const TAG: &str = "tokens";
const EDIT: Option<&str> = Some("portcullis.tokens:edit");
const SERVER_VIEW: Option<&str> = Some("portcullis.server:view");
const SERVER_EDIT: Option<&str> = Some("portcullis.server:edit");
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

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

const END_TOKENS: &[Parameter] = &[Parameter {
    name: "end_tokens",
    about: "`true` to end every token there is, at once: after a leak of the key that signed them",
}];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "issueToken",
        verb: Verb::Post,
        path: "/tokens",
        summary: "Issues a token for an account, without a key",
        body: Some(Shape::of::<New>()),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::TokensIssue {
                account: new.account,
                scope: new.scope,
                lifetime_seconds: new.lifetime_seconds,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "listTokens",
        path: "/tokens",
        summary: "Tokens that were verified lately or taken back, and have not run out",
        query: ACCOUNT,
        answer: Answer::One(Shape::of::<Tokens>()),
        reads: |asked| {
            Ok(Operation::TokensList {
                account: asked.query("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "revokeToken",
        verb: Verb::Post,
        path: "/tokens/{token}/revoke",
        summary: "Takes one token back, by its id; a second time changes nothing",
        reads: |asked| {
            Ok(Operation::TokensRevoke {
                id: asked.path("token")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "listSigningKeys",
        path: "/signing-keys",
        summary: "The keys that tokens are signed with, oldest first, without their private halves",
        answer: Answer::One(Shape::of::<SigningKeys>()),
        reads: |_| Ok(Operation::SigningKeysList {}),
        ..Endpoint::of(TAG, SERVER_VIEW)
    },
    Endpoint {
        id: "rotateSigningKey",
        verb: Verb::Post,
        path: "/signing-keys/rotate",
        summary: "Makes a new key to sign with; what the old one signed is good until it runs out, or ends at once",
        query: END_TOKENS,
        reads: |asked| {
            Ok(Operation::SigningKeysRotate {
                end_tokens: asked.word("end_tokens")?.unwrap_or_default(),
            })
        },
        ..Endpoint::of(TAG, SERVER_EDIT)
    },
    Endpoint {
        id: "inspectToken",
        verb: Verb::Post,
        path: "/tokens/inspect",
        summary: "What a token says, and whether it would be believed",
        body: Some(Shape::of::<Shown>()),
        reads: |asked| {
            let shown: Shown = asked.body()?;
            Ok(Operation::TokensInspect { token: shown.token })
        },
        ..CHANGE
    },
];
