//! `cors`, of a file or a route: `pass`, `answer`, `off`, or a mapping that says how to answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::words;
use crate::policy::cors::{Cors, CorsRule};
use crate::words::{Fault, Faults};
use crate::yaml::shape::{Keys, Known, Preset, Rule, Shape, words as choices};
use crate::yaml::{Fields, Node, Value, quoted};

/// The headers a page may send when the rule names none: a credential, and what the body is.
const HEADERS_DEFAULT: &str = "authorization, content-type";
/// How long a browser may remember an answer when the rule does not say. Long enough to save a
/// question with each request, short enough that a narrower rule is soon known.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(10 * 60);
/// Longest time that may be set: no browser remembers longer.
const MAX_AGE_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// What may stand behind `cors`.
pub(super) const SHAPE: Shape =
    Shape::Either(&[Shape::Choice(|| choices(&PLAIN)), Shape::Keys(&KEYS)]);

/// What a rule may be in a word.
#[derive(Clone, Copy, Debug)]
enum Plain {
    Pass,
    Answer,
    Off,
}

const PLAIN: [(&str, Plain); 3] = [
    ("pass", Plain::Pass),
    ("answer", Plain::Answer),
    ("off", Plain::Off),
];

const KEYS: Keys = Keys {
    what: "`cors`",
    known: &[
        Known::new(
            "origins",
            Shape::filled_list(&Shape::Text(words::ORIGIN)),
            "Pages of which origins may ask. Without it, any.",
        ),
        Known::new(
            "headers",
            Shape::filled_list(&Shape::Text(words::CORS_HEADER)),
            "Headers a page may send. Without it, `authorization` and `content-type`.",
        ),
        Known::new(
            "max_age",
            Shape::span(Duration::ZERO, MAX_AGE_MOST),
            "How long a browser may remember the answer.",
        )
        .or(Preset::Span(MAX_AGE_DEFAULT)),
        Known::new(
            "credentials",
            Shape::Boolean,
            "A page may use the browser's credentials. Only with `origins`.",
        )
        .or(Preset::Boolean(false)),
    ],
    later: &[],
    rules: &[Rule::TrueNeeds("credentials", "origins")],
};

/// As written; `off` undoes what the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CorsWritten {
    Off,
    On(Cors),
}

impl CorsWritten {
    pub(super) fn read(node: &Node, faults: &mut Faults) -> Option<Self> {
        if let Value::Mapping(_) = &node.value {
            return Some(Self::On(Cors::Answer(rule(node, faults)?)));
        }
        Some(match node.choice(&PLAIN, faults)? {
            Plain::Pass => Self::On(Cors::Pass),
            Plain::Answer => Self::On(Cors::Answer(CorsRule {
                origins: None,
                headers: HeaderValue::from_static(HEADERS_DEFAULT),
                max_age: seconds(MAX_AGE_DEFAULT),
                credentials: false,
            })),
            Plain::Off => Self::Off,
        })
    }
}

fn rule(node: &Node, faults: &mut Faults) -> Option<CorsRule> {
    let fields = Fields::of(node, &KEYS, faults)?;
    let origins = fields.get("origins").map(|node| origins(node, faults));
    let headers = fields.get("headers").map(|node| headers(node, faults));
    let age = fields.duration("max_age", faults);
    let credentials = fields.get("credentials");
    let with = fields.boolean("credentials", faults).unwrap_or(false);
    if let (Some(node), true, None) = (credentials, with, &origins) {
        let message = "a page of any origin may ask, and so none may use the browser's credentials: name the `origins`";
        faults.push(Fault::new(node.place.clone(), message));
    }
    Some(CorsRule {
        origins,
        headers: headers.unwrap_or_else(|| HeaderValue::from_str(HEADERS_DEFAULT).ok())?,
        max_age: seconds(age.unwrap_or(MAX_AGE_DEFAULT)),
        credentials: with,
    })
}

fn seconds(age: Duration) -> HeaderValue {
    HeaderValue::from(age.as_secs())
}

/// Origins as browsers write them: scheme, host, and a port that is not the scheme's own.
fn origins(node: &Node, faults: &mut Faults) -> Vec<HeaderValue> {
    let mut origins = Vec::new();
    for item in node.filled_list("origins", faults).unwrap_or_default() {
        let expected = "an origin such as `https://app.example.com`";
        let Some(text) = item.text(expected, faults) else {
            continue;
        };
        let value = HeaderValue::from_str(text).ok().filter(|_| is_origin(text));
        match value {
            Some(value) => origins.push(value),
            None => {
                let message = format!(
                    "{} is not {expected}: scheme, host in lower case and a port if it is not the scheme's own, without `*` and without a path",
                    quoted(text)
                );
                faults.push(Fault::new(item.place.clone(), message));
            }
        }
    }
    origins
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let own = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    let parsed = text.parse::<http::Uri>().ok();
    let whole = parsed
        .as_ref()
        .and_then(http::Uri::authority)
        .is_some_and(|it| {
            let has_port = it.host().len() < authority.len();
            it.as_str() == authority && (!has_port || it.port_u16().is_some())
        });
    whole && authority.bytes().all(plain) && !authority.ends_with(own)
}

/// Header names as one list; nothing where one is none.
fn headers(node: &Node, faults: &mut Faults) -> Option<HeaderValue> {
    let items = node.filled_list("header names", faults)?;
    let mut names = Vec::new();
    for item in items {
        let text = item.text("the name of a header", faults)?;
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) if text != "*" => names.push(name.as_str().to_owned()),
            Ok(_) | Err(_) => {
                let message = format!("{} is not the name of a header", quoted(text));
                faults.push(Fault::new(item.place.clone(), message));
            }
        }
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}
