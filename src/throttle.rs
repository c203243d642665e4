//! What one source may cost us, and how often one account may ask.
//!
//! Two things stand here because they are the same arithmetic ([`buckets`]) over different keys:
//!
//! * [`Throttle`] counts credentials that turned out wrong, by the address they came from. Whoever shows
//!   too many is told so (429) before anything is verified, and its sign of life is one look at a flag
//!   for everybody else. The *account* is never throttled by what strangers do: the count is by
//!   source, and a credential that has been verified before passes from a throttled source too.
//! * [`Rates`] counts requests that were let through, by route and by account.
//!
//! Not here: what a refusal says; and whose requests count, which the judge and the gateway know.

mod buckets;
mod rates;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use rates::{Over, Rates};

use crate::words::{Rate, UnixTime};
use buckets::{Buckets, Depth};

/// Bits of an IPv6 address that one subscriber has for himself at least: who has one address of such a
/// network has all.
const IPV6_PREFIX: u32 = 64;

/// Least time between two lines on the diagnostics that say somebody is throttled. Each request that is
/// refused for it has a line of its own in the log; this is for whoever reads no more than warnings.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Failed credentials, by source. One for the process, shared by all cores.
pub struct Throttle {
    buckets: Buckets,
    /// Until when anybody is throttled, in milliseconds since the epoch: what the common request looks
    /// at and nothing else.
    until: AtomicU64,
    failures: AtomicU64,
    throttlings: AtomicU64,
    said_at: AtomicU64,
}

impl Throttle {
    /// A throttle that has seen nobody.
    pub fn new() -> Self {
        Self {
            buckets: Buckets::new(),
            until: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            throttlings: AtomicU64::new(0),
            said_at: AtomicU64::new(0),
        }
    }

    /// How long nothing new is verified for `source`, of which `limit` failures are put up with;
    /// nothing if it is not throttled.
    #[inline]
    pub fn holds(&self, source: IpAddr, limit: Rate, now: UnixTime) -> Option<Duration> {
        if now.as_millis() >= self.until.load(Ordering::Relaxed) {
            return None;
        }
        self.look(source, limit, now)
    }

    #[cold]
    fn look(&self, source: IpAddr, limit: Rate, now: UnixTime) -> Option<Duration> {
        let key = self.buckets.key((network(source), limit));
        self.buckets.wait(key, Depth::of(limit), now)
    }

    /// Notes that `source` showed a credential that is none.
    pub fn failed(&self, source: IpAddr, limit: Rate, now: UnixTime) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let (key, depth) = (self.buckets.key((network(source), limit)), Depth::of(limit));
        match self.buckets.take(key, depth, now) {
            Ok(1..) => {}
            Ok(0) => {
                let wait = self.buckets.wait(key, depth, now);
                self.hold(source, wait.unwrap_or_default(), now);
            }
            // Several were on their way when the first of them filled the bucket.
            Err(wait) => self.hold_until(now.plus(wait)),
        }
    }

    fn hold(&self, source: IpAddr, wait: Duration, now: UnixTime) {
        self.hold_until(now.plus(wait));
        self.throttlings.fetch_add(1, Ordering::Relaxed);
        let (said, ms) = (self.said_at.load(Ordering::Relaxed), now.as_millis());
        let is_due = now.since(UnixTime::from_millis(said)) >= SAID_EVERY;
        let order = Ordering::Relaxed;
        if is_due
            && self
                .said_at
                .compare_exchange(said, ms, order, order)
                .is_ok()
        {
            tracing::warn!(
                %source,
                "too many failed credentials from this source: nothing new of it is verified for now"
            );
        }
    }

    fn hold_until(&self, end: UnixTime) {
        // The millisecond it ends in counts, too.
        self.until.fetch_max(end.as_millis() + 1, Ordering::Relaxed);
    }

    /// Credentials that were none, since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many times a source was throttled, since the start.
    pub fn throttlings(&self) -> u64 {
        self.throttlings.load(Ordering::Relaxed)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

/// What counts as one source: an IPv4 address, or a /64 of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let kept = u128::MAX << (Ipv6Addr::BITS - IPV6_PREFIX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & kept))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_795_302_000);
    const LIMIT: Rate = Rate::new(3, Duration::from_secs(60));

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// E15.
    #[test]
    fn a_source_with_too_many_failures_waits_and_nobody_else_does() {
        let throttle = Throttle::new();
        let (guilty, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let holds = |source, now| throttle.holds(source, LIMIT, now);
        for _ in 0..3 {
            assert_eq!(holds(guilty, START), None);
            throttle.failed(guilty, LIMIT, START);
        }
        assert_eq!(holds(guilty, START), Some(Duration::from_secs(20)));
        assert_eq!(
            holds(ip("::ffff:192.0.2.1"), START),
            Some(Duration::from_secs(20))
        );
        assert_eq!(holds(other, START), None);
        assert_eq!(holds(guilty, START.plus(Duration::from_secs(20))), None);
        assert_eq!((throttle.failures(), throttle.throttlings()), (3, 1));
    }

    #[test]
    fn a_source_that_goes_on_failing_gets_through_as_often_as_the_limit_says() {
        let throttle = Throttle::new();
        let source = ip("192.0.2.1");
        let mut verified = 0;
        for second in 0..600 {
            let now = START.plus(Duration::from_secs(second));
            if throttle.holds(source, LIMIT, now).is_none() {
                throttle.failed(source, LIMIT, now);
                verified += 1;
            }
        }
        assert_eq!(
            verified,
            3 + 29,
            "three at once, and then one in twenty seconds"
        );
    }

    /// E16.
    #[test]
    fn a_64_of_ipv6_is_one_source() {
        let throttle = Throttle::new();
        for host in 0..3_u128 {
            let source = IpAddr::V6(Ipv6Addr::from_bits(
                (0x2001_0db8 << 96) + (host << 60) + host,
            ));
            throttle.failed(source, LIMIT, START);
        }
        assert!(throttle.holds(ip("2001:db8::7:1"), LIMIT, START).is_some());
        assert_eq!(throttle.holds(ip("2001:db8:0:1::7"), LIMIT, START), None);
    }

    #[test]
    fn listeners_with_limits_of_their_own_count_apart() {
        let throttle = Throttle::new();
        let (source, wider) = (ip("192.0.2.1"), Rate::new(100, Duration::from_secs(60)));
        for _ in 0..3 {
            throttle.failed(source, LIMIT, START);
        }
        assert!(throttle.holds(source, LIMIT, START).is_some());
        assert_eq!(throttle.holds(source, wider, START), None);
    }
}
