//! Real sockets: whoever keeps others waiting is let go, and whoever comes next is let in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use axum::extract::Extension;
use axum::routing::get;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::*;
use crate::telemetry::metrics::AccountLabels;

/// Longer than anything here takes, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers that are larger than what sockets take ahead of their readers.
const LARGE: usize = 64 * 1024 * 1024;

struct Stage {
    runtime: Runtime,
    address: SocketAddr,
    stop: CancellationToken,
    served: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

const BOUNDS: Bounds = Bounds {
    connections: 4,
    per_source: 2,
    head: PATIENCE,
    taking: Duration::from_millis(300),
};

impl Stage {
    fn new(bounds: Bounds) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("0.0.0.0:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let metrics = Arc::new(Metrics::new(AccountLabels::Off));
        let router = Router::new()
            .route("/", get(async || "here"))
            .route(
                "/known",
                get(async |Extension(client): Extension<Client>| client.is_known()),
            )
            .route("/large", get(async || vec![b'x'; LARGE]));
        let stop = CancellationToken::new();
        let aside = Aside::plain("the test", bounds, Arc::clone(&metrics));
        let served = runtime.spawn(aside.serve(listener, router, stop.clone()));
        Self {
            address: ([127, 0, 0, 1], port).into(),
            served: Some(served),
            runtime,
            stop,
            metrics,
        }
    }

    /// A connection from this address of the loopback.
    fn from(&self, source: u8) -> TcpStream {
        let _inside = self.runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, source], 0).into()).unwrap();
        let stream = self.runtime.block_on(socket.connect(self.address)).unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn counted(&self, cause: Closed) -> bool {
        let series = format!("cause=\"{}\"}} 0", cause.code());
        !self.metrics.render().contains(&series)
    }
}

/// Asks for `path`; whether there is an answer, and not the end of the connection.
fn ask(stream: &mut TcpStream, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut start = [0; 12];
    let sent = stream.write_all(request.as_bytes());
    let answered = sent.is_ok() && stream.read_exact(&mut start).is_ok();
    // What is behind it is not looked at: one answer fits into one packet.
    let mut rest = [0; 1024];
    answered && stream.read(&mut rest).is_ok() && start == *b"HTTP/1.1 200"
}

#[test]
fn a_source_has_so_many_connections_and_another_has_its_own() {
    let stage = Stage::new(BOUNDS);
    let mut first = [stage.from(1), stage.from(1)];
    assert!(first.iter_mut().all(|one| ask(one, "/")));
    assert!(!ask(&mut stage.from(1), "/"));
    assert!(ask(&mut stage.from(2), "/"));
    assert!(stage.counted(Closed::Source));
    let [one, _other] = first;
    drop(one);
    let began = Instant::now();
    while !ask(&mut stage.from(1), "/") {
        assert!(began.elapsed() < PATIENCE, "its place is not given back");
    }
}

#[test]
fn where_all_places_are_taken_the_oldest_of_nobody_we_know_goes() {
    let stage = Stage::new(BOUNDS);
    let mut known = stage.from(1);
    assert!(ask(&mut known, "/known"));
    let mut strangers: Vec<_> = [2, 3, 4].map(|source| stage.from(source)).into();
    assert!(strangers.iter_mut().all(|one| ask(one, "/")));
    for source in 5..50 {
        assert!(ask(&mut stage.from(source), "/"), "{source}");
    }
    assert!(stage.counted(Closed::Crowded));
    assert!(strangers.iter_mut().any(|one| !ask(one, "/")));
    assert!(ask(&mut known, "/"), "he was there before all of them");
}

#[test]
fn who_does_not_take_his_answer_is_let_go_and_so_is_who_takes_it_by_bytes() {
    let stage = Stage::new(BOUNDS);
    for pause in [Duration::ZERO, Duration::from_millis(20)] {
        let mut slow = stage.from(1);
        slow.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let began = Instant::now();
        let mut byte = [0; 1];
        // His place is free again once he is gone.
        while !stage.has_both_places() {
            assert!(
                began.elapsed() < PATIENCE,
                "he is still there, after {pause:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
            if !pause.is_zero() {
                drop(slow.read(&mut byte));
            }
        }
        let mut taken = Vec::new();
        drop(slow.read_to_end(&mut taken));
        assert!(taken.len() < LARGE, "he got all of it");
    }
}

#[test]
fn the_end_waits_for_nobody_for_long() {
    let mut stage = Stage::new(Bounds {
        taking: PATIENCE * 10,
        ..BOUNDS
    });
    let mut slow = stage.from(1);
    slow.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut start = [0; 12];
    slow.read_exact(&mut start).unwrap();
    stage.stop.cancel();
    let served = stage.served.take().unwrap();
    let ended = stage
        .runtime
        .block_on(async { timeout(PATIENCE, served).await });
    assert!(ended.is_ok(), "it waits still");
}

impl Stage {
    /// Whether the source of the tests can have both of its places.
    fn has_both_places(&self) -> bool {
        let mut both = [self.from(1), self.from(1)];
        both.iter_mut().all(|one| ask(one, "/"))
    }
}
