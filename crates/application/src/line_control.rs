//! Running the line of a concert: pausing it, emptying it, looking at it. For the concert's promoter.

use boxoffice_domain::{
    ConcertId,
    catalog::{Concert, ConcertChange},
    waiting_room::LineStats,
};

use crate::{CatalogService, Identity, catalog::CatalogError};

/// How the line of a concert is doing, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReport {
    /// The concert.
    pub concert: Concert,
    /// How its line is doing. All is 0 where it has none.
    pub stats: LineStats,
}

const NO_LINE: LineStats = LineStats {
    waiting: 0,
    active: 0,
    admitted_total: 0,
    admitted_last_minute: 0,
    no_shows_total: 0,
    oldest_joined_at: None,
};

impl CatalogService {
    /// How the line of a concert of the caller is doing.
    pub async fn line_report(&self, identity: Identity, id: ConcertId) -> Result<LineReport, CatalogError> {
        let concert = self.managed(identity, id).await?.concert;
        self.report(concert).await
    }

    /// Pauses or resumes the line of a concert of the caller. Doing it again is no error; it tells the line once more.
    pub async fn set_line_paused(
        &self,
        identity: Identity,
        id: ConcertId,
        paused: bool,
    ) -> Result<LineReport, CatalogError> {
        let mut concert = self.managed(identity, id).await?.concert;
        if concert.paused != paused {
            let change = ConcertChange { paused: Some(paused), ..ConcertChange::default() };
            concert = self.write_change(identity, id, change, None).await?.concert;
        }
        // It is no use to have it in the database alone, so a line that cannot be told is an error.
        self.tell_waiting_room(&concert).await?;
        self.report(concert).await
    }

    /// Empties the line of a concert of the caller; tells how many had to go.
    pub async fn empty_line(&self, identity: Identity, id: ConcertId) -> Result<u64, CatalogError> {
        // Written first: whatever becomes of the line, nobody comes back to it with an old ticket.
        let change = ConcertChange { emptied_at: Some(self.clock.now()), ..ConcertChange::default() };
        self.write_change(identity, id, change, None).await?;
        Ok(self.room.empty(id).await?)
    }

    async fn report(&self, concert: Concert) -> Result<LineReport, CatalogError> {
        let stats = self.room.stats(concert.id).await?.unwrap_or(NO_LINE);
        Ok(LineReport { concert, stats })
    }
}
