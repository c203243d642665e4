//! A sorted map that is cheap to copy.
//!
//! Whoever looks at a list reads the records as they were when he asked, however long that takes, and
//! whoever changes one account meanwhile must not copy a hundred thousand others. The entries lie in
//! sorted chunks behind reference counts: a copy shares all of them, and a change copies the chunk it
//! falls into, whose values are shared again.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Most entries of a chunk. With 100,000 entries a copy counts some 400 references, and a change
/// copies at most 256 keys: some microseconds either.
const CHUNK_MAX: usize = 256;

type Chunk<K, V> = Arc<Vec<(K, Arc<V>)>>;

/// See the module.
pub struct SharedMap<K, V> {
    /// Sorted, none of them empty.
    chunks: Vec<Chunk<K, V>>,
}

impl<K, V> SharedMap<K, V> {
    /// The entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, &**value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The chunk that has `key`, if any does, or would get it.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let is_before = |chunk: &Chunk<K, V>| {
            let last = chunk.last();
            last.is_some_and(|(last, _)| last.borrow() < key)
        };
        let at = self.chunks.partition_point(is_before);
        at.min(self.chunks.len().saturating_sub(1))
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = place(chunk, key).ok()?;
        chunk.get(at).map(|(_, value)| &**value)
    }

    /// Says whether `key` has a value.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let at = place(chunk, key).ok()?;
        let entry = Arc::make_mut(chunk).get_mut(at);
        entry.map(|(_, value)| Arc::make_mut(value))
    }

    /// Every value, to be changed. Whatever is shared is copied.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let chunks = self.chunks.iter_mut();
        let entries = chunks.flat_map(|chunk| Arc::make_mut(chunk).iter_mut());
        entries.map(|(_, value)| Arc::make_mut(value))
    }

    /// Gives `key` a value, instead of the one it has.
    pub fn insert(&mut self, key: K, value: V) {
        let value = Arc::new(value);
        let at = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match place(chunk, &key) {
            Ok(known) => {
                if let Some(entry) = chunk.get_mut(known) {
                    entry.1 = value;
                }
            }
            // Keys that come in order fill one chunk after the other.
            Err(new) if new >= CHUNK_MAX => {
                self.chunks.insert(at + 1, Arc::new(vec![(key, value)]));
            }
            Err(new) => {
                chunk.insert(new, (key, value));
                if chunk.len() > CHUNK_MAX {
                    let rest = chunk.split_off(CHUNK_MAX / 2);
                    self.chunks.insert(at + 1, Arc::new(rest));
                }
            }
        }
    }

    /// Takes `key` out, and returns what it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let found = place(chunk, key).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(found);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        Some(Arc::unwrap_or_clone(value))
    }

    /// The value of `key`, to be changed; `make` makes one if there is none.
    ///
    /// # Panics
    ///
    /// Never: what was put in is there.
    pub fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.contains_key(key) {
            self.insert(key.clone(), make());
        }
        self.get_mut(key).expect("it was there or was put in")
    }
}

fn place<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, Arc<V>)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

impl<K: Ord, V> FromIterator<(K, V)> for SharedMap<K, V> {
    /// Of several with one key the last counts.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let entries = entries.into_iter();
        let mut entries: Vec<_> = entries.map(|(key, value)| (key, Arc::new(value))).collect();
        entries.reverse();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.dedup_by(|one, other| one.0 == other.0);
        let mut entries = entries.into_iter();
        let mut chunks = Vec::new();
        loop {
            let mut chunk: Vec<_> = entries.by_ref().take(CHUNK_MAX).collect();
            if chunk.is_empty() {
                return Self { chunks };
            }
            chunk.shrink_to_fit();
            chunks.push(Arc::new(chunk));
        }
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<'m, K, V> IntoIterator for &'m SharedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'm>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_map_that_everybody_knows(steps in prop::collection::vec((0..2000_u32, 0..4_u8), 0..3000)) {
            let (mut ours, mut theirs) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (number, (key, what)) in steps.into_iter().enumerate() {
                match what {
                    0 => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    1 => prop_assert_eq!(ours.get_mut(&key).map(|it| { *it += 1; *it }), theirs.get_mut(&key).map(|it| { *it += 1; *it })),
                    _ => { ours.insert(key, number); theirs.insert(key, number); }
                }
                if number % 500 == 0 {
                    copies.push((ours.clone(), theirs.clone()));
                }
            }
            copies.push((ours, theirs));
            for (ours, theirs) in copies {
                prop_assert!(ours.iter().eq(theirs.iter()));
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert!(theirs.keys().all(|key| ours.get(key) == theirs.get(key)));
                prop_assert!(ours.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
                let again: SharedMap<_, _> = theirs.into_iter().collect();
                prop_assert_eq!(again, ours);
            }
        }
    }

    #[test]
    fn a_copy_with_a_change_shares_the_rest() {
        let before: SharedMap<u32, String> = (0..10_000).map(|key| (key, "a".to_owned())).collect();
        let mut after = before.clone();
        after.insert(7, "b".to_owned());
        assert_eq!(
            (
                before.get(&7).unwrap().as_str(),
                after.get(&7).unwrap().as_str()
            ),
            ("a", "b")
        );
        let shared = std::iter::zip(&before.chunks, &after.chunks);
        let copied = shared
            .filter(|(one, other)| !Arc::ptr_eq(one, other))
            .count();
        assert_eq!(copied, 1);
        // Keys that come in order leave no chunk half empty.
        let mut grown = SharedMap::default();
        (0..10_000_u32).for_each(|key| grown.insert(key, ()));
        assert_eq!(grown.chunks.len(), 10_000_usize.div_ceil(CHUNK_MAX));
    }
}
