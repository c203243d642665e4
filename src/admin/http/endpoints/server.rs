//! The server itself, and its audit trail.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::problem::Problem;
use crate::admin::http::read::Asked;
use crate::admin::http::shapes::Me;
use crate::audit::{self, Anchor};

const TAG: &str = "server";
const VIEW: Option<&str> = Some("portcullis.server:view");
const EDIT: Option<&str> = Some("portcullis.server:edit");
const AUDIT: Option<&str> = Some("portcullis.audit:view");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);
const CHANGE: Endpoint = Endpoint::of(TAG, EDIT);

const ACCOUNT: Parameter = Parameter {
    name: "account",
    about: "Only records that concern this account",
};
const ACTOR: Parameter = Parameter {
    name: "actor",
    about: "Only what this user or account asked for",
};
const EVENT: Parameter = Parameter {
    name: "event",
    about: "Only this event, such as `key.create`, or all of a kind, such as `key`",
};
const SINCE: Parameter = Parameter {
    name: "since",
    about: "Only from then on, RFC 3339",
};
const UNTIL: Parameter = Parameter {
    name: "until",
    about: "Only before then, RFC 3339",
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Most records",
};
const RECORDS: &[Parameter] = &[
    ACCOUNT,
    ACTOR,
    EVENT,
    SINCE,
    UNTIL,
    Parameter {
        name: "before",
        about: "Only records with a lower number: the next page",
    },
    LIMIT,
];
const FOLLOWED: &[Parameter] = &[
    Parameter {
        name: "after",
        about: "Only records with a higher number; without it none, and where to begin",
    },
    ACCOUNT,
    ACTOR,
    EVENT,
    SINCE,
    UNTIL,
    LIMIT,
];

fn filter(asked: &Asked) -> Result<audit::Filter, Problem> {
    Ok(audit::Filter {
        account: asked.query("account")?,
        actor: asked.query("actor")?,
        event: asked.query("event")?,
        since: asked.query("since")?,
        until: asked.query("until")?,
        before: asked.query("before")?,
        limit: Some(asked.limit()?),
    })
}

/// Where a proof begins, and what it is held against.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrailToVerify)]
struct Verify {
    /// The record behind which the page begins; the first without it.
    #[serde(default)]
    after: Option<u64>,
    /// What was kept of the trail elsewhere.
    #[serde(default)]
    #[schema(value_type = Vec<TrailAnchor>)]
    anchors: Vec<Anchor>,
}

/// The end of the audit trail as it once was.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "it is read as what the trail has; this describes it"
)]
struct TrailAnchor {
    /// The number of the record.
    number: u64,
    /// Its hash, 64 hexadecimal digits.
    hash: String,
    /// When that was told.
    #[schema(format = "date-time")]
    at: String,
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "whoAmI",
        path: "/me",
        summary: "Who asks, and what he may ask for",
        answer: Answer::One(Shape::of::<Me>()),
        reads: |_| Ok(Operation::Whoami {}),
        ..Endpoint::of(TAG, None)
    },
    Endpoint {
        id: "showStatus",
        path: "/status",
        summary: "How the gateway is",
        reads: |_| Ok(Operation::Status {}),
        ..LOOK
    },
    Endpoint {
        id: "reloadServer",
        verb: Verb::Post,
        path: "/reload",
        summary: "Reads the policy folder again, now",
        reads: |_| Ok(Operation::Reload {}),
        ..CHANGE
    },
    Endpoint {
        id: "listAuditRecords",
        path: "/audit",
        summary: "Records of the audit trail, newest first",
        query: RECORDS,
        reads: |asked| {
            Ok(Operation::AuditList {
                filter: filter(asked)?,
            })
        },
        ..Endpoint::of(TAG, AUDIT)
    },
    Endpoint {
        id: "followAuditRecords",
        path: "/audit/follow",
        summary: "Records above a number, oldest first, and what to ask for next",
        query: FOLLOWED,
        reads: |asked| {
            Ok(Operation::AuditFollow {
                after: asked.query("after")?,
                exported: false,
                filter: filter(asked)?,
            })
        },
        ..Endpoint::of(TAG, AUDIT)
    },
    Endpoint {
        id: "verifyAuditTrail",
        verb: Verb::Post,
        path: "/audit/verify",
        summary: "Proves a page of the audit trail, and that it holds what was kept of it elsewhere",
        body: Some(Shape::of::<Verify>()),
        reads: |asked| {
            let verify: Verify = asked.body()?;
            Ok(Operation::AuditVerify {
                after: verify.after,
                anchors: verify.anchors,
            })
        },
        ..Endpoint::of(TAG, AUDIT)
    },
    Endpoint {
        id: "showAuditAnchor",
        path: "/audit/anchor",
        summary: "The end of the audit trail, to be kept elsewhere",
        reads: |_| Ok(Operation::AuditAnchor {}),
        ..Endpoint::of(TAG, AUDIT)
    },
];
