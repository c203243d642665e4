//! Path templates: `/v1/tenants/{tenant}/devices/{device}`.
//!
//! A template is read once and says for any path, in canonical form, whether it matches and what
//! its parameters are. `{x}` is a segment or a part of one, at least one character, never with a
//! slash in it, raw or encoded; `{x...}`, alone at the end, is the rest of the path, at least one
//! character. Everything else is plain text: no character in a path is ever a pattern.
//!
//! A literal has to be written in canonical form, because that is the form it is compared with: a
//! template that no request could match would be a hole in the table that looks like a wall.
//!
//! An escape (`%20`) is one character: no literal begins or ends inside of one. What a segment
//! matches is in `segment`; which of two templates wins is in `matcher`, how they overlap in
//! `overlap`.

use std::fmt;

use smallvec::SmallVec;

use super::segment::{PARAM, REST, Segment, split};

/// Longest template, in bytes. No request could match a longer one: its target would be refused.
pub const TEMPLATE_BYTES_MAX: usize = 8_000;

/// Most segments of a template: far more than any API has. Lookups descend one step a segment.
pub const SEGMENTS_MAX: usize = 128;

/// A path template.
///
/// Invariant: `segments` is the reading of `shape`, and `alone` has one item for each of `params`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    shape: Box<str>,
    segments: Box<[Segment]>,
    params: Box<[String]>,
    alone: Box<[bool]>,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is wrong and what to do: one sentence without a full stop.
    pub message: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// The first thing in `text` that is not in the grammar, or not in canonical form, and where.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser::new(text);
        parser.template()?;
        let segments: Box<[Segment]> = parser
            .shape
            .split('/')
            .skip(1) // what stands before the first slash: nothing
            .map(Segment::of_shape)
            .collect();
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateError {
                offset: 0,
                message: format!(
                    "a template has at most {SEGMENTS_MAX} segments, this one has {}",
                    segments.len()
                ),
            });
        }
        Ok(Self {
            text: text.into(),
            shape: parser.shape.into(),
            segments,
            params: parser.params.into(),
            alone: parser.alone.into(),
        })
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The template without the names of its parameters: two templates match the same paths exactly
    /// if their shapes are equal. Not for people: parameters are control characters in it.
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// The names of the parameters, from left to right.
    pub fn params(&self) -> &[String] {
        &self.params
    }

    /// The position of the parameter `name`.
    pub fn param(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|param| param == name)
    }

    /// Says whether the parameter is alone in its segment, or the rest of the path. Only such a
    /// parameter may bind a boundary: two readers could split a shared segment differently.
    pub fn binds(&self, param: usize) -> bool {
        self.alone.get(param).copied().unwrap_or(false)
    }

    /// Says whether `path`, in canonical form, matches.
    pub fn matches(&self, path: &str) -> bool {
        self.walk(path, &mut |_| {})
    }

    /// The values of the parameters, in the order of [`Self::params`], as they stand in `path`; nothing
    /// if it does not match. Where a segment could be split in several ways, the left-most value is
    /// the shortest.
    pub fn captures<'p>(&self, path: &'p str) -> Option<SmallVec<[&'p str; 8]>> {
        let mut values = SmallVec::new();
        self.walk(path, &mut |value| values.push(value))
            .then_some(values)
    }

    /// The segments, `{x...}` being the last of them.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Says whether the template ends in `{x...}`.
    pub(super) fn has_rest(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Rest))
    }

    /// Gives each parameter's value to `value`; what was given counts only if the answer is true.
    fn walk<'p>(&self, path: &'p str, value: &mut dyn FnMut(&'p str)) -> bool {
        let mut left = path.strip_prefix('/');
        for segment in &self.segments {
            let Some(tail) = left else { return false };
            if matches!(segment, Segment::Rest) {
                value(tail);
                return !tail.is_empty();
            }
            let (head, next) = split(tail);
            if !segment.walk(head, value) {
                return false;
            }
            left = next;
        }
        left.is_none()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a template from left to right and writes down its shape.
struct Parser<'t> {
    text: &'t str,
    at: usize,
    shape: String,
    params: Vec<String>,
    alone: Vec<bool>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            shape: String::with_capacity(text.len()),
            params: Vec::new(),
            alone: Vec::new(),
        }
    }

    /// What is not read yet.
    fn left(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError {
            offset: self.at,
            message: message.into(),
        })
    }

    fn template(&mut self) -> Result<(), TemplateError> {
        if self.text.len() > TEMPLATE_BYTES_MAX {
            return self.fault(format!(
                "a template has at most {TEMPLATE_BYTES_MAX} bytes, this one has {}",
                self.text.len()
            ));
        }
        if !self.text.starts_with('/') {
            return self.fault(format!(
                "a path template starts with `/`: write `/{}`",
                self.text
            ));
        }
        while !self.left().is_empty() {
            self.segment()?;
        }
        Ok(())
    }

    /// Reads a slash and the segment after it.
    fn segment(&mut self) -> Result<(), TemplateError> {
        self.at += 1;
        self.shape.push('/');
        let (first_param, start) = (self.params.len(), self.at);
        let mut after_param = false;
        while let Some(next) = self.left().chars().next() {
            match next {
                '/' => break,
                '{' => {
                    if after_param {
                        return self.fault(
                            "two parameters stand next to each other, so a value could be divided \
                             between them anywhere: put a literal between them",
                        );
                    }
                    self.param(start)?;
                }
                _ => self.literal(next)?,
            }
            after_param = next == '{';
        }
        let segment = self.text.get(start..self.at).unwrap_or_default();
        if segment.is_empty() && !self.left().is_empty() {
            return self.fault("`//` has an empty segment, which no request shows: write `/`");
        }
        if matches!(segment, "." | "..") {
            self.at = start;
            return self.fault(format!(
                "`{segment}` is a dot segment, which no request may show: write the path it leads to"
            ));
        }
        let alone = segment.starts_with('{') && segment.ends_with('}');
        let one = self.params.len() == first_param + 1;
        self.alone.resize(self.params.len(), alone && one);
        Ok(())
    }

    /// Reads `{x}` or `{x...}`; its segment begins at `start`.
    fn param(&mut self, start: usize) -> Result<(), TemplateError> {
        let Some((inside, after)) = self
            .left()
            .strip_prefix('{')
            .and_then(|left| left.split_once('}'))
        else {
            return self.fault("`{` is not closed: a parameter is written `{name}`");
        };
        let rest = inside.strip_suffix("...");
        let name = rest.unwrap_or(inside);
        if !is_name(name) {
            return self.fault(name_fault(inside));
        }
        if self.params.iter().any(|param| param == name) {
            return self.fault(format!(
                "the parameter `{name}` stands twice: give each a name of its own"
            ));
        }
        if rest.is_some() && (start != self.at || !after.is_empty()) {
            return self.fault(format!(
                "`{{{inside}}}` is the rest of the path: it stands alone after the last `/`"
            ));
        }
        self.params.push(name.to_owned());
        self.shape.push(if rest.is_some() { REST } else { PARAM });
        self.at += inside.len() + 2;
        Ok(())
    }

    /// Reads one character of a literal, which begins with `next`.
    fn literal(&mut self, next: char) -> Result<(), TemplateError> {
        match next {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '.' | '_' | '~' => {} // unreserved
            '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' => {} // sub-delims
            ':' | '@' => {}
            '%' => return self.escape(),
            '}' => return self.fault("`}` closes nothing: a parameter is written `{name}`"),
            '?' | '#' => {
                return self.fault(format!(
                    "a template is a path, and `{next}` ends a path: leave out what follows it"
                ));
            }
            _ if next.is_control() => {
                return self.fault("a control character, which no request may show: leave it out");
            }
            _ => {
                return self.fault(format!(
                    "`{next}` does not stand raw in a path: write `{}`",
                    escaped(next)
                ));
            }
        }
        self.shape.push(next);
        self.at += next.len_utf8();
        Ok(())
    }

    /// Reads `%20`.
    fn escape(&mut self) -> Result<(), TemplateError> {
        let digits = self.left().get(1..3).unwrap_or_default();
        let Some(byte) = hexadecimal(digits) else {
            return self.fault(
                "`%` begins an escape of two hexadecimal digits: a percent sign itself is `%25`",
            );
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            return self.fault(format!(
                "`%{digits}` is not in canonical form: write `{}`",
                char::from(byte)
            ));
        }
        if byte.is_ascii_control() {
            return self.fault(format!(
                "`%{digits}` is a control character, which no request may show: leave it out"
            ));
        }
        if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
            return self.fault(format!(
                "`%{digits}` is not in canonical form: write `%{byte:02X}`"
            ));
        }
        self.shape.push('%');
        self.shape.push_str(digits);
        self.at += 3;
        Ok(())
    }
}

