//! What is asked a second time, because the first answer was lost on the way: `Idempotency-Key`.
//!
//! Whoever sends one with what he asks for may send the same again, and is told what he was told,
//! without its being done again: one account, one key, one secret. Another body with a key that was
//! used is a mistake (422), and while the first is at work there is no answer yet (409). Only what was
//! done is remembered. A refusal changed nothing, so that may be asked again as often as one likes.
//!
//! The answer about a new key holds its secret, and a repeat holds it too: a key whose secret nobody
//! got would stay alive and be of no use to anyone. So that it lies nowhere in clear, answers are
//! sealed with a key made from the `Idempotency-Key` itself, of which only a digest stays here:
//! what opens an answer is brought by whoever asks again.
//!
//! It is kept in memory, never on disk. After a restart the same request is a new one: an account, a
//! role or a group is then refused because its name is taken, and of a key there is a second one,
//! which its description tells and which can be expired.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::words::{AccountId, UnixTime};

/// The header.
pub(super) const NAME: HeaderName = HeaderName::from_static("idempotency-key");
/// Stands in an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longest key, in bytes: a UUID has 36.
pub(super) const KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept: who lost one asks again within seconds, a pipeline within minutes.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Most answers kept for one account. Beyond that its oldest goes.
const OF_ONE_MAX: usize = 1024;
/// Most answers kept.
const ALL_MAX: usize = 8 * 1024;
/// Longest answer kept, in bytes: a key has some 300, an account a few thousand.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of all answers together.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A digest of whose key it is, and which.
type Place = [u8; 32];

/// What was done, as far as it may be asked for again.
pub(super) struct Answers {
    /// Other digests in every process.
    salt: Zeroizing<[u8; 32]>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<Place, Entry>,
    /// Oldest first. What was taken out meanwhile, or made anew, is passed over by its number.
    ages: VecDeque<(u64, Place)>,
    next: u64,
    bytes: usize,
}

struct Entry {
    number: u64,
    caller: AccountId,
    /// A digest of what was asked.
    asked: [u8; 32],
    ends_at: UnixTime,
    state: State,
}

enum State {
    AtWork,
    /// The answer, sealed; `None` if it was too long to keep.
    Done(Option<Vec<u8>>),
}

/// What comes of a request with a key.
pub(super) enum Begun {
    /// It is the first: it is to be done.
    First(First),
    /// It was done, and this was the answer.
    Again(Value),
}

/// The key that a request has, if it has one.
///
/// # Errors
///
/// 400 for one that is none.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut stated = headers.get_all(NAME).iter();
    let (first, second) = (stated.next(), stated.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| second.is_none());
    // A string of RFC 8941 is in quotes; most clients send it without.
    let bare = text.map(|text| {
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        inner.unwrap_or(text)
    });
    let fits = |text: &&str| {
        let mut bytes = text.bytes();
        (1..=KEY_BYTES_MAX).contains(&text.len())
            && bytes.all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
    };
    match bare.filter(fits) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::field(
            NAME.as_str(),
            format!("`Idempotency-Key` is one string of 1 to {KEY_BYTES_MAX} characters of ASCII"),
        )),
    }
}

