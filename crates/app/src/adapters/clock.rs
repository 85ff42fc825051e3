//! The time of day.

use boxoffice_domain::{Clock, Timestamp};
use chrono::{SubsecRound, Utc};

/// Tells the time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter behind the Clock port")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}
