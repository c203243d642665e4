//! The route table against the oracle, over tables made of pieces that overlap on purpose.

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::loose::{LooseTable, loosely};
use super::matcher::{Entry, Lookup, Table};
use super::oracle;
use super::overlap::{self, Relation, pairs, relation};
use super::template::Template;
use crate::words::{Folding, Method, MethodSet, RouteId, Spelling, UpstreamId};

/// Templates, and for each which of a list of paths match it, found the slow way.
struct Universe {
    templates: Vec<(String, Template)>,
    paths: Vec<String>,
    /// For each template a bit for each path.
    matching: Vec<Vec<u64>>,
    by_text: HashMap<String, usize>,
}

impl Universe {
    fn new(templates: Vec<String>, paths: Vec<String>) -> Self {
        let matches = |template: &String, paths: &[String]| {
            let matches = |path: &String| u64::from(oracle::matches(template, path));
            paths
                .iter()
                .rev()
                .fold(0, |bits, path| bits << 1 | matches(path))
        };
        let matching = |template| {
            paths
                .chunks(64)
                .map(|some| matches(template, some))
                .collect()
        };
        let matching = templates.iter().map(matching).collect();
        let by_text = templates.iter().cloned().zip(0..).collect();
        let parse = |text: String| {
            let template = Template::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            (text, template)
        };
        let templates = templates.into_iter().map(parse).collect();
        Self {
            templates,
            paths,
            matching,
            by_text,
        }
    }

    /// How two templates relate, going by the listed paths alone.
    fn relation(&self, a: usize, b: usize) -> Relation {
        let (mut both, mut only_a, mut only_b) = (0, 0, 0);
        for (in_a, in_b) in self.matching[a].iter().zip(&self.matching[b]) {
            both |= in_a & in_b;
            only_a |= in_a & !in_b;
            only_b |= !in_a & in_b;
        }
        match (both != 0, only_a != 0, only_b != 0) {
            (false, ..) => Relation::Disjoint,
            (true, false, false) => Relation::Same,
            (true, false, true) => Relation::Inside,
            (true, true, false) => Relation::Around,
            (true, true, true) => Relation::Crossing,
        }
    }

    fn matches(&self, template: usize, path: usize) -> bool {
        self.matching[template][path / 64] >> (path % 64) & 1 == 1
    }

    /// Every relation between two templates is the one the paths show.
    fn check_relations(&self) {
        for (a, (text_a, one)) in self.templates.iter().enumerate() {
            for (b, (text_b, two)) in self.templates.iter().enumerate() {
                assert_eq!(
                    relation(one, two),
                    self.relation(a, b),
                    "{text_a} to {text_b}"
                );
                let shared = overlap::shared(one, two, "z");
                let disjoint = self.relation(a, b) == Relation::Disjoint;
                assert_eq!(shared.is_empty(), disjoint, "{text_a} and {text_b}");
                for path in shared {
                    let both = oracle::matches(text_a, &path) && oracle::matches(text_b, &path);
                    assert!(both, "{path} for {text_a} and {text_b}");
                }
            }
        }
    }
}

