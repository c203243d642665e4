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
//! matches is in `segment`, how a template is written in `grammar`; which of two wins is in
//! `matcher`, how they overlap in `overlap`.

use std::fmt;

use smallvec::SmallVec;

use super::grammar::{Reading, read};
use super::segment::{Segment, split};

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
        let Reading {
            shape,
            params,
            alone,
        } = read(text)?;
        let segments: Box<[Segment]> = shape
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
            shape: shape.into(),
            segments,
            params: params.into(),
            alone: alone.into(),
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

    /// Which segment a parameter is, counted from 0, and whether it is the rest of the path from there
    /// on; nothing if it shares its segment with other text.
    pub fn segment_of(&self, param: usize) -> Option<(usize, bool)> {
        let mut params = 0;
        for (number, segment) in self.segments.iter().enumerate() {
            let (holds, rest) = match segment {
                Segment::Literal(_) => (0, false),
                Segment::Partly(parts) => (parts.params(), false),
                Segment::Param => (1, false),
                Segment::Rest => (1, true),
            };
            if (params..params + holds).contains(&param) {
                let found = (number, rest);
                return self.binds(param).then_some(found);
            }
            params += holds;
        }
        None
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
    pub fn has_rest(&self) -> bool {
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
        let segments: Vec<_> = (0..6).map(|param| template.segment_of(param)).collect();
        let expected = [Some((0, false)), None, None, None, Some((3, true)), None];
        assert_eq!(segments, expected);
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
