//! Paths as descriptions write them, as templates of ours.
//!
//! Published descriptions write more into a path than a path holds: queries, fragments that tell one
//! action from another, names with dots in them. What has a meaning here is carried over, and every
//! change is told; what no request could show becomes no route.

use crate::policy::template::Template;
use crate::yaml::quoted;

/// A template, and what a person should know of how it came to be.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) template: Template,
    /// The parameters by their names in the document, in the order of the template's.
    pub(super) named: Vec<String>,
    pub(super) remarks: Vec<String>,
}

impl Converted {
    /// The template's own name for a parameter of the document.
    pub(super) fn parameter(&self, named: &str) -> Option<&str> {
        let position = self.named.iter().position(|it| it == named);
        let position = position.or_else(|| self.template.param(named))?;
        self.template.params().get(position).map(String::as_str)
    }
}

/// Reads `path`, below `prefix`. A parameter for which `spans` holds may span several segments.
///
/// # Errors
///
/// Why no route can have this path.
pub(super) fn convert(
    prefix: &str,
    path: &str,
    spans: &dyn Fn(&str) -> bool,
) -> Result<Converted, String> {
    let mut reader = Reader {
        text: String::with_capacity(prefix.len() + path.len()),
        after_parameter: false,
        ours: Vec::new(),
        named: Vec::new(),
        remarks: Vec::new(),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    if !slash.is_empty() {
        reader.remark(format!(
            "the path {} does not begin with `/`: it is read as if it did",
            quoted(path)
        ));
    }
    let whole = format!("{prefix}{slash}{path}");
    reader.read(&whole, spans)?;
    let template = Template::parse(&reader.text).map_err(|error| error.message)?;
    Ok(Converted {
        template,
        named: reader.named,
        remarks: reader.remarks,
    })
}

struct Reader {
    text: String,
    after_parameter: bool,
    ours: Vec<String>,
    named: Vec<String>,
    remarks: Vec<String>,
}

impl Reader {
    fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    fn read(&mut self, whole: &str, spans: &dyn Fn(&str) -> bool) -> Result<(), String> {
        let mut left = whole;
        while let Some(next) = left.chars().next() {
            let after = left.get(next.len_utf8()..).unwrap_or_default();
            match next {
                '?' | '#' => {
                    self.cut(left);
                    break;
                }
                '{' => {
                    let (inside, after) = after
                        .split_once('}')
                        .ok_or_else(|| "`{` is not closed".to_owned())?;
                    if inside.starts_with(['?', '&']) {
                        self.cut(left);
                        break;
                    }
                    self.parameter(inside, after, spans);
                    left = after;
                    continue;
                }
                '%' => self.escape(after),
                _ => self.literal(next),
            }
            self.after_parameter = false;
            left = match next {
                '%' if hexadecimal(after).is_some() => after.get(2..).unwrap_or_default(),
                _ => after,
            };
        }
        Ok(())
    }

    fn cut(&mut self, rest: &str) {
        let what = if rest.starts_with('#') {
            "a fragment, which no request shows"
        } else {
            "a query"
        };
        self.remark(format!(
            "the path ends in {what}: routes are told apart without it, so operations that differ only there are one route, which asks for what all of them ask"
        ));
    }

    fn parameter(&mut self, inside: &str, after: &str, spans: &dyn Fn(&str) -> bool) {
        // RFC 6570 has `{+x}` and `{x*}`, Google `{x=shelves/*}`, for values with slashes in them.
        let bare = inside.split('=').next().unwrap_or_default();
        let named = bare.trim_matches(['+', '*', '#', '/', '.', ';']).to_owned();
        let many = inside.starts_with(['+', '#']) || inside.contains('*') || spans(&named);
        let many = many || (named == "path" && self.text.ends_with("/proxy/"));
        if self.after_parameter {
            self.remark(format!(
                "`{{{inside}}}` follows another parameter with nothing between them: the two are one here"
            ));
            self.join(&named);
            return;
        }
        let ends = after.is_empty() || after.starts_with(['?', '#']) || after.starts_with("{?");
        let rest = many && ends && self.text.ends_with('/');
        if many && !rest {
            self.remark(format!(
                "{} may hold several segments, which only the end of a path can: it is one segment here",
                quoted(&named)
            ));
        }
        let name = self.name(&named);
        self.text.push('{');
        self.text.push_str(&name);
        self.text.push_str(if rest { "...}" } else { "}" });
        self.ours.push(name);
        self.named.push(named);
        self.after_parameter = true;
    }

    /// Makes the parameter before stand for another one too, under a name that is neither's: nothing may
    /// take it for one of them.
    fn join(&mut self, named: &str) {
        let (Some(before), Some(name)) = (self.ours.pop(), self.named.last_mut()) else {
            return;
        };
        let joined = format!("{name}_{named}");
        name.clone_from(&joined);
        let end = before.len() + "{}".len();
        self.text.truncate(self.text.len().saturating_sub(end));
        let joined = self.name(&joined);
        self.text.push_str(&format!("{{{joined}}}"));
        self.ours.push(joined);
    }

    /// A name that a template takes, and that no parameter before has.
    fn name(&mut self, named: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let mut name = named.replace(|c: char| !plain(c), "_");
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        if name != named {
            self.remark(format!("{} is no name here: it is `{name}`", quoted(named)));
        }
        let mut number = 2;
        let base = name.clone();
        while self.ours.contains(&name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }

    fn literal(&mut self, next: char) {
        let raw = next.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@".contains(next);
        if raw || next.is_control() {
            self.text.push(next); // of a control the template says what is wrong
            return;
        }
        let mut bytes = [0; 4];
        for byte in next.encode_utf8(&mut bytes).bytes() {
            self.text.push_str(&format!("%{byte:02X}"));
        }
    }

    /// An escape in its canonical form; a percent sign that begins none is one itself.
    fn escape(&mut self, after: &str) {
        match hexadecimal(after) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                self.text.push(char::from(byte));
            }
            Some(byte) => self.text.push_str(&format!("%{byte:02X}")),
            None => self.text.push_str("%25"),
        }
    }
}

