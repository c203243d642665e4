//! E21: calls before, across and after a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{By, Change, Held, before};
use crate::harness::load::{Caller, all, run};
use crate::harness::long::{passed, sized, told};
use crate::harness::{Api, Gateway, request};

/// Connections that call at once.
const CONNECTIONS: usize = 64;
/// Calls of each before the change.
const BEFORE: usize = 50;

/// What happened while one thing was taken back.
#[derive(Debug, Default)]
struct Tally {
    /// Calls that were let through.
    allowed: AtomicUsize,
    /// Calls sent after the change was acknowledged.
    after: AtomicUsize,
    /// Of those, the ones that were let through.
    too_late: AtomicUsize,
    /// Whether the change has been acknowledged.
    acknowledged: AtomicBool,
}

/// Ten million in the long run. Each kind of change takes its turn, so that no one of them is left out.
/// Others have a fraction of that: what may go wrong does so in the instant of the change, and more calls
/// long after it find no more.
#[test]
fn e21_no_call_sent_after_the_acknowledgement_passes() {
    let (api, grpc) = (Api::start(), Api::http2());
    let gateway = Gateway::start_unheard(before(&api, &grpc).write());
    let calls: usize = sized(21_000, 10_000_000);
    let rounds = sized(1, 10) * Change::ALL.len();
    let each = calls.div_ceil(rounds * CONNECTIONS);
    let (mut after, mut allowed) = (0, 0);
    for round in 0..rounds {
        let change = Change::ALL[round % Change::ALL.len()];
        let tally = round_of(&gateway, &format!("round-{round}"), change, each);
        let (change, ..) = change;
        let late = tally.too_late.load(Ordering::SeqCst);
        assert_eq!(late, 0, "{change:?}: let through after it was acknowledged");
        after += tally.after.load(Ordering::SeqCst);
        allowed += tally.allowed.load(Ordering::SeqCst);
    }
    assert!(after >= calls, "only {after} calls came after a change");
    assert!(
        allowed >= rounds * CONNECTIONS,
        "only {allowed} calls came before one"
    );
    let said = format!(
        "{after} calls on 64 connections, each after one of {rounds} changes was acknowledged: 0 \
         accepted; {allowed} before"
    );
    told(&format!("E21: {said}"));
    passed("E21", &said);
}

/// Calls on and on until the change is acknowledged, and then `each` times, each of which has to be
/// answered by `status`.
async fn call(mut caller: Caller, bytes: &[u8], tally: &Tally, (status, each): (u16, usize)) {
    let mut calls = 0;
    while calls < each {
        let was_acknowledged = tally.acknowledged.load(Ordering::SeqCst);
        calls += usize::from(was_acknowledged);
        let answer = caller.ask(bytes).await.expect("every call is answered");
        if was_acknowledged {
            tally.after.fetch_add(1, Ordering::SeqCst);
            if answer.status() != status {
                tally.too_late.fetch_add(1, Ordering::SeqCst);
            }
        } else if answer.status() == 200 {
            tally.allowed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Each connection calls `each` times after the change, which is made when each has called some times.
fn round_of(
    gateway: &Gateway,
    name: &str,
    (change, by, status): (Change, By, u16),
    each: usize,
) -> Arc<Tally> {
    let held = Held::new(gateway, name, by);
    let bytes: Arc<[u8]> = {
        let bearer = format!("Bearer {}", held.token);
        request("GET /v1/quick", &[("Authorization", &bearer)], b"").into()
    };
    let tally = Arc::<Tally>::default();
    let address = gateway.address();
    run(async {
        let callers = (0..CONNECTIONS).map(|_| {
            let (bytes, tally) = (Arc::clone(&bytes), Arc::clone(&tally));
            async move {
                let caller = Caller::connect(address).await.expect("it listens");
                call(caller, &bytes, &tally, (status, each)).await;
            }
        });
        let changer = async {
            while tally.allowed.load(Ordering::SeqCst) < CONNECTIONS * BEFORE {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            tokio::task::block_in_place(|| change.make(gateway, &held));
            tally.acknowledged.store(true, Ordering::SeqCst);
        };
        tokio::join!(all(callers.collect::<Vec<_>>()), changer);
    });
    tally
}
