//! Paths that show everything a route table can say.
//!
//! What counts for a path depends on which templates match it, and on nothing else of it. So one path
//! is needed for every set of templates that some path matches: the plainest path of each template,
//! which only wider ones match besides; and for each two that cross, paths that match both, with what
//! both leave open left open, so that what they cross in turn is found in the next round. Templates of
//! both versions are taken together: what one has lost may still cross what the other has.
//!
//! Beyond: every depth of a `{x...}`, since narrower routes take some of them; the other spellings that an
//! upstream takes for the same, and escapes that a reader may decode.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Policy;
use crate::policy::matcher::Entry;
use crate::policy::overlap::{Relation, example, pairs, shared};
use crate::policy::template::Template;
use crate::request::Target;
use crate::words::{Method, MethodSet, PathClass, RouteId};

/// A value that no template has as a literal: what it stands for is open.
pub(super) const OPEN: &str = "qz9";

/// How often crossings of crossings are looked for. Three routes that cross each other, and match
/// together what no two of them do, are rare; five were never seen.
const ROUNDS_MAX: usize = 4;

/// Most templates, those of crossings among them.
const TEMPLATES_MAX: usize = 60_000;

/// Deepest path below a `{x...}`, in segments beyond the deepest template.
const DEPTH_BEYOND: usize = 1;

/// The paths to ask about.
pub(super) struct Paths {
    pub(super) list: BTreeSet<String>,
    /// Whether there were more than could be asked about.
    pub(super) incomplete: bool,
}

/// Every host that either version names, and one that none does.
pub(super) fn hosts(old: &Policy, new: &Policy) -> BTreeSet<Option<String>> {
    let named = [old, new].into_iter().flat_map(|policy| &policy.routes);
    let named = named.flat_map(|route| &route.hosts);
    named.map(|host| Some(host.clone())).chain([None]).collect()
}

/// The paths for the tables of `host`.
pub(super) fn paths((old, new): (&Policy, &Policy), host: Option<&str>) -> Paths {
    let mut templates: BTreeMap<String, Entry> = BTreeMap::new();
    let routes = [old, new].into_iter().flat_map(|policy| &policy.routes);
    let mut is_loose = false;
    for route in routes.filter(|route| route.answers_on(host)) {
        is_loose |= route.loose.is_some();
        let methods = if route.methods.contains(Method::Get) {
            route.methods.with(Method::Head)
        } else {
            route.methods
        };
        for template in std::iter::once(&route.template).chain(&route.loose) {
            let entry = templates.entry(template.shape().to_owned());
            let entry = entry.or_insert_with(|| Entry {
                route: RouteId(0),
                methods: MethodSet::EMPTY,
                template: template.clone(),
            });
            entry.methods = entry.methods.union(methods);
        }
    }
    let mut list = BTreeSet::new();
    let incomplete = cross(&mut templates, &mut list);
    let allowed = old.classes_read.union(new.classes_read);
    let deepest = templates
        .values()
        .map(|it| depth(&it.template))
        .max()
        .unwrap_or_default();
    for entry in templates.values() {
        let template = &entry.template;
        list.insert(example(template, OPEN));
        if template.has_rest() {
            let most = (deepest + DEPTH_BEYOND).saturating_sub(depth(template)) + 1;
            for depth in 1..=most {
                let rest = vec![OPEN; depth].join("/");
                list.insert(ending(template, &rest));
                list.insert(ending(template, &format!("{rest}/")));
            }
            if allowed.contains(PathClass::EncodedSlash) {
                list.insert(ending(template, &format!("{OPEN}%2F{OPEN}")));
            }
            if allowed.contains(PathClass::EmptySegment) {
                list.insert(ending(template, &format!("{OPEN}//{OPEN}")));
                list.insert(ending(template, &format!("/{OPEN}")));
            }
        }
    }
    // What no template matches, unless one takes everything.
    let stray = vec![OPEN; deepest + 2].join("/");
    list.extend([format!("/{stray}"), format!("/{stray};{OPEN}")]);
    let respelt: Vec<_> = list
        .iter()
        .flat_map(|path| spellings(path, is_loose))
        .collect();
    list.extend(respelt);
    // Both versions are asked in the one form that a path has; what neither reads, both refuse.
    let canonical = |path: String| Some(Target::from_text(&path, allowed).ok()?.path().to_owned());
    let list = list.into_iter().filter_map(canonical).collect();
    Paths { list, incomplete }
}

