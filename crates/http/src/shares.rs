//! How many of something each client may have at once.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

type Counts<K> = Arc<Mutex<HashMap<K, u32>>>;

/// How many of something each key has: an account, an address, a network.
#[derive(Debug)]
pub struct Shares<K> {
    /// The most of one key; 0 for any number, which are not counted.
    max: u32,
    counts: Counts<K>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives it back"]
pub struct Share<K: Eq + Hash>(Option<(K, Counts<K>)>);

impl<K: Copy + Eq + Hash> Shares<K> {
    /// At most `max` of each key; 0 for any number.
    pub fn new(max: u32) -> Self {
        Self { max, counts: Arc::default() }
    }

    /// The most of one key.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Takes one more; `None` if the key has as many as it may have.
    pub fn take(&self, key: K) -> Option<Share<K>> {
        if self.max == 0 {
            return Some(Share(None));
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Share(Some((key, Arc::clone(&self.counts)))))
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let Some((key, counts)) = self.0.take() else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = counts.entry(key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_share_and_gets_back_what_is_dropped() {
        let shares = Shares::new(2);
        let (first, second) = (shares.take("a"), shares.take("a"));
        assert!(first.is_some() && second.is_some() && shares.take("a").is_none());
        let other = shares.take("b").unwrap();
        drop(first);
        let third = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        drop((second, other, third));
        assert!(shares.counts.lock().unwrap().is_empty(), "nothing is kept of those that have none");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let shares = Shares::new(0);
        let taken: Vec<_> = (0..1_000).map(|_| shares.take("a").unwrap()).collect();
        assert!(shares.counts.lock().unwrap().is_empty());
        drop(taken);
    }
}
