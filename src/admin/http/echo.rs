//! What a request is read as, for tests of those who write requests: by the table, and by the reader of
//! the endpoint it leads to.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;

use super::endpoint::Endpoint;
use super::endpoints;
use super::read::Asked;
use super::serve::BASE;
use crate::admin::Operation;

/// The operation that a request asks for.
pub(crate) fn read_as(
    method: &Method,
    path: &str,
    query: &str,
    body: Option<&serde_json::Value>,
) -> Result<Operation, String> {
    let path = path.strip_prefix(BASE).ok_or("it is elsewhere")?;
    let of_method = endpoints::all().filter(|endpoint| endpoint.verb.http() == *method);
    let found = of_method.filter_map(|endpoint| Some((endpoint, matched(endpoint, path)?)));
    // What stands in a path as it is comes before what stands for anything.
    let (endpoint, values) = found
        .min_by_key(|(_, values)| values.len())
        .ok_or("no endpoint is there")?;
    if endpoint.body.is_some() != body.is_some() {
        return Err("the body is of another endpoint".to_owned());
    }
    let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let asked = Asked::new(values, Some(query), |name| endpoint.knows(name), body);
    let operation = asked.and_then(|asked| (endpoint.reads)(&asked));
    operation.map_err(|problem| format!("{problem:?}"))
}

fn matched(endpoint: &Endpoint, path: &str) -> Option<BTreeMap<String, String>> {
    let (ours, theirs) = (endpoint.path.split('/'), path.split('/'));
    if ours.clone().count() != theirs.clone().count() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (ours, theirs) in ours.zip(theirs) {
        match ours
            .strip_prefix('{')
            .and_then(|ours| ours.strip_suffix('}'))
        {
            Some(name) => {
                let value = percent_encoding::percent_decode_str(theirs).decode_utf8();
                values.insert(name.to_owned(), value.ok()?.into_owned());
            }
            None if ours == theirs => {}
            None => return None,
        }
    }
    Some(values)
}
