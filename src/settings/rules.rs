//! What an upstream puts up with: the rules of it that policies are checked against.

use http::HeaderName;

use super::UpstreamRules;
use crate::words::{
    Allowable, ClassSet, Fault, Faults, PathClass, Spelling, UpstreamName, fields, nearest,
};
use crate::yaml::shape::{Word, pattern};
use crate::yaml::{Fields, Node, quoted};

/// Whether a foreign `Authorization` goes on.
pub(crate) const PASS: [(&str, bool); 1] = [("foreign", true)];
/// What an upstream makes of a slash at the end.
pub(super) const SLASH: [(&str, bool); 1] = [("same", true)];
/// The one key of a query that is refused unless it is said.
pub(super) const QUERY_KEYS: [(&str, ()); 1] = [("_method", ())];

/// A name that another reader could take for a plain one, and that is not taken for a reserved one.
pub(super) const HEADER_NAME: Word = Word::ruled(
    "a header name with more in it than letters, digits and `-`",
    || {
        let reserved = fields::reserved_pattern();
        format!("(?!{reserved}$)(?![A-Za-z0-9-]*$){}", pattern::header())
    },
    &["api_key", "x.y"],
);

/// The classes an upstream may allow.
pub(super) fn classes_of_upstream() -> Vec<&'static str> {
    allowable(false).map(PathClass::code).collect()
}

/// The classes a route may allow.
pub(crate) fn classes_of_route() -> Vec<&'static str> {
    allowable(true).map(PathClass::code).collect()
}

fn allowable(on_route: bool) -> impl Iterator<Item = PathClass> {
    let classes = PathClass::ALL.iter().copied();
    classes.filter(move |class| match class.allowable() {
        Allowable::Anywhere => true,
        Allowable::Upstream => !on_route,
        Allowable::Never => false,
    })
}

/// Reads them. `shadow` is what the gateway says of upstreams that do not say it themselves.
pub(super) fn read(fields: &Fields<'_>, shadow: bool, faults: &mut Faults) -> UpstreamRules {
    let allow = fields.get("unsafe_allow");
    let own = fields.boolean("shadow", faults);
    let pass = fields.choice("pass_authorization", &PASS, faults);
    let names = fields.get("unsafe_header_names");
    let slash = fields.choice("trailing_slash", &SLASH, faults);
    let case = fields.boolean("case_insensitive", faults);
    let keys = fields.get("unsafe_query_keys");
    UpstreamRules {
        unsafe_allow: allow.map_or(ClassSet::EMPTY, |node| classes(node, false, faults)),
        shadow: own.unwrap_or(shadow),
        pass_authorization: pass.unwrap_or(false),
        spelling: Spelling {
            any_case: case.unwrap_or(false),
            any_slash: slash.unwrap_or(false),
        },
        method_in_query: keys.is_some_and(|node| method_key(node, faults)),
        header_names: names
            .map_or_else(Vec::new, |node| header_names(node, faults))
            .into(),
        is_default: false,
        addresses: Vec::new(),
    }
}

/// The names of `unsafe_header_names`, each of which another reader could take for a plain one.
fn header_names(node: &Node, faults: &mut Faults) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for item in node.filled_list("header names", faults).unwrap_or_default() {
        let Some(text) = item.text("a header name such as `api_key`", faults) else {
            continue;
        };
        let message = match HeaderName::from_bytes(text.as_bytes()) {
            Err(_) => format!("{} is not the name of a header", quoted(text)),
            Ok(_) if fields::is_reserved(text) => format!(
                "{} cannot be let through: some take it for `{}`, which no client may say to an upstream",
                quoted(text),
                fields::folded(text)
            ),
            Ok(_) if fields::is_plain(text) => format!(
                "{} is let through as it is: remove it from the list",
                quoted(text)
            ),
            Ok(name) => {
                names.push(name);
                continue;
            }
        };
        faults.push(Fault::new(item.place.clone(), message));
    }
    names
}

/// The classes of an `unsafe_allow`, of a route or of an upstream.
pub(crate) fn classes(node: &Node, on_route: bool, faults: &mut Faults) -> ClassSet {
    let items = node.filled_list("path classes", faults).unwrap_or_default();
    let mut set = ClassSet::EMPTY;
    for item in items {
        let Some(text) = item.text("a path class", faults) else {
            continue;
        };
        let codes = PathClass::ALL.iter().map(|class| class.code());
        let message = match PathClass::ALL.iter().find(|class| class.code() == text) {
            None => format!(
                "{} is not a path class{}",
                quoted(text),
                nearest(text, codes)
            ),
            Some(class) => match (class.allowable(), on_route) {
                (Allowable::Anywhere, _) | (Allowable::Upstream, false) => {
                    set = set.with(*class);
                    continue;
                }
                (Allowable::Upstream, true) => {
                    format!("`{text}` can only be allowed on an upstream, for all its routes")
                }
                (Allowable::Never, _) => {
                    format!("`{text}` cannot be allowed: no two readers agree on what it means")
                }
            },
        };
        faults.push(Fault::new(item.place.clone(), message));
    }
    set
}

/// `[_method]`: the one key of a query that is refused unless it stands here.
fn method_key(node: &Node, faults: &mut Faults) -> bool {
    let items = node.filled_list("query keys", faults).unwrap_or_default();
    let known: Vec<_> = items
        .iter()
        .filter_map(|item| item.choice(&QUERY_KEYS, faults))
        .collect();
    !known.is_empty()
}

/// Every rule that weakens a promise, as `upstreams.inventory.unsafe_allow: semicolon`.
pub(super) fn weakened(name: &UpstreamName, rules: &UpstreamRules) -> Vec<String> {
    let classes = rules.unsafe_allow.iter().map(PathClass::code);
    let names = rules.header_names.iter().map(HeaderName::as_str);
    let keys = rules.method_in_query.then_some("_method");
    let settings: [(&str, Vec<&str>); 3] = [
        ("unsafe_allow", classes.collect()),
        ("unsafe_header_names", names.collect()),
        ("unsafe_query_keys", keys.into_iter().collect()),
    ];
    let said = settings
        .into_iter()
        .filter(|(_, values)| !values.is_empty());
    let said = said.map(|(key, values)| format!("upstreams.{name}.{key}: {}", values.join(", ")));
    let shadow = rules.shadow.then(|| format!("upstreams.{name}.shadow"));
    said.chain(shadow).collect()
}
