//! A few replicas, clients that spread over those that say they are ready, and the tally.
//!
//! The clients do what a balancer does: they look at `/readyz` now and then, send nothing more to who
//! is not ready, and leave his connections. They do not forgive: a request that was sent and is not
//! answered with what it asked for is a failure.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::quick;
use crate::harness::http2::{Http2, Requests, Unanswered, message};
use crate::harness::load::{Caller, run};
use crate::harness::websocket::{Op, WebSocket};
use crate::harness::{Api, Fixture, Gateway};

/// How often a balancer looks. Kubernetes looks every few seconds, and so has longer delays.
const LOOK: Duration = Duration::from_millis(50);

/// How many clients of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) http1: usize,
    /// Connections; each carries [`STREAMS`] requests at once.
    pub(super) http2: usize,
    pub(super) sockets: usize,
}

/// Requests at once on a connection of HTTP/2.
const STREAMS: usize = 8;

/// What a balancer knows of a replica.
#[derive(Debug)]
struct Seen {
    address: SocketAddr,
    ready: AtomicBool,
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) served: AtomicUsize,
    /// Requests by HTTP/2 among them.
    pub(super) by_http2: AtomicUsize,
    /// Messages that came back through a WebSocket.
    pub(super) echoes: AtomicUsize,
    /// Conversations that were told that their server goes away.
    pub(super) told: AtomicUsize,
    pub(super) failures: Mutex<Vec<String>>,
}

impl Tally {
    fn fail(&self, what: &str, how: impl std::fmt::Debug) {
        let mut failures = self.failures.lock().expect("nobody panics with it");
        failures.push(format!("{what}: {how:?}"));
    }
}

/// What all clients share.
#[derive(Debug, Default)]
struct Shared {
    replicas: RwLock<Vec<Arc<Seen>>>,
    turn: AtomicUsize,
    over: AtomicBool,
    tally: Tally,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// The next replica that is ready.
    async fn pick(&self) -> Arc<Seen> {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let replicas = self.replicas.read().expect("nobody panics with it").clone();
            let ready = |one: &&Arc<Seen>| one.ready.load(Ordering::SeqCst);
            let ready: Vec<_> = replicas.iter().filter(ready).collect();
            if let Some(one) = ready.get(turn % ready.len().max(1)) {
                return Arc::clone(one);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Restarts replicas one after the other, under load, until `count` requests were answered and each
/// replica was restarted `rounds` times.
pub(super) fn roll(fixture: &Fixture, clients: Clients, count: usize, rounds: usize) -> Tally {
    const REPLICAS: usize = 3;
    let shared = Arc::new(Shared::default());
    let mut gateways: Vec<_> = (0..REPLICAS).map(|_| fixture.start()).collect();
    for gateway in &gateways {
        join(&shared, gateway);
    }
    let load = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || run(load(shared, clients)))
    };
    let served = || shared.tally.served.load(Ordering::SeqCst);
    let mut restarts = 0;
    while served() < count || restarts < rounds * REPLICAS {
        let failures = shared.tally.failures.lock().unwrap().clone();
        assert!(
            failures.is_empty(),
            "after {restarts} restarts: {failures:?}"
        );
        assert!(!load.is_finished(), "the load has ended by itself");
        let next = fixture.start();
        join(&shared, &next);
        let mut leaving = std::mem::replace(&mut gateways[restarts % REPLICAS], next);
        leaving.signal(Signal::TERM);
        watch(&shared, &leaving);
        assert_eq!(leaving.wait().code(), Some(0), "{}", leaving.printed());
        assert!(
            !leaving.printed().contains("timed out"),
            "{}",
            leaving.printed()
        );
        restarts += 1;
    }
    shared.over.store(true, Ordering::SeqCst);
    load.join().expect("the clients end");
    Arc::into_inner(shared)
        .expect("all clients have ended")
        .tally
}

/// A replica is there; who looks at it sees it ready.
fn join(shared: &Shared, gateway: &Gateway) {
    assert_eq!(gateway.ops("/readyz").status(), 200);
    shared.replicas.write().unwrap().push(Arc::new(Seen {
        address: gateway.address(),
        ready: AtomicBool::new(true),
    }));
}

/// Looks at a replica that goes until it says so; the clients hear of it then.
fn watch(shared: &Shared, gateway: &Gateway) {
    let began = Instant::now();
    while gateway.ops("/readyz").status() == 200 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "it does not say that it goes"
        );
        std::thread::sleep(LOOK);
    }
    let mut replicas = shared.replicas.write().unwrap();
    replicas.retain(|one| {
        let goes = one.address == gateway.address();
        if goes {
            one.ready.store(false, Ordering::SeqCst);
        }
        !goes
    });
}

