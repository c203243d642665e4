//! Refused requests of the accounts the caller sees.

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape, Verb};
use crate::admin::http::problem::Problem;
use crate::admin::http::read::Asked;
use crate::admin::http::shapes::Told;
use crate::denials::Filter;

const TAG: &str = "denials";
const VIEW: Option<&str> = Some("portcullis.denials:view");

const ACCOUNT: Parameter = Parameter {
    name: "account",
    about: "Only those of this account",
};
const ROUTE: Parameter = Parameter {
    name: "route",
    about: "Only those whose route has this in its name",
};
const REASON: Parameter = Parameter {
    name: "reason",
    about: "Only those for this reason",
};
const SINCE: Parameter = Parameter {
    name: "since",
    about: "Only from then on, RFC 3339",
};
const SHADOW: Parameter = Parameter {
    name: "shadow",
    about: "`true` for only those that were not enforced",
};
const FAILED: Parameter = Parameter {
    name: "failed",
    about: "`true` for only those that were let through and failed",
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Most entries",
};
const FILTERS: &[Parameter] = &[ACCOUNT, ROUTE, REASON, SINCE, SHADOW, FAILED, LIMIT];
const FOLLOWED: &[Parameter] = &[
    Parameter {
        name: "after",
        about: "Only refusals with a higher number; without it none, and where to begin",
    },
    ACCOUNT,
    ROUTE,
    REASON,
    SINCE,
    SHADOW,
    FAILED,
    LIMIT,
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
        id: "followDenials",
        verb: Verb::Get,
        path: "/denials/follow",
        tag: TAG,
        summary: "Refusals above a number, oldest first, and what to ask for next",
        permission: VIEW,
        query: FOLLOWED,
        body: None,
        answer: Answer::One(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsFollow {
                after: asked.query("after")?,
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
