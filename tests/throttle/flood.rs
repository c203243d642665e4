//! E31: somebody floods the token endpoint, and what is forwarded beside it does not wait for that.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::harness::load::{Caller, Latencies, run};
use crate::harness::long::{is_strict, passed, sized, told};
use crate::harness::{Api, Fixture, Gateway, Key, request};

const POLICY: &str = r"
upstream: items
permissions: { items:read: See items }
roles: { reader: { description: Sees, permissions: [items:read] } }
routes:
  GET /v1/{rest...}: items:read
";

/// Connections that ask for tokens, each as soon as it has an answer.
const CONNECTIONS: usize = 64;
/// Requests that are forwarded one after the other, without and beside the flood.
const BATCH: usize = 500;
/// Who waits so long was not served beside the others but after them, on a machine that does nothing
/// else.
const UNSERVED: Duration = Duration::from_millis(500);
/// How often each is measured, in turns: a machine that becomes slower meanwhile makes both slower.
const ROUNDS: usize = 10;

/// Signed or refused, a token request is let wait for what is forwarded.
#[test]
fn e31_a_flood_of_the_token_endpoint_leaves_what_is_forwarded_alone() {
    let floods = [
        ("all of them signed", "rates: { token_endpoint: 1000000/s }"),
        ("most of them refused", "rates: { token_endpoint: 10/s }"),
    ];
    let said = floods.map(|(what, rates)| {
        let api = Api::start();
        let files = Fixture::before(&api.url())
            .policy("items.yaml", POLICY)
            .settings(&format!(
                "threads: 1\nlog: {{ decisions: denied }}\n{rates}"
            ));
        let gateway = Gateway::start_unheard(files.write());
        let key = gateway.account("ci", &["reader"]);
        let token = gateway.token(&key);
        judge(what, || measure(&gateway, &key, &token))
    });
    passed("E31", &said.join("; "));
}

/// What a forwarded request waits, and how often a token was asked for meanwhile.
struct Seen {
    quiet: Latencies,
    busy: Latencies,
    flood: String,
}

/// A machine that does other things beside gives no figures that can be compared closely, so only the
/// long run asks for what we promise, and more than once if need be.
fn judge(what: &str, measure: impl Fn() -> Seen) -> String {
    const TRIES: usize = 5;
    for turn in 1.. {
        let seen = measure();
        let both = |part: f64| (seen.quiet.quantile(part), seen.busy.quantile(part));
        let ((quiet, busy), (quiet_tail, busy_tail)) = (both(0.5), both(0.99));
        let said = format!(
            "{what}: forwarded in {quiet:?} alone and {busy:?} beside {}, p99 {quiet_tail:?} and \
             {busy_tail:?}",
            seen.flood
        );
        told(&format!("E31: {said}"));
        assert!(
            !is_strict() || busy < UNSERVED,
            "nothing else is served: {said}"
        );
        if !is_strict() || busy_tail.as_secs_f64() < 1.2 * quiet_tail.as_secs_f64() {
            return said;
        }
        assert!(turn < TRIES, "{turn} times: {said}");
    }
    unreachable!("it ends by an assertion")
}

fn measure(gateway: &Gateway, key: &Key, token: &str) -> Seen {
    let bearer = format!("Bearer {token}");
    let quick = request("GET /v1/quick", &[("Authorization", &bearer)], b"");
    let (address, rounds) = (gateway.address(), sized(2, ROUNDS));
    run(async {
        let mut seen = Seen {
            quiet: Latencies::default(),
            busy: Latencies::default(),
            flood: String::new(),
        };
        let mut floods = Vec::new();
        for _ in 0..rounds {
            seen.quiet
                .add(&Latencies::measure(address, &quick, BATCH).await);
            let flood = Flood::begin(gateway, key);
            tokio::time::sleep(Duration::from_millis(100)).await;
            seen.busy
                .add(&Latencies::measure(address, &quick, BATCH).await);
            floods.push(flood.end().await);
        }
        floods.sort_unstable();
        seen.flood = format!("{} token requests a second", floods[rounds / 2]);
        seen
    })
}

/// A crowd that asks for tokens.
enum Flood {
    /// In this process: it takes from those who are measured, and serves where nothing is promised.
    Within {
        asked: Arc<AtomicUsize>,
        began: std::time::Instant,
        is_over: Arc<AtomicBool>,
        callers: JoinSet<()>,
    },
    /// In a process of its own, which yields to those who are measured wherever both want a processor.
    Beside(Child),
}

impl Flood {
    fn begin(gateway: &Gateway, key: &Key) -> Self {
        if is_strict() {
            return Self::beside(gateway, key);
        }
        let (asked, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let ask: Arc<[u8]> = question(key).into();
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (asked, is_over, ask) = (Arc::clone(&asked), Arc::clone(&is_over), ask.clone());
            let address = gateway.address();
            callers.spawn(async move {
                let mut caller = Caller::connect(address).await.expect("it listens");
                while !is_over.load(Ordering::Relaxed) {
                    let answer = caller.ask(&ask).await.expect("every request is answered");
                    assert!([200, 429].contains(&answer.status()), "{answer:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self::Within {
            asked,
            began: std::time::Instant::now(),
            is_over,
            callers,
        }
    }

    fn beside(gateway: &Gateway, key: &Key) -> Self {
        let script = gateway.files().path("flood.lua");
        write_script(&script, key);
        let wrk = Command::new("nice")
            .args(["-n", "19", "wrk", "-t1", "-d60s"])
            .arg(format!("-c{CONNECTIONS}"))
            .arg("-s")
            .arg(script)
            .arg(format!("http://{}/oauth/token", gateway.address()))
            .stdout(Stdio::piped())
            .spawn();
        Self::Beside(wrk.expect("`wrk` is installed by `tests/run`"))
    }

    /// Ends it; how often it asked in a second.
    async fn end(self) -> u64 {
        match self {
            Self::Within {
                asked,
                began,
                is_over,
                mut callers,
            } => {
                is_over.store(true, Ordering::Relaxed);
                while let Some(ended) = callers.join_next().await {
                    ended.expect("it says itself what went wrong");
                }
                let millis = began.elapsed().as_millis().max(1) as u64;
                asked.load(Ordering::Relaxed) as u64 * 1000 / millis
            }
            Self::Beside(mut wrk) => {
                let pid = rustix::process::Pid::from_child(&wrk);
                rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
                let mut text = String::new();
                let output = wrk.stdout.as_mut().expect("it was piped");
                std::io::Read::read_to_string(output, &mut text).expect("text");
                wrk.wait().expect("it ends");
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Requests/sec:"));
                let rate = line.and_then(|rate| rate.trim().split('.').next()?.parse().ok());
                rate.unwrap_or_else(|| panic!("wrk said: {text}"))
            }
        }
    }
}

fn question(key: &Key) -> Vec<u8> {
    let basic = key.basic();
    let form = "application/x-www-form-urlencoded";
    let headers = [("Authorization", basic.as_str()), ("Content-Type", form)];
    request(
        "POST /oauth/token",
        &headers,
        b"grant_type=client_credentials",
    )
}

fn write_script(path: &Path, key: &Key) {
    let text = format!(
        "wrk.method = 'POST'\nwrk.body = 'grant_type=client_credentials'\n\
         wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'\n\
         wrk.headers['Authorization'] = '{}'\n",
        key.basic()
    );
    std::fs::write(path, text).expect("a file in a folder of its own");
}
