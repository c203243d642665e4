//! Refused requests of the accounts the caller sees.

use crate::admin::Operation;
use crate::admin::http::endpoint::{Answer, Endpoint, Parameter, Shape};
use crate::admin::http::problem::Problem;
use crate::admin::http::read::Asked;
use crate::admin::http::shapes::Told;
use crate::denials::Filter;

const TAG: &str = "denials";
const VIEW: Option<&str> = Some("portcullis.denials:view");
const LOOK: Endpoint = Endpoint::of(TAG, VIEW);

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
        path: "/denials",
        summary: "Refusals that are kept, newest first",
        query: FILTERS,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsList {
                filter: filter(asked)?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "followDenials",
        path: "/denials/follow",
        summary: "Refusals above a number, oldest first, and what to ask for next",
        query: FOLLOWED,
        reads: |asked| {
            Ok(Operation::DenialsFollow {
                after: asked.query("after")?,
                filter: filter(asked)?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "topDenials",
        path: "/denials/top",
        summary: "Who was refused what and how often",
        query: FILTERS,
        answer: Answer::List(Shape::of::<Told>()),
        reads: |asked| {
            Ok(Operation::DenialsTop {
                filter: filter(asked)?,
            })
        },
        ..LOOK
    },
    Endpoint {
        id: "showDenial",
        path: "/denials/{request}",
        summary: "What one refusal was about, and what the same request would get now",
        reads: |asked| {
            Ok(Operation::DenialsExplain {
                id: asked.path("request")?,
            })
        },
        ..LOOK
    },
];
