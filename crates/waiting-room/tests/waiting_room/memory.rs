//! The waiting room in memory beyond the contract: restarts, bounds, and a million accounts.

use std::sync::Arc;

use boxoffice_domain::{fixtures::TestClock, waiting_room::QueuePlace};
use boxoffice_waiting_room::{MemoryWaitingRoom, Settings};

use crate::support::{Instance, settings, terms};

mod bounds;
mod restarts;

fn in_memory(clock: &Arc<TestClock>, settings: Settings) -> Instance<MemoryWaitingRoom> {
    Instance { waiting_room: MemoryWaitingRoom::new(clock.clone(), settings), terms: terms(3) }
}

/// A server at which accounts 0.. joined in order, and one that started after it was lost, whose queue has re-formed by
/// the time that comes with the clock's next 5 seconds.
async fn restarted(joined: u128) -> (Arc<TestClock>, Vec<QueuePlace>, Instance<MemoryWaitingRoom>) {
    let clock = Arc::new(TestClock::new());
    let lost = in_memory(&clock, settings());
    let places = lost.join_many(joined).await;
    clock.advance_seconds(10);
    let server = in_memory(&clock, settings());
    (clock, places, server)
}
