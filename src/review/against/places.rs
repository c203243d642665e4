//! Requests for one path: which values stand where a boundary is read.
//!
//! Grants can tell two values apart only if one lists the one and not the other. So of the values that
//! a caller's grants list one is enough for each set of grants that list it, and one that none lists.
//! What is read from different parts of a request gets different values, so that it shows which part is
//! read.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};

use super::Both;
use super::callers::Subject;
use super::paths::OPEN;
use crate::policy::cors::Cors;
use crate::policy::{Policy, Route, RouteBoundary, Source};
use crate::words::{DimensionId, Method, UNRESERVED};

/// Most requests for one path and caller.
const REQUESTS_MAX: usize = 4_096;

/// The rest of a path may hold slashes too.
const REST: &AsciiSet = &UNRESERVED.remove(b'/');

/// A part of a request that says a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// A segment, counted from 0.
    Segment(usize),
    /// From a segment to the end.
    Rest(usize),
    /// A parameter of the query.
    Query(String),
    /// A header.
    Header(String),
}

/// A request, and what its parts say.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) host: Option<String>,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    /// Of the spots that some route reads.
    pub(super) values: Vec<(Spot, Option<String>)>,
}

impl Request {
    /// What stands at a spot.
    pub(super) fn value(&self, spot: &Spot) -> Option<&str> {
        let found = self.values.iter().find(|(own, _)| own == spot);
        found.and_then(|(_, value)| value.as_deref())
    }

    pub(super) fn told_headers(&self) -> Vec<(String, String)> {
        let told = self.headers.iter();
        told.map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
    }
}

/// The spot a source of `route` is read from; nothing for a parameter that is no segment, which is never
/// bound.
pub(super) fn spot(route: &Route, source: &Source) -> Option<Spot> {
    Some(match source {
        Source::Path(number) => match route.template.segment_of(*number)? {
            (segment, false) => Spot::Segment(segment),
            (segment, true) => Spot::Rest(segment),
        },
        Source::Query { name, .. } => Spot::Query(name.clone()),
        Source::Header(name) => Spot::Header(name.to_string()),
    })
}

/// What a route reads, with the names of the dimensions.
pub(super) fn reads<'p>(
    policy: &'p Policy,
    route: &'p Route,
) -> impl Iterator<Item = (Spot, DimensionId, &'p str)> {
    let sources = match &route.boundary {
        RouteBoundary::Bound(sources) => sources.as_slice(),
        RouteBoundary::Unlimited | RouteBoundary::Forwarded => &[],
    };
    sources.iter().filter_map(move |(dimension, source)| {
        let name = policy.dimension(*dimension).as_str();
        Some((spot(route, source)?, *dimension, name))
    })
}

type Call<'a> = (Option<&'a str>, Method, &'a str);

/// Every spot that some of the routes reads.
fn spots(both: &Both<'_>) -> BTreeSet<Spot> {
    let routes = both.old.iter().chain(&both.new);
    let of = |route: &&Arc<Route>| -> Vec<Spot> {
        match &route.boundary {
            RouteBoundary::Bound(sources) => {
                let sources = sources.iter();
                sources
                    .filter_map(|(_, source)| spot(route, source))
                    .collect()
            }
            RouteBoundary::Unlimited | RouteBoundary::Forwarded => Vec::new(),
        }
    };
    routes.flat_map(of).collect()
}

/// Says whether both sides read the same parameter of a query, one as a list and the other as it is, or
/// divided elsewhere.
pub(super) fn splits_differ(both: &Both<'_>) -> bool {
    let splits = |routes: &[&Arc<Route>]| -> BTreeSet<(String, Option<char>)> {
        let of = |route: &&Arc<Route>| -> Vec<(String, Option<char>)> {
            let RouteBoundary::Bound(sources) = &route.boundary else {
                return Vec::new();
            };
            let split = |(_, source): &(DimensionId, Source)| match source {
                Source::Query { name, separator } => Some((name.clone(), *separator)),
                Source::Path(_) | Source::Header(_) => None,
            };
            sources.iter().filter_map(split).collect()
        };
        routes.iter().flat_map(of).collect()
    };
    let (old, new) = (splits(&both.old), splits(&both.new));
    let mut pairs = old
        .iter()
        .flat_map(|old| new.iter().map(move |new| (old, new)));
    pairs.any(|(old, new)| old.0 == new.0 && old.1 != new.1)
}

