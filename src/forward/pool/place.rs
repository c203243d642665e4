//! One address of an upstream: where it is, how busy it is, and whether it has been any good lately.
//!
//! Shared by the cores and the control plane. Nothing here waits.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::words::UpstreamName;

/// Failures in a row after which an address is put aside. One may be a restart, two a race with it.
const FAILURES_MAX: u32 = 3;
/// How long an address is put aside at first; doubled each time it fails again at once.
const ASIDE_LEAST: Duration = Duration::from_secs(1);
/// Longest time an address is put aside: about how long people wait who have just repaired it.
const ASIDE_MOST: Duration = Duration::from_secs(60);
/// At most one line about a failing address in this time; a failing upstream fails every request.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What went wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// No TLS.
    Tls,
    /// No connection in time.
    Timeout,
    /// A connection that ended before its first answer.
    Reset,
}

impl Failure {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Tls, Self::Timeout, Self::Reset];

    /// The label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
        }
    }
}

/// One address of an upstream.
#[derive(Debug)]
pub struct Place {
    upstream: UpstreamName,
    target: Target,
    /// The name its certificate has to show.
    server_name: Option<ServerName<'static>>,
    /// When it became known; times below are milliseconds since then.
    born: Instant,
    in_flight: AtomicUsize,
    /// Whether the name no longer stands for it.
    gone: AtomicBool,
    /// Whether health checks found it wanting.
    down: AtomicBool,
    /// Failures since the last success.
    failures: AtomicU32,
    /// How often it was put aside since the last success.
    asides: AtomicU32,
    /// Until when it is put aside.
    aside_until: AtomicU64,
    said: AtomicU64,
    failed: [AtomicU64; Failure::ALL.len()],
}

impl Place {
    /// A place that nothing is known of yet.
    pub fn new(
        upstream: UpstreamName,
        target: Target,
        server_name: Option<ServerName<'static>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            target,
            server_name,
            born: Instant::now(),
            in_flight: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
            down: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            asides: AtomicU32::new(0),
            aside_until: AtomicU64::new(0),
            said: AtomicU64::new(0),
            failed: Default::default(),
        })
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The name its certificate has to show, if it shows one.
    pub fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// Requests under way there, of all cores.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Failures of this kind so far.
    pub fn failed_so_far(&self, kind: Failure) -> u64 {
        self.failed
            .get(kind as usize)
            .map_or(0, |count| count.load(Relaxed))
    }

    /// Whether its connections are to be closed: the name stands for others now.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// The name stands for others now.
    pub(super) fn leave(&self) {
        self.gone.store(true, Relaxed);
    }

    /// Whether it should be asked while there are others.
    pub fn is_usable(&self) -> bool {
        let until = self.aside_until.load(Relaxed);
        !self.down.load(Relaxed) && (until == 0 || until <= self.now())
    }

    /// A request goes there, until the guard is dropped.
    pub(super) fn take_up(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Relaxed);
        Busy(Arc::clone(self))
    }

    /// It answered.
    pub fn succeeded(&self) {
        if self.failures.load(Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Relaxed);
        self.aside_until.store(0, Relaxed);
        if self.asides.swap(0, Relaxed) > 0 {
            tracing::info!(upstream = %self.upstream, address = %self.target, "an upstream's address answers again");
        }
    }

    /// It failed. `why` is for the log.
    pub fn failed(&self, kind: Failure, why: &dyn fmt::Display) {
        if let Some(count) = self.failed.get(kind as usize) {
            count.fetch_add(1, Relaxed);
        }
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let now = self.now();
        let said = self.said.load(Relaxed);
        if said == 0 || said.saturating_add(millis(SAY_EVERY)) <= now {
            self.said.store(now.max(1), Relaxed);
            let (upstream, address, kind) = (&self.upstream, &self.target, kind.code());
            tracing::warn!(%upstream, %address, kind, error = %why, "an upstream's address fails");
        }
        let until = self.aside_until.load(Relaxed);
        // Requests that were under way when it was put aside fail after that.
        if failures >= FAILURES_MAX && until <= now {
            self.put_aside(now);
        }
    }

    fn put_aside(&self, now: u64) {
        let times = self.asides.fetch_add(1, Relaxed);
        let rest = ASIDE_LEAST
            .saturating_mul(1 << times.min(16))
            .min(ASIDE_MOST);
        self.aside_until.store(now + millis(rest), Relaxed);
        if times == 0 {
            tracing::warn!(upstream = %self.upstream, address = %self.target, "an upstream's address is put aside: others are asked first");
        }
    }

    /// Health checks found it good, or wanting.
    pub(super) fn checked(&self, good: bool, why: &dyn fmt::Display) {
        let was_down = self.down.swap(!good, Relaxed);
        let (upstream, address) = (&self.upstream, &self.target);
        match (good, was_down) {
            (true, true) => {
                // What went wrong before is over.
                self.succeeded();
                tracing::info!(%upstream, %address, "an upstream's address passes its health checks again");
            }
            (false, false) => {
                tracing::warn!(%upstream, %address, error = %why, "an upstream's address fails its health checks");
            }
            (true, false) | (false, true) => {}
        }
    }

    fn now(&self) -> u64 {
        millis(self.born.elapsed())
    }
}

/// A request under way at a place.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Arc<Place> {
        let target = Target::Tcp("127.0.0.1:1".parse().unwrap());
        Place::new("items".parse().unwrap(), target, None)
    }

    #[test]
    fn an_address_is_put_aside_after_three_failures_in_a_row_and_not_before() {
        let place = place();
        for _ in 1..FAILURES_MAX {
            place.failed(Failure::Connect, &"refused");
            assert!(place.is_usable());
        }
        place.succeeded();
        for _ in 1..FAILURES_MAX {
            place.failed(Failure::Reset, &"reset");
            assert!(place.is_usable());
        }
        place.failed(Failure::Timeout, &"late");
        assert!(!place.is_usable());
        place.succeeded();
        assert!(place.is_usable());
        let counts = Failure::ALL.map(|kind| place.failed_so_far(kind));
        assert_eq!(counts, [2, 0, 1, 2]);
    }

    #[test]
    fn who_fails_again_at_once_is_put_aside_for_longer_and_never_for_ever() {
        let place = place();
        let mut last = 0;
        for _ in 0..40 {
            place.failures.store(FAILURES_MAX, Relaxed);
            place.put_aside(0);
            let until = place.aside_until.load(Relaxed);
            assert!(until >= last && until <= millis(ASIDE_MOST));
            last = until;
        }
        assert_eq!(last, millis(ASIDE_MOST));
    }

    #[test]
    fn an_address_that_fails_its_checks_is_not_usable_until_it_passes() {
        let place = place();
        place.checked(false, &"it answered 500");
        assert!(!place.is_usable());
        place.checked(true, &"");
        assert!(place.is_usable());
    }

    #[test]
    fn a_request_counts_while_it_is_under_way() {
        let place = place();
        let busy = place.take_up();
        assert_eq!(place.in_flight(), 1);
        drop(busy);
        assert_eq!(place.in_flight(), 0);
    }
}
