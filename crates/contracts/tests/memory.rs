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

/// The sink of events in memory.
mod event_sink {
    use boxoffice_contracts::{
        event_sink::{Arrived, Subject, events},
        memory::MemoryEventSink,
    };
    use boxoffice_domain::event_delivery::EventSink;

    struct InMemory(MemoryEventSink);

    impl Subject for InMemory {
        fn sink(&self) -> &dyn EventSink {
            &self.0
        }

        async fn arrived(&self) -> Vec<Arrived> {
            self.0.events().iter().map(Arrived::from).collect()
        }
    }

    async fn open() -> InMemory {
        InMemory(MemoryEventSink::default())
    }

    boxoffice_contracts::event_sink_contract!(open);

    #[tokio::test]
    async fn it_fails_when_a_test_wants_it() {
        let (sink, events) = (MemoryEventSink::default(), events(4));
        sink.fail_next(1);
        sink.deliver(&events).await.expect_err("it fails once");
        sink.deliver(&events).await.expect("it is accepted");
        let arrived = sink.events();
        assert_eq!((&arrived[..2], &arrived[2..]), (&events[..2], &events[..]));
    }
}
