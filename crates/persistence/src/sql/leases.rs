//! Leases.

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp};
use boxoffice_peers::leases::{Claim, Leases};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    super::Connection,
    Store,
    failure::{Failure, Kind},
};
use crate::{schema::leases, stored::time};

#[async_trait]
impl Leases for Store {
    async fn take(&self, claim: Claim<'_>, now: Timestamp, until: Timestamp) -> Result<bool, StorageError> {
        // Most callers find this out, without writing anything.
        if self.is_held_by_other(claim, now).await? {
            return Ok(false);
        }
        let taken = self.writer.transaction((claim, time(now), time(until)), |connection, (claim, now, until)| {
            Box::pin(take(connection, *claim, *now, *until))
        });
        match taken.await {
            Err(failure) if failure.kind == Kind::Duplicate => Ok(false),
            taken => Ok(taken?),
        }
    }

    async fn is_held_by_other(&self, claim: Claim<'_>, now: Timestamp) -> Result<bool, StorageError> {
        let others = leases::table
            .find(claim.job)
            .filter(leases::holder.ne(claim.holder.as_bytes().as_slice()))
            .filter(leases::held_until.gt(time(now)))
            .select(leases::held_until);
        Ok(!self.read_in_time::<NaiveDateTime>(others).await?.is_empty())
    }

    async fn release(&self, claim: Claim<'_>) -> Result<(), StorageError> {
        let released = self.writer.transaction(claim, |connection, claim| {
            Box::pin(async move {
                let holder = claim.holder.as_bytes().as_slice();
                let lease = leases::table.find(claim.job).filter(leases::holder.eq(holder));
                diesel::delete(lease).execute(connection).await?;
                Ok(())
            })
        });
        Ok(released.await?)
    }
}

async fn take(
    connection: &mut Connection,
    claim: Claim<'_>,
    now: NaiveDateTime,
    until: NaiveDateTime,
) -> Result<bool, Failure> {
    let holder = claim.holder.as_bytes().as_slice();
    let lease = leases::table.find(claim.job);
    let free = leases::holder.eq(holder).or(leases::held_until.le(now));
    let change = (leases::holder.eq(holder), leases::held_until.eq(until));
    if diesel::update(lease.filter(free)).set(change).execute(connection).await? > 0 {
        return Ok(true);
    }
    let found = lease.select(leases::holder).first::<Vec<u8>>(connection).await.optional()?;
    if let Some(found) = found {
        // It may be from an attempt of ours whose answer was lost.
        return Ok(found == holder);
    }
    let row = (leases::work.eq(claim.job), leases::holder.eq(holder), leases::held_until.eq(until));
    diesel::insert_into(leases::table).values(row).execute(connection).await?;
    Ok(true)
}
