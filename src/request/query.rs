//! The one thing a query must not say: that another method is meant.
//!
//! Rack, Laravel, Symfony, Spring, Jersey and others act on `_method`, some of them in a query and
//! some for any method; so it is refused wherever it stands. Names are read as the most lenient of
//! them reads: escapes decoded, case ignored, pairs divided by `;` too, cut off at `[` or NUL, and
//! with PHP's habit of taking a space, a dot or a bracket at the start for `_`.

use percent_encoding::percent_decode;

/// Says whether a name in `query` could be read as `_method`.
pub(super) fn overrides_method(query: &str) -> bool {
    let pairs = query.as_bytes().split(|byte| matches!(byte, b'&' | b';'));
    // Looks at one byte of a pair; hardly any name begins so.
    let mut suspects = pairs.filter(|pair| matches!(pair, [b'_' | b'.' | b'[' | b'%' | b'+', ..]));
    suspects.any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let decoded = percent_decode(name).map(|byte| if byte == b'+' { b' ' } else { byte });
        is_method(&decoded.collect::<Vec<u8>>())
    })
}

fn is_method(name: &[u8]) -> bool {
    let Some((b'_' | b'.' | b'[', rest)) = name.trim_ascii_start().split_first() else {
        // What PHP takes for `_` besides, it trims first.
        return false;
    };
    let end = rest.iter().position(|byte| matches!(byte, 0 | b'['));
    let rest = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
    rest.trim_ascii_end().eq_ignore_ascii_case(b"method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a35_a_query_asks_for_another_method_in_many_spellings() {
        for query in [
            "_method=DELETE",
            "_METHOD=delete",
            "a=1&_method=PUT&b",
            "a=1;_method=PUT",
            "%5Fmethod=DELETE",
            "_%6d%65thod=DELETE",
            "_method",
            "_method[]=DELETE",
            "_method%00x=DELETE",
            ".method=DELETE",
            "[method=DELETE",
            "+_method=DELETE",
            "%20_method=DELETE",
            "_method%5B0%5D=DELETE",
        ] {
            assert!(overrides_method(query), "{query}");
        }
    }

    #[test]
    fn other_names_are_not_looked_at_twice() {
        for query in [
            "",
            "method=x",
            "x_method=PUT",
            "_methods=1",
            "__method=PUT",
            "a=_method",
            "a=1&b=_method=PUT",
            "_=1",
            "%5F=method",
            "_meth%zzod=1",
            "%",
        ] {
            assert!(!overrides_method(query), "{query}");
        }
    }
}
