//! httpbin as its authors wrote it, served by gunicorn on a port that was free.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Lines, tool};

/// A running httpbin. It goes away when it is dropped.
#[derive(Debug)]
pub(super) struct Httpbin {
    master: Child,
    address: SocketAddr,
}

impl Httpbin {
    /// Starts it and waits until it listens.
    pub(super) fn start() -> Self {
        let mut master = Command::new(tool("venv/bin/gunicorn"))
            .args(["--bind", "127.0.0.1:0", "--no-control-socket"])
            .args(["--worker-class", "gthread", "--threads", "16"])
            .arg("httpbin:app")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gunicorn runs");
        let log = Lines::of(master.stderr.take().expect("it was piped"));
        let address = log.wait("gunicorn to listen", |lines| {
            lines.iter().find_map(|line| {
                let (_, rest) = line.split_once("Listening at: http://")?;
                rest.split(' ').next()?.parse().ok()
            })
        });
        Self { master, address }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `url` of an upstream in the settings.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Httpbin {
    fn drop(&mut self) {
        // Not SIGKILL: the master has to take its worker along.
        let pid = i32::try_from(self.master.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.master.wait();
    }
}
