//! Running the queue of a concert: pausing it, emptying it, looking at it. For the concert's promoter.

use boxoffice_domain::{
    ConcertId,
    catalog::{Concert, ConcertChange},
    waiting_room::QueueStats,
};

use crate::{
    CatalogService, Identity,
    catalog::{CatalogError, UpdateConcert},
};

/// How the queue of a concert is doing, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport {
    /// The concert.
    pub concert: Concert,
    /// How its queue is doing. All is 0 if it has none.
    pub stats: QueueStats,
}

const NO_QUEUE: QueueStats = QueueStats {
    waiting: 0,
    active: 0,
    admitted_total: 0,
    admitted_last_minute: 0,
    no_shows_total: 0,
    oldest_joined_at: None,
};

impl CatalogService {
    /// How the queue of a concert of the caller is doing.
    pub async fn queue_report(&self, identity: Identity, id: ConcertId) -> Result<QueueReport, CatalogError> {
        let concert = self.managed(identity, id).await?.concert;
        self.report(concert).await
    }

    /// Pauses or resumes the queue of a concert of the caller. Doing it again is no error; it sets the terms of the queue
    /// again.
    pub async fn set_queue_paused(
        &self,
        identity: Identity,
        id: ConcertId,
        paused: bool,
    ) -> Result<QueueReport, CatalogError> {
        let mut concert = self.managed(identity, id).await?.concert;
        if concert.paused != paused {
            let change = ConcertChange { paused: Some(paused), ..ConcertChange::default() };
            let update = UpdateConcert { concert_id: id, change, version: None };
            concert = self.write_change(identity, update).await?.concert;
        }
        // The database alone does not pause a queue, so it is an error if the waiting room cannot be reached.
        self.set_terms(&concert).await?;
        self.report(concert).await
    }

    /// Empties the queue of a concert of the caller; returns how many places it ended.
    pub async fn empty_queue(&self, identity: Identity, id: ConcertId) -> Result<u64, CatalogError> {
        // Written first: whatever becomes of the queue, no old place is restored in it.
        let change = ConcertChange { emptied_at: Some(self.clock.now()), ..ConcertChange::default() };
        self.write_change(identity, UpdateConcert { concert_id: id, change, version: None }).await?;
        Ok(self.waiting_room.empty(id).await?)
    }

    async fn report(&self, concert: Concert) -> Result<QueueReport, CatalogError> {
        let stats = self.waiting_room.stats(concert.id).await?.unwrap_or(NO_QUEUE);
        Ok(QueueReport { concert, stats })
    }
}
