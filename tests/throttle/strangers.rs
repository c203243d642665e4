//! E15 to E17 at size: strangers by the million, and the few we know beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::from;
use crate::harness::load::{Caller, all, run};
use crate::harness::long::{is_strict, passed, sized, told};
use crate::harness::{Api, Fixture, Gateway, Key, request};

const POLICY: &str = r"
upstream: items
permissions: { items:read: See items }
roles: { reader: { description: Sees, permissions: [items:read] } }
routes:
  GET /v1/{rest...}: items:read
";

/// Tokens that are in use while strangers come.
const GOOD: usize = 1000;
/// Connections of strangers, and of those we know.
const STRANGERS: usize = 16;
const FRIENDS: usize = 4;
/// Where the keys of ours are used, and where somebody guesses one.
const HOME: &str = "192.0.2.2";
const GUESSER: &str = "198.51.100.1";

/// What the whole process may grow by. The tables of sources and of rates take 8 MiB each at most, what
/// is kept of refusals another 8, and the rest is the allocator's.
const GROWTH_MAX: u64 = 32 << 20;

/// One key is tried by one source as often as it can; a million sources, half of them in one /64, show
/// a token each that has our form and a signature of nobody's; and meanwhile the owner uses his key
/// and a thousand tokens are used.
#[test]
fn e15_e16_e17_strangers_by_the_million_cost_little_and_nobody_we_know_feels_them() {
    let strangers = sized(4000, 1_000_000);
    let api = Api::start();
    let files = Fixture::before(&api.url())
        .policy("items.yaml", POLICY)
        .listener("trusted_proxies: [127.0.0.1], basic: true, limits: { failures_per_source: 100, failures_window: 1h }")
        .settings("log: { decisions: denied }\nrates: { token_endpoint: 1000000/s }");
    let gateway = Gateway::start_unheard(files.write());
    let (key, other) = (
        gateway.account("owner", &["reader"]),
        gateway.account("other", &[]),
    );
    let good: Vec<_> = (0..sized(50, GOOD)).map(|_| gateway.token(&key)).collect();
    let wrong = Key {
        secret: other.secret,
        ..key.clone()
    };
    let scene = Arc::new(Scene::new(gateway.address(), &good, [&key, &wrong]));
    // Each has been used before, and is used again.
    run(scene.use_each());
    let (process, hits) = (gateway.process(), hits(&gateway));
    let before = process.resident();
    let began = Instant::now();
    run(come(&scene, strangers));
    let took = began.elapsed();
    let grown = process.resident().saturating_sub(before);
    let friends = scene.friends.load(Ordering::SeqCst);
    let hit = self::hits(&gateway) - hits;
    let guesses = scene.guesses.load(Ordering::SeqCst);
    let said = format!(
        "{strangers} sources with a token each and {guesses} guesses of one key in {took:?}: {} MiB \
         more memory, {friends} calls with {} tokens served, {hit} of them from memory, and {} with the \
         key",
        grown >> 20,
        good.len(),
        scene.owners.load(Ordering::SeqCst),
    );
    told(&said);
    assert!(
        scene.owners.load(Ordering::SeqCst) > 0 && friends > 0,
        "{said}"
    );
    assert!(hit as f64 >= 0.99 * friends as f64, "{said}");
    // Who guesses waits, and is told for how long.
    let guess = || gateway.send(&scene.guess);
    let answers = std::iter::repeat_with(guess).take(101);
    let mut refused = answers.filter(|answer| answer.status() == 429);
    let answer = refused.next().expect("a hundred guesses an hour are all");
    assert!(super::wait(&answer) >= 1);
    // So does everybody in the /64 it came from, and nobody beside it.
    for (source, status) in [("2001:db8::ffff:ffff", 429), ("2001:db9::1", 401)] {
        let answer = from(&gateway, source, "GET /v1/quick", &[]);
        assert_eq!(answer.status(), status, "{source}");
    }
    assert!(!is_strict() || grown <= GROWTH_MAX, "{said}");
    for row in ["E15", "E16", "E17"] {
        passed(row, &said);
    }
}

/// Tokens found in the cache so far.
fn hits(gateway: &Gateway) -> u64 {
    let metrics = gateway.ops("/metrics");
    let metrics = metrics.text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_token_cache_hits_total "));
    line.and_then(|figure| figure.parse().ok())
        .expect("a figure")
}

