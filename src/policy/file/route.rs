//! One entry of `routes`: `METHODS TEMPLATE: what is needed`.

use std::time::Duration;

use http::HeaderName;

use super::needs::{self, Needs};
use super::{At, CorsWritten, Within, at, cors, within, words};
use crate::policy::template::Template;
use crate::settings::{BODY_BYTES, PASS, RATE, classes_of_route, path_classes, rate};
use crate::words::{
    ClassSet, Fault, Faults, Method, MethodSet, Place, Rate, UpstreamName, fields, nearest,
};
use crate::yaml::shape::{Keys, Known, Shape, words as choices};
use crate::yaml::{Fields, Key, Node, Value, quoted};

/// A route as written.
#[derive(Debug)]
pub(crate) struct RouteWritten {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) methods: MethodSet,
    pub(crate) template: Template,
    pub(crate) needs: Needs,
    pub(crate) within: Option<At<Within>>,
    pub(crate) upstream: Option<At<UpstreamName>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) shadow: Option<bool>,
    pub(crate) unsafe_allow: ClassSet,
    pub(crate) pass_authorization: bool,
    pub(crate) upgrade: bool,
    pub(crate) trailers: Vec<HeaderName>,
    pub(crate) body_bytes: Option<u64>,
    pub(crate) rate: Option<Rate>,
    pub(crate) rate_per_account: Option<Rate>,
    pub(crate) cors: Option<CorsWritten>,
}

/// Shortest wait for a response that may be set: less fails on a healthy network.
const TIMEOUT_LEAST: Duration = Duration::from_millis(10);
/// Longest wait for a response that may be set.
const TIMEOUT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands behind a route: what is needed, or a mapping of which that is a part.
pub(super) const SHAPE: Shape = Shape::Either(&[
    needs::WORD,
    Shape::Text(words::PERMISSION),
    Shape::Keys(&needs::KEYS),
    Shape::Keys(&KEYS),
]);

pub(super) const KEYS: Keys = Keys {
    what: "a route",
    known: &[
        Known::new(
            "needs",
            needs::SHAPE,
            "What a caller needs: `public`, `any_account`, a permission, `{ all: […] }` or `{ any: […] }`.",
        )
        .required(),
        Known::new(
            "within",
            within::SHAPE,
            "The boundary it touches: dimensions and what says their values, `unlimited`, or `forwarded`.",
        ),
        Known::new(
            "upstream",
            Shape::Text(words::UPSTREAM),
            "Where it leads. Without it, where the file says.",
        ),
        Known::new(
            "timeout",
            Shape::span(TIMEOUT_LEAST, TIMEOUT_MOST),
            "Longest wait for the head of an answer. Without it, the upstream's.",
        ),
        Known::new(
            "shadow",
            Shape::Boolean,
            "Decisions are logged and counted, and not enforced. Without it, as the upstream says.",
        ),
        Known::new(
            "unsafe_allow",
            Shape::filled_list(&Shape::Choice(classes_of_route)),
            "Classes of paths that pass although two readers may read them two ways.",
        ),
        Known::new(
            "pass_authorization",
            Shape::Choice(|| choices(&PASS)),
            "An `Authorization` that is not of ours goes on to the upstream.",
        ),
        Known::new(
            "upgrade",
            Shape::filled_list(&Shape::Choice(|| choices(&PROTOCOLS))),
            "`[websocket]`: the client may ask for one.",
        ),
        Known::new(
            "trailers",
            Shape::filled_list(&Shape::Text(words::TRAILER)),
            "Names of request trailers that pass.",
        ),
        Known::new(
            "body_bytes",
            BODY_BYTES,
            "Largest request body, in bytes. Without it, the listener's.",
        ),
        Known::new(
            "rate",
            RATE,
            "How often it may be called, all callers together: `100/s`, or `{ limit: 100/s, burst: 20 }`.",
        ),
        Known::new(
            "rate_per_account",
            RATE,
            "How often each account may call it.",
        ),
        Known::new(
            "cors",
            cors::SHAPE,
            "What becomes of preflights: `pass`, `answer`, `off`, or how to answer.",
        ),
    ],
    later: &["stream_max_age", "limits"],
    rules: &[],
};

/// The only protocol a connection can be handed over to.
const PROTOCOLS: [(&str, ()); 1] = [("websocket", ())];

pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<RouteWritten> {
    let head = head(key, faults);
    let body = match &node.value {
        // A mapping is either what is needed, or the options of a route with `needs` among them.
        Value::Mapping(entries) if !entries.iter().any(|(key, _)| needs::KEYS.has(&key.text)) => {
            options(node, faults)
        }
        Value::Nothing => {
            let message = format!(
                "route {} says nothing, and nothing is open by silence: expected {}",
                quoted(&key.text),
                needs::EXPECTED
            );
            faults.push(Fault::new(key.place.clone(), message));
            None
        }
        Value::Scalar(_) | Value::List(_) | Value::Mapping(_) => {
            needs::read(node, faults).map(|needs| Body {
                needs,
                ..Body::default()
            })
        }
    };
    let (methods, template) = head?;
    let body = body?;
    Some(RouteWritten {
        place: key.place.clone(),
        name: key.text.clone(),
        methods,
        template,
        needs: body.needs,
        within: body.within,
        upstream: body.upstream,
        timeout: body.timeout,
        shadow: body.shadow,
        unsafe_allow: body.unsafe_allow,
        pass_authorization: body.pass_authorization,
        upgrade: body.upgrade,
        trailers: body.trailers,
        body_bytes: body.body_bytes,
        rate: body.rate,
        rate_per_account: body.rate_per_account,
        cors: body.cors,
    })
}

