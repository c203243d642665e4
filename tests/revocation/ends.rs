//! B38: what comes to its end by the clock. No change tells anybody that a key has come to the end
//! that was set for it long ago; a token has an end as well, and that ends nothing that is open.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis::clock::Clock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::kinds::Kind;
use super::streams::wait;
use super::{By, Held, before};
use crate::harness::load::run;
use crate::harness::{Api, Gateway, Key, PATIENCE};

/// How long a key has left when its streams are being opened; also long enough for every core to have
/// looked at its clock a few times since a token ran out.
const LEFT: Duration = Duration::from_secs(5);

/// How long the token lives that has to run out; its streams are open by then.
const TOKEN: &str = "&lifetime=4";

/// The clocks of two processes are read at two moments.
const APART: Duration = Duration::from_millis(100);

/// How a key gets its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was made so.
    Made,
    /// It was set later.
    Set,
    /// Another key took its place, and the two overlap.
    Overlap,
}

impl End {
    const ALL: [Self; 3] = [Self::Made, Self::Set, Self::Overlap];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[test]
fn b38_what_is_open_ends_with_its_key_by_the_clock_and_not_with_its_token() {
    let (api, grpc) = (Api::start(), Api::http2());
    let gateway = before(&api, &grpc).start();
    let address = gateway.address();
    let open =
        || api.counts().open.load(Ordering::SeqCst) + grpc.counts().open.load(Ordering::SeqCst);
    let kinds = Kind::ALL.len();
    run(async {
        let kept = Held::new(&gateway, "kept", By::Role);
        let token = gateway.token_of(&kept.key, TOKEN);
        let mut others = JoinSet::new();
        for kind in Kind::ALL {
            others.spawn(kind.hold(address, token.clone()));
        }
        wait("the streams that stay", || open() == kinds).await;
        let mut refused = 0;
        wait("the token to run out", || {
            let is_over = gateway.ask("GET /v1/quick", Some(&token)).status() == 401;
            refused += usize::from(is_over);
            is_over
        })
        .await;

        let mut streams = JoinSet::new();
        for end in End::ALL {
            let held = Held::new(&gateway, &end.name(), By::Role);
            let (mut key, mut due) = (held.key.clone(), Instant::now());
            if end == End::Made {
                (key, due) = made(&gateway, &held.name);
            }
            let token = gateway.token(&key);
            let before = open();
            let mut opened = JoinSet::new();
            for kind in Kind::ALL {
                opened.spawn(kind.hold(address, token.clone()));
            }
            wait(&format!("streams of {end:?}"), || open() == before + kinds).await;
            if end != End::Made {
                due = is_to_end(&gateway, &key, end);
            }
            streams.spawn(async move { (end, due, opened.join_all().await) });
        }
        let all = tokio::time::timeout(PATIENCE, streams.join_all());
        let all = all.await.expect("every stream ends with its key");
        for (end, due, ended) in all {
            for at in ended {
                assert!(at + APART >= due, "{end:?}: {:?} too early", due - at);
            }
        }
        wait("the upstreams to hear of it", || open() == kinds).await;
        assert!(others.try_join_next().is_none(), "a token ended a stream");
        let denied = refused + End::ALL.len() * kinds;
        let lines = gateway.decisions(denied);
        let by_key = |line: &&Value| line["portcullis.reason"] == "key_expired";
        assert_eq!(lines.iter().filter(by_key).count(), denied - refused);
    });
}

/// A key that is made with an end, and when that is.
fn made(gateway: &Gateway, account: &str) -> (Key, Instant) {
    let due = Instant::now() + LEFT;
    let at = Clock::System.now().plus(LEFT);
    let operation = json!({ "operation": "keys_create", "account": account, "expires_at": at });
    let made = gateway.operate(&operation);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (id, secret) = (text("id"), text("secret"));
    (Key { id, secret }, due)
}

/// Sets an end for a key that is in use; when that is.
fn is_to_end(gateway: &Gateway, key: &Key, end: End) -> Instant {
    let due = Instant::now() + LEFT;
    let at = Clock::System.now().plus(LEFT);
    gateway.operate(&match end {
        End::Made | End::Set => json!({ "operation": "keys_expire", "key": key.id, "at": at }),
        End::Overlap => json!({
            "operation": "keys_rotate", "key": key.id, "overlap_seconds": LEFT.as_secs(),
        }),
    });
    due
}
