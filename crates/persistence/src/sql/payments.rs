//! Payments.

use std::collections::HashMap;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, StorageError,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    payments::{PayError, PayRequest, Payment, PaymentSource, PaymentState, PaymentView, Payments, Receipt},
    sale::{Command, PayOutcome},
    waiting_room::PlaceNumber,
};
use chrono::NaiveDateTime;
use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use super::{
    super::{Connection, PAYMENTS_BY_ACCOUNT},
    Store,
    reservations::{ReservationRow, views},
    retry::Failure,
};
use crate::{
    row::row,
    schema::{payments, reservations},
    statement::Statement,
    stored::{Stored, id as parse_id, idempotency, place_number, points, time},
};

row! {
    pub(super) struct PaymentRow in payments, from (payment: &Payment) {
        id: Vec<u8> = payment.id,
        account_id: Vec<u8> = payment.account_id,
        concert_id: Vec<u8> = payment.concert_id,
        reservation_id: Vec<u8> = payment.reservation_id,
        amount: i64 = payment.amount,
        balance_after: Option<i64> = payment.balance_after(),
        paid_at: NaiveDateTime = payment.paid_at,
        refunded_at: Option<NaiveDateTime> = payment.refunded_at(),
        queue_place: Option<i64> = payment.queue_place,
        idempotency_key: String = &payment.idempotency.key,
        fingerprint: Vec<u8> = payment.idempotency.fingerprint,
    }
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StorageError;

    fn try_from(row: PaymentRow) -> Result<Self, StorageError> {
        let state = match row.refunded_at {
            None => PaymentState::Completed,
            Some(refunded_at) => PaymentState::Refunded { refunded_at: refunded_at.and_utc() },
        };
        let source = match row.balance_after {
            Some(balance) => PaymentSource::Wallet { balance_after: points(balance)? },
            None => PaymentSource::Outside,
        };
        Ok(Self {
            id: parse_id(&row.id)?,
            account_id: parse_id(&row.account_id)?,
            concert_id: parse_id(&row.concert_id)?,
            reservation_id: parse_id(&row.reservation_id)?,
            amount: points(row.amount)?,
            source,
            paid_at: row.paid_at.and_utc(),
            state,
            queue_place: row.queue_place.map(|place| PlaceNumber(place.cast_unsigned())),
            idempotency: idempotency(&row.idempotency_key, &row.fingerprint)?,
        })
    }
}

/// Payments with their reservations, in the order of `rows`.
async fn payment_views(connection: &mut Connection, rows: Vec<PaymentRow>) -> Result<Vec<PaymentView>, Failure> {
    let ids: Vec<_> = rows.iter().map(|row| row.reservation_id.clone()).collect();
    let reserved = reservations::table.filter(reservations::id.eq_any(ids)).select(ReservationRow::as_select());
    let reserved = reserved.load(connection).await?;
    let reserved = views(connection, reserved).await?;
    let mut reserved: HashMap<_, _> = reserved.into_iter().map(|view| (view.reservation.id, view)).collect();
    let mut payments = Vec::with_capacity(rows.len());
    for row in rows {
        let payment = Payment::try_from(row)?;
        let reservation = reserved.remove(&payment.reservation_id);
        let reservation = reservation.ok_or_else(|| StorageError::failed("the reservation of a payment is missing"))?;
        payments.push(PaymentView { payment, reservation });
    }
    Ok(payments)
}

#[async_trait]
impl Payments for Store {
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError> {
        let paid: PayOutcome = self.lanes.submit(Command::Pay(request)).await?;
        paid.map_err(PayError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        let query = payments::table
            .find(id.stored())
            .filter(payments::account_id.eq(account_id.stored()))
            .select(PaymentRow::as_select());
        let mut session = self.reader().await?;
        let rows = query.load(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = payment_views(session.connection(), rows).await;
        Ok(session.ended(views)?.pop())
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<PaymentView>, StorageError> {
        let query = payments::table
            .filter(payments::account_id.eq(account_id.stored()))
            .filter(payments::idempotency_key.eq(key.as_str()))
            .select(PaymentRow::as_select());
        let mut session = self.reader().await?;
        let rows = query.load(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = payment_views(session.connection(), rows).await;
        Ok(session.ended(views)?.pop())
    }

    async fn list(
        &self,
        account_id: AccountId,
        page: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError> {
        let mut query =
            Statement::select::<PaymentRow>().sql(PAYMENTS_BY_ACCOUNT).sql(" WHERE account_id = ").bind(account_id);
        if let Some(after) = page.after {
            query = query.sql(" AND id < ").bind(after);
        }
        let mut session = self.reader().await?;
        let rows = query.sql(" ORDER BY id DESC LIMIT ").bind(i64::from(page.limit) + 1);
        let rows = rows.load::<PaymentRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = payment_views(session.connection(), rows).await;
        Ok(Page::from_rows(session.ended(views)?, page.limit, |view| view.payment.id))
    }

    async fn has_spent(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
        place: PlaceNumber,
    ) -> Result<bool, StorageError> {
        let spent = payments::table
            .filter(payments::account_id.eq(account_id.stored()))
            .filter(payments::concert_id.eq(concert_id.stored()))
            .filter(payments::queue_place.eq(place_number(place)));
        let holds = reservations::table
            .filter(reservations::account_id.eq(account_id.stored()))
            .filter(reservations::concert_id.eq(concert_id.stored()))
            .filter(reservations::status.eq("held"))
            .filter(reservations::held_until.gt(time(self.now())));
        let mut session = self.reader().await?;
        let found =
            diesel::select(exists(spent).and(not(exists(holds)))).get_result::<bool>(session.connection()).await;
        Ok(session.finished(found)?)
    }
}
