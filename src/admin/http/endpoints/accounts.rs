//! Accounts and what they hold.

use ipnet::IpNet;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::http::endpoint::{Answer, Endpoint, Shape, Verb};
use crate::admin::http::shapes::{Account, Places};
use crate::admin::{Grant, Operation};
use crate::policy::manifest::Manifest;
use crate::words::{AccountName, Boundary, RoleName, SetName};

const TAG: &str = "accounts";
const VIEW: Option<&str> = Some("portcullis.accounts:view");
const EDIT: Option<&str> = Some("portcullis.accounts:edit");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
struct New {
    /// What it is called, for as long as it lives.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    name: AccountName,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 1024)]
    description: String,
    /// What it holds.
    #[serde(default)]
    #[schema(value_type = Vec<GivenGrant>)]
    grants: Vec<Grant>,
    /// The networks it may call from; anywhere if there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    allow_from: Vec<IpNet>,
    /// Within what those who manage it must hold the right to. Without it, where the caller's own
    /// grant holds.
    #[serde(default)]
    #[schema(value_type = Option<Places>)]
    owner: Option<Boundary>,
}

/// A change to an account. What is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountChange)]
struct Update {
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// The networks it may call from; anywhere if there are none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    allow_from: Option<Vec<IpNet>>,
}

/// Accounts, groups and roles as they shall be, all of it or nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FilesToApply)]
struct Apply {
    /// The name of what is applied together.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    set: SetName,
    /// `roles`, `groups` and `accounts`, as `portcullis accounts apply` reads them from files.
    #[schema(value_type = Object)]
    manifest: Manifest,
    /// Whether what came from the set and is not in it any more goes.
    #[serde(default)]
    prune: bool,
    /// Whether it is only said what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// A role, and where it shall hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenGrant {
    /// The role.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub(super) role: RoleName,
    /// Where it holds; everywhere without it.
    #[serde(default)]
    #[schema(value_type = Places)]
    pub(super) within: Boundary,
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listAccounts",
        path: "/accounts",
        summary: "The accounts the caller sees, by name",
        answer: Answer::Pages(Shape::of::<Account>(), "name"),
        reads: |asked| {
            Ok(Operation::AccountsList {
                after: asked.after()?,
                limit: Some(asked.limit()? + 1),
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "createAccount",
        verb: Verb::Post,
        path: "/accounts",
        summary: "Makes an account",
        body: Some(Shape::of::<New>()),
        answer: Answer::Made(Shape::of::<Account>(), "name"),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::AccountsCreate {
                name: new.name,
                description: new.description,
                grants: new.grants,
                allow_from: new.allow_from,
                owner: new.owner,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "applyAccounts",
        verb: Verb::Post,
        // Not below `/accounts`, where it would be an account's name.
        path: "/apply",
        summary: "Makes accounts, groups and roles what a set of files says, or tells what that would change",
        body: Some(Shape::of::<Apply>()),
        reads: |asked| {
            let apply: Apply = asked.body()?;
            Ok(Operation::AccountsApply {
                set: apply.set,
                manifest: apply.manifest,
                prune: apply.prune,
                dry_run: apply.dry_run,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "showAccount",
        path: "/accounts/{account}",
        summary: "One account",
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            Ok(Operation::AccountsShow {
                name: asked.path("account")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "updateAccount",
        verb: Verb::Patch,
        path: "/accounts/{account}",
        summary: "Gives an account another description, other addresses",
        body: Some(Shape::of::<Update>()),
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            let update: Update = asked.body()?;
            Ok(Operation::AccountsUpdate {
                name: asked.path("account")?,
                description: update.description,
                allow_from: update.allow_from,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "deleteAccount",
        verb: Verb::Delete,
        path: "/accounts/{account}",
        summary: "Removes an account and its keys for ever; answers with what it was",
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            Ok(Operation::AccountsDelete {
                name: asked.path("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "disableAccount",
        verb: Verb::Post,
        path: "/accounts/{account}/disable",
        summary: "Shuts an account off, one managed by file too",
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            Ok(Operation::AccountsDisable {
                name: asked.path("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "enableAccount",
        verb: Verb::Post,
        path: "/accounts/{account}/enable",
        summary: "Lets an account in again",
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            Ok(Operation::AccountsEnable {
                name: asked.path("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "grantToAccount",
        verb: Verb::Post,
        path: "/accounts/{account}/grant",
        summary: "Gives an account a role",
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            let GivenGrant { role, within } = asked.body()?;
            Ok(Operation::AccountsGrant {
                name: asked.path("account")?,
                role,
                within,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "ungrantFromAccount",
        verb: Verb::Post,
        path: "/accounts/{account}/ungrant",
        summary: "Takes exactly this grant away from an account",
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Account>()),
        reads: |asked| {
            let GivenGrant { role, within } = asked.body()?;
            Ok(Operation::AccountsUngrant {
                name: asked.path("account")?,
                role,
                within,
            })
        },
        ..CHANGE
    },
];
