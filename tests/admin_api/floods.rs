//! G31: who floods one door is not felt at another. The admin API, the ops port, the control socket and
//! the listeners each have an accept loop, connections and threads of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Admin, READ, bytes};
use crate::harness::load::{Caller, Latencies, run};
use crate::harness::long::{is_strict, told};
use crate::harness::{Key, PATIENCE, allow_descriptors, request, until};

/// Connections that say nothing, or begin and never end.
const SILENT: usize = 500;
/// Connections on which one bad credential is shown after the other.
const GUESSERS: usize = 32;
/// Addresses of this host that a crowd comes from; operators come from none of them.
const SOURCES: usize = 10;
/// How often each door is asked meanwhile.
const ASKED: usize = 20;

/// One of the addresses that the crowd comes from.
fn source(number: usize) -> Ipv4Addr {
    let last = 2 + number % SOURCES;
    Ipv4Addr::new(127, 0, 0, u8::try_from(last).expect("there are few"))
}

/// Connections that send `begun` and then nothing.
async fn silent(address: SocketAddr, begun: &[u8]) -> Vec<Caller> {
    let mut crowd = Vec::with_capacity(SILENT);
    for number in 0..SILENT {
        let mut caller = Caller::connect_from(source(number), address)
            .await
            .expect("the system lets them in");
        // It may be shown the door at once.
        let _ = caller.send(begun).await;
        crowd.push(caller);
    }
    crowd
}

/// A crowd that asks `questions` in turn, each as soon as the one before is answered, and comes again
/// when it is shown the door.
struct Crowd {
    refused: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

/// Asks one question after the other, until it is over or the connection is.
async fn ask_on(
    (source, address): (Ipv4Addr, SocketAddr),
    questions: &[Vec<u8>],
    (refused, served): (&AtomicUsize, &AtomicUsize),
    is_over: &AtomicBool,
) {
    let Ok(mut caller) = Caller::connect_from(source, address).await else {
        return;
    };
    for question in questions.iter().cycle() {
        let Ok(answer) = caller.ask(question).await else {
            return;
        };
        let count = match answer.status() {
            401 | 429 => refused,
            _ => served,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

impl Crowd {
    fn begin(address: SocketAddr, questions: Vec<Vec<u8>>) -> Self {
        let mut crowd = Self {
            refused: Arc::default(),
            served: Arc::default(),
            is_over: Arc::default(),
            callers: JoinSet::new(),
        };
        let questions = Arc::new(questions);
        for number in 0..GUESSERS {
            let counts = (Arc::clone(&crowd.refused), Arc::clone(&crowd.served));
            let (is_over, questions) = (Arc::clone(&crowd.is_over), Arc::clone(&questions));
            crowd.callers.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let counts = (&*counts.0, &*counts.1);
                    ask_on((source(number), address), &questions, counts, &is_over).await;
                }
            });
        }
        crowd
    }

    /// Waits until each of them has been refused, on the average, a few times.
    fn is_there(&self) {
        until("the crowd to be there", PATIENCE, || {
            self.refused.load(Ordering::Relaxed) >= 4 * GUESSERS
        });
    }

    /// Ends it, and says how often it was refused; it was never served.
    async fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.callers.shutdown().await;
        assert_eq!(self.served.load(Ordering::Relaxed), 0, "somebody got in");
        self.refused.load(Ordering::Relaxed)
    }
}

/// What strangers show: junk, the right id with a secret of another, and a token whose signature is
/// nobody's.
fn guesses(line: &str, key: &Key, other: &Key, token: &str) -> Vec<Vec<u8>> {
    let wrong = Key {
        secret: other.secret.clone(),
        ..key.clone()
    };
    let (kept, _) = token.split_at(token.len() - 12);
    [
        "Bearer junk",
        &wrong.basic(),
        &format!("Bearer {kept}AAAAAAAAAAAA"),
    ]
    .map(|shown| request(line, &[("Authorization", shown)], b""))
    .to_vec()
}

#[test]
fn g31_a_flood_of_the_admin_api_is_felt_nowhere_else() {
    allow_descriptors(4096);
    let admin = Admin::start();
    let gateway = &admin.gateway;
    let ci = gateway.account("ci", &["reader"]);
    let token = gateway.token(&ci);
    let address = gateway.address_of("admin");
    let guesses = guesses("GET /api/v1/accounts", &admin.root, &ci, &token);
    let refused = run(async {
        let flood = Crowd::begin(address, guesses);
        flood.is_there();
        let rest = silent(address, b"").await;
        for _ in 0..ASKED {
            assert_eq!(admin.behind(&token), 200);
            assert_eq!(gateway.ops("/readyz").status(), 200);
        }
        // Who manages on the machine, and what he says, holds at once.
        gateway.json(&["accounts", "create", "meanwhile"]);
        gateway.json(&["keys", "expire", &ci.id]);
        assert_eq!(admin.behind(&token), 401);
        // And whoever has a good key is let in beside all of them.
        let shown = admin.done("GET /accounts/meanwhile", None, 200);
        assert_eq!(shown["enabled"], true);
        drop(rest);
        flood.end().await
    });
    told(&format!("G31: {refused} bad credentials at the admin API"));
    admin.done("GET /accounts", None, 200);
    assert_eq!(gateway.ops("/livez").status(), 200);
}

#[test]
fn g31_a_flood_of_the_listeners_is_not_felt_by_those_who_manage() {
    allow_descriptors(4096);
    let admin = Admin::with(|fixture| {
        fixture
            .listener("basic: true, limits: { connections_per_source: 1000 }")
            .settings("max_connections: 300\nlog: { decisions: denied }")
    });
    let gateway = &admin.gateway;
    let ci = gateway.account("ci", &["reader"]);
    let token = gateway.token(&ci);
    let address = gateway.address();
    let bearer = format!("Bearer {token}");
    let read = request(READ, &[("Authorization", &bearer)], b"");
    let latencies = run(async {
        // He was there before, and keeps his place.
        let mut owner = Caller::connect(address).await.unwrap();
        assert_eq!(owner.ask(&read).await.unwrap().status(), 200);
        let flood = Crowd::begin(address, guesses(READ, &ci, &admin.root, &token));
        flood.is_there();
        let rest = silent(address, b"GET /public/x HTTP/1.1\r\nX: ").await;
        let ask = bytes("GET /accounts", &admin.root, &[], None);
        let of = gateway.address_of("admin");
        let latencies = Latencies::measure(of, &ask, 5 * ASKED).await;
        assert_eq!(gateway.ops("/readyz").status(), 200);
        assert_eq!(owner.ask(&read).await.unwrap().status(), 200);
        gateway.json(&["keys", "expire", &ci.id]);
        assert_eq!(owner.ask(&read).await.unwrap().status(), 401);
        drop(rest);
        flood.end().await;
        latencies
    });
    let tail = latencies.quantile(0.99);
    told(&format!(
        "G31: the admin API is answered in {tail:?}, p99, beside a flood of the listeners"
    ));
    // A machine that does other things beside gives no figure; that each was answered it does.
    assert!(!is_strict() || tail < Duration::from_secs(1), "{tail:?}");
}
