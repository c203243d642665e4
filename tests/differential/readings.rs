//! What a parser finds in bytes that were sent, and where the bytes come from: a port that keeps
//! what the gateway sends, connection by connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use crate::harness::{Kind, Message};

/// A request as somebody read it. Every character is one byte.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case, sorted.
    pub(super) headers: Vec<(String, String)>,
    /// Without its framing.
    pub(super) body: String,
}

/// Fields that say how a body is sent, not what is sent; whoever sends a request on writes his own.
const FRAMING: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

impl Reading {
    /// Reads JSON as the scripts write it.
    pub(super) fn sorted(mut self) -> Self {
        self.headers.sort();
        self
    }

    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(own, _)| own == name);
        header.map_or("", |(_, value)| value)
    }

    /// The same without what is rewritten by whoever sends it on.
    pub(super) fn without_framing(mut self) -> Self {
        self.headers
            .retain(|(name, _)| !FRAMING.contains(&name.as_str()));
        self
    }

    /// The plainest reading there is: lines as they stand, and the body as the harness delimits it.
    fn plain(message: &Message) -> Self {
        let latin = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
        let text = latin(&message.raw);
        let (head, _) = text.split_once("\r\n\r\n").expect("a message has a head");
        let mut lines = head.split("\r\n");
        let mut start = lines
            .next()
            .unwrap_or_default()
            .split(' ')
            .map(str::to_owned);
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (
                name.to_ascii_lowercase(),
                value.trim_matches([' ', '\t']).to_owned(),
            )
        };
        let reading = Self {
            method: start.next().unwrap_or_default(),
            target: start.next().unwrap_or_default(),
            headers: lines.map(field).collect(),
            body: latin(&message.body),
        };
        reading.sorted()
    }
}

/// What came over one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    /// Every byte.
    pub(super) bytes: Vec<u8>,
    /// Whole requests, and how many bytes each has.
    pub(super) requests: Vec<(Reading, usize)>,
}

/// A port that keeps everything and answers every request with 204.
pub(super) struct Recorder {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<Mutex<Recorded>>>>>,
}

impl Recorder {
    /// Starts to listen. The port stays open until the process ends.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let connections = Arc::<Mutex<Vec<Arc<Mutex<Recorded>>>>>::default();
        let all = Arc::clone(&connections);
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let one = Arc::<Mutex<Recorded>>::default();
                all.lock().expect("no thread panics").push(Arc::clone(&one));
                std::thread::spawn(move || record(socket, &one));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Host and port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything so far.
    pub(super) fn recorded(&self) -> Vec<Recorded> {
        let connections = self.connections.lock().expect("no thread panics");
        let copy = |one: &Arc<Mutex<Recorded>>| one.lock().expect("no thread panics").clone();
        connections.iter().map(copy).collect()
    }
}

fn record(mut socket: TcpStream, recorded: &Mutex<Recorded>) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        let mut answers = Vec::new();
        let mut recorded = recorded.lock().expect("no thread panics");
        recorded.bytes.extend(buffer.iter().take(count));
        pending.extend(buffer.iter().take(count));
        while let Some(message) = Message::parse(&pending, Kind::Request, false) {
            recorded
                .requests
                .push((Reading::plain(&message), message.raw.len()));
            pending.drain(..message.raw.len());
            answers.extend(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        drop(recorded);
        if socket.write_all(&answers).is_err() {
            break;
        }
    }
}
