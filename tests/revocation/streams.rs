//! B38: what is open is cut when what it hangs on is taken back, and nothing else is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::kinds::{Kind, grpc};
use super::{By, Change, Held, before};
use crate::harness::http2::{Http2, Requests};
use crate::harness::load::{Caller, Latencies, run};
use crate::harness::long::{is_strict, sized, told};
use crate::harness::{Api, PATIENCE, allow_descriptors, request, until};

/// Longer than any test keeps a stream.
pub(super) const LONGER: Duration = Duration::from_secs(600);

/// Every kind of change against every kind of stream, with one beside it that has to stay.
#[test]
fn b38_every_change_cuts_every_kind_of_stream_of_its_account_and_no_other() {
    let (api, grpc) = (Api::start(), Api::http2());
    let gateway = before(&api, &grpc).start();
    let address = gateway.address();
    let open =
        || api.counts().open.load(Ordering::SeqCst) + grpc.counts().open.load(Ordering::SeqCst);
    let kinds = Kind::ALL.len();
    run(async {
        let kept = Held::new(&gateway, "kept", By::Role);
        let mut others = JoinSet::new();
        for kind in Kind::ALL {
            others.spawn(kind.hold(address, kept.token.clone()));
        }
        for (change, by, _) in Change::ALL {
            let held = Held::new(&gateway, &format!("{change:?}").to_lowercase(), by);
            let mut streams = JoinSet::new();
            for kind in Kind::ALL {
                let token = held.token.clone();
                streams.spawn(async move { (kind, kind.hold(address, token).await) });
            }
            wait(&format!("all streams before {change:?}"), || {
                open() == 2 * kinds
            })
            .await;
            tokio::task::block_in_place(|| change.make(&gateway, &held));
            let mut left = Kind::ALL.to_vec();
            while !left.is_empty() {
                let ended = tokio::time::timeout(PATIENCE, streams.join_next()).await;
                let ended = ended.unwrap_or_else(|_| panic!("{change:?} left {left:?} open"));
                let (kind, _) = ended.expect("one is left").expect("it does not panic");
                left.retain(|other| *other != kind);
            }
            wait(&format!("the upstream to hear of {change:?}"), || {
                open() == kinds
            })
            .await;
            assert_eq!(others.len(), kinds);
            assert!(
                others.try_join_next().is_none(),
                "{change:?} cut somebody else"
            );
        }
    });
}

/// Waits until `done`, as [`until`] does, from within a task.
pub(super) async fn wait(what: &str, done: impl FnMut() -> bool) {
    tokio::task::block_in_place(|| until(what, PATIENCE, done));
    tokio::task::yield_now().await;
}

/// Streams of the account that is cut.
const CUT: usize = 100;
/// Streams that share a connection of HTTP/2, of both accounts.
const SHARE: usize = 500;

#[test]
fn b38_a_crowd_of_other_streams_delays_no_cut_and_is_not_touched() {
    cut_in_a_crowd(500);
}

