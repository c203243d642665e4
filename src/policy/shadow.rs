//! Which upstreams are in shadow as a whole, and how far that goes.
//!
//! A route in shadow says all there is to say of the requests it names. Two kinds of request have no
//! route to speak for them: those that no route names at all, and those whose path can be read two
//! ways, which the upstream may take for any route. They go on only to an upstream that is in shadow
//! as a whole, and never where they could be taken for what is enforced:
//!
//! * A request without a route goes on unless its path, in whatever spelling, is one of an enforced
//!   route at the same address, on any host and by any method.
//! * A path that can be read two ways goes on as it was sent, and only where no enforced route leads
//!   to the same address at all.
//!
//! The same address, not the same name: two upstreams of the settings may be one server. Public routes
//! are not enforced in any sense and guard nothing.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::matcher::{Entry, Lookup, Table};
use super::template::Template;
use super::{Policy, Route, reading};
use crate::words::{
    ClassSet, Folding, Method, MethodSet, PathClass, RouteId, Spelling, UpstreamId, UpstreamName,
};

/// The number of a route that stands in no table.
pub(crate) const NOWHERE: RouteId = RouteId(u32::MAX);

/// What is in shadow as a whole.
#[derive(Debug, Default)]
pub struct Shadow {
    upstreams: Vec<Whole>,
    default: Option<UpstreamId>,
    /// The gateway's own endpoints.
    own: Vec<String>,
}

/// An upstream that is in shadow as a whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) upstream: UpstreamId,
    /// Speaks for requests without a route: its rules are the upstream's.
    pub(crate) stand_in: Arc<Route>,
    /// What is enforced at its address.
    pub(crate) enforced: Enforced,
}

/// The paths of enforced routes, by their loosest reading: who is not told whether an upstream ignores
/// case must not find out by being let through.
#[derive(Debug)]
pub(crate) struct Enforced {
    table: Table,
    routes: Vec<RouteId>,
}

impl Shadow {
    /// With these upstreams as a whole; requests without a route go to `default`, which is one of them,
    /// unless they were meant for `own` endpoints.
    pub(crate) fn new(
        upstreams: Vec<Whole>,
        default: Option<UpstreamId>,
        own: Vec<String>,
    ) -> Self {
        Self {
            upstreams,
            default,
            own,
        }
    }

    /// Says whether a path, in canonical form, is one of our own endpoints to anybody but us:
    /// `//oauth/token` is what a slash too many makes of it, and a secret stands in its body.
    pub(crate) fn is_nearly_own(&self, path: &str) -> bool {
        let path = carelessly(path);
        self.own.iter().any(|own| carelessly(own) == path)
    }

    /// Where requests go that no route names.
    pub fn default_upstream(&self) -> Option<UpstreamId> {
        self.default
    }

    /// The upstreams that are in shadow as a whole.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamId> {
        self.upstreams.iter().map(|whole| whole.upstream)
    }

    /// The enforced routes that may lead to where `upstream` is, which is in shadow as a whole.
    pub(crate) fn enforced_beside(&self, upstream: UpstreamId) -> &[RouteId] {
        self.whole(upstream)
            .map_or(&[], |whole| whole.enforced.routes.as_slice())
    }

    /// Says whether paths that can be read two ways go on to `upstream`, as they were sent.
    pub fn takes_raw(&self, upstream: UpstreamId) -> bool {
        self.whole(upstream)
            .is_some_and(|whole| whole.enforced.routes.is_empty())
    }

    /// The route that speaks for a request for `path`, in canonical form, that has none and would go to
    /// `upstream`; nothing where that is not in shadow as a whole, or something enforced might answer.
    pub(crate) fn stand_in(&self, upstream: UpstreamId, path: &str) -> Option<&Arc<Route>> {
        let whole = self.whole(upstream)?;
        (!whole.enforced.may_answer(path)).then_some(&whole.stand_in)
    }

    /// The classes that go on somewhere though nothing allows them.
    pub(crate) fn classes(&self) -> ClassSet {
        if self.upstreams().any(|upstream| self.takes_raw(upstream)) {
            let all = PathClass::ALL.iter().copied();
            all.filter(|class| class.is_shadowable()).collect()
        } else {
            ClassSet::EMPTY
        }
    }

    fn whole(&self, upstream: UpstreamId) -> Option<&Whole> {
        self.upstreams
            .iter()
            .find(|whole| whole.upstream == upstream)
    }
}

