//! Leases: at most one instance runs a job.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{Clock, StorageError, Timestamp};
use uuid::Uuid;

/// How long a lease lasts unless its holder extends it.
const DURATION: Duration = Duration::from_secs(10);

/// The lease of a job for one holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'c> {
    /// The job.
    pub job: &'c str,
    /// The instance that holds the lease, or wants to.
    pub holder: Uuid,
}

/// Jobs that one process at a time has taken.
///
/// A lease spares its peers work that is already being done. It guards nothing: a holder may be slower than its lease
/// lasts, or its clock may be wrong. Then two processes run the job, which must do no harm.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a lease until `until`, or extends it. Returns whether the holder holds it now: it does unless another one
    /// holds it at `now`. If many ask at once, exactly one gets it.
    async fn take(&self, claim: Claim<'_>, now: Timestamp, until: Timestamp) -> Result<bool, StorageError>;

    /// Whether another holder has the lease at `now`.
    async fn is_held_by_other(&self, claim: Claim<'_>, now: Timestamp) -> Result<bool, StorageError>;

    /// Releases the lease, so that another holder may take it at once. Does nothing if the holder does not hold it.
    async fn release(&self, claim: Claim<'_>) -> Result<(), StorageError>;
}

/// A lease that this process takes and extends for as long as it runs a job.
pub struct Lease {
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    claim: Claim<'static>,
    /// Until when this process holds it, if it does.
    until: Option<Timestamp>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("claim", &self.claim).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Lease {
    /// The lease of a job, which is not held yet.
    pub fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>, job: &'static str, holder: Uuid) -> Self {
        Self { leases, clock, claim: Claim { job, holder }, until: None }
    }

    /// Whether this process holds the lease. Takes it if it is free, and extends it when half of it is over.
    pub async fn hold(&mut self) -> Result<bool, StorageError> {
        let now = self.clock.now();
        if self.until.is_some_and(|until| now + DURATION / 2 < until) {
            return Ok(true);
        }
        let until = now + DURATION;
        let held = self.leases.take(self.claim, now, until).await?;
        if held != self.until.is_some() {
            tracing::debug!(job = self.claim.job, held, "the instance that runs this job has changed");
        }
        self.until = held.then_some(until);
        Ok(held)
    }

    /// Releases the lease if this process holds it.
    pub async fn release(&mut self) {
        if self.until.take().is_some() {
            release(self.leases.as_ref(), self.claim).await;
        }
    }
}

/// Releases a lease. A failure does not matter: the lease ends by itself.
pub(crate) async fn release(leases: &dyn Leases, claim: Claim<'_>) {
    if let Err(error) = leases.release(claim).await {
        tracing::debug!(error = &error as &dyn Error, job = claim.job, "a lease was not released");
    }
}
