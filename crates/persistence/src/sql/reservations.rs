//! Reservations.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, ReservationId, StorageError, Timestamp,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    reservations::{
        CancelError, CancelRequest, HoldError, HoldRequest, Reservation, ReservationState, ReservationStatus,
        ReservationView, Reservations,
    },
    sale::{CancelOutcome, Command, ExpireOutcome, HoldBudget, HoldOutcome},
};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Nullable, Timestamp as SqlTimestamp},
};
use diesel_async::methods::LoadQuery;
use futures::future::{BoxFuture, try_join_all};

use super::{
    super::{Connection, LIVE_INDEX, RESERVATIONS_BY_ACCOUNT},
    Store,
    catalog::terms,
    pool::Session,
};
use crate::{
    row::row,
    schema::reservations,
    statement::Statement,
    stored::{Stored, count, damaged, id as parse_id, optional_id, optional_idempotency, points, time},
};

row! {
    pub(super) struct ReservationRow in reservations, from (reservation: &Reservation, seats: String) {
        id: Vec<u8> = reservation.id,
        account_id: Vec<u8> = reservation.account_id,
        performance_id: Vec<u8> = reservation.performance_id,
        concert_id: Vec<u8> = reservation.concert_id,
        status: String = stored_status(&reservation.state).as_str(),
        #[expect(dead_code, reason = "the database sums it; the entity has the seats themselves")]
        seats_count: i64 = reservation.seats.len() as u64,
        total_amount: i64 = reservation.total_amount,
        held_until: NaiveDateTime = reservation.held_until,
        payment_id: Option<Vec<u8>> = reservation.payment_id(),
        created_at: NaiveDateTime = reservation.created_at,
        updated_at: NaiveDateTime = reservation.updated_at,
        idempotency_key: Option<String> = reservation.idempotency.as_ref().map(|first| &first.key),
        fingerprint: Option<Vec<u8>> = reservation.idempotency.as_ref().map(|first| first.fingerprint),
        cancel_key: Option<String> = reservation.cancelled_under().map(|first| &first.key),
        cancel_fingerprint: Option<Vec<u8>> = reservation.cancelled_under().map(|first| first.fingerprint),
        // JSON.
        seats: String = seats,
    }
}

row! {
    /// What an account holds or owns of a concert.
    pub(super) struct HoldingRow in reservations {
        id: Vec<u8>,
        account_id: Vec<u8>,
        status: String,
        seats_count: i64,
        held_until: NaiveDateTime,
    }
}

row! {
    pub(super) struct HoldBudgetRow in hold_budgets, from (budget: &HoldBudget) {
        concert_id: Vec<u8> = budget.concert_id,
        account_id: Vec<u8> = budget.account_id,
        unpaid_count: i64 = budget.unpaid_count,
        last_unpaid_at: Option<NaiveDateTime> = budget.last_unpaid_at,
        paid_at: Option<NaiveDateTime> = budget.paid_at,
    }
}

impl TryFrom<HoldBudgetRow> for HoldBudget {
    type Error = StorageError;

    fn try_from(row: HoldBudgetRow) -> Result<Self, StorageError> {
        Ok(Self {
            concert_id: parse_id(&row.concert_id)?,
            account_id: parse_id(&row.account_id)?,
            unpaid_count: count(row.unpaid_count)?,
            last_unpaid_at: row.last_unpaid_at.map(|at| at.and_utc()),
            paid_at: row.paid_at.map(|at| at.and_utc()),
        })
    }
}

/// The status in which a reservation is stored; the status that is shown also depends on the time.
fn stored_status(state: &ReservationState) -> ReservationStatus {
    match state {
        ReservationState::Held { .. } => ReservationStatus::Held,
        ReservationState::Confirmed { .. } => ReservationStatus::Confirmed,
        ReservationState::Cancelled { .. } => ReservationStatus::Cancelled,
        ReservationState::Expired => ReservationStatus::Expired,
    }
}

impl TryFrom<ReservationRow> for Reservation {
    type Error = StorageError;

