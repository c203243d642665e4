//! The place a request touches: what its path, query and headers say of each dimension its route
//! binds.
//!
//! A value counts only if every reader would find the same one. Where a second reader could find
//! another (a name given twice, an escape that does not decode, a separator that is also encoded),
//! the request is malformed, and no grant is asked.

use percent_encoding::percent_decode_str;
use smallvec::{SmallVec, smallvec};

use crate::policy::{Route, RouteBoundary, Source};
use crate::request::Target;
use crate::words::DimensionId;

/// Most places one request may touch: the product of the values of its dimensions. A list of tenants
/// in a query is short; more than this is a mistake or an attempt to keep the decision busy.
pub const PLACES_MAX: usize = 256;

/// The values a request gives one dimension; none when the parameter is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The dimension.
    pub dimension: DimensionId,
    /// Its values, decoded; all of them must be held.
    pub values: SmallVec<[String; 2]>,
}

/// One place: a value, or none, for each dimension the route binds.
pub type Place<'a> = SmallVec<[(DimensionId, Option<&'a str>); 2]>;

/// Why no place can be read: what is wrong with the request, in words that carry none of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// What a request says of each dimension `route` binds. Empty for a route that binds nothing.
///
/// # Errors
///
/// [`Malformed`] where two readers could find two values.
pub fn read(
    route: &Route,
    target: &Target,
    headers: &http::HeaderMap,
) -> Result<SmallVec<[Bound; 2]>, Malformed> {
    let RouteBoundary::Bound(sources) = &route.boundary else {
        return Ok(SmallVec::new());
    };
    let mut bounds = SmallVec::new();
    for (dimension, source) in sources {
        let values = match source {
            Source::Path(param) => from_path(route, *param, target)?,
            Source::Query { name, separator } => from_query(name, *separator, target.query())?,
            Source::Header(name) => from_header(name, headers)?,
        };
        bounds.push(Bound {
            dimension: *dimension,
            values,
        });
    }
    let places: usize = bounds
        .iter()
        .map(|bound: &Bound| bound.values.len().max(1))
        .product();
    if places > PLACES_MAX {
        return Err(Malformed(
            "the request names more places than one request may touch",
        ));
    }
    Ok(bounds)
}

/// Every combination of the values bound, one place each; one empty place when nothing is bound.
pub fn combinations(bounds: &[Bound]) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = vec![SmallVec::new()];
    for bound in bounds {
        if let [] | [_] = bound.values.as_slice() {
            let value = bound.values.first().map(String::as_str);
            places
                .iter_mut()
                .for_each(|place| place.push((bound.dimension, value)));
            continue;
        }
        places = places
            .iter()
            .flat_map(|place| {
                let values = bound.values.iter().map(String::as_str);
                values.map(|value| extended(place, bound.dimension, value))
            })
            .collect();
    }
    places
}

fn extended<'a>(place: &Place<'a>, dimension: DimensionId, value: &'a str) -> Place<'a> {
    let mut place = place.clone();
    place.push((dimension, Some(value)));
    place
}

fn from_path(
    route: &Route,
    param: usize,
    target: &Target,
) -> Result<SmallVec<[String; 2]>, Malformed> {
    let captures = route.template.captures(target.path());
    let exact = captures.as_ref().and_then(|captures| captures.get(param));
    // In another spelling a parameter still stands in its own segment, as the client wrote it.
    let raw = exact.copied().or_else(|| {
        route.loose.as_ref()?;
        segment(target.path(), route.template.segment_of(param)?)
    });
    let raw = raw.ok_or(Malformed(
        "the path does not hold the parameter its route binds",
    ))?;
    Ok(smallvec![
        decode(raw).ok_or(Malformed("a bound path parameter is not UTF-8"))?
    ])
}

/// What stands in a segment of `path`, or from it to the end.
fn segment(path: &str, (number, to_the_end): (usize, bool)) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    if to_the_end {
        return path.splitn(number + 1, '/').nth(number);
    }
    path.split('/').nth(number)
}

fn from_query(
    name: &str,
    separator: Option<char>,
    query: Option<&str>,
) -> Result<SmallVec<[String; 2]>, Malformed> {
    let query = query.unwrap_or_default();
    if query
        .bytes()
        .any(|byte| byte == b';' || byte.is_ascii_control())
    {
        return Err(Malformed("the query holds a raw `;` or a control"));
    }
    let bound = folded(name);
    let mut value = None;
    let mut seen = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decode_strictly(raw_name)?;
        // Whatever is wrong with a value we do not look at is the upstream's business, but an
        // escape that does not decode may swallow the separator behind it.
        let decoded_value = decode_strictly(raw_value)?;
        if folded(&decoded.replace('+', " ")) != bound {
            continue;
        }
        if seen {
            return Err(Malformed("the query names a bound parameter twice"));
        }
        seen = true;
        if decoded == name {
            value = Some((raw_value, decoded_value));
        }
    }
    let Some((raw, decoded)) = value else {
        return Ok(SmallVec::new());
    };
    if raw.contains('+') {
        // A form reader takes it for a space, a URI reader for itself.
        return Err(Malformed(
            "a bound query parameter holds a raw `+`; write `%2B` or `%20`",
        ));
    }
    let Some(separator) = separator else {
        return Ok(smallvec![decoded]);
    };
    if raw.matches(separator).count() != decoded.matches(separator).count() {
        return Err(Malformed(
            "a bound query parameter holds an encoded separator",
        ));
    }
    Ok(decoded.split(separator).map(str::to_owned).collect())
}

fn from_header(
    name: &http::HeaderName,
    headers: &http::HeaderMap,
) -> Result<SmallVec<[String; 2]>, Malformed> {
    let listed = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .any(|value| {
            value.as_bytes().split(|byte| *byte == b',').any(|token| {
                token
                    .trim_ascii()
                    .eq_ignore_ascii_case(name.as_str().as_bytes())
            })
        });
    if listed {
        return Err(Malformed(
            "`Connection` names a header that a boundary reads",
        ));
    }
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(SmallVec::new());
    };
    if values.next().is_some() {
        return Err(Malformed("a header that a boundary reads stands twice"));
    }
    let text = value
        .to_str()
        .map_err(|_| Malformed("a bound header is not visible ASCII"))?;
    Ok(smallvec![text.to_owned()])
}

/// A parameter's name as a lenient reader might see it: case ignored, and cut at `[`, since many
/// readers take `tenant[]` for `tenant`.
fn folded(name: &str) -> String {
    name.split('[').next().unwrap_or_default().to_lowercase()
}

fn decode(raw: &str) -> Option<String> {
    percent_decode_str(raw)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

fn decode_strictly(raw: &str) -> Result<String, Malformed> {
    let bytes = raw.as_bytes();
    for (place, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let pair = bytes.get(place + 1..place + 3);
        if !pair.is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)) {
            return Err(Malformed(
                "the query holds a `%` without two hexadecimal digits",
            ));
        }
    }
    let decoded = decode(raw).ok_or(Malformed("the query is not UTF-8"))?;
    if decoded.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Malformed("the query holds an encoded control"));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
