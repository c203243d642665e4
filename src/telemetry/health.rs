//! What the process can say about itself when somebody asks whether it lives, is ready, or has
//! started.
//!
//! Three questions, because three things follow from them: a process that does not live is
//! restarted, one that is not ready gets no requests, and one that has not started holds up what
//! comes after it. None of them looks at an upstream or a store: a gateway that is restarted
//! because something behind it is down makes two outages of one.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What must be in place before a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A policy is in force.
    Policy,
    /// Accounts and keys are in memory.
    Directory,
    /// All listeners are bound.
    Listeners,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 3] = [Self::Policy, Self::Directory, Self::Listeners];

    const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Directory => "directory",
            Self::Listeners => "listeners",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

const EVERY_BIT: u8 = (1 << Check::ALL.len()) - 1;

/// The state of the process; shared by whoever changes it and the ops port, which tells it.
#[derive(Debug, Default)]
pub struct Health {
    /// What is in place now.
    passed: AtomicU8,
    /// Whether everything has been in place once; a start is not undone.
    started: AtomicBool,
    draining: AtomicBool,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Should it be restarted?
    Live,
    /// Should it get requests?
    Ready,
    /// May what waits for it begin?
    Started,
}

impl Health {
    /// `check` is in place.
    pub fn pass(&self, check: Check) {
        let passed = self.passed.fetch_or(check.bit(), Ordering::AcqRel) | check.bit();
        if passed == EVERY_BIT {
            self.started.store(true, Ordering::Release);
        }
    }

    /// `check` is not in place any more.
    pub fn fail(&self, check: Check) {
        self.passed.fetch_and(!check.bit(), Ordering::AcqRel);
    }

    /// The process is going away: ready no more, and still alive.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Says whether the process is going away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The answer to `question`.
    pub fn answer(&self, question: Question) -> bool {
        match question {
            Question::Live => true,
            Question::Ready => self.is_in_place(EVERY_BIT) && !self.is_draining(),
            Question::Started => self.started.load(Ordering::Acquire),
        }
    }

    /// Each check on a line, in the manner of the Kubernetes API server.
    pub fn list(&self) -> String {
        let mut text = String::new();
        let checks = Check::ALL.map(|check| (check.name(), self.is_in_place(check.bit())));
        let staying = ("staying", !self.is_draining());
        for (name, passed) in checks.into_iter().chain([staying]) {
            let (sign, word) = if passed { ('+', "ok") } else { ('-', "not ok") };
            writeln!(text, "[{sign}]{name} {word}").unwrap_or(());
        }
        text
    }

    fn is_in_place(&self, bits: u8) -> bool {
        self.passed.load(Ordering::Acquire) & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(health: &Health) -> [bool; 3] {
        [Question::Live, Question::Ready, Question::Started].map(|one| health.answer(one))
    }

    #[test]
    fn nothing_is_ready_until_everything_is_in_place() {
        let health = Health::default();
        for check in Check::ALL {
            assert_eq!(answers(&health), [true, false, false]);
            health.pass(check);
        }
        assert_eq!(answers(&health), [true, true, true]);
    }

    #[test]
    fn a_process_that_leaves_is_not_ready_and_still_lives() {
        let health = Health::default();
        Check::ALL.iter().for_each(|check| health.pass(*check));
        health.drain();
        assert_eq!(answers(&health), [true, false, true]);
        assert!(health.list().contains("[-]staying not ok"));
    }

    #[test]
    fn a_start_is_not_undone() {
        let health = Health::default();
        Check::ALL.iter().for_each(|check| health.pass(*check));
        health.fail(Check::Directory);
        assert_eq!(answers(&health), [true, false, true]);
        assert!(health.list().contains("[-]directory not ok"));
    }
}
