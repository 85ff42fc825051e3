//! The time of day. It is read here and nowhere else.

use chrono::{DateTime, Utc};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real world")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