/// A digest of what a request asks.
pub(super) fn asked(method: &http::Method, target: &str, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [method.as_str().as_bytes(), target.as_bytes(), body] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

impl Answers {
    /// None yet.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no program survives.
    pub(super) fn new() -> Arc<Self> {
        let mut salt = Zeroizing::new([0; 32]);
        getrandom::fill(salt.as_mut()).expect("the system has randomness");
        Arc::new(Self {
            salt,
            known: Mutex::default(),
        })
    }

    /// What comes of a request of `caller` with this `key`.
    ///
    /// # Errors
    ///
    /// 422 when the key was used for something else, 409 while that is at work.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &AccountId,
        key: &str,
        asked: [u8; 32],
        now: UnixTime,
    ) -> Result<Begun, Problem> {
        let place = self.digest("place", caller, key);
        let mut known = self.lock();
        known.forget(now);
        if let Some(entry) = known.entries.get(&*place) {
            return self.known(entry, (caller, key), &asked);
        }
        known.make_room(caller);
        let number = known.next;
        known.next += 1;
        let entry = Entry {
            number,
            caller: caller.clone(),
            asked,
            ends_at: now.plus(LIFE),
            state: State::AtWork,
        };
        known.entries.insert(*place, entry);
        known.ages.push_back((number, *place));
        drop(known);
        Ok(Begun::First(First {
            answers: Arc::clone(self),
            place: *place,
            seal: self.digest("seal", caller, key),
            number,
            kept: false,
        }))
    }

    fn known(
        &self,
        entry: &Entry,
        (caller, key): (&AccountId, &str),
        asked: &[u8; 32],
    ) -> Result<Begun, Problem> {
        if entry.asked != *asked {
            let said = "this `Idempotency-Key` was used for another request: take a new one";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said);
            return Err(problem.at(NAME.as_str()));
        }
        let conflict = |said| Err(Problem::new(StatusCode::CONFLICT, said).at(NAME.as_str()));
        let State::Done(answer) = &entry.state else {
            return conflict("the first request with this `Idempotency-Key` is at work still");
        };
        let seal = self.digest("seal", caller, key);
        let opened = answer.as_ref().and_then(|sealed| open(&seal, sealed));
        match opened {
            Some(answer) => Ok(Begun::Again(answer)),
            None => conflict("this was done, and its answer was too long to be kept: look at it"),
        }
    }

    /// Of what the process alone knows, whose it is, and the key.
    fn digest(&self, what: &str, caller: &AccountId, key: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.salt.as_ref())
            .expect("a digest takes a key of any length");
        for part in [what, caller.as_str(), key] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Lets go what is too old, and what takes too much room.
    fn forget(&mut self, now: UnixTime) {
        while let Some((number, place)) = self.ages.front().copied() {
            let entry = self.entries.get(&place);
            let entry = entry.filter(|entry| entry.number == number);
            let is_at_work = entry.is_some_and(|entry| matches!(entry.state, State::AtWork));
            let stays = entry.is_some_and(|entry| entry.ends_at > now) && self.bytes <= BYTES_MAX;
            if stays || is_at_work {
                return;
            }
            self.ages.pop_front();
            if entry.is_some() {
                self.remove(&place);
            }
        }
    }

    /// Sees to it that there is room for one more of `caller`.
    fn make_room(&mut self, caller: &AccountId) {
        let his = self.entries.values();
        let has_many = his.filter(|entry| entry.caller == *caller).count() >= OF_ONE_MAX;
        if !has_many && self.entries.len() < ALL_MAX {
            return;
        }
        let oldest = self.ages.iter().find(|(number, place)| {
            self.entries.get(place).is_some_and(|entry| {
                entry.number == *number
                    && matches!(entry.state, State::Done(_))
                    && (!has_many || entry.caller == *caller)
            })
        });
        if let Some((_, place)) = oldest.copied() {
            self.remove(&place);
        }
        let entries = &self.entries;
        self.ages
            .retain(|(number, place)| entries.get(place).is_some_and(|it| it.number == *number));
    }

    fn remove(&mut self, place: &Place) {
        let gone = self.entries.remove(place);
        if let Some(State::Done(Some(sealed))) = gone.map(|entry| entry.state) {
            self.bytes = self.bytes.saturating_sub(sealed.len());
        }
    }
}

/// A request that is the first with its key. Dropped without an answer, it was never made.
pub(super) struct First {
    answers: Arc<Answers>,
    place: Place,
    seal: Zeroizing<[u8; 32]>,
    number: u64,
    kept: bool,
}

impl First {
    /// It was done, and this is the answer.
    pub(super) fn keep(mut self, answer: &Value) {
        let sealed = seal(&self.seal, answer);
        let mut known = self.answers.lock();
        let length = sealed.as_ref().map_or(0, Vec::len);
        let entry = known.entries.get_mut(&self.place);
        if let Some(entry) = entry.filter(|entry| entry.number == self.number) {
            entry.state = State::Done(sealed);
            known.bytes += length;
        }
        drop(known);
        self.kept = true;
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut known = self.answers.lock();
        let entry = known.entries.get(&self.place);
        if entry.is_some_and(|entry| entry.number == self.number) {
            known.remove(&self.place);
        }
    }
}

fn seal(key: &[u8; 32], answer: &Value) -> Option<Vec<u8>> {
    let mut text = Zeroizing::new(answer.to_string().into_bytes());
    if text.len() > ANSWER_BYTES_MAX {
        return None;
    }
    let mut sealed = std::mem::take(&mut *text);
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let nonce = key
        .seal_in_place_append_tag(Aad::empty(), &mut sealed)
        .ok()?;
    let mut whole = nonce.as_ref().to_vec();
    whole.append(&mut sealed);
    Some(whole)
}

