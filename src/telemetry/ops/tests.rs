//! The ops port, asked over real sockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::forward::pool::Shared;
use crate::settings::{Upstream, UpstreamAddress};
use crate::telemetry::health::Check;
use crate::telemetry::metrics::AccountLabels;

fn upstream(name: &str, at: SocketAddr, probe: Option<&str>) -> Upstream {
    let address = UpstreamAddress::Tcp {
        host: at.ip().to_string(),
        port: at.port(),
    };
    Upstream {
        probe: probe.map(str::to_owned),
        ..Upstream::plain(name.parse().unwrap(), vec![address], at.to_string())
    }
}

/// An ops port in front of `upstreams`.
async fn start(upstreams: &[Upstream]) -> (SocketAddr, Arc<Health>, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Arc::new(Health::default());
    let shared = upstreams
        .iter()
        .map(|one| Arc::new(Shared::new(one).unwrap()));
    let shared: Vec<_> = shared.collect();
    let ops = Ops {
        metrics: Arc::new(Metrics::new(AccountLabels::Off)),
        health: Arc::clone(&health),
        probes: Arc::new(Probes::new(&shared)),
    };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(ops.serve(listener, stop.clone()));
    tasks.detach_all();
    (address, health, stop)
}

async fn ask(address: SocketAddr, request_line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An upstream that answers one connection after the other with `answer`, and tells what it heard.
async fn upstream_that_answers(
    answer: &'static str,
) -> (SocketAddr, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let theirs = Arc::clone(&heard);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            *theirs.lock().unwrap() = String::from_utf8_lossy(&buffer[..length]).into_owned();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    tasks.detach_all();
    (address, heard)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn metrics_are_text_that_prometheus_reads() {
    let (address, ..) = start(&[]).await;
    let answer = ask(address, "GET /metrics").await;
    assert_eq!(status(&answer), "200");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(
        answer.contains("\nportcullis_requests_in_flight 0\n"),
        "{answer}"
    );
    assert!(!answer.to_lowercase().contains("\nserver:"), "{answer}");
}

#[tokio::test]
async fn health_is_told_shortly_or_check_by_check() {
    let (address, health, _) = start(&[]).await;
    health.pass(Check::Policy);
    assert_eq!(status(&ask(address, "GET /livez").await), "200");
    assert_eq!(status(&ask(address, "GET /startupz").await), "503");
    let verbose = ask(address, "GET /readyz?verbose").await;
    assert_eq!(status(&verbose), "503");
    assert!(
        verbose.contains("[+]policy ok\n[-]directory not ok\n"),
        "{verbose}"
    );

    Check::ALL.iter().for_each(|check| health.pass(*check));
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(
            status(&ask(address, &format!("GET {path}")).await),
            "200",
            "{path}"
        );
    }
    health.drain();
    assert_eq!(status(&ask(address, "GET /readyz").await), "503");
    assert_eq!(status(&ask(address, "GET /livez").await), "200");
}

#[tokio::test]
async fn nothing_else_is_there_and_nothing_can_be_changed() {
    let (address, ..) = start(&[]).await;
    for (request, expected) in [
        ("GET /", "404"),
        ("GET /metrics/", "404"),
        ("POST /metrics", "405"),
        ("DELETE /readyz", "405"),
        ("POST /probe/app", "405"),
        ("GET /probe/", "404"),
    ] {
        assert_eq!(status(&ask(address, request).await), expected, "{request}");
    }
}

#[tokio::test]
async fn a_probe_tells_whether_the_answer_was_good_and_nothing_of_it() {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Hidden: 1\r\n\r\nsecret";
    let (good, heard) = upstream_that_answers(good).await;
    let (bad, _) = upstream_that_answers("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    let (junk, _) = upstream_that_answers("SSH-2.0-OpenSSH\r\n\r\n").await;
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let (address, ..) = start(&[
        upstream("good", good, Some("/healthz")),
        upstream("bad", bad, Some("/healthz")),
        upstream("junk", junk, Some("/healthz")),
        upstream("gone", gone, Some("/healthz")),
        upstream("silent", good, None),
    ])
    .await;

    let answer = ask(address, "GET /probe/good").await;
    assert_eq!(status(&answer), "200");
    assert!(
        !answer.contains("secret") && !answer.contains("hidden"),
        "{answer}"
    );
    let heard = heard.lock().unwrap().clone();
    assert!(heard.starts_with("GET /healthz HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: {good}\r\n")), "{heard}");

    for (name, expected, why) in [
        ("bad", "503", "it answered 500"),
        ("junk", "503", "no HTTP answer"),
        ("gone", "503", "no connection"),
        (
            "silent",
            "404",
            "no upstream of that name has a `probe` path",
        ),
        (
            "unknown",
            "404",
            "no upstream of that name has a `probe` path",
        ),
    ] {
        let answer = ask(address, &format!("GET /probe/{name}")).await;
        assert_eq!(status(&answer), expected, "{name}");
        assert!(answer.contains(why), "{name}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_nothing_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream("app", silent.local_addr().unwrap(), Some("/"));
    let probes = Probes::new(&[Arc::new(Shared::new(&upstream).unwrap())]);
    assert!(matches!(probes.ask("app").await, Err(ProbeError::Timeout)));
}

#[tokio::test]
async fn the_port_closes_when_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ops = Ops {
        metrics: Arc::new(Metrics::new(AccountLabels::Off)),
        health: Arc::default(),
        probes: Arc::new(Probes::new(&[])),
    };
    let idle = TcpStream::connect(address).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let closed = tokio::time::timeout(Duration::from_secs(10), ops.serve(listener, stop)).await;
    assert!(closed.is_ok(), "an idle connection does not hold it open");
    drop(idle);
}
