//! How a command ends: with an exit code a script can read, and a sentence if it failed.

use std::fmt;
use std::process::ExitCode;

use crate::words::Faults;

/// The exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, allowed, valid.
    Ok,
    /// A negative answer: denied, invalid.
    No,
    /// The command line itself is wrong.
    Usage,
    /// The server, the network or the disk failed.
    Server,
    /// The caller may not do this.
    NotPermitted,
    /// There is no such thing.
    NotFound,
    /// The thing is not in a state that allows this.
    Conflict,
}

impl Exit {
    /// The number the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Server => 3,
            Self::NotPermitted => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the shell is told.
    pub exit: Exit,
    /// What the person is told: one sentence, or one a line.
    pub message: String,
}

impl Failure {
    /// A failure with an exit code of the caller's choice.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }

    /// A negative answer: something is not valid.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Exit::No, message)
    }

    /// The command line is wrong in a way its grammar does not show.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The server, the network or the disk failed.
    pub fn server(message: impl fmt::Display) -> Self {
        Self::new(Exit::Server, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Faults in files are a negative answer, whichever command met them.
impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_has_the_number_that_scripts_rely_on() {
        let codes = [
            Exit::Ok,
            Exit::No,
            Exit::Usage,
            Exit::Server,
            Exit::NotPermitted,
            Exit::NotFound,
            Exit::Conflict,
        ]
        .map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6]);
    }
}
