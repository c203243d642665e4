//! Tokens that clients give back, written down one after the other.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::Running;
use crate::admin::{Actor, Operation, Service};
use crate::oauth::revoke::{Ask, Revocations};
use crate::settings::StoreSetting;

/// Where tokens are given back, and what is to be written down of that where there is a store.
pub(super) fn of(store: &StoreSetting) -> (Revocations, Option<Receiver<Ask>>) {
    match store {
        StoreSetting::None => (Revocations::default(), None),
        StoreSetting::Sqlite(_) => {
            let (revocations, given_back) = Revocations::new();
            (revocations, Some(given_back))
        }
    }
}

impl Running {
    /// Writes down what is given back from now on.
    pub(super) fn keeps(&self, given_back: Option<Receiver<Ask>>) {
        let Some(given_back) = given_back else {
            return;
        };
        let (service, stop) = (Arc::clone(&self.service), self.over.clone());
        let _in_runtime = self.control.enter();
        self.tasks.spawn(keep(service, given_back, stop));
    }
}

/// Takes back what is asked for until the gateway stops; who asked is told when it is in force.
async fn keep(service: Arc<Service>, mut asked: Receiver<Ask>, stop: CancellationToken) {
    loop {
        let ask = tokio::select! {
            () = stop.cancelled() => return,
            ask = asked.recv() => ask,
        };
        let Some(ask) = ask else { return };
        let actor = Actor::Client {
            account: ask.account.name.clone(),
            account_id: ask.account.id.clone(),
            key: ask.key,
            address: ask.source,
            request_id: ask.request_id,
        };
        let revoke = Operation::TokensRevoke { id: ask.token };
        let service = Arc::clone(&service);
        let done = tokio::task::spawn_blocking(move || service.execute(revoke, &actor)).await;
        let is_done = matches!(&done, Ok(Ok(_)));
        if let Ok(Err(error)) = &done {
            tracing::warn!(%error, token = %ask.token, "a token that was given back is still good");
        }
        // Who has hung up knows what he gave back.
        let _: Result<(), bool> = ask.done.send(is_done);
    }
}
