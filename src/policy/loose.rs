//! The routes that a request leads to for an upstream that ignores case, or a slash at the end.
//!
//! `/Admin` and `/admin` are two paths for the table and one for such an upstream. Whichever of its
//! handlers takes the request, the permission of that handler must have been asked for; so besides
//! what the path itself leads to, a request has to satisfy what its other spellings lead to there.
//! Each such upstream has a table of its own routes beside the host's, with every template in the
//! one spelling of [`Spelling::of`]: the routes of other upstreams are not in it, since they
//! would hide those that this one may pick.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::matcher::{Entry, Found, Lookup, Table};
use super::template::Template;
use crate::words::{Folding, Method, MethodSet, RouteId, Spelling, UpstreamId};

/// The routes of one upstream, in the one spelling of its paths.
#[derive(Debug)]
pub(crate) struct LooseTable {
    upstream: UpstreamId,
    spelling: Spelling,
    /// Its numbers are positions in `groups`.
    table: Table,
    /// Routes that are one in this spelling; all of them count.
    groups: Vec<Vec<RouteId>>,
    /// Whether every template is in the one spelling as it is written.
    is_plain: bool,
}

impl LooseTable {
    /// The table of `upstream`, whose `entries` in the host's table have templates as written.
    pub(super) fn build<'e>(
        upstream: UpstreamId,
        spelling: Spelling,
        entries: impl Iterator<Item = (&'e Entry, &'e Template)>,
    ) -> Self {
        let mut shapes: HashMap<String, (Template, BTreeMap<Method, Vec<RouteId>>)> =
            HashMap::new();
        let mut is_plain = true;
        for (entry, loose) in entries {
            is_plain &= entry.template.shape() == loose.shape();
            let shape = shapes.entry(loose.shape().to_owned());
            let (_, of_method) = shape.or_insert_with(|| (loose.clone(), BTreeMap::new()));
            for method in entry.methods.iter() {
                of_method.entry(method).or_default().push(entry.route);
            }
        }
        let mut shapes: Vec<_> = shapes.into_values().collect();
        shapes.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        let mut groups = Vec::new();
        let mut grouped = Vec::new();
        for (template, of_method) in shapes {
            let mut methods: BTreeMap<Vec<RouteId>, MethodSet> = BTreeMap::new();
            for (method, routes) in of_method {
                let set = methods.entry(routes).or_default();
                *set = set.with(method);
            }
            for (routes, methods) in methods {
                grouped.push(Entry {
                    route: RouteId(u32::try_from(groups.len()).unwrap_or(u32::MAX)),
                    methods,
                    template: template.clone(),
                });
                groups.push(routes);
            }
        }
        Self {
            upstream,
            spelling,
            table: Table::build(grouped),
            groups,
            is_plain,
        }
    }

    /// What this upstream's routes say of `path` in its one spelling.
    fn find(&self, method: Method, path: &str) -> Lookup {
        let unicode = self.spelling.of(path, Folding::Unicode);
        let ascii = self.spelling.of(path, Folding::Ascii);
        let lookup = self.spread(self.table.find(method, &unicode));
        if ascii == unicode {
            return lookup;
        }
        lookup.with(self.spread(self.table.find(method, &ascii)))
    }

    /// Says whether path and templates are in the one spelling already: then the host's table has
    /// said all that this one could.
    fn says_the_same(&self, path: &str) -> bool {
        self.is_plain && self.spelling.of(path, Folding::Unicode) == path
    }

    /// The routes themselves, where the table knows groups of them.
    fn spread(&self, lookup: Lookup) -> Lookup {
        let Lookup::Found(found) = lookup else {
            return lookup;
        };
        let group = |number: &RouteId| self.groups.get(number.0 as usize).into_iter().flatten();
        let groups = std::iter::once(&found.primary).chain(&found.also);
        let mut routes = groups.flat_map(group).copied();
        match routes.next() {
            Some(primary) => Lookup::Found(Found {
                primary,
                also: routes.collect(),
            }),
            None => Lookup::Nothing, // not reached: no group is empty
        }
    }
}

/// `lookup`, which is what a host's table says of `path`, and what the loose tables beside it add.
///
/// Where the path leads to an upstream, that upstream's other routes count too, and nobody else's:
/// it goes there. Where it leads nowhere, it goes to the one loose upstream that takes it for one of
/// its own; where several would, nobody can say which, and it stays closed.
pub(super) fn loosely(
    tables: &[LooseTable],
    upstream_of: impl Fn(RouteId) -> UpstreamId,
    (method, path): (Method, &str),
    lookup: Lookup,
) -> Lookup {
    if let Lookup::Found(found) = &lookup {
        let upstream = upstream_of(found.primary);
        let table = tables.iter().find(|table| table.upstream == upstream);
        return match table.filter(|table| !table.says_the_same(path)) {
            Some(table) => lookup.with(table.find(method, path)),
            None => lookup,
        };
    }
    let others: SmallVec<[Lookup; 2]> = tables
        .iter()
        .map(|table| table.find(method, path))
        .collect();
    let is_found = |lookup: &&Lookup| matches!(lookup, Lookup::Found(_));
    match others.iter().filter(is_found).count() {
        0 => others.into_iter().fold(lookup, Lookup::with),
        1 => {
            let found = others.iter().find(is_found);
            found.cloned().unwrap_or(lookup)
        }
        _ => lookup,
    }
}
