//! Tokens that clients give back, written down as they come, all that wait at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::Running;
use crate::admin::{Actor, AdminError, ErrorKind, GivenBack, Service};
use crate::oauth::revoke::{Ask, Revocations, WAITING_MAX};
use crate::settings::StoreSetting;

/// How long others may take the lock between what is written and what is written next: as long as it
/// takes to wake them.
const REST: Duration = Duration::from_millis(1);

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

/// Takes back what is asked for until the gateway stops; who asked is told when it is in force. All that
/// wait are taken back together.
async fn keep(service: Arc<Service>, mut asked: Receiver<Ask>, stop: CancellationToken) {
    let mut asks = Vec::with_capacity(WAITING_MAX);
    loop {
        let count = tokio::select! {
            () = stop.cancelled() => return,
            count = asked.recv_many(&mut asks, WAITING_MAX) => count,
        };
        if count == 0 {
            return;
        }
        let given: Vec<_> = asks.iter().map(given_back).collect();
        let keeper = Arc::clone(&service);
        let done = tokio::task::spawn_blocking(move || keeper.take_back(&given)).await;
        let answers = done.unwrap_or_else(|error| {
            Err(AdminError::new(ErrorKind::Unavailable, error.to_string()))
        });
        match answers {
            Ok(answers) => {
                for (ask, answer) in asks.drain(..).zip(answers) {
                    told(ask, &answer);
                }
            }
            Err(error) => {
                for ask in asks.drain(..) {
                    told(ask, &Err(error.clone()));
                }
            }
        }
        // Whoever waits for the lock has it now: who takes it again at once would have it before him.
        tokio::time::sleep(REST).await;
    }
}

fn given_back(ask: &Ask) -> GivenBack {
    GivenBack {
        id: ask.token,
        ends_at: ask.ends_at,
        by: Actor::Client {
            account: ask.account.name.clone(),
            account_id: ask.account.id.clone(),
            key: ask.key,
            address: ask.source,
            request_id: ask.request_id,
        },
    }
}

/// Tells whoever asked. Who has hung up knows what he gave back.
fn told(ask: Ask, answer: &Result<(), AdminError>) {
    if let Err(error) = answer {
        tracing::warn!(%error, token = %ask.token, "a token that was given back is still good");
    }
    let _: Result<(), bool> = ask.done.send(answer.is_ok());
}
