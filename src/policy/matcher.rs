//! The route table: which routes a request has to satisfy.
//!
//! From the left, a literal segment beats a partly literal one, that beats `{x}`, that beats
//! `{x...}`; and a path that any route covers is found. That picks one route. It is not the whole
//! answer: an upstream may pick another one that matches the same path, and then a caller would get
//! around a permission. So of all routes that match, every one counts that is not a proper superset
//! of another that matches. Those beside the primary are its *companions*: which routes cross it is
//! known when the table is built, and whether they match this path is looked at when it is asked.
//!
//! A lookup allocates nothing unless more than [`COUNTED_INLINE`] routes count. It takes at most one
//! comparison of a segment for each node of the tree (`trie` tells why).

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::overlap::{Relation, covers, relation};
use super::segment::{Class, Segment};
use super::template::Template;
use super::trie::{Trie, of_method};
use crate::words::{Method, MethodSet, RouteId};

/// How many routes may count for one path before a lookup allocates.
const COUNTED_INLINE: usize = 8;

/// Most companions that are remembered for one route. Beyond, a lookup walks the tree instead: a
/// table where everything crosses everything would otherwise need memory by the square.
const COMPANIONS_MAX: usize = 64;

/// A route as the table sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The route.
    pub route: RouteId,
    /// The methods it answers.
    pub methods: MethodSet,
    /// The paths it answers.
    pub template: Template,
}

/// A route table, compiled.
#[derive(Debug)]
pub struct Table {
    trie: Trie,
    rows: Vec<Row>,
}

/// What is known of one entry. Rows stand in the order of precedence.
#[derive(Debug)]
struct Row {
    entry: Entry,
    companions: Companions,
}

/// The rows that cross a row and share a method with it.
#[derive(Debug)]
enum Companions {
    /// These, in the order of precedence.
    Known(Vec<u32>),
    /// More than are remembered.
    Many,
}

/// What a table says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// These routes have to be satisfied.
    Found(Found),
    /// No route of this method matches the path; routes of these methods do.
    OtherMethods(MethodSet),
    /// No route matches the path.
    Nothing,
}

/// The routes that match a request and are no proper superset of another that does. All of them
/// have to be satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The left-most literal of them, ties by the text of the template: it names the request and says
    /// where it goes.
    pub primary: RouteId,
    /// The others, in the same order.
    pub also: SmallVec<[RouteId; 4]>,
}

impl Lookup {
    /// The routes of both, if both have some.
    pub fn with_routes_of(self, other: &Self) -> Option<Self> {
        let both = matches!((&self, other), (Self::Found(_), Self::Found(_)));
        both.then(|| self.with(other.clone()))
    }

    /// The routes of both, those of this one first; or the methods of both, if neither has a route.
    #[must_use]
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Found(mut found), Self::Found(other)) => {
                for route in std::iter::once(other.primary).chain(other.also) {
                    if route != found.primary && !found.also.contains(&route) {
                        found.also.push(route);
                    }
                }
                Self::Found(found)
            }
            (found @ Self::Found(_), _) | (_, found @ Self::Found(_)) => found,
            (Self::OtherMethods(ours), Self::OtherMethods(theirs)) => {
                Self::OtherMethods(ours.union(theirs))
            }
            (methods @ Self::OtherMethods(_), Self::Nothing)
            | (Self::Nothing, methods @ Self::OtherMethods(_)) => methods,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Rows that count for a path.
type Counted = SmallVec<[u32; COUNTED_INLINE]>;

impl Table {
    /// Compiles a table.
    ///
    /// No two entries may share a method and a shape ([`Template::shape`]): which of them counts would
    /// not be said. Where they do, the one that stands first in the order of precedence is found.
    pub fn build(entries: Vec<Entry>) -> Self {
        Self::with_companions(entries, COMPANIONS_MAX)
    }

