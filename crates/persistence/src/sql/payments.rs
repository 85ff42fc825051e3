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
use diesel_async::methods::LoadQuery;
use futures::future::BoxFuture;

use super::{
    super::{Connection, PAYMENTS_BY_ACCOUNT},
    Store,
    reservations::{ReservationRow, reservation_views},
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

impl Store {
    /// The payments of a query with their reservations, in its order.
    fn payment_views<'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, PaymentRow> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<PaymentView>, StorageError>> {
        Box::pin(async move {
            let mut session = self.reader().await?;
            let rows = session.read(query).await?;
            let ids: Vec<_> = rows.iter().map(|row| row.reservation_id.clone()).collect();
            let reserved = reservations::table.filter(reservations::id.eq_any(ids)).select(ReservationRow::as_select());
            let reserved = reservation_views(&mut session, reserved).await?;
            let mut reserved: HashMap<_, _> = reserved.into_iter().map(|view| (view.reservation.id, view)).collect();
            let view = |row: PaymentRow| {
                let payment = Payment::try_from(row)?;
                let reservation = reserved.remove(&payment.reservation_id);
                let reservation =
                    reservation.ok_or_else(|| StorageError::failed("the reservation of a payment is missing"))?;
                Ok(PaymentView { payment, reservation })
            };
            rows.into_iter().map(view).collect()
        })
    }
}

#[async_trait]
impl Payments for Store {
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError> {
        let paid: PayOutcome = self.lanes.submit(Command::Pay(request)).await?;
        paid.map_err(PayError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        let query = payments::table.find(id.stored()).filter(payments::account_id.eq(account_id.stored()));
        Ok(self.payment_views(query.select(PaymentRow::as_select())).await?.pop())
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<PaymentView>, StorageError> {
        let query = payments::table
            .filter(payments::account_id.eq(account_id.stored()))
            .filter(payments::idempotency_key.eq(key.as_str()));
        Ok(self.payment_views(query.select(PaymentRow::as_select())).await?.pop())
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
        let query = query.sql(" ORDER BY id DESC LIMIT ").bind(i64::from(page.limit) + 1);
        Ok(Page::from_rows(self.payment_views(query).await?, page.limit, |view| view.payment.id))
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
        let found: Vec<bool> = self.read(diesel::select(exists(spent).and(not(exists(holds))))).await?;
        Ok(found == [true])
    }
}
