//! How an operation reaches the service: through the control socket of a running server, in this
//! process when none runs, or over the admin API of a server elsewhere.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::remote::Server;
use super::{Exit, Failure};
use crate::admin::control::{self, Client};
use crate::admin::{self, Actor, AdminError, ErrorKind};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::settings::Settings;

pub(super) use crate::admin::{Grant, ImportedKey, MatrixBy, Operation, Token};

/// How often the server of this machine is asked what is new. Soon enough to look like at once.
const REST_HERE: Duration = Duration::from_millis(300);
/// How often one elsewhere is asked, with many perhaps who follow it.
const REST_ELSEWHERE: Duration = Duration::from_secs(1);

/// Where the state is that a command is about.
pub(super) enum Reach {
    /// On this machine, as these settings say.
    Machine(Box<Settings>),
    /// At a server that is asked by its admin API.
    Server(Box<Server>),
}

impl Reach {
    /// Carries out `operation` there.
    ///
    /// # Errors
    ///
    /// What the service says, or why it could not be reached.
    pub(super) fn ask(&self, operation: Operation) -> Result<Value, Failure> {
        match self {
            Self::Machine(settings) => ask(settings, operation),
            Self::Server(server) => server.ask(&operation),
        }
    }

    /// What should be known besides the last answer, once.
    pub(super) fn said(&self) -> Option<String> {
        match self {
            Self::Machine(_) => None,
            Self::Server(server) => server.said(),
        }
    }

    /// Asks a server that runs; `None` if none does.
    ///
    /// # Errors
    ///
    /// As for [`Reach::ask`].
    pub(super) fn ask_running(&self, operation: &Operation) -> Result<Option<Value>, Failure> {
        match self {
            Self::Machine(settings) => match Client::find(settings)? {
                Some(client) => Ok(Some(client.call(operation)?)),
                None => Ok(None),
            },
            Self::Server(server) => server.ask(operation).map(Some),
        }
    }

    /// Waits before it is asked what is new since.
    pub(super) fn rest(&self) {
        std::thread::sleep(match self {
            Self::Machine(_) => REST_HERE,
            Self::Server(_) => REST_ELSEWHERE,
        });
    }

    /// Several questions of one command. Without a server the store is opened once for all of them.
    ///
    /// # Errors
    ///
    /// Why nobody could be reached.
    pub(super) fn session(&self) -> Result<Session<'_>, Failure> {
        Ok(match self {
            Self::Machine(settings) => {
                Session::Machine(Box::new(control::Session::open(settings)?))
            }
            Self::Server(server) => Session::Server(server),
        })
    }
}

/// See [`Reach::session`].
pub(super) enum Session<'r> {
    Machine(Box<control::Session<'r>>),
    Server(&'r Server),
}

impl Session<'_> {
    /// Carries out `operation`.
    ///
    /// # Errors
    ///
    /// As for [`Reach::ask`].
    pub(super) fn ask(&self, operation: Operation) -> Result<Value, Failure> {
        match self {
            Self::Machine(session) => session.ask(operation).map_err(Failure::from),
            Self::Server(server) => server.ask(&operation),
        }
    }
}

/// Carries out `operation` on this machine, as `settings` say.
///
/// # Errors
///
/// What the service says, or why it could not be reached.
pub(super) fn ask(settings: &Settings, operation: Operation) -> Result<Value, Failure> {
    control::ask(settings, operation).map_err(Failure::from)
}

/// Carries out `operation` on a policy alone: the accounts in its files, no server and no store.
///
/// # Errors
///
/// What the service says.
pub(super) fn ask_policy(policy: Policy, operation: Operation) -> Result<Value, Failure> {
    let service = admin::open_files(Arc::new(policy), Clock::System)?;
    Ok(service.execute(operation, &Actor::local())?)
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict | ErrorKind::Stale => Self::Conflict,
            ErrorKind::Invalid => Self::No,
            ErrorKind::NotPermitted => Self::NotPermitted,
            ErrorKind::Unavailable => Self::Server,
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::new(error.kind.into(), error.message)
    }
}
