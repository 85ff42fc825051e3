//! The events of committed batches.

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError, Timestamp,
    events::{Event, EventBatch, Outbox},
    page::{Page, PageRequest},
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use super::{super::Connection, Store, failure::Failure, insert::insert};
use crate::{
    row::row,
    schema::outbox_batches,
    stored::{damaged, id, json},
};

row! {
    pub(super) struct EventBatchRow in outbox_batches, from (batch_id: Uuid, events: String, occurred_at: Timestamp) {
        id: Vec<u8> = batch_id,
        // JSON.
        events: String = events,
        occurred_at: NaiveDateTime = occurred_at,
    }
}

impl TryFrom<EventBatchRow> for EventBatch {
    type Error = StorageError;

    fn try_from(row: EventBatchRow) -> Result<Self, StorageError> {
        let events = serde_json::from_str(&row.events).map_err(|_| damaged("list of events")())?;
        Ok(Self { id: id(&row.id)?, events, occurred_at: row.occurred_at.and_utc() })
    }
}

/// Stores events of other acts than those of the write lanes, in the transaction of the act. An act that may be tried again
/// always gives the same `id`.
pub(super) async fn write_events(
    connection: &mut Connection,
    id: Uuid,
    events: &[Event],
    now: Timestamp,
) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    insert::<EventBatchRow>(connection, [EventBatchRow::bind(id, json(events)?, now)]).await
}

#[async_trait]
impl Outbox for Store {
    async fn batches(&self, page: PageRequest<Uuid>) -> Result<Page<EventBatch, Uuid>, StorageError> {
        let mut query = outbox_batches::table
            .order(outbox_batches::id)
            .limit(i64::from(page.limit) + 1)
            .select(EventBatchRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(outbox_batches::id.gt(after.as_bytes().to_vec()));
        }
        let rows = self.read(query).await?;
        let batches = rows.into_iter().map(EventBatch::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(batches, page.limit, |batch| batch.id))
    }
}
