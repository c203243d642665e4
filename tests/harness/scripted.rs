//! An upstream whose every byte a test reads and writes itself, for what has to happen in an order.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Client, PATIENCE};

/// A port whose connections are handed out one by one.
pub(crate) struct Scripted {
    address: SocketAddr,
    accepted: Receiver<Client>,
}

impl Scripted {
    /// Starts to listen. The port stays open until the process ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (sender, accepted) = channel();
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if sender.send(Client::of(socket)).is_err() {
                    break;
                }
            }
        });
        Self { address, accepted }
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
