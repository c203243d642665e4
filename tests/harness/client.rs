//! A client that sends any bytes at all.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use super::{Kind, Message, PATIENCE};

/// One connection.
pub(crate) struct Client {
    wire: Box<dyn Wire>,
    /// The socket below `wire`.
    socket: TcpStream,
    pending: Vec<u8>,
    ended: bool,
    refused: bool,
}

/// Bytes in and out: a socket, or TLS on one.
trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

impl Client {
    /// Connects to `address`.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(socket(address))
    }

    /// The other end of a connection that was accepted.
    pub(crate) fn of(socket: TcpStream) -> Self {
        let wire = socket.try_clone().expect("a socket can be shared");
        Self::over(Box::new(wire), socket)
    }

    /// The other end of a connection that was accepted, with TLS.
    pub(crate) fn of_tls(socket: TcpStream, config: Arc<ServerConfig>) -> Self {
        let wire = socket.try_clone().expect("a socket can be shared");
        let session = ServerConnection::new(config).expect("a sound configuration");
        Self::over(Box::new(StreamOwned::new(session, wire)), socket)
    }

    /// Connects to `address` with TLS, as to the host `gate.test`; `certificate` alone is trusted.
    pub(crate) fn connect_tls(address: SocketAddr, certificate: &CertificateDer<'static>) -> Self {
        Self::connect_tls_speaking(address, certificate, "")
    }

    /// The same, and offers one protocol by ALPN; nothing if `protocol` is empty.
    pub(crate) fn connect_tls_speaking(
        address: SocketAddr,
        certificate: &CertificateDer<'static>,
        protocol: &str,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate.clone())
            .expect("a certificate of ours");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the usual suites")
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !protocol.is_empty() {
            config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        }
        let name = "gate.test".try_into().expect("a host name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a sound configuration");
        let socket = socket(address);
        let wire = socket.try_clone().expect("a socket can be shared");
        Self::over(Box::new(StreamOwned::new(session, wire)), socket)
    }

    fn over(wire: Box<dyn Wire>, socket: TcpStream) -> Self {
        Self {
            wire,
            socket,
            pending: Vec::new(),
            ended: false,
            refused: false,
        }
    }

    /// Sends `bytes`. A peer that has hung up already is no error: its answer may be waiting.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let sent = self
            .wire
            .write_all(bytes.as_ref())
            .and_then(|()| self.wire.flush());
        self.refused = sent.is_err();
        self
    }

    /// Whether the peer would not take what was sent last.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        let _ = self.socket.shutdown(Shutdown::Write);
        self
    }

    /// The next final response; `100 Continue` and its like are passed over.
    pub(crate) fn response(&mut self) -> Message {
        self.next(Kind::Response)
    }

    /// The next final response, to a HEAD request.
    pub(crate) fn response_to_head(&mut self) -> Message {
        self.next(Kind::ResponseToHead)
    }

    /// The next response of any kind, interim ones too.
    pub(crate) fn any_response(&mut self, kind: Kind) -> Message {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(message) = Message::parse(&self.pending, kind, self.ended) {
                self.pending.drain(..message.raw.len());
                return message;
            }
            assert!(
                !self.ended && self.read(until),
                "instead of a whole response came {:?}{}",
                String::from_utf8_lossy(&self.pending),
                if self.ended {
                    " and the end"
                } else {
                    " and then nothing"
                },
            );
        }
    }

    fn next(&mut self, kind: Kind) -> Message {
        loop {
            let message = self.any_response(kind);
            if message.status() >= 200 || message.status() == 101 {
                return message;
            }
        }
    }

    /// At least `count` bytes as they come, or fewer if the peer hangs up.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let until = Instant::now() + PATIENCE;
        while self.pending.len() < count && !self.ended {
            assert!(
                self.read(until),
                "{} of {count} bytes came, and then nothing",
                self.pending.len()
            );
        }
        std::mem::take(&mut self.pending)
    }

    /// The next head, as far as its blank line; the body stays.
    pub(crate) fn head(&mut self) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let end = self.pending.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.pending.drain(..end + 4).collect();
                return String::from_utf8_lossy(&head).into_owned();
            }
            assert!(
                !self.ended && self.read(until),
                "instead of a head came {:?}",
                String::from_utf8_lossy(&self.pending)
            );
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Everything until the peer hangs up.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.bytes(usize::MAX)
    }

    /// Says whether the peer hangs up within `wait` without sending more.
    pub(crate) fn ends_within(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !self.ended && self.pending.is_empty() && self.read(until) {}
        self.ended && self.pending.is_empty()
    }

    /// Says whether bytes came that nobody has asked for yet.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads something or the end; says whether either came in time.
    fn read(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        self.socket
            .set_read_timeout(Some(left))
            .expect("a socket has options");
        let mut buffer = [0; 64 * 1024];
        match self.wire.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.pending.extend(buffer.iter().take(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => self.ended = true,
        }
        true
    }
}

fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("nobody listens at {address}: {error}"));
    socket.set_nodelay(true).expect("a socket has options");
    socket
}

/// Sends `bytes` on a connection of their own and returns what comes back: the first final
/// response, and whatever follows it if the connection is closed after it.
pub(crate) fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(bytes);
    let until = Instant::now() + PATIENCE;
    while !client.ended {
        let whole = Message::parse(&client.pending, Kind::Response, false);
        let closes = |message: &Message| message.header("connection") == Some("close");
        if whole.is_some_and(|message| message.status() >= 200 && !closes(&message)) {
            break;
        }
        assert!(
            client.read(until),
            "{:?} came, and then nothing",
            String::from_utf8_lossy(&client.pending)
        );
    }
    client.pending
}

/// A well-formed request: `line` is method and target; `Host` and `Content-Length` are added.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: gate.test\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}
