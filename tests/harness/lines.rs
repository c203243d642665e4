//! What a process prints, line by line, as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// The lines a process has printed so far, on one of its outputs.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    state: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads lines from `output` on a thread of its own, until its end.
    pub(crate) fn of(output: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let reader = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                reader.add(|printed| printed.lines.push(line));
            }
            reader.add(|printed| printed.ended = true);
        });
        lines
    }

    fn add(&self, change: impl FnOnce(&mut Printed)) {
        change(&mut self.state.lock().expect("no reader panics"));
        self.changed.notify_all();
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.state.lock().expect("no reader panics").lines.clone()
    }

    /// Waits until `found` finds something, and panics with all lines when it never will.
    pub(crate) fn wait<T>(&self, what: &str, mut found: impl FnMut(&[String]) -> Option<T>) -> T {
        let mut result = None;
        let printed = self.state.lock().expect("no reader panics");
        let (printed, _) = self
            .changed
            .wait_timeout_while(printed, PATIENCE, |printed| {
                result = found(&printed.lines);
                result.is_none() && !printed.ended
            })
            .expect("no reader panics");
        result.unwrap_or_else(|| {
            let how = if printed.ended {
                "the output ended"
            } else {
                "time ran out"
            };
            panic!(
                "waited for {what} until {how}:\n{}",
                printed.lines.join("\n")
            )
        })
    }

    /// Waits until the output has ended.
    pub(crate) fn wait_for_end(&self) {
        let printed = self.state.lock().expect("no reader panics");
        let (printed, _) = self
            .changed
            .wait_timeout_while(printed, PATIENCE, |printed| !printed.ended)
            .expect("no reader panics");
        assert!(
            printed.ended,
            "the gateway did not end:\n{}",
            printed.lines.join("\n")
        );
    }
}
