//! From a pattern to path templates.
//!
//! A template says less than a regular expression, so a pattern becomes templates only where it is one
//! in disguise: a segment, the rest of the path, a few words to choose from. Anything else is refused
//! with the reason, and whoever asked reports it.

use crate::yaml::quoted;

/// Most templates that one pattern becomes, when words to choose from are written out.
const TEMPLATES_MAX: usize = 16;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Literal(String),
    /// What stands for some of one segment.
    Segment,
    /// What stands for the rest of the path; whether that may be nothing.
    Rest(bool),
    /// One of these words.
    Either(Vec<String>),
}

/// The templates of a pattern, and what they say differently.
#[derive(Debug, Default)]
pub(super) struct Templates {
    pub(super) list: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// What stands in the holes of a pattern: a regular expression for a part of a path.
///
/// Returns the piece, and what it says differently.
pub(super) fn hole(regex: &str) -> Result<(Piece, Option<String>), String> {
    let inner = group(regex);
    let piece = match inner {
        ".*" => Piece::Rest(true),
        ".+" => Piece::Rest(false),
        "[^/]+" | "[^\\/]+" | "[^/]+?" => Piece::Segment,
        "[^/]*" | "[^\\/]*" => {
            let remark = format!("{} may be empty there; `{{…}}` here may not", quoted(regex));
            return Ok((Piece::Segment, Some(remark)));
        }
        _ => match words(inner) {
            Some(words) if !words.is_empty() => Piece::Either(words),
            _ if is_some_of_a_segment(inner) => {
                let remark = format!(
                    "{} becomes a parameter, which any one segment matches: the route is wider than the rule",
                    quoted(regex)
                );
                return Ok((Piece::Segment, Some(remark)));
            }
            _ => {
                return Err(format!(
                    "{} says more than a path template can",
                    quoted(regex)
                ));
            }
        },
    };
    Ok((piece, None))
}

/// Without parentheses around it.
fn group(regex: &str) -> &str {
    let Some(inside) = regex.strip_prefix('(').and_then(|it| it.strip_suffix(')')) else {
        return regex;
    };
    if inside.contains(['(', ')']) {
        return regex;
    }
    let inside = inside.strip_prefix("?:").unwrap_or(inside);
    let named = inside.strip_prefix("?<").or(inside.strip_prefix("?P<"));
    named
        .and_then(|it| it.split_once('>'))
        .map_or(inside, |(_, it)| it)
}

/// `a|b`: words without a meaning of their own.
fn words(regex: &str) -> Option<Vec<String>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let words: Vec<_> = regex.split('|').take(TEMPLATES_MAX + 1).collect();
    let good = words
        .iter()
        .all(|word| !word.is_empty() && word.bytes().all(plain));
    good.then(|| words.into_iter().map(str::to_owned).collect())
}

/// Says whether `regex` is one class of characters, none of them a slash, and how many: `\d+`, `[a-z0-9-]{8}`.
fn is_some_of_a_segment(regex: &str) -> bool {
    let after_class =
        if let Some(rest) = ["\\d", "\\w"].iter().find_map(|it| regex.strip_prefix(it)) {
            Some(rest)
        } else {
            regex.strip_prefix('[').and_then(|rest| {
                let (class, rest) = rest.split_once(']')?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
                let class = class
                    .replace("\\d", "0")
                    .replace("\\w", "a")
                    .replace("\\-", "-");
                (!class.is_empty() && class.bytes().all(plain)).then_some(rest)
            })
        };
    after_class.is_some_and(|count| {
        let bounds = count.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        matches!(count, "+" | "")
            || bounds.is_some_and(|it| {
                it.bytes().all(|b| b.is_ascii_digit() || b == b',') && !it.starts_with('0')
            })
    })
}

