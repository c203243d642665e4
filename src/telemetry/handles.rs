//! What the request path holds on to, so that counting needs no look-up.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::event::UpstreamError;

/// The series of one upstream, held by whoever talks to it.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    pub(super) duration: Histogram,
    pub(super) errors: [IntCounter; UpstreamError::ALL.len()],
}

impl UpstreamMetrics {
    /// The upstream answered, `elapsed` after the request was sent.
    pub fn answered(&self, elapsed: Duration) {
        self.duration.observe(elapsed.as_secs_f64());
    }

    /// The upstream failed.
    pub fn failed(&self, error: UpstreamError) {
        if let Some(counter) = self.errors.get(error as usize) {
            counter.inc();
        }
    }
}

/// Counts a request as in flight until it is dropped, on every way out.
#[derive(Debug)]
pub struct InFlight(pub(super) IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
