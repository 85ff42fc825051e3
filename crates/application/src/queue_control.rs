//! Running the queue of a concert, for its promoter: pausing it, emptying it, looking at it.

use boxoffice_domain::{
    ConcertId,
    catalog::{Concert, ConcertChange},
    waiting_room::QueueStats,
};

use crate::{
    CatalogService, Identity, Staff,
    catalog::{CatalogError, UpdateConcert},
};

/// How the queue of a concert is doing, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport {
    pub concert: Concert,
    /// How its queue is doing. All is 0 if it has none.
    pub stats: QueueStats,
}

impl CatalogService {
    /// How the queue of a concert of the caller is doing.
    pub async fn queue_report(&self, identity: Identity, id: ConcertId) -> Result<QueueReport, CatalogError> {
        let concert = self.managed(identity, id).await?.concert;
        self.report(concert).await
    }

    /// Pauses or resumes the queue of a concert of the caller. Doing so again sets the terms of the queue again.
    pub async fn set_queue_paused(
        &self,
        staff: impl Into<Staff>,
        id: ConcertId,
        paused: bool,
    ) -> Result<QueueReport, CatalogError> {
        let staff = staff.into();
        let mut concert = self.managed(staff.identity, id).await?.concert;
        if concert.paused != paused {
            let change = ConcertChange { paused: Some(paused), ..ConcertChange::default() };
            let update = UpdateConcert { concert_id: id, change, version: None };
            concert = self.write_change(staff, update).await?.concert;
        }
        // The database alone does not pause a queue, so it is an error if the waiting room cannot be reached.
        self.set_terms(&concert).await?;
        self.report(concert).await
    }

    /// Empties the queue of a concert of the caller; returns how many places it ended. The concert stays as it is if the
    /// queue is empty.
    pub async fn empty_queue(&self, staff: impl Into<Staff>, id: ConcertId) -> Result<u64, CatalogError> {
        let staff = staff.into();
        let concert = self.managed(staff.identity, id).await?.concert;
        let Some(queues) = self.gate.queues() else { return Ok(0) };
        // No earlier place is restored anyway.
        let since = concert.emptied_at.unwrap_or(concert.created_at);
        if !queues.is_empty(id, since).await? {
            // Written first: whatever becomes of the queue, no old place is restored in it.
            let change = ConcertChange { emptied_at: Some(self.clock.now()), ..ConcertChange::default() };
            self.write_change(staff, UpdateConcert { concert_id: id, change, version: None }).await?;
        }
        Ok(queues.empty(id).await?)
    }

    async fn report(&self, concert: Concert) -> Result<QueueReport, CatalogError> {
        let stats = match self.gate.queues() {
            Some(queues) => queues.stats(concert.id).await?,
            None => None,
        };
        Ok(QueueReport { concert, stats: stats.unwrap_or_default() })
    }
}
