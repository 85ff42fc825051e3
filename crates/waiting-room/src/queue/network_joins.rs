//! How many accounts have joined from each network.

use std::collections::HashMap;

use boxoffice_domain::{Network, Timestamp, waiting_room::WaitingRoomError};
use chrono::{DurationRound, TimeDelta};

/// How many accounts have joined from each network within the hour of the clock that the last one joined in.
#[derive(Debug, Default)]
pub(super) struct NetworkJoins {
    hour: Timestamp,
    counts: HashMap<Network, u32>,
}

impl NetworkJoins {
    /// Counts one that joins, unless `count_max` (0: any number) have joined.
    pub(super) fn take(&mut self, network: Network, count_max: u32, now: Timestamp) -> Result<(), WaitingRoomError> {
        if count_max == 0 {
            return Ok(());
        }
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        if hour != self.hour {
            *self = Self { hour, counts: HashMap::new() };
        }
        let count = self.counts.entry(network).or_default();
        if *count >= count_max {
            return Err(WaitingRoomError::NetworkFull { until: hour + TimeDelta::hours(1) });
        }
        *count += 1;
        Ok(())
    }
}
