//! The time of day.

use std::sync::atomic::{AtomicBool, Ordering};

use boxoffice_domain::{Clock, Timestamp};
use chrono::{SubsecRound, Utc};

/// Tells the time of the operating system, and whether that is right.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    is_wrong: AtomicBool,
}

impl SystemClock {
    /// Says whether the clock agrees with that of the storage.
    pub(crate) fn trust(&self, trusted: bool) {
        self.is_wrong.store(!trusted, Ordering::Relaxed);
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter behind the Clock port")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }

    fn is_trusted(&self) -> bool {
        !self.is_wrong.load(Ordering::Relaxed)
    }
}
