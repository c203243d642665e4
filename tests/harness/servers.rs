//! Servers nobody here wrote, each before the few lines of ours that make it an API: started once,
//! on a port that is free or a socket of a folder, and gone when dropped.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use super::{Lines, tool};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stop: Signal,
    output: Arc<Lines>,
    /// Of nginx, with its sockets.
    folder: Option<TempDir>,
    /// Where it was told to listen.
    port: Option<u16>,
}

impl Server {
    /// Starts nginx on a configuration in which `FOLDER` stands for a folder of its own, `USER` for
    /// what it runs as, `PORT` for a port that is free, and other words for what `filled` says.
    pub(crate) fn nginx(configuration: &str, filled: &[(&str, &str)]) -> Self {
        let port = free_port();
        let folder = TempDir::new().expect("a temporary folder");
        let user = if getuid().is_root() { "user root;" } else { "" };
        let mut text = configuration
            .replace("FOLDER", &folder.path().display().to_string())
            .replace("PORT", &port.to_string())
            .replace("USER", user);
        for (word, value) in filled {
            text = text.replace(word, value);
        }
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a file in a new folder");
        // Debian keeps it where only root looks.
        let program = Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if program.exists() {
            program
        } else {
            Path::new("nginx")
        });
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
        let mut server = Self::start(&mut command, Signal::TERM, Output::Stderr);
        server.output.wait("nginx to start", |lines| {
            let started = |line: &String| line.contains("start worker process ");
            lines.iter().any(started).then_some(())
        });
        (server.folder, server.port) = (Some(folder), Some(port));
        server
    }

    /// Starts `HAProxy` on a configuration that is complete but for its `PORT`.
    pub(crate) fn haproxy(configuration: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("haproxy.cfg");
        let port = free_port();
        let text = configuration.replace("PORT", &port.to_string());
        std::fs::write(&file, text).expect("a file in a new folder");
        let program = Path::new("/usr/sbin/haproxy");
        let mut command = Command::new(if program.exists() {
            program
        } else {
            Path::new("haproxy")
        });
        command.args(["-W", "-db", "-f"]).arg(&file);
        let mut server = Self::start(&mut command, Signal::TERM, Output::Stderr);
        server.output.wait("HAProxy to start", |lines| {
            let started = |line: &String| line.contains("Loading success");
            lines.iter().any(started).then_some(())
        });
        (server.folder, server.port) = (Some(folder), Some(port));
        server
    }

    /// Starts a script of Node.
    pub(crate) fn node(script: &[&str]) -> Self {
        let mut command = Command::new("node");
        Self::start(command.args(script), Signal::TERM, Output::Stdout)
    }

    /// Starts a script of Python.
    pub(crate) fn python(script: &[&str]) -> Self {
        let mut command = Command::new(tool("venv/bin/python"));
        Self::start(command.args(script), Signal::TERM, Output::Stdout)
    }

    /// Starts an application of a folder in gunicorn, such as `routes:app`.
    pub(crate) fn gunicorn(folder: &str, more: &[&str]) -> Self {
        let mut command = Command::new(tool("venv/bin/gunicorn"));
        command
            .args(["--bind", "127.0.0.1:0", "--no-control-socket"])
            .args(["--keep-alive", "75", "--worker-class", "gthread"])
            .args(["--threads", "16", "--chdir", folder])
            .args(more)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        // Not SIGTERM, by which it waits for connections that rest.
        Self::start(&mut command, Signal::QUIT, Output::Stderr)
    }

    /// Starts a source file of Java, if there is a JDK.
    pub(crate) fn java(source: &str) -> Option<Self> {
        let found = Command::new("javac").arg("-version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut command = Command::new("java");
        command
            // Compiling takes longest, and is not to be done well.
            .args(["-XX:TieredStopAtLevel=1", "-Xshare:auto"])
            .arg("-Dsun.net.httpserver.idleInterval=75")
            .arg("-Dsun.net.httpserver.nodelay=true")
            .arg(source);
        Some(Self::start(&mut command, Signal::TERM, Output::Stdout))
    }

    fn start(command: &mut Command, stop: Signal, output: Output) -> Self {
        let (stdout, stderr) = match output {
            Output::Stdout => (Stdio::piped(), Stdio::inherit()),
            Output::Stderr => (Stdio::null(), Stdio::piped()),
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not run ({error})"));
        let output = match output {
            Output::Stdout => child.stdout.take().map(Lines::of),
            Output::Stderr => child.stderr.take().map(Lines::of),
        };
        let output = output.expect("it was piped");
        Self {
            child,
            stop,
            output,
            folder: None,
            port: None,
        }
    }

    /// The port it listens at.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.announced())
    }

    fn announced(&self) -> u16 {
        self.output.wait("a server to listen", |lines| {
            lines.iter().find_map(|line| {
                let line = line.to_ascii_lowercase();
                let (_, rest) = line.split_once("listening at")?;
                let mut words = rest.split_whitespace();
                words.find_map(|word| word.rsplit(':').next()?.parse().ok())
            })
        })
    }

    /// The `url` of an upstream in the settings.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The path of one of nginx' sockets.
    pub(crate) fn socket(&self, name: &str) -> String {
        let folder = self.folder.as_ref().expect("only nginx has a folder");
        folder.path().join(name).display().to_string()
    }
}

/// A port for servers that cannot be asked to find one.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr();
    address.expect("a bound socket has an address").port()
}

/// Where a server says that it listens.
#[derive(Clone, Copy)]
enum Output {
    Stdout,
    Stderr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, self.stop);
        }
        let _ = self.child.wait();
    }
}