fn hexadecimal(text: &str) -> Option<u8> {
    let digits = text.get(..2)?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(path: &str) -> Result<(String, usize), String> {
        let spans = |name: &str| name == "many";
        let converted = convert("/v1", path, &spans)?;
        Ok((converted.template.to_string(), converted.remarks.len()))
    }

    #[test]
    fn a_path_becomes_the_template_that_matches_its_requests() {
        for (path, template, remarks) in [
            ("/", "/v1/", 0),
            ("/devices/", "/v1/devices/", 0),
            ("/devices/{id}.json", "/v1/devices/{id}.json", 0),
            ("/c/{base}...{head}", "/v1/c/{base}...{head}", 0),
            ("/docs/{doc}:publish", "/v1/docs/{doc}:publish", 0),
            ("/range/{from},{to}", "/v1/range/{from},{to}", 0),
            ("/f/{many}", "/v1/f/{many...}", 0),
            ("/f/{many}/raw", "/v1/f/{many}/raw", 1),
            ("/f/a{many}", "/v1/f/a{many}", 1),
            ("/f/{+path}", "/v1/f/{path...}", 0),
            ("/f/{path*}", "/v1/f/{path...}", 0),
            (
                "/pods/{name}/proxy/{path}",
                "/v1/pods/{name}/proxy/{path...}",
                0,
            ),
            ("/{name=shelves/*/books/*}:cancel", "/v1/{name}:cancel", 1),
            ("/a?action={x}", "/v1/a", 1),
            ("/a{?page,size}", "/v1/a", 1),
            ("/#X-Amz-Target=A", "/v1/", 1),
            ("devices", "/v1/devices", 1),
            ("/{user.id}/{user_id}", "/v1/{user_id}/{user_id_2}", 1),
            ("/{7}/{}", "/v1/{_7}/{_}", 2),
            ("/{a}/{a}", "/v1/{a}/{a_2}", 0),
            ("/{a}{b}", "/v1/{a_b}", 1),
            ("/caf\u{e9} x/%7euser%2f", "/v1/caf%C3%A9%20x/~user%2F", 0),
            ("/100%", "/v1/100%25", 0),
            ("/a}b", "/v1/a%7Db", 0),
        ] {
            assert_eq!(
                converted(path),
                Ok((template.to_owned(), remarks)),
                "{path}"
            );
        }
    }

    #[test]
    fn what_no_request_shows_becomes_no_route() {
        for path in ["/a//b", "//", "/a/../b", "/./", "/{a", "/a\n", "/%00"] {
            assert!(converted(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_either_name() {
        let converted = convert("", "/{user.id}/{site}", &|_| false).unwrap();
        assert_eq!(converted.parameter("user.id"), Some("user_id"));
        assert_eq!(converted.parameter("user_id"), Some("user_id"));
        assert_eq!(converted.parameter("site"), Some("site"));
        assert_eq!(converted.parameter("tenant"), None);
    }
}
