//! HTTP/2 frames that cost us more than their sender: requests taken back, faults provoked, control
//! frames without end, windows that never open. Whoever sends them is let go, and nobody else feels
//! it. What each flood is told is a row of `conformance`; here is what it costs.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Beside, before, judge, limited};
use crate::harness::load::{all, run};
use crate::harness::{Api, Gateway, PATIENCE, until};

/// The preface and settings of a client; nothing has to be said more.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags]].concat();
    [&head, &stream.to_be_bytes()[..], payload].concat()
}

/// `METHOD /public/…` as HPACK literals: nothing has to be remembered.
fn head(method: &str, target: &str) -> Vec<u8> {
    let literal = |index: u8, value: &str| {
        let mut field = vec![index, value.len() as u8];
        field.extend(value.as_bytes());
        field
    };
    let fields = [
        literal(2, method),
        vec![0x86],
        literal(4, target),
        literal(1, "gate.test"),
    ];
    fields.concat()
}

fn ask(stream: u32, target: &str) -> Vec<u8> {
    frame(HEADERS, 5, stream, &head("GET", target))
}

/// One kind of flood: what its sender sends, part by part.
pub(super) struct Flood {
    pub(super) row: &'static str,
    pub(super) name: &'static str,
    parts: usize,
    part: fn(usize) -> Vec<u8>,
}

/// The number of the stream of the `turn`th part.
fn stream(turn: usize) -> u32 {
    turn as u32 * 2 + 1
}

pub(super) const ALL: [Flood; 9] = [
    Flood {
        row: "B61",
        name: "requests taken back",
        parts: 3000,
        part: |turn| {
            let reset = frame(RST_STREAM, 0, stream(turn), &8_u32.to_be_bytes());
            [ask(stream(turn), "/public/hang"), reset].concat()
        },
    },
    Flood {
        row: "B62",
        name: "streams that we have to reset",
        parts: 3000,
        part: |turn| {
            let fault = frame(WINDOW_UPDATE, 0, stream(turn), &[0; 4]);
            [ask(stream(turn), "/public/hang"), fault].concat()
        },
    },
    Flood {
        row: "B66",
        name: "pings",
        parts: 100_000,
        part: |_| frame(PING, 0, 0, &[0; 8]),
    },
    Flood {
        row: "B66",
        name: "settings",
        parts: 100_000,
        part: |_| frame(SETTINGS, 0, 0, &[]),
    },
    Flood {
        row: "B66",
        name: "priorities",
        parts: 100_000,
        part: |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]),
    },
    Flood {
        row: "B66",
        name: "windows, a byte at a time",
        parts: 100_000,
        part: |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    },
    Flood {
        row: "B66",
        name: "empty data",
        parts: 100_000,
        part: |turn| match turn {
            0 => frame(HEADERS, 4, 1, &head("POST", "/public/upload")),
            _ => frame(DATA, 0, 1, &[]),
        },
    },
    Flood {
        row: "B66",
        name: "frames of no known kind",
        parts: 100_000,
        part: |_| frame(0xfa, 0, 0, &[]),
    },
    Flood {
        row: "B63",
        name: "a head without end",
        parts: 2000,
        part: |turn| match turn {
            0 => frame(HEADERS, 0, 1, &head("GET", "/public/x")),
            _ => frame(9, 0, 1, &[0x82; 64]),
        },
    },
];

/// How often each flood comes.
const ROUNDS: usize = 3;

impl Flood {
    /// Sends it from `sides` connections at once, while others are served; each side must be let go
    /// before it has sent everything, or soon after. Says what others felt.
    pub(super) fn judge(&self, gateway: &Gateway, api: &Api, sides: usize) -> String {
        let (address, process) = (gateway.address(), gateway.process());
        let before = process.resident();
        let (parts, part) = (self.parts, self.part);
        let crowd = move || async move {
            all((0..sides).map(|_| send(address, parts, part))).await;
        };
        // Each is over in milliseconds, so the slowest of those who ask meanwhile says little.
        let said = judge(&format!("{} {}", self.row, self.name), 0.5, || {
            let started = || api.counts().started.load(Ordering::SeqCst);
            let already = started();
            let beside = run(Beside::measure(address, ROUNDS, crowd));
            let begun = started() - already - beside.count();
            let most = 200 * sides * ROUNDS;
            assert!(begun <= most, "{}: {begun} requests went on", self.name);
            beside
        });
        api.wait_for_open(0);
        let grown = process.resident().saturating_sub(before);
        assert!(grown < 16 << 20, "{}: {grown} bytes more", self.name);
        said
    }
}

/// Sends `parts` and waits to be let go.
async fn send(address: SocketAddr, parts: usize, part: fn(usize) -> Vec<u8>) {
    let socket = TcpStream::connect(address).await.expect("we listen");
    let (mut reader, mut writer) = socket.into_split();
    let write = async {
        writer.write_all(HELLO).await?;
        let mut pending = Vec::new();
        for turn in 0..parts {
            pending.extend(part(turn));
            if pending.len() > 4096 {
                writer.write_all(&pending).await?;
                pending.clear();
            }
        }
        writer.write_all(&pending).await
    };
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    let both = async { tokio::join!(write, read) };
    let ended = timeout(PATIENCE, both).await;
    assert!(ended.is_ok(), "nobody was let go");
}

#[test]
fn b61_b62_b66_a_flood_is_let_go_and_nobody_else_waits() {
    let api = Api::start();
    let gateway = before(&api).start();
    for flood in ALL {
        flood.judge(&gateway, &api, 1);
    }
}

/// B67: a client that asks for much and opens no window is let go, and until then costs what may
/// wait for it.
#[test]
fn b67_answers_nobody_takes_do_not_pile_up() {
    const STREAMS: u32 = 100;
    let api = Api::start();
    let gateway = limited(&api, "write_idle: 2s").start();
    let process = gateway.process();
    let before = process.resident();
    run(async {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let hello = &HELLO[..24];
        let asks = (0..STREAMS).flat_map(|turn| ask(turn * 2 + 1, "/public/bytes/1048576"));
        let sent = [hello, &closed, &asks.collect::<Vec<_>>()].concat();
        socket.write_all(&sent).await.unwrap();
        let began = Instant::now();
        let (mut most, mut buffer) = (0, vec![0; 64 * 1024]);
        loop {
            most = most.max(process.resident());
            let read = timeout(Duration::from_millis(100), socket.read(&mut buffer)).await;
            if let Ok(Ok(0) | Err(_)) = read {
                break;
            }
            if api.counts().open.load(Ordering::SeqCst) == 0 && began.elapsed().as_secs() > 1 {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "it is still waited for");
        }
        let each = most.saturating_sub(before) / u64::from(STREAMS);
        assert!(each < 256 * 1024, "{each} bytes a stream");
    });
    until("the upstream to be let go", PATIENCE, || {
        api.counts().open.load(Ordering::SeqCst) == 0
    });
}
