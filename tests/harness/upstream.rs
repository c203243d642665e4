//! An API that keeps every byte it is sent, and misbehaves when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::{Client, Kind, Message, PATIENCE, raw, request};

/// Makes the bytes of a response from a request.
type Answer = Arc<dyn Fn(&Message) -> Vec<u8> + Send + Sync>;

/// What the upstream does with a request.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Sends what this makes of the request, and stays.
    Answer(Answer),
    /// Sends these bytes and closes: nothing, half a head, half a body, garbage.
    Cut(Vec<u8>),
    /// Sends these bytes and then nothing more, until the gateway hangs up.
    Stall(Vec<u8>),
    /// Answers the first request of a connection and closes at the second, unanswered: what a
    /// connection in a pool looks like when its other end has had enough of it.
    CloseReused,
}

impl Behaviour {
    /// Sends this JSON with status 200.
    pub(crate) fn json(body: &'static str) -> Self {
        Self::answer(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Sends these bytes; to HEAD, only their head.
    pub(crate) fn answer(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self::Answer(Arc::new(move |request| {
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            let end = match head {
                Some(head) if request.method() == "HEAD" => head + 4,
                Some(_) | None => bytes.len(),
            };
            bytes.iter().copied().take(end).collect()
        }))
    }

    /// Sends back every byte of the request as the body of the answer.
    pub(crate) fn echo() -> Self {
        Self::Answer(Arc::new(|request| {
            let length = request.raw.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            [head.as_bytes(), &request.raw].concat()
        }))
    }
}

/// A recording upstream on a port of its own.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    behaviour: Behaviour,
    next: VecDeque<Behaviour>,
    requests: Vec<Message>,
    heads: usize,
    bytes: usize,
    connections: usize,
    open: BTreeMap<usize, TcpStream>,
    door: Door,
}

/// Whether connections are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// No longer, and the port is not free yet.
    Closing,
    Closed,
}

impl Upstream {
    /// Starts one that answers everything with `{"ok":true}`.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = State {
            behaviour: Behaviour::json(r#"{"ok":true}"#),
            next: VecDeque::new(),
            requests: Vec::new(),
            heads: 0,
            bytes: 0,
            connections: 0,
            open: BTreeMap::new(),
            door: Door::Open,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let upstream = Self { address, shared };
        upstream.listen(listener);
        upstream
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `url` of an upstream in the settings.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Behaves so from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
    }

    /// Behaves so once, after those told before.
    pub(crate) fn once(&self, behaviour: Behaviour) {
        self.shared.lock().next.push_back(behaviour);
    }

    /// Closes every connection that is open, as a server does that has waited long enough.
    pub(crate) fn close_idle(&self) {
        for stream in self.shared.lock().open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Refuses connections from now on, and closes those that are open.
    pub(crate) fn refuse(&self) {
        self.close_door();
        self.shared.wait("the listener to close", |state| {
            (state.door == Door::Closed).then_some(())
        });
        self.close_idle();
    }

    /// Takes connections again after [`Upstream::refuse`].
    pub(crate) fn accept(&self) {
        let listener = TcpListener::bind(self.address).expect("the port is still free");
        self.shared.lock().door = Door::Open;
        self.listen(listener);
    }

    /// The requests that arrived whole, in order.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.shared.lock().requests.clone()
    }

