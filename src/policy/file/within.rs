//! `within` of a file or a route: which boundary is touched, and what says where.

use http::HeaderName;

use super::{At, named, words};
use crate::words::{DimensionName, Fault, Faults, Place, nearest};
use crate::yaml::shape::{Keys, Known, Rule, Scalars, Shape, Word, pattern};
use crate::yaml::{Fields, Key, Node, Value, quoted};

/// Which boundary a route touches, as written.
#[derive(Clone, Debug)]
pub(crate) enum Within {
    /// `unlimited`: only grants without a boundary count.
    Unlimited,
    /// `forwarded`: the upstream filters.
    Forwarded,
    /// Dimensions, and what says their value.
    Bound(Vec<(At<DimensionName>, At<SourceWritten>)>),
}

/// What says the value of a dimension, as written.
#[derive(Clone, Debug)]
pub(crate) enum SourceWritten {
    Path(String),
    Query {
        name: String,
        separator: Option<char>,
    },
    Header(HeaderName),
}

const EXPECTED: &str = "`unlimited`, `forwarded`, or a mapping such as `{ tenant: path.tenant }`";
const SOURCE: &str = "`path.NAME`, `query.NAME` or `header.NAME`";

/// A boundary as a file or a route says it.
pub(super) const SHAPE: Shape = Shape::Either(&[
    Shape::Choice(|| PLAIN.to_vec()),
    Shape::Names {
        name: words::DIMENSION,
        of: &Shape::Either(&[Shape::Text(words::SOURCE), Shape::Keys(&SOURCE_KEYS)]),
        filled: true,
    },
]);

/// Boundaries that are a word.
const PLAIN: [&str; 2] = ["unlimited", "forwarded"];
/// What may say a value.
const SOURCES: [&str; 3] = ["path", "query", "header"];

const SOURCE_KEYS: Keys = Keys {
    what: "a boundary's source",
    known: &[
        Known::new(
            "path",
            Shape::Text(Word::any("the name of a parameter", &["tenant"])),
            "A parameter of the path.",
        ),
        Known::new(
            "query",
            Shape::Text(Word {
                what: "the name of a query parameter",
                pattern: Some(query_pattern),
                examples: &["tenants"],
                scalars: Scalars::Any,
            }),
            "A parameter of the query.",
        ),
        Known::new(
            "header",
            Shape::Text(Word {
                what: "the name of a header",
                pattern: Some(header_pattern),
                examples: &["X-Tenant"],
                scalars: Scalars::Any,
            }),
            "A header of the request.",
        ),
        Known::new(
            "separator",
            Shape::Text(Word::ruled("one character", separator_pattern, &[",", "|"])),
            "What stands between several values of a query parameter.",
        ),
    ],
    later: &[],
    rules: &[Rule::OneOf(&SOURCES), Rule::Needs("separator", "query")],
};

impl Within {
    pub(super) fn read(node: &Node, faults: &mut Faults) -> Option<Self> {
        match &node.value {
            Value::Scalar(word) => match word.as_str() {
                "unlimited" => Some(Self::Unlimited),
                "forwarded" => Some(Self::Forwarded),
                other => {
                    let near = nearest(other, PLAIN);
                    let message = format!(
                        "{} is not a boundary: expected {EXPECTED}{near}",
                        quoted(other)
                    );
                    faults.push(Fault::new(node.place.clone(), message));
                    None
                }
            },
            Value::Mapping(entries) if entries.is_empty() => {
                let message = "`within` binds no dimension: name one, or say `unlimited`";
                faults.push(Fault::new(node.place.clone(), message));
                None
            }
            Value::Mapping(entries) => {
                let bound = entries
                    .iter()
                    .filter_map(|(key, node)| bound(key, node, faults));
                Some(Self::Bound(bound.collect()))
            }
            Value::Nothing | Value::List(_) => node.expected(EXPECTED, faults),
        }
    }
}

fn bound(
    key: &Key,
    node: &Node,
    faults: &mut Faults,
) -> Option<(At<DimensionName>, At<SourceWritten>)> {
    let name = named(key, faults);
    let source = match &node.value {
        Value::Scalar(text) => short(text, &node.place, faults),
        Value::Mapping(_) => long(node, faults),
        Value::Nothing | Value::List(_) => node.expected(SOURCE, faults),
    };
    let name = At {
        place: key.place.clone(),
        value: name?,
    };
    let source = At {
        place: node.place.clone(),
        value: source?,
    };
    Some((name, source))
}

