//! The question before what cannot be undone. Nobody is asked in a script: it says `--yes`, or it is
//! told that nothing was done.

use std::io::{BufRead, IsTerminal};

use super::transport::Reach;
use super::{Context, Failure};

/// Somebody has agreed to something that cannot be undone.
#[must_use]
pub(super) struct Confirmed;

impl Context<'_> {
    /// Asks before what takes something away at once, if somebody sits there: a script that does so
    /// in an emergency is never held up.
    pub(super) fn confirm_if_asked(&mut self, deed: &str) -> Result<Confirmed, Failure> {
        match std::io::stdin().is_terminal() {
            true => self.confirm(deed),
            false => Ok(Confirmed),
        }
    }

    /// Asks before something that cannot be undone.
    pub(super) fn confirm(&mut self, deed: &str) -> Result<Confirmed, Failure> {
        if self.assume_yes {
            return Ok(Confirmed);
        }
        let place = match &*self.reach()? {
            Reach::Machine(_) => String::new(),
            Reach::Server(server) => format!(" at `{}`", server.origin()),
        };
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format_args!(
                "nothing done: this would{place} {deed}; say `--yes` if that is meant"
            )));
        }
        self.output.complain(format_args!(
            "This will{place} {deed}.\nType `yes` to go on:"
        ))?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(Confirmed);
        }
        Err(Failure::usage("nothing done"))
    }
}
