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
        verb: Verb::Get,
        path: "/groups",
        tag: TAG,
        summary: "The groups the caller sees, by name",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::Pages(Shape::of::<Group>(), "name"),
        reads: |_| Ok(Operation::GroupsList {}),
    },
    Endpoint {
        id: "createGroup",
        verb: Verb::Post,
        path: "/groups",
        tag: TAG,
        summary: "Makes a group",
        permission: EDIT,
        query: &[],
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
    },
    Endpoint {
        id: "showGroup",
        verb: Verb::Get,
        path: "/groups/{group}",
        tag: TAG,
        summary: "One group",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsShow {
                name: asked.path("group")?,
            })
        },
    },
    Endpoint {
        id: "deleteGroup",
        verb: Verb::Delete,
        path: "/groups/{group}",
        tag: TAG,
        summary: "Removes a group; answers with what it was",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsDelete {
                name: asked.path("group")?,
            })
        },
    },
    Endpoint {
        id: "addToGroup",
        verb: Verb::Put,
        path: "/groups/{group}/members/{account}",
        tag: TAG,
        summary: "Puts an account into a group",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsAdd {
                group: asked.path("group")?,
                account: asked.path("account")?,
            })
        },
    },
    Endpoint {
        id: "removeFromGroup",
        verb: Verb::Delete,
        path: "/groups/{group}/members/{account}",
        tag: TAG,
        summary: "Takes an account out of a group",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            Ok(Operation::GroupsRemove {
                group: asked.path("group")?,
                account: asked.path("account")?,
            })
        },
    },
    Endpoint {
        id: "grantToGroup",
        verb: Verb::Post,
        path: "/groups/{group}/grant",
        tag: TAG,
        summary: "Gives a group a role",
        permission: EDIT,
        query: &[],
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            let grant: GivenGrant = asked.body()?;
            Ok(Operation::GroupsGrant {
                name: asked.path("group")?,
                role: grant.role,
                within: grant.within,
            })
        },
    },
    Endpoint {
        id: "ungrantFromGroup",
        verb: Verb::Post,
        path: "/groups/{group}/ungrant",
        tag: TAG,
        summary: "Takes exactly this grant away from a group",
        permission: EDIT,
        query: &[],
        body: Some(Shape::of::<GivenGrant>()),
        answer: Answer::One(Shape::of::<Group>()),
        reads: |asked| {
            let grant: GivenGrant = asked.body()?;
            Ok(Operation::GroupsUngrant {
                name: asked.path("group")?,
                role: grant.role,
                within: grant.within,
            })
        },
    },
];
