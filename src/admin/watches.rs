//! Who follows something just now: asked for again and again, it is one look.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::audit::Actor;
use crate::words::UnixTime;

/// How long after the last question the next one of the same process is still the same look.
const WATCH_PAUSE: Duration = Duration::from_secs(60);
/// Most processes told apart that follow something at once.
const WATCHES_MAX: usize = 1024;

/// Who follows what just now: a follower asks several times a second, and is one look.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<HashMap<(String, &'static str), UnixTime>>);

impl Watches {
    pub(super) fn begins(&self, actor: &Actor, event: &'static str, now: UnixTime) -> bool {
        let who = match actor {
            Actor::ControlSocket { uid, pid, .. } => format!("{uid} {pid:?}"),
            Actor::Local { uid, .. } => format!("{uid}"),
            Actor::Api {
                account_id,
                key,
                address,
                ..
            }
            | Actor::Client {
                account_id,
                key,
                address,
                ..
            } => format!("{account_id} {key:?} {address}"),
            Actor::Stranger { address, .. } => address.to_string(),
            Actor::Gateway => String::new(),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |last: &UnixTime| now.since(*last) < WATCH_PAUSE;
        if known.len() >= WATCHES_MAX {
            known.retain(|_, last| goes_on(last));
        }
        if known.len() >= WATCHES_MAX {
            known.clear();
        }
        let before = known.insert((who, event), now);
        !before.is_some_and(|last| goes_on(&last))
    }
}