/// A request where every spot says something of its own, that no grant lists.
pub(super) fn fresh(call: Call<'_>, both: &Both<'_>) -> Request {
    let spots: Vec<Spot> = spots(both).into_iter().collect();
    let values = (0..)
        .zip(&spots)
        .map(|(number, spot)| value(call.2, spot, number));
    let values: Vec<_> = values.collect();
    made(call, &spots, &values)
}

/// What no grant lists; in the path, what stands there already where it is a literal.
fn value(path: &str, spot: &Spot, number: usize) -> Option<String> {
    let own = OPEN.repeat(number + 2);
    match spot {
        Spot::Segment(at) => {
            let text = path.split('/').nth(at + 1)?;
            if text == OPEN {
                Some(own)
            } else {
                decoded(text)
            }
        }
        Spot::Rest(at) => decoded(path.splitn(at + 2, '/').nth(at + 1)?),
        Spot::Query(_) | Spot::Header(_) => Some(own),
    }
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// The requests that show every way the caller's grants can lie to the place; and whether they are all.
pub(super) fn requests(call: Call<'_>, both: &Both<'_>, subject: &Subject) -> (Vec<Request>, bool) {
    let spots: Vec<Spot> = spots(both).into_iter().collect();
    let mut rows: Vec<Vec<Option<String>>> = vec![Vec::new()];
    let mut whole = true;
    for (number, spot) in spots.iter().enumerate() {
        let mut choices = vec![value(call.2, spot, number)];
        if is_open(call.2, spot) {
            let listed = subject.values.iter().cloned().map(Some);
            choices.extend(listed);
            if matches!(spot, Spot::Query(_) | Spot::Header(_)) {
                choices.push(None);
            }
        }
        if rows.len().saturating_mul(choices.len()) > REQUESTS_MAX {
            whole = false;
            choices.truncate(2);
        }
        let longer = |row: &Vec<Option<String>>| -> Vec<Vec<Option<String>>> {
            let choices = choices.iter();
            choices
                .map(|choice| [row.as_slice(), std::slice::from_ref(choice)].concat())
                .collect()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    let made = rows.iter().map(|row| made(call, &spots, row));
    (made.collect(), whole)
}

/// Says whether the spot may hold anything.
fn is_open(path: &str, spot: &Spot) -> bool {
    match spot {
        Spot::Segment(at) => path.split('/').nth(at + 1) == Some(OPEN),
        Spot::Rest(at) => path.splitn(at + 2, '/').nth(at + 1) == Some(OPEN),
        Spot::Query(_) | Spot::Header(_) => true,
    }
}

fn made((host, method, path): Call<'_>, spots: &[Spot], values: &[Option<String>]) -> Request {
    let mut segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let mut query = String::new();
    let mut headers = HeaderMap::new();
    for (spot, value) in spots.iter().zip(values) {
        let Some(value) = value else { continue };
        match spot {
            Spot::Segment(at) | Spot::Rest(at) => {
                let set = if matches!(spot, Spot::Rest(_)) {
                    REST
                } else {
                    UNRESERVED
                };
                if is_open(path, spot)
                    && let Some(segment) = segments.get_mut(*at)
                {
                    *segment = utf8_percent_encode(value, set).to_string();
                }
            }
            Spot::Query(name) => {
                let between = if query.is_empty() { '?' } else { '&' };
                let name = utf8_percent_encode(name, UNRESERVED);
                query.push_str(&format!(
                    "{between}{name}={}",
                    utf8_percent_encode(value, UNRESERVED)
                ));
            }
            Spot::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes());
                let value = HeaderValue::from_str(value);
                if let (Ok(name), Ok(value)) = (name, value) {
                    headers.insert(name, value);
                }
            }
        }
    }
    let values = spots.iter().cloned().zip(values.iter().cloned());
    Request {
        host: host.map(str::to_owned),
        method,
        target: format!("/{}{query}", segments.join("/")),
        headers,
        values: values.collect(),
    }
}

/// Every origin that some rule names, and one that none does.
pub(super) fn origins(both: &Both<'_>) -> Vec<HeaderValue> {
    let routes = both.old.iter().chain(&both.new);
    let named = routes.filter_map(|route| match route.cors.as_deref()? {
        Cors::Answer(rule) => rule.origins.clone(),
        Cors::Pass => None,
    });
    let named: BTreeSet<Vec<u8>> = named.flatten().map(|it| it.as_bytes().to_vec()).collect();
    let named = named
        .iter()
        .filter_map(|it| HeaderValue::from_bytes(it).ok());
    named
        .chain([HeaderValue::from_static("https://elsewhere.invalid")])
        .collect()
}
