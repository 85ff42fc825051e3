//! Venues, concerts, performances and their seats.

mod import;
mod publish;
mod rows;
mod terms;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, ConcertSummary, NewPerformance, PerformanceKey, PerformanceSummary, PublishError, Sales,
        SeatMap, UpdateConcertError, Venue,
    },
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    seats::{SeatState, SeatStatus},
};
use chrono::NaiveDateTime;
use diesel::{
    dsl::{count_star, exists, max, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;

pub(super) use self::terms::terms;
use self::{
    publish::Publication,
    rows::{ConcertRow, PerformanceRow, SummaryRow, VenueRow},
};
use super::{
    super::Connection,
    Store,
    insert::insert,
    retry::Failure,
    seats::{SeatRow, is_available, new_seats},
};
use crate::{
    schema::{concerts, performances, seats, venues},
    seat_cache::SeatCache,
    stored::{Stored, count, id as parse_id, time},
};

/// Adds how many seats are available: from the seat cache if it has the performance, else counted.
async fn summaries(
    connection: &mut Connection,
    cache: &SeatCache,
    rows: Vec<SummaryRow>,
    now: NaiveDateTime,
) -> Result<Vec<PerformanceSummary>, Failure> {
    let mut available = HashMap::new();
    let mut to_count = Vec::new();
    for row in &rows {
        match cache.available(parse_id(&row.id)?) {
            Some(known) => {
                available.insert(row.id.clone(), known);
            }
            None => to_count.push(row.id.clone()),
        }
    }
    if !to_count.is_empty() {
        let counted: Vec<(Vec<u8>, i64)> = seats::table
            .filter(seats::performance_id.eq_any(to_count))
            .filter(is_available!(now))
            .group_by(seats::performance_id)
            .select((seats::performance_id, count_star()))
            .load(connection)
            .await?;
        for (id, seats) in counted {
            available.insert(id, count(seats)?);
        }
    }
    let with_seats = |row: &SummaryRow| row.summary(available.get(&row.id).copied().unwrap_or(0));
    Ok(rows.iter().map(with_seats).collect::<Result<_, _>>()?)
}

async fn with_performances(connection: &mut Connection, rows: Vec<ConcertRow>) -> Result<Vec<ConcertSummary>, Failure> {
    type Counted = (Vec<u8>, i64, Option<NaiveDateTime>, Option<NaiveDateTime>);
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let counted: Vec<Counted> = performances::table
        .filter(performances::concert_id.eq_any(ids))
        .group_by(performances::concert_id)
        .select((performances::concert_id, count_star(), min(performances::starts_at), max(performances::starts_at)))
        .load(connection)
        .await?;
    let mut counted: HashMap<_, _> =
        counted.into_iter().map(|(id, count, first, last)| (id, (count, first, last))).collect();
    let mut summaries = Vec::with_capacity(rows.len());
    for row in rows {
        let (performances_count, first, last) = counted.remove(&row.id).unwrap_or((0, None, None));
        summaries.push(ConcertSummary {
            concert: row.try_into()?,
            performances_count: count(performances_count)?,
            first_performance_at: first.map(|at| at.and_utc()),
            last_performance_at: last.map(|at| at.and_utc()),
        });
    }
    Ok(summaries)
}

/// The act that inserts a row, and the rows of its seats if it has any.
macro_rules! insertion {
    ($table:ident, $row:ident $(, $seats:ident)?) => {{
        $(let $seats = Arc::new($seats);)?
        Box::new(move |connection: &mut Connection| {
            let row = $row.clone();
            $(let $seats = Arc::clone(&$seats);)?
            Box::pin(async move {
                diesel::insert_into($table::table).values(row).execute(connection).await?;
                $(insert::<SeatRow>(connection, $seats.iter().cloned()).await?;)?
                Ok(())
            })
        })
    }};
}

#[async_trait]
impl Catalog for Store {
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Venue>, PublishError> {
        let row = VenueRow::new(&venue, None, Some(publisher), idempotency.as_ref())?;
        let publication = Publication {
            table: "venues",
            publisher_column: "publisher_id",
            id: venue.id.uuid(),
            publisher: Some(publisher),
            idempotency,
        };
        let published = self.publish(publication, insertion!(venues, row)).await?;
        if !published.replayed {
            return Ok(Made::now(venue));
        }
        let venue = self.venue(published.value.into()).await?;
        Ok(Made::before(venue.ok_or_else(vanished)?))
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, PublishError> {
        let row = ConcertRow::new(&concert, None, idempotency.as_ref());
        let publication = Publication {
            table: "concerts",
            publisher_column: "promoter_id",
            id: concert.id.uuid(),
            publisher: concert.promoter_id,
            idempotency,
        };
        let published = self.publish(publication, insertion!(concerts, row)).await?;
        if !published.replayed {
            return Ok(Made::now(concert));
        }
        let found = self.concert(published.value.into()).await?;
        Ok(Made::before(found.ok_or_else(vanished)?.concert))
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        performance: NewPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        // Concerts are never removed, so the concert will still be there when the performance is written.
        if self.concert(performance.concert_id).await?.is_none() {
            return Err(PublishError::ConcertNotFound);
        }
        let row = PerformanceRow::new(&performance, None, Some(publisher), idempotency.as_ref());
        let seats = new_seats(performance.id, &performance.prices, &performance.venue.plan);
        let publication = Publication {
            table: "performances",
            publisher_column: "publisher_id",
            id: performance.id.uuid(),
            publisher: Some(publisher),
            idempotency,
        };
        let Made { value, replayed } = self.publish(publication, insertion!(performances, row, seats)).await?;
        let value = self.performance(value.into()).await?.ok_or_else(vanished)?;
        Ok(Made { value, replayed })
    }

    async fn update_concert(&self, concert: Concert) -> Result<(), UpdateConcertError> {
        let row = ConcertRow::new(&concert, None, None);
        let changed = self
            .writer
            .transaction(&move |connection| {
                let row = row.clone();
                let stored = concerts::table.find(row.id.clone()).filter(concerts::version.eq(row.version - 1));
                Box::pin(async move {
                    let changed = diesel::update(stored).set(row).execute(connection).await?;
                    Ok(changed)
                })
            })
            .await
            .map_err(StorageError::from)?;
        if changed == 1 {
            return Ok(());
        }
        // An earlier attempt, whose answer was lost, may have changed it.
        match self.concert(concert.id).await? {
            Some(stored) if stored.concert == concert => Ok(()),
            _ => Err(UpdateConcertError::VersionMismatch),
        }
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        let mut session = self.reader().await?;
        let row = venues::table.find(id.stored()).first::<VenueRow>(session.connection()).await.optional();
        session.finished(row)?.map(Venue::try_from).transpose()
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError> {
        let mut session = self.reader().await?;
        let rows = concerts::table.find(id.stored()).load::<ConcertRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let summaries = with_performances(session.connection(), rows).await;
        Ok(session.ended(summaries)?.pop())
    }

    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let mut query = concerts::table.order(concerts::id).limit(i64::from(page.limit) + 1).into_boxed();
        if let Some(after) = page.after {
            query = query.filter(concerts::id.gt(after.stored()));
        }
        if let Some(now) = bookable_at.map(time) {
            let to_come = performances::table
                .filter(performances::concert_id.eq(concerts::id))
                .filter(performances::starts_at.gt(now));
            query = query
                .filter(concerts::sales_open_at.le(now))
                .filter(concerts::sales_close_at.gt(now))
                .filter(exists(to_come));
        }
        let mut session = self.reader().await?;
        let rows = query.load::<ConcertRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let summaries = with_performances(session.connection(), rows).await;
        Ok(Page::from_rows(session.ended(summaries)?, page.limit, |summary| summary.concert.id))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available_only: bool,
        page: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError> {
        let now = time(self.now());
        let mut query = performances::table
            .inner_join(venues::table)
            .filter(performances::concert_id.eq(concert_id.stored()))
            .order((performances::starts_at, performances::id))
            .limit(i64::from(page.limit) + 1)
            .select(SummaryRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            let starts_at = time(after.starts_at);
            query = query.filter(
                performances::starts_at
                    .gt(starts_at)
                    .or(performances::starts_at.eq(starts_at).and(performances::id.gt(after.id.stored()))),
            );
        }
        if available_only {
            let free = seats::table.filter(seats::performance_id.eq(performances::id)).filter(is_available!(now));
            query = query.filter(performances::starts_at.gt(now)).filter(exists(free));
        }
        let mut session = self.reader().await?;
        let rows = query.load::<SummaryRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let summaries = summaries(session.connection(), &self.seat_cache, rows, now).await;
        let key = |summary: &PerformanceSummary| PerformanceKey { starts_at: summary.starts_at, id: summary.id };
        Ok(Page::from_rows(session.ended(summaries)?, page.limit, key))
    }

    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError> {
        let now = time(self.now());
        let query = performances::table
            .inner_join(venues::table)
            .filter(performances::id.eq(id.stored()))
            .select(SummaryRow::as_select());
        let mut session = self.reader().await?;
        let rows = query.load::<SummaryRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let summaries = summaries(session.connection(), &self.seat_cache, rows, now).await;
        Ok(session.ended(summaries)?.pop())
    }

    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError> {
        if let Some(known) = self.concerts_of.get(&id) {
            return Ok(Some(known));
        }
        let mut session = self.reader().await?;
        let query = performances::table.find(id.stored()).select(performances::concert_id);
        let found = query.first::<Vec<u8>>(session.connection()).await.optional();
        let found: Option<ConcertId> = session.finished(found)?.map(|found| parse_id(&found)).transpose()?;
        if let Some(concert_id) = found {
            self.concerts_of.insert(id, concert_id);
        }
        Ok(found)
    }

    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError> {
        // A performance without seats cannot be published, so without seats there is no performance.
        self.seat_cache.map(id, |known| self.read_seats(id, known)).await
    }

    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        let now = self.now();
        let stored = self.stored_seats(id).await?;
        if stored.is_empty() {
            return Ok(None);
        }
        let mut sales = Sales::default();
        for seat in stored {
            match seat.state.status(now) {
                SeatStatus::Available => sales.available += 1,
                SeatStatus::Held => sales.held += 1,
                SeatStatus::Sold => sales.sold += 1,
            }
            if let SeatState::Sold { .. } = seat.state {
                // The prices of sold seats are never changed, so this is what was paid.
                sales.revenue = sales.revenue.checked_add(seat.price).ok_or_else(too_much)?;
            }
        }
        Ok(Some(sales))
    }
}

fn too_much() -> StorageError {
    StorageError::failed("the sum of the prices is too large")
}

fn vanished() -> StorageError {
    StorageError::failed("what was published is missing")
}
