//! The control socket: how commands on this machine reach the running server.
//!
//! A Unix socket with mode 0600 whose peers are asked who they are: root and the server's own user
//! may do everything, nobody else anything. HTTP on it, so that other programs can speak to it too:
//! `POST /operation` with an [`Operation`] as JSON, `GET /instance` to learn who answers.

mod client;
mod place;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use axum::{Json, Router};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{Actor, AdminError, ErrorKind, OpenError, Operation, Service};
use crate::settings::Settings;
use crate::shutdown::Tasks;

pub use client::{Client, Session, ask};

/// Largest operation read, in bytes: the largest grant allowed, several times over.
const OPERATION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rest after an accept that failed, as when file descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Binds the control socket and serves it on `tasks` until `end`; the file is removed then. Returns
/// where it is, `None` where the settings switch it off.
///
/// # Errors
///
/// A sentence, when there is no place for it, or another server of the same settings has it.
pub fn serve(
    settings: &Settings,
    service: &Arc<Service>,
    tasks: &Tasks,
    end: CancellationToken,
) -> Result<Option<PathBuf>, OpenError> {
    let Some(path) = place::for_server(settings)? else {
        return Ok(None);
    };
    let listener = bind(&path)?;
    let router = Router::new()
        .route("/operation", post(operation))
        .route("/instance", get(instance))
        .layer(DefaultBodyLimit::max(OPERATION_BYTES_MAX))
        .with_state(Arc::clone(service));
    let router = router.into_make_service_with_connect_info::<Actor>();
    let mine = path.clone();
    tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the control socket stopped answering");
        }
        // Left behind it would do no harm: the next server finds that nobody answers.
        let _ = fs::remove_file(mine);
    });
    Ok(Some(path))
}

/// Looks whether a socket could be made at `path`, which the settings name.
pub(super) fn look(settings: &Settings, path: &Path) -> Result<(), OpenError> {
    place::for_server(settings)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, folder, wanted, AtFlags::EACCESS).map_err(|error| failed(path, &error.into()))
}

fn failed(path: &Path, error: &io::Error) -> OpenError {
    let said = format!(
        "could not open the control socket `{}` ({error}): name a place in a folder of the user that serves",
        path.display()
    );
    AdminError::new(ErrorKind::Unavailable, said)
}

fn bind(path: &Path) -> Result<Guarded, OpenError> {
    let failed = |error: io::Error| failed(path, &error);
    match BlockingStream::connect(path) {
        Ok(_) => {
            return Err(AdminError::new(
                ErrorKind::Unavailable,
                format!(
                    "another server answers on the control socket `{}`: stop it first, or give \
                     this one settings of its own",
                    path.display()
                ),
            ));
        }
        // A socket nobody listens on was left by a server that died.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Between these two lines somebody else may connect; the listener asks every peer who it is.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Guarded(listener))
}

/// Accepts root and the server's own user.
struct Guarded(UnixListener);

impl Listener for Guarded {
    type Io = UnixStream;
    type Addr = Actor;

    async fn accept(&mut self) -> (UnixStream, Actor) {
        let me = rustix::process::geteuid().as_raw();
        loop {
            let Ok((stream, _)) = self.0.accept().await else {
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            };
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == 0 || peer.uid() == me => {
                    return (stream, Actor::peer(peer.uid(), peer.pid()));
                }
                Ok(peer) => tracing::warn!(uid = peer.uid(), "turned away from the control socket"),
                Err(error) => tracing::warn!(%error, "a control peer did not say who it is"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Actor> {
        Ok(Actor::Gateway)
    }
}

impl Connected<IncomingStream<'_, Guarded>> for Actor {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        stream.remote_addr().clone()
    }
}

async fn operation(
    State(service): State<Arc<Service>>,
    ConnectInfo(actor): ConnectInfo<Actor>,
    Json(operation): Json<Operation>,
) -> Response {
    // The disk is waited for on a thread that may wait.
    let done = tokio::task::spawn_blocking(move || service.execute(operation, &actor)).await;
    let answer = done.unwrap_or_else(|error| {
        tracing::error!(%error, "an operation did not end well");
        Err(AdminError::new(
            ErrorKind::Unavailable,
            "the operation failed: see the server's log",
        ))
    });
    match answer {
        // A new key's secret may be in it.
        Ok(value) => ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response(),
        Err(error) => problem(&error),
    }
}

async fn instance(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(json!({
        "instance": service.instance(),
        "version": env!("CARGO_PKG_VERSION"),
        "process": std::process::id(),
    }))
}

/// An error as RFC 9457 has it; `kind` is what a command makes its exit code of.
fn problem(error: &AdminError) -> Response {
    let status = match error.kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Stale => StatusCode::PRECONDITION_FAILED,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::NotPermitted => StatusCode::FORBIDDEN,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": error.message,
        "kind": error.kind,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

#[cfg(test)]
mod tests;