/// `path.tenant`
fn short(text: &str, place: &Place, faults: &mut Faults) -> Option<SourceWritten> {
    let source = match text.split_once('.') {
        Some(("path", name)) => Ok(SourceWritten::Path(name.to_owned())),
        Some(("query", name)) => query(name, None),
        Some(("header", name)) => header(name),
        Some(_) | None => Err(format!("expected {SOURCE}")),
    };
    accept(source, text, place, faults)
}

/// `{ query: tenants, separator: "," }`
fn long(node: &Node, faults: &mut Faults) -> Option<SourceWritten> {
    let fields = Fields::of(node, &SOURCE_KEYS, faults)?;
    let separator = fields.get("separator").map(|node| separator(node, faults));
    let mut said = SOURCES
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?)));
    let (Some((kind, name)), None) = (said.next(), said.next()) else {
        let message = "expected one of `path`, `query` and `header`, and one only";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let text = name.text("a name", faults)?;
    if kind != "query" && separator.is_some() {
        let message = "`separator` goes with `query` only: path and header hold one value";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    }
    let source = match kind {
        "path" => Ok(SourceWritten::Path(text.to_owned())),
        "header" => header(text),
        _ => query(text, separator.flatten()),
    };
    accept(source, text, &name.place, faults)
}

fn accept(
    source: Result<SourceWritten, String>,
    text: &str,
    place: &Place,
    faults: &mut Faults,
) -> Option<SourceWritten> {
    source
        .map_err(|rule| {
            let message = format!("{} says no place in a request: {rule}", quoted(text));
            faults.push(Fault::new(place.clone(), message));
        })
        .ok()
}

/// Characters that already mean something in a query, or may be part of a value's spelling.
const NO_SEPARATORS: &str = "&=;+%#[]\"'\\<>";

fn separator(node: &Node, faults: &mut Faults) -> Option<char> {
    let text = node.text("one character", faults)?;
    let mut characters = text.chars();
    if let (Some(one), None) = (characters.next(), characters.next())
        && one.is_ascii_punctuation()
        && !NO_SEPARATORS.contains(one)
    {
        return Some(one);
    }
    let message = format!(
        "{} cannot separate values: expected one character such as `,` or `|`",
        quoted(text)
    );
    faults.push(Fault::new(node.place.clone(), message));
    None
}

/// [`separator`] as a regular expression.
fn separator_pattern() -> String {
    let good = ('!'..='~').filter(|c| c.is_ascii_punctuation() && !NO_SEPARATORS.contains(*c));
    pattern::any_of(good.map(pattern::escaped))
}

/// [`query`] as a regular expression.
pub(super) fn query_pattern() -> String {
    format!("[A-Za-z0-9._~-]{{1,{QUERY_NAME_MAX}}}")
}

/// [`header`] as a regular expression.
pub(super) fn header_pattern() -> String {
    let names = NO_SOURCES.iter().map(|name| pattern::any_case(name));
    let families = NO_FAMILIES
        .iter()
        .map(|start| format!("{}.*", pattern::any_case(start)));
    let none = pattern::any_of(names.chain(families));
    format!("(?!{none}$)[A-Za-z0-9-]+")
}

/// Longest name of a query parameter that is looked for, in bytes; longer ones are slips.
const QUERY_NAME_MAX: usize = 64;

fn query(name: &str, separator: Option<char>) -> Result<SourceWritten, String> {
    // Frameworks read `a[]`, `a[0]` and `a.b` as ways to say `a`; a name with brackets of its own
    // would never be found, because everything from `[` on is left out of the comparison.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if (1..=QUERY_NAME_MAX).contains(&name.len()) && name.bytes().all(plain) {
        let name = name.to_owned();
        return Ok(SourceWritten::Query { name, separator });
    }
    Err("a query name is 1 to 64 letters, digits, `-`, `_`, `.` or `~`".to_owned())
}

/// Headers that cannot say a place: hop-by-hop ones, credentials, and those rewritten on the way.
const NO_SOURCES: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// Families of such headers.
const NO_FAMILIES: [&str; 2] = ["x-portcullis-", "x-forwarded-"];

fn header(name: &str) -> Result<SourceWritten, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    let Some(parsed) = parsed.filter(|_| name.bytes().all(plain)) else {
        return Err("a header name is letters, digits and `-`".to_owned());
    };
    let lower = parsed.as_str();
    if NO_SOURCES.contains(&lower) || NO_FAMILIES.iter().any(|start| lower.starts_with(start)) {
        return Err("this header is a credential, or is rewritten on the way".to_owned());
    }
    Ok(SourceWritten::Header(parsed))
}
