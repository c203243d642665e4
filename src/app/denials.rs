//! Brings refusals from the trays of the cores to memory, and from there to the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::admin::Service;

/// From the first refusal in a tray until the trays are emptied: what comes in between goes with it.
const ROUND: Duration = Duration::from_millis(100);
/// How often the store is given what is new, at most: what may be lost when the process is killed.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often somebody looks for what is too old when nothing new comes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// Keeps refusals until `stop`. Rests while none come.
pub(super) async fn keep(service: Arc<Service>, stop: CancellationToken) {
    let mut saved: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = service.denials().arrived() => {}
            () = sleep(SWEEP_INTERVAL) => {}
        }
        // Until everything that came is saved; new ones may come all the while.
        loop {
            sleep(ROUND).await;
            service.denials().collect(service.now());
            if saved.is_none_or(|saved| saved.elapsed() >= SAVE_INTERVAL) {
                break;
            }
            if stop.is_cancelled() {
                return;
            }
        }
        let writing = Arc::clone(&service);
        let written = tokio::task::spawn_blocking(move || writing.save_denials()).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "refusals were not written to the store; they are in memory");
        }
        saved = Some(Instant::now());
    }
}
