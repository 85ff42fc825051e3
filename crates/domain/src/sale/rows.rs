//! Loaded rows of one kind, and what the commands did to them.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use crate::{AccountId, idempotency::IdempotencyKey};

/// Loaded rows of one kind, and which of them the commands made or changed.
#[derive(Debug)]
pub(super) struct Rows<K, R> {
    by_key: HashMap<K, R>,
    by_idempotency_key: HashMap<(AccountId, IdempotencyKey), K>,
    made: BTreeSet<K>,
    changed: BTreeSet<K>,
}

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        let (by_key, by_idempotency_key) = (HashMap::new(), HashMap::new());
        Self { by_key, by_idempotency_key, made: BTreeSet::new(), changed: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, R> Rows<K, R> {
    pub(super) fn get(&self, key: &K) -> Option<&R> {
        self.by_key.get(key)
    }

    pub(super) fn made_under(&self, account_id: AccountId, key: &IdempotencyKey) -> Option<&R> {
        self.get(self.by_idempotency_key.get(&(account_id, key.clone()))?)
    }

    pub(super) fn index(&mut self, account_id: AccountId, made_under: &IdempotencyKey, key: K) {
        self.by_idempotency_key.insert((account_id, made_under.clone()), key);
    }

    pub(super) fn add(&mut self, key: K, row: R) {
        self.by_key.insert(key, row);
    }

    /// Notes that a command is about to add this row: it changes it if it is there, and makes it otherwise.
    pub(super) fn mark(&mut self, key: K) {
        if !self.by_key.contains_key(&key) {
            self.made.insert(key);
        } else if !self.made.contains(&key) {
            self.changed.insert(key);
        }
    }

    /// Rows that are not stored yet, in the order of their keys.
    pub(super) fn made(&self) -> impl Iterator<Item = &R> {
        self.made.iter().filter_map(|key| self.by_key.get(key))
    }

    /// Rows that are stored as they were before, in the order of their keys.
    pub(super) fn changed(&self) -> impl Iterator<Item = &R> {
        self.changed.iter().filter_map(|key| self.by_key.get(key))
    }
}
