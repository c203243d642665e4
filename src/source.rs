//! Where a call comes from: the socket's peer, or what a trusted peer says.
//!
//! `X-Forwarded-For` is believed from peers the listener names and from nobody else. From those it
//! is read from the right: each trusted hop vouches for the one before it, and the first address
//! nobody vouches for is the source. What cannot be read ends the chain at the hop that sent it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::head::tokens;

/// Longest chain read, in hops. Real ones have three or four.
const HOPS_MAX: usize = 32;

/// Where a call comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The source: what `allow_from` and the log mean by the client's address.
    pub address: IpAddr,
    /// The chain a trusted peer sent, as it stands, to be continued towards the upstream.
    pub trusted_chain: Option<String>,
}

/// Whether an address is one of those trusted.
pub fn trusts(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The source of a request that came in from `peer`.
pub fn of(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> Source {
    let peer = peer.to_canonical();
    if !trusts(trusted, peer) {
        return Source {
            address: peer,
            trusted_chain: None,
        };
    }
    let lines = headers.get_all("x-forwarded-for").iter();
    let hops: Vec<&[u8]> = lines
        .flat_map(tokens)
        .filter(|hop| !hop.is_empty())
        .collect();
    let mut address = peer;
    let mut read = 0;
    for hop in hops.iter().rev().take(HOPS_MAX) {
        let Some(before) = parse(hop) else {
            break;
        };
        address = before;
        read += 1;
        if !trusts(trusted, before) {
            break;
        }
    }
    // Only the part somebody vouches for goes on: what stands left of it is the client's word.
    let kept = hops.get(hops.len() - read..).unwrap_or_default();
    let kept: Vec<_> = kept
        .iter()
        .filter_map(|hop| std::str::from_utf8(hop).ok())
        .collect();
    let chain = kept.join(", ");
    Source {
        address,
        trusted_chain: (!chain.is_empty()).then_some(chain),
    }
}

/// An address, with or without a port, brackets or not.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: &str, chain: &[&str]) -> (String, Option<String>) {
        let mut headers = HeaderMap::new();
        for line in chain {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let source = of(peer.parse().unwrap(), &trusted, &headers);
        (source.address.to_string(), source.trusted_chain)
    }

    #[test]
    fn a_stranger_states_nothing() {
        assert_eq!(
            source("192.0.2.1", &["198.51.100.7"]),
            ("192.0.2.1".into(), None)
        );
    }

    /// C07.
    #[test]
    fn the_first_hop_nobody_vouches_for_is_the_source() {
        let of = |chain: &[&str]| source("10.0.0.1", chain).0;
        assert_eq!(of(&[]), "10.0.0.1");
        assert_eq!(of(&["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(
            of(&["203.0.113.9", "198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(of(&["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(of(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(of(&["203.0.113.9, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(of(&["garbage"]), "10.0.0.1");
        assert_eq!(of(&["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn only_what_is_vouched_for_goes_on() {
        let chain = source("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]).1;
        assert_eq!(chain.as_deref(), Some("198.51.100.7, 10.0.0.2"));
    }
}