/// Adds the paths of crossings, and their templates, round by round; says whether it had to stop.
fn cross(templates: &mut BTreeMap<String, Entry>, list: &mut BTreeSet<String>) -> bool {
    for _ in 0..ROUNDS_MAX {
        let entries: Vec<Entry> = templates.values().cloned().collect();
        let mut found = Vec::new();
        for pair in pairs(&entries) {
            let (Some(a), Some(b)) = (entries.get(pair.first), entries.get(pair.second)) else {
                continue;
            };
            if pair.relation == Relation::Crossing {
                list.extend(shared(&a.template, &b.template, OPEN));
                found.extend(meets(&a.template, &b.template).map(|meet| (meet, pair.methods)));
            }
        }
        let before = templates.len();
        for (template, methods) in found {
            let entry = templates.entry(template.shape().to_owned());
            let entry = entry.or_insert_with(|| Entry {
                route: RouteId(0),
                methods: MethodSet::EMPTY,
                template,
            });
            entry.methods = entry.methods.union(methods);
        }
        if templates.len() == before {
            return false;
        }
        if templates.len() > TEMPLATES_MAX {
            return true;
        }
    }
    // What the last round found has its own paths; what crosses that in turn was not looked for.
    false
}

/// Templates of what two templates have in common: their shared paths, open where both are.
fn meets(a: &Template, b: &Template) -> impl Iterator<Item = Template> {
    let rest = a.has_rest() && b.has_rest();
    let paths = shared(a, b, OPEN).into_iter();
    paths.filter_map(move |path| {
        let mut number = 0;
        let mut text = String::new();
        let mut parts = path.split(OPEN).peekable();
        while let Some(part) = parts.next() {
            text.push_str(part);
            if parts.peek().is_some() {
                number += 1;
                let last = parts.peek() == Some(&"")
                    && text.ends_with('/')
                    && number == path.matches(OPEN).count();
                let dots = if rest && last { "..." } else { "" };
                text.push_str(&format!("{{p{number}{dots}}}"));
            }
        }
        Template::parse(&text).ok()
    })
}

fn depth(template: &Template) -> usize {
    template.as_str().matches('/').count()
}

/// A path of a template that ends in `{x...}`, with this for the rest.
fn ending(template: &Template, rest: &str) -> String {
    let path = example(template, OPEN);
    let start = path.strip_suffix(OPEN).unwrap_or(&path);
    format!("{start}{rest}")
}

/// Other spellings of `path` that somebody may take for the same.
fn spellings(path: &str, is_loose: bool) -> Vec<String> {
    let mut others = Vec::new();
    let reserved = |c: char| "!$&'()*+,:=@".contains(c);
    if path.contains(reserved) {
        let escaped = |c: char| {
            if reserved(c) {
                format!("%{:02X}", u32::from(c))
            } else {
                c.to_string()
            }
        };
        others.push(path.chars().map(escaped).collect());
    }
    if is_loose {
        let cased: [fn(&char) -> char; 2] = [char::to_ascii_uppercase, char::to_ascii_lowercase];
        for path in [path.to_owned(), toggled(path)] {
            // The open value stays as it is: it is told from literals by its spelling.
            for case in cased {
                let parts = path
                    .split(OPEN)
                    .map(|part| part.chars().map(|c| case(&c)).collect());
                others.push(parts.collect::<Vec<String>>().join(OPEN));
            }
            others.push(path);
        }
    }
    others
}

/// With a slash at the end, or without.
fn toggled(path: &str) -> String {
    match path.strip_suffix('/').filter(|start| !start.is_empty()) {
        Some(start) => start.to_owned(),
        None if path.ends_with('/') => path.to_owned(),
        None => format!("{path}/"),
    }
}
