//! Importing a whole catalog.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    catalog::{
        CatalogImport, CatalogKey, Concert, ImportError, ImportProgress, ImportReport, Imported, ImportedCatalog,
        Importer, NewPerformance, StoredPerformance, Venue,
    },
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    super::{
        super::Connection,
        Store, Writer,
        failure::Failure,
        insert::insert,
        retry::{Attempts, commit},
        seats::{SeatRow, is_available, new_seats},
    },
    rows::{ConcertRow, Origin, PerformanceRow, VenueRow},
    update_concert,
};
use crate::{
    schema::{concerts, performances, seats, venues},
    statement::{ROWS_MAX, Statement},
    stored::{Stored, id, json, time},
};

/// Why an import stopped.
enum Stopped {
    Refused(ImportError),
    Failed(Failure),
}

impl From<ImportError> for Stopped {
    fn from(refusal: ImportError) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
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
        let _marking = self.finder.marking(None);
        let mut attempts = Attempts::begin(self.writer.retry_max);
        loop {
            let imported = import_once(&self.writer, catalog, promoter_id, &*progress).await;
            // Even after a failure, prices may have changed.
            self.seat_cache.forget_all();
            match imported {
                Ok(report) => return Ok(report),
                Err(Stopped::Refused(refusal)) => return Err(refusal),
                // Two imports at once may have inserted the same key: the second one updates.
                Err(Stopped::Failed(failure)) => attempts.wait_after(failure).await?,
            }
        }
    }
}

async fn import_once(
    writer: &Writer,
    catalog: &ImportedCatalog,
    promoter_id: Option<AccountId>,
    progress: &dyn ImportProgress,
) -> Result<ImportReport, Stopped> {
    let mut session = writer.pool.session().await?;
    let (connection, now) = (session.connection(), writer.clock.now());
    let importer = Importer::new(catalog, promoter_id, now, writer.entropy.as_ref());
    let mut import = Import { connection, importer, now, promoter_id, progress };
    let imported = async {
        writer.begin(import.connection).await?;
        import.run(catalog).await?;
        writer.before_commit(import.connection).await?;
        commit(import.connection).await?;
        Ok(import.importer.report())
    };
    match imported.await {
        Err(Stopped::Refused(refusal)) => Err(refusal.into()),
        Err(Stopped::Failed(failure)) => Err(writer.failed(&mut session, failure).await.into()),
        Ok(report) => {
            session.answered();
            Ok(report)
        }
    }
}

struct Import<'i> {
    connection: &'i mut Connection,
    importer: Importer<'i>,
    now: Timestamp,
    promoter_id: Option<AccountId>,
    progress: &'i dyn ImportProgress,
}

impl Import<'_> {
    async fn run(&mut self, catalog: &ImportedCatalog) -> Result<(), Stopped> {
        for venue in &catalog.venues {
            self.venue(&venue.key).await?;
        }
        for concert in &catalog.concerts {
            self.concert(&concert.key).await?;
            for (index, performance) in concert.performances.iter().enumerate() {
                self.performance(index, &performance.key).await?;
            }
        }
        Ok(())
    }

    fn origin<'k>(&self, key: &'k CatalogKey) -> Origin<'k> {
        Origin { publisher: self.promoter_id, idempotency: None, catalog_key: Some(key) }
    }

    async fn venue(&mut self, key: &CatalogKey) -> Result<(), Stopped> {
        let stored = venues::table.filter(venues::catalog_key.eq(key.as_str())).select(VenueRow::as_select());
        let stored = stored.first(self.connection).await.optional()?;
        let imported = self.importer.venue(stored.map(Venue::try_from).transpose()?)?;
        let (Imported::New(venue) | Imported::Changed(venue) | Imported::Unchanged(venue)) = &imported;
        let row = VenueRow::bind(venue, json(venue.plan.sections())?, self.origin(key));
        match imported {
            Imported::New(_) => insert::<VenueRow>(self.connection, [row]).await?,
            Imported::Changed(venue) => {
                let update = Statement::update::<VenueRow>(row, &["name", "location"]);
                update.sql(" WHERE id = ").bind(venue.id).execute(self.connection).await?;
            }
            Imported::Unchanged(_) => {}
        }
        Ok(())
    }

    async fn concert(&mut self, key: &CatalogKey) -> Result<(), Stopped> {
        let stored = concerts::table.filter(concerts::catalog_key.eq(key.as_str())).select(ConcertRow::as_select());
        let stored = stored.first(self.connection).await.optional()?;
        match self.importer.concert(stored.map(Concert::try_from).transpose()?)? {
            Imported::New(concert) => {
                let row = ConcertRow::bind(&concert, self.origin(key));
                insert::<ConcertRow>(self.connection, [row]).await?;
            }
            Imported::Changed(concert) => {
                // Changes what the catalog names alone: the concert may have been changed since it was read.
                let update = update_concert(&concert, &[]).sql(", version = version + 1 WHERE id = ").bind(concert.id);
                update.execute(self.connection).await?;
            }
            Imported::Unchanged(_) => {}
        }
        Ok(())
    }

    async fn performance(&mut self, index: usize, key: &CatalogKey) -> Result<(), Stopped> {
        let stored = performances::table
            .filter(performances::catalog_key.eq(key.as_str()))
            .select((performances::id, performances::concert_id, performances::venue_id))
            .first::<(Vec<u8>, Vec<u8>, Vec<u8>)>(self.connection)
            .await
            .optional()?;
        let stored = stored.map(|(performance, concert, venue)| {
            let (id, concert_id, venue_id) = (id(&performance)?, id(&concert)?, id(&venue)?);
            Ok::<_, StorageError>(StoredPerformance { id, concert_id, venue_id })
        });
        let imported = self.importer.performance(index, stored.transpose()?)?;
        let (Imported::New(performance) | Imported::Changed(performance) | Imported::Unchanged(performance)) =
            &imported;
        let row = PerformanceRow::bind(performance, self.origin(key));
        if let Imported::New(performance) = &imported {
            insert::<PerformanceRow>(self.connection, [row]).await?;
            let seats = new_seats(performance);
            for seats in seats.chunks(ROWS_MAX) {
                insert::<SeatRow>(self.connection, seats.iter().cloned()).await?;
                self.progress.add(seats.len() as u64);
            }
            return Ok(());
        }
        let update = Statement::update::<PerformanceRow>(row, &["starts_at", "price_min", "price_max"]);
        update.sql(" WHERE id = ").bind(performance.id).execute(self.connection).await?;
        self.update_prices(performance).await?;
        self.progress.add(u64::from(performance.venue.plan.capacity()));
        Ok(())
    }

    /// Changes the prices of the available seats. A held seat keeps the price at which it was held.
    async fn update_prices(&mut self, performance: &NewPerformance) -> Result<(), Failure> {
        let now = time(self.now);
        let mut first = 0_i32;
        let sections = performance.venue.plan.sections().iter();
        let sizes = sections.map(|section| section.rows.iter().map(|row| row.seats).sum::<u32>());
        for (seats_count, price) in sizes.zip(performance.prices.by_section()) {
            let after = first.saturating_add(i32::try_from(seats_count).unwrap_or(i32::MAX));
            diesel::update(
                seats::table
                    .filter(seats::performance_id.eq(performance.id.stored()))
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
