//! Venues, concerts, performances and their seats.

mod bookings;
mod changes;
mod import;
mod listing;
mod publish;
mod rows;
mod sales;
mod stocks;
mod terms;

use std::collections::HashMap;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, ConcertKey, ConcertSearch, ConcertSummary, DATES_SHOWN_MAX, NewPerformance, PerformanceDate,
        PerformanceKey, PerformanceSummary, PriceRange, PublishError, Sales, SeatMap, Stock, UpdateConcertError, Venue,
        VenueSummary,
    },
    history::StaffAct,
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
};
use chrono::NaiveDateTime;
use diesel::{
    dsl::{count_star, exists, max, min, not},
    prelude::*,
    sql_types::Binary,
};
use diesel_async::{RunQueryDsl, methods::LoadQuery};
use futures::future::BoxFuture;

pub(super) use self::{listing::PooledReader, terms::terms};
use self::{
    publish::{NewBooking, Publication},
    rows::{ConcertRow, DateRow, Drawn, Origin, PerformanceRow, SummaryRow, VenueRow, VenueSummaryRow, time_zone},
};
use super::{
    super::{Connection, LOCK_ROWS},
    Store,
    history::write_down,
    seats::is_available,
};
use crate::{
    catalog_watch::CatalogChange,
    concert_finder::Found,
    schema::{concerts, performances, seats, venues},
    statement::Statement,
    stored::{Stored, count, id as parse_id, points, time},
};

impl Store {
    /// The concerts of a query, with how many performances they have and when.
    fn concert_summaries<'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, ConcertRow> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<ConcertSummary>, StorageError>> {
        Box::pin(async move {
            type Starts = (Option<NaiveDateTime>, Option<NaiveDateTime>);
            type Zones = (Option<String>, Option<String>);
            type Counted = (Vec<u8>, i64, Starts, (Option<i64>, Option<i64>), Zones);
            let mut session = self.reader().await?;
            let rows = session.read(query).await?;
            let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
            let counting = performances::table
                .inner_join(venues::table)
                .filter(performances::concert_id.eq_any(ids))
                .filter(performances::withdrawn_at.is_null())
                .group_by(performances::concert_id)
                .select((
                    performances::concert_id,
                    count_star(),
                    (min(performances::starts_at), max(performances::starts_at)),
                    (min(performances::price_min), max(performances::price_max)),
                    (min(venues::time_zone), max(venues::time_zone)),
                ));
            let counted: Vec<Counted> = session.read(counting).await?;
            let mut counted: HashMap<_, _> = counted
                .into_iter()
                .map(|(id, count, starts, prices, zones)| (id, (count, starts, prices, zones)))
                .collect();
            let summary = |row: ConcertRow| {
                let (performances_count, (first, last), prices, zones) = counted.remove(&row.id).unwrap_or_default();
                let prices = match prices {
                    (Some(min), Some(max)) => Some(PriceRange { min: points(min)?, max: points(max)? }),
                    _ => None,
                };
                // The least and the greatest are the same where there is only one.
                let zone = zones.0.filter(|zone| Some(zone) == zones.1.as_ref());
                Ok(ConcertSummary {
                    concert: row.try_into()?,
                    performances_count: count(performances_count)?,
                    first_performance_at: first.map(|at| at.and_utc()),
                    last_performance_at: last.map(|at| at.and_utc()),
                    prices,
                    time_zone: zone.map(|zone| time_zone(&zone)).transpose()?,
                })
            };
            rows.into_iter().map(summary).collect()
        })
    }

    /// The performances of a query, with how many seats are available: from the seat cache if it has the performance, else
    /// counted.
    fn performance_summaries<'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, SummaryRow> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<PerformanceSummary>, StorageError>> {
        Box::pin(async move {
            let now = time(self.now());
            let mut session = self.reader().await?;
            let rows = session.read(query).await?;
            let mut available = HashMap::new();
            let mut to_count = Vec::new();
            for row in &rows {
                match self.seat_cache.available(parse_id(&row.id)?) {
                    Some(known) => {
                        available.insert(row.id.clone(), known);
                    }
                    None => to_count.push(row.id.clone()),
                }
            }
            if !to_count.is_empty() {
                let counting = seats::table
                    .filter(seats::performance_id.eq_any(to_count))
                    .filter(is_available!(now))
                    .group_by(seats::performance_id)
                    .select((seats::performance_id, count_star()));
                for (id, seats) in session.read::<(Vec<u8>, i64)>(counting).await? {
                    available.insert(id, count(seats)?);
                }
            }
            let summary = |row: SummaryRow| {
                let seats_available = available.get(&row.id).copied().unwrap_or(0);
                row.summary(seats_available)
            };
            rows.into_iter().map(summary).collect()
        })
    }
}

