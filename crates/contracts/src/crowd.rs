//! Many tasks at once, and choices that are the same in each run.

use std::sync::Arc;

use tokio::sync::Barrier;

/// Runs `act` for each input in a separate task. All tasks start together; the outcomes are in the order of the
/// inputs.
pub async fn at_once<I, F>(inputs: impl IntoIterator<Item = I>, act: impl Fn(I) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let acts: Vec<F> = inputs.into_iter().map(act).collect();
    let start = Arc::new(Barrier::new(acts.len()));
    let tasks = acts.into_iter().map(|act| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            act.await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        outcomes.push(task.await.expect("a task does not panic"));
    }
    outcomes
}

/// Numbers that look random and are the same in each run: xorshift of Marsaglia.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice whose numbers depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }

    /// So many different ones of these.
    pub fn pick<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut left = from.to_vec();
        (0..count).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }
}
