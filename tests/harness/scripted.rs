//! An upstream whose every byte a test reads and writes itself, for what has to happen in an order.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::ServerConfig;

use super::{Client, PATIENCE};

/// A port whose connections are handed out one by one.
pub(crate) struct Scripted {
    address: SocketAddr,
    accepted: Receiver<Client>,
}

impl Scripted {
    /// Starts to listen. The port stays open until the process ends.
    pub(crate) fn start() -> Self {
        Self::begin("127.0.0.1:0", Client::of)
    }

    /// The same at an address of its own, such as `127.0.0.2:0`.
    pub(crate) fn at(address: &str) -> Self {
        Self::begin(address, Client::of)
    }

    /// The same with TLS.
    pub(crate) fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::begin("127.0.0.1:0", move |socket| {
            Client::of_tls(socket, Arc::clone(&config))
        })
    }

    fn begin(address: &str, greet: impl Fn(TcpStream) -> Client + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (sender, accepted) = channel();
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if sender.send(greet(socket)).is_err() {
                    break;
                }
            }
        });
        Self { address, accepted }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `url` of an upstream in the settings.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next connection the gateway opens.
    pub(crate) fn accept(&self) -> Client {
        let accepted = self.accepted.recv_timeout(PATIENCE);
        accepted.expect("the gateway opens a connection")
    }

    /// Says whether the gateway opens another connection within `wait`.
    pub(crate) fn is_called_within(&self, wait: Duration) -> bool {
        self.accepted.recv_timeout(wait).is_ok()
    }
}
