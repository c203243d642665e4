//! E26: a key is replaced while both are in use, as calls see it.

use std::time::Duration;

use super::{READ, asks_for_token, key_of, start, words};
use crate::harness::{Gateway, Key, PATIENCE, until};

/// What a new token of the key and a call with an old one get.
fn answers(gateway: &Gateway, (key, token): (&Key, &str)) -> [u16; 2] {
    let fresh = asks_for_token(gateway, key).status();
    [fresh, gateway.ask(READ, Some(token)).status()]
}

fn rotate(gateway: &Gateway, key: &Key, overlap: &str) -> (Key, String) {
    let line = format!("keys rotate {} --overlap {overlap}", key.id);
    let key = key_of(&gateway.json(&words(&line)));
    let token = gateway.token(&key);
    (key, token)
}

#[test]
fn e26_without_an_overlap_the_old_key_is_over_when_the_new_one_is_there() {
    let (_upstream, gateway) = start();
    let old = gateway.account("ci", &["reader"]);
    let before = gateway.token(&old);
    assert_eq!(answers(&gateway, (&old, &before)), [200, 200]);
    let (new, after) = rotate(&gateway, &old, "0s");
    assert_eq!(answers(&gateway, (&old, &before)), [401, 401]);
    assert_eq!(answers(&gateway, (&new, &after)), [200, 200]);
}

/// Long enough for a busy machine to call with both keys within it.
const OVERLAP: Duration = Duration::from_secs(4);

#[test]
fn e26_an_overlap_ends_by_itself_and_each_key_shows_when_it_was_last_used() {
    let (_upstream, gateway) = start();
    let old = gateway.account("ci", &["reader"]);
    let before = gateway.token(&old);
    let (new, after) = rotate(&gateway, &old, &format!("{}s", OVERLAP.as_secs()));
    assert_eq!(answers(&gateway, (&old, &before)), [200, 200]);
    assert_eq!(answers(&gateway, (&new, &after)), [200, 200]);
    // Nobody does anything: time does.
    until("the overlap to be over", OVERLAP + PATIENCE, || {
        answers(&gateway, (&old, &before)) == [401, 401]
    });
    assert_eq!(answers(&gateway, (&new, &after)), [200, 200]);
    let listed = gateway.json(&words("keys list ci"));
    let of = |key: &Key, field: &str| {
        let listed = listed.as_array().expect("a list");
        let found = listed.iter().find(|one| one["id"] == *key.id);
        let found = found.expect("it is listed");
        found[field].as_str().expect("a text").to_owned()
    };
    assert_eq!(of(&old, "state"), "expired");
    assert_eq!(of(&new, "state"), "active");
    let [fell_silent, ended] = ["last_used_at", "expires_at"].map(|field| of(&old, field));
    assert!(
        fell_silent <= ended,
        "used at {fell_silent}, over at {ended}"
    );
    assert!(ended <= of(&new, "last_used_at"), "{listed}");
}
