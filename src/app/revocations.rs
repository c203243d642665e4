//! Tokens that clients give back, written down one after the other.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use crate::admin::{Actor, Operation, Service};
use crate::oauth::revoke::Ask;

/// Takes back what is asked for until the gateway stops; who asked is told when it is in force.
pub(super) async fn keep(service: Arc<Service>, mut asked: Receiver<Ask>, stop: CancellationToken) {
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
