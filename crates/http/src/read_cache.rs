//! What was read a moment ago, shared by all who ask for the same.
//!
//! Everything here is about one comparison: a value is good for whoever came at most `kept_for` after its
//! reading began. Many who ask at once wait for one reading. A failure is shared by those who waited for it,
//! and is not kept.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::Counter;
use tokio::time::{Instant, sleep_until};

use crate::reply::Problem;

/// How long a value is kept for which nobody asks.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Where accounts have a right to newer values: how much of the time for which one is kept lies between two
/// readings at least. With a thousand holds a second, there is no reading for each of them.
pub(crate) const PAUSE_PART: u32 = 10;
/// About what an entry takes beside its value.
const ENTRY_BYTES: usize = 512;

/// What takes memory.
pub(crate) trait Weighed {
    /// About how many bytes it takes.
    fn bytes(&self) -> usize;
}

/// Values by what was asked.
pub(crate) struct ReadCache<K, V> {
    kept_for: Duration,
    pause: Duration,
    slots: moka::sync::Cache<K, Arc<Slot<V>>>,
    hits: Counter,
    misses: Counter,
}

/// The place of one value.
struct Slot<V> {
    latest: Mutex<Latest<V>>,
    /// Held by the one who reads.
    reading: tokio::sync::Mutex<()>,
}

struct Latest<V> {
    /// The value, and when its reading began.
    value: Option<(Instant, V)>,
    /// When the last reading failed that did, and why.
    failed: Option<(Instant, Problem)>,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { latest: Mutex::new(Latest { value: None, failed: None }), reading: tokio::sync::Mutex::default() }
    }
}

impl<K, V> ReadCache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Weighed + Send + Sync + 'static,
{
    /// Keeps values of at most `bytes_max` together; for no time at all, it keeps nothing. `name` is the
    /// label of its metrics.
    pub(crate) fn new(name: &'static str, kept_for: Duration, bytes_max: u64) -> Self {
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
    pub(crate) fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The value for `key`. Where none is good, `read` makes one, given the former one.
    pub(crate) async fn get<F>(&self, key: K, read: impl FnOnce(Option<V>) -> F) -> Result<V, Problem>
    where
        F: Future<Output = Result<V, Problem>>,
    {
        self.get_since(key, None, |_| true, read).await
    }

    /// As [`Self::get`], with a value whose reading began after `since` and that is still `good`.
    pub(crate) async fn get_since<F>(
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
        let came_at = Instant::now();
        let slot = self.slots.get(&key).unwrap_or_else(|| self.slots.get_with_by_ref(&key, Arc::default));
        let kept = || {
            slot.value(|began_at, value| {
                began_at + self.kept_for >= came_at && since.is_none_or(|since| began_at > since) && good(value)
            })
        };
        if let Some(value) = kept() {
            self.hits.increment(1);
            return Ok(value);
        }
        let _turn = slot.reading.lock().await;
        // Whoever had the turn before may have read it for this one too, or have failed for both.
        if let Some(value) = kept() {
            self.hits.increment(1);
            return Ok(value);
        }
        slot.failed_since(came_at)?;
        self.misses.increment(1);
        let former = slot.pause(self.pause).await;
        let began_at = Instant::now();
        let value = read(former).await.map_err(|problem| slot.fail(problem))?;
        slot.put(began_at, value.clone());
        // Put in again, it is weighed again.
        self.slots.insert(key, Arc::clone(&slot));
        Ok(value)
    }
}

impl<V: Clone> Slot<V> {
    fn value(&self, good: impl Fn(Instant, &V) -> bool) -> Option<V> {
        let latest = self.latest();
        let (began_at, value) = latest.value.as_ref()?;
        good(*began_at, value).then(|| value.clone())
    }

