//! Health checks: every address of an upstream is asked one question now and then.
//!
//! On the control plane. An address that gives no good answer several times in a row is put aside
//! until it gives one; requests go there meanwhile only if no address is any better.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::ask::ask;
use super::place::Place;
use super::upstreams::Shared;
use crate::settings::HealthCheck;

/// How a check names itself to the upstream.
const AGENT: &str = "portcullis-health";

/// Checks the addresses of an upstream for ever.
pub async fn keep_checked(shared: &Arc<Shared>) {
    let Some(check) = &shared.upstream.health else {
        return;
    };
    let mut due = interval(check.interval.max(Duration::from_millis(1)));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut bad: Vec<(Weak<Place>, usize)> = Vec::new();
    loop {
        due.tick().await;
        let mut asked = JoinSet::new();
        for place in shared.places.known().iter() {
            let (shared, place, check) = (Arc::clone(shared), Arc::clone(place), check.clone());
            asked.spawn(async move { (answer(&shared, &place, &check).await, place) });
        }
        while let Some(answered) = asked.join_next().await {
            if let Ok((answer, place)) = answered {
                judge(&mut bad, &place, answer, check.failures);
            }
        }
        bad.retain(|(place, _)| place.strong_count() > 0);
    }
}

/// Why an answer was not a good one, if it was not.
async fn answer(shared: &Shared, place: &Place, check: &HealthCheck) -> Result<(), String> {
    match timeout(check.timeout, ask(shared, place, &check.path, AGENT)).await {
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(format!("it answered {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "no answer within {}",
            humantime::format_duration(check.timeout)
        )),
    }
}

fn judge(
    bad: &mut Vec<(Weak<Place>, usize)>,
    place: &Arc<Place>,
    answer: Result<(), String>,
    failures: usize,
) {
    let known = bad
        .iter()
        .position(|(one, _)| std::ptr::eq(one.as_ptr(), Arc::as_ptr(place)));
    let Err(why) = answer else {
        known.map(|at| bad.swap_remove(at));
        place.checked(true, &"");
        return;
    };
    let count = match known.and_then(|at| bad.get_mut(at)) {
        Some((_, count)) => {
            *count = count.saturating_add(1);
            *count
        }
        None => {
            bad.push((Arc::downgrade(place), 1));
            1
        }
    };
    if count >= failures {
        place.checked(false, &why);
    }
}
