//! The storage in memory passes the contract of every storage.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use boxoffice_contracts::{
    memory::MemoryStore,
    storage::{Stage, Storage},
};
use boxoffice_domain::fixtures::{TestClock, TestEntropy};

struct Home(Stage);

impl Home {
    fn stage(&self) -> &Stage {
        &self.0
    }

    fn close(self) -> Ready<()> {
        drop(self);
        ready(())
    }
}

fn open() -> Ready<Home> {
    let clock = Arc::new(TestClock::new());
    let store = MemoryStore::new(clock.clone(), Arc::new(TestEntropy));
    ready(Home(Stage::new(Storage::of(Arc::new(store)), clock)))
}

boxoffice_contracts::storage_contract!(crate::open);
