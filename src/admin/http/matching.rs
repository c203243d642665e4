//! What `If-Match` says: which versions of a thing may be changed.
//!
//! Whoever states a version relies on it. So one that cannot be read is refused, and so is one that is
//! stated where there is no thing to have it, instead of doing what was asked whatever was seen.

use http::{HeaderMap, StatusCode, header};

use super::endpoint::Endpoint;
use super::problem::Problem;

/// The versions that may be changed; `*` and nothing at all are any.
///
/// # Errors
///
/// 400 for what is no list of versions, and for one where there is nothing to compare it with.
pub(super) fn versions(
    endpoint: &Endpoint,
    headers: &HeaderMap,
) -> Result<Option<Vec<String>>, Problem> {
    let wrong = |said| Problem::new(StatusCode::BAD_REQUEST, said).at("If-Match");
    let mut stated = headers.get_all(header::IF_MATCH).iter().peekable();
    if stated.peek().is_none() {
        return Ok(None);
    }
    let unreadable = || {
        wrong(
            "`If-Match` is `*`, or the `ETag` of what may be changed, in its quotes; several with commas",
        )
    };
    let mut all: Vec<String> = Vec::new();
    for value in stated {
        let text = value.to_str().map_err(|_| unreadable())?;
        all.extend(tags(text).ok_or_else(unreadable)?);
    }
    if all.iter().any(|tag| tag == "*") {
        return match all.len() {
            1 => Ok(None),
            _ => Err(unreadable()),
        };
    }
    if !endpoint.has_versions() {
        let said = "there is nothing here that `If-Match` could be the version of: leave it out";
        return Err(wrong(said));
    }
    Ok(Some(all))
}

/// The tags of a list, each with its quotes: `*`, `"a"`, `W/"a"`. A comma between quotes is the tag's.
fn tags(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    loop {
        let (mark, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => ("W/", quoted),
            None => ("", rest),
        };
        rest = if let Some(inner) = quoted.strip_prefix('"') {
            let (tag, rest) = inner.split_once('"')?;
            all.push(format!("{mark}\"{tag}\""));
            rest
        } else {
            let rest = rest.strip_prefix('*')?;
            all.push("*".to_owned());
            rest
        };
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(all);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_read_and_nothing_else_is() {
        let read = [
            ("*", vec!["*"]),
            ("\"a\"", vec!["\"a\""]),
            (
                " \"a\" ,W/\"b,c\", \"\" ",
                vec!["\"a\"", "W/\"b,c\"", "\"\""],
            ),
        ];
        for (text, expected) in read {
            assert_eq!(tags(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "a",
            "\"a",
            "a\"",
            "\"a\" \"b\"",
            "\"a\",",
            "w/\"a\"",
            "W/a",
            "**",
        ] {
            assert_eq!(tags(text), None, "{text}");
        }
    }
}
