//! Stopping the server without breaking off requests.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// The stages of stopping, shared by the server and the code that stops it. After [`Self::leave`], `/readyz` refuses, so
/// that a load balancer sends no more requests, and the rest is served. After [`Self::begin`], queue streams end too.
/// [`Self::acts_ended`] then waits for the acts that are under way, whose clients may have gone.
#[derive(Clone, Debug, Default)]
pub struct Draining {
    begun: Arc<watch::Sender<bool>>,
    leaving: Arc<AtomicBool>,
    pub(crate) acts: TaskTracker,
}

impl Draining {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `/readyz` refuse. Requests are still served.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether `/readyz` refuses.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || *self.begun.borrow()
    }

    /// Begins it; doing so twice is no error.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Waits until it has begun.
    pub async fn begun(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Waits until all acts have ended. Call it after the server has stopped accepting requests.
    pub async fn acts_ended(&self) {
        self.acts.close();
        self.acts.wait().await;
    }
}
