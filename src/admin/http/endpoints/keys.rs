//! Keys: made, handed over, narrowed, ended.

use ipnet::IpNet;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::{Key, NewKey};
use crate::admin::{ImportedKey, Operation};
use crate::words::{PermissionPattern, UnixTime};

const TAG: &str = "keys";
const VIEW: Option<&str> = Some("portcullis.keys:view");
const EDIT: Option<&str> = Some("portcullis.keys:edit");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

/// A new key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyToMake)]
struct New {
    /// What it is for.
    #[serde(default)]
    description: String,
    /// When it ends; the settings may say that it must.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<UnixTime>,
    /// The only permissions it may use; everything its account may do if there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    only: Vec<PermissionPattern>,
    /// The networks it may be used from, besides what its account says.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    allow_from: Vec<IpNet>,
}

/// A change to a key. What is not named stays; an empty list is no limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyChange)]
struct Update {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    only: Option<Vec<PermissionPattern>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    allow_from: Option<Vec<IpNet>>,
}

/// A key instead of another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotation)]
struct Rotate {
    /// How long both are good.
    overlap_seconds: u64,
    /// When the new one ends; when the old one was meant to if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<UnixTime>,
}

/// Keys that were made elsewhere: all of them, or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeysToImport)]
struct Import {
    #[schema(value_type = Vec<KeyToImport>)]
    keys: Vec<ImportedKey>,
    /// When they end; the settings may say that they must.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<UnixTime>,
    /// The only permissions they may use.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    only: Vec<PermissionPattern>,
    /// The networks they may be used from.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    allow_from: Vec<IpNet>,
}

/// A key that was made elsewhere.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "it is read as what operations have; this describes it"
)]
struct KeyToImport {
    /// The id it shall have; a new one if nothing is said.
    id: Option<String>,
    /// SHA-256 of its secret: `sha256:` and 64 hexadecimal digits.
    digest: String,
    /// Where it is used.
    #[schema(required = false)]
    description: String,
}

/// The end of a key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyEnd)]
struct Expire {
    /// When; now if nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    at: Option<UnixTime>,
}

const FILTERS: &[Parameter] = &[
    Parameter {
        name: "account",
        about: "Only keys of this account",
    },
    Parameter {
        name: "unused_since",
        about: "Only keys that still open something and were not used since, RFC 3339",
    },
    Parameter {
        name: "ends_before",
        about: "Only keys that still open something and end before this, RFC 3339",
    },
];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listKeys",
        path: "/keys",
        summary: "The keys the caller sees, by account",
        query: FILTERS,
        answer: Answer::Pages(Shape::of::<Key>(), "id"),
        reads: |asked| {
            Ok(Operation::KeysList {
                account: asked.query("account")?,
                unused_since: asked.query("unused_since")?,
                ends_before: asked.query("ends_before")?,
                after: asked.after()?,
                limit: Some(asked.limit()? + 1),
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "createKey",
        verb: Verb::Post,
        path: "/accounts/{account}/keys",
        summary: "Makes a key; the answer is the only place its secret is shown",
        body: Some(Shape::of::<New>()),
        answer: Answer::Made(Shape::of::<NewKey>(), "id"),
        reads: |asked| {
            let new: New = asked.body()?;
            Ok(Operation::KeysCreate {
                account: asked.path("account")?,
                description: new.description,
                expires_at: new.expires_at,
                only: new.only,
                allow_from: new.allow_from,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "importKeys",
        verb: Verb::Post,
        path: "/accounts/{account}/keys/import",
        summary: "Takes keys that were made elsewhere, by the digests of their secrets",
        body: Some(Shape::of::<Import>()),
        answer: Answer::List(Shape::of::<Key>()),
        reads: |asked| {
            let import: Import = asked.body()?;
            Ok(Operation::KeysImport {
                account: asked.path("account")?,
                keys: import.keys,
                expires_at: import.expires_at,
                only: import.only,
                allow_from: import.allow_from,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "showKey",
        path: "/keys/{key}",
        summary: "One key, without its secret",
        answer: Answer::One(Shape::of::<Key>()),
        reads: |asked| {
            Ok(Operation::KeysShow {
                key: asked.path("key")?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "updateKey",
        verb: Verb::Patch,
        path: "/keys/{key}",
        summary: "Gives a key another description, other limits",
        body: Some(Shape::of::<Update>()),
        answer: Answer::One(Shape::of::<Key>()),
        reads: |asked| {
            let update: Update = asked.body()?;
            Ok(Operation::KeysUpdate {
                key: asked.path("key")?,
                description: update.description,
                only: update.only,
                allow_from: update.allow_from,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "rotateKey",
        verb: Verb::Post,
        path: "/keys/{key}/rotate",
        summary: "Makes a key instead of another, which ends after an overlap",
        body: Some(Shape::of::<Rotate>()),
        answer: Answer::One(Shape::of::<NewKey>()),
        reads: |asked| {
            let rotate: Rotate = asked.body()?;
            Ok(Operation::KeysRotate {
                key: asked.path("key")?,
                overlap_seconds: rotate.overlap_seconds,
                expires_at: rotate.expires_at,
            })
        },
        ..CHANGE
    },
    Endpoint {
        id: "expireKey",
        verb: Verb::Post,
        path: "/keys/{key}/expire",
        summary: "Ends a key, now or then; it is never refused",
        body: Some(Shape::of::<Expire>()),
        answer: Answer::One(Shape::of::<Key>()),
        reads: |asked| {
            let expire: Expire = asked.body()?;
            Ok(Operation::KeysExpire {
                key: asked.path("key")?,
                at: expire.at,
            })
        },
        ..CHANGE
    },
];
