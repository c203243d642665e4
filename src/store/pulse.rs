//! How writing goes: what metrics tell of a store, without asking it anything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts writes that failed, and knows how the last one went.
#[derive(Debug, Default)]
pub struct Pulse {
    failures: AtomicU64,
    is_down: AtomicBool,
}

impl Pulse {
    /// Something was written.
    pub(super) fn wrote(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// Something could not be written.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// How many writes failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Says whether the last write succeeded.
    pub fn is_up(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed)
    }
}