fn open(key: &[u8; 32], sealed: &[u8]) -> Option<Value> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(sealed.to_vec());
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let text = key.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
    serde_json::from_slice(text).ok()
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_302_000);

    fn first(begun: Result<Begun, Problem>) -> First {
        match begun {
            Ok(Begun::First(first)) => first,
            Ok(Begun::Again(answer)) => panic!("it was done: {answer}"),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    fn status(begun: Result<Begun, Problem>) -> u16 {
        match begun {
            Ok(Begun::First(_)) => 0,
            Ok(Begun::Again(_)) => 200,
            Err(problem) => problem.response("x").status().as_u16(),
        }
    }

    #[test]
    fn the_same_is_answered_again_and_another_is_refused() {
        let answers = Answers::new();
        let (ci, other) = (AccountId::random(), AccountId::random());
        let (one, two) = ([1; 32], [2; 32]);
        let at_work = first(answers.begin(&ci, "k", one, NOW));
        assert_eq!(status(answers.begin(&ci, "k", one, NOW)), 409);
        assert_eq!(status(answers.begin(&ci, "k", two, NOW)), 422);
        // What somebody else asks with the same key is his own.
        assert_eq!(status(answers.begin(&other, "k", two, NOW)), 0);
        at_work.keep(&json!({ "secret": "pcs_hush" }));
        let Ok(Begun::Again(told)) = answers.begin(&ci, "k", one, NOW) else {
            panic!("it is not known");
        };
        assert_eq!(told, json!({ "secret": "pcs_hush" }));
        assert_eq!(status(answers.begin(&ci, "k", two, NOW)), 422);
        // What was not done was never asked.
        drop(first(answers.begin(&ci, "l", one, NOW)));
        assert_eq!(status(answers.begin(&ci, "l", two, NOW)), 0);
        assert_eq!(status(answers.begin(&ci, "k", two, NOW.plus(LIFE))), 0);
    }

    #[test]
    fn another_method_another_target_or_another_body_is_another_request() {
        let one = asked(&http::Method::POST, "/api/v1/accounts", b"{}");
        for other in [
            asked(&http::Method::PUT, "/api/v1/accounts", b"{}"),
            asked(&http::Method::POST, "/api/v1/groups", b"{}"),
            asked(&http::Method::POST, "/api/v1/accounts", b"{ }"),
            // What ends one part begins no other.
            asked(&http::Method::POST, "/api/v1/accounts{", b"}"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn no_answer_lies_there_in_clear_nor_what_opens_it() {
        let answers = Answers::new();
        let ci = AccountId::random();
        first(answers.begin(&ci, "the-key", [1; 32], NOW)).keep(&json!({ "secret": "pcs_hush" }));
        let known = answers.lock();
        let (place, entry) = known.entries.iter().next().unwrap();
        let State::Done(Some(sealed)) = &entry.state else {
            panic!("it was not kept");
        };
        let has =
            |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(!has(sealed, "pcs_hush") && !has(sealed, "secret"));
        assert!(open(place, sealed).is_none());
        assert!(open(&answers.salt, sealed).is_none());
    }

    #[test]
    fn answers_take_no_more_room_than_they_may() {
        let answers = Answers::new();
        let (loud, quiet) = (AccountId::random(), AccountId::random());
        first(answers.begin(&quiet, "mine", [0; 32], NOW)).keep(&json!("mine"));
        for number in 0..OF_ONE_MAX + 10 {
            let begun = answers.begin(&loud, &number.to_string(), [0; 32], NOW);
            first(begun).keep(&json!(number));
        }
        assert_eq!(answers.lock().entries.len(), OF_ONE_MAX + 1);
        assert_eq!(status(answers.begin(&quiet, "mine", [0; 32], NOW)), 200);
        // The oldest of his are gone, the newest there.
        assert_eq!(status(answers.begin(&loud, "1033", [0; 32], NOW)), 200);
        let long = json!("x".repeat(ANSWER_BYTES_MAX));
        first(answers.begin(&loud, "long", [0; 32], NOW)).keep(&long);
        assert_eq!(status(answers.begin(&loud, "long", [0; 32], NOW)), 409);
        answers.lock().forget(NOW.plus(LIFE));
        let known = answers.lock();
        assert_eq!(
            (known.entries.len(), known.bytes, known.ages.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_key_is_one_string_with_or_without_quotes() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(NAME, HeaderValue::from_str(value).unwrap());
            }
            key(&headers).ok()
        };
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&["a b"]), Some(Some("a b".to_owned())));
        assert_eq!(read(&["\"8e03\""]), read(&["8e03"]));
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        for bad in [
            &["a", "a"][..],
            &[""],
            &["\"\""],
            &["a\"b"],
            &["\u{e9}"],
            &[&long],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
