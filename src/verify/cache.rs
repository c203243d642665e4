//! Verified tokens, kept in memory so that the common request costs one look-up.
//!
//! Keyed by a digest of the whole token, never by the token itself: a core dump of this map opens
//! no door. The map is a [`DashMap`]; what is here is its bound. A plain queue would let whoever
//! makes many tokens push out those that others use all day, so the bound is S3-FIFO: newcomers
//! queue in a small ring and leave from there unless they were used meanwhile; those used move to
//! the main ring, and so do those that come back soon after they left. A full cache costs speed,
//! never safety, because a token that is missing is verified again.
//!
//! The common request touches the map alone: one shared lock of one shard, one flag that is set the
//! first time. The rings are touched only when something is added, behind the mutex of one stripe.
//! Lock order is stripe, then shard; a reader holds no shard while it does anything else.
//!
//! There is no cache of tokens that failed. Strangers can make as many of those as they like, all
//! different, so it would be theirs to fill and would save nothing: junk costs a parse and no
//! signature unless it names a signing key of ours, and an honest client's token that ran out is
//! still in this cache, where it is refused without a signature too.
//!
//! Not here: what a token may *do*. That is asked anew for each request.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{AtomicBool, DashMap, Mutex, PoisonError};

/// SHA-256 over a token and a prefix only this process knows. Uniform, so its first bytes serve as
/// hash; and because of the prefix nobody outside can aim at a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest(pub(super) [u8; 32]);

impl TokenDigest {
    fn hash64(&self) -> u64 {
        let (first, _) = self.0.split_first_chunk().expect("32 bytes are 8 and more");
        u64::from_le_bytes(*first)
    }

    /// Bytes the hash does not use, so that a stripe holds keys of every shard.
    fn stripe(&self) -> usize {
        self.0.last().copied().map_or(0, usize::from)
    }
}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash64());
    }
}

/// Hands through the one `u64` a [`TokenDigest`] writes.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A bounded map from tokens to what was found out about them.
pub(super) struct Cache<V> {
    map: DashMap<TokenDigest, Slot<V>, BuildHasherDefault<AsIs>>,
    stripes: Box<[Mutex<Stripe>]>,
    evictions: AtomicU64,
}

struct Slot<V> {
    value: Arc<V>,
    used: AtomicBool,
}

impl<V> Slot<V> {
    fn new(value: Arc<V>) -> Self {
        Self {
            value,
            used: AtomicBool::new(false),
        }
    }
}

impl<V> Cache<V> {
    /// A cache that holds at most `entries` values, and at least one.
    pub(super) fn new(entries: usize) -> Self {
        let stripes = if entries < STRIPES * STRIPE_ENTRIES_MIN {
            1
        } else {
            STRIPES
        };
        let stripe = || Mutex::new(Stripe::new((entries / stripes).max(1)));
        Self {
            map: DashMap::default(),
            stripes: (0..stripes).map(|_| stripe()).collect(),
            evictions: AtomicU64::new(0),
        }
    }

    /// What is known about this token.
    pub(super) fn get(&self, token: &TokenDigest) -> Option<Arc<V>> {
        let slot = self.map.get(token)?;
        // Read before written: a flag that stands does not travel between cores.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&slot.value))
    }

