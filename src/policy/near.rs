//! Routes that a path nearly matches: for whoever wrote `/Items/` and meant `/items`.
//!
//! Case and a slash at the end count, so such a path leads nowhere; what leads nowhere is worth a hint
//! to people who ask. Callers get none: it is looked for by commands alone, and not with requests.

use percent_encoding::percent_decode_str;

use super::template::Template;
use super::{Policy, Route, host_as_tables_know_it};
use crate::words::{Folding, Spelling};

/// What is ignored, the least first, and how that is called.
const DIFFERENCES: [(Spelling, &str); 4] = [
    // Escapes are read in each case: what they stand for is what was meant.
    (
        Spelling {
            any_case: false,
            any_slash: false,
        },
        "an escape",
    ),
    (
        Spelling {
            any_case: false,
            any_slash: true,
        },
        "the slash at the end",
    ),
    (
        Spelling {
            any_case: true,
            any_slash: false,
        },
        "upper and lower case",
    ),
    (
        Spelling {
            any_case: true,
            any_slash: true,
        },
        "upper and lower case and the slash at the end",
    ),
];

/// A route that a path nearly matches.
#[derive(Clone, Copy, Debug)]
pub struct Near<'p> {
    /// The route.
    pub route: &'p Route,
    /// By what the path misses it.
    pub by: &'static str,
}

impl Policy {
    /// The first route that would match `path`, in canonical form, if case, escapes or a slash at its end
    /// did not count. Only for a path that no route matches.
    pub fn near(&self, host: Option<&str>, path: &str) -> Option<Near<'_>> {
        let host = host.and_then(host_as_tables_know_it);
        let path = percent_decode_str(path).decode_utf8_lossy();
        DIFFERENCES.iter().find_map(|(spelling, by)| {
            let path = spelling.of(&path, Folding::Unicode);
            let mut routes = self.routes.iter().filter(|route| {
                // Names that no file has share one table, which holds what is on all hosts.
                route.answers_on(host.as_deref())
            });
            let route = routes.find(|route| {
                let template = spelling.of(route.template.as_str(), Folding::Unicode);
                Template::parse(&template).is_ok_and(|template| template.matches(&path))
            })?;
            Some(Near { route, by })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::compile::{Context, SourceFile, compile};
    use super::*;

    #[test]
    fn what_is_nearly_a_route_is_found_with_what_it_misses_it_by() {
        let text = "upstream: a\nroutes:\n  GET /v1/things: public\n  GET /v1/Things/{Name}: public\n  \
                    GET /dir/: public\n  GET /files/{rest...}: public\n  \
                    GET /v2/docs/{doc}:publish: public\n";
        let file = SourceFile {
            path: Path::new("p.yaml").into(),
            text: text.to_owned(),
        };
        let context = Context {
            upstreams: None,
            own_endpoints: Vec::new(),
            files_only: false,
        };
        let policy = compile(&[file], &context).unwrap();
        let near = |path: &str| {
            let near = policy.near(Some("any.example"), path)?;
            Some((near.route.name.as_str(), near.by))
        };
        let [escape, slash, case, both] = DIFFERENCES.map(|(_, by)| by);
        for (path, expected) in [
            ("/v1/things/", Some(("GET /v1/things", slash))),
            ("/dir", Some(("GET /dir/", slash))),
            ("/V1/Things", Some(("GET /v1/things", case))),
            ("/v1/things/Seven", Some(("GET /v1/Things/{Name}", case))),
            ("/V1/THINGS/", Some(("GET /v1/things", both))),
            ("/Files/a/b", Some(("GET /files/{rest...}", case))),
            ("/v1%3Athings", None),
            (
                "/v2/docs/7%3Apublish",
                Some(("GET /v2/docs/{doc}:publish", escape)),
            ),
            ("/v1/thing", None),
            ("/", None),
        ] {
            assert_eq!(near(path), expected, "{path}");
        }
    }
}
