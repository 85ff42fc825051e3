//! The storage in memory passes the contract of every storage.

use std::sync::Arc;

use boxoffice_contracts::{
    memory::MemoryStore,
    storage::{Stage, Storage},
};
use boxoffice_domain::fixtures::{TestClock, TestEntropy};

async fn open() -> Stage {
    let clock = Arc::new(TestClock::new());
    let store = Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy)));
    Stage::new(Storage::of(store.clone()), clock).with_corrupter(store)
}

boxoffice_contracts::storage_contract!(open);

/// A product that keeps no points uses the same storage.
mod without_wallets {
    use super::{Arc, MemoryStore, Stage, TestClock, TestEntropy};

    async fn open() -> Stage {
        let clock = Arc::new(TestClock::new());
        let store = MemoryStore::without_wallets(clock.clone(), Arc::new(TestEntropy));
        Stage::of_seats(Arc::new(store), clock)
    }

    boxoffice_contracts::storage_contract!(open, catalog payments races reservations);
}
