//! Every spawned task: told to stop, and waited for.
//!
//! Two signals, because leaving has two steps. `drain` says that no new work is wanted: listeners
//! close, connections end after the answer they are at. `stop` says that the time is over: what is
//! still there is dropped.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one runtime.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Tasks {
    /// Tasks that hear the same `drain` and are waited for, and stopped, apart.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            tracker: TaskTracker::new(),
            drain: self.drain.clone(),
            stop: self.stop.child_token(),
        }
    }

    /// Runs `task` on this thread until it ends by itself or the time is over.
    pub fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        let stop = self.stop.clone();
        // Boxed, here and below: a future that is handed on by value has room for it once more.
        let task = Box::pin(task);
        self.tracker
            .spawn_local(async move { stop.run_until_cancelled(task).await.unwrap_or(()) });
    }

    /// Runs `task` until it ends by itself or the time is over.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let task = Box::pin(task);
        self.tracker
            .spawn(async move { stop.run_until_cancelled(task).await.unwrap_or(()) });
    }

    /// Heard when no new work is wanted.
    pub fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Heard when the time is over.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits for all tasks to come home, at most `grace`, then drops the rest. Says whether all
    /// came home by themselves.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.drain.cancel();
        self.tracker.close();
        let home = timeout(grace, self.tracker.wait()).await.is_ok();
        self.stop.cancel();
        self.tracker.wait().await;
        home
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_listens_comes_home_and_a_deaf_one_is_dropped() {
        let tasks = Tasks::default();
        let drain = tasks.drain().clone();
        tasks.spawn(async move { drain.cancelled().await });
        assert!(tasks.finish(Duration::from_secs(25)).await);

        let tasks = Tasks::default();
        tasks.spawn(std::future::pending());
        assert!(!tasks.finish(Duration::from_secs(25)).await);
    }
}
