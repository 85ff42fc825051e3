//! Importing a whole catalog.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        CatalogImport, Concert, DrawError, ImportError, ImportProgress, ImportReport, ImportedCatalog, ImportedConcert,
        ImportedPerformance, ImportedVenue, NewPerformance, PriceList, SeatingPlan, Venue,
    },
    waiting_room::Draw,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    super::{
        super::Connection,
        Store, Writer,
        insert::insert,
        retry::{Failure, commit},
        seats::{SeatRow, is_available, new_seats},
    },
    rows::{ConcertRow, PerformanceRow, VenueRow, sections_text},
};
use crate::{
    schema::{concerts, performances, seats, venues},
    statement::ROWS_MAX,
    stored::{Stored, time},
};

/// Why an import stopped.
enum Stopped {
    Refused(ImportError),
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<diesel::result::Error> for Stopped {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StorageError> for Stopped {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.into())
    }
}

#[async_trait]
impl CatalogImport for Store {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let (mut attempt, began) = (0, tokio::time::Instant::now());
        loop {
            let imported = import_once(&self.writer, catalog, promoter_id, &*progress).await;
            // Even after a failure, prices may have changed.
            self.seat_cache.forget_all();
            match imported {
                Ok(report) => return Ok(report),
                Err(Stopped::Refused(refusal)) => return Err(refusal),
                // Two imports at once may have inserted the same key: the second one updates.
                Err(Stopped::Failed(failure)) => failure.before_retry(attempt, self.writer.retry_max, began).await?,
            }
            attempt += 1;
        }
    }
}

async fn import_once(
    writer: &Arc<Writer>,
    catalog: &ImportedCatalog,
    promoter_id: Option<AccountId>,
    progress: &dyn ImportProgress,
) -> Result<ImportReport, Stopped> {
    let mut session = writer.pool.session().await?;
    let connection = session.connection();
    writer.begin(connection).await?;
    let mut import =
        Import { connection, writer, now: writer.clock.now(), promoter_id, progress, report: ImportReport::default() };
    let imported = import.run(catalog).await;
    let report = import.report;
    match imported {
        Ok(()) => {
            let connection = session.connection();
            let committed = async {
                writer.before_commit(connection).await?;
                commit(connection).await
            };
            let committed = committed.await;
            writer.ended(&mut session, committed).await?;
            Ok(report)
        }
        Err(Stopped::Failed(failure)) => Err(writer.failed(&mut session, failure).await.into()),
        Err(refused) => Err(refused),
    }
}

struct Import<'i> {
    connection: &'i mut Connection,
    writer: &'i Writer,
    now: Timestamp,
    promoter_id: Option<AccountId>,
    progress: &'i dyn ImportProgress,
    report: ImportReport,
}

