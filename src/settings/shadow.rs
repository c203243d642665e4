//! The whole gateway in shadow, and where requests go then that no route names.
//!
//! `shadow: true` at the top is what every upstream says that does not say otherwise. It comes with
//! `default_upstream`: without one, what no route names would be refused, and that is most of what
//! breaks when a route table is new.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Upstream, UpstreamAddress};
use crate::words::{Fault, Faults, UpstreamName, nearest};
use crate::yaml::Fields;

/// Notes the default upstream in its rules. Returns every setting of these two that weakens a promise.
pub(super) fn whole_gateway(
    fields: &Fields<'_>,
    upstreams: &mut BTreeMap<UpstreamName, Upstream>,
    faults: &mut Faults,
) -> Vec<String> {
    let shadow = fields.get("shadow");
    // A value that is none was reported when it was read.
    let is_on = shadow.and_then(|node| node.boolean(&mut Faults::default()));
    let mut weakened = Vec::new();
    if is_on == Some(true) {
        weakened.push("shadow".to_owned());
    }
    let Some(node) = fields.get("default_upstream") else {
        if let Some(node) = shadow.filter(|_| is_on == Some(true)) {
            let message = "the whole gateway is in shadow only with `default_upstream: NAME`, where requests go that no route names; `shadow: true` on an upstream does without";
            faults.push(Fault::new(node.place.clone(), message));
        }
        return weakened;
    };
    let Some(name) = node.word::<UpstreamName>("the name of an upstream", faults) else {
        return weakened;
    };
    let known = upstreams.keys().map(UpstreamName::as_str);
    let near = nearest(name.as_str(), known);
    let message = match upstreams.get_mut(&name) {
        None => format!("upstream `{name}` is not in the settings{near}"),
        Some(upstream) if upstream.rules.shadow => {
            upstream.rules.is_default = true;
            weakened.push(format!("default_upstream: {name}"));
            return weakened;
        }
        // Said to be enforced: the way out of shadow is one word, and nothing goes there any more.
        Some(_) if is_on == Some(false) => return weakened,
        Some(_) => format!(
            "requests that no route names go on in shadow only, and `{name}` is enforced: say `shadow: true`, of it or of the whole gateway, or remove `default_upstream`"
        ),
    };
    faults.push(Fault::new(node.place.clone(), message));
    weakened
}

impl UpstreamAddress {
    /// Says whether what listens here may be what listens at `other`. Names are not looked up: what
    /// they stand for changes, and this is asked where a wrong "no" would open a way around.
    pub fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            // `/var/run` is `/run` on most machines: only another name is another socket.
            (Self::Unix(here), Self::Unix(there)) => here.file_name() == there.file_name(),
            (Self::Unix(_), Self::Tcp { .. }) | (Self::Tcp { .. }, Self::Unix(_)) => false,
            (
                Self::Tcp { host, port },
                Self::Tcp {
                    host: other,
                    port: other_port,
                },
            ) => port == other_port && !are_apart(host, other),
        }
    }
}

/// Says whether two hosts are certainly two. A server that listens everywhere answers on the loopback
/// and on every address of its machine.
fn are_apart(one: &str, other: &str) -> bool {
    let literal = |host: &str| host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match (literal(one), literal(other)) {
        (Some(one), Some(other)) => one != other && !is_local(one) && !is_local(other),
        (Some(_), None) | (None, Some(_)) | (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_two_only_where_that_is_certain() {
        let tcp = |text: &str| {
            let (host, port) = text.rsplit_once(':').unwrap();
            UpstreamAddress::Tcp {
                host: host.to_owned(),
                port: port.parse().unwrap(),
            }
        };
        for (one, other, expected) in [
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "10.0.0.1:81", false),
            ("10.0.0.1:80", "10.0.0.2:80", false),
            ("::ffff:10.0.0.1:80", "10.0.0.1:80", true),
            ("127.0.0.1:80", "localhost:80", true),
            ("127.0.0.1:80", "10.0.0.1:80", true), // it may listen on every address
            ("0.0.0.0:80", "10.0.0.1:80", true),
            ("api.internal:80", "10.0.0.1:80", true),
            ("api.internal:80", "API.internal.:80", true),
            ("a.internal:80", "b.internal:80", true), // two names of one server, perhaps
            ("a.internal:80", "b.internal:8080", false),
        ] {
            assert_eq!(tcp(one).may_be(&tcp(other)), expected, "{one} {other}");
            assert_eq!(tcp(other).may_be(&tcp(one)), expected, "{other} {one}");
        }
        let unix = |path: &str| UpstreamAddress::Unix(path.into());
        assert!(unix("/run/a").may_be(&unix("/run/a")));
        assert!(unix("/run/a").may_be(&unix("/var/run/a")));
        assert!(!unix("/run/a").may_be(&unix("/run/b")));
        assert!(!unix("/run/a").may_be(&tcp("127.0.0.1:80")));
    }
}
