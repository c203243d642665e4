//! The grammar of path templates, read from left to right, and what is said about a text that is
//! not in it.
//!
//! Literals have to stand in canonical form; the fault tells that form, so it can be copied.

use super::segment::{PARAM, REST};
use super::template::{TEMPLATE_BYTES_MAX, TemplateError};
use crate::yaml::quoted;

/// What a template says.
pub(super) struct Reading {
    /// The template with one character for each parameter: [`PARAM`] or [`REST`].
    pub(super) shape: String,
    /// The names of the parameters, from left to right.
    pub(super) params: Vec<String>,
    /// For each parameter, whether nothing else stands in its segment.
    pub(super) alone: Vec<bool>,
}

/// Reads `text`, or says what is the first thing wrong with it.
pub(super) fn read(text: &str) -> Result<Reading, TemplateError> {
    let mut parser = Parser::new(text);
    parser.template()?;
    Ok(parser.reading)
}

struct Parser<'t> {
    text: &'t str,
    /// How many bytes of it are read.
    at: usize,
    reading: Reading,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            reading: Reading {
                shape: String::with_capacity(text.len()),
                params: Vec::new(),
                alone: Vec::new(),
            },
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
                "a path template starts with `/`: write {}",
                quoted(&format!("/{}", self.text))
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
        self.reading.shape.push('/');
        let (first_param, start) = (self.reading.params.len(), self.at);
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
        let one = self.reading.params.len() == first_param + 1;
        self.reading
            .alone
            .resize(self.reading.params.len(), alone && one);
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
        if self.reading.params.iter().any(|param| param == name) {
            return self.fault(format!(
                "the parameter `{name}` stands twice: give each a name of its own"
            ));
        }
        if rest.is_some() && (start != self.at || !after.is_empty()) {
            return self.fault(format!(
                "`{{{inside}}}` is the rest of the path: it stands alone after the last `/`"
            ));
        }
        self.reading.params.push(name.to_owned());
        self.reading
            .shape
            .push(if rest.is_some() { REST } else { PARAM });
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
        self.reading.shape.push(next);
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
        self.reading.shape.push('%');
        self.reading.shape.push_str(digits);
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
        return format!(
            "{} is not a parameter: the rest of a path is `{{{bare}...}}`",
            quoted(&format!("{{{inside}}}"))
        );
    }
    if inside.is_empty() || inside == "..." {
        return format!("`{{{inside}}}` has no name: a parameter is written `{{name{inside}}}`");
    }
    format!(
        "{} is not the name of a parameter: expected a letter or `_`, then letters, digits, `_` and \
         `-`",
        quoted(inside)
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
    use crate::policy::template::Template;

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
        what_a_terminal_would_act_on_is_not_repeated: "a\u{1b}[2J" @ 0
            => "a path template starts with `/`: write `/a\\u{1b}[2J`";
        nor_is_it_of_a_name: "/{a\n}" @ 1
            => "`a\\n` is not the name of a parameter: expected a letter or `_`, then letters, digits, `_` and `-`";
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
}
