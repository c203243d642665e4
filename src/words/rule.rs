//! What can be said of files beforehand: one row a rule.
//!
//! The code is the word in `check -o json`, in SARIF and in the README; it is never renamed and never
//! means anything else.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing: nothing has to be done.
    Note,
    /// It works, and hardly as it was meant.
    Warning,
    /// It does not hold: a policy with an error is not put in force.
    Error,
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal, $level:ident, $sentence:literal;)+) => {
        /// A rule that files are held against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the sentence of each row says it")]
        pub enum Rule { $($name,)+ }

        impl Rule {
            /// Every rule, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word for it in files that other programs read.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// How much it weighs; some weigh less where not everything is known.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }

            /// What it finds: one sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

rules! {
    Invalid = "invalid", Error,
        "A file cannot be read, or says something that means nothing: a key, a name or a value.";
    BoundaryParameterMissing = "boundary_parameter_missing", Error,
        "A boundary is read from a path parameter that the template does not have, or shares a segment with other text.";
    RoutesDiffer = "routes_differ", Error,
        "Two routes match exactly the same requests and ask for different things.";
    UpstreamsDiffer = "upstreams_differ", Error,
        "A request can match two routes, must satisfy both, and would have to go to two upstreams.";
    OwnEndpointTaken = "own_endpoint_taken", Error,
        "A route has the path of one of the gateway's own endpoints and could never answer.";
    OtherHostWeaker = "other_host_weaker", Error,
        "Another Host leads to the same upstream and path and asks for less.";
    OverlapsUnbounded = "overlaps_unbounded", Error,
        "So many routes match a path in common that nobody can tell what the table asks for.";
    TestFailed = "test_failed", Error,
        "One of the policy's own tests does not hold.";
    CoverageLow = "coverage_low", Error,
        "Fewer routes are exercised by tests than `--fail-under` asks for.";
    VerdictsWidened = "verdicts_widened", Error,
        "More goes through than under the policy it is compared with.";
    OverlapAsksBoth = "overlap_asks_both", Warning,
        "Two routes that ask for different things match some request in common, which must satisfy both.";
    WeakerBehind = "weaker_behind", Warning,
        "A route that asks for less stands behind more specific ones: another spelling of their paths falls to it.";
    MethodFallsThrough = "method_falls_through", Warning,
        "A path has routes of its own, and by another method it falls to a wider route that asks for less.";
    HeadWeaker = "head_weaker", Warning,
        "HEAD is asked for less than GET of the same path, and its answer tells what GET would.";
    RouteUnreachable = "route_unreachable", Warning,
        "No request can reach a route: others take all its paths, or its path is always refused.";
    RouteUncallable = "route_uncallable", Warning,
        "No account can satisfy a route (where all accounts are in the files).";
    PermissionUnheld = "permission_unheld", Warning,
        "Routes need a permission that no role gives; a note where custom roles may give it.";
    RoleUnused = "role_unused", Warning,
        "No account, group or role of the files uses a role; a note where a store may hold accounts too.";
    RouteRepeated = "route_repeated", Note,
        "A route says once more what another one says.";
    OwnEndpointWins = "own_endpoint_wins", Note,
        "One of the gateway's own endpoints wins over a route that covers its path.";
    PermissionUnneeded = "permission_unneeded", Note,
        "No route needs a permission that is declared.";
    NotEnforced = "not_enforced", Note,
        "Routes, or a whole upstream, are in shadow: what is refused there is forwarded all the same.";
    EnforcedBesideShadow = "enforced_beside_shadow", Note,
        "Something is enforced at the address of an upstream that is in shadow as a whole, so paths that can be read two ways are refused there.";
    ParameterUnbound = "parameter_unbound", Note,
        "A path parameter says a dimension on other routes, and this route does not bind it.";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_rules_share_a_code_and_the_heaviest_stand_first() {
        let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), Rule::ALL.len());
        assert!(Rule::ALL.is_sorted_by_key(|rule| std::cmp::Reverse(rule.level())));
        for rule in Rule::ALL {
            assert!(rule.sentence().ends_with('.'), "{rule:?}");
        }
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = std::fs::read_to_string("README.md").unwrap();
        for rule in Rule::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                rule.code(),
                rule.level(),
                rule.sentence()
            );
            assert!(readme.contains(&row), "README.md lacks the row\n{row}");
        }
    }
}
