//! E24 and H08: verifying, taking back and remembering, in every order that three threads can come in.
//!
//! Run by `cargo test --features model --lib model`; see [`crate::sync`].

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::{Config, Runner, thread};

use super::Verifier;
use super::world::{START, World};
use crate::credential::Credential;
use crate::directory::{Handle, State};

/// Orders that are tried, of either kind; and in the long run.
const ORDERS: usize = 3000;
const ORDERS_LONG: usize = 300_000;

/// What the threads of one run share.
struct Scene {
    handle: Handle,
    verifier: Verifier,
    token: String,
    /// Whether the call that takes back has returned.
    acknowledged: AtomicBool,
}

impl Scene {
    /// Calls as a request does: a snapshot of the state, and a judgement by it.
    fn calls(&self) -> bool {
        let state = self.handle.snapshot();
        let credential = Credential::Bearer(&self.token);
        self.verifier
            .verify(&credential, &state, (START, None))
            .is_ok()
    }
}

/// Lets two callers call while `take_back` is made, in one order after the other.
fn check(take_back: impl Fn(&mut World) + Send + Sync + 'static) {
    let mut world = World::new();
    let token = world.token("ci", None);
    let before = Arc::new(world.state());
    take_back(&mut world);
    let after = Arc::new(world.state());
    let (tokens, pepper) = (world.tokens.clone(), Arc::clone(&world.pepper));
    let scenario = move || {
        let copy = |state: &State| State {
            policy: Arc::clone(&state.policy),
            directory: state.directory.clone(),
        };
        let scene = Arc::new(Scene {
            handle: Handle::new(copy(&before)),
            verifier: Verifier::new(&tokens, Some(Arc::clone(&pepper))),
            token: token.clone(),
            acknowledged: AtomicBool::new(false),
        });
        let callers = (0..2).map(|_| {
            let scene = Arc::clone(&scene);
            thread::spawn(move || {
                for _ in 0..3 {
                    let was_acknowledged = scene.acknowledged.load(Ordering::SeqCst);
                    let passed = scene.calls();
                    assert!(
                        !(was_acknowledged && passed),
                        "let through after it was taken back"
                    );
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        let change = Arc::clone(&scene);
        let after = copy(&after);
        let changer = thread::spawn(move || {
            change.handle.store(after);
            change.acknowledged.store(true, Ordering::SeqCst);
        });
        for thread in callers.into_iter().chain([changer]) {
            thread.join().expect("it says itself what went wrong");
        }
        // Whatever was remembered meanwhile opens nothing now.
        assert!(!scene.calls());
    };
    let scenario = Arc::new(scenario);
    let run = Arc::clone(&scenario);
    let is_long = std::env::var_os("PORTCULLIS_LONG").is_some_and(|value| !value.is_empty());
    let orders = if is_long { ORDERS_LONG } else { ORDERS };
    Runner::new(RandomScheduler::new(orders), Config::new()).run(move || run());
    Runner::new(PctScheduler::new(3, orders), Config::new()).run(move || scenario());
}

#[test]
fn e24_a_key_that_was_ended_while_its_token_was_verified_opens_nothing() {
    check(|world| world.end_key("ci", START));
}

#[test]
fn e24_a_key_that_is_gone_opens_nothing() {
    check(|world| world.forget_keys("ci"));
}

#[test]
fn e24_an_account_that_is_gone_opens_nothing() {
    check(|world| world.forget_account("ci"));
}
