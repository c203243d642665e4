//! The laws of one path (A40), and the careless readers they are held against.
//!
//! Tests with generated paths, tests with listed ones and the fuzzer ask the same questions; so they
//! stand here, and lean on nothing but the gateway's own reading.

use std::str::FromStr;

use http::uri::PathAndQuery;
use portcullis::request::Target;
use portcullis::words::{ClassSet, PathClass};

/// The laws where no class is allowed. Says whether `path` was accepted.
pub(crate) fn nothing_allowed(path: &str) -> bool {
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
pub(crate) fn something_allowed(path: &str, allowed: ClassSet) {
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
    if target.classes().contains(PathClass::DotSegment) {
        // No file can allow it; where shadow does, nothing is enforced that a reader could climb to.
        return;
    }
    let read = merge_slashes(&strip_parameters(&cut(&backslash(&decode(target.path())))));
    assert!(
        read.split(|byte| *byte == b'/')
            .all(|segment| segment != b"." && segment != b".."),
        "`{path}`, allowed {allowed:?}, makes a reader climb"
    );
}

/// Canonical means: reading it again changes nothing, and the wire reads it like a command does.
pub(crate) fn stands_still(path: &str, target: &Target, allowed: ClassSet) {
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
