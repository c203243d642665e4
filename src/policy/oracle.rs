//! What the route table promises, said in the slowest and plainest way: for tests only.
//!
//! It shares no code with the table. Templates are read from their text again, paths are tried
//! character by character with every way to divide them, and which of two templates matches less is
//! found by listing paths. An integration test includes this file too, so it leans on nothing.

/// What one position of a template or a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    /// A character, or an escape, which is one too.
    Text(&'t str),
    /// `{x}`
    Param,
    /// `{x...}`
    Rest,
}

/// Says whether `path` matches `template`.
pub(crate) fn matches(template: &str, path: &str) -> bool {
    fits(&tokens(template), &tokens(path))
}

fn fits(template: &[Token<'_>], path: &[Token<'_>]) -> bool {
    let Some((first, after)) = template.split_first() else {
        return path.is_empty();
    };
    match first {
        Token::Text(_) => path.first() == Some(first) && fits(after, &path[1..]),
        Token::Rest => !path.is_empty(),
        Token::Param => (1..=path.len())
            .take_while(|end| !is_slash(path[end - 1]))
            .any(|end| fits(after, &path[end..])),
    }
}

fn is_slash(token: Token<'_>) -> bool {
    matches!(token, Token::Text("/" | "%2F"))
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut left = text;
    while let Some(first) = left.chars().next() {
        let length = match first {
            '{' => left.find('}').unwrap() + 1,
            '%' => 3,
            _ => 1,
        };
        let (token, after) = left.split_at(length);
        tokens.push(match first {
            '{' if token.ends_with("...}") => Token::Rest,
            '{' => Token::Param,
            _ => Token::Text(token),
        });
        left = after;
    }
    tokens
}

/// How literal each segment is, from the left: 0 literal, 1 partly, 2 `{x}`, 3 `{x...}`.
pub(crate) fn classes(template: &str) -> Vec<u8> {
    let class = |segment: &str| match (segment.contains('{'), &tokens(segment)[..]) {
        (false, _) => 0,
        (true, [Token::Param]) => 2,
        (true, [Token::Rest]) => 3,
        (true, _) => 1,
    };
    template.split('/').skip(1).map(class).collect()
}

/// Of `matching` templates, those that count for a path, the primary first. `inside(a, b)` says
/// whether the paths of `a` are a proper subset of those of `b`.
pub(crate) fn counting<'t>(
    matching: &[&'t str],
    inside: impl Fn(&str, &str) -> bool,
) -> Vec<&'t str> {
    let mut counting: Vec<_> = matching
        .iter()
        .copied()
        .filter(|wide| !matching.iter().any(|other| inside(other, wide)))
        .collect();
    counting.sort_by_key(|template| (classes(template), *template));
    counting
}
