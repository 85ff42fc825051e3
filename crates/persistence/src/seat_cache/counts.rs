//! How many seats of a performance are left, counted by the database, for performances whose seats are not cached.
//!
//! A count is good until a hold, payment, cancellation or lapse changes it. Counting a large hall again after each of them
//! would keep the database busy, so a count that took long is good for a while all the same.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use boxoffice_domain::{PerformanceId, Timestamp, catalog::Stock};
use tokio::time::Instant;

use super::locked;

/// The most counts; beyond that, all are forgotten.
const COUNTS_MAX: usize = 200_000;
/// How long ago seats may have been counted while everything is received that peers publish.
const RECEIVING_AGE_MAX: Duration = Duration::from_mins(1);
/// What took longer than this to count is counted in one part of the time at most.
const QUICK: Duration = Duration::from_millis(5);
const COUNTING_PART: u32 = 20;

/// The seats of a performance that are left, as they were counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) stock: Stock,
    /// When the first hold lapses.
    pub(crate) lapses_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<PerformanceId, Slot>>);

#[derive(Debug, Default)]
struct Slot {
    counted: Option<Counted>,
    /// When the seats changed last, as far as is known.
    changed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    count: Count,
    began_at: Instant,
    took: Duration,
}

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }

    pub(super) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// What is left of a performance, if that is known well enough.
    pub(super) fn get(
        &self,
        id: PerformanceId,
        age_max: Duration,
        all_received: bool,
        now: Timestamp,
    ) -> Option<Stock> {
        let counts = locked(&self.0);
        let Slot { counted, changed_at } = counts.get(&id)?;
        let Counted { count, began_at, took } = (*counted)?;
        let age = began_at.elapsed();
        let age_max = if all_received { age_max.max(RECEIVING_AGE_MAX) } else { age_max };
        let unchanged = changed_at.is_none_or(|changed_at| changed_at < began_at)
            && count.lapses_at.is_none_or(|lapses_at| now < lapses_at);
        let rests = age < took.saturating_sub(QUICK) * COUNTING_PART;
        (age <= age_max && unchanged || rests).then_some(count.stock)
    }

    /// Begins to count the seats of performances: from now on their changes are noted.
    pub(super) fn begin(&self, ids: &[PerformanceId]) -> Instant {
        let mut counts = locked(&self.0);
        if counts.len() + ids.len() > COUNTS_MAX {
            counts.clear();
        }
        for id in ids {
            counts.entry(*id).or_default();
        }
        Instant::now()
    }

    /// Keeps what was counted of a performance since then.
    pub(super) fn keep(&self, id: PerformanceId, count: Count, began_at: Instant) {
        if let Some(slot) = locked(&self.0).get_mut(&id) {
            slot.counted = Some(Counted { count, began_at, took: began_at.elapsed() });
        }
    }

    /// Notes that seats of performances have changed.
    pub(super) fn change(&self, ids: impl Iterator<Item = PerformanceId>) {
        let mut counts = locked(&self.0);
        if counts.is_empty() {
            return;
        }
        let now = Instant::now();
        for id in ids {
            if let Some(slot) = counts.get_mut(&id) {
                slot.changed_at = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    const ID: PerformanceId = PerformanceId::new(Uuid::from_u128(1));
    const AGE_MAX: Duration = Duration::from_millis(250);
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn count(available: u64, lapses_at: Option<Timestamp>) -> Count {
        Count { stock: Stock { total: 9, available, held: 0 }, lapses_at }
    }

    impl Counts {
        fn counted(count: Count) -> Self {
            let counts = Self::default();
            let began_at = counts.begin(&[ID]);
            counts.keep(ID, count, began_at);
            counts
        }

        fn available(&self, all_received: bool, seconds: i64) -> Option<u64> {
            self.get(ID, AGE_MAX, all_received, instant(seconds)).map(|stock| stock.available)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_is_good_until_its_seats_change_or_a_hold_lapses_or_it_is_old() {
        let counts = Counts::counted(count(7, Some(instant(300))));
        assert_eq!((counts.available(true, 299), counts.available(true, 300)), (Some(7), None));
        advance(AGE_MAX + MILLISECOND).await;
        assert_eq!((counts.available(true, 0), counts.available(false, 0)), (Some(7), None));
        advance(RECEIVING_AGE_MAX).await;
        assert_eq!(counts.available(true, 0), None);

        let counts = Counts::counted(count(7, None));
        counts.change([PerformanceId::new(Uuid::from_u128(2))].into_iter());
        assert_eq!(counts.available(true, 0), Some(7));
        counts.change([ID].into_iter());
        assert_eq!(counts.available(true, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_while_the_seats_are_counted_is_noted() {
        let counts = Counts::default();
        let began_at = counts.begin(&[ID]);
        advance(MILLISECOND).await;
        counts.change([ID].into_iter());
        counts.keep(ID, count(7, None), began_at);
        assert_eq!(counts.available(true, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_to_count_is_counted_for_one_twentieth_of_the_time() {
        let counts = Counts::default();
        let began_at = counts.begin(&[ID]);
        advance(QUICK + MILLISECOND * 10).await;
        counts.keep(ID, count(7, None), began_at);
        counts.change([ID].into_iter());
        advance(MILLISECOND * 184).await;
        assert_eq!(counts.available(true, 0), Some(7));
        advance(MILLISECOND).await;
        assert_eq!(counts.available(true, 0), None);
    }

    #[test]
    fn the_counts_are_bounded() {
        let counts = Counts::default();
        let ids: Vec<_> = (0..=COUNTS_MAX as u128).map(|number| PerformanceId::new(Uuid::from_u128(number))).collect();
        counts.begin(&ids[..1]);
        counts.begin(&ids[1..COUNTS_MAX]);
        assert_eq!(locked(&counts.0).len(), COUNTS_MAX);
        counts.begin(&ids[COUNTS_MAX..]);
        assert_eq!(locked(&counts.0).len(), 1);
    }
}
