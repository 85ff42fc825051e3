//! How fast a line moves.

use boxoffice_domain::Timestamp;

/// After this long, a measurement counts for 1/e of what it did: long enough to smooth the payments of a
/// few hundred people, short enough to follow them.
const MEMORY_SECONDS: f64 = 120.0;

/// Less than this is not a measure.
const MEASURED_SECONDS_MIN: f64 = 0.5;

/// Admissions per second while somebody waits, the recent ones counting most. Takes the same few bytes
/// however many there are: both the number of admissions and the time in which they happened fade at the
/// same pace, and their ratio is the rate.
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

    /// Lets time pass. It is part of the measure only where somebody `waited` through it: an idle line says
    /// nothing about how fast a busy one moves, so that the last measure is kept meanwhile.
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

    /// In how many seconds `count` people will be admitted; `None` before there is a measure.
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

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;

    use super::*;

    #[test]
    fn nothing_is_told_before_there_is_a_measure() {
        let mut rate = AdmissionRate::new(instant(0));
        assert_eq!(rate.seconds_for(1), None);
        rate.admitted(5);
        assert_eq!(rate.seconds_for(1), None, "5 admissions in no time");
        let mut rate = AdmissionRate::new(instant(0));
        rate.pass(instant(60), true);
        assert_eq!(rate.seconds_for(1), None, "no admission in a minute");
    }

    #[test]
    fn a_steady_rate_is_told_from_the_start() {
        let mut rate = AdmissionRate::new(instant(0));
        for second in 1..=1_000 {
            rate.pass(instant(second), true);
            rate.admitted(2);
            let told = rate.seconds_for(1_000).expect("measured");
            assert!((490..=500).contains(&told), "{told} after {second} s");
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
}