async fn load(shared: Arc<Shared>, clients: Clients) {
    let mut tasks = JoinSet::new();
    for _ in 0..clients.http1 {
        tasks.spawn(http1(Arc::clone(&shared)));
    }
    for _ in 0..clients.http2 {
        tasks.spawn(http2(Arc::clone(&shared)));
    }
    for _ in 0..clients.sockets {
        tasks.spawn(socket(Arc::clone(&shared)));
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("clients count what goes wrong, and do not panic");
    }
}

/// Requests one after the other, on a connection that is kept as long as its replica is ready.
async fn http1(shared: Arc<Shared>) {
    let (tally, quick) = (&shared.tally, quick());
    while !shared.is_over() {
        let replica = shared.pick().await;
        let mut caller = match Caller::connect(replica.address).await {
            Ok(caller) => caller,
            Err(error) => {
                tally.fail("connect", error);
                continue;
            }
        };
        while replica.ready.load(Ordering::SeqCst) && !shared.is_over() {
            match caller.ask(&quick).await {
                Ok(answer) if answer.status() == 200 => {
                    tally.served.fetch_add(1, Ordering::Relaxed);
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                }
                other => {
                    tally.fail("HTTP/1.1", other);
                    break;
                }
            }
        }
    }
}

/// Requests side by side. A GOAWAY is no failure: what it refuses was not sent.
async fn http2(shared: Arc<Shared>) {
    let tally = &shared.tally;
    while !shared.is_over() {
        let replica = shared.pick().await;
        let connection = match Http2::connect(replica.address).await {
            Ok(connection) => connection,
            Err(error) => {
                tally.fail("connect", error);
                continue;
            }
        };
        let mut streams = JoinSet::new();
        for _ in 0..STREAMS {
            let (requests, shared) = (connection.requests(), Arc::clone(&shared));
            streams.spawn(stream(requests, shared, Arc::clone(&replica)));
        }
        while streams.join_next().await.is_some() {}
    }
}

/// Requests one after the other, as long as the connection takes them.
async fn stream(requests: Requests, shared: Arc<Shared>, replica: Arc<Seen>) {
    while replica.ready.load(Ordering::SeqCst) && !shared.is_over() {
        match requests.ask(message("GET /public/quick")).await {
            Ok(reply) if reply.status == 200 => {
                shared.tally.served.fetch_add(1, Ordering::Relaxed);
                shared.tally.by_http2.fetch_add(1, Ordering::Relaxed);
            }
            Err(Unanswered::Unsent(error)) if is_farewell(&error) => return,
            other => return shared.tally.fail("HTTP/2", other),
        }
    }
}

fn is_farewell(error: &h2::Error) -> bool {
    error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)
}

/// A conversation that goes on until the other end says that it goes away, whether or not it is
/// ready still; then another one.
async fn socket(shared: Arc<Shared>) {
    while !shared.is_over() {
        let replica = shared.pick().await;
        if let Err(how) = converse(&shared, &replica).await {
            shared.tally.fail("WebSocket", how);
        }
    }
}

async fn converse(shared: &Shared, replica: &Seen) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let stream = TcpStream::connect(replica.address).await.map_err(said)?;
    let mut socket = match WebSocket::open(stream, "/public/socket", &[]).await {
        Ok(socket) => socket,
        Err(refused) => return Err(format!("{refused:?}")),
    };
    while !shared.is_over() {
        match socket.ask("still there?").await.map_err(said)? {
            None => {
                shared.tally.echoes.fetch_add(1, Ordering::Relaxed);
            }
            Some(close) if close.code() == Some(1001) => {
                shared.tally.told.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send(Op::Close, &close.payload).await;
                return Ok(());
            }
            Some(other) => return Err(format!("{other:?}")),
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A gateway of a fleet to be. The door stays open longer than a balancer needs to look.
pub(super) fn replica(api: &Api) -> Fixture {
    super::before(api).settings("drain: { delay: 500ms, timeout: 10s }")
}