#[async_trait]
impl Catalog for Store {
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<Venue>, PublishError> {
        let origin = Origin { publisher: Some(publisher), idempotency: idempotency.as_ref(), catalog_key: None };
        let row = VenueRow::bind(&venue, Drawn::of(&venue)?, origin);
        let publication = Publication {
            id: venue.id.uuid(),
            origin,
            publisher_column: "publisher_id",
            row,
            performance: None,
            note: None,
            act: &act,
        };
        let published = self.publish::<VenueRow>(publication).await?;
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
        act: StaffAct,
    ) -> Result<Made<Concert>, PublishError> {
        let _marking = self.finder.marking(Some(concert.id));
        let origin = Origin { publisher: concert.promoter_id, idempotency: idempotency.as_ref(), catalog_key: None };
        let row = ConcertRow::bind(&concert, origin);
        let (id, note) = (concert.id.uuid(), Some((self.writer.noting(), concert.id)));
        let publisher_column = "promoter_id";
        let publication = Publication { id, origin, publisher_column, row, performance: None, note, act: &act };
        let published = self.publish::<ConcertRow>(publication).await?;
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
        act: StaffAct,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        let _marking = self.finder.marking(Some(performance.concert_id));
        // Concerts are never removed, so the concert will still be there when the performance is written.
        if self.concert(performance.concert_id).await?.is_none() {
            return Err(PublishError::ConcertNotFound);
        }
        let origin = Origin { publisher: Some(publisher), idempotency: idempotency.as_ref(), catalog_key: None };
        let row = PerformanceRow::bind(&performance, origin);
        let note = Some((self.writer.noting(), performance.concert_id));
        let (id, performance) =
            (performance.id.uuid(), Some(NewBooking { performance: &performance, now: self.now() }));
        let publisher_column = "publisher_id";
        let publication = Publication { id, origin, publisher_column, row, performance, note, act: &act };
        let Made { value, replayed } = self.publish::<PerformanceRow>(publication).await?;
        let value = self.performance(value.into()).await?.ok_or_else(vanished)?;
        Ok(Made { value, replayed })
    }

    async fn update_concert(&self, concert: Concert, act: StaffAct) -> Result<(), UpdateConcertError> {
        let _marking = self.finder.marking(Some(concert.id));
        let input = (&concert, &act, self.now(), self.writer.noting());
        let changed = self.writer.transaction(input, |connection, (concert, act, now, noting)| {
            Box::pin(async move {
                let opens_at = concert.sales.open_at();
                // A publication that is under way has locked the concert: the next statement sees its performance.
                let lock = Statement::<Binary>::new("SELECT id FROM concerts WHERE id = ").bind(concert.id);
                let _locked: Vec<Vec<u8>> = lock.sql(LOCK_ROWS).load(connection).await?;
                let update = update_concert(concert, &["version", "paused", "emptied_at"])
                    .sql(" WHERE id = ")
                    .bind(concert.id)
                    .sql(" AND version = ")
                    .bind(i64::from(concert.version) - 1)
                    .sql(" AND (sales_open_at = ")
                    .bind(opens_at)
                    .sql(" OR NOT EXISTS (SELECT 1 FROM performances WHERE performances.concert_id = ")
                    .bind(concert.id)
                    .sql(" AND withdrawn_at IS NULL AND starts_at > ")
                    .bind(*now)
                    .sql(" AND starts_at <= ")
                    .bind(opens_at)
                    .sql("))");
                let changed = update.execute(connection).await?;
                if changed > 0 {
                    noting.note(connection, CatalogChange::of_concert(concert.id)).await?;
                    write_down(connection, [*act]).await?;
                }
                Ok(changed)
            })
        });
        if changed.await.map_err(StorageError::from)? == 1 {
            return Ok(());
        }
        // An earlier attempt, whose answer was lost, may have changed it.
        match self.concert(concert.id).await? {
            Some(stored) if stored.concert == concert => Ok(()),
            _ => Err(UpdateConcertError::VersionMismatch),
        }
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        self.find_one(venues::table.find(id.stored()).select(VenueRow::as_select())).await
    }

