//! A map that is cheap to copy with a few entries changed.
//!
//! The directory is swapped whole, and a change to one account must not copy a hundred thousand
//! others. Cut into [`SHARDS`] maps behind reference counts, a copy shares all of them, and a change
//! copies the one it falls into.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Number of shards: with 100,000 entries a change copies about 400 and shares 255 maps, both of
/// which take some ten microseconds.
const SHARDS: usize = 256;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Shards<K, V> {
    maps: Box<[Arc<HashMap<K, V, RandomState>>]>,
    hasher: RandomState,
}

impl<K, V> Shards<K, V> {
    /// Room for so many from the beginning: maps that grow step by step leave as much behind as they
    /// take in the end.
    pub(super) fn with_room(entries: usize) -> Self {
        let hasher = RandomState::default();
        let each = entries / SHARDS;
        let empty = || Arc::new(HashMap::with_capacity_and_hasher(each, hasher.clone()));
        Self {
            maps: std::iter::repeat_with(empty).take(SHARDS).collect(),
            hasher,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.maps.get(self.shard(key))?.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let shard = self.shard(&key);
        if let Some(map) = self.maps.get_mut(shard) {
            Arc::make_mut(map).insert(key, value);
        }
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let shard = self.shard(key);
        if let Some(map) = self.maps.get_mut(shard) {
            Arc::make_mut(map).remove(key);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.maps.iter().flat_map(|map| map.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.maps.iter().map(|map| map.len()).sum()
    }

    /// The maps use the same hasher and look at the lowest and the highest bits; the shard is chosen
    /// by others, or each map would use a 256th of its buckets.
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        usize::from((self.hasher.hash_one(key) >> 40).to_le_bytes()[0]) % SHARDS
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self::with_room(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_with_a_change_leaves_the_original_and_shares_the_rest() {
        let mut before = Shards::default();
        (0..10_000).for_each(|key| before.insert(key, key));
        let mut after = before.clone();
        after.insert(7, 700);
        after.remove(&8);
        assert_eq!((before.get(&7), before.get(&8)), (Some(&7), Some(&8)));
        assert_eq!((after.get(&7), after.get(&8)), (Some(&700), None));
        assert_eq!((before.len(), after.len()), (10_000, 9_999));
        let shared = std::iter::zip(&before.maps, &after.maps);
        let copied = shared.filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert!(copied <= 2, "{copied}");
    }

    #[test]
    fn entries_spread_over_the_shards() {
        let mut shards = Shards::default();
        (0..100_000).for_each(|key: u32| shards.insert(key, ()));
        let largest = shards.maps.iter().map(|map| map.len()).max();
        assert!(largest < Some(800), "{largest:?}");
    }
}
