//! What was read a moment ago, shared by all who ask for the same.
//!
//! A value is good for callers that came at most `kept_for` after its reading began.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use boxoffice_peers::SingleFlight;
use metrics::Counter;
use tokio::time::{Instant, sleep_until};

use crate::reply::Problem;

/// How long a value is kept that no caller asks for.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Which part of the time for which a value is kept lies between two readings at least, if freshness marks ask for newer
/// ones. With a thousand holds a second, there is no reading for each of them.
pub(super) const PAUSE_PART: u32 = 10;
/// About what an entry takes beside its value.
const ENTRY_BYTES: usize = 512;

/// Values by what was asked.
pub(super) struct ReadCache<K, V> {
    kept_for: Duration,
    pause: Duration,
    slots: moka::sync::Cache<K, Arc<Slot<V>>>,
    hits: Counter,
    misses: Counter,
}

/// The place of one value.
struct Slot<V> {
    /// The value, and when its reading began.
    latest: Mutex<Option<(Instant, V)>>,
    flight: SingleFlight<Problem>,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { latest: Mutex::new(None), flight: SingleFlight::default() }
    }
}

impl<K, V> ReadCache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps values of at most `bytes_max` together, as `bytes_of` counts them; for no time at all, it keeps nothing. At
    /// least `pause` lies between two readings of a value. `name` is the label of the metrics.
    pub(super) fn new(
        name: &'static str,
        kept_for: Duration,
        pause: Duration,
        bytes_max: u64,
        bytes_of: fn(&V) -> usize,
    ) -> Self {
        let weigh = move |slot: &Slot<V>| ENTRY_BYTES + slot.latest().as_ref().map_or(0, |(_, value)| bytes_of(value));
        let slots = moka::sync::Cache::builder()
            .weigher(move |_, slot: &Arc<Slot<V>>| u32::try_from(weigh(slot)).unwrap_or(u32::MAX))
            .max_capacity(bytes_max)
            .time_to_idle(IDLE_MAX)
            .build();
        Self {
            kept_for,
            pause,
            slots,
            hits: metrics::counter!("boxoffice_cache_hits_total", "cache" => name),
            misses: metrics::counter!("boxoffice_cache_misses_total", "cache" => name),
        }
    }

    /// The value for `key`, if its reading began after `since` and it is still `good`. Otherwise `read` makes one, given
    /// the former one.
    pub(super) async fn get<F>(
        &self,
        key: K,
        since: Option<Instant>,
        good: impl Fn(&V) -> bool,
        read: impl FnOnce(Option<V>) -> F,
    ) -> Result<V, Problem>
    where
        F: Future<Output = Result<V, Problem>>,
    {
        if self.kept_for.is_zero() {
            self.misses.increment(1);
            return read(None).await;
        }
        let asked_at = Instant::now();
        let slot = self.slots.get(&key).unwrap_or_else(|| self.slots.get_with_by_ref(&key, Arc::default));
        let kept = || {
            let latest = slot.latest();
            let (began_at, value) = latest.as_ref()?;
            let fresh = *began_at + self.kept_for >= asked_at && since.is_none_or(|since| *began_at > since);
            (fresh && good(value)).then(|| {
                self.hits.increment(1);
                value.clone()
            })
        };
        let reading = async {
            self.misses.increment(1);
            let former = slot.latest().clone();
            if let Some((began_at, _)) = &former
                && !self.pause.is_zero()
            {
                sleep_until(*began_at + self.pause).await;
            }
            let began_at = Instant::now();
            let value = read(former.map(|(_, value)| value)).await?;
            *slot.latest() = Some((began_at, value.clone()));
            // Put in again, it is weighed again.
            self.slots.insert(key, Arc::clone(&slot));
            Ok(value)
        };
        slot.flight.get(kept, reading).await
    }
}

impl<V> Slot<V> {
    fn latest(&self) -> MutexGuard<'_, Option<(Instant, V)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let cache = ReadCache::new("test", Duration::from_mins(1), Duration::ZERO, 100 * 1_512, |()| 1_000);
        for key in 0..10_000_u32 {
            cache.get(key, None, |()| true, async |_| Ok(())).await.unwrap();
        }
        cache.slots.run_pending_tasks();
        assert!((1..=100).contains(&cache.slots.entry_count()), "{}", cache.slots.entry_count());
    }
}
