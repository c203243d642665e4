//! How the trail goes on, for whoever watches from outside: counted where records are written, read
//! whenever somebody asks, without a lock and without the store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::words::UnixTime;

/// What is known of the trail since this process began.
#[derive(Debug, Default)]
pub struct Figures {
    written: AtomicU64,
    failed: AtomicU64,
    head: AtomicU64,
    /// In milliseconds since the epoch.
    head_at: AtomicU64,
    exported: AtomicU64,
}

impl Figures {
    /// The trail ended with the record `number` when it was opened.
    pub fn begin(&self, number: u64) {
        self.head.store(number, Relaxed);
    }

    /// `count` records were written at `at`, the last of them with this number. Without a store records
    /// have none and go to the log.
    pub fn wrote(&self, count: usize, last: Option<u64>, at: UnixTime) {
        self.written.fetch_add(count as u64, Relaxed);
        self.head_at.store(at.as_millis(), Relaxed);
        if let Some(last) = last {
            self.head.fetch_max(last, Relaxed);
        }
    }

    /// `count` records could not be written; what they are about was not done.
    pub fn failed(&self, count: usize) {
        self.failed.fetch_add(count as u64, Relaxed);
    }

    /// Somebody who exports the whole trail has all records up to this one.
    pub fn exported(&self, number: u64) {
        self.exported.fetch_max(number, Relaxed);
    }

    /// Records written since the start.
    pub fn records(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Records that could not be written since the start.
    pub fn failures(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// The number of the newest record, 0 if there is none.
    pub fn head(&self) -> u64 {
        self.head.load(Relaxed)
    }

    /// When the newest record of this process was written.
    pub fn head_at(&self) -> UnixTime {
        UnixTime::from_millis(self.head_at.load(Relaxed))
    }

    /// The number of the newest record that an export of the whole trail is known to have handed on,
    /// 0 if none was asked for since the start.
    pub fn exported_through(&self) -> u64 {
        self.exported.load(Relaxed)
    }
}