/// Says whether `name` is of the form `[A-Za-z_][A-Za-z0-9_-]*`.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What is wrong with `{inside}`, and what was probably meant.
fn name_fault(inside: &str) -> String {
    let bare = inside.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    if inside.contains('*') && is_name(bare) {
        return format!("`{{{inside}}}` is not a parameter: the rest of a path is `{{{bare}...}}`");
    }
    if inside.is_empty() || inside == "..." {
        return format!("`{{{inside}}}` has no name: a parameter is written `{{name{inside}}}`");
    }
    format!(
        "`{inside}` is not the name of a parameter: expected a letter or `_`, then letters, digits, \
         `_` and `-`"
    )
}

fn hexadecimal(digits: &str) -> Option<u8> {
    (digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

fn escaped(character: char) -> String {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_template_matches_what_it_says_and_gives_the_values() {
        let rows: &[(&str, &str, Option<&[&str]>)] = &[
            ("/", "/", Some(&[])),
            ("/", "/a", None),
            ("/a", "/a", Some(&[])),
            ("/a", "/a/", None),
            ("/a/", "/a", None),
            ("/a/", "/a/", Some(&[])),
            ("/a/{x}", "/a/b", Some(&["b"])),
            ("/a/{x}", "/a/", None),
            ("/a/{x}", "/a/b/c", None),
            ("/a/{x}/", "/a/b/", Some(&["b"])),
            ("/{x}/{y}", "/a/b", Some(&["a", "b"])),
            ("/{id}.json", "/7.json", Some(&["7"])),
            ("/{id}.json", "/.json", None),
            ("/{id}.json", "/a.json.json", Some(&["a.json"])),
            ("/v{major}/x", "/v2/x", Some(&["2"])),
            ("/v{major}/x", "/v/x", None),
            ("/{doc}:publish", "/a:b:publish", Some(&["a:b"])),
            ("/{base}...{head}", "/main...dev", Some(&["main", "dev"])),
            ("/{base}...{head}", "/main....dev", Some(&["main", ".dev"])),
            ("/{base}...{head}", "/....x", Some(&[".", "x"])),
            ("/{base}...{head}", "/...dev", None),
            ("/{base}...{head}", "/main...", None),
            ("/{x}a{y}a{z}", "/aaaaa", Some(&["a", "a", "a"])),
            ("/{x}a{y}a{z}", "/aaaa", None),
            ("/a{x}a", "/aa", None),
            ("/a{x}a", "/aaa", Some(&["a"])),
            ("/f/{p...}", "/f/a/b/", Some(&["a/b/"])),
            ("/f/{p...}", "/f//", Some(&["/"])),
            ("/f/{p...}", "/f/", None),
            ("/f/{p...}", "/f", None),
            ("/a", "a", None),
            ("/{p...}", "", None),
        ];
        for (text, path, expected) in rows {
            let values = template(text).captures(path);
            assert_eq!(values.as_deref(), *expected, "{text} on {path}");
            assert_eq!(template(text).matches(path), expected.is_some());
        }
    }

    #[test]
    fn a22_a23_no_character_in_a_path_or_literal_is_a_pattern() {
        assert!(template("/items/{id}").matches("/items/*"));
        assert!(template("/items/*").matches("/items/*"));
        assert!(!template("/items/*").matches("/items/a"));
        for literal in ["a.b", "a+b", "a(b", "a$b", "a*b", "a:b"] {
            let text = format!("/{literal}");
            assert!(template(&text).matches(&text));
            assert!(!template(&text).matches("/axb"), "{literal}");
        }
    }

    #[test]
    fn a39_a_parameter_neither_spans_nor_empties_a_segment() {
        let items = template("/items/{id}");
        let long = format!("/items/{}", "a".repeat(16 * 1024));
        assert!(items.matches(&long));
        for path in [
            "/items/",
            "/items//",
            "/items/a/b",
            "/items/a%2Fb",
            "/items/%2F",
        ] {
            assert!(!items.matches(path), "{path}");
        }
        assert!(template("/items/{rest...}").matches("/items/a%2Fb"));
        let project = template("/projects/{group}%2F{name}");
        assert_eq!(
            project.captures("/projects/g%2Fn").as_deref(),
            Some(&["g", "n"][..])
        );
        assert!(!project.matches("/projects/g%2Fn%2Fm"));
    }

    #[test]
    fn no_literal_begins_or_ends_inside_of_an_escape() {
        assert!(!template("/{x}0").matches("/a%20"));
        assert!(template("/{x}0").matches("/a%200"));
        assert!(!template("/{x}2{y}").matches("/a%20"));
        assert!(!template("/{x}0{y}").matches("/a%20b"));
        assert_eq!(
            template("/{x}0{y}").captures("/a%20b0c").as_deref(),
            Some(&["a%20b", "c"][..])
        );
        assert!(template("/{x}%20{y}").matches("/a%20b"));
    }

    /// One test for each sentence: what is refused, at which byte, and what is said.
    macro_rules! refused {
        ($($name:ident: $($text:literal @ $offset:literal),+ => $message:literal;)+) => {$(
            #[test]
            fn $name() {
                for (text, offset) in [$(($text, $offset)),+] {
                    let error = Template::parse(text).expect_err(text);
                    assert_eq!((error.offset, &*error.message), (offset, $message), "{text}");
                }
            }
        )+};
    }

    refused! {
        it_starts_with_a_slash: "a/b" @ 0 => "a path template starts with `/`: write `/a/b`";
        an_empty_text_is_no_template: "" @ 0 => "a path template starts with `/`: write `/`";
        an_empty_segment_is_refused: "/a//b" @ 3, "//" @ 1 => "`//` has an empty segment, which no request shows: write `/`";
        two_dots_are_refused: "/a/../b" @ 3, "/.." @ 1 => "`..` is a dot segment, which no request may show: write the path it leads to";
        one_dot_is_refused: "/a/." @ 3, "/./b" @ 1 => "`.` is a dot segment, which no request may show: write the path it leads to";
        a_query_is_refused: "/a?b=1" @ 2 => "a template is a path, and `?` ends a path: leave out what follows it";
        a_fragment_is_refused: "/a#b" @ 2 => "a template is a path, and `#` ends a path: leave out what follows it";
        a_brace_is_closed: "/{a" @ 1, "/b/{" @ 3 => "`{` is not closed: a parameter is written `{name}`";
        a_brace_is_opened: "/a}" @ 2, "/{a}}" @ 4 => "`}` closes nothing: a parameter is written `{name}`";
        a_parameter_has_a_name: "/{}" @ 1 => "`{}` has no name: a parameter is written `{name}`";
        a_rest_has_a_name: "/{...}" @ 1 => "`{...}` has no name: a parameter is written `{name...}`";
        a_star_before_the_name_is_explained: "/{*a}" @ 1 => "`{*a}` is not a parameter: the rest of a path is `{a...}`";
        a_star_after_the_name_is_explained: "/{a*}" @ 1 => "`{a*}` is not a parameter: the rest of a path is `{a...}`";
        a_name_begins_with_a_letter: "/{1a}" @ 1 => "`1a` is not the name of a parameter: expected a letter or `_`, then letters, digits, `_` and `-`";
        a_name_has_no_brace: "/{a{b}" @ 1 => "`a{b` is not the name of a parameter: expected a letter or `_`, then letters, digits, `_` and `-`";
        parameters_are_divided: "/{a}{b}" @ 4, "/x{a}{b...}" @ 5 => "two parameters stand next to each other, so a value could be divided between them anywhere: put a literal between them";
        a_name_stands_once: "/{a}/{a}" @ 5, "/{a}.{a}" @ 5 => "the parameter `a` stands twice: give each a name of its own";
        a_rest_is_the_end_and_alone: "/{a...}/b" @ 1, "/{a...}b" @ 1 => "`{a...}` is the rest of the path: it stands alone after the last `/`";
        a_rest_has_nothing_before_it: "/x{a...}" @ 2 => "`{a...}` is the rest of the path: it stands alone after the last `/`";
        an_escape_is_in_upper_case: "/caf%c3%a9" @ 4 => "`%c3` is not in canonical form: write `%C3`";
        a_letter_is_not_escaped: "/%61dmin" @ 1 => "`%61` is not in canonical form: write `a`";
        a_dot_is_not_escaped: "/%2e%2e" @ 1 => "`%2e` is not in canonical form: write `.`";
        utf_8_is_escaped: "/café" @ 4 => "`é` does not stand raw in a path: write `%C3%A9`";
        a_space_is_escaped: "/a b" @ 2 => "` ` does not stand raw in a path: write `%20`";
        a_backslash_is_escaped: "/a\\b" @ 2 => "`\\` does not stand raw in a path: write `%5C`";
        an_escape_is_whole: "/100%" @ 4, "/%+1" @ 1, "/%é" @ 1 => "`%` begins an escape of two hexadecimal digits: a percent sign itself is `%25`";
        an_escaped_control_is_refused: "/%00" @ 1 => "`%00` is a control character, which no request may show: leave it out";
        a_raw_control_is_refused: "/a\u{1}" @ 2, "/\u{2}" @ 1 => "a control character, which no request may show: leave it out";
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let long = format!("/{}", "a".repeat(TEMPLATE_BYTES_MAX));
        assert!(Template::parse(&long).is_err());
        assert!(Template::parse(&"/a".repeat(SEGMENTS_MAX)).is_ok());
        assert!(Template::parse(&"/a".repeat(SEGMENTS_MAX + 1)).is_err());
    }

    #[test]
    fn only_a_parameter_that_is_alone_binds() {
        let template = template("/{a}/v{b}/{c}.{d}/{e...}");
        assert_eq!(template.params(), ["a", "b", "c", "d", "e"]);
        let binds: Vec<_> = (0..6).map(|param| template.binds(param)).collect();
        assert_eq!(binds, [true, false, false, false, true, false]);
        assert_eq!((template.param("c"), template.param("z")), (Some(2), None));
    }

    #[test]
    fn a_shape_forgets_names_and_nothing_else() {
        assert_eq!(
            template("/a/{x}.{y}").shape(),
            template("/a/{p}.{q}").shape()
        );
        assert_ne!(template("/a/{x}").shape(), template("/a/{x...}").shape());
        assert_eq!(template("/a/{x}").to_string(), "/a/{x}");
    }
}
