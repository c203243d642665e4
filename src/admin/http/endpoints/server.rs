//! The server itself, and its audit trail.

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::shapes::Told;
use crate::audit;

const TAG: &str = "server";
const VIEW: &str = "portcullis.server:view";
const EDIT: &str = "portcullis.server:edit";
const AUDIT: &str = "portcullis.audit:view";

const RECORDS: &[Parameter] = &[
    Parameter {
        name: "account",
        about: "Only records that concern this account",
    },
    Parameter {
        name: "actor",
        about: "Only what this user or account asked for",
    },
    Parameter {
        name: "event",
        about: "Only this event, such as `key.create`, or all of a kind, such as `key`",
    },
    Parameter {
        name: "since",
        about: "Only from then on, RFC 3339",
    },
    Parameter {
        name: "until",
        about: "Only before then, RFC 3339",
    },
    Parameter {
        name: "before",
        about: "Only records with a lower number: the next page",
    },
    Parameter {
        name: "limit",
        about: "Most records",
    },
];
const FOLLOWED: &[Parameter] = &[Parameter {
    name: "after",
    about: "Only records with a higher number",
}];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "showStatus",
        verb: Verb::Get,
        path: "/status",
        tag: TAG,
        summary: "How the gateway is",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |_| Ok(Operation::Status {}),
    },
    Endpoint {
        id: "reloadServer",
        verb: Verb::Post,
        path: "/reload",
        tag: TAG,
        summary: "Reads the policy folder again, now",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |_| Ok(Operation::Reload {}),
    },
    Endpoint {
        id: "drainServer",
        verb: Verb::Post,
        path: "/drain",
        tag: TAG,
        summary: "Finishes what is in flight and ends",
        permission: EDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |_| Ok(Operation::Drain {}),
    },
    Endpoint {
        id: "listAuditRecords",
        verb: Verb::Get,
        path: "/audit",
        tag: TAG,
        summary: "Records of the audit trail, newest first",
        permission: AUDIT,
        query: RECORDS,
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::AuditList {
                filter: audit::Filter {
                    account: asked.query("account")?,
                    actor: asked.query("actor")?,
                    event: asked.query("event")?,
                    since: asked.query("since")?,
                    until: asked.query("until")?,
                    before: asked.query("before")?,
                    limit: Some(asked.limit()?),
                },
            })
        },
    },
    Endpoint {
        id: "followAuditRecords",
        verb: Verb::Get,
        path: "/audit/follow",
        tag: TAG,
        summary: "Records above a number, oldest first, and what to ask for next",
        permission: AUDIT,
        query: FOLLOWED,
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::AuditFollow {
                after: asked.query("after")?,
                filter: audit::Filter::default(),
            })
        },
    },
    Endpoint {
        id: "showAuditAnchor",
        verb: Verb::Get,
        path: "/audit/anchor",
        tag: TAG,
        summary: "The end of the audit trail, to be kept elsewhere",
        permission: AUDIT,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |_| Ok(Operation::AuditAnchor {}),
    },
];