    async fn venues(&self, page: PageRequest<VenueId>) -> Result<Page<VenueSummary, VenueId>, StorageError> {
        let mut query = venues::table
            .order(venues::id.desc())
            .limit(i64::from(page.limit) + 1)
            .select(VenueSummaryRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(venues::id.lt(after.stored()));
        }
        let rows: Vec<VenueSummaryRow> = self.read(query).await?;
        let venues: Vec<VenueSummary> = rows.into_iter().map(VenueSummary::try_from).collect::<Result<_, _>>()?;
        Ok(Page::from_rows(venues, page.limit, |venue| venue.id))
    }

    async fn managed_concerts(
        &self,
        promoter_id: Option<AccountId>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let mut query = concerts::table
            .order(concerts::id.desc())
            .limit(i64::from(page.limit) + 1)
            .select(ConcertRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(concerts::id.lt(after.stored()));
        }
        if let Some(promoter_id) = promoter_id {
            query = query.filter(concerts::promoter_id.eq(promoter_id.stored()));
        }
        Ok(Page::from_rows(self.concert_summaries(query).await?, page.limit, |summary| summary.concert.id))
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError> {
        let query = concerts::table.find(id.stored()).select(ConcertRow::as_select());
        Ok(self.concert_summaries(query).await?.pop())
    }

    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let mut query = concerts::table
            .order(concerts::id)
            .limit(i64::from(page.limit) + 1)
            .select(ConcertRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(concerts::id.gt(after.stored()));
        }
        if let Some(now) = bookable_at.map(time) {
            let to_come = performances::table
                .filter(performances::concert_id.eq(concerts::id))
                .filter(performances::withdrawn_at.is_null())
                .filter(performances::starts_at.gt(now));
            query = query
                .filter(concerts::sales_open_at.le(now))
                .filter(concerts::sales_close_at.gt(now))
                .filter(exists(to_come));
        }
        Ok(Page::from_rows(self.concert_summaries(query).await?, page.limit, |summary| summary.concert.id))
    }

    async fn find_concerts(
        &self,
        search: &ConcertSearch,
        now: Timestamp,
        page: PageRequest<ConcertKey>,
    ) -> Result<Page<ConcertSummary, ConcertKey>, StorageError> {
        // If the database does not answer in time, a search finds what is known.
        self.watch.look(self.searches_age_max).await;
        let Page { items, next } = self.finder.find(search, now, page).await?;
        let abridged = items.iter().filter(|found| found.is_abridged);
        let abridged: Vec<_> = abridged.map(|found| found.summary.concert.id.stored()).collect();
        let mut whole = HashMap::new();
        if !abridged.is_empty() {
            let query = concerts::table.filter(concerts::id.eq_any(abridged)).select(ConcertRow::as_select());
            let summaries = self.concert_summaries(query).await?;
            whole.extend(summaries.into_iter().map(|summary| (summary.concert.id, summary)));
        }
        let summary = |found: Found| whole.remove(&found.summary.concert.id).unwrap_or(found.summary);
        Ok(Page { items: items.into_iter().map(summary).collect(), next })
    }

