//! The path that was decided on is the path every reader behind the gateway sees (A40).
//!
//! The readers here are careless on purpose: each does one thing to a path that real servers do.
//! Whatever the gateway lets through must be the same path to all of them; and what it refuses must
//! be a path that some of them read differently, or that is no path at all.

pub(crate) mod laws;

use portcullis::request::{Target, TargetError};
use portcullis::words::{ClassSet, PathClass};
use proptest::prelude::*;

use crate::harness::long;
use laws::{nothing_allowed, something_allowed, stands_still};

/// Generated paths per run, shared by all threads.
const CASES: u64 = 1_000_000;

/// The same where there is time, as `PORTCULLIS_LONG` says.
const CASES_LONG: u64 = 10_000_000;

/// Pieces nobody should mind.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "/", "/", "/", "/", "a", "admin", "b.c", "~", "%61", "%7e", "%2D", "%3a", "%20", "%c3%a9",
    "%E2%82%AC", "v1", "*", ":x", "..a", "a..", ",", "=", "@",
];

/// Pieces that somebody, somewhere, reads in a way of his own.
#[rustfmt::skip]
const DANGEROUS: &[&str] = &[
    "/", ".", "..", "/.", "/..", "/../", "//", "%2e", "%2E", "%2e%2e", ".%2e", "%2f", "%2F",
    "%2f..", "\\", "..\\", "%5c", "%5C..", ";", ";v=1", "..;", ";..", "%3b", "%3B..", "%25", "%252e",
    "%252f", "%25%32%65", "%3f", "%3F..", "%23", "#", "#/..", "%", "%2", "%zz", "%u002e", "%%32%65",
    "%00", "%0d%0a", "%7f", "%c2%80", "\u{1}", "\t", " ", "é", "{x}", "|", "\"", "[", "%ff",
    "%c0%ae", "%c0%af", "%c3", "%e2%82", "%ed%a0%80", "\u{202e}", "2e", "e", "5c",
];

#[test]
fn a40_a_million_dangerous_paths_mean_the_same_to_every_reader() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let cases = long::sized(CASES, CASES_LONG);
    let accepted: u64 = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|seed| scope.spawn(move || run(seed, cases / threads)))
            .collect();
        runs.into_iter()
            .map(|run| {
                run.join()
                    .unwrap_or_else(|_| panic!("a law is broken, see above"))
            })
            .sum()
    });
    assert!(
        accepted > cases / 20,
        "only {accepted} of {cases} paths were accepted: the pieces prove little"
    );
    long::passed(
        "A40",
        &format!("{accepted} of {cases} paths accepted, 0 violations"),
    );
}

/// Checks every law on `cases` paths; says how many of them were accepted.
fn run(seed: u64, cases: u64) -> u64 {
    let mut random = Random(seed);
    let mut path = String::new();
    let mut accepted = 0;
    for case in 0..cases {
        random.path(&mut path);
        accepted += u64::from(nothing_allowed(&path));
        if case % 4 == 0 {
            let some = (0..PathClass::ALL.len())
                .filter(|_| random.below(2) == 0)
                .map(|class| PathClass::ALL[class])
                .collect();
            something_allowed(&path, some);
        }
    }
    accepted
}

// -- paths --------------------------------------------------------------------------------------

/// `SplitMix64`: the same paths in every run, so that a fault found in CI is found at home.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Half of the paths hold nothing dangerous on purpose, or none would be accepted.
    pub(crate) fn path(&mut self, path: &mut String) {
        path.clear();
        path.push('/');
        let danger = self.below(3);
        for _ in 0..=self.below(7) {
            let pieces = if self.below(6) < danger {
                DANGEROUS
            } else {
                HARMLESS
            };
            path.push_str(pieces[self.below(pieces.len())]);
        }
        if self.below(16) == 0 {
            path.push_str("?a=/../%2e;b");
        }
    }
}

proptest! {
    /// The same laws, for the sake of a small counterexample.
    #[test]
    fn a40_holds_for_paths_that_shrink(
        pieces in prop::collection::vec(
            prop_oneof![prop::sample::select(HARMLESS), prop::sample::select(DANGEROUS)],
            0..8,
        ),
        allowed in prop::sample::subsequence(PathClass::ALL, 0..=PathClass::ALL.len()),
    ) {
        let path = format!("/{}", pieces.concat());
        nothing_allowed(&path);
        something_allowed(&path, allowed.into_iter().collect());
    }
}

// -- a list for people --------------------------------------------------------------------------

/// Paths that have walked around somebody's rules, each with what becomes of it here: the class it
/// is refused for, or the form in which it is forwarded.
const PATHS: &str = include_str!("data/paths.txt");

/// Fate and path of each line of [`PATHS`].
pub(crate) fn listed_paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = PATHS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| {
        let Some((fate, path)) = line.split_once(' ') else {
            panic!("`{line}` is not a fate, a space, and a path");
        };
        (fate, path.trim_start())
    })
}

#[test]
fn every_listed_path_has_its_listed_fate() {
    let mut faults = Vec::new();
    for (expected, path) in listed_paths() {
        let fate = match Target::from_text(path, ClassSet::EMPTY) {
            Ok(target) => {
                stands_still(path, &target, ClassSet::EMPTY);
                target.path_and_query().to_string()
            }
            Err(TargetError::Ambiguous(ambiguous)) => ambiguous.class.code().to_owned(),
            Err(TargetError::NotAPath(_)) => "not_a_path".to_owned(),
            Err(TargetError::TooLong(_)) => "too_long".to_owned(),
        };
        something_allowed(path, PathClass::ALL.iter().copied().collect());
        if fate != expected {
            faults.push(format!("{fate} {path}"));
        }
    }
    assert!(
        faults.is_empty(),
        "these paths fare otherwise:\n{}",
        faults.join("\n")
    );
}
