//! Publishing under idempotency keys.

use boxoffice_domain::{
    StorageError,
    catalog::PublishError,
    idempotency::{Idempotency, KeyReused, Made},
};
use diesel::sql_types::Binary;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{
        super::Connection,
        Store,
        failure::{Failure, Kind},
        insert::insert,
        seats::SeatRow,
    },
    rows::Origin,
};
use crate::{
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
    /// The rows of its seats, if it has any.
    pub(super) seats: Vec<Vec<Bind>>,
}

impl Publication<'_> {
    /// Inserts the rows, unless an earlier request under the same key has published: then returns the id that it gave, and
    /// what it asked.
    async fn run<R: Row>(&self, connection: &mut Connection) -> Result<Option<(Uuid, Idempotency)>, Failure> {
        let earlier = self.find_earlier::<R>(connection).await?;
        if earlier.is_none() {
            insert::<R>(connection, [self.row.clone()]).await?;
            insert::<SeatRow>(connection, self.seats.iter().cloned()).await?;
        }
        Ok(earlier)
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
                Ok(None) => return Ok(Made::now(publication.id)),
                Ok(Some((id, first))) => return Ok(publication.replay(id, &first)?),
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