fn asks(source: &str, credential: &str) -> Vec<u8> {
    let headers = [("X-Forwarded-For", source), ("Authorization", credential)];
    request("GET /v1/quick", &headers, b"")
}

/// A token of ours without the end of its signature, where a stranger puts something else: whoever
/// reads it has to compute to find that it is none.
fn forged(token: &str) -> String {
    let kept = token.len() - STRANGE;
    token.chars().take(kept).collect()
}

/// Characters that differ from stranger to stranger.
const STRANGE: usize = 12;

/// Everybody, and what they ask.
#[derive(Debug)]
struct Scene {
    address: SocketAddr,
    good: Vec<Vec<u8>>,
    owner: Vec<u8>,
    guess: Vec<u8>,
    forged: String,
    is_over: AtomicBool,
    strangers: AtomicUsize,
    friends: AtomicUsize,
    owners: AtomicUsize,
    guesses: AtomicUsize,
}

impl Scene {
    /// Nobody has come yet.
    fn new(address: SocketAddr, good: &[String], [key, wrong]: [&Key; 2]) -> Self {
        let bearers = good.iter().map(|token| format!("Bearer {token}"));
        Self {
            address,
            good: bearers.map(|bearer| asks(HOME, &bearer)).collect(),
            owner: asks(HOME, &key.basic()),
            guess: asks(GUESSER, &wrong.basic()),
            forged: forged(&good[0]),
            is_over: AtomicBool::new(false),
            strangers: AtomicUsize::new(0),
            friends: AtomicUsize::new(0),
            owners: AtomicUsize::new(0),
            guesses: AtomicUsize::new(0),
        }
    }

    /// Uses each token and the key twice, so that they are known.
    async fn use_each(&self) {
        let mut caller = Caller::connect(self.address).await.expect("it listens");
        for ask in self.good.iter().chain([&self.owner]) {
            for _ in 0..2 {
                let answer = caller.ask(ask).await.expect("an answer");
                assert_eq!(answer.status(), 200, "{answer:?}");
            }
        }
    }

    /// Comes from one source after the other, with another token each time, until there were `all`.
    async fn stranger(self: Arc<Self>, all: usize) {
        let mut caller = Caller::connect(self.address).await.expect("it listens");
        loop {
            let number = self.strangers.fetch_add(1, Ordering::SeqCst);
            if number >= all {
                return;
            }
            // Every second one is of one /64, the others have one each.
            let source = match number % 2 {
                0 => format!("2001:db8::{:x}:{:x}", number >> 16, number & 0xffff),
                _ => format!("2001:dba:{:x}:{:x}::1", number >> 16, number & 0xffff),
            };
            let ask = asks(
                &source,
                &format!("Bearer {}{number:0STRANGE$}", self.forged),
            );
            let answer = caller.ask(&ask).await.expect("an answer");
            assert!([401, 429].contains(&answer.status()), "{answer:?}");
        }
    }

    /// Uses all tokens in turn until the strangers are gone.
    async fn friend(self: Arc<Self>, first: usize) {
        let mut caller = Caller::connect(self.address).await.expect("it listens");
        for ask in self.good.iter().cycle().skip(first) {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let answer = caller.ask(ask).await.expect("an answer");
            assert_eq!(answer.status(), 200, "{answer:?}");
            self.friends.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Uses the key that somebody guesses.
    async fn owner(self: Arc<Self>) {
        let mut caller = Caller::connect(self.address).await.expect("it listens");
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = caller.ask(&self.owner).await.expect("an answer");
            assert_eq!(answer.status(), 200, "{answer:?}");
            self.owners.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Guesses the secret of a key, and goes on though it is told to wait.
    async fn guesser(self: Arc<Self>) {
        let mut caller = Caller::connect(self.address).await.expect("it listens");
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = caller.ask(&self.guess).await.expect("an answer");
            assert!([401, 429].contains(&answer.status()), "{answer:?}");
            self.guesses.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Lets everybody come at once.
async fn come(scene: &Arc<Scene>, count: usize) {
    let strangers = all((0..STRANGERS).map(|_| Arc::clone(scene).stranger(count)));
    let share = scene.good.len() / FRIENDS;
    let friends = all((0..FRIENDS).map(|number| Arc::clone(scene).friend(number * share)));
    let owner = all([Arc::clone(scene).owner()]);
    let guesser = all([Arc::clone(scene).guesser()]);
    let over = async {
        strangers.await;
        scene.is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(over, friends, owner, guesser);
}
