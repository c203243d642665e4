//! What is fuzzed: for each target one function that takes any bytes and stops where a law is broken.
//!
//! The fuzzer calls them with what it makes up, an ordinary test with every input worth keeping. Inputs
//! are text wherever they can be: a corpus should be readable, and a person should be able to add to it.
//!
//! Not here: what finds new inputs (`tests/fuzz/run`), and anything that needs a socket.

mod credential;
mod forwarded_for;
mod head;
mod key;
mod path;
mod routes;
mod token;
mod world;
mod yaml;

/// Stops where a law is broken.
pub(crate) type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("credential", credential::run),
    ("forwarded_for", forwarded_for::run),
    ("head", head::run),
    ("key", key::run),
    ("path", path::run),
    ("routes", routes::run),
    ("token", token::run),
    ("yaml", yaml::run),
];

/// The header lines of an input, `name: value`; what is none is left out.
fn header_lines(text: &[u8]) -> http::HeaderMap {
    text.split(|byte| *byte == b'\n')
        .filter_map(header)
        .collect()
}

fn header(line: &[u8]) -> Option<(http::HeaderName, http::HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value[1..].trim_ascii();
    Some((
        http::HeaderName::from_bytes(name).ok()?,
        http::HeaderValue::from_bytes(value).ok()?,
    ))
}
