//! The one writer.

use std::sync::Arc;

use serde_json::Value;

use super::{Actor, AdminError, ErrorKind, Operation};
use crate::directory::Handle;
use crate::store::Pepper;

/// What the process around the service can do for it.
pub trait Host: Send + Sync {
    /// Reads the policy folder again and says what came of it.
    ///
    /// # Errors
    ///
    /// The faults that kept the new policy out.
    fn reload(&self) -> Result<Value, String>;

    /// Begins to drain; returns at once.
    fn drain(&self);

    /// What only the process knows: listeners, start time, version.
    fn status(&self) -> Value;
}

/// Carries out what operators ask for.
#[derive(Debug)]
pub struct Service {
    handle: Arc<Handle>,
    pepper: Option<Arc<Pepper>>,
}

impl Service {
    /// What requests read.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// What key digests are made with; `None` without a store.
    pub fn pepper(&self) -> Option<&Arc<Pepper>> {
        self.pepper.as_ref()
    }

    /// Does what `operation` says and returns what there is to show.
    ///
    /// When this returns `Ok`, the change is on disk and every request that begins from then on is
    /// judged by it.
    ///
    /// # Errors
    ///
    /// Why not; nothing has changed then.
    pub fn execute(&self, operation: Operation, actor: &Actor) -> Result<Value, AdminError> {
        let _ = (operation, actor);
        Err(AdminError::new(
            ErrorKind::Unavailable,
            "this operation is not there yet",
        ))
    }
}
