//! The time of day, which no other module reads.

use chrono::{DateTime, Utc};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real world")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
