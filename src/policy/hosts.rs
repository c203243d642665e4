//! Which table answers on which host.
//!
//! Every named host has a table of its own, which the routes of files without `hosts` join; one
//! more table holds those alone, for other hosts. Where every file names its hosts there is no such
//! table, and another host is unknown.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::loose::LooseTable;
use super::matcher::Table;

/// The route tables of a policy.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// By host, in the form of [`normal`].
    named: HashMap<Box<str>, HostTable, foldhash::fast::RandomState>,
    rest: Option<HostTable>,
}

/// What answers on one host.
#[derive(Debug)]
pub(crate) struct HostTable {
    /// Every route.
    pub(super) table: Table,
    /// Once more those of each upstream that ignores case or slashes.
    pub(super) loose: Vec<LooseTable>,
}

impl Tables {
    /// The tables of `named` hosts, in the form of [`normal`], and the one for all others.
    pub(super) fn new(named: Vec<(Box<str>, HostTable)>, rest: Option<HostTable>) -> Self {
        Self {
            named: named.into_iter().collect(),
            rest,
        }
    }

    /// A host for every table there is, none for the one that answers on all others.
    pub(super) fn hosts(&self) -> impl Iterator<Item = Option<&str>> {
        let named = self.named.keys().map(|host| Some(&**host));
        named.chain(self.rest.iter().map(|_| None))
    }

    /// The table that answers on `host`.
    pub(super) fn of(&self, host: Option<&str>) -> Option<&HostTable> {
        if self.named.is_empty() {
            return self.rest.as_ref();
        }
        let host = host.and_then(|host| with_normal(host, |host| self.named.get(host)));
        host.or(self.rest.as_ref())
    }
}

/// Most bytes of a host name: DNS has no longer ones, so nothing that is longer is known.
const HOST_BYTES_MAX: usize = 255;

/// The host as tables know it: lower case, without a port and without a dot at the end.
pub(crate) fn normal(host: &str) -> Option<Box<str>> {
    with_normal(host, |host| Some(Box::from(host)))
}

fn with_normal<T>(host: &str, then: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let host = without_port(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > HOST_BYTES_MAX {
        return None;
    }
    let lower: SmallVec<[u8; 64]> = host.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    std::str::from_utf8(&lower).ok().and_then(then)
}

/// `[2001:db8::1]:80` is `[2001:db8::1]`, `a:80` is `a`.
fn without_port(host: &str) -> &str {
    let after_address = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host.rfind(':') {
        Some(colon) if colon >= after_address => host.get(..colon).unwrap_or(host),
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a19_case_port_and_a_dot_at_the_end_do_not_count() {
        for (host, expected) in [
            ("secret.example", "secret.example"),
            ("SECRET.example", "secret.example"),
            ("secret.example.", "secret.example"),
            ("secret.example:443", "secret.example"),
            ("Secret.Example.:443", "secret.example"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("127.0.0.1:7080", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(normal(host).as_deref(), Some(expected), "{host}");
        }
        assert_eq!(normal(&"a".repeat(300)), None);
    }
}