    /// Remembers `value`, in place of what was known about the same token.
    pub(super) fn insert(&self, token: TokenDigest, value: Arc<V>) {
        let Some(stripe) = self.stripes.get(token.stripe() % self.stripes.len()) else {
            return;
        };
        // A ring is whole between any two calls on it, so a thread that died here broke nothing.
        let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut known) = self.map.get_mut(&token) {
            known.value = value;
            return;
        }
        // Room first, so that the bound holds at every instant.
        if stripe.len() >= stripe.capacity {
            self.evict(&mut stripe);
        }
        self.map.insert(token, Slot::new(value));
        stripe.push(token);
    }

    /// All that is remembered, in no order. Shard after shard: it is no moment's picture.
    #[cfg(not(feature = "model"))]
    pub(super) fn values(&self) -> Vec<Arc<V>> {
        let slots = self.map.iter();
        slots.map(|slot| Arc::clone(&slot.value)).collect()
    }

    /// One that is as it `should` be.
    #[cfg(not(feature = "model"))]
    pub(super) fn find(&self, should: impl Fn(&V) -> bool) -> Option<Arc<V>> {
        let slot = self.map.iter().find(|slot| should(&slot.value));
        slot.map(|slot| Arc::clone(&slot.value))
    }

    /// The model asks for none.
    #[cfg(feature = "model")]
    #[expect(clippy::unused_self, reason = "it is asked as the other one is")]
    pub(super) fn find(&self, _: impl Fn(&V) -> bool) -> Option<Arc<V>> {
        None
    }

    /// The model asks for none.
    #[cfg(feature = "model")]
    #[expect(clippy::unused_self, reason = "it is asked as the other one is")]
    pub(super) fn values(&self) -> Vec<Arc<V>> {
        Vec::new()
    }

    /// Entries held.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Entries that had to leave since the start.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Lets one entry of the stripe go, if there is any: a newcomer that was not used, or if those
    /// are few the first of the main ring that was not used since it was last looked at.
    fn evict(&self, stripe: &mut Stripe) {
        for _ in 0..STEPS_MAX {
            let newcomer = stripe.newcomers_are_many();
            let Some(token) = stripe.pop(newcomer) else {
                return;
            };
            if self.was_used(&token) {
                stripe.main.push_back(token);
            } else {
                return self.forget(stripe, &token, newcomer);
            }
        }
        let newcomer = stripe.newcomers_are_many();
        if let Some(token) = stripe.pop(newcomer) {
            self.forget(stripe, &token, newcomer);
        }
    }

    /// Says whether the token was used since this was last asked.
    fn was_used(&self, token: &TokenDigest) -> bool {
        self.map
            .get(token)
            .is_some_and(|slot| slot.used.swap(false, Ordering::Relaxed))
    }

    fn forget(&self, stripe: &mut Stripe, token: &TokenDigest, newcomer: bool) {
        self.map.remove(token);
        self.evictions.fetch_add(1, Ordering::Relaxed);
        if newcomer {
            stripe.remember(token.hash64());
        }
    }
}

/// The order of one part of the keys. Every key in the map stands in one ring of its stripe, once.
struct Stripe {
    capacity: usize,
    newcomers: VecDeque<TokenDigest>,
    main: VecDeque<TokenDigest>,
    /// Newcomers that left unused, oldest first; as many as the rings hold.
    ghosts: VecDeque<u64>,
    ghost_set: HashSet<u64, foldhash::fast::RandomState>,
}

impl Stripe {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            newcomers: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            ghost_set: HashSet::default(),
        }
    }

    fn len(&self) -> usize {
        self.newcomers.len() + self.main.len()
    }

    /// A tenth of the room is theirs; beyond it they make room before the others do.
    fn newcomers_are_many(&self) -> bool {
        self.newcomers.len() > self.capacity / 10 || self.main.is_empty()
    }

    fn pop(&mut self, newcomer: bool) -> Option<TokenDigest> {
        if newcomer {
            self.newcomers.pop_front()
        } else {
            self.main.pop_front()
        }
    }

    fn push(&mut self, token: TokenDigest) {
        if self.ghost_set.contains(&token.hash64()) {
            self.main.push_back(token);
        } else {
            self.newcomers.push_back(token);
        }
    }

    fn remember(&mut self, ghost: u64) {
        if !self.ghost_set.insert(ghost) {
            return;
        }
        self.ghosts.push_back(ghost);
        if self.ghosts.len() > self.capacity
            && let Some(oldest) = self.ghosts.pop_front()
        {
            self.ghost_set.remove(&oldest);
        }
    }
}

/// Parts the keys are divided into, so that two cores rarely wait for each other to add one.
const STRIPES: usize = 16;

/// Entries below which a stripe is too small to tell newcomers from the rest.
const STRIPE_ENTRIES_MIN: usize = 64;

/// Longest search for an entry to let go. Everything may be in use when the cache is too small for
/// its work; then the oldest goes, so that adding one token stays a matter of microseconds.
const STEPS_MAX: usize = 128;

