//! Where a call comes from is what trusted hops vouch for, and nothing left of that (C07). The first
//! line of the input is the peer, the others are header lines or bare values of `X-Forwarded-For`.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use portcullis::source::of;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let peer = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let peer = peer.and_then(|peer| peer.parse().ok());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8", "::1/128"]
        .iter()
        .filter_map(|network| network.parse().ok())
        .collect();
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut headers = HeaderMap::new();
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(X_FORWARDED_FOR, value);
    }

    let nobody = of(peer, &[], &headers);
    assert_eq!(
        (nobody.address, nobody.trusted_chain),
        (peer.to_canonical(), None)
    );
    let said = of(peer, &trusted, &headers);
    if !trusts(peer.to_canonical()) {
        assert_eq!(said.address, peer.to_canonical());
        assert_eq!(said.trusted_chain, None, "a stranger is believed");
        return;
    }
    let hops = readable_hops(&headers);
    assert_eq!(said.address.to_canonical(), said.address);
    match &said.trusted_chain {
        None => assert_eq!(said.address, peer.to_canonical()),
        Some(chain) => {
            HeaderValue::from_str(chain).expect("a chain can be sent on");
            let kept: Vec<_> = chain.split(", ").collect();
            assert!(hops.ends_with(&kept), "`{chain}` does not end {hops:?}");
            assert!(kept.len() <= 32);
            assert!(kept[0].contains([':', '.']), "`{chain}`");
        }
    }
    what_stands_left_of_the_source_is_not_read(peer, &trusted, &headers);
}

/// The hops as a person reads them.
fn readable_hops(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let hops = hops.map(|hop| std::str::from_utf8(hop.trim_ascii()).unwrap_or("?"));
    hops.filter(|hop| !hop.is_empty()).collect()
}

fn what_stands_left_of_the_source_is_not_read(
    peer: IpAddr,
    trusted: &[IpNet],
    headers: &HeaderMap,
) {
    let said = of(peer, trusted, headers);
    if trusted
        .iter()
        .any(|network| network.contains(&said.address))
    {
        return;
    }
    let mut longer = HeaderMap::new();
    longer.append(
        X_FORWARDED_FOR,
        HeaderValue::from_static("10.0.0.7, 6.6.6.6,, x, 10.0.0.8"),
    );
    for value in headers.get_all(X_FORWARDED_FOR) {
        longer.append(X_FORWARDED_FOR, value.clone());
    }
    assert_eq!(
        of(peer, trusted, &longer),
        said,
        "a client names its source"
    );
}
