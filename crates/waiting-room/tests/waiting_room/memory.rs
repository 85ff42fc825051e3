//! The waiting room in memory beyond the contract: restarts, bounds, and a million accounts.

use std::sync::Arc;

use boxoffice_domain::fixtures::TestClock;
use boxoffice_waiting_room::{MemoryWaitingRoom, Settings};

use crate::support::{Instance, terms};

mod bounds;
mod restarts;

fn in_memory(clock: &Arc<TestClock>, settings: Settings) -> Instance<MemoryWaitingRoom> {
    Instance { waiting_room: MemoryWaitingRoom::new(clock.clone(), settings), terms: terms(3) }
}
