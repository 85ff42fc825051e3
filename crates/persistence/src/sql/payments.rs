//! Payments.

use std::collections::HashMap;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, StorageError,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    payments::{PayError, PayRequest, Payment, PaymentView, Payments, Receipt},
    sale::{Command, PayOutcome},
    waiting_room::PlaceNumber,
};
use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::RunQueryDsl;

use super::{
    super::{Connection, PAYMENTS_BY_ACCOUNT},
    Store,
    reservations::views,
    retry::Failure,
    write::{PAYMENT_COLUMNS, PaymentSql},
};
use crate::{
    rows::{PaymentRow, ReservationRow, Stored, place_number, time},
    schema::{payments, reservations},
    statement::{Bind, Statement},
};

/// Payments with their reservations, in the order of `rows`.
async fn payment_views(connection: &mut Connection, rows: Vec<PaymentRow>) -> Result<Vec<PaymentView>, Failure> {
    let ids: Vec<_> = rows.iter().map(|row| row.reservation_id.clone()).collect();
    let reserved: Vec<ReservationRow> =
        reservations::table.filter(reservations::id.eq_any(ids)).load(connection).await?;
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
        let query = payments::table.find(id.stored()).filter(payments::account_id.eq(account_id.stored()));
        let mut session = self.reader().await?;
        let rows = query.load::<PaymentRow>(session.connection()).await;
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
            .filter(payments::idempotency_key.eq(key.as_str()));
        let mut session = self.reader().await?;
        let rows = query.load::<PaymentRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let views = payment_views(session.connection(), rows).await;
        Ok(session.ended(views)?.pop())
    }

    async fn list(
        &self,
        account_id: AccountId,
        page: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError> {
        let mut query = Statement::<PaymentSql>::new("SELECT ")
            .sql(PAYMENT_COLUMNS)
            .sql(" FROM payments")
            .sql(PAYMENTS_BY_ACCOUNT)
            .sql(" WHERE account_id = ")
            .bind(account_id.bound());
        if let Some(after) = page.after {
            query = query.sql(" AND id < ").bind(after.bound());
        }
        let limit = Bind::BigInt(i64::from(page.limit) + 1);
        let mut session = self.reader().await?;
        let rows = query.sql(" ORDER BY id DESC LIMIT ").bind(limit);
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