/// What an upstream could ignore at most.
const LOOSEST: Spelling = Spelling {
    any_case: true,
    any_slash: true,
};

impl Enforced {
    /// These routes, whatever their hosts and methods.
    pub(crate) fn new<'r>(routes: impl Iterator<Item = &'r Route>) -> Self {
        let entry = |route: &Route| {
            let text = LOOSEST.of(route.template.as_str(), Folding::Unicode);
            Entry {
                route: route.id,
                // One that stands for all: which one is asked is not looked at.
                methods: MethodSet::of(Method::Get),
                template: Template::parse(&text).unwrap_or_else(|_| route.template.clone()),
            }
        };
        let entries: Vec<_> = routes.map(entry).collect();
        Self {
            routes: entries.iter().map(|entry| entry.route).collect(),
            table: Table::build(entries),
        }
    }

    fn may_answer(&self, path: &str) -> bool {
        if self.routes.is_empty() {
            return false;
        }
        let is_one = |path: &str| {
            [Folding::Unicode, Folding::Ascii].iter().any(|folding| {
                let path = LOOSEST.of(path, *folding);
                matches!(self.table.find(Method::Get, &path), Lookup::Found(_))
            })
        };
        is_one(path) || reading::decoded(path).is_some_and(|path| is_one(&path))
    }
}

/// What a policy does not enforce, in figures and names: for whoever runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotEnforced {
    /// Routes in shadow.
    pub routes: usize,
    /// Upstreams in shadow as a whole.
    pub upstreams: Vec<UpstreamName>,
    /// Where requests go that no route names.
    pub default_upstream: Option<UpstreamName>,
}

impl NotEnforced {
    /// What `policy` does not enforce.
    pub fn of(policy: &Policy) -> Self {
        let name = |upstream| policy.upstream(upstream).clone();
        let routes = policy.routes.iter();
        Self {
            routes: routes.filter(|route| route.shadow).count(),
            upstreams: policy.shadow.upstreams().map(name).collect(),
            default_upstream: policy.shadow.default_upstream().map(name),
        }
    }

    /// Says whether everything is enforced.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Most times a path is decoded: who decodes more often than that reads no client's path.
const DECODED_MOST: usize = 4;

/// The segments of a path to the most careless reader: decoded again and again, backslashes for
/// slashes, parameters dropped, dots followed, case ignored.
fn carelessly(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    for _ in 0..DECODED_MOST {
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    let mut segments = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment.split([';', '?', '#']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_ascii_lowercase()),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_endpoint_is_known_in_every_spelling() {
        let shadow = Shadow::new(Vec::new(), None, vec!["/oauth/token".to_owned()]);
        for path in [
            "/oauth/token",
            "//oauth/token",
            "/OAuth/Token/",
            "/oauth%2Ftoken",
            "/oauth%252Ftoken",
            "/oauth/./token",
            "/x/../oauth/token",
            "/oauth;a=b/token;c",
            "/oauth\\token",
            "/oauth%5Ctoken",
            "/x/%2E%2E/oauth/token",
            "/oauth/token%3Fa=b",
        ] {
            assert!(shadow.is_nearly_own(path), "{path}");
        }
        for path in [
            "/",
            "/oauth",
            "/oauth/tokens",
            "/oauth/token/x",
            "/../token",
        ] {
            assert!(!shadow.is_nearly_own(path), "{path}");
        }
    }
}
