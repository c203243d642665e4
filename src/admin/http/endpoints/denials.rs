//! Refused requests of the accounts the caller sees.

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::problem::Problem;
use crate::admin::http::read::Asked;
use crate::admin::http::shapes::Told;
use crate::denials::Filter;

const TAG: &str = "denials";
const VIEW: &str = "portcullis.denials:view";

const FILTERS: &[Parameter] = &[
    Parameter {
        name: "account",
        about: "Only those of this account",
    },
    Parameter {
        name: "route",
        about: "Only those whose route has this in its name",
    },
    Parameter {
        name: "reason",
        about: "Only those for this reason",
    },
    Parameter {
        name: "since",
        about: "Only from then on, RFC 3339",
    },
    Parameter {
        name: "shadow",
        about: "`true` for only those that were not enforced",
    },
    Parameter {
        name: "failed",
        about: "`true` for only those that were let through and failed",
    },
    Parameter {
        name: "limit",
        about: "Most entries",
    },
];

fn filter(asked: &Asked) -> Result<Filter, Problem> {
    Ok(Filter {
        account: asked.query("account")?,
        route: asked.query("route")?,
        reason: asked.query("reason")?,
        since: asked.query("since")?,
        shadow: asked.word("shadow")?.unwrap_or_default(),
        failed: asked.word("failed")?.unwrap_or_default(),
        limit: Some(asked.limit()?),
    })
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        id: "listDenials",
        verb: Verb::Get,
        path: "/denials",
        tag: TAG,
        summary: "Refusals that are kept, newest first",
        permission: VIEW,
        query: FILTERS,
        body: None,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsList {
                filter: filter(asked)?,
            })
        },
    },
    Endpoint {
        id: "topDenials",
        verb: Verb::Get,
        path: "/denials/top",
        tag: TAG,
        summary: "Who was refused what and how often",
        permission: VIEW,
        query: FILTERS,
        body: None,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsTop {
                filter: filter(asked)?,
            })
        },
    },
    Endpoint {
        id: "showDenial",
        verb: Verb::Get,
        path: "/denials/{request}",
        tag: TAG,
        summary: "What one refusal was about, and what the same request would get now",
        permission: VIEW,
        query: &[],
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsExplain {
                id: asked.path("request")?,
            })
        },
    },
];