/// B38 beside so many streams of others; what came of it.
#[expect(clippy::too_many_lines, reason = "one story")]
pub(crate) fn cut_in_a_crowd(others: usize) -> String {
    // Clients and upstream are one process: seven of eight streams take two descriptors there.
    allow_descriptors((others + CUT) as u64 * 7 / 4 + 1000);
    let (api, grpc) = (Api::start(), Api::http2());
    let gateway = before(&api, &grpc).start();
    let address = gateway.address();
    let gap = sized(200, 2000);
    // One in eight is gRPC: of those an upstream gets some hundred on each of a few connections.
    let line = |count: usize| match count % 8 {
        0 => format!("POST /grpc/events/1000000/{gap}"),
        _ => format!("GET /v1/events/1000000/{gap}"),
    };
    run(async {
        let (cut, kept) = (
            Held::new(&gateway, "cut", By::Role),
            Held::new(&gateway, "kept", By::Role),
        );
        let crowd = Arc::<Crowd>::default();
        let mut theirs = JoinSet::new();
        let mut ours = JoinSet::new();
        let mut shared = Vec::new();
        for _ in 0..=(others + CUT) / 8 / SHARE {
            shared.push(Http2::connect(address).await.expect("it listens"));
        }
        let stream = |whose: &Held, (count, crowd): (usize, Arc<Crowd>)| {
            let (line, token) = (line(count), whose.token.clone());
            let mut spread = shared.iter().cycle().skip(count / 8);
            let shared = spread.next().map(Http2::requests);
            let shared = shared.filter(|_| count % 8 == 0);
            async move {
                match shared {
                    Some(shared) => follow_http2(shared, &line, &token, &crowd).await,
                    None => follow(address, &line, &token, &crowd).await,
                }
                Instant::now()
            }
        };
        let open = || {
            let open = [api.counts(), grpc.counts()];
            let open = open.map(|counts| counts.open.load(Ordering::SeqCst));
            open.iter().sum::<usize>()
        };
        for count in 0..others + CUT {
            // Spread among each other, as they would be.
            if count % (others / CUT).max(1) == 0 && ours.len() < CUT {
                ours.spawn(stream(&cut, (ours.len(), Arc::default())));
            } else {
                theirs.spawn(stream(&kept, (count, Arc::clone(&crowd))));
            }
            if count % 100 == 99 {
                wait("streams to open", || open() > count - 50).await;
            }
        }
        let all = ours.len() + theirs.len();
        wait("all streams to be open", || open() == all).await;
        let change = Change::Expire.prepared(&gateway, &cut);
        let sent = Instant::now();
        tokio::task::block_in_place(|| gateway.operate(&change));
        let answered = sent.elapsed();
        let took = ends(ours, sent).await;
        crowd.is_watched.store(true, Ordering::SeqCst);
        wait("every other stream to go on", || {
            crowd.went_on.load(Ordering::SeqCst) == theirs.len()
        })
        .await;
        assert!(theirs.try_join_next().is_none(), "somebody else was cut");
        assert_eq!(open(), theirs.len());
        let p99 = took.quantile(0.99);
        let said = format!(
            "{} streams cut beside {}, p99 {p99:?} after the command was sent, which was answered \
             after {answered:?}",
            took.len(),
            theirs.len()
        );
        told(&format!("B38: {said}"));
        assert!(!is_strict() || p99 <= Duration::from_millis(100), "{said}");
        said
    })
}

/// How long after `sent` each of `streams` ended; all must.
async fn ends(mut streams: JoinSet<Instant>, sent: Instant) -> Latencies {
    let mut took = Latencies::default();
    while let Some(ended) = tokio::time::timeout(PATIENCE, streams.join_next())
        .await
        .expect("all are cut")
    {
        let ended = ended.expect("it does not panic");
        took.push(ended.saturating_duration_since(sent));
    }
    took
}

/// What is seen of many streams.
#[derive(Debug, Default)]
struct Crowd {
    is_watched: AtomicBool,
    /// Streams of which more was heard since then.
    went_on: AtomicUsize,
}

impl Crowd {
    /// A stream goes on, which is counted once: `counted` says whether it was.
    fn hears(&self, counted: &mut bool) {
        if !*counted && self.is_watched.load(Ordering::SeqCst) {
            *counted = true;
            self.went_on.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Follows a stream to its end.
async fn follow(address: SocketAddr, line: &str, token: &str, crowd: &Crowd) {
    let bearer = format!("Bearer {token}");
    let mut caller = Caller::connect(address).await.expect("it listens");
    let bytes = request(line, &[("Authorization", &bearer)], b"");
    caller.send(&bytes).await.expect("it is taken");
    let mut counted = false;
    while caller.part().await.is_ok_and(|part| !part.is_empty()) {
        crowd.hears(&mut counted);
    }
}

/// The same on a connection that it shares with others.
async fn follow_http2(shared: Requests, line: &str, token: &str, crowd: &Crowd) {
    let message = grpc(line, &format!("Bearer {token}"));
    let answer = shared.begin(message).await.expect("it is taken");
    let mut body = answer.await.expect("it is answered").into_body();
    let mut counted = false;
    while let Some(Ok(part)) = body.data().await {
        crowd.hears(&mut counted);
        let _ = body.flow_control().release_capacity(part.len());
    }
}