/// Every sequence of up to `length` of `pieces`, each beginning with `before`.
fn sequences(pieces: &[&str], before: &str, length: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..length {
        let longer = |start: &String| -> Vec<String> {
            pieces
                .iter()
                .map(|piece| format!("{start}{before}{piece}"))
                .collect()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend_from_slice(&last);
    }
    all
}

/// Templates of up to three segments. Parameters are named by their place.
fn templates(pieces: &[&str], length: usize) -> Vec<String> {
    let well_formed = |text: &String| {
        let (start, _) = text.rsplit_once('/').unwrap();
        !start.contains("...}") && !format!("{start}/").contains("//")
    };
    let named = |text: String| {
        let mut number = 0;
        let name = |part: &str| {
            number += 1;
            format!("{{p{number}{part}")
        };
        let (literal, params) = text.split_once('?').unwrap_or((&text, ""));
        let params = params.split('?').filter(|part| !part.is_empty());
        let params: String = params.map(name).collect();
        format!("{literal}{params}")
    };
    sequences(pieces, "/", length)
        .into_iter()
        .filter(well_formed)
        .map(named)
        .collect()
}

/// `?` stands for the beginning of a parameter.
const PIECES: &[&str] = &["", "a", "b", "?}", "a?}", "?}b", "a?}b", "?}.?}", "?...}"];

static TABLES: LazyLock<Universe> = LazyLock::new(|| {
    // For each set of pieces that can match one segment together, a segment that shows it.
    let segments = [
        "", "a", "b", "z", "aa", "ab", "bb", "azb", "a.a", "a.b", "b.a", "b.b",
    ];
    let mut paths = sequences(&segments, "/", 3);
    let longer: Vec<_> = paths.iter().map(|path| format!("{path}/z")).collect();
    paths.extend(longer);
    Universe::new(templates(PIECES, 3), paths)
});

#[test]
fn the_relation_of_two_templates_is_the_one_their_paths_show() {
    TABLES.check_relations();
}

#[test]
fn the_relation_of_two_segments_is_the_one_their_texts_show() {
    let pieces = [
        "", "a", "ab", "a.b", "?}", "?...}", "a?}", "aa?}", "?}a", "?}b", "?}ab", "a?}a", "a?}b",
        "?}a?}", "?}.?}", "?}...?}", "?}.?}.?}", "a%2Fb", "?}%2F?}", "a?}%2Fb", "%2F?}",
    ];
    let paths = sequences(&["a", "b", ".", "%2F", "z"], "", 6);
    let paths = paths
        .into_iter()
        .chain([String::new()])
        .map(|path| format!("/{path}"))
        .collect();
    Universe::new(templates(&pieces, 1), paths).check_relations();
}

#[test]
fn the_relation_of_two_segments_holds_with_escapes() {
    let pieces = [
        "0", "%20", "%200", "?}", "?}0", "0?}", "%20?}", "?}%20", "?}0?}", "?}%20?}", "?}00",
        "?}%200", "?}20", "%20?}0", "?}%2F?}0", "?}0%2F?}", "?}2?}",
    ];
    let paths = sequences(&["0", "2", "%20", "%2F", "z"], "", 6);
    let paths = paths
        .into_iter()
        .chain([String::new()])
        .map(|path| format!("/{path}"))
        .collect();
    Universe::new(templates(&pieces, 1), paths).check_relations();
}

fn methods() -> impl Strategy<Value = MethodSet> {
    let set = |methods: &[Method]| methods.iter().copied().collect::<MethodSet>();
    prop_oneof![
        3 => Just(set(&[Method::Get])),
        1 => Just(set(&[Method::Post])),
        1 => Just(set(&[Method::Get, Method::Post])),
    ]
}

/// Rows of a table: a template of [`TABLES`] and its methods.
type Rows = Vec<(usize, MethodSet)>;

/// Rows of a table; none shares a method and a shape with another. Twice, in two orders.
fn table() -> impl Strategy<Value = (Rows, Rows)> {
    let row = (0..TABLES.templates.len(), methods());
    prop::collection::vec(row, 1..12).prop_flat_map(|rows| {
        let mut taken: HashMap<usize, MethodSet> = HashMap::new();
        let mut kept = Vec::new();
        for (template, methods) in rows {
            let before = taken.entry(template).or_default();
            let methods = methods.minus(*before);
            *before = before.union(methods);
            if !methods.is_empty() {
                kept.push((template, methods));
            }
        }
        (Just(kept.clone()), Just(kept).prop_shuffle())
    })
}

/// A route's number is its template's, and tells the method too where two rows share a template.
fn entries(rows: &[(usize, MethodSet)]) -> Vec<Entry> {
    let entry = |(template, methods): &(usize, MethodSet)| Entry {
        route: RouteId(u32::try_from(*template).unwrap()),
        methods: *methods,
        template: TABLES.templates[*template].1.clone(),
    };
    rows.iter().map(entry).collect()
}

/// What the promise asks for, as template texts: those that count, the primary first.
fn expected(
    rows: &[(usize, MethodSet)],
    method: Method,
    path: usize,
) -> Result<Vec<&str>, MethodSet> {
    let matching = |(template, _): &&(usize, MethodSet)| TABLES.matches(*template, path);
    let of_method: Vec<&str> = rows
        .iter()
        .filter(|(_, methods)| methods.contains(method))
        .filter(matching)
        .map(|(template, _)| &*TABLES.templates[*template].0)
        .collect();
    if of_method.is_empty() {
        let others = rows.iter().filter(matching);
        return Err(others.fold(MethodSet::EMPTY, |all, (_, own)| all.union(*own)));
    }
    let inside = |a: &str, b: &str| {
        TABLES.relation(TABLES.by_text[a], TABLES.by_text[b]) == Relation::Inside
    };
    Ok(oracle::counting(&of_method, inside))
}

fn found(table: &Table, method: Method, path: usize) -> Result<Vec<&'static str>, MethodSet> {
    match table.find(method, &TABLES.paths[path]) {
        Lookup::Found(found) => Ok(std::iter::once(found.primary)
            .chain(found.also)
            .map(|route| &*TABLES.templates[route.0 as usize].0)
            .collect()),
        Lookup::OtherMethods(methods) => Err(methods),
        Lookup::Nothing => Err(MethodSet::EMPTY),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn a38_every_table_in_every_order_answers_as_the_oracle_does(
        (rows, shuffled) in table(),
        start in 0..TABLES.paths.len(),
        most in prop_oneof![Just(0), Just(1), Just(usize::MAX)],
    ) {
        let tables = [
            Table::build(entries(&rows)),
            Table::with_companions(entries(&shuffled), most),
        ];
        // A hundred paths spread over the whole list: its length and the step have no divisor in common.
        for turn in 0..100 {
            let path = (start + turn * 8_191) % TABLES.paths.len();
            let method = if turn % 4 == 0 { Method::Post } else { Method::Get };
            let expected = expected(&rows, method, path);
            for table in &tables {
                prop_assert_eq!(
                    found(table, method, path), expected.clone(), "{} {}", method, &TABLES.paths[path]
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn pairs_are_all_that_meet_and_no_others((rows, _) in table()) {
        let entries = entries(&rows);
        let mut expected = Vec::new();
        for (first, (a, own)) in rows.iter().enumerate() {
            for (second, (b, other)) in rows.iter().enumerate().skip(first + 1) {
                let relation = TABLES.relation(*a, *b);
                let methods = own.intersection(*other);
                if relation != Relation::Disjoint && !methods.is_empty() {
                    expected.push((first, second, methods, relation));
                }
            }
        }
        let pairs = pairs(&entries).into_iter();
        let pairs: Vec<_> = pairs.map(|p| (p.first, p.second, p.methods, p.relation)).collect();
        prop_assert_eq!(pairs, expected);
    }
}

/// Templates for two upstreams, of which the first ignores case and a slash at the end.
const LOOSE: &[&str] = &[
    "/",
    "/a",
    "/A",
    "/a/",
    "/{x}",
    "/{x}/",
    "/a/b",
    "/A/b",
    "/{x}/B",
    "/a/{x}",
    "/A/{x}/",
    "/{x}b",
    "/{x...}",
    "/a/{x...}",
    "/{x}/{y...}",
];
const LOOSE_PATHS: &[&str] = &[
    "/", "/a", "/A", "/a/", "/A/", "/b", "/aB", "/AB/", "/a/b", "/A/B", "/a/b/", "/b/B/", "/a/c/",
    "/b/c/d", "/A/c/D/",
];

proptest! {
    /// Law: whichever of its handlers a loose upstream picks, in whatever spelling, its route counts.
    #[test]
    fn a07_a47_a_loose_upstream_picks_no_route_that_was_not_asked(
        rows in prop::collection::btree_set((0..LOOSE.len(), any::<bool>()), 1..8),
        path in prop::sample::select(LOOSE_PATHS),
    ) {
        let spelling = Spelling { any_case: true, any_slash: true };
        let template = |place: usize| Template::parse(LOOSE[place]).unwrap();
        let loose = |place: usize| Template::parse(&spelling.of(LOOSE[place], Folding::Unicode)).unwrap();
        // What crosses leads to one upstream, or the policy is refused.
        let crosses = |(a, one): &(usize, bool), (b, two): &(usize, bool)| {
            one != two && matches!(relation(&template(*a), &template(*b)), Relation::Crossing | Relation::Same)
        };
        prop_assume!(!rows.iter().any(|a| rows.iter().any(|b| crosses(a, b))));
        let rows: Vec<_> = rows.into_iter().collect();
        let upstream_of = |route: RouteId| UpstreamId(u16::from(rows[route.0 as usize].1));
        let entries: Vec<_> = (0..).zip(&rows).map(|(number, (place, _))| Entry {
            route: RouteId(number),
            methods: MethodSet::of(Method::Get),
            template: template(*place),
        }).collect();
        let ours = (0..).zip(&rows).filter(|(_, (_, other))| !other);
        let pairs: Vec<(Entry, Template)> = ours
            .map(|(number, (place, _)): (usize, _)| (entries[number].clone(), loose(*place)))
            .collect();
        let table = LooseTable::build(UpstreamId(0), spelling, pairs.iter().map(|(a, b)| (a, b)));
        let lookup = Table::build(entries).find(Method::Get, path);
        let lookup = loosely(&[table], upstream_of, (Method::Get, path), lookup);
        let Lookup::Found(found) = lookup else {
            // Nothing of ours matches in any spelling.
            let folded = spelling.of(path, Folding::Unicode);
            prop_assert!(!pairs.iter().any(|(_, loose)| oracle::matches(loose.as_str(), &folded)));
            return Ok(());
        };
        if upstream_of(found.primary) == UpstreamId(0) {
            let asked: Vec<_> = std::iter::once(found.primary).chain(found.also).collect();
            let folded = spelling.of(path, Folding::Unicode);
            let matching: Vec<_> = pairs.iter().filter(|(_, loose)| oracle::matches(loose.as_str(), &folded)).collect();
            for (entry, own) in &matching {
                let narrower = matching.iter().any(|(_, other)| relation(other, own) == Relation::Inside);
                prop_assert!(narrower || asked.contains(&entry.route), "{} on {path}", entry.template);
            }
        }
    }
}