#[cfg(test)]
#[cfg(not(feature = "model"))]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn token(number: u64) -> TokenDigest {
        TokenDigest(Sha256::digest(number.to_le_bytes()).into())
    }

    /// Looks up, and on a miss verifies and adds, as a request does. Says whether it was a hit.
    fn request(cache: &Cache<u64>, number: u64) -> bool {
        if let Some(found) = cache.get(&token(number)) {
            assert_eq!(*found, number);
            return true;
        }
        cache.insert(token(number), Arc::new(number));
        false
    }

    fn requests(cache: &Cache<u64>, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            request(cache, number);
        }
    }

    /// Every key of the map stands in one ring, once; and nothing else does.
    fn is_whole(cache: &Cache<u64>) -> bool {
        let mut ringed = HashSet::new();
        let mut twice = false;
        for stripe in &cache.stripes {
            let stripe = stripe.lock().unwrap();
            for key in stripe.newcomers.iter().chain(&stripe.main) {
                twice |= !ringed.insert(key.0);
            }
            assert!(stripe.ghosts.len() <= stripe.capacity);
            assert_eq!(stripe.ghosts.len(), stripe.ghost_set.len());
        }
        !twice
            && ringed.len() == cache.map.len()
            && cache.map.iter().all(|slot| ringed.contains(&slot.key().0))
    }

    #[test]
    fn what_is_added_is_found_and_replaced_in_place() {
        let cache = Cache::new(10);
        assert!(cache.get(&token(1)).is_none());
        cache.insert(token(1), Arc::new(1));
        cache.insert(token(1), Arc::new(2));
        assert_eq!(cache.get(&token(1)).as_deref(), Some(&2));
        assert_eq!((cache.len(), cache.evictions()), (1, 0));
        assert!(is_whole(&cache));
    }

    #[test]
    fn a_cache_of_nothing_still_holds_one() {
        let cache = Cache::new(0);
        for number in 0..100 {
            request(&cache, number);
        }
        assert_eq!((cache.len(), cache.evictions()), (1, 99));
    }

    /// E17: ten strangers for each friend, and the friends do not notice.
    #[test]
    fn a_stream_of_new_tokens_does_not_push_out_those_in_use() {
        const FRIENDS: u64 = 1_000;
        let cache = Cache::new(2_000);
        for _ in 0..2 {
            requests(&cache, 0..FRIENDS);
        }
        let mut stranger = FRIENDS;
        let mut hits = 0;
        const ROUNDS: u64 = 10;
        for _ in 0..ROUNDS {
            for friend in 0..FRIENDS {
                hits += u64::from(request(&cache, friend));
                for _ in 0..10 {
                    stranger += 1;
                    request(&cache, stranger);
                }
            }
        }
        assert!(hits * 100 >= FRIENDS * ROUNDS * 99, "{hits} hits");
        assert!(cache.len() <= 2_000);
        assert!(is_whole(&cache));
    }

    /// A friend that was pushed out before it was known to be one comes back into the main ring.
    #[test]
    fn who_comes_back_soon_is_no_newcomer_any_more() {
        let cache = Cache::new(100);
        request(&cache, 0);
        requests(&cache, 1..=100);
        assert!(!request(&cache, 0), "it has left");
        requests(&cache, 200..400);
        assert!(request(&cache, 0), "it has stayed");
    }

    #[test]
    fn everything_in_use_still_makes_room() {
        let cache = Cache::new(200);
        for number in 0..1_000 {
            request(&cache, number);
            (0..number)
                .rev()
                .take(250)
                .for_each(|old| drop(cache.get(&token(old))));
        }
        assert_eq!(cache.len(), 200);
        assert!(is_whole(&cache));
    }

    /// Half of the requests are for a hundred tokens, the others for a hundred thousand.
    fn wander(cache: &Cache<u64>, seed: u64) {
        let mut walk = seed;
        for step in 0..20_000_u64 {
            walk = walk
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step | 1);
            let tokens = if step % 2 == 0 { 100 } else { 100_000 };
            request(cache, (walk >> 33) % tokens);
        }
    }

    #[test]
    fn threads_keep_the_bound_and_the_rings_whole() {
        let cache = Cache::new(STRIPES * STRIPE_ENTRIES_MIN);
        thread::scope(|scope| {
            for seed in 0..4 {
                let cache = &cache;
                scope.spawn(move || wander(cache, seed));
            }
        });
        // Not asked while they run: `len` adds shard by shard, and entries move meanwhile.
        assert!(cache.len() <= STRIPES * STRIPE_ENTRIES_MIN);
        assert!(is_whole(&cache));
    }

    proptest! {
        /// Law: whatever is asked in whatever order, the bound holds and what is found is right.
        #[test]
        fn the_bound_holds(entries in 1_usize..40, numbers in prop::collection::vec(0_u64..80, 0..400)) {
            let cache = Cache::new(entries);
            for number in numbers {
                request(&cache, number);
                prop_assert!(cache.len() <= entries);
                prop_assert!(cache.get(&token(number)).is_some(), "what was just added is there");
            }
            prop_assert!(is_whole(&cache));
        }
    }
}
