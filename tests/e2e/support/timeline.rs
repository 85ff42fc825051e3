//! What happened when, printed if a test fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// How many of the latest events are shown.
const SHOWN_MAX: usize = 400;

/// Notes events with their times. A copy notes into the same list.
#[derive(Clone)]
pub(crate) struct Timeline {
    began: Instant,
    events: Arc<Mutex<Vec<String>>>,
}

/// Prints the events if its test fails.
pub(crate) struct Printed(Timeline);

impl Timeline {
    /// An empty one, and what prints it: keep that to the end of the test.
    pub(crate) fn new() -> (Self, Printed) {
        let timeline = Self { began: Instant::now(), events: Arc::default() };
        (timeline.clone(), Printed(timeline))
    }

    pub(crate) fn note(&self, event: impl AsRef<str>) {
        let line = format!("{:9.3} s  {}", self.began.elapsed().as_secs_f64(), event.as_ref());
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
            let shown = &events[events.len().saturating_sub(SHOWN_MAX)..];
            eprintln!("what happened ({} of {} events):\n{}", shown.len(), events.len(), shown.join("\n"));
        }
    }
}
