//! The notice of maintenance.

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError,
    maintenance::{Maintenance, Notice},
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Store;
use crate::{
    schema::maintenance,
    stored::{name, time},
};

/// The row of the only kind of maintenance that there is.
const SALE: &str = "sale";

#[async_trait]
impl Maintenance for Store {
    async fn notice(&self) -> Result<Option<Notice>, StorageError> {
        let query = maintenance::table.find(SALE).select((maintenance::message, maintenance::began_at));
        let row: Option<(String, NaiveDateTime)> = self.read_in_time(query).await?.pop();
        row.map(|(message, at)| Ok(Notice { message: name(&message)?, began_at: at.and_utc() })).transpose()
    }

    async fn set_notice(&self, notice: Option<Notice>) -> Result<(), StorageError> {
        let notice = notice.map(|notice| (notice.message.to_string(), time(notice.began_at)));
        let set = self.writer.transaction(notice, |connection, notice| {
            Box::pin(async move {
                let row = maintenance::table.find(SALE);
                let Some((message, began_at)) = notice else {
                    diesel::delete(row).execute(connection).await?;
                    return Ok(());
                };
                let changed = diesel::update(row).set(maintenance::message.eq(message)).execute(connection).await?;
                if changed == 0 {
                    let row = (
                        maintenance::work.eq(SALE),
                        maintenance::message.eq(message),
                        maintenance::began_at.eq(began_at),
                    );
                    diesel::insert_into(maintenance::table).values(row).execute(connection).await?;
                }
                Ok(())
            })
        });
        Ok(set.await?)
    }
}