    /// The same with at most `most` companions remembered for a route, so tests see both ways.
    pub(super) fn with_companions(mut entries: Vec<Entry>, most: usize) -> Self {
        entries.sort_by_cached_key(precedence);
        let mut trie = Trie::default();
        for (row, entry) in (0..).zip(&entries) {
            trie.insert(&entry.template, entry.methods, row);
        }
        let known: Vec<_> = entries
            .iter()
            .map(|entry| companions(&trie, &entries, entry, most))
            .collect();
        let rows = entries.into_iter().zip(known);
        let rows = rows.map(|(entry, companions)| Row { entry, companions });
        Self {
            trie,
            rows: rows.collect(),
        }
    }

    /// What the table says of a request for `path`, in canonical form, by `method`.
    pub fn find(&self, method: Method, path: &str) -> Lookup {
        let first = self.trie.first(path, method);
        let Some((first, row)) = first.and_then(|first| Some((first, self.row(first)?))) else {
            return self.other_methods(path);
        };
        let mut counted = match &row.companions {
            Companions::Known(rows) => {
                let rows = rows.iter().copied();
                rows.filter(|other| self.row_matches(*other, method, path))
                    .collect()
            }
            Companions::Many => self.others(first, method, path),
        };
        if !counted.is_empty() {
            counted.push(first);
            self.keep_narrowest(&mut counted);
        }
        self.found(first, &counted)
    }

    /// The first of `counted` is the primary; where nothing is counted, `alone` is.
    fn found(&self, alone: u32, counted: &[u32]) -> Lookup {
        let (primary, also) = counted.split_first().unwrap_or((&alone, &[]));
        let route = |row: &u32| self.row(*row).map(|row| row.entry.route);
        let Some(primary) = route(primary) else {
            return Lookup::Nothing; // not reached: the tree gives numbers of rows
        };
        Lookup::Found(Found {
            primary,
            also: also.iter().filter_map(route).collect(),
        })
    }

    fn other_methods(&self, path: &str) -> Lookup {
        let mut methods = MethodSet::EMPTY;
        let every: MethodSet = Method::ALL.iter().copied().collect();
        let _ = self.trie.each(path, every, &mut |ends| {
            methods = ends.iter().fold(methods, |all, (own, _)| all.union(*own));
            ControlFlow::Continue(())
        });
        if methods.is_empty() {
            Lookup::Nothing
        } else {
            Lookup::OtherMethods(methods)
        }
    }

    /// Every other row of `method` than `first` that matches `path`.
    fn others(&self, first: u32, method: Method, path: &str) -> Counted {
        let mut rows = Counted::new();
        let _ = self.trie.each(path, MethodSet::of(method), &mut |ends| {
            rows.extend(of_method(ends, method).filter(|row| *row != first));
            ControlFlow::Continue(())
        });
        rows
    }

    /// Takes out every row that is a proper superset of another, and puts the rest in order.
    fn keep_narrowest(&self, rows: &mut Counted) {
        let all = rows.clone();
        rows.retain(|wide| {
            !all.iter()
                .any(|row| row != wide && self.covers(*wide, *row))
        });
        rows.sort_unstable();
    }

    fn covers(&self, wide: u32, narrow: u32) -> bool {
        let rows = self.row(wide).zip(self.row(narrow));
        rows.is_some_and(|(wide, narrow)| covers(&wide.entry.template, &narrow.entry.template))
    }

    fn row_matches(&self, row: u32, method: Method, path: &str) -> bool {
        self.row(row).is_some_and(|row| {
            row.entry.methods.contains(method) && row.entry.template.matches(path)
        })
    }

    fn row(&self, number: u32) -> Option<&Row> {
        self.rows.get(number as usize)
    }
}

/// From the left, the more literal segment; then the text of the template; then the route.
fn precedence(entry: &Entry) -> (Vec<Class>, String, RouteId) {
    let classes = entry.template.segments().iter().map(Segment::class);
    (classes.collect(), entry.template.to_string(), entry.route)
}

