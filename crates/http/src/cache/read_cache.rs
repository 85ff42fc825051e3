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

/// What takes memory.
pub(super) trait Weighed {
    /// About how many bytes it takes.
    fn bytes(&self) -> usize;
}

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
    V: Clone + Weighed + Send + Sync + 'static,
{
    /// Keeps values of at most `bytes_max` together; for no time at all, it keeps nothing. `name` is the label of its
    /// metrics.
    pub(super) fn new(name: &'static str, kept_for: Duration, bytes_max: u64) -> Self {
        let slots = moka::sync::Cache::builder()
            .weigher(|_, slot: &Arc<Slot<V>>| u32::try_from(slot.bytes()).unwrap_or(u32::MAX))
            .max_capacity(bytes_max)
            .time_to_idle(IDLE_MAX)
            .build();
        Self {
            kept_for,
            pause: Duration::ZERO,
            slots,
            hits: metrics::counter!("boxoffice_cache_hits_total", "cache" => name),
            misses: metrics::counter!("boxoffice_cache_misses_total", "cache" => name),
        }
    }

    /// The same, letting at least this time pass from one reading of a value to the next.
    pub(super) fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
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

impl<V: Weighed> Slot<V> {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.latest().as_ref().map_or(0, |(_, value)| value.bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    impl Weighed for usize {
        fn bytes(&self) -> usize {
            1_000
        }
    }

    const KEPT_FOR: Duration = Duration::from_millis(250);

    /// A cache whose values say which reading made them.
    struct Counted {
        cache: ReadCache<&'static str, usize>,
        readings: AtomicUsize,
    }

    impl Counted {
        fn new(kept_for: Duration) -> Self {
            Self { cache: ReadCache::new("test", kept_for, 1 << 20), readings: AtomicUsize::new(0) }
        }

        async fn get(&self, key: &'static str, since: Option<Instant>) -> usize {
            let read = async |_| Ok(self.readings.fetch_add(1, Ordering::SeqCst) + 1);
            self.cache.get(key, since, |_| true, read).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_good_for_its_time_and_no_longer() {
        let counted = Counted::new(KEPT_FOR);
        assert_eq!(counted.get("a", None).await, 1);
        advance(KEPT_FOR).await;
        assert_eq!(counted.get("a", None).await, 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!((counted.get("a", None).await, counted.get("b", None).await), (2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_value_that_one_caller_needs_is_for_all_after_it() {
        let counted = Counted::new(KEPT_FOR);
        assert_eq!(counted.get("a", None).await, 1);
        advance(Duration::from_millis(10)).await;
        let since = Some(Instant::now());
        advance(Duration::from_millis(1)).await;
        assert_eq!((counted.get("a", None).await, counted.get("a", since).await), (1, 2));
        assert_eq!((counted.get("a", None).await, counted.get("a", since).await), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn readings_keep_their_distance() {
        let mut counted = Counted::new(KEPT_FOR);
        counted.cache.pause = Duration::from_millis(25);
        let began = Instant::now();
        for reading in 1..=5 {
            assert_eq!(counted.get("a", Some(Instant::now())).await, reading);
            advance(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn without_a_time_nothing_is_kept() {
        let counted = Counted::new(Duration::ZERO);
        assert_eq!((counted.get("a", None).await, counted.get("a", None).await), (1, 2));
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let cache = ReadCache::new("test", Duration::from_mins(1), 100 * 1_512);
        for key in 0..10_000_u32 {
            cache.get(key, None, |_| true, async |_| Ok(1)).await.unwrap();
        }
        cache.slots.run_pending_tasks();
        assert!((1..=100).contains(&cache.slots.entry_count()), "{}", cache.slots.entry_count());
    }
}
