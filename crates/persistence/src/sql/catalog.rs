//! Venues, concerts, performances and their seats.

use std::collections::HashMap;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, Points, StorageError, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, ConcertSummary, NewPerformance, PerformanceKey, PerformanceSummary, PublishError, Sales,
        SeatMap, UpdateConcertError, Venue, VenueSummary,
    },
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    seats::{Seat, SeatState, SeatStatus},
};
use chrono::NaiveDateTime;
use diesel::{
    dsl::{count_star, exists, max, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use super::{
    super::Connection,
    Store,
    retry::{Failure, Kind},
};
use crate::{
    rows::{
        ConcertRow, PerformanceRow, SeatRow, SeatStateRow, Stored, VenueRow, count, fingerprint_bytes, id as parse_id,
        idempotency as parse_idempotency, key_text, name, points, sections_text, time,
    },
    schema::{concerts, performances, seats, venues},
    seat_cache::{Reading, SeatCache},
    statement::Bind,
};

/// How often publishing is tried again that another publication under the same key came between.
const PUBLISH_ATTEMPTS_MAX: u32 = 3;

type Columns = (Vec<u8>, Vec<u8>, Vec<u8>, String, String, NaiveDateTime, i64, i64, i64);

fn summary(columns: &Columns, seats_available: u32) -> Result<PerformanceSummary, StorageError> {
    let (id, concert_id, venue_id, venue_name, location, starts_at, seats_total, price_min, price_max) = columns;
    Ok(PerformanceSummary {
        id: parse_id(id)?,
        concert_id: parse_id(concert_id)?,
        venue: VenueSummary { id: parse_id(venue_id)?, name: name(venue_name)?, location: name(location)? },
        starts_at: starts_at.and_utc(),
        seats_total: count(*seats_total)?,
        seats_available,
        price_min: points(*price_min)?,
        price_max: points(*price_max)?,
    })
}

macro_rules! performance_columns {
    () => {
        (
            performances::id,
            performances::concert_id,
            performances::venue_id,
            venues::name,
            venues::location,
            performances::starts_at,
            performances::seats_total,
            performances::price_min,
            performances::price_max,
        )
    };
}

/// Seats that can be had at `$now`.
macro_rules! seat_is_available {
    ($now:expr) => {
        seats::reservation_id.is_null().or(seats::held_until.le($now).assume_not_null())
    };
}

/// With how many seats are available: from the cache if the performance is being looked at, otherwise counted.
async fn summaries(
    connection: &mut Connection,
    cache: &SeatCache,
    rows: Vec<Columns>,
    now: NaiveDateTime,
) -> Result<Vec<PerformanceSummary>, Failure> {
    let mut available = HashMap::new();
    let mut to_count = Vec::new();
    for row in &rows {
        match cache.available(parse_id(&row.0)?) {
            Some(known) => {
                available.insert(row.0.clone(), known);
            }
            None => to_count.push(row.0.clone()),
        }
    }
    if !to_count.is_empty() {
        let counted: Vec<(Vec<u8>, i64)> = seats::table
            .filter(seats::performance_id.eq_any(to_count))
            .filter(seat_is_available!(now))
            .group_by(seats::performance_id)
            .select((seats::performance_id, count_star()))
            .load(connection)
            .await?;
        for (id, seats) in counted {
            available.insert(id, count(seats)?);
        }
    }
    let with_seats = |row: &Columns| summary(row, available.get(&row.0).copied().unwrap_or(0));
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

/// Rows of the seats of a new performance.
pub(super) fn seat_rows<'a>(
    performance_id: PerformanceId,
    prices: &'a boxoffice_domain::catalog::PriceList,
    plan: &'a boxoffice_domain::catalog::SeatingPlan,
) -> impl Iterator<Item = Vec<Bind>> + 'a {
    prices.seats(plan).map(move |(seat, price)| {
        vec![
            performance_id.bound(),
            Bind::Text(seat.label.into()),
            Bind::Integer(i32::try_from(seat.ordinal).unwrap_or(i32::MAX)),
            Bind::BigInt(price.get()),
            Bind::OptionalBytes(None),
            Bind::OptionalTime(None),
        ]
    })
}

/// How the seats of a performance are inserted.
pub(super) const INSERT_SEATS: &str =
    "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until) VALUES ";

/// What was published before under a key: its id, and whether the same was asked.
type Before = Option<(Vec<u8>, Option<Idempotency>)>;

/// The same as it is stored.
type BeforeRow = (Vec<u8>, Option<String>, Option<Vec<u8>>);

fn before(row: Option<BeforeRow>) -> Result<Before, Failure> {
    let parsed = row.map(|(id, key, fingerprint)| {
        parse_idempotency(key.as_deref(), fingerprint.as_ref()).map(|idempotency| (id, idempotency))
    });
    Ok(parsed.transpose()?)
}

/// Publishes a row of `$table` under `$publisher`, unless its key is known: gives the id of what is there.
macro_rules! publish {
    ($store:expr, $table:ident, $publisher_column:ident, $publisher:expr, $row:expr, $idempotency:expr, $after:expr) => {{
        let (row, after) = ($row, std::sync::Arc::new($after));
        let publisher: Option<Vec<u8>> = $publisher;
        let idempotency: Option<Idempotency> = $idempotency;
        let own_id = row.id.clone();
        let mut attempt = 0;
        loop {
            let (row, after) = (row.clone(), after.clone());
            let (publisher, key) = (publisher.clone(), key_text(idempotency.as_ref()));
            let published: Result<Before, Failure> = $store
                .writer
                .transaction(&move |connection: &mut Connection| {
                    let (row, after) = (row.clone(), after.clone());
                    let (publisher, key) = (publisher.clone(), key.clone());
                    Box::pin(async move {
                        if let (Some(publisher), Some(key)) = (publisher, key) {
                            let known = $table::table
                                .filter($table::$publisher_column.eq(publisher))
                                .filter($table::idempotency_key.eq(key))
                                .select(($table::id, $table::idempotency_key, $table::fingerprint))
                                .first(connection)
                                .await
                                .optional()?;
                            if let Some(known) = before(known)? {
                                return Ok(Some(known));
                            }
                        }
                        diesel::insert_into($table::table).values(row).execute(connection).await?;
                        for rows in after.chunks(crate::statement::ROWS_MAX) {
                            super::write::insert(connection, INSERT_SEATS, rows.iter().cloned()).await?;
                        }
                        Ok(None)
                    })
                })
                .await;
            match published {
                Ok(None) => break Ok((own_id, false)),
                // An earlier attempt, whose answer was lost, had published it.
                Ok(Some((id, _))) if id == own_id => break Ok((own_id, false)),
                Ok(Some((id, first))) => {
                    let same = match (&first, &idempotency) {
                        (Some(first), Some(again)) => first.check(again),
                        _ => Ok(()),
                    };
                    break same.map(|()| (id, true)).map_err(PublishError::from);
                }
                // An earlier attempt, whose answer was lost, had published it: nobody else has its id.
                Err(failure)
                    if failure.kind == Kind::Duplicate
                        && $store.is_there($table::table.find(own_id.clone()).select($table::id)).await? =>
                {
                    break Ok((own_id, false));
                }
                // Another request under the same key came between reading and writing.
                Err(failure) if failure.kind == Kind::Duplicate && attempt < PUBLISH_ATTEMPTS_MAX => attempt += 1,
                Err(failure) => break Err(StorageError::from(failure).into()),
            }
        }
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
        let row = VenueRow {
            id: venue.id.stored(),
            catalogue_key: None,
            publisher_id: Some(publisher.stored()),
            name: venue.name.as_str().to_owned(),
            location: venue.location.as_str().to_owned(),
            capacity: i64::from(venue.plan.capacity()),
            sections: sections_text(&venue.plan)?,
            created_at: time(venue.created_at),
            idempotency_key: key_text(idempotency.as_ref()),
            fingerprint: fingerprint_bytes(idempotency.as_ref()),
        };
        let publisher = Some(publisher.stored());
        let none: Vec<Vec<Bind>> = Vec::new();
        let published: Result<_, PublishError> =
            publish!(self, venues, publisher_id, publisher, row, idempotency, none);
        let (found, replayed) = published?;
        let value = if replayed { self.venue(parse_id(&found)?).await?.ok_or_else(vanished)? } else { venue };
        Ok(Made { value, replayed })
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, PublishError> {
        let row = ConcertRow::new(&concert, None, idempotency.as_ref());
        let promoter = concert.promoter_id.map(|id| id.stored());
        let none: Vec<Vec<Bind>> = Vec::new();
        let published: Result<_, PublishError> =
            publish!(self, concerts, promoter_id, promoter, row, idempotency, none);
        let (found, replayed) = published?;
        if !replayed {
            return Ok(Made::now(concert));
        }
        let found = self.concert(parse_id(&found)?).await?.ok_or_else(vanished)?;
        Ok(Made::before(found.concert))
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        performance: NewPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        // No concert is ever removed, so one that is there now will be there when the performance is written.
        if self.concert(performance.concert_id).await?.is_none() {
            return Err(PublishError::ConcertNotFound);
        }
        let row = PerformanceRow {
            id: performance.id.stored(),
            catalogue_key: None,
            publisher_id: Some(publisher.stored()),
            concert_id: performance.concert_id.stored(),
            venue_id: performance.venue.id.stored(),
            starts_at: time(performance.starts_at),
            seats_total: i64::from(performance.venue.plan.capacity()),
            price_min: performance.prices.min().get(),
            price_max: performance.prices.max().get(),
            created_at: time(performance.created_at),
            idempotency_key: key_text(idempotency.as_ref()),
            fingerprint: fingerprint_bytes(idempotency.as_ref()),
        };
        let publisher = Some(publisher.stored());
        let rows: Vec<_> = seat_rows(performance.id, &performance.prices, &performance.venue.plan).collect();
        let published: Result<_, PublishError> =
            publish!(self, performances, publisher_id, publisher, row, idempotency, rows);
        let (found, replayed) = published?;
        let value = self.performance(parse_id(&found)?).await?.ok_or_else(vanished)?;
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
            .select(performance_columns!())
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
            let free = seats::table.filter(seats::performance_id.eq(performances::id)).filter(seat_is_available!(now));
            query = query.filter(performances::starts_at.gt(now)).filter(exists(free));
        }
        let mut session = self.reader().await?;
        let rows = query.load::<Columns>(session.connection()).await;
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
            .select(performance_columns!());
        let mut session = self.reader().await?;
        let rows = query.load::<Columns>(session.connection()).await;
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
        // A performance without seats cannot be published, so where there are none there is no performance.
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

impl Store {
    /// Whether a query for one id finds it.
    async fn is_there<'q, Q>(&self, query: Q) -> Result<bool, StorageError>
    where
        Q: diesel_async::methods::LoadQuery<'q, Connection, Vec<u8>> + Send + 'q,
    {
        let mut session = self.reader().await?;
        let found: QueryResult<Vec<Vec<u8>>> = query.load(session.connection()).await;
        Ok(!session.finished(found)?.is_empty())
    }

    /// The seats of a performance for the cache, which knows the labels of so many of them.
    async fn read_seats(&self, id: PerformanceId, known: Option<usize>) -> Result<Reading, StorageError> {
        let Some(known) = known else {
            return Ok(Reading::Whole(self.stored_seats(id).await?));
        };
        let query = seats::table.filter(seats::performance_id.eq(id.stored())).select((
            seats::ordinal,
            seats::price,
            seats::reservation_id,
            seats::held_until,
        ));
        let mut session = self.reader().await?;
        let rows = query.load::<SeatStateRow>(session.connection()).await;
        let mut rows = session.finished(rows)?;
        drop(session);
        // Seats are never added to a performance. Were they, their labels would be missing.
        if rows.len() != known {
            return Ok(Reading::Whole(self.stored_seats(id).await?));
        }
        rows.sort_unstable_by_key(|row| row.ordinal);
        let states = rows.into_iter().map(<(Points, SeatState)>::try_from).collect::<Result<_, _>>()?;
        Ok(Reading::Changeable(states))
    }

    /// The seats of a performance, in the order of the plan.
    async fn stored_seats(&self, id: PerformanceId) -> Result<Vec<Seat>, StorageError> {
        let mut session = self.reader().await?;
        let rows =
            seats::table.filter(seats::performance_id.eq(id.stored())).load::<SeatRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let mut seats = rows.into_iter().map(Seat::try_from).collect::<Result<Vec<_>, _>>()?;
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        Ok(seats)
    }
}

fn too_much() -> StorageError {
    StorageError::failed("the sum of the prices is too large")
}

fn vanished() -> StorageError {
    StorageError::failed("what was published is missing")
}
