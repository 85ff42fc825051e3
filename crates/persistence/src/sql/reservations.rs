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
};
use diesel::{dsl::max, prelude::*};
use diesel_async::RunQueryDsl;
use futures::future::try_join_all;

use super::{
    super::Connection,
    Store,
    retry::{Failure, in_time},
    write::{terms, with_seats},
};
use crate::{
    batch::{Command, Outcome},
    rows::{ReservationRow, Stored, id, time},
    schema::reservations,
};

/// Reservations with what is shown of their performances, in the order of `rows`.
pub(super) async fn views(
    connection: &mut Connection,
    rows: Vec<ReservationRow>,
) -> Result<Vec<ReservationView>, Failure> {
    let stored = with_seats(connection, rows).await?;
    let performances: BTreeSet<_> = stored.iter().map(|stored| stored.reservation.performance_id).collect();
    let terms = terms(connection, performances).await?;
    let terms: HashMap<_, _> = terms.into_iter().map(|terms| (terms.id, terms)).collect();
    let view = |reservation: Reservation| {
        let performance = terms.get(&reservation.performance_id).cloned();
        let performance = performance.ok_or_else(|| StorageError::failed("the terms of a reservation are missing"))?;
        Ok(ReservationView { reservation, performance })
    };
    stored.into_iter().map(|stored| view(stored.reservation)).collect()
}

#[async_trait]
impl Reservations for Store {
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError> {
        match self.lanes.submit(None, Command::Hold(request)).await? {
            Outcome::Hold(outcome) => Ok(outcome.map_err(|refused| refused.refusal)?),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError> {
        let concert = self.concert_of_reservation(request.reservation_id).await?;
        match self.lanes.submit(concert, Command::Cancel(request)).await? {
            Outcome::Cancel(outcome) => Ok(outcome?),
            other => Err(unexpected(&other).into()),
        }
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
        let now = time(self.now());
        let mut query = reservations::table
            .filter(reservations::account_id.eq(account_id.stored()))
            .order(reservations::id.desc())
            .limit(i64::from(page.limit) + 1)
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(reservations::id.lt(after.stored()));
        }
        query = match status {
            None => query,
            Some(ReservationStatus::Held) => {
                query.filter(reservations::status.eq("held").and(reservations::held_until.gt(now)))
            }
            Some(ReservationStatus::Expired) => query.filter(
                reservations::status
                    .eq("expired")
                    .or(reservations::status.eq("held").and(reservations::held_until.le(now))),
            ),
            Some(status) => query.filter(reservations::status.eq(status.as_str())),
        };
        let mut session = self.reader().await?;
        let rows = query.load::<ReservationRow>(session.connection()).await;
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
        let query = reservations::table
            .filter(reservations::account_id.eq(account_id.stored()))
            .filter(reservations::concert_id.eq(concert_id.stored()))
            .filter(reservations::status.eq("held"))
            .filter(reservations::held_until.gt(time(self.now())))
            .select(max(reservations::held_until));
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
            .select((reservations::id, reservations::concert_id));
        let rows = in_time(async {
            let mut session = self.reader().await?;
            let rows = due.load::<(Vec<u8>, Vec<u8>)>(session.connection()).await;
            Ok(session.finished(rows)?)
        });
        let rows = rows.await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for (reservation_id, concert_id) in rows {
            let concert: ConcertId = id(&concert_id)?;
            let command = Command::Expire { reservation_id: id(&reservation_id)? };
            waiting.push(self.lanes.submit(Some(concert), command));
        }
        let outcomes = try_join_all(waiting).await?;
        let expired = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Expire(Some(_)))).count();
        Ok(u32::try_from(expired).unwrap_or(u32::MAX))
    }
}

impl Store {
    /// The concert of a reservation, where it matters for the choice of a lane.
    async fn concert_of_reservation(&self, reservation_id: ReservationId) -> Result<Option<ConcertId>, StorageError> {
        if !self.lanes.are_several() {
            return Ok(None);
        }
        let query = reservations::table.find(reservation_id.stored()).select(reservations::concert_id);
        let mut session = self.reader().await?;
        let found = query.first::<Vec<u8>>(session.connection()).await.optional();
        session.finished(found)?.map(|concert_id| id(&concert_id)).transpose()
    }
}

pub(super) fn unexpected(outcome: &Outcome) -> StorageError {
    StorageError::failed(format!("a lane answered with another command's outcome: {outcome:?}"))
}
