//! Reads what a request says: path, query and body, each of them strictly.
//!
//! What is not known is refused and named, and so is what stands twice: of two readers one might
//! take the first and one the last.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Longest body, in bytes: the largest account there may be, with all its grants, fits many times.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest value of one query parameter, in bytes: a pattern longer than that is a mistake.
const VALUE_BYTES_MAX: usize = 1024;
/// Most entries of a page.
pub(super) const PAGE_MAX: usize = 1000;
/// Entries of a page when nothing is said.
pub(super) const PAGE_DEFAULT: usize = 100;

/// What a request says.
#[derive(Debug, Default)]
pub(super) struct Asked {
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: Bytes,
}

impl Asked {
    /// Takes a request apart; `known` are the query parameters its endpoint reads.
    pub(super) fn new(
        path: BTreeMap<String, String>,
        query: Option<&str>,
        known: impl Fn(&str) -> bool,
        body: Bytes,
    ) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        let query = query.unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let name: Cow<'_, str> = name;
            if !known(&name) {
                let shown: String = name.chars().take(64).collect();
                let said = format!("there is no query parameter `{}`", shown.escape_default());
                return Err(Problem::field(&shown, said));
            }
            if value.len() > VALUE_BYTES_MAX {
                let said = format!("`{name}` is longer than {VALUE_BYTES_MAX} bytes");
                return Err(Problem::field(&name, said));
            }
            let twice = parameters.insert(name.clone().into_owned(), value.into_owned());
            if twice.is_some() {
                return Err(Problem::field(&name, format!("`{name}` stands twice")));
            }
        }
        Ok(Self {
            path,
            query: parameters,
            body,
        })
    }

    /// A part of the path. What cannot be a name of anything is the name of nothing.
    pub(super) fn path<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        let text = self.path.get(name).map_or("", String::as_str);
        text.parse()
            .map_err(|_| Problem::new(StatusCode::NOT_FOUND, format!("there is no such {name}")))
    }

    /// A query parameter, if it stands there.
    pub(super) fn query<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.query.get(name) else {
            return Ok(None);
        };
        let value = text.parse().map_err(|error: T::Err| {
            Problem::field(name, format!("`{name}` cannot be read: {error}"))
        })?;
        Ok(Some(value))
    }

    /// The values of a query parameter that are separated by commas; none without it.
    pub(super) fn listed<T: FromStr>(&self, name: &str) -> Result<Vec<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.query.get(name).map_or("", String::as_str);
        let words = text.split(',').filter(|word| !word.is_empty());
        let values = words.map(|word| {
            word.parse().map_err(|error: T::Err| {
                Problem::field(name, format!("`{name}` cannot be read: {error}"))
            })
        });
        values.collect()
    }

    /// A query parameter that JSON has a word for: `true`, a name, a number.
    pub(super) fn word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.query.get(name) else {
            return Ok(None);
        };
        let as_is = serde_json::from_str(text);
        let value = as_is.or_else(|_| serde_json::from_value(text.as_str().into()));
        let value = value
            .map_err(|error| Problem::field(name, format!("`{name}` cannot be read: {error}")))?;
        Ok(Some(value))
    }

    /// Most entries of the page, within bounds.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        // A number too large for us is still a number, and is brought down like any other.
        let asked = self.query.get("limit").map(|text| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(PAGE_MAX))
        });
        match asked {
            None => Ok(PAGE_DEFAULT),
            Some(Some(limit)) if limit > 0 => Ok(limit.min(PAGE_MAX)),
            Some(_) => Err(Problem::field("limit", "`limit` is a number from 1 on")),
        }
    }

    /// What the page begins after: a name or an id, out of a cursor.
    pub(super) fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some(cursor) = self.query.get("cursor") else {
            return Ok(None);
        };
        let after = super::page::read(cursor)?.parse();
        let after = after.map_err(|_| Problem::field("cursor", "`cursor` is of another list"))?;
        Ok(Some(after))
    }

    /// The body as JSON of exactly this shape.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let read: Result<T, _> = serde_path_to_error::deserialize(&mut json);
        let value = read.map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let said = inner.to_string();
            let field = named(&said).map(|name| below(&path, name));
            let problem = Problem::new(StatusCode::BAD_REQUEST, format!("the body: {said}"));
            match field.or_else(|| (path != ".").then_some(path)) {
                Some(field) => problem.at(field),
                None => problem,
            }
        })?;
        json.end().map_err(|_| {
            let said = "the body goes on after its JSON value";
            Problem::new(StatusCode::BAD_REQUEST, said)
        })?;
        Ok(value)
    }
}

/// The field that is missing, unknown or there twice.
fn named(said: &str) -> Option<&str> {
    let heads = ["unknown field `", "missing field `", "duplicate field `"];
    let rest = heads.iter().find_map(|head| said.strip_prefix(head))?;
    rest.split('`').next()
}

fn below(path: &str, name: &str) -> String {
    // The reader of paths may have got as far as the field itself.
    match path.strip_suffix(name) {
        Some(before) if before.is_empty() || before.ends_with('.') => path.to_owned(),
        _ if path == "." => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Body {
        name: String,
        #[serde(default)]
        grants: Vec<crate::admin::Grant>,
    }

    fn refused(body: &[u8]) -> String {
        let asked = Asked {
            body: Bytes::copy_from_slice(body),
            ..Asked::default()
        };
        let problem = asked.body::<Body>().unwrap_err();
        format!("{problem:?}")
    }

    #[test]
    fn a_body_is_refused_by_the_name_of_what_is_wrong() {
        for (body, field) in [
            (r#"{"name":"a","is_admin":true}"#, "is_admin"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":7}"#, "name"),
            ("{}", "name"),
            (
                r#"{"name":"a","grants":[{"role":"r","tenant":"x"}]}"#,
                "grants[0].tenant",
            ),
            (
                r#"{"name":"a","grants":[{"role":"No Role"}]}"#,
                "grants[0].role",
            ),
            (
                r#"{"name":"a","grants":[{"role":"r","within":{"tenant":["a"],"tenant":["b"]}}]}"#,
                "grants[0].within",
            ),
        ] {
            let said = refused(body.as_bytes());
            assert!(
                said.contains(&format!("field: Some(\"{field}")),
                "{body}: {said}"
            );
        }
        for junk in ["", "null", "[]", "{", "\u{feff}{}", r#"{"name":"a"} x"#] {
            refused(junk.as_bytes());
        }
        refused(&[0xff, 0xfe]);
        refused("[".repeat(100_000).as_bytes());
        let deep = format!(r#"{{"name":"a","grants":{}"#, "[".repeat(100_000));
        refused(deep.as_bytes());
    }

    #[test]
    fn a_query_is_read_once_and_in_full() {
        let known = |name: &str| matches!(name, "limit" | "account");
        let asked = |query| Asked::new(BTreeMap::new(), Some(query), known, Bytes::new());
        assert_eq!(
            asked("limit=1000000000").unwrap().limit().unwrap(),
            PAGE_MAX
        );
        assert_eq!(
            asked("limit=99999999999999999999999999")
                .unwrap()
                .limit()
                .unwrap(),
            PAGE_MAX
        );
        assert_eq!(asked("").unwrap().limit().unwrap(), PAGE_DEFAULT);
        for bad in ["limit=0", "limit=-1", "limit=x", "limit="] {
            assert!(asked(bad).unwrap().limit().is_err(), "{bad}");
        }
        for bad in ["limit=1&limit=2", "order=name", "a%00=1"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
        assert!(asked(&format!("account={}", "a".repeat(2000))).is_err());
    }
}
