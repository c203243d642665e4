//! Requests that stand for all requests of a route: one for each place that makes a difference.
//!
//! What an account may do is asked of the decision, by such requests. A parameter that no boundary
//! reads may be anything, so one filler stands for all; of a dimension each value that somebody
//! names counts, and one more stands for all others.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use percent_encoding::utf8_percent_encode;

use crate::decision::{self, Outcome, Question};
use crate::policy::matcher::Lookup;
use crate::policy::{Policy, Route, RouteBoundary, Source};
use crate::request::Target;
use crate::words::{Caller, DimensionId, Method, RouteId, UNRESERVED};

/// What stands for a parameter nobody reads. No literal that people write.
const FILLER: &str = "~";
/// What stands for every value that nobody names.
const ELSEWHERE: &str = "~elsewhere";
/// Most places looked at for one route; beyond it some are left out, and that is said.
const PLACES_MAX: usize = 256;

/// Values of dimensions that make a difference.
pub(super) type Values = BTreeMap<DimensionId, Vec<String>>;

/// A request that stands for many.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) route: RouteId,
    pub(super) method: Method,
    /// The value of each dimension its route binds; none stands for all that nobody names.
    pub(super) place: Vec<(DimensionId, Option<String>)>,
    target: Target,
    host: Option<String>,
    lookup: Lookup,
    headers: HeaderMap,
}

/// The requests that stand for those of a route, one method and place each, and whether places had
/// to be left out. None where other routes take them all.
pub(super) fn of_route(policy: &Policy, route: &Route, values: &Values) -> (Vec<Sample>, bool) {
    let (places, cut) = places(route, values);
    let mut samples = Vec::new();
    for method in route.methods.iter() {
        let made = places
            .iter()
            .filter_map(|place| Sample::new(policy, route, method, place));
        samples.extend(made);
    }
    (samples, cut)
}

type Place = Vec<(DimensionId, Option<String>)>;

fn places(route: &Route, values: &Values) -> (Vec<Place>, bool) {
    let RouteBoundary::Bound(bound) = &route.boundary else {
        return (vec![Place::new()], false);
    };
    let mut places = vec![Place::new()];
    let mut cut = false;
    for (dimension, _) in bound {
        let named = values.get(dimension).into_iter().flatten();
        let options: Vec<_> = named
            .map(|value| Some(value.clone()))
            .chain([None])
            .collect();
        let longer = places.iter().flat_map(|place| {
            options.iter().map(|value| {
                let mut place = place.clone();
                place.push((*dimension, value.clone()));
                place
            })
        });
        let longer: Vec<_> = longer.take(PLACES_MAX + 1).collect();
        cut |= longer.len() > PLACES_MAX;
        places = longer;
        places.truncate(PLACES_MAX);
    }
    (places, cut)
}

impl Sample {
    fn new(policy: &Policy, route: &Route, method: Method, place: &Place) -> Option<Self> {
        let mut headers = HeaderMap::new();
        let mut query = String::new();
        let mut params: Vec<Option<&str>> = vec![None; route.template.params().len()];
        let bound = match &route.boundary {
            RouteBoundary::Bound(bound) => bound.as_slice(),
            RouteBoundary::Unlimited | RouteBoundary::Forwarded => &[],
        };
        for ((_, source), (_, value)) in bound.iter().zip(place) {
            let value = value.as_deref().unwrap_or(ELSEWHERE);
            match source {
                Source::Path(param) => *params.get_mut(*param)? = Some(value),
                Source::Query { name, .. } => {
                    query.push(if query.is_empty() { '?' } else { '&' });
                    query.extend(utf8_percent_encode(name, UNRESERVED));
                    query.push('=');
                    query.extend(utf8_percent_encode(value, UNRESERVED));
                }
                Source::Header(name) => {
                    headers.insert(name, HeaderValue::from_str(value).ok()?);
                }
            }
        }
        let text = filled(route.template.as_str(), &params) + &query;
        let target = Target::from_text(&text, policy.classes_read).ok()?;
        let host = route.hosts.first().map(String::as_str);
        let lookup = policy.find(host, method, target.path()).ok()?;
        let counts = match &lookup {
            Lookup::Found(found) => found.primary == route.id || found.also.contains(&route.id),
            Lookup::OtherMethods(_) | Lookup::Nothing => false,
        };
        counts.then(|| Self {
            route: route.id,
            method,
            place: place.clone(),
            target,
            host: host.map(str::to_owned),
            lookup,
            headers,
        })
    }

    /// What the decision says of it. Addresses are not looked at.
    pub(super) fn decide(&self, policy: &Policy, caller: Option<Caller>) -> Outcome {
        let question = Question {
            policy,
            target: &self.target,
            sent: self.target.path_and_query(),
            host: self.host.as_deref(),
            lookup: &self.lookup,
            headers: &self.headers,
            source: None,
        };
        decision::decide(&question, Ok(caller))
    }

    /// Whether the decision lets it through.
    pub(super) fn is_allowed(&self, policy: &Policy, caller: Option<Caller>) -> bool {
        matches!(self.decide(policy, caller), Outcome::Allowed(_))
    }
}

/// The template with a value for each of its parameters.
fn filled(template: &str, params: &[Option<&str>]) -> String {
    let mut params = params.iter();
    let mut parts = template.split('{');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = part.split_once('}').map_or("", |(_, after)| after);
        let value = params.next().copied().flatten().unwrap_or(FILLER);
        path.extend(utf8_percent_encode(value, UNRESERVED));
        path.push_str(after);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_from_left_to_right() {
        assert_eq!(
            filled("/a/{x}/{y}.json", &[Some("1 2"), None]),
            "/a/1%202/~.json"
        );
        assert_eq!(filled("/a/{rest...}", &[None]), "/a/~");
        assert_eq!(filled("/a", &[]), "/a");
    }
}
