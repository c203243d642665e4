//! How many connections each source has, and whether it may have another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of one listener, on all cores, by source. Asked once a connection.
#[derive(Debug)]
pub(super) struct Sources {
    most: usize,
    /// Entries are there while there are connections, so there are never more than those.
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl Sources {
    /// None so far; each source may have `most`.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// Counts a connection of `address` until the place is dropped; nothing if there are enough.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Place {
            sources: Arc::clone(self),
            source,
        })
    }
}

/// Who counts as one: an IPv4 address, or the network of an IPv6 address, because whoever has one
/// has all the others of its /64.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(super) struct Place {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self
            .sources
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_and_gets_it_back() {
        let sources = Sources::new(2);
        let admit = |address: &str| sources.admit(address.parse().unwrap());
        let first = admit("192.0.2.1");
        let _second = admit("::ffff:192.0.2.1");
        assert!(first.is_some() && admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        drop(first);
        assert!(admit("192.0.2.1").is_some());
        let _six = [admit("2001:db8::1"), admit("2001:db8::2:0:0:1")];
        assert!(admit("2001:db8::ffff").is_none(), "one network");
        assert!(admit("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let sources = Sources::new(1);
        for byte in 0..=255 {
            assert!(sources.admit([192, 0, 2, byte].into()).is_some());
        }
        assert!(sources.held.lock().unwrap().is_empty());
    }
}
