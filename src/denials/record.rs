//! What is kept of a refusal: enough to say why, and to ask again; nothing that opens anything.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decision::{Denial, Needs};
use crate::policy::Route;
use crate::reason::Reason;
use crate::words::{
    Account, AccountId, AccountName, Cause, KeyId, RequestId, UnixTime, UpstreamName, discreet,
    steers,
};

/// Longest path that is kept, in bytes. Those of real clients stay far below.
const PATH_BYTES_MAX: usize = 1024;
/// Longest host that is kept, in bytes: DNS has no longer ones.
const HOST_BYTES_MAX: usize = 255;
/// Longest user agent that is kept, in bytes: a name and a version, and some of the poetry.
const AGENT_BYTES_MAX: usize = 256;
/// Longest method that is kept, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// Most permissions, and most values of one dimension, that are kept of what was needed.
const LIST_MAX: usize = 16;
/// Longest value of a dimension that is kept, in bytes: a grant can hold no longer one.
const VALUE_BYTES_MAX: usize = 256;

/// A refusal as the request path leaves it: taken over, not worked on.
#[derive(Debug)]
pub struct Refused {
    /// The request's id.
    pub id: RequestId,
    /// When it arrived.
    pub at: UnixTime,
    /// Its method.
    pub method: http::Method,
    /// Path, host and user agent.
    pub text: Text,
    /// Where it came from.
    pub source: IpAddr,
    /// Its primary route.
    pub route: Option<Arc<Route>>,
    /// Who asked, if that is proven.
    pub account: Option<Arc<Account>>,
    /// The key that was used.
    pub key: Option<KeyId>,
    /// Why it was refused, or would have been.
    pub denial: Box<Denial>,
    /// Whether it was forwarded all the same.
    pub shadow: bool,
    /// Where it came to nothing, if it was let through.
    pub failed: Option<Failed>,
}

/// A request that was let through and came to nothing.
#[derive(Debug)]
pub struct Failed {
    /// The upstream it was for.
    pub upstream: UpstreamName,
    /// Why that one has not answered, if that is to blame and known.
    pub cause: Option<Arc<Cause>>,
}

impl Refused {
    pub(super) fn is_known(&self) -> bool {
        self.account.is_some() && !self.is_failure()
    }

    pub(super) fn is_failure(&self) -> bool {
        self.denial.reason.is_failure()
    }
}

/// What a client sent of path, host and user agent, as far as it is kept: one piece, so that taking
/// it over is one allocation, and a copy, so that a kept refusal does not hold on to the head of its
/// request.
#[derive(Debug)]
pub struct Text {
    bytes: Box<[u8]>,
    host: usize,
    agent: usize,
}

impl Text {
    /// Takes over what is kept of these.
    pub fn new(path: &[u8], host: &[u8], agent: &[u8]) -> Self {
        let cut = |bytes, most| <[u8]>::get(bytes, ..most).unwrap_or(bytes);
        // One byte more than is kept, so that it is seen that something was cut off.
        let path = cut(path, PATH_BYTES_MAX + 1);
        let (host, agent) = (cut(host, HOST_BYTES_MAX), cut(agent, AGENT_BYTES_MAX));
        let bytes = [path, host, agent].concat().into_boxed_slice();
        Self {
            bytes,
            host: path.len(),
            agent: path.len() + host.len(),
        }
    }

    fn part(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }
}

/// A refusal that is kept. Serialized it is what commands and the store have of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The request's id, as the answer has it.
    pub request_id: RequestId,
    /// When the request arrived.
    pub at: UnixTime,
    /// `deny`; `shadow_deny` where it was forwarded all the same; `allow` where it was let through and
    /// failed.
    pub decision: Decision,
    /// The reason's code, as in the decision log.
    pub reason: String,
    /// The status it was told with; in shadow, the one it would have been.
    pub status: u16,
    /// Its method.
    pub method: String,
    /// Its path in canonical form, or as sent if it has none. Never the query.
    pub path: String,
    /// Whether the path was longer than what is kept of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub path_cut: bool,
    /// The host it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its primary route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The account that asked, if that was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The account's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// The key that was used, or that the token was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Where it came from.
    pub source: IpAddr,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What the route needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needed>,
    /// The permissions that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The place it asked for: the values of each dimension, none where it named none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boundary: BTreeMap<String, Vec<String>>,
    /// In which way the path can be read two ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What exactly was malformed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The methods the path exists under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Whether the token or key may use only some of what its account holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub narrowed: bool,
    /// The upstream that it was let through to, and that has not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// That upstream's address, as far as it came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_address: Option<String>,
    /// What went wrong there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Whether a refusal was enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It was.
    Deny,
    /// It was logged and counted, and the request forwarded.
    ShadowDeny,
    /// It was none: the request was let through, and came to nothing.
    Allow,
}

