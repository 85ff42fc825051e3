//! Leases.

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp};
use boxoffice_peers::leases::Leases;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Store,
    retry::{Kind, in_time},
};
use crate::{schema::leases, stored::time};

#[async_trait]
impl Leases for Store {
    async fn take(&self, work: &str, holder: Uuid, now: Timestamp, until: Timestamp) -> Result<bool, StorageError> {
        // Most callers find this out, without writing anything.
        if self.is_held_by_other(work, holder, now).await? {
            return Ok(false);
        }
        let holder = holder.as_bytes().to_vec();
        let (work, now, until) = (work.to_owned(), time(now), time(until));
        let taken = self
            .writer
            .transaction(&move |connection| {
                let (work, holder) = (work.clone(), holder.clone());
                Box::pin(async move {
                    let lease = leases::table.find(work.as_str());
                    let free = leases::holder.eq(&holder).or(leases::held_until.le(now));
                    let change = (leases::holder.eq(&holder), leases::held_until.eq(until));
                    if diesel::update(lease.filter(free)).set(change).execute(connection).await? > 0 {
                        return Ok(true);
                    }
                    let found = lease.select(leases::holder).first::<Vec<u8>>(connection).await.optional()?;
                    if let Some(found) = found {
                        // It may be from an attempt of ours whose answer was lost.
                        return Ok(found == holder);
                    }
                    let row = (leases::work.eq(work), leases::holder.eq(holder), leases::held_until.eq(until));
                    diesel::insert_into(leases::table).values(row).execute(connection).await?;
                    Ok(true)
                })
            })
            .await;
        match taken {
            Err(failure) if failure.kind == Kind::Duplicate => Ok(false),
            taken => Ok(taken?),
        }
    }

    async fn is_held_by_other(&self, work: &str, holder: Uuid, now: Timestamp) -> Result<bool, StorageError> {
        let others = leases::table
            .find(work)
            .filter(leases::holder.ne(holder.as_bytes().as_slice()))
            .filter(leases::held_until.gt(time(now)))
            .select(leases::held_until);
        let found = in_time(async {
            let mut session = self.reader().await?;
            let found = others.first::<chrono::NaiveDateTime>(session.connection()).await.optional();
            Ok(session.finished(found)?)
        });
        Ok(found.await?.is_some())
    }

    async fn release(&self, work: &str, holder: Uuid) -> Result<(), StorageError> {
        let (work, holder) = (work.to_owned(), holder.as_bytes().to_vec());
        let released = self
            .writer
            .transaction(&move |connection| {
                let (work, holder) = (work.clone(), holder.clone());
                Box::pin(async move {
                    let lease = leases::table.find(work).filter(leases::holder.eq(holder));
                    diesel::delete(lease).execute(connection).await?;
                    Ok(())
                })
            })
            .await;
        Ok(released?)
    }
}
