//! The routes that a path leads to for a reader who decodes it before he looks for a route.
//!
//! `/docs/7%3Apublish` is one path for most frameworks and `/docs/7:publish` is another only for
//! some: RFC 3986 lets `:` stand raw and escaped, and does not say that both are the same. The
//! canonical form keeps them apart, since an upstream may too. So a request that shows such an
//! escape has to satisfy the routes of both spellings, and whichever of them the upstream takes, the
//! permission it needs was asked for.

use super::matcher::Lookup;

/// `path`, in canonical form, with every escape decoded whose character may stand raw in a path;
/// nothing if there is none. Slashes, semicolons and the like are not among them: what those may
/// mean is for [`crate::words::PathClass`] to say.
pub(super) fn decoded(path: &str) -> Option<String> {
    // The common path shows no escape, and costs no allocation.
    if !path.contains('%') {
        return None;
    }
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let character = part.get(..2).and_then(spelt);
        match character.zip(part.get(2..)) {
            Some((character, rest)) => {
                decoded.push(character);
                decoded.push_str(rest);
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    (decoded.len() < path.len()).then_some(decoded)
}

/// The reserved character that an escape with these digits spells, if it may stand raw.
fn spelt(digits: &str) -> Option<char> {
    Some(match digits {
        "21" => '!',
        "24" => '$',
        "26" => '&',
        "27" => '\'',
        "28" => '(',
        "29" => ')',
        "2A" => '*',
        "2B" => '+',
        "2C" => ',',
        "3A" => ':',
        "3D" => '=',
        "40" => '@',
        _ => return None,
    })
}

/// The routes of `lookup` and those that `other`, the same request in its other spelling, has
/// besides. What the path itself does not lead to stays closed.
pub(super) fn both(lookup: Lookup, other: Lookup) -> Lookup {
    match lookup {
        Lookup::Found(_) => lookup.with(other),
        Lookup::OtherMethods(_) | Lookup::Nothing => lookup,
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::matcher::{Entry, Table};
    use crate::policy::template::Template;
    use crate::words::{Method, MethodSet, RouteId};

    use super::*;

    #[test]
    fn only_what_may_stand_raw_is_decoded() {
        let rows = [
            ("/a:b", None),
            ("/caf%C3%A9/%20%7B", None),
            ("/a%2Fb%3Bc%25d%3Fe%23f%5Cg", None),
            ("/a%253Ab", None),
            ("/7%3Apublish", Some("/7:publish")),
            ("/%40%21%24%26%27%28%29%2A%2B%2C%3D", Some("/@!$&'()*+,=")),
            ("/%C3%A9%3A%20%3A", Some("/%C3%A9:%20:")),
        ];
        for (path, expected) in rows {
            assert_eq!(decoded(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a40_an_escape_does_not_lead_around_the_stricter_route() {
        let templates = ["/docs/{doc}", "/docs/{doc}:publish", "/docs/@all", "/{x}=1"];
        let entry = |(route, text)| Entry {
            route: RouteId(route),
            methods: MethodSet::of(Method::Post),
            template: Template::parse(text).unwrap(),
        };
        let table = Table::build((0..).zip(templates).map(entry).collect());
        let find = |path: &str| {
            let lookup = table.find(Method::Post, path);
            let Some(other) = decoded(path) else {
                return lookup;
            };
            both(lookup, table.find(Method::Post, &other))
        };
        let routes = |path| match find(path) {
            Lookup::Found(found) => std::iter::once(found.primary)
                .chain(found.also)
                .map(|route| templates[route.0 as usize])
                .collect(),
            Lookup::OtherMethods(_) | Lookup::Nothing => Vec::new(),
        };
        assert_eq!(routes("/docs/7:publish"), ["/docs/{doc}:publish"]);
        assert_eq!(
            routes("/docs/7%3Apublish"),
            ["/docs/{doc}", "/docs/{doc}:publish"]
        );
        assert_eq!(routes("/docs/%40all"), ["/docs/{doc}", "/docs/@all"]);
        assert_eq!(routes("/docs/7%2Bx"), ["/docs/{doc}"]);
        assert!(routes("/a%3D1").is_empty());
    }
}
