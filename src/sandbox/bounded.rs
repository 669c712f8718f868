//! A memory that cannot grow without end.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most entries of one kind that are kept.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// What was written before a panic is still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A map in which the oldest entry makes room for a new one.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    /// Each with its place in the order of birth.
    pub(super) entries: HashMap<K, (u64, V)>,
    births: u64,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            births: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V: Default> Bounded<K, V> {
    /// The entry of `key`, new if there is none.
    pub(super) fn get_or_default(&mut self, key: K) -> &mut V {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (birth, _))| *birth);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.births += 1;
        let new = || (self.births, V::default());
        &mut self.entries.entry(key).or_insert_with(new).1
    }
}
