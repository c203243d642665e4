//! Groups, their members and what they hold.

use serde::Deserialize;
use utoipa::ToSchema;

use super::accounts::GivenGrant;
use crate::admin::http::endpoint::{Answer, Endpoint, Shape, Verb};
use crate::admin::http::shapes::{Group, Places};
use crate::admin::{Grant, Operation};
use crate::words::{Boundary, GroupName};

const TAG: &str = "groups";
const VIEW: Option<&str> = Some("portcullis.groups:view");
const EDIT: Option<&str> = Some("portcullis.groups:edit");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

/// A new group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGroup)]
struct New {
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    name: GroupName,
    #[serde(default)]
    description: String,
    /// What its members hold.
    #[serde(default)]
    #[schema(value_type = Vec<GivenGrant>)]
    grants: Vec<Grant>,
    /// Within what those who manage it must hold the right to.
    #[serde(default)]
    #[schema(value_type = Option<Places>)]
    owner: Option<Boundary>,
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listGroups",
        path: "/groups",
        summary: "The groups the caller sees, by name",
        answer: Answer::Pages(Shape::of::<Group>(), "name"),
        reads: |_| Ok(Operation::GroupsList {}),
        ..LOOK
    },
    Endpoint {
        id: "createGroup",
        verb: Verb::Post,
        path: "/groups",
        summary: "Makes a group",
        body: Some(Shape::of::<New>()),
        answer: Answer::Made(Shape::of::<Group>(), "name"),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::GroupsCreate {
                name: new.name,
                description: new.description,
                grants: new.grants,
                owner: new.owner,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "showGroup",
        path: "/groups/{group}",
        summary: "One group",
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsShow {
                name: asked.path("group")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "deleteGroup",
        verb: Verb::Delete,
        path: "/groups/{group}",
        summary: "Removes a group; answers with what it was",
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsDelete {
                name: asked.path("group")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "addToGroup",
        verb: Verb::Put,
        path: "/groups/{group}/members/{account}",
        summary: "Puts an account into a group",
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsAdd {
                group: asked.path("group")?,
                account: asked.path("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "removeFromGroup",
        verb: Verb::Delete,
        path: "/groups/{group}/members/{account}",
        summary: "Takes an account out of a group",
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsRemove {
                group: asked.path("group")?,
                account: asked.path("account")?,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "grantToGroup",
        verb: Verb::Post,
        path: "/groups/{group}/grant",
        summary: "Gives a group a role",
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            let GivenGrant { role, within } = asked.body()?;
            Ok(Operation::GroupsGrant {
                name: asked.path("group")?,
                role,
                within,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "ungrantFromGroup",
        verb: Verb::Post,
        path: "/groups/{group}/ungrant",
        summary: "Takes exactly this grant away from a group",
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            let GivenGrant { role, within } = asked.body()?;
            Ok(Operation::GroupsUngrant {
                name: asked.path("group")?,
                role,
                within,
            })
        },
        ..CHANGE
    },
];
