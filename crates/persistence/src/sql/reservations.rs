//! Reservations.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, ReservationId, StorageError, Timestamp,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    reservations::{
        CancelError, CancelRequest, HoldError, HoldRequest, Reservation, ReservationStatus, ReservationView,
        Reservations,
    },
    sale::{CancelOutcome, Command, ExpireOutcome, HoldOutcome},
};
use diesel::{
    prelude::*,
    sql_types::{Nullable, Timestamp as SqlTimestamp},
};
use diesel_async::RunQueryDsl;
use futures::future::try_join_all;

use super::{
    super::{Connection, LIVE_INDEX, RESERVATIONS_BY_ACCOUNT},
    Store,
    retry::{Failure, in_time},
    write::{RESERVATION_COLUMNS, ReservationSql, terms},
};
use crate::{
    rows::{ReservationRow, Stored, id, time},
    schema::reservations,
    statement::{Bind, Statement},
};

/// Reservations with what is shown of their performances, in the order of `rows`.
pub(super) async fn views(
    connection: &mut Connection,
    rows: Vec<ReservationRow>,
) -> Result<Vec<ReservationView>, Failure> {
    let reservations = rows.into_iter().map(Reservation::try_from).collect::<Result<Vec<_>, _>>()?;
    let performances: BTreeSet<_> = reservations.iter().map(|reservation| reservation.performance_id).collect();
    let terms = terms(connection, performances).await?;
    let terms: HashMap<_, _> = terms.into_iter().map(|terms| (terms.id, terms)).collect();
    let view = |reservation: Reservation| {
        let performance = terms.get(&reservation.performance_id).cloned();
        let performance = performance.ok_or_else(|| StorageError::failed("the terms of a reservation are missing"))?;
        Ok(ReservationView { reservation, performance })
    };
    reservations.into_iter().map(view).collect()
}

#[async_trait]
impl Reservations for Store {
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError> {
        let held: HoldOutcome = self.lanes.submit(Command::Hold(request)).await?;
        held.map_err(HoldError::Refused)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError> {
        let cancelled: CancelOutcome = self.lanes.submit(Command::Cancel(request)).await?;
        cancelled.map_err(CancelError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: ReservationId) -> Result<Option<ReservationView>, StorageError> {
        let query = reservations::table.find(id.stored()).filter(reservations::account_id.eq(account_id.stored()));
        let mut session = self.reader().await?;
        let rows = query.load::<ReservationRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = views(session.connection(), rows).await;
        Ok(session.ended(views)?.pop())
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<ReservationView>, StorageError> {
        let query = reservations::table
            .filter(reservations::account_id.eq(account_id.stored()))
            .filter(reservations::idempotency_key.eq(key.as_str()));
        let mut session = self.reader().await?;
        let rows = query.load::<ReservationRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = views(session.connection(), rows).await;
        Ok(session.ended(views)?.pop())
    }

    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        page: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError> {
        let now = Bind::Time(time(self.now()));
        let mut query = Statement::<ReservationSql>::new("SELECT ")
            .sql(RESERVATION_COLUMNS)
            .sql(" FROM reservations")
            .sql(RESERVATIONS_BY_ACCOUNT)
            .sql(" WHERE account_id = ")
            .bind(account_id.bound());
        if let Some(after) = page.after {
            query = query.sql(" AND id < ").bind(after.bound());
        }
        query = match status {
            None => query,
            Some(ReservationStatus::Held) => query.sql(" AND status = 'held' AND held_until > ").bind(now),
            Some(ReservationStatus::Expired) => {
                query.sql(" AND (status = 'expired' OR (status = 'held' AND held_until <= ").bind(now).sql("))")
            }
            Some(status) => query.sql(" AND status = ").bind(Bind::Word(status.as_str())),
        };
        let limit = Bind::BigInt(i64::from(page.limit) + 1);
        let mut session = self.reader().await?;
        let rows = query.sql(" ORDER BY id DESC LIMIT ").bind(limit);
        let rows = rows.load::<ReservationRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = views(session.connection(), rows).await;
        let views = session.ended(views)?;
        Ok(Page::from_rows(views, page.limit, |view| view.reservation.id))
    }

    async fn held_until(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
    ) -> Result<Option<Timestamp>, StorageError> {
        let query = Statement::<Nullable<SqlTimestamp>>::new("SELECT MAX(held_until) FROM reservations")
            .sql(LIVE_INDEX)
            .sql(" WHERE account_id = ")
            .bind(account_id.bound())
            .sql(" AND concert_id = ")
            .bind(concert_id.bound())
            .sql(" AND status = 'held' AND held_until > ")
            .bind(Bind::Time(time(self.now())));
        let mut session = self.reader().await?;
        let found = query.get_result::<Option<chrono::NaiveDateTime>>(session.connection()).await;
        Ok(session.finished(found)?.map(|until| until.and_utc()))
    }

    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError> {
        let due = reservations::table
            .filter(reservations::status.eq("held"))
            .filter(reservations::held_until.le(time(self.now())))
            .order(reservations::held_until)
            .limit(i64::from(limit))
            .select(reservations::id);
        let rows = in_time(async {
            let mut session = self.reader().await?;
            let rows = due.load::<Vec<u8>>(session.connection()).await;
            Ok(session.finished(rows)?)
        });
        let rows = rows.await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for reservation_id in rows {
            waiting.push(self.lanes.submit(Command::Expire { reservation_id: id(&reservation_id)? }));
        }
        let expired: Vec<ExpireOutcome> = try_join_all(waiting).await?;
        Ok(u32::try_from(expired.iter().flatten().count()).unwrap_or(u32::MAX))
    }
}