/// Methods and template of `GET,HEAD /v1/devices`.
fn head(key: &Key, faults: &mut Faults) -> Option<(MethodSet, Template)> {
    let Some((methods, template)) = key.text.split_once(' ') else {
        let message = format!(
            "{} is not a route: expected methods and a path, such as `GET,HEAD /v1/devices/{{device}}`",
            quoted(&key.text)
        );
        faults.push(Fault::new(key.place.clone(), message));
        return None;
    };
    let before = methods.chars().count() + 1;
    let methods = methods_of(methods, &key.place, faults);
    let template = Template::parse(template).map_err(|error| {
        let shown = template.get(..error.offset).unwrap_or_default();
        let place = Place {
            column: key.place.column + before + shown.chars().count(),
            ..key.place.clone()
        };
        let message = format!(
            "{} is not a path template: {}",
            quoted(template),
            error.message
        );
        faults.push(Fault::new(place, message));
    });
    Some((methods?, template.ok()?))
}

fn methods_of(text: &str, place: &Place, faults: &mut Faults) -> Option<MethodSet> {
    let mut set = MethodSet::EMPTY;
    let mut good = true;
    for word in text.split(',') {
        let message = match Method::parse(word) {
            Some(method) if !set.contains(method) => {
                set = set.with(method);
                continue;
            }
            Some(method) => format!("`{method}` stands twice in one route"),
            None => {
                let upper = word.to_ascii_uppercase();
                let near = nearest(&upper, Method::ALL.iter().map(|method| method.as_str()));
                format!("{} is not a method that is forwarded{near}", quoted(word))
            }
        };
        faults.push(Fault::new(place.clone(), message));
        good = false;
    }
    good.then_some(set)
}

struct Body {
    needs: Needs,
    within: Option<At<Within>>,
    upstream: Option<At<UpstreamName>>,
    timeout: Option<Duration>,
    shadow: Option<bool>,
    unsafe_allow: ClassSet,
    pass_authorization: bool,
    upgrade: bool,
    trailers: Vec<HeaderName>,
    body_bytes: Option<u64>,
    rate: Option<Rate>,
    rate_per_account: Option<Rate>,
    cors: Option<CorsWritten>,
}

impl Default for Body {
    /// A placeholder that nobody passes until `needs` is said.
    fn default() -> Self {
        Self {
            needs: Needs::Any(Vec::new()),
            within: None,
            upstream: None,
            timeout: None,
            shadow: None,
            unsafe_allow: ClassSet::EMPTY,
            pass_authorization: false,
            upgrade: false,
            trailers: Vec::new(),
            body_bytes: None,
            rate: None,
            rate_per_account: None,
            cors: None,
        }
    }
}

fn options(node: &Node, faults: &mut Faults) -> Option<Body> {
    let fields = Fields::of(node, &KEYS, faults)?;
    let needs = match fields.get("needs") {
        Some(node) => needs::read(node, faults),
        None => {
            let message = format!(
                "the route has no `needs`, and nothing is open by silence: expected {}",
                needs::EXPECTED
            );
            faults.push(Fault::new(node.place.clone(), message));
            None
        }
    };
    let within = fields.get("within").and_then(|node| {
        Some(At {
            value: Within::read(node, faults)?,
            place: node.place.clone(),
        })
    });
    let upstream = fields.get("upstream");
    let allow = fields.get("unsafe_allow");
    let upgrade = fields.get("upgrade");
    let trailers = fields.get("trailers");
    let cors = fields.get("cors");
    let body = Body {
        within,
        upstream: upstream.and_then(|node| at(node, "the name of an upstream", faults)),
        timeout: fields.duration("timeout", faults),
        shadow: fields.boolean("shadow", faults),
        unsafe_allow: allow.map_or(ClassSet::EMPTY, |node| path_classes(node, true, faults)),
        pass_authorization: fields
            .choice("pass_authorization", &PASS, faults)
            .unwrap_or(false),
        upgrade: upgrade.is_some_and(|node| upgrades(node, faults)),
        trailers: trailers.map_or_else(Vec::new, |node| self::trailers(node, faults)),
        cors: cors.and_then(|node| CorsWritten::read(node, faults)),
        body_bytes: fields.number("body_bytes", faults),
        rate: fields.get("rate").and_then(|node| rate(node, faults)),
        rate_per_account: fields
            .get("rate_per_account")
            .and_then(|node| rate(node, faults)),
        ..Body::default()
    };
    needs.map(|needs| Body { needs, ..body })
}

/// `[websocket]`: the only protocol a connection can be handed over to.
fn upgrades(node: &Node, faults: &mut Faults) -> bool {
    let items = node.filled_list("protocols", faults).unwrap_or_default();
    let known: Vec<_> = items
        .iter()
        .filter_map(|item| item.choice(&PROTOCOLS, faults))
        .collect();
    !known.is_empty()
}

/// The names of request trailers that are passed on, in lower case and each once.
fn trailers(node: &Node, faults: &mut Faults) -> Vec<HeaderName> {
    let items = node.filled_list("trailers", faults).unwrap_or_default();
    let mut names: Vec<HeaderName> = Vec::new();
    for item in items {
        let Some(text) = item.text("the name of a trailer such as `x-checksum`", faults) else {
            continue;
        };
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        match name.filter(|name| fields::may_be_trailer(name.as_str())) {
            Some(name) => names.push(name),
            None => {
                let message = format!(
                    "{} cannot be a trailer: expected letters, digits and `-`, and no name that frames the message, carries a credential or is the gateway's",
                    quoted(text)
                );
                faults.push(Fault::new(item.place.clone(), message));
            }
        }
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}
