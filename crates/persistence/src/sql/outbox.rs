//! The events of committed batches.

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError,
    events::{EventBatch, Outbox},
    page::{Page, PageRequest},
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Store;
use crate::{rows::EventBatchRow, schema::outbox_batches};

#[async_trait]
impl Outbox for Store {
    async fn batches(&self, page: PageRequest<Uuid>) -> Result<Page<EventBatch, Uuid>, StorageError> {
        let mut query = outbox_batches::table.order(outbox_batches::id).limit(i64::from(page.limit) + 1).into_boxed();
        if let Some(after) = page.after {
            query = query.filter(outbox_batches::id.gt(after.as_bytes().to_vec()));
        }
        let mut session = self.reader().await?;
        let rows = query.load::<EventBatchRow>(session.connection()).await;
        let batches = session.finished(rows)?.into_iter().map(EventBatch::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(batches, page.limit, |batch| batch.id))
    }
}
