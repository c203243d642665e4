//! The commands' end of the control socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;

use super::place;
use crate::admin::{Actor, AdminError, ErrorKind, Operation, Service, open_offline};
use crate::clock::Clock;
use crate::settings::Settings;

/// Longest wait for an answer. A reload of a large folder takes seconds; more is a server that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same where all of a store is read or written: some hundred megabytes a minute on a slow disk.
const STORE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Largest answer read, in bytes: some hundred thousand accounts with their grants.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Carries out `operation`: by the server of these settings if one runs, else in this process, with
/// the store held for as long as it takes.
///
/// # Errors
///
/// What the service says, or why it could not be reached or opened.
pub fn ask(settings: &Settings, operation: Operation) -> Result<Value, AdminError> {
    if let Some(client) = Client::find(settings)? {
        return client.call(&operation);
    }
    match open_offline(settings, Clock::System) {
        Ok(service) => service.execute(operation, &Actor::local()),
        // Whoever holds the store may be a server that was only starting, and answers by now.
        Err(error) => match Client::find(settings)? {
            Some(client) => client.call(&operation),
            None => Err(error),
        },
    }
}

/// Several questions of one command. Without a server the store is opened once for all of them.
#[derive(Debug)]
pub struct Session<'a> {
    settings: &'a Settings,
    store: Option<Service>,
}

impl<'a> Session<'a> {
    /// A session with the server of these settings if one runs, else with the store itself, which is
    /// held until the session ends.
    ///
    /// # Errors
    ///
    /// Why neither could be reached.
    pub fn open(settings: &'a Settings) -> Result<Self, AdminError> {
        let store = match Client::find(settings)? {
            Some(_) => None,
            None => Some(open_offline(settings, Clock::System)?),
        };
        Ok(Self { settings, store })
    }

    /// Carries out `operation`.
    ///
    /// # Errors
    ///
    /// What the service says, or [`ErrorKind::Unavailable`] when the server has ended meanwhile.
    pub fn ask(&self, operation: Operation) -> Result<Value, AdminError> {
        if let Some(store) = &self.store {
            return store.execute(operation, &Actor::local());
        }
        match Client::find(self.settings)? {
            Some(client) => client.call(&operation),
            None => Err(AdminError::new(
                ErrorKind::Unavailable,
                "the server has ended",
            )),
        }
    }
}

/// A way to a running server.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

impl Client {
    /// A connection to the server of these settings, `None` if none runs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotPermitted`] when one runs and is somebody else's.
    pub fn find(settings: &Settings) -> Result<Option<Self>, AdminError> {
        for path in place::for_command(settings) {
            if let Some(client) = Self::connect(&path)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// A connection to the server at `path`, `None` if nobody answers there.
    ///
    /// # Errors
    ///
    /// As for [`Client::find`].
    pub fn connect(path: &Path) -> Result<Option<Self>, AdminError> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(Self {
                stream,
                path: path.into(),
            })),
            // The folder of another user's sockets cannot be looked into; whether there is one for
            // these settings is not known, and the store's lock tells soon enough.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
                Err(turned_away(path))
            }
            Err(_) => Ok(None),
        }
    }

    /// Sends `operation` and waits for what came of it.
    ///
    /// # Errors
    ///
    /// What the service says, or [`ErrorKind::Unavailable`] when the server did not answer.
    pub fn call(self, operation: &Operation) -> Result<Value, AdminError> {
        let path = self.path.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unavailable(&path, &error))?;
        let body = serde_json::to_vec(operation).map_err(|error| unavailable(&path, &error))?;
        let reads_all = matches!(
            operation,
            Operation::StoreStatus {} | Operation::StoreBackup { .. }
        );
        let patience = match reads_all {
            true => STORE_TIMEOUT,
            false => ANSWER_TIMEOUT,
        };
        runtime.block_on(async {
            let answer = tokio::time::timeout(patience, self.exchange(body)).await;
            answer.map_err(|_| {
                let said = format!("no answer within {} seconds", patience.as_secs());
                unavailable(&path, &said)
            })?
        })
    }

    async fn exchange(self, body: Vec<u8>) -> Result<Value, AdminError> {
        let path = self.path;
        let failed = |error: &dyn std::fmt::Display| unavailable(&path, error);
        let stream = self.stream;
        stream
            .set_nonblocking(true)
            .map_err(|error| failed(&error))?;
        let stream = tokio::net::UnixStream::from_std(stream).map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri("/operation")
            .header(header::HOST, "portcullis")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| {
                // A server that knows the peer answers; one that does not closes the connection.
                if error.is_incomplete_message() {
                    turned_away(&path)
                } else {
                    failed(&error)
                }
            })?;
            let good = response.status().is_success();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await;
            let body = body.map_err(|error| failed(&error))?.to_bytes();
            if good {
                return serde_json::from_slice(&body).map_err(|error| failed(&error));
            }
            Err(refusal(&body).unwrap_or_else(|| failed(&String::from_utf8_lossy(&body))))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection may end together with the last byte of the answer.
            _ = connection => exchange.await,
        }
    }
}

/// The part of a problem document that matters here.
#[derive(Deserialize)]
struct Problem {
    kind: ErrorKind,
    detail: String,
}

fn refusal(body: &[u8]) -> Option<AdminError> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(AdminError::new(problem.kind, problem.detail))
}

fn unavailable(path: &Path, error: &(impl std::fmt::Display + ?Sized)) -> AdminError {
    let said = format!("the server at `{}` did not answer: {error}", path.display());
    AdminError::new(ErrorKind::Unavailable, said)
}

fn turned_away(path: &Path) -> AdminError {
    AdminError::new(
        ErrorKind::NotPermitted,
        format!(
            "the server at `{}` takes orders from its own user and from root only: run the command \
             as one of them",
            path.display()
        ),
    )
}
