//! The path that was decided on is the path every reader behind the gateway sees (A40).
//!
//! The readers here are careless on purpose: each does one thing to a path that real servers do.
//! Whatever the gateway lets through must be the same path to all of them; and what it refuses must
//! be a path that some of them read differently, or that is no path at all.

use std::str::FromStr;

use http::uri::PathAndQuery;
use portcullis::request::{Target, TargetError};
use portcullis::words::{ClassSet, PathClass};
use proptest::prelude::*;

/// Generated paths per run, shared by all threads.
const CASES: u64 = 1_000_000;

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
    let accepted: u64 = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|seed| scope.spawn(move || run(seed, CASES / threads)))
            .collect();
        runs.into_iter()
            .map(|run| {
                run.join()
                    .unwrap_or_else(|_| panic!("a law is broken, see above"))
            })
            .sum()
    });
    assert!(
        accepted > CASES / 20,
        "only {accepted} of {CASES} paths were accepted: the pieces prove little"
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

/// The laws where no class is allowed. Says whether `path` was accepted.
fn nothing_allowed(path: &str) -> bool {
    let Ok(target) = Target::from_text(path, ClassSet::EMPTY) else {
        assert!(
            is_doubtful(path),
            "`{path}` is refused, and every reader reads it alike"
        );
        return false;
    };
    stands_still(path, &target, ClassSet::EMPTY);
    let meaning = split_then_decode(target.path());
    assert_eq!(
        split_then_decode(before_query(path)),
        meaning,
        "`{path}` and its canonical form `{}` differ",
        target.path()
    );
    for (does, read) in READERS {
        assert_eq!(
            read(target.path()),
            meaning,
            "`{path}`, forwarded as `{}`, is another path to a reader that {does}",
            target.path()
        );
    }
    true
}

/// The laws that hold whatever is allowed.
fn something_allowed(path: &str, allowed: ClassSet) {
    let Ok(target) = Target::from_text(path, allowed) else {
        return;
    };
    stands_still(path, &target, allowed);
    assert_eq!(target.classes().minus(allowed), ClassSet::EMPTY, "`{path}`");
    for class in target.classes().iter() {
        let stricter = Target::from_text(path, allowed.minus(ClassSet::EMPTY.with(class)));
        assert!(
            stricter.is_err(),
            "`{path}` shows `{class}` and passes without it"
        );
    }
    let read = merge_slashes(&strip_parameters(&cut(&backslash(&decode(target.path())))));
    assert!(
        read.split(|byte| *byte == b'/')
            .all(|segment| segment != b"." && segment != b".."),
        "`{path}`, allowed {allowed:?}, makes a reader climb"
    );
}

/// Canonical means: reading it again changes nothing, and the wire reads it like a command does.
fn stands_still(path: &str, target: &Target, allowed: ClassSet) {
    let forwarded = target.path_and_query();
    let again = Target::from_text(forwarded.as_str(), allowed);
    assert_eq!(
        again.as_ref(),
        Ok(target),
        "`{path}` is not canonical after one reading"
    );
    assert_eq!(
        Target::parse(forwarded, allowed).as_ref(),
        Ok(target),
        "`{path}`"
    );
    let raw = PathAndQuery::from_str(path);
    let received = raw.map(|raw| Target::parse(&raw, allowed));
    assert_eq!(received.ok(), Some(Ok(target.clone())), "`{path}`");
    assert_eq!(
        target.query(),
        path.split_once('?').map(|(_, query)| query),
        "`{path}`"
    );
}

/// Says whether two readers differ over `path`, or RFC 3986 does not know it, or it holds what no
/// path should.
fn is_doubtful(path: &str) -> bool {
    let path = before_query(path);
    let meaning = split_then_decode(path);
    path.bytes().any(|byte| !byte.is_ascii_graphic() || b"\"<>^`{|}[]#\\".contains(&byte))
        || !escapes_are_whole(path)
        // A strict reader that decodes twice fails where a lenient one keeps the sign.
        || meaning.contains(&b'%')
        // Whoever cuts nothing off still may say that it could have been parameters.
        || meaning.contains(&b';')
        || std::str::from_utf8(&meaning).map_or(true, |meaning| {
            meaning.contains(|c: char| c.is_control() && c != char::from(SEGMENT))
        })
        || READERS.iter().any(|(_, read)| read(path) != meaning)
}

// -- readers ------------------------------------------------------------------------------------

/// Stands between the segments of a reading. No path that is read twice holds one.
const SEGMENT: u8 = 0;

/// A way to read a path: the segments as data, each after a [`SEGMENT`].
type Reader = fn(&str) -> Vec<u8>;

/// What servers do to a path. The plain reading they are held against is [`split_then_decode`].
const READERS: &[(&str, Reader)] = &[
    ("decodes before it splits", |path| split(&decode(path))),
    ("resolves dots", |path| split(&resolve(&decode(path)))),
    ("resolves dots before it decodes", |path| {
        split_then_decode(&lossy(&resolve(path.as_bytes())))
    }),
    ("merges slashes", |path| {
        split(&merge_slashes(&decode(path)))
    }),
    ("cuts parameters off", |path| {
        split(&strip_parameters(&decode(path)))
    }),
    ("takes a backslash for a slash", |path| {
        split(&backslash(&decode(path)))
    }),
    ("decodes twice", |path| split(&decode_bytes(&decode(path)))),
    ("looks for the query after it decoded", |path| {
        split(&cut(&decode(path)))
    }),
    ("does all of this", |path| {
        let path = decode_bytes(&decode(path));
        split(&resolve(&merge_slashes(&strip_parameters(&cut(
            &backslash(&path),
        )))))
    }),
];

/// The plain reading: segments first, then one decoding each, as RFC 3986 2.4 says.
fn split_then_decode(path: &str) -> Vec<u8> {
    let mut reading = Vec::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        reading.push(SEGMENT);
        reading.extend(decode(segment));
    }
    reading
}

fn split(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|byte| if *byte == b'/' { SEGMENT } else { *byte })
        .collect()
}

fn decode(path: &str) -> Vec<u8> {
    decode_bytes(path.as_bytes())
}

/// Decodes what is an escape and keeps the rest, as the lenient do.
fn decode_bytes(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.push((high << 4 | low) as u8);
            rest = after;
        } else {
            decoded.push(*first);
        }
    }
    decoded
}

/// RFC 3986 5.2.4, on decoded bytes.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    if ends_in_dots {
        kept.push(b"");
    }
    kept.iter()
        .flat_map(|segment| [b"/", *segment].concat())
        .collect()
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || merged.last() != Some(&b'/') {
            merged.push(*byte);
        }
    }
    merged
}

fn strip_parameters(path: &[u8]) -> Vec<u8> {
    let mut in_parameters = false;
    let mut stripped = path.to_vec();
    stripped.retain(|byte| {
        in_parameters = *byte != b'/' && (in_parameters || *byte == b';');
        !in_parameters
    });
    stripped
}

fn backslash(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|byte| if *byte == b'\\' { b'/' } else { *byte })
        .collect()
}

fn cut(path: &[u8]) -> Vec<u8> {
    path.iter()
        .copied()
        .take_while(|byte| !matches!(byte, b'?' | b'#' | 0))
        .collect()
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn before_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn escapes_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let mut digits = after.bytes();
        let mut is_digit = || digits.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        is_digit() && is_digit()
    })
}

// -- paths --------------------------------------------------------------------------------------

/// `SplitMix64`: the same paths in every run, so that a fault found in CI is found at home.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Half of the paths hold nothing dangerous on purpose, or none would be accepted.
    fn path(&mut self, path: &mut String) {
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
