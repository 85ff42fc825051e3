//! How fast a queue moves.

use std::collections::BTreeMap;

use boxoffice_domain::Timestamp;

/// After this long, a measurement counts for 1/e of what it did: long enough to smooth the payments of a few hundred
/// accounts, short enough to follow them.
const MEMORY_SECONDS: f64 = 120.0;

/// Less than this is not a measure.
const MEASURED_SECONDS_MIN: f64 = 0.5;

/// Admissions per second while any account waits, the recent ones counting most. Takes the same few bytes however many
/// there are: the number of admissions and the time in which they happened fade at the same pace, and their ratio is the
/// rate.
#[derive(Debug)]
pub(crate) struct AdmissionRate {
    admissions: f64,
    seconds: f64,
    measured_until: Timestamp,
}

impl AdmissionRate {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { admissions: 0.0, seconds: 0.0, measured_until: now }
    }

    /// What was measured elsewhere in the same way, to estimate from.
    pub(crate) const fn measured(admissions: f64, seconds: f64) -> Self {
        Self { admissions, seconds, measured_until: Timestamp::UNIX_EPOCH }
    }

    /// Lets time pass. It is part of the measure only if any account `waited` through it: an idle queue says nothing about
    /// how fast a busy one moves, so it keeps the last measure.
    pub(crate) fn pass(&mut self, now: Timestamp, waited: bool) {
        let passed = (now - self.measured_until).as_seconds_f64().max(0.0);
        self.measured_until = self.measured_until.max(now);
        if waited {
            let faded = (-passed / MEMORY_SECONDS).exp();
            self.admissions *= faded;
            self.seconds = self.seconds * faded + MEMORY_SECONDS * (1.0 - faded);
        }
    }

    /// Counts admissions at the present instant.
    pub(crate) fn admitted(&mut self, count: u32) {
        self.admissions += f64::from(count);
    }

    /// In how many seconds `count` accounts will be admitted; `None` before there is a measure.
    pub(crate) fn seconds_for(&self, count: u32) -> Option<u64> {
        if self.admissions <= 0.0 || self.seconds < MEASURED_SECONDS_MIN {
            return None;
        }
        let seconds = (f64::from(count) * self.seconds / self.admissions).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; too large saturates"
        )]
        Some(seconds as u64)
    }
}

/// How many were admitted in each of the last 60 seconds in which any were, by the second.
#[derive(Debug, Default)]
pub(crate) struct LastMinute(BTreeMap<i64, u64>);

impl LastMinute {
    /// Counts one admission.
    pub(crate) fn admitted(&mut self, now: Timestamp) {
        *self.0.entry(now.timestamp()).or_default() += 1;
        if self.0.len() > 60 {
            self.0.pop_first();
        }
    }

    /// How many were admitted within the last 60 seconds, to the second.
    pub(crate) fn count(&self, now: Timestamp) -> u64 {
        self.0.range(now.timestamp() - 59..).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;

    use super::*;

    #[test]
    fn there_is_no_estimate_before_there_is_a_measure() {
        let mut rate = AdmissionRate::new(instant(0));
        assert_eq!(rate.seconds_for(1), None);
        rate.admitted(5);
        assert_eq!(rate.seconds_for(1), None, "5 admissions in no time");
        let mut rate = AdmissionRate::new(instant(0));
        rate.pass(instant(60), true);
        assert_eq!(rate.seconds_for(1), None, "no admission in a minute");
    }

    #[test]
    fn a_steady_rate_is_estimated_from_the_start() {
        let mut rate = AdmissionRate::new(instant(0));
        for second in 1..=1_000 {
            rate.pass(instant(second), true);
            rate.admitted(2);
            let estimate = rate.seconds_for(1_000).expect("measured");
            assert!((490..=500).contains(&estimate), "{estimate} after {second} s");
        }
    }

    #[test]
    fn a_new_pace_replaces_the_old_one_and_idling_keeps_it() {
        let mut rate = AdmissionRate::new(instant(0));
        rate.pass(instant(600), true);
        rate.admitted(1);
        let slow = rate.seconds_for(10).expect("measured");
        for second in 601..1_200 {
            rate.pass(instant(second), true);
            rate.admitted(1);
        }
        let fast = rate.seconds_for(10).expect("measured");
        assert!(slow > 1_000 && fast <= 11, "{slow} then {fast}");
        rate.pass(instant(90_000), false);
        assert_eq!(rate.seconds_for(10), Some(fast));
        rate.pass(instant(0), true);
        assert_eq!(rate.seconds_for(10), Some(fast), "a clock that was set back does no harm");
    }

    #[test]
    fn the_last_minute_is_counted_to_the_second_in_bounded_memory() {
        let mut minute = LastMinute::default();
        for second in 0..600 {
            minute.admitted(instant(second));
            minute.admitted(instant(second));
            assert!(minute.0.len() <= 60);
        }
        let counts = [599, 600, 658, 659].map(|second| minute.count(instant(second)));
        assert_eq!(counts, [120, 118, 2, 0]);
        minute.admitted(instant(659));
        minute.admitted(instant(601));
        assert_eq!(minute.count(instant(660)), 2, "a clock that was set back does no harm");
    }
}
