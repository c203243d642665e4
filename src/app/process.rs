//! What operators may ask of the process as a whole.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::reload::Reloader;
use crate::admin::Host;
use crate::audit::Actor;

/// What the process does for the service.
pub(super) struct Process {
    pub(super) reloader: Arc<Reloader>,
    pub(super) asked_to_stop: CancellationToken,
    pub(super) status: Value,
}

impl Host for Process {
    fn reload(&self, actor: &Actor) -> Result<Value, String> {
        self.reloader.reload(actor)
    }

    fn drain(&self) {
        self.asked_to_stop.cancel();
    }

    fn status(&self) -> Value {
        let mut status = self.status.clone();
        if let Some(status) = status.as_object_mut() {
            status.insert("policy_refused".into(), json!(self.reloader.refused()));
        }
        status
    }
}
