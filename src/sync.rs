//! What threads share, under the names it has here.
//!
//! The verified tokens and the state in force are shared by every core, and a revocation is a promise
//! about the order in which cores see them. So the very types that keep that promise are checked in
//! every order: with the feature `model` these names mean what `shuttle` schedules, a step at a time,
//! and `verify::model` walks through the orders. In every other build they are what they are
//! called.
//!
//! Not here: what is counted, which promises nothing.

#[cfg(not(feature = "model"))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(feature = "model"))]
pub(crate) use std::sync::{Mutex, PoisonError};

#[cfg(not(feature = "model"))]
pub(crate) use arc_swap::ArcSwap;
#[cfg(not(feature = "model"))]
pub(crate) use dashmap::DashMap;

#[cfg(feature = "model")]
pub(crate) use model::{ArcSwap, DashMap};
#[cfg(feature = "model")]
pub(crate) use shuttle::sync::Mutex;
#[cfg(feature = "model")]
pub(crate) use shuttle::sync::atomic::AtomicBool;
#[cfg(feature = "model")]
pub(crate) use std::sync::PoisonError;

/// The same two with locks that the model sees. Each call is one step, as it is in the crates they
/// stand for: those promise that a call takes effect at one instant, and that is what is relied on.
#[cfg(feature = "model")]
mod model {
    use std::collections::HashMap;
    use std::fmt;
    use std::hash::{BuildHasher, Hash};
    use std::sync::Arc;

    use shuttle::sync::{Mutex, MutexGuard};

    pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Mutex::new(Arc::new(value)))
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            Arc::clone(&self.0.lock().expect("nobody panics in here"))
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            *self.0.lock().expect("nobody panics in here") = value;
        }
    }

    impl<T> fmt::Debug for ArcSwap<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ArcSwap(..)")
        }
    }

    pub(crate) struct DashMap<K, V, S>(Mutex<HashMap<K, V, S>>);

    impl<K: Eq + Hash + Clone, V, S: BuildHasher + Default> DashMap<K, V, S> {
        pub(crate) fn get(&self, key: &K) -> Option<Ref<'_, K, V, S>> {
            let map = self.0.lock().expect("nobody panics in here");
            map.contains_key(key).then(|| Ref {
                map,
                key: key.clone(),
            })
        }

        pub(crate) fn get_mut(&self, key: &K) -> Option<Ref<'_, K, V, S>> {
            self.get(key)
        }

        pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
            self.0
                .lock()
                .expect("nobody panics in here")
                .insert(key, value)
        }

        pub(crate) fn remove(&self, key: &K) -> Option<V> {
            self.0.lock().expect("nobody panics in here").remove(key)
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().expect("nobody panics in here").len()
        }
    }

    impl<K, V, S: Default> Default for DashMap<K, V, S> {
        fn default() -> Self {
            Self(Mutex::new(HashMap::default()))
        }
    }

    pub(crate) struct Ref<'m, K, V, S> {
        map: MutexGuard<'m, HashMap<K, V, S>>,
        key: K,
    }

    impl<K: Eq + Hash, V, S: BuildHasher> std::ops::Deref for Ref<'_, K, V, S> {
        type Target = V;

        fn deref(&self) -> &V {
            self.map
                .get(&self.key)
                .expect("it was there, and the lock is held")
        }
    }

    impl<K: Eq + Hash, V, S: BuildHasher> std::ops::DerefMut for Ref<'_, K, V, S> {
        fn deref_mut(&mut self) -> &mut V {
            self.map
                .get_mut(&self.key)
                .expect("it was there, and the lock is held")
        }
    }
}
