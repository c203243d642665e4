//! What an endpoint is: a row of the table that router, guard and document are made from.

use std::fmt;

use http::{Method, StatusCode};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::read::Asked;
use super::shapes::Told;
use crate::admin::Operation;

/// The shape of something in JSON: its name, itself, and what it is made of.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) name: fn() -> String,
    pub(super) schema: fn() -> RefOr<Schema>,
    pub(super) parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    pub(super) const fn of<T: ToSchema + PartialSchema>() -> Self {
        Self {
            name: || T::name().into_owned(),
            schema: T::schema,
            parts: T::schemas,
        }
    }
}

/// What an endpoint answers with when it does what it was asked.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// One thing. It has a version where it can be changed.
    One(Shape),
    /// A thing that was made, and where it is: the path of the endpoint and the field that names it.
    Made(Shape, &'static str),
    /// A list, in pages by the name or id of its entries.
    Pages(Shape, &'static str),
    /// A list, whole.
    List(Shape),
}

impl Answer {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Made(..) => StatusCode::CREATED,
            Self::One(_) | Self::Pages(..) | Self::List(_) => StatusCode::OK,
        }
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Made(shape, _) | Self::One(shape) | Self::Pages(shape, _) | Self::List(shape) => {
                shape
            }
        }
    }
}

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    /// Its name in the document, and in clients made from it.
    pub(super) id: &'static str,
    pub(super) verb: Verb,
    /// Below `/api/v1`, as the router writes it.
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    /// What it does, in a sentence.
    pub(super) summary: &'static str,
    /// What it asks for; `None` of whoever has a credential that is good.
    pub(super) permission: Option<&'static str>,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<Shape>,
    pub(super) answer: Answer,
    /// Reads a request into an operation.
    pub(super) reads: fn(&Asked) -> Result<Operation, Problem>,
}

/// The methods endpoints have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.id).finish()
    }
}

impl Endpoint {
    /// What is the same for most rows of a part: they read no query and no body. The rest each says for
    /// itself, or a test fails that reads them all.
    pub(super) const fn of(tag: &'static str, permission: Option<&'static str>) -> Self {
        Self {
            id: "",
            verb: Verb::Get,
            path: "",
            tag,
            summary: "",
            permission,
            query: &[],
            body: None,
            answer: Answer::One(Shape::of::<Told>()),
            reads: |_| {
                let said = "this endpoint reads nothing";
                Err(Problem::new(StatusCode::NOT_FOUND, said))
            },
        }
    }

    /// Says whether a query parameter is one it reads.
    pub(super) fn knows(&self, name: &str) -> bool {
        let paged = matches!(self.answer, Answer::Pages(..));
        self.query.iter().any(|known| known.name == name)
            || (paged && matches!(name, "limit" | "cursor"))
    }

    /// Says whether it changes what it is about.
    pub(super) fn changes(&self) -> bool {
        self.verb != Verb::Get
    }

    /// Says whether it reads `If-Match`: what changes something that is shown by itself.
    pub(super) fn has_versions(&self) -> bool {
        let mut names = self.parameters();
        self.changes() && names.any(|name| matches!(name, "account" | "group" | "role" | "key"))
    }

    /// Says whether it reads `Idempotency-Key`: what makes something, or does it each time.
    pub(super) fn can_be_asked_again(&self) -> bool {
        let edits = self.permission.is_some_and(|name| name.ends_with(":edit"));
        self.verb == Verb::Post && edits
    }

    /// The parts of its path that are values, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        let segments = self.path.split('/');
        segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}