    fn failed_since(&self, came_at: Instant) -> Result<(), Problem> {
        match &self.latest().failed {
            Some((failed_at, problem)) if *failed_at >= came_at => Err(problem.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until the next reading may begin, and gives the former value.
    async fn pause(&self, pause: Duration) -> Option<V> {
        let (began_at, value) = self.latest().value.clone()?;
        if !pause.is_zero() {
            sleep_until(began_at + pause).await;
        }
        Some(value)
    }

    fn put(&self, began_at: Instant, value: V) {
        self.latest().value = Some((began_at, value));
    }

    fn fail(&self, problem: Problem) -> Problem {
        self.latest().failed = Some((Instant::now(), problem.clone()));
        problem
    }
}

impl<V> Slot<V> {
    fn latest(&self) -> MutexGuard<'_, Latest<V>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Weighed> Slot<V> {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.latest().value.as_ref().map_or(0, |(_, value)| value.bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::Barrier, time::advance};

    use super::*;
    use crate::reply::Code;

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
        fn new(kept_for: Duration) -> Arc<Self> {
            Arc::new(Self { cache: ReadCache::new("test", kept_for, 1 << 20), readings: AtomicUsize::new(0) })
        }

        async fn read(&self) -> Result<usize, Problem> {
            tokio::task::yield_now().await;
            Ok(self.readings.fetch_add(1, Ordering::SeqCst) + 1)
        }

        async fn get(&self, key: &'static str) -> usize {
            self.cache.get(key, |_| self.read()).await.unwrap()
        }

        async fn get_since(&self, since: Instant) -> usize {
            self.cache.get_since("a", Some(since), |_| true, |_| self.read()).await.unwrap()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hundreds_at_once_are_one_reading() {
        let counted = Counted::new(Duration::from_mins(1));
        for round in 1..=3 {
            let key = ["a", "b", "c"][round - 1];
            let start = Arc::new(Barrier::new(500));
            let tasks: Vec<_> = (0..500)
                .map(|_| {
                    let (counted, start) = (Arc::clone(&counted), Arc::clone(&start));
                    tokio::spawn(async move {
                        start.wait().await;
                        counted.get(key).await
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap(), round);
            }
            assert_eq!(counted.readings.load(Ordering::SeqCst), round);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_good_for_its_time_and_no_longer() {
        let counted = Counted::new(KEPT_FOR);
        assert_eq!(counted.get("a").await, 1);
        advance(KEPT_FOR).await;
        assert_eq!(counted.get("a").await, 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!((counted.get("a").await, counted.get("b").await), (2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_needs_a_newer_one_gets_it_and_so_do_all_after() {
        let counted = Counted::new(KEPT_FOR);
        assert_eq!(counted.get("a").await, 1);
        advance(Duration::from_millis(10)).await;
        let since = Instant::now();
        advance(Duration::from_millis(1)).await;
        assert_eq!((counted.get("a").await, counted.get_since(since).await), (1, 2));
        assert_eq!((counted.get("a").await, counted.get_since(since).await), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn readings_keep_their_distance() {
        let mut counted = Counted::new(KEPT_FOR);
        let inner = Arc::get_mut(&mut counted).unwrap();
        inner.cache.pause = Duration::from_millis(25);
        let began = Instant::now();
        for reading in 1..=5 {
            assert_eq!(counted.get_since(Instant::now()).await, reading);
            advance(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn without_a_time_nothing_is_kept() {
        let counted = Counted::new(Duration::ZERO);
        assert_eq!((counted.get("a").await, counted.get("a").await), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_for_those_who_waited_for_it() {
        let cache: Arc<ReadCache<u8, usize>> = Arc::new(ReadCache::new("test", KEPT_FOR, 1 << 20));
        let readings = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..300)
            .map(|_| {
                let (cache, readings) = (Arc::clone(&cache), Arc::clone(&readings));
                tokio::spawn(async move {
                    let read = |_| async {
                        readings.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Err(Problem::new(Code::Unavailable))
                    };
                    cache.get(1, read).await.unwrap_err().code()
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Code::Unavailable);
        }
        assert_eq!(readings.load(Ordering::SeqCst), 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(1, |_| async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_is_broken_off_is_taken_up_by_the_next() {
        let counted = Counted::new(KEPT_FOR);
        let endless = counted.cache.get("a", |_| std::future::pending());
        assert!(tokio::time::timeout(Duration::from_secs(1), endless).await.is_err());
        assert_eq!(counted.get("a").await, 1);
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let cache = ReadCache::new("test", Duration::from_mins(1), 100 * 1_512);
        for key in 0..10_000_u32 {
            cache.get(key, |_| async { Ok(1) }).await.unwrap();
        }
        cache.slots.run_pending_tasks();
        assert!((1..=100).contains(&cache.slots.entry_count()), "{}", cache.slots.entry_count());
    }
}
