//! The one place that asks what time it is.
//!
//! Everything below the shell takes the time as an argument; the shell holds a [`Clock`], and tests
//! hold one that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::words::UnixTime;

/// Tells the time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that moves only when told to.
    Still(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `now`.
    pub fn still(now: UnixTime) -> Self {
        Self::Still(Arc::new(AtomicU64::new(now.as_millis())))
    }

    /// The time.
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System => UnixTime::from_system(SystemTime::now()),
            Self::Still(ms) => UnixTime::from_millis(ms.load(Ordering::Relaxed)),
        }
    }

    /// Moves a still clock forward; the system's clock takes no orders.
    pub fn advance(&self, span: Duration) {
        if let Self::Still(ms) = self {
            let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            ms.fetch_add(span, Ordering::Relaxed);
        }
    }
}
