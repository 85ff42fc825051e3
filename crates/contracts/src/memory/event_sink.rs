//! A sink of events in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use boxoffice_domain::event_delivery::{EventSink, EventSinkError, PublishedEvent};

/// Keeps all events that it was given, as a broker with one reader would. It accepts them until a test says otherwise.
#[derive(Debug, Default)]
pub struct MemoryEventSink {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<PublishedEvent>,
    failures: usize,
}

impl MemoryEventSink {
    /// Everything that was accepted, repeats included.
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.state().events.clone()
    }

    /// Lets the next `count` batches fail after their first half was accepted, as when a connection is cut.
    pub fn fail_next(&self, count: usize) {
        self.state().failures = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventSink for MemoryEventSink {
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        let mut state = self.state();
        if !events.is_empty() && state.failures > 0 {
            state.failures -= 1;
            state.events.extend_from_slice(&events[..events.len() / 2]);
            return Err(EventSinkError::Unavailable("a test lets it fail".into()));
        }
        state.events.extend_from_slice(events);
        Ok(())
    }
}
