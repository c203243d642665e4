//! Leaky buckets, in a table that never grows.
//!
//! A bucket is one number: the moment it will have run dry (the *theoretical arrival time* of the
//! generic cell rate algorithm). Taking moves it on by one drop; when it would lie further ahead than
//! the bucket is deep, there is no room.
//!
//! Whoever fills this may be anybody, so the table has a size and keeps it: eight places to a set, and
//! of a set that is full the bucket goes that is nearest to dry. Newcomers with one drop push each
//! other out; a bucket that is full stays. Forgetting is the safe side here: it gives somebody a few
//! tries more and takes nothing from anybody. That is also why it is our own: the crates that do this
//! keep a map that grows with its keys and has to be swept.
//!
//! Where a key stands is told by a hash nobody outside can compute. A shard of the table is there from
//! its first use on, so a gateway that throttles nobody pays nothing.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::words::{Rate, UnixTime};

/// Parts with a lock each, so that cores rarely meet.
const SHARDS: usize = 64;
/// Sets of a shard.
const SETS: usize = 1024;
/// Places of a set.
const WAYS: usize = 8;

/// Bytes of a table that is in use everywhere: 8 MiB.
#[cfg(test)]
pub(super) const BYTES: usize = SHARDS * SETS * WAYS * size_of::<Slot>();

/// Buckets by key.
pub(super) struct Buckets {
    seed: RandomState,
    shards: Box<[Mutex<Vec<Slot>>]>,
}

/// One bucket. A place that nobody has is one that is dry.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    /// When it will have run dry, in nanoseconds since the epoch.
    dry_at: u64,
}

/// Which bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(u64);

/// How fast a bucket runs dry and how deep it is, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    drop: u64,
    room: u64,
}

impl Depth {
    pub(super) fn of(rate: Rate) -> Self {
        let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        let drop = (per / u64::from(rate.count.max(1))).max(1);
        Self {
            drop,
            room: drop.saturating_mul(u64::from(rate.burst.max(1))),
        }
    }
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self {
            seed: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn key(&self, of: impl Hash) -> Key {
        Key(self.seed.hash_one(of))
    }

    /// Takes a place in the bucket; returns how many are left.
    ///
    /// # Errors
    ///
    /// How long it takes until there is one.
    pub(super) fn take(&self, key: Key, depth: Depth, now: UnixTime) -> Result<u64, Duration> {
        let now = nanos(now);
        let mut shard = self.shard(key);
        if shard.is_empty() {
            *shard = vec![Slot::default(); SETS * WAYS];
        }
        let Some(slot) = place(set(&mut shard, key), key) else {
            return Ok(0);
        };
        let level = slot.level(depth, now).saturating_add(depth.drop);
        if level > depth.room {
            return Err(Duration::from_nanos(level - depth.room));
        }
        *slot = Slot {
            key: key.0,
            dry_at: now.saturating_add(level),
        };
        Ok((depth.room - level) / depth.drop)
    }

    /// How long it takes until there is a place in the bucket; nothing if there is one.
    pub(super) fn wait(&self, key: Key, depth: Depth, now: UnixTime) -> Option<Duration> {
        let mut shard = self.shard(key);
        let slot = set(&mut shard, key).iter().find(|slot| slot.key == key.0)?;
        let level = slot.level(depth, nanos(now)).saturating_add(depth.drop);
        let beyond = level.checked_sub(depth.room)?;
        (beyond > 0).then_some(Duration::from_nanos(beyond))
    }

    /// Puts a place back that was taken and is not used.
    pub(super) fn put_back(&self, key: Key, depth: Depth) {
        let mut shard = self.shard(key);
        let mut slots = set(&mut shard, key).iter_mut();
        if let Some(slot) = slots.find(|slot| slot.key == key.0) {
            slot.dry_at = slot.dry_at.saturating_sub(depth.drop);
        }
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Vec<Slot>> {
        let place = usize::try_from(key.0 % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(place).expect("a remainder of their number");
        // A bucket is one number and whole at every instant, whoever died beside it.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// How full it is. One that is fuller than it can be was filled by a clock that has been set back
    /// since; it is dry, or somebody would wait for that clock to come round again.
    fn level(&self, depth: Depth, now: u64) -> u64 {
        let level = self.dry_at.saturating_sub(now);
        if level > depth.room { 0 } else { level }
    }
}

/// The places a key may stand in; none in a shard that nobody has used.
fn set(shard: &mut [Slot], key: Key) -> &mut [Slot] {
    let set = usize::try_from(key.0 / SHARDS as u64 % SETS as u64).unwrap_or(0);
    let places = set * WAYS..(set + 1) * WAYS;
    shard.get_mut(places).unwrap_or_default()
}

/// The place of a key: its own, or that of the bucket nearest to dry, which is taken from it.
fn place(set: &mut [Slot], key: Key) -> Option<&mut Slot> {
    let own = set.iter().position(|slot| slot.key == key.0);
    let Some(own) = own else {
        let slot = set.iter_mut().min_by_key(|slot| slot.dry_at)?;
        *slot = Slot::default();
        return Some(slot);
    };
    set.get_mut(own)
}

fn nanos(now: UnixTime) -> u64 {
    now.as_millis().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_795_302_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_takes_a_burst_and_then_as_many_as_run_out_of_it() {
        let buckets = Buckets::new();
        let depth = Depth::of(Rate::new(10, SECOND));
        let take = |now| buckets.take(buckets.key("a"), depth, now);
        for left in (0..10).rev() {
            assert_eq!(take(START), Ok(left));
        }
        let tenth = Duration::from_millis(100);
        assert_eq!(take(START), Err(tenth));
        assert_eq!(buckets.wait(buckets.key("a"), depth, START), Some(tenth));
        assert_eq!(take(START.plus(tenth)), Ok(0));
        assert!(take(START.plus(tenth)).is_err());
        assert_eq!(take(START.plus(SECOND + tenth)), Ok(9));
        assert_eq!(buckets.take(buckets.key("b"), depth, START), Ok(9));
        assert_eq!(buckets.wait(buckets.key("c"), depth, START), None);
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let buckets = Buckets::new();
        let (key, depth) = (buckets.key("a"), Depth::of(Rate::new(1, SECOND)));
        assert!(buckets.take(key, depth, START).is_ok());
        assert!(buckets.take(key, depth, START).is_err());
        buckets.put_back(key, depth);
        assert!(buckets.take(key, depth, START).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_it() {
        let buckets = Buckets::new();
        let (key, depth) = (buckets.key("a"), Depth::of(Rate::new(2, SECOND)));
        assert!(buckets.take(key, depth, START.plus(60 * SECOND)).is_ok());
        assert_eq!(buckets.take(key, depth, START), Ok(1));
    }

    /// E16.
    #[test]
    fn a_million_keys_take_no_more_room_and_do_not_push_out_a_full_one() {
        let buckets = Buckets::new();
        let depth = Depth::of(Rate::new(100, 60 * SECOND));
        let full = buckets.key("full");
        while buckets.take(full, depth, START).is_ok() {}
        for key in 0..1_000_000_u32 {
            assert!(buckets.take(buckets.key(key), depth, START).is_ok());
        }
        assert!(buckets.wait(full, depth, START).is_some());
        let slots: usize = buckets
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().capacity())
            .sum();
        assert_eq!(slots * size_of::<Slot>(), BYTES);
        const { assert!(2 * BYTES <= 16 * 1024 * 1024, "there are two tables") };
    }
}