    fn try_from(row: ReservationRow) -> Result<Self, StorageError> {
        let held_until = row.held_until.and_utc();
        let payment_id = optional_id(row.payment_id.as_ref())?;
        let status: ReservationStatus = row.status.parse().map_err(|_| damaged("status")())?;
        let state = match status {
            ReservationStatus::Held => ReservationState::Held { until: held_until },
            ReservationStatus::Confirmed => {
                ReservationState::Confirmed { payment_id: payment_id.ok_or_else(damaged("reservation"))? }
            }
            ReservationStatus::Cancelled => {
                let idempotency = optional_idempotency(row.cancel_key.as_deref(), row.cancel_fingerprint.as_ref())?;
                ReservationState::Cancelled { payment_id, idempotency }
            }
            ReservationStatus::Expired => ReservationState::Expired,
        };
        Ok(Self {
            id: parse_id(&row.id)?,
            account_id: parse_id(&row.account_id)?,
            performance_id: parse_id(&row.performance_id)?,
            concert_id: parse_id(&row.concert_id)?,
            seats: serde_json::from_str(&row.seats).map_err(|_| damaged("list of reserved seats")())?,
            total_amount: points(row.total_amount)?,
            state,
            held_until,
            created_at: row.created_at.and_utc(),
            updated_at: row.updated_at.and_utc(),
            idempotency: optional_idempotency(row.idempotency_key.as_deref(), row.fingerprint.as_ref())?,
        })
    }
}

/// The reservations of a query with the terms of their performances, in its order.
pub(super) fn reservation_views<'s, 'q: 's>(
    session: &'s mut Session<'_>,
    query: impl LoadQuery<'q, Connection, ReservationRow> + Send + 'q,
) -> BoxFuture<'s, Result<Vec<ReservationView>, StorageError>> {
    Box::pin(async move {
        let rows = session.read(query).await?;
        let reservations = rows.into_iter().map(Reservation::try_from).collect::<Result<Vec<_>, _>>()?;
        let performances: BTreeSet<_> = reservations.iter().map(|reservation| reservation.performance_id).collect();
        let terms = terms(session.connection(), performances).await;
        let terms: HashMap<_, _> = session.ended(terms)?.into_iter().map(|terms| (terms.id, terms)).collect();
        let view = |reservation: Reservation| {
            let performance = terms.get(&reservation.performance_id).cloned();
            let performance =
                performance.ok_or_else(|| StorageError::failed("the terms of a reservation are missing"))?;
            Ok(ReservationView { reservation, performance })
        };
        reservations.into_iter().map(view).collect()
    })
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
        let query = query.select(ReservationRow::as_select());
        Ok(reservation_views(&mut self.reader().await?, query).await?.pop())
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<ReservationView>, StorageError> {
        let query = reservations::table
            .filter(reservations::account_id.eq(account_id.stored()))
            .filter(reservations::idempotency_key.eq(key.as_str()));
        let query = query.select(ReservationRow::as_select());
        Ok(reservation_views(&mut self.reader().await?, query).await?.pop())
    }

    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        page: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError> {
        let now = self.now();
        let mut query = Statement::select::<ReservationRow>()
            .sql(RESERVATIONS_BY_ACCOUNT)
            .sql(" WHERE account_id = ")
            .bind(account_id);
        if let Some(after) = page.after {
            query = query.sql(" AND id < ").bind(after);
        }
        query = match status {
            None => query,
            Some(ReservationStatus::Held) => query.sql(" AND status = 'held' AND held_until > ").bind(now),
            Some(ReservationStatus::Expired) => {
                query.sql(" AND (status = 'expired' OR (status = 'held' AND held_until <= ").bind(now).sql("))")
            }
            Some(status) => query.sql(" AND status = ").bind(status.as_str()),
        };
        let query = query.sql(" ORDER BY id DESC LIMIT ").bind(i64::from(page.limit) + 1);
        let views = reservation_views(&mut self.reader().await?, query).await?;
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
            .bind(account_id)
            .sql(" AND concert_id = ")
            .bind(concert_id)
            .sql(" AND status = 'held' AND held_until > ")
            .bind(self.now());
        let found: Vec<Option<NaiveDateTime>> = self.read(query).await?;
        Ok(found.into_iter().flatten().next().map(|until| until.and_utc()))
    }

    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError> {
        let due = reservations::table
            .filter(reservations::status.eq("held"))
            .filter(reservations::held_until.le(time(self.now())))
            .order(reservations::held_until)
            .limit(i64::from(limit))
            .select((reservations::id, reservations::account_id));
        let mut waiting = Vec::new();
        for (reservation_id, account_id) in self.read_in_time::<(Vec<u8>, Vec<u8>)>(due).await? {
            let (reservation_id, account_id) = (parse_id(&reservation_id)?, parse_id(&account_id)?);
            waiting.push(self.lanes.submit(Command::Expire { reservation_id, account_id }));
        }
        let expired: Vec<ExpireOutcome> = try_join_all(waiting).await?;
        Ok(u32::try_from(expired.iter().flatten().count()).unwrap_or(u32::MAX))
    }
}
