//! Durations of many acts.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeStruct};

const DIGITS: u8 = 3;
/// Longer times are recorded as this.
const MICROSECONDS_MAX: u64 = 600_000_000;

/// A record of durations, exact to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MICROSECONDS_MAX, DIGITS).expect("the bounds are sane"))
    }
}

impl Latencies {
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration that this share of all, between 0 and 1, did not exceed; zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// The median, the quantiles 0.95 and 0.99, and the maximum.
    pub fn milliseconds(&self) -> [f64; 4] {
        let durations = [self.quantile(0.5), self.quantile(0.95), self.quantile(0.99), self.max()];
        durations.map(|duration| duration.as_secs_f64() * 1_000.0)
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [p50, p95, p99, max] = self.milliseconds();
        let mut fields = serializer.serialize_struct("Latencies", 5)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("p50_milliseconds", &p50)?;
        fields.serialize_field("p95_milliseconds", &p95)?;
        fields.serialize_field("p99_milliseconds", &p99)?;
        fields.serialize_field("max_milliseconds", &max)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::default();
        for milliseconds in 1..=1_000 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        let median = latencies.quantile(0.5).as_secs_f64();
        assert!((median - 0.5).abs() < 0.001, "{median}");
        latencies.record(Duration::from_secs(100_000));
        assert_eq!(latencies.count(), 1_001);
        assert!(latencies.max() >= Duration::from_mins(10), "what is too long is recorded as the longest");
        assert_eq!(Latencies::default().quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn the_json_form_is_in_milliseconds() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(5));
        let json = serde_json::to_value(&latencies).unwrap();
        assert_eq!(json["count"], 1);
        for field in ["p50_milliseconds", "p95_milliseconds", "p99_milliseconds", "max_milliseconds"] {
            assert!((json[field].as_f64().unwrap() - 5.0).abs() < 0.01, "{field}: {json}");
        }
    }
}
