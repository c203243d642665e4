//! Roles: what can be given.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::{Places, Role};
use crate::words::{Boundary, PermissionPattern, RoleName};

const TAG: &str = "roles";
const VIEW: Option<&str> = Some("portcullis.roles:view");
const EDIT: Option<&str> = Some("portcullis.roles:edit");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

/// A new custom role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRole)]
struct New {
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    name: RoleName,
    #[serde(default)]
    description: String,
    /// What it gives: `resource:action` or `resource:*`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    permissions: Vec<PermissionPattern>,
    /// The roles it includes.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    include: Vec<RoleName>,
    /// Whether accounts and groups can be given it; they can if nothing is said.
    #[serde(default)]
    api_access: Option<bool>,
    /// Within what those who manage it must hold the right to.
    #[serde(default)]
    #[schema(value_type = Option<Places>)]
    owner: Option<Boundary>,
}

/// A change to a custom role. What is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleChange)]
struct Update {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Option<Vec<PermissionPattern>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    include: Option<Vec<RoleName>>,
    #[serde(default)]
    api_access: Option<bool>,
}

const FORCE: &[Parameter] = &[Parameter {
    name: "force",
    about: "`true` to take it from all who hold it",
}];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listRoles",
        path: "/roles",
        summary: "The roles the caller sees, by name",
        answer: Answer::Pages(Shape::of::<Role>(), "name"),
        reads: |_| Ok(Operation::RolesList {}),
        ..LOOK
    },
    Endpoint {
        id: "createRole",
        verb: Verb::Post,
        path: "/roles",
        summary: "Makes a custom role",
        body: Some(Shape::of::<New>()),
        answer: Answer::Made(Shape::of::<Role>(), "name"),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::RolesCreate {
                name: new.name,
                description: new.description,
                permissions: new.permissions,
                include: new.include,
                api_access: new.api_access,
                owner: new.owner,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "showRole",
        path: "/roles/{role}",
        summary: "One role",
        answer: Answer::One(Shape::of::<Role>()),
        reads: |asked| {
            Ok(Operation::RolesShow {
                name: asked.path("role")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "updateRole",
        verb: Verb::Patch,
        path: "/roles/{role}",
        summary: "Changes a custom role, and with it what everybody who holds it may do",
        body: Some(Shape::of::<Update>()),
        answer: Answer::One(Shape::of::<Role>()),
        reads: |asked| {
            let update: Update = asked.body()?;
            Ok(Operation::RolesUpdate {
                name: asked.path("role")?,
                description: update.description,
                permissions: update.permissions,
                include: update.include,
                api_access: update.api_access,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "deleteRole",
        verb: Verb::Delete,
        path: "/roles/{role}",
        summary: "Removes a custom role that nobody holds, or takes it from all who do; answers with what it was",
        query: FORCE,
        answer: Answer::One(Shape::of::<Role>()),
        reads: |asked| {
            Ok(Operation::RolesDelete {
                name: asked.path("role")?,
                force: asked.word("force")?.unwrap_or_default(),
            })
        },
        ..CHANGE
    },
];
