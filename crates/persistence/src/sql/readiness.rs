//! Whether the database serves, and what time it is there.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{OutageReason, StorageError, Timestamp, audit::Readiness};
use chrono::NaiveDateTime;
use diesel::{ExpressionMethods, QueryDsl, migration::MigrationSource, sql_types::Text};
use diesel_async::{AsyncConnectionCore, RunQueryDsl};
use tokio::time::timeout;

use super::{
    super::{CLOCK, Connection, MIGRATIONS},
    Store,
    failure::{Failure, Kind},
};
use crate::{schema::leases, statement::Statement};

/// How long the database has to answer whether it serves.
pub(super) const READY_TIME_MAX: Duration = Duration::from_secs(1);

/// The newest migration that was applied; no row if there is none.
pub(super) const NEWEST: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1";

/// Why the last write failed, if the database may answer all the same: a full disk is noticed only by writing.
#[derive(Debug, Default)]
pub(super) struct WriteOutage(Mutex<Option<OutageReason>>);

impl WriteOutage {
    /// Notes how a write ended; `None` if it was committed.
    pub(super) fn note(&self, failed: Option<Kind>) {
        let reason = match failed {
            Some(Kind::Unavailable(reason @ (OutageReason::DiskFull | OutageReason::ReadOnly))) => Some(reason),
            // Nothing is known of what it would have written.
            Some(Kind::Unavailable(_) | Kind::Contention | Kind::Defect | Kind::Duplicate) => return,
            None => None,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    fn get(&self) -> Option<OutageReason> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest migration that this build has.
pub(super) fn needed_schema() -> Result<String, Box<dyn Error + Send + Sync>> {
    type Backend = <Connection as AsyncConnectionCore>::Backend;
    let all = MigrationSource::<Backend>::migrations(&MIGRATIONS)?;
    all.iter().map(|migration| migration.name().version().to_string()).max().ok_or_else(|| "no migration".into())
}

impl Store {
    async fn answers(&self) -> Result<(), StorageError> {
        let newest: Vec<String> = self.readiness.session().await?.read(Statement::<Text>::new(NEWEST)).await?;
        let needed = needed_schema().map_err(StorageError::Failed)?;
        if newest.as_slice().first().is_none_or(|newest| *newest < needed) {
            return Err(StorageError::Unavailable("the schema is behind this build".into()));
        }
        Ok(())
    }

    /// Writes something that changes nothing.
    async fn writes(&self) -> Result<(), StorageError> {
        let written = self.writer.transaction((), |connection, ()| {
            Box::pin(async move {
                let (work, holder, long_ago) = ("readiness", vec![0_u8; 16], Timestamp::UNIX_EPOCH.naive_utc());
                let row = (leases::work.eq(work), leases::holder.eq(holder), leases::held_until.eq(long_ago));
                diesel::delete(leases::table.find(work)).execute(connection).await?;
                diesel::insert_into(leases::table).values(row).execute(connection).await?;
                diesel::delete(leases::table.find(work)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(written.await?)
    }
}

#[async_trait]
impl Readiness for Store {
    async fn ready(&self) -> Result<(), StorageError> {
        if !self.clock.is_trusted() {
            return Err(StorageError::wrong_clock());
        }
        let answered = timeout(READY_TIME_MAX, self.answers()).await;
        answered.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed).into()))?;
        let Some(reason) = self.writer.outage.get() else { return Ok(()) };
        // No buyer may write until it is ready, so it has to be tried.
        let written = timeout(READY_TIME_MAX, self.writes()).await;
        written.unwrap_or_else(|_| Err(StorageError::unavailable(reason, "nothing could be written")))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StorageError> {
        let Some(clock) = CLOCK else { return Ok(None) };
        let read = async {
            let mut session = self.readiness.session().await?;
            let now = session.read(Statement::<diesel::sql_types::Timestamp>::new(clock)).await?.pop();
            Ok::<Option<NaiveDateTime>, StorageError>(now)
        };
        let read = timeout(READY_TIME_MAX, read).await;
        let now = read.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed).into()))?;
        Ok(now.map(|now| now.and_utc()))
    }
}