/// What a route needs, as a problem document has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Needed {
    /// One permission.
    One(String),
    /// All of these.
    All {
        /// The permissions.
        all: Vec<String>,
    },
    /// One of these.
    Any {
        /// The permissions.
        any: Vec<String>,
    },
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Record {
    pub(super) fn of(refused: &Refused) -> Self {
        let (denial, text) = (&*refused.denial, &refused.text);
        let path = text.part(0, text.host);
        let said = |bytes: &[u8]| Some(clean(bytes)).filter(|text| !text.is_empty());
        let cut = path.len() > PATH_BYTES_MAX;
        let failed = refused.failed.as_ref();
        let cause = failed.and_then(|failed| failed.cause.as_deref());
        Self {
            request_id: refused.id,
            at: refused.at,
            decision: match (failed, refused.shadow) {
                (Some(_), _) => Decision::Allow,
                (None, true) => Decision::ShadowDeny,
                (None, false) => Decision::Deny,
            },
            reason: denial.reason.code().to_owned(),
            status: denial.status().as_u16(),
            method: refused
                .method
                .as_str()
                .chars()
                .take(METHOD_BYTES_MAX)
                .collect(),
            path: clean(path.get(..PATH_BYTES_MAX).unwrap_or(path)),
            path_cut: cut,
            host: said(text.part(text.host, text.agent)),
            route: refused.route.as_ref().map(|route| route.name.clone()),
            account: refused.account.as_ref().map(|account| account.name.clone()),
            account_id: refused.account.as_ref().map(|account| account.id.clone()),
            key: refused.key,
            source: refused.source,
            user_agent: said(text.part(text.agent, text.bytes.len())),
            needs: denial.needs.as_ref().map(needed),
            missing: names(&denial.missing),
            boundary: place(denial),
            class: denial.class.map(|class| class.code().to_owned()),
            hint: denial.hint.map(str::to_owned),
            allow: (!denial.allow.is_empty()).then(|| denial.allow.to_string()),
            narrowed: denial
                .caller
                .as_ref()
                .is_some_and(|caller| caller.subset.is_some() || caller.addresses.is_some()),
            upstream: failed.map(|failed| failed.upstream.to_string()),
            upstream_address: cause.and_then(|cause| cause.address.clone()),
            cause: cause.map(|cause| clean(cause.what.as_bytes())),
        }
    }

    /// Whether its caller was known.
    pub fn is_known(&self) -> bool {
        self.account_id.is_some()
    }

    /// Whether the request was let through and failed, or was none.
    pub fn is_failure(&self) -> bool {
        Reason::from_code(&self.reason).is_some_and(Reason::is_failure)
    }

    /// Whose it is: an account, or the source of a stranger.
    pub fn whose(&self) -> String {
        match &self.account_id {
            Some(id) => id.to_string(),
            None => self.source.to_string(),
        }
    }

    /// The permission it is filed under: the first that was missing, or the first that was needed.
    pub fn permission(&self) -> Option<&str> {
        let needed = match &self.needs {
            Some(Needed::One(one)) => Some(one),
            Some(Needed::All { all: some } | Needed::Any { any: some }) => some.first(),
            None => None,
        };
        self.missing.first().or(needed).map(String::as_str)
    }

    /// What it takes in memory, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.path, &self.method, &self.reason];
        let maybe = [
            &self.host,
            &self.route,
            &self.user_agent,
            &self.hint,
            &self.cause,
        ];
        let texts = texts.into_iter().chain(maybe.into_iter().flatten());
        let values = self.boundary.values().flatten();
        let lists: usize = values
            .chain(&self.missing)
            .map(|text| text.len() + 32)
            .sum();
        size_of::<Self>() + texts.map(String::len).sum::<usize>() + 2 * lists
    }
}

fn needed(needs: &Needs) -> Needed {
    match needs {
        Needs::All(all) => match all.as_slice() {
            [one] => Needed::One(one.to_string()),
            all => Needed::All { all: names(all) },
        },
        Needs::Any(any) => Needed::Any { any: names(any) },
    }
}

fn names(permissions: &[crate::words::Permission]) -> Vec<String> {
    let some = permissions.iter().take(LIST_MAX);
    some.map(ToString::to_string).collect()
}

fn place(denial: &Denial) -> BTreeMap<String, Vec<String>> {
    let mut place = BTreeMap::<String, Vec<String>>::new();
    for (dimension, value) in &denial.boundary {
        let values = place.entry(dimension.to_string()).or_default();
        let short = value
            .as_ref()
            .filter(|value| value.len() <= VALUE_BYTES_MAX);
        let short = short.filter(|_| values.len() < LIST_MAX);
        values.extend(short.map(|value| clean(value.as_bytes())));
    }
    place
}

/// Text that neither moves a cursor nor opens a door: controls and marks that turn the direction of
/// text are `?`, and what has the form of a secret of ours is cut.
fn clean(bytes: &[u8]) -> String {
    let discreet = discreet(bytes);
    let text = String::from_utf8_lossy(&discreet);
    let plain = |c: char| if steers(c) { '?' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_place_is_plain_too() {
        let value = "a\u{9b}2J\u{202e}pcs_0123".to_owned();
        let denial = Denial {
            boundary: vec![("tenant".parse().unwrap(), Some(value))],
            ..Denial::new(Reason::OutsideBoundary)
        };
        let kept = place(&denial);
        assert_eq!(kept["tenant"], ["a?2J?pcs_\u{2026}"]);
    }

    #[test]
    fn what_is_kept_of_a_text_is_short_plain_and_no_secret() {
        for (sent, kept) in [
            (&b"/v1/items/7"[..], "/v1/items/7"),
            (b"/a/p%63s_0123abcDEF/b", "/a/p%63s_\u{2026}/b"),
            (b"curl/8\x1b[2J\xe2\x80\xae", "curl/8?[2J?"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(clean(sent), kept);
        }
    }

    #[test]
    fn a_long_path_is_cut_and_said_to_be() {
        let long = vec![b'a'; 5000];
        let text = Text::new(&long, &long, &long);
        assert_eq!(text.host, PATH_BYTES_MAX + 1);
        assert_eq!(
            text.bytes.len(),
            PATH_BYTES_MAX + 1 + HOST_BYTES_MAX + AGENT_BYTES_MAX
        );
        let short = Text::new(b"/a", b"h", b"");
        assert_eq!(
            (
                short.part(0, short.host),
                short.part(short.host, short.agent)
            ),
            (&b"/a"[..], &b"h"[..])
        );
    }
}