    /// The first `count` requests, as soon as they have arrived whole.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Message> {
        self.shared.wait(&format!("{count} requests"), |state| {
            (state.requests.len() >= count).then(|| state.requests.clone())
        })
    }

    /// Waits until the heads of `count` requests have arrived.
    pub(crate) fn wait_for_heads(&self, count: usize) {
        self.shared.wait(&format!("{count} heads"), |state| {
            (state.heads >= count).then_some(())
        });
    }

    /// Waits until exactly `count` connections are open.
    pub(crate) fn wait_for_open(&self, count: usize) {
        self.shared
            .wait(&format!("{count} open connections"), |state| {
                (state.open.len() == count).then_some(())
            });
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Bytes received so far, whole requests or not.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Forgets the requests and bytes so far.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.lock();
        state.requests.clear();
        (state.heads, state.bytes) = (0, 0);
    }

    fn close_door(&self) {
        self.shared.lock().door = Door::Closing;
        // The thread that accepts is waiting; this wakes it up, and it goes away.
        drop(TcpStream::connect(self.address));
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut state = shared.lock();
                if state.door != Door::Open {
                    break;
                }
                let number = state.connections;
                state.connections += 1;
                let Ok(twin) = stream.try_clone() else {
                    continue;
                };
                state.open.insert(number, twin);
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    shared.converse(stream);
                    shared.lock().open.remove(&number);
                    shared.changed.notify_all();
                });
            }
            drop(listener);
            shared.lock().door = Door::Closed;
            shared.changed.notify_all();
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.close_door();
        self.close_idle();
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.address)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread of the upstream panics while it holds the lock")
    }

    fn wait<T>(&self, what: &str, mut found: impl FnMut(&State) -> Option<T>) -> T {
        let mut result = None;
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| {
                result = found(state);
                result.is_none()
            })
            .expect("no thread of the upstream panics while it holds the lock");
        if let Some(result) = result {
            return result;
        }
        let said = format!(
            "waited in vain for {what}: {} heads, {} open connections, requests {:?}",
            state.heads,
            state.open.len(),
            state.requests
        );
        // Others are still at work; a panic with the lock held would be theirs too.
        drop(state);
        panic!("{said}")
    }

    /// One connection, until either side closes it.
    fn converse(&self, mut stream: TcpStream) {
        let mut pending = Vec::new();
        let mut served = 0;
        while let Some(request) = self.receive(&mut stream, &mut pending) {
            let mut state = self.lock();
            let behaviour = state
                .next
                .pop_front()
                .unwrap_or_else(|| state.behaviour.clone());
            state.requests.push(request.clone());
            drop(state);
            self.changed.notify_all();
            let sent = match behaviour {
                Behaviour::Answer(answer) => stream.write_all(&answer(&request)),
                Behaviour::CloseReused if served == 0 => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                }
                Behaviour::CloseReused => break,
                Behaviour::Cut(bytes) => {
                    let _ = stream.write_all(&bytes);
                    break;
                }
                Behaviour::Stall(bytes) => {
                    let _ = stream.write_all(&bytes);
                    while self.receive(&mut stream, &mut pending).is_some() {}
                    break;
                }
            };
            served += 1;
            if sent.is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// The next request, or nothing at the end of the connection.
    fn receive(&self, stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<Message> {
        let mut head_seen = false;
        loop {
            if !head_seen && pending.windows(4).any(|window| window == b"\r\n\r\n") {
                head_seen = true;
                self.lock().heads += 1;
                self.changed.notify_all();
            }
            if let Some(request) = Message::parse(pending, Kind::Request, false) {
                pending.drain(..request.raw.len());
                return Some(request);
            }
            let mut buffer = [0; 64 * 1024];
            let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
            pending.extend(buffer.iter().take(count));
            self.lock().bytes += count;
            self.changed.notify_all();
        }
    }
}

#[test]
fn an_upstream_records_and_answers() {
    let upstream = Upstream::start();
    let sent = request("POST /a?b", &[("X-One", "1")], b"body");
    let mut client = Client::connect(upstream.address());
    let answer = client.send(&sent).response();
    assert_eq!((answer.status(), answer.text()), (200, r#"{"ok":true}"#));
    client.send(request("HEAD /a", &[], b"")).response_to_head();
    let seen = upstream.wait_for(2);
    assert_eq!((&seen[0].raw, seen[0].target()), (&sent, "/a?b"));
    assert_eq!((upstream.connections(), seen[1].method()), (1, "HEAD"));
}

#[test]
fn an_upstream_misbehaves_as_it_is_told() {
    let upstream = Upstream::start();
    let get = request("GET /", &[], b"");
    upstream.once(Behaviour::Cut(b"HTTP/1.1 2".to_vec()));
    assert_eq!(
        Client::connect(upstream.address()).send(&get).rest(),
        b"HTTP/1.1 2"
    );

    upstream.behave(Behaviour::CloseReused);
    let mut client = Client::connect(upstream.address());
    assert_eq!(client.send(&get).response().status(), 200);
    assert_eq!(client.send(&get).rest(), b"");

    upstream.behave(Behaviour::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()));
    let mut client = Client::connect(upstream.address());
    assert_eq!(client.send(&get).bytes(17), b"HTTP/1.1 200 OK\r\n");
    assert!(!client.ends_within(Duration::from_millis(20)));
    upstream.close_idle();
    assert!(client.ends_within(PATIENCE));
    upstream.wait_for_open(0);
}

#[test]
fn an_upstream_refuses_and_takes_up_again() {
    let upstream = Upstream::start();
    upstream.refuse();
    assert!(TcpStream::connect(upstream.address()).is_err());
    upstream.accept();
    let echo = request("GET /again", &[], b"");
    upstream.behave(Behaviour::echo());
    let answer = Message::parse(&raw(upstream.address(), &echo), Kind::Response, false);
    assert_eq!(answer.map(|answer| answer.body), Some(echo));
}