/// The templates that `pieces` are together.
pub(super) fn templates(pieces: &[Piece]) -> Result<Templates, String> {
    let mut open = vec![String::new()];
    let mut remarks = Vec::new();
    let mut params = 0;
    for (number, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => open.iter_mut().for_each(|it| it.push_str(text)),
            Piece::Segment => {
                params += 1;
                let param = format!("{{p{params}}}");
                open.iter_mut().for_each(|it| it.push_str(&param));
            }
            Piece::Either(words) => {
                if open.len() * words.len() > TEMPLATES_MAX {
                    return Err(format!(
                        "written out it would be more than {TEMPLATES_MAX} routes"
                    ));
                }
                let joined = |it: &String| -> Vec<String> {
                    words.iter().map(|word| format!("{it}{word}")).collect()
                };
                open = open.iter().flat_map(joined).collect();
            }
            Piece::Rest(may_be_empty) => {
                if number + 1 < pieces.len() {
                    return Err(
                        "it spans any number of segments before something else, which a template cannot say"
                            .to_owned(),
                    );
                }
                open = rest(&open, *may_be_empty, &mut remarks);
            }
        }
    }
    Ok(Templates {
        list: open,
        remarks,
    })
}

/// `open` followed by anything.
fn rest(open: &[String], may_be_empty: bool, remarks: &mut Vec<String>) -> Vec<String> {
    let mut list = Vec::new();
    for start in open {
        if start.ends_with('/') {
            if may_be_empty {
                list.push(start.clone());
            }
            list.push(format!("{start}{{rest...}}"));
            continue;
        }
        if may_be_empty {
            list.push(start.clone());
        }
        list.push(format!("{start}/"));
        list.push(format!("{start}/{{rest...}}"));
        remarks.push(format!(
            "what begins with {} and goes on without a slash is not carried over",
            quoted(start)
        ));
    }
    list
}

/// The pieces of a regular expression for a whole path, as `location ~` has it: `^/users/(\d+)$`.
///
/// Returns them with what they say differently.
pub(super) fn of_regex(regex: &str) -> Result<(Vec<Piece>, Vec<String>), String> {
    let Some(mut left) = regex.strip_prefix('^') else {
        return Err(
            "it may begin anywhere in a path: without `^` no template says the same".to_owned(),
        );
    };
    let (mut pieces, mut remarks) = (Vec::new(), Vec::new());
    let mut literal = String::new();
    let mut whole = false;
    while let Some(next) = left.chars().next() {
        if left == "$" {
            whole = true;
            break;
        }
        let special = match next {
            '(' | '[' | '.' => true,
            '\\' => matches!(left.chars().nth(1), Some('d' | 'w')),
            _ => false,
        };
        if special {
            let length = atom(left)?;
            let (source, rest) = left.split_at_checked(length).unwrap_or((left, ""));
            let (piece, remark) = hole(source)?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            remarks.extend(remark);
            left = rest;
            continue;
        }
        let (taken, rest) = plain(left)?;
        literal.push(taken);
        left = rest;
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    if !whole && !matches!(pieces.last(), Some(Piece::Rest(_))) {
        pieces.push(Piece::Rest(true));
    }
    Ok((pieces, remarks))
}

/// A character that means itself, and what follows it.
fn plain(left: &str) -> Result<(char, &str), String> {
    let mut characters = left.chars();
    let mut next = characters.next().unwrap_or_default();
    if next == '\\' {
        next = characters.next().unwrap_or_default();
        if next.is_alphanumeric() || next == '\0' {
            return Err(format!("`\\{next}` has no counterpart"));
        }
    } else if "*+?{}|^$)]".contains(next) {
        return Err(format!(
            "`{next}` after a plain character has no counterpart"
        ));
    }
    let rest = characters.as_str();
    if rest.starts_with(['*', '+', '?', '{']) {
        return Err(format!("`{next}` repeated has no counterpart"));
    }
    Ok((next, rest))
}

/// How many bytes the group, class or dot at the start of `left` takes, with what says how often.
fn atom(left: &str) -> Result<usize, String> {
    let open = "it has a `(` or `[` that is not closed";
    let closing = |close: char| {
        left.find(close)
            .map(|at| at + 1)
            .ok_or_else(|| open.to_owned())
    };
    let end = match left.chars().next() {
        Some('(') => closing(')')?,
        Some('[') => closing(']')?,
        Some('\\') => 2,
        _ => 1,
    };
    let after = left.get(end..).unwrap_or_default();
    let count = match after.chars().next() {
        Some('*' | '+' | '?') => 1,
        Some('{') => after
            .find('}')
            .map(|at| at + 1)
            .ok_or_else(|| open.to_owned())?,
        _ => 0,
    };
    Ok(end + count)
}
