//! Publishing under idempotency keys.

use boxoffice_domain::{
    ConcertId, StorageError, Timestamp,
    catalog::{NewPerformance, PublishError, VenueBookings, check_start},
    history::StaffAct,
    idempotency::{Idempotency, KeyReused, Made},
};
use chrono::NaiveDateTime;
use diesel::sql_types::{Binary, Timestamp as TimestampSql};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{
        super::Connection,
        Store,
        failure::{Failure, Kind},
        history::write_down,
        insert::insert,
        seats::{SeatRow, new_seats},
    },
    bookings::{lock_concert, lock_venue},
    changes::Noting,
    rows::{Origin, sales_window},
};
use crate::{
    catalog_watch::CatalogChange,
    statement::{Bind, Row, Statement},
    stored::{id, idempotency as stored_idempotency},
};

/// How often publishing is tried again after a concurrent publication under the same key.
const PUBLISH_ATTEMPTS_MAX: u32 = 3;

/// A row to publish.
pub(super) struct Publication<'p> {
    pub(super) id: Uuid,
    pub(super) origin: Origin<'p>,
    /// The column of the publisher, under whose keys the table is unique.
    pub(super) publisher_column: &'static str,
    pub(super) row: Vec<Bind>,
    /// What is published, if it is a performance: it has seats, and takes a venue.
    pub(super) performance: Option<NewBooking<'p>>,
    /// The concert that searches find otherwise then, and where this is noted.
    pub(super) note: Option<(Noting, ConcertId)>,
    /// What the history says of it.
    pub(super) act: &'p StaffAct,
}

/// A performance to publish at an instant.
#[derive(Clone, Copy)]
pub(super) struct NewBooking<'p> {
    pub(super) performance: &'p NewPerformance,
    pub(super) now: Timestamp,
}

impl NewBooking<'_> {
    /// Keeps others from taking the venue until the transaction ends, and reads how it is taken.
    async fn lock_venue(&self, connection: &mut Connection) -> Result<VenueBookings, Failure> {
        lock_venue(connection, self.performance.venue.id, Some(self.performance.booking())).await
    }

    /// Why the performance cannot be.
    async fn refusal(
        &self,
        connection: &mut Connection,
        venue: &VenueBookings,
    ) -> Result<Option<PublishError>, Failure> {
        let Self { performance, now } = *self;
        lock_concert(connection, performance.concert_id).await?;
        let windows =
            Statement::<(TimestampSql, TimestampSql)>::new("SELECT sales_open_at, sales_close_at FROM concerts")
                .sql(" WHERE id = ")
                .bind(performance.concert_id);
        let windows: Vec<(NaiveDateTime, NaiveDateTime)> = windows.load(connection).await?;
        let Some((open_at, close_at)) = windows.into_iter().next() else {
            return Ok(Some(PublishError::ConcertNotFound));
        };
        if let Err(error) = check_start(now, &sales_window(open_at, close_at)?, performance.starts_at, false) {
            return Ok(Some(error.into()));
        }
        Ok(performance.booking().conflict(&venue.bookings).map(PublishError::Overlaps))
    }
}

/// What became of a publication.
enum Published {
    /// The rows were inserted.
    Now,
    /// An earlier request under the same key has published: the id that it gave, and what it asked.
    Before(Uuid, Idempotency),
    /// A rule forbids it, and nothing was written.
    Refused(PublishError),
}

impl Publication<'_> {
    /// Inserts the rows, unless an earlier request under the same key has published.
    async fn run<R: Row>(&self, connection: &mut Connection) -> Result<Published, Failure> {
        // Of several requests under one key, the later ones wait for the venue, and then find what the first one made.
        let booking = match self.performance {
            Some(booking) => Some((booking, booking.lock_venue(connection).await?)),
            None => None,
        };
        if let Some((id, first)) = self.find_earlier::<R>(connection).await? {
            return Ok(Published::Before(id, first));
        }
        if let Some((booking, venue)) = booking {
            if let Some(refusal) = booking.refusal(connection, &venue).await? {
                return Ok(Published::Refused(refusal));
            }
            insert::<SeatRow>(connection, new_seats(booking.performance)).await?;
        }
        insert::<R>(connection, [self.row.clone()]).await?;
        write_down(connection, [self.act]).await?;
        if let Some((noting, concert_id)) = self.note {
            noting.note(connection, CatalogChange::of_concert(concert_id)).await?;
        }
        Ok(Published::Now)
    }

    async fn find_earlier<R: Row>(&self, connection: &mut Connection) -> Result<Option<(Uuid, Idempotency)>, Failure> {
        let (Some(publisher), Some(idempotency)) = (self.origin.publisher, self.origin.idempotency) else {
            return Ok(None);
        };
        let found: Vec<(Vec<u8>, Vec<u8>)> = Statement::<(Binary, Binary)>::new("SELECT id, fingerprint FROM ")
            .sql(R::TABLE)
            .sql(" WHERE ")
            .sql(self.publisher_column)
            .sql(" = ")
            .bind(publisher)
            .sql(" AND idempotency_key = ")
            .bind(&idempotency.key)
            .load(connection)
            .await?;
        let Some((found, fingerprint)) = found.into_iter().next() else {
            return Ok(None);
        };
        let first = stored_idempotency(idempotency.key.as_str(), &fingerprint)?;
        Ok(Some((id(&found)?, first)))
    }

    /// Answers this request with what an earlier one made.
    fn replay(&self, id: Uuid, first: &Idempotency) -> Result<Made<Uuid>, KeyReused> {
        if id == self.id {
            // An earlier attempt of this request had published it, and its answer was lost.
            return Ok(Made::now(id));
        }
        first.replay(self.origin.idempotency.ok_or(KeyReused)?, id)
    }
}

impl Store {
    /// Publishes a row, unless an earlier request under the same key did. Returns the id of the row.
    pub(super) async fn publish<R: Row>(&self, publication: Publication<'_>) -> Result<Made<Uuid>, PublishError> {
        let mut attempt = 0;
        loop {
            let published = self
                .writer
                .transaction(&publication, |connection, publication| Box::pin(publication.run::<R>(connection)))
                .await;
            match published {
                Ok(Published::Now) => return Ok(Made::now(publication.id)),
                Ok(Published::Before(id, first)) => return Ok(publication.replay(id, &first)?),
                Ok(Published::Refused(refusal)) => return Err(refusal),
                Err(failure) if failure.kind == Kind::Duplicate => {
                    // An earlier attempt had published it, and its answer was lost.
                    let query = Statement::<Binary>::new("SELECT id FROM ")
                        .sql(R::TABLE)
                        .sql(" WHERE id = ")
                        .bind(publication.id);
                    if !self.read::<Vec<u8>>(query).await?.is_empty() {
                        return Ok(Made::now(publication.id));
                    }
                    // Another request under the same key came between reading and writing.
                    if attempt == PUBLISH_ATTEMPTS_MAX {
                        return Err(StorageError::from(failure).into());
                    }
                    attempt += 1;
                }
                Err(failure) => return Err(StorageError::from(failure).into()),
            }
        }
    }
}