    async fn dates(&self, id: ConcertId, now: Timestamp) -> Result<Vec<PerformanceDate>, StorageError> {
        let limit = i64::try_from(DATES_SHOWN_MAX).unwrap_or(i64::MAX);
        let dates = || {
            performances::table
                .inner_join(venues::table)
                .filter(performances::concert_id.eq(id.stored()))
                .filter(performances::withdrawn_at.is_null())
                .limit(limit)
                .select(DateRow::as_select())
        };
        let order = (performances::starts_at, performances::id);
        let to_come = dates().filter(performances::starts_at.ge(time(now))).order(order);
        let past = dates().filter(performances::starts_at.lt(time(now)));
        let past = past.order((performances::starts_at.desc(), performances::id.desc()));
        let to_come: Vec<DateRow> = self.read(to_come).await?;
        let past: Vec<DateRow> = if to_come.len() < DATES_SHOWN_MAX { self.read(past).await? } else { Vec::new() };
        let dates = past.into_iter().rev().chain(to_come).map(PerformanceDate::try_from).collect::<Result<_, _>>()?;
        Ok(PerformanceDate::shown(dates, now))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available: Option<bool>,
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
            let (starts_at, id) = (time(after.starts_at), after.id.stored());
            let at_once = performances::starts_at.eq(starts_at).and(performances::id.gt(id));
            query = query.filter(performances::starts_at.gt(starts_at).or(at_once));
        }
        let free = seats::table.filter(seats::performance_id.eq(performances::id)).filter(is_available!(now));
        let on_sale = performances::withdrawn_at.is_null().and(performances::starts_at.gt(now));
        query = match available {
            Some(true) => query.filter(on_sale).filter(exists(free)),
            Some(false) => query.filter(not(on_sale.and(exists(free)))),
            None => query,
        };
        let summaries = self.performance_summaries(query).await?;
        Ok(Page::from_rows(summaries, page.limit, PerformanceSummary::key))
    }

    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError> {
        let query = performances::table
            .inner_join(venues::table)
            .filter(performances::id.eq(id.stored()))
            .select(SummaryRow::as_select());
        Ok(self.performance_summaries(query).await?.pop())
    }

    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError> {
        if let Some(known) = self.concerts_of.get(&id) {
            return Ok(Some(known));
        }
        let query = performances::table.find(id.stored()).select(performances::concert_id);
        let found = self.read::<Vec<u8>>(query).await?.pop();
        let found: Option<ConcertId> = found.map(|found| parse_id(&found)).transpose()?;
        if let Some(concert_id) = found {
            self.concerts_of.insert(id, concert_id);
        }
        Ok(found)
    }

    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError> {
        // A performance without seats cannot be published, so without seats there is no performance.
        let prices_are_known = match self.seat_cache.outlives_its_age(id) {
            Some(age_max) => self.watch.look(age_max).await,
            None => true,
        };
        self.seat_cache.map(id, prices_are_known, |known| self.read_seats(id, known)).await
    }

    /// What other processes have written may be missing for as long as in [`seats`](Self::seats); and what this one has, in
    /// a hall that takes long to count, for twenty times as long as that.
    async fn stocks(&self, ids: &[ConcertId], now: Timestamp) -> Result<HashMap<ConcertId, Stock>, StorageError> {
        self.read_stocks(ids, now).await
    }

    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        self.read_sales(id).await
    }
}

/// `UPDATE concerts SET …`: the columns that a catalog names, and these further ones.
fn update_concert(concert: &Concert, further: &[&'static str]) -> Statement {
    const NAMED: [&str; 9] = [
        "title",
        "artist",
        "description",
        "sales_open_at",
        "sales_close_at",
        "max_seats_per_account",
        "max_active",
        "holds_need_balance",
        "requires_verified_email",
    ];
    Statement::update::<ConcertRow>(ConcertRow::bind(concert, Origin::default()), &[&NAMED, further].concat())
}

fn vanished() -> StorageError {
    StorageError::failed("what was published is missing")
}
