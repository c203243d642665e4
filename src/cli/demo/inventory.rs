//! The API behind the demo's gate: a small network inventory, kept in memory.
//!
//! It knows nothing of accounts, permissions or tokens, which is the point: nobody had to change it.
//! It only repeats the identity headers it was sent, so that one can see what an upstream is told.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

/// Largest number of devices kept, so that a loop of `PUT`s against a demo ends somewhere.
const DEVICES_MAX: usize = 1000;

/// Devices by tenant and name.
type Devices = BTreeMap<(String, String), Value>;
type Shared = Arc<Mutex<Devices>>;
/// What every handler answers.
type Answer = (StatusCode, Json<Value>);

/// The API, running on a thread of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Inventory {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Inventory {
    /// Serves the API on `listener`.
    ///
    /// # Errors
    ///
    /// What the system says when it gives no thread or no event queue.
    pub(super) fn start(listener: TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serve = async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let serving = axum::serve(listener, router());
                // Not a graceful end: a demo does not wait for a connection somebody left open.
                tokio::select! {
                    _ = serving.into_future() => (),
                    () = stopped => (),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("inventory".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Inventory {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn router() -> Router {
    Router::new()
        .route("/api/about", get(about))
        .route("/v1/tenants", get(tenants))
        .route("/v1/tenants/{tenant}/devices", get(devices))
        .route(
            "/v1/tenants/{tenant}/devices/{device}",
            get(device).put(change).delete(remove),
        )
        .route(
            "/v1/tenants/{tenant}/devices/{device}/interfaces",
            get(interfaces),
        )
        .fallback(nothing)
        .with_state(Arc::new(Mutex::new(first_devices())))
}

fn first_devices() -> Devices {
    let rows = [
        ("acme", "1", "core-switch", "10.1.0.1"),
        ("acme", "7", "edge-router", "10.1.0.7"),
        ("globex", "1", "firewall", "10.2.0.1"),
        ("umbrella", "7", "lab-router", "10.3.0.7"),
    ];
    let device = |(tenant, id, role, address): (&str, &str, &str, &str)| {
        let device = json!({ "id": id, "tenant": tenant, "role": role, "address": address });
        ((tenant.to_owned(), id.to_owned()), device)
    };
    rows.into_iter().map(device).collect()
}

/// The identity headers the request came with, as an upstream behind the gate sees them.
fn caller(headers: &HeaderMap) -> Value {
    let ours = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-portcullis-")?;
        Some((name.to_owned(), Value::from(value.to_str().ok()?)))
    });
    Value::Object(ours.collect::<Map<_, _>>())
}

fn locked<T>(devices: &Shared, read: impl FnOnce(&mut Devices) -> T) -> T {
    read(&mut devices.lock().unwrap_or_else(PoisonError::into_inner))
}

fn not_found() -> Answer {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "not found" })))
}

async fn nothing() -> Answer {
    not_found()
}

async fn about() -> Answer {
    let about = json!({ "name": "network inventory", "version": env!("CARGO_PKG_VERSION") });
    (StatusCode::OK, Json(about))
}

async fn tenants(State(all): State<Shared>, headers: HeaderMap) -> Answer {
    let mut names: Vec<_> = locked(&all, |all| {
        all.keys().map(|(tenant, _)| tenant.clone()).collect()
    });
    names.dedup();
    let body = json!({ "tenants": names, "caller": caller(&headers) });
    (StatusCode::OK, Json(body))
}

async fn devices(
    State(all): State<Shared>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let devices: Vec<_> = locked(&all, |all| {
        let own = all.iter().filter(|((of, _), _)| *of == tenant);
        own.map(|(_, device)| device.clone()).collect()
    });
    let body = json!({ "devices": devices, "caller": caller(&headers) });
    (StatusCode::OK, Json(body))
}

async fn device(
    State(all): State<Shared>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    match locked(&all, |all| all.get(&place).cloned()) {
        Some(device) => {
            let body = json!({ "device": device, "caller": caller(&headers) });
            (StatusCode::OK, Json(body))
        }
        None => not_found(),
    }
}

async fn interfaces(State(all): State<Shared>, Path(place): Path<(String, String)>) -> Answer {
    if !locked(&all, |all| all.contains_key(&place)) {
        return not_found();
    }
    let ports: Vec<_> = (0..4)
        .map(|port| json!({ "name": format!("eth{port}"), "up": port < 3 }))
        .collect();
    (StatusCode::OK, Json(json!({ "interfaces": ports })))
}

async fn change(
    State(all): State<Shared>,
    Path((tenant, id)): Path<(String, String)>,
    Json(wish): Json<Value>,
) -> Answer {
    let field = |name| wish.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let device = json!({
        "id": id, "tenant": tenant, "role": field("role"), "address": field("address"),
    });
    let kept = locked(&all, |all| {
        let fits = all.len() < DEVICES_MAX;
        fits.then(|| all.insert((tenant, id), device.clone()))
    });
    match kept {
        Some(_) => (StatusCode::OK, Json(json!({ "device": device }))),
        None => {
            let full = json!({ "error": "the inventory is full" });
            (StatusCode::INSUFFICIENT_STORAGE, Json(full))
        }
    }
}

async fn remove(State(all): State<Shared>, Path(place): Path<(String, String)>) -> Answer {
    match locked(&all, |all| all.remove(&place)) {
        Some(device) => (StatusCode::OK, Json(json!({ "removed": device }))),
        None => not_found(),
    }
}
