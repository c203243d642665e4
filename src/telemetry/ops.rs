//! The ops port: metrics, health, probes. For machines of the operator, on an address of its own.
//!
//! Never on a listener of the data plane, so that an upstream's own `/metrics` and `/healthz` stay
//! reachable through the gateway; and nothing here changes anything, because whoever reaches this
//! port needs no credential.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::{Health, Question};
use super::metrics::{CONTENT_TYPE, Metrics};
use super::probe::{ProbeError, Probes};
use crate::listener::aside::{Aside, Bounds};

/// Two scrapers, a kubelet and a curious person, with room to spare; and half of it for one address, as
/// behind a node's proxy all of them have the same. Above the usual scrape interval there is nothing to
/// win by keeping a connection.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    per_source: 32,
    head: Duration::from_secs(30),
    taking: Duration::from_secs(30),
};

/// What the ops port tells about.
#[derive(Clone, Debug)]
pub struct Ops {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The state of the process.
    pub health: Arc<Health>,
    /// The upstreams that may be probed.
    pub probes: Arc<Probes>,
}

impl Ops {
    /// The endpoints.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .route("/startupz", get(started))
            .route("/probe/{upstream}", get(probe))
            .fallback(async || text(StatusCode::NOT_FOUND, "not found\n"))
            .with_state(self)
    }

    /// Answers on `listener` until `stop`, then lets what is under way end, if it does soon.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let aside = Aside::plain("the ops port", BOUNDS, Arc::clone(&self.metrics));
        aside.serve(listener, self.router(), stop).await;
    }
}

async fn metrics(State(ops): State<Ops>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], ops.metrics.render()).into_response()
}

async fn live(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    tell(&ops.health, Question::Live, query.as_deref())
}

async fn ready(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    tell(&ops.health, Question::Ready, query.as_deref())
}

async fn started(State(ops): State<Ops>, RawQuery(query): RawQuery) -> Response {
    tell(&ops.health, Question::Started, query.as_deref())
}

fn tell(health: &Health, question: Question, query: Option<&str>) -> Response {
    let (status, word) = if health.answer(question) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ok\n")
    };
    let is_verbose = |part: &str| matches!(part, "verbose" | "verbose=" | "verbose=true");
    let verbose = query.is_some_and(|query| query.split('&').any(is_verbose));
    if verbose {
        return text(status, health.list() + word);
    }
    text(status, word)
}

async fn probe(State(ops): State<Ops>, Path(upstream): Path<String>) -> Response {
    match ops.probes.ask(&upstream).await {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(error @ ProbeError::Unknown) => text(StatusCode::NOT_FOUND, format!("{error}\n")),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body.into()).into_response()
}

#[cfg(test)]
mod tests;
