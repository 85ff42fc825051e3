//! Saves what a batch changed.

use boxoffice_domain::{StorageError, Timestamp, reservations::Reservation, sale::Changes};
use diesel::sql_types::Untyped;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::super::{
    super::Connection,
    charge_refunds::ChargeRefundRow,
    failure::Failure,
    insert::{insert, upsert},
    outbox::EventBatchRow,
    payments::PaymentRow,
    reservations::{HoldBudgetRow, ReservationRow},
    seats::SeatRow,
    wallet::{ChargeRow, WalletEntryRow, WalletRow},
};
use crate::{
    statement::{Bind, Statement},
    stored::json,
};

pub(super) async fn save(
    connection: &mut Connection,
    changes: Changes<'_>,
    batch_id: Uuid,
    now: Timestamp,
) -> Result<(), Failure> {
    let columns = ["balance", "pending", "entries_count", "updated_at"];
    upsert::<WalletRow>(connection, changes.wallets().map(WalletRow::bind), "account_id", &columns).await?;
    insert::<WalletEntryRow>(connection, changes.entries().iter().map(WalletEntryRow::bind)).await?;

    insert::<ChargeRow>(connection, changes.charges_new().map(ChargeRow::bind)).await?;
    let columns = ["status", "balance_after", "ended_at", "refunded", "reference", "decline_reason"];
    upsert::<ChargeRow>(connection, changes.charges_changed().map(ChargeRow::bind), "id", &columns).await?;

    insert::<ChargeRefundRow>(connection, changes.charge_refunds_new().map(ChargeRefundRow::bind)).await?;
    let refunds = changes.charge_refunds_changed().map(ChargeRefundRow::bind);
    upsert::<ChargeRefundRow>(connection, refunds, "id", &["status", "ended_at"]).await?;

    insert::<ReservationRow>(connection, bind_all(changes.reservations_new())?).await?;
    let columns = ["status", "payment_id", "updated_at", "cancel_key", "cancel_fingerprint"];
    upsert::<ReservationRow>(connection, bind_all(changes.reservations_changed())?, "id", &columns).await?;

    insert::<PaymentRow>(connection, changes.payments_new().map(PaymentRow::bind)).await?;
    upsert::<PaymentRow>(connection, changes.payments_changed().map(PaymentRow::bind), "id", &["refunded_at"]).await?;

    let counted: Vec<_> = changes.hold_budgets().map(|budget| budget.account_id).collect();
    if !counted.is_empty() {
        let columns = ["unpaid_count", "last_unpaid_at", "paid_at"];
        let budgets = changes.hold_budgets().map(HoldBudgetRow::bind);
        upsert::<HoldBudgetRow>(connection, budgets, "concert_id, account_id", &columns).await?;
        let update = Statement::<Untyped>::new("UPDATE wallets SET has_hold_budgets = TRUE WHERE account_id IN ");
        update.list(counted).execute(connection).await?;
    }

    let seats = changes.seats().map(|(performance_id, seat)| SeatRow::bind(performance_id, seat));
    upsert::<SeatRow>(connection, seats, "performance_id, label", &["reservation_id", "held_until"]).await?;

    let events = json(changes.events())?;
    insert::<EventBatchRow>(connection, [EventBatchRow::bind(batch_id, events, now)]).await
}

fn bind_all<'a>(reservations: impl Iterator<Item = &'a Reservation>) -> Result<Vec<Vec<Bind>>, StorageError> {
    reservations.map(|reservation| Ok(ReservationRow::bind(reservation, json(&reservation.seats)?))).collect()
}
