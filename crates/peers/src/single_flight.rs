//! One caller reads for all that ask at once.

use tokio::{sync::Mutex, time::Instant};

/// Makes one reading of many that are asked for at the same time. The caller keeps the value; this only decides which
/// caller reads, and shares a failure with those that waited for it. A failure is not kept.
#[derive(Debug)]
pub struct SingleFlight<E> {
    /// When the last reading failed that did, and why. Locked by the caller that reads.
    failed: Mutex<Option<(Instant, E)>>,
}

impl<E> Default for SingleFlight<E> {
    fn default() -> Self {
        Self { failed: Mutex::new(None) }
    }
}

impl<E: Clone> SingleFlight<E> {
    /// The value that is kept, if it is good enough for this caller; otherwise the one that `read` makes. `read` also puts
    /// it where `kept` finds it. A reading that is broken off counts as none.
    pub async fn get<T>(&self, kept: impl Fn() -> Option<T>, read: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let asked_at = Instant::now();
        if let Some(value) = kept() {
            return Ok(value);
        }
        let mut failed = self.failed.lock().await;
        // The caller that held the lock may have read for this one too, or may have failed for both.
        if let Some(value) = kept() {
            return Ok(value);
        }
        if let Some((failed_at, error)) = &*failed
            && *failed_at >= asked_at
        {
            return Err(error.clone());
        }
        let read = read.await;
        if let Err(error) = &read {
            *failed = Some((Instant::now(), error.clone()));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use tokio::{
        sync::Barrier,
        task::JoinSet,
        time::{advance, sleep, timeout},
    };

    use super::*;

    /// A value that says which reading made it.
    #[derive(Default)]
    struct Counted {
        flight: SingleFlight<&'static str>,
        kept: AtomicUsize,
        readings: AtomicUsize,
    }

    impl Counted {
        fn kept(&self) -> Option<usize> {
            Some(self.kept.load(SeqCst)).filter(|kept| *kept > 0)
        }

        async fn get(&self) -> usize {
            let read = async {
                tokio::task::yield_now().await;
                self.kept.store(self.readings.fetch_add(1, SeqCst) + 1, SeqCst);
                Ok(self.kept.load(SeqCst))
            };
            self.flight.get(|| self.kept(), read).await.unwrap()
        }

        async fn fails(&self) -> &'static str {
            let read = async {
                self.readings.fetch_add(1, SeqCst);
                sleep(Duration::from_secs(1)).await;
                Err("away")
            };
            self.flight.get(|| self.kept(), read).await.unwrap_err()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hundreds_at_once_are_one_reading() {
        let counted = Arc::new(Counted::default());
        for round in 1..=3 {
            counted.kept.store(0, SeqCst);
            let start = Arc::new(Barrier::new(500));
            let mut tasks = JoinSet::new();
            for _ in 0..500 {
                let (counted, start) = (Arc::clone(&counted), Arc::clone(&start));
                tasks.spawn(async move {
                    start.wait().await;
                    counted.get().await
                });
            }
            assert_eq!(tasks.join_all().await, [round; 500]);
            assert_eq!(counted.readings.load(SeqCst), round);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_for_those_who_waited_for_it() {
        let counted = Arc::new(Counted::default());
        let mut tasks = JoinSet::new();
        for _ in 0..300 {
            let counted = Arc::clone(&counted);
            tasks.spawn(async move { counted.fails().await });
        }
        assert_eq!(tasks.join_all().await, ["away"; 300]);
        assert_eq!(counted.readings.load(SeqCst), 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!(counted.get().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_is_broken_off_is_taken_up_by_the_next() {
        let counted = Counted::default();
        let endless = counted.flight.get(|| counted.kept(), std::future::pending());
        assert!(timeout(Duration::from_secs(1), endless).await.is_err());
        assert_eq!(counted.get().await, 1);
    }
}
