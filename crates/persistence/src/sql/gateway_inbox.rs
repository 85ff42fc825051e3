//! Notifications of the payment gateway.

use async_trait::async_trait;
use boxoffice_domain::{ChargeId, StorageError, Timestamp, gateway::GatewayInbox};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Store;
use crate::{
    schema::gateway_notifications as notifications,
    stored::{Stored, id as parse_id, time},
};

#[async_trait]
impl GatewayInbox for Store {
    async fn keep(&self, id: &str, charge_id: ChargeId, now: Timestamp) -> Result<bool, StorageError> {
        let row = (id.to_owned(), charge_id.stored(), time(now));
        let kept = self.writer.transaction(row, |connection, (id, charge_id, received_at)| {
            Box::pin(async move {
                let row = (
                    notifications::id.eq(id.as_str()),
                    notifications::charge_id.eq(charge_id.as_slice()),
                    notifications::received_at.eq(*received_at),
                );
                let insert = diesel::insert_or_ignore_into(notifications::table).values(row);
                Ok(insert.execute(connection).await? > 0)
            })
        });
        Ok(kept.await?)
    }

    async fn unhandled(&self, limit: u32) -> Result<Vec<(String, ChargeId)>, StorageError> {
        let query = notifications::table
            .filter(notifications::handled_at.is_null())
            .order(notifications::received_at)
            .limit(i64::from(limit))
            .select((notifications::id, notifications::charge_id));
        let rows: Vec<(String, Vec<u8>)> = self.read_in_time(query).await?;
        rows.into_iter().map(|(id, charge_id)| Ok((id, parse_id(&charge_id)?))).collect()
    }

    async fn mark_handled(&self, id: &str, now: Timestamp) -> Result<(), StorageError> {
        let handled = (id.to_owned(), time(now));
        let marked = self.writer.transaction(handled, |connection, (id, handled_at)| {
            Box::pin(async move {
                let row = notifications::table.find(id.as_str());
                diesel::update(row).set(notifications::handled_at.eq(*handled_at)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(marked.await?)
    }
}