fn companions(trie: &Trie, entries: &[Entry], entry: &Entry, most: usize) -> Companions {
    let mut known = Vec::new();
    let end = trie.meeting(&entry.template, entry.methods, &mut |_, row| {
        let other = entries.get(row as usize);
        let crosses =
            |other: &Entry| relation(&entry.template, &other.template) == Relation::Crossing;
        if other.is_some_and(crosses) {
            if known.len() == most {
                return ControlFlow::Break(());
            }
            known.push(row);
        }
        ControlFlow::Continue(())
    });
    if end.is_break() {
        return Companions::Many;
    }
    known.sort_unstable();
    Companions::Known(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The templates of routes for GET and HEAD, and one for PUT; a route's number is its place.
    const TEMPLATES: &[&str] = &[
        "/v1/devices/{device}",
        "/v1/devices/all",
        "/v1/devices/{device}/{part}",
        "/v1/{kind}/all/{part}",
        "/v1/reports/{path...}",
        "/{path...}",
        "/v1/files/{name}.json",
        "/v1/files/{name}",
        "/v1/files/report.{format}",
    ];

    fn table() -> Table {
        let get: MethodSet = [Method::Get, Method::Head].into_iter().collect();
        let template = |text: &&str| Template::parse(text).unwrap();
        let mut entries: Vec<_> = TEMPLATES
            .iter()
            .zip(0..)
            .map(|(text, number)| Entry {
                route: RouteId(number),
                methods: get,
                template: template(text),
            })
            .collect();
        entries.push(Entry {
            route: RouteId(100),
            methods: MethodSet::of(Method::Put),
            template: template(&"/v1/{kind}/{id}"),
        });
        Table::build(entries)
    }

    #[test]
    fn the_left_most_literal_is_the_primary_and_what_crosses_it_counts_too() {
        let rows: &[(Method, &str, &[u32])] = &[
            (Method::Get, "/v1/devices/7", &[0]),
            (Method::Head, "/v1/devices/all", &[1]),
            (Method::Get, "/v1/devices/all/x", &[2, 3]), // each matches what the other does not
            (Method::Get, "/v1/things/all/x", &[3]),
            (Method::Get, "/v1/reports/all/x", &[4, 3]),
            (Method::Get, "/v1/reports/", &[5]), // the rest is at least one character
            (Method::Get, "/elsewhere", &[5]),
            (Method::Get, "/v1/files/a.json", &[6]),
            (Method::Get, "/v1/files/a.xml", &[7]),
            (Method::Get, "/v1/files/report.json", &[8, 6]),
            (Method::Put, "/v1/devices/all", &[100]), // back from the literal, which has no PUT
        ];
        for (method, path, expected) in rows {
            let Lookup::Found(found) = table().find(*method, path) else {
                panic!("{method} {path} is not found");
            };
            let routes: Vec<_> = std::iter::once(found.primary).chain(found.also).collect();
            let expected: Vec<_> = expected.iter().copied().map(RouteId).collect();
            assert_eq!(routes, expected, "{method} {path}");
        }
    }

    #[test]
    fn without_a_route_the_methods_that_have_one_are_told() {
        let get: MethodSet = [Method::Get, Method::Head].into_iter().collect();
        let rows = [
            (
                Method::Delete,
                "/v1/devices/7",
                Lookup::OtherMethods(get.with(Method::Put)),
            ),
            (Method::Put, "/elsewhere", Lookup::OtherMethods(get)),
            (Method::Get, "/", Lookup::Nothing),
            (Method::Get, "", Lookup::Nothing),
            (Method::Get, "*", Lookup::Nothing),
        ];
        for (method, path, expected) in rows {
            assert_eq!(table().find(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_route_that_crosses_hundreds_of_others_still_asks_for_all_that_match() {
        let mut texts: Vec<_> = (0..300).map(|n| format!("/{{x}}/{n}")).collect();
        texts.extend((0..300).map(|n| format!("/{n}/{{x}}")));
        let entry = |(text, number): (&String, u32)| Entry {
            route: RouteId(number),
            methods: MethodSet::of(Method::Get),
            template: Template::parse(text).unwrap(),
        };
        let table = Table::build(texts.iter().zip(0..).map(entry).collect());
        let Lookup::Found(found) = table.find(Method::Get, "/7/9") else {
            panic!("not found");
        };
        assert_eq!(found.primary, RouteId(307));
        assert_eq!(found.also.as_slice(), [RouteId(9)]);
    }
}
