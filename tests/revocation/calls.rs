//! E21: calls before, across and after a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::streams::wait;
use super::{By, Change, Held, before};
use crate::harness::load::{Caller, all, run};
use crate::harness::long::{passed, sized, told};
use crate::harness::{Api, Client, Gateway, request};

/// Connections that call at once.
const CONNECTIONS: usize = 64;
/// Calls of each before the change.
const BEFORE: usize = 50;
/// Calls after a change, all kinds together, as many as an ordinary run has the time for.
const CALLS: usize = 100_000;

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
    let calls: usize = sized(CALLS, 10_000_000);
    let rounds = sized(1, 10) * Change::ALL.len();
    let each = calls.div_ceil(rounds * CONNECTIONS);
    let (mut after, mut allowed) = (0, 0);
    for round in 0..rounds {
        let (change, by, status) = Change::ALL[round % Change::ALL.len()];
        let held = Held::new(&gateway, &format!("round-{round}"), by);
        let tally = round_of(&gateway, &held, (status, each), || {
            change.make(&gateway, &held);
        });
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
        "{after} calls on 64 connections, each after one of {rounds} changes of {} kinds was \
         acknowledged: 0 accepted; {allowed} before",
        Change::ALL.len()
    );
    told(&format!("E21: {said}"));
    passed("E21", &said);
}

/// The other door that a change comes in by, with an answer of its own.
#[test]
fn e21_no_call_sent_after_the_admin_api_answered_passes() {
    let (api, grpc) = (Api::start(), Api::http2());
    let fixture = before(&api, &grpc).admin(", hosts: [gate.test]");
    let gateway = Gateway::start_unheard(fixture.write());
    let root = gateway.account("root", &["portcullis-admin"]).api_key();
    for (round, (by, status)) in [(By::Role, 401), (By::Role, 403)].into_iter().enumerate() {
        let held = Held::new(&gateway, &format!("round-{round}"), by);
        let line = match status {
            401 => format!("POST /api/v1/keys/{}/expire", held.key.id),
            _ => format!("POST /api/v1/accounts/{}/ungrant", held.name),
        };
        let body = match status {
            401 => "{}".to_owned(),
            _ => format!(r#"{{"role":"{}"}}"#, held.role),
        };
        let headers = [("X-Api-Key", &*root), ("Content-Type", "application/json")];
        let bytes = request(&line, &headers, body.as_bytes());
        let mut client = Client::connect(gateway.address_of("admin"));
        let tally = round_of(&gateway, &held, (status, 50), || {
            let answer = client.send(&bytes).response();
            assert_eq!(answer.status(), 200, "{line}: {answer:?}");
        });
        let late = tally.too_late.load(Ordering::SeqCst);
        assert_eq!(late, 0, "{line}: let through after it was answered");
    }
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
    held: &Held,
    (status, each): (u16, usize),
    change: impl FnOnce(),
) -> Arc<Tally> {
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
            wait("calls before the change", || {
                tally.allowed.load(Ordering::SeqCst) >= CONNECTIONS * BEFORE
            })
            .await;
            // The answer is here when this returns: nothing is between it and the next line.
            tokio::task::block_in_place(change);
            tally.acknowledged.store(true, Ordering::SeqCst);
        };
        tokio::join!(all(callers.collect::<Vec<_>>()), changer);
    });
    tally
}
