//! Publishing under idempotency keys.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, StorageError,
    catalog::PublishError,
    idempotency::{Idempotency, KeyReused, Made},
};
use diesel::sql_types::Binary;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::super::{
    super::Connection,
    Store,
    retry::{Act, Failure, Kind},
};
use crate::{
    statement::Statement,
    stored::{id, idempotency as stored_idempotency},
};

/// How often publishing is tried again after a concurrent publication under the same key.
const PUBLISH_ATTEMPTS_MAX: u32 = 3;

/// A row to publish in `table`.
pub(super) struct Publication {
    pub(super) table: &'static str,
    /// The column of the account under whose keys the table is unique.
    pub(super) publisher_column: &'static str,
    pub(super) id: Uuid,
    pub(super) publisher: Option<AccountId>,
    pub(super) idempotency: Option<Idempotency>,
}

impl Publication {
    /// Finds the row that an earlier request published under the same key: its id and what that request asked.
    async fn find_earlier(&self, connection: &mut Connection) -> Result<Option<(Uuid, Idempotency)>, Failure> {
        let (Some(publisher), Some(idempotency)) = (self.publisher, &self.idempotency) else {
            return Ok(None);
        };
        let found: Vec<(Vec<u8>, Vec<u8>)> = Statement::<(Binary, Binary)>::new("SELECT id, fingerprint FROM ")
            .sql(self.table)
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
        first.replay(self.idempotency.as_ref().ok_or(KeyReused)?, id)
    }

    async fn is_published(&self, store: &Store) -> Result<bool, StorageError> {
        let query = Statement::<Binary>::new("SELECT id FROM ").sql(self.table).sql(" WHERE id = ").bind(self.id);
        let mut session = store.reader().await?;
        let found = query.load::<Vec<u8>>(session.connection()).await;
        Ok(!session.finished(found)?.is_empty())
    }
}

impl Store {
    /// Publishes a row with `insert`, unless an earlier request under the same key did. Gives the id of the row.
    pub(super) async fn publish(
        &self,
        publication: Publication,
        insert: Box<Act<()>>,
    ) -> Result<Made<Uuid>, PublishError> {
        let work = Arc::new((publication, insert));
        let publication = &work.0;
        let mut attempt = 0;
        loop {
            let attempted = Arc::clone(&work);
            let published = self
                .writer
                .transaction(&move |connection| {
                    let work = Arc::clone(&attempted);
                    Box::pin(async move {
                        let (publication, insert) = &*work;
                        let earlier = publication.find_earlier(connection).await?;
                        if earlier.is_none() {
                            insert(connection).await?;
                        }
                        Ok(earlier)
                    })
                })
                .await;
            match published {
                Ok(None) => return Ok(Made::now(publication.id)),
                Ok(Some((id, first))) => return Ok(publication.replay(id, &first)?),
                Err(failure) if failure.kind == Kind::Duplicate => {
                    // An earlier attempt had published it, and its answer was lost.
                    if publication.is_published(self).await? {
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
