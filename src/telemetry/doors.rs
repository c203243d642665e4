//! What can be counted of connections and certificates: the doors, and who was not let in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::maker::Maker;
use crate::words::UnixTime;

/// At most one line about a cause in this time, in milliseconds.
const SAY_EVERY: u64 = 10_000;

/// Why a connection was closed by us, or streams of it were, without or beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The source has all the connections it may have.
    Source,
    /// All connections there may be were taken, and another was let in.
    Crowded,
    /// A peer that has to say whom it speaks for did not, or not in words we know.
    ProxyHeader,
    /// The TLS handshake failed, or was not done in time.
    Handshake,
    /// It sent frames that move nothing, took requests back, or had streams reset, more than it may.
    Flood,
    /// It did not keep to HTTP/2, and had a stream reset or was closed.
    Protocol,
    /// It opened more streams at once than it may; those were refused.
    Streams,
}

impl Closed {
    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::Source,
        Self::Crowded,
        Self::ProxyHeader,
        Self::Handshake,
        Self::Flood,
        Self::Protocol,
        Self::Streams,
    ];

    /// The label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Crowded => "crowded",
            Self::ProxyHeader => "proxy_header",
            Self::Handshake => "handshake",
            Self::Flood => "flood",
            Self::Protocol => "protocol",
            Self::Streams => "streams",
        }
    }
}

/// Connections and certificates.
#[derive(Debug)]
pub struct Doors {
    open: IntGauge,
    closed: IntCounterVec,
    accept_failures: IntCounter,
    fragments: IntCounter,
    certificate_failures: IntCounter,
    certificates: IntGaugeVec,
    /// When something was last said of each cause, in milliseconds since 1970.
    said: [AtomicU64; Closed::ALL.len()],
}

impl Doors {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let doors = Self {
            open: make.gauge("portcullis_connections", "Connections of clients.")?,
            closed: make.counters(
                "portcullis_connections_refused_total",
                "Connections closed, or refused streams, for what they cost or were, by cause.",
                &["cause"],
            )?,
            accept_failures: make.register(IntCounter::new(
                "portcullis_accept_failures_total",
                "Connections the system could not hand over, mostly for want of descriptors.",
            )?)?,
            fragments: make.register(IntCounter::new(
                "portcullis_target_fragments_cut_total",
                "Request targets that came with a fragment, which no request has; it was cut off.",
            )?)?,
            certificate_failures: make.register(IntCounter::new(
                "portcullis_certificate_reload_failures_total",
                "Changed certificates that could not be used; those before them stay.",
            )?)?,
            certificates: make.gauges(
                "portcullis_certificate_not_after_seconds",
                "When the certificate of a listener runs out.",
                &["listener"],
            )?,
            said: Default::default(),
        };
        for cause in Closed::ALL {
            doors.closed.with_label_values(&[cause.code()]);
        }
        Ok(doors)
    }

    /// Counts a connection as open until the guard is dropped.
    #[must_use]
    pub fn open(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    /// A connection was closed by us.
    pub fn closed(&self, cause: Closed) {
        self.closed.with_label_values(&[cause.code()]).inc();
    }

    /// Whether a line about `cause` is due: strangers make them, and whoever writes diagnostics waits
    /// for their reader. The counter has them all.
    pub fn is_due(&self, cause: Closed, now: UnixTime) -> bool {
        let now = now.as_millis();
        let said = self.said.get(cause as usize);
        said.is_some_and(|said| {
            let due = |last: u64| (last == 0 || now >= last + SAY_EVERY).then_some(now);
            said.fetch_update(Relaxed, Relaxed, due).is_ok()
        })
    }

    /// A connection could not be accepted.
    pub fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// A request's target came with a fragment.
    pub fn fragment_cut(&self) {
        self.fragments.inc();
    }

    /// A changed certificate could not be used.
    pub fn certificate_refused(&self) {
        self.certificate_failures.inc();
    }

    /// A listener's certificate is good until then, in seconds since 1970.
    pub fn certificate(&self, listener: &str, not_after: i64) {
        self.certificates
            .with_label_values(&[listener])
            .set(not_after);
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::AccountLabels;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_cause_is_said_once_in_ten_seconds_and_others_beside_it() {
        let metrics = Metrics::new(AccountLabels::Off);
        let doors = metrics.doors();
        let at = |seconds: u64| UnixTime::from_secs(1_000 + seconds);
        for (cause, seconds, due) in [
            (Closed::Flood, 0, true),
            (Closed::Flood, 0, false),
            (Closed::Protocol, 1, true),
            (Closed::Flood, 9, false),
            (Closed::Flood, 10, true),
            (Closed::Flood, 11, false),
        ] {
            assert_eq!(doors.is_due(cause, at(seconds)), due, "{cause:?} {seconds}");
        }
    }
}
