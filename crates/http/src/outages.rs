//! Requests that fail because a part of the installation does not work: a line when that begins, one each ten seconds while
//! it lasts, and one when it is over. A line for each request would be 50,000 a second in a stampede.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::{Outage, StorageError};
use tokio::time::Instant;

/// How often a line says that it lasts; and for how long no request has to fail until it is over.
const INTERVAL: Duration = Duration::from_secs(10);

/// What requests fail for now, by its name.
static NOW: Outages = Outages(Mutex::new(BTreeMap::new()));

struct Outages(Mutex<BTreeMap<&'static str, Lasting>>);

/// Requests that fail for one reason.
#[derive(Debug)]
struct Lasting {
    began: Instant,
    last: Instant,
    /// When the last line was written.
    written: Instant,
    requests: u64,
    /// Those since the last line.
    requests_since: u64,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Lasts { requests: u64 },
    Over { requests: u64, seconds: u64 },
}

impl Outages {
    /// Counts a request that failed at `now`, and says whether it is the first.
    fn count(&self, reason: &'static str, now: Instant) -> bool {
        let mut lasting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lasting.get_mut(reason) {
            known.requests += 1;
            known.requests_since += 1;
            known.last = now;
            return false;
        }
        let first = Lasting { began: now, last: now, written: now, requests: 1, requests_since: 0 };
        lasting.insert(reason, first);
        true
    }

    /// The lines that are due at `now`.
    fn due(&self, now: Instant) -> Vec<(&'static str, Line)> {
        let mut lasting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        lasting.retain(|reason, known| {
            if now.duration_since(known.last) >= INTERVAL {
                let seconds = known.last.duration_since(known.began).as_secs();
                due.push((*reason, Line::Over { requests: known.requests, seconds }));
                return false;
            }
            if known.requests_since > 0 && now.duration_since(known.written) >= INTERVAL {
                due.push((*reason, Line::Lasts { requests: std::mem::take(&mut known.requests_since) }));
                known.written = now;
            }
            true
        });
        due
    }
}

/// Notes that a request fails because the storage does not work.
pub(crate) fn storage_unavailable(error: &StorageError) {
    let reason = Outage::reason_of(error).map_or("unknown", |reason| reason.as_str());
    if NOW.count(reason, Instant::now()) {
        tracing::warn!(error = error as &dyn std::error::Error, "requests begin to fail");
    }
}

/// Notes that a request was given up.
pub(crate) fn took_too_long() {
    const REASON: &str = "request_timeout";
    if NOW.count(REASON, Instant::now()) {
        tracing::warn!(reason = REASON, "requests begin to be given up: they take too long");
    }
}

/// Writes the lines about failing requests that are due. To be called each second.
pub fn report_failing_requests() {
    for (reason, line) in NOW.due(Instant::now()) {
        match line {
            Line::Lasts { requests } => tracing::warn!(reason, requests, "requests go on failing"),
            Line::Over { requests, seconds } => {
                tracing::info!(reason, requests, seconds, "no request has failed for this reason for 10 s");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_a_line_at_its_begin_each_ten_seconds_and_at_its_end() {
        let outages = Outages(Mutex::default());
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut firsts = 0;
        let mut lines = Vec::new();
        for milliseconds in (0..25_000).step_by(100) {
            firsts += usize::from(outages.count("timed_out", at(milliseconds)));
            lines.extend(outages.due(at(milliseconds)));
        }
        assert_eq!(firsts, 1);
        assert_eq!(lines, [("timed_out", Line::Lasts { requests: 100 }), ("timed_out", Line::Lasts { requests: 100 })]);
        assert_eq!(outages.due(at(34_899)), [("timed_out", Line::Lasts { requests: 49 })]);
        assert_eq!(outages.due(at(34_900)), [("timed_out", Line::Over { requests: 250, seconds: 24 })]);
        assert_eq!(outages.due(at(60_000)), []);
        assert!(outages.count("timed_out", at(60_000)), "it begins again");
        assert!(outages.count("disk_full", at(60_000)), "for another reason");
    }
}