impl Import<'_> {
    async fn run(&mut self, catalog: &ImportedCatalog) -> Result<(), Stopped> {
        let mut venues = Vec::with_capacity(catalog.venues.len());
        for (venue_index, venue) in catalog.venues.iter().enumerate() {
            venues.push(self.venue(venue_index, venue).await?);
        }
        for (concert_index, concert) in catalog.concerts.iter().enumerate() {
            let concert_id = self.concert(concert_index, concert).await?;
            for (performance_index, performance) in concert.performances.iter().enumerate() {
                let venue = &venues[performance.venue_index];
                if !self.performance(concert_id, venue, performance).await? {
                    let moved = ImportError::PerformanceMoved { concert_index, performance_index };
                    return Err(Stopped::Refused(moved));
                }
            }
        }
        Ok(())
    }

    async fn venue(&mut self, venue_index: usize, imported: &ImportedVenue) -> Result<Venue, Stopped> {
        let known = venues::table
            .filter(venues::catalog_key.eq(imported.key.as_str()))
            .first::<VenueRow>(self.connection)
            .await
            .optional()?;
        let Some(known) = known else {
            return self.new_venue(imported).await;
        };
        if known.sections != sections_text(&imported.plan)? {
            return Err(Stopped::Refused(ImportError::PlanChanged { venue_index }));
        }
        diesel::update(venues::table.find(known.id.clone()))
            .set((venues::name.eq(imported.name.as_str()), venues::location.eq(imported.location.as_str())))
            .execute(self.connection)
            .await?;
        self.report.venues_updated += 1;
        Ok(Venue { name: imported.name.clone(), location: imported.location.clone(), ..Venue::try_from(known)? })
    }

    async fn new_venue(&mut self, imported: &ImportedVenue) -> Result<Venue, Stopped> {
        let venue = Venue {
            id: VenueId::new(self.writer.entropy.uuid()),
            name: imported.name.clone(),
            location: imported.location.clone(),
            plan: imported.plan.clone(),
            created_at: self.now,
        };
        let row = VenueRow::new(&venue, Some(&imported.key), self.promoter_id, None)?;
        diesel::insert_into(venues::table).values(row).execute(self.connection).await?;
        self.report.venues_created += 1;
        Ok(venue)
    }

    async fn concert(&mut self, concert_index: usize, imported: &ImportedConcert) -> Result<ConcertId, Stopped> {
        let known = concerts::table
            .filter(concerts::catalog_key.eq(imported.key.as_str()))
            .first::<ConcertRow>(self.connection)
            .await
            .optional()?;
        let Some(stored) = known.map(Concert::try_from).transpose()? else {
            return self.new_concert(imported).await;
        };
        let refused = |error| Stopped::Refused(ImportError::Draw { concert_index, error });
        if imported.draw && stored.draw.is_none() {
            return Err(refused(DrawError::Changed));
        }
        let concert = Concert {
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            ..stored.clone()
        };
        concert.check_draw(&stored, self.now).map_err(refused)?;
        // An unchanged concert keeps its version, and with it its entity tag.
        if stored != concert {
            self.update_concert(&concert).await?;
        }
        self.report.concerts_updated += 1;
        Ok(concert.id)
    }

    async fn new_concert(&mut self, imported: &ImportedConcert) -> Result<ConcertId, Stopped> {
        let concert = Concert {
            id: ConcertId::new(self.writer.entropy.uuid()),
            promoter_id: self.promoter_id,
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            draw: imported.draw.then(|| Draw::new(self.writer.entropy.secret())),
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: self.now,
        };
        let row = ConcertRow::new(&concert, Some(&imported.key), None);
        diesel::insert_into(concerts::table).values(row).execute(self.connection).await?;
        self.report.concerts_created += 1;
        Ok(concert.id)
    }

    /// Writes only the columns that the catalog names: the concert may have been changed since it was read.
    async fn update_concert(&mut self, concert: &Concert) -> Result<(), Stopped> {
        diesel::update(concerts::table.find(concert.id.stored()))
            .set((
                concerts::title.eq(concert.title.as_str()),
                concerts::artist.eq(concert.artist.as_str()),
                concerts::description.eq(concert.description.as_str()),
                concerts::sales_open_at.eq(time(concert.sales.open_at())),
                concerts::sales_close_at.eq(time(concert.sales.close_at())),
                concerts::max_seats_per_account.eq(i64::from(concert.max_seats_per_account)),
                concerts::max_active.eq(i64::from(concert.max_active)),
                concerts::version.eq(concerts::version + 1),
            ))
            .execute(self.connection)
            .await?;
        Ok(())
    }

    /// Gives `false`, and writes nothing, if the performance was at another concert or venue.
    async fn performance(
        &mut self,
        concert_id: ConcertId,
        venue: &Venue,
        imported: &ImportedPerformance,
    ) -> Result<bool, Stopped> {
        let known = performances::table
            .filter(performances::catalog_key.eq(imported.key.as_str()))
            .first::<PerformanceRow>(self.connection)
            .await
            .optional()?;
        let Some(known) = known else {
            self.new_performance(concert_id, venue, imported).await?;
            return Ok(true);
        };
        if known.concert_id != concert_id.stored() || known.venue_id != venue.id.stored() {
            return Ok(false);
        }
        diesel::update(performances::table.find(known.id.clone()))
            .set((
                performances::starts_at.eq(time(imported.starts_at)),
                performances::price_min.eq(imported.prices.min().get()),
                performances::price_max.eq(imported.prices.max().get()),
            ))
            .execute(self.connection)
            .await?;
        self.update_prices(&known.id, &imported.prices, &venue.plan).await?;
        self.report.performances_updated += 1;
        self.progress.add(u64::from(venue.plan.capacity()));
        Ok(true)
    }

    async fn new_performance(
        &mut self,
        concert_id: ConcertId,
        venue: &Venue,
        imported: &ImportedPerformance,
    ) -> Result<(), Stopped> {
        let performance = NewPerformance {
            id: PerformanceId::new(self.writer.entropy.uuid()),
            concert_id,
            venue: venue.clone(),
            starts_at: imported.starts_at,
            prices: imported.prices.clone(),
            created_at: self.now,
        };
        let row = PerformanceRow::new(&performance, Some(&imported.key), self.promoter_id, None);
        diesel::insert_into(performances::table).values(row).execute(self.connection).await?;
        self.report.performances_created += 1;
        let seats = new_seats(performance.id, &performance.prices, &venue.plan);
        for seats in seats.chunks(ROWS_MAX) {
            insert::<SeatRow>(self.connection, seats.iter().cloned()).await?;
            self.report.seats_created += seats.len() as u64;
            self.progress.add(seats.len() as u64);
        }
        Ok(())
    }

    /// Changes the prices of the available seats. A held seat keeps the price at which it was held.
    async fn update_prices(
        &mut self,
        performance_id: &[u8],
        prices: &PriceList,
        plan: &SeatingPlan,
    ) -> Result<(), Stopped> {
        let now = time(self.now);
        let mut first = 0_i32;
        let sizes = plan.sections().iter().map(|section| section.rows.iter().map(|row| row.seats).sum::<u32>());
        for (seats_count, price) in sizes.zip(prices.by_section()) {
            let after = first.saturating_add(i32::try_from(seats_count).unwrap_or(i32::MAX));
            diesel::update(
                seats::table
                    .filter(seats::performance_id.eq(performance_id.to_vec()))
                    .filter(seats::ordinal.ge(first))
                    .filter(seats::ordinal.lt(after))
                    .filter(seats::price.ne(price.get()))
                    .filter(is_available!(now)),
            )
            .set(seats::price.eq(price.get()))
            .execute(self.connection)
            .await?;
            first = after;
        }
        Ok(())
    }
}
