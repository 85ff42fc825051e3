//! `/v1/payments`.

pub(crate) mod find;
pub(crate) mod list;
pub(crate) mod pay;

use boxoffice_domain::{
    Timestamp,
    payments::{PaymentStatus, PaymentView},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::reservations::ReservationResponse;
use crate::reply::mirror;

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentStatus)]
enum StatusResponse {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded,
}

mirror!(PaymentStatus => StatusResponse: Completed, Refunded);

/// Points turned into confirmed seats.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentResponse {
    id: Uuid,
    reservation_id: Uuid,
    /// How many points were taken.
    amount: i64,
    status: StatusResponse,
    /// The balance after the payment.
    balance_after: i64,
    paid_at: DateTime<Utc>,
    /// When the points were given back; `null` if they were not.
    #[schema(required)]
    refunded_at: Option<DateTime<Utc>>,
    reservation: ReservationResponse,
}

impl PaymentResponse {
    /// The payment with its reservation as it is at `at`.
    pub(crate) fn new(view: PaymentView, at: Timestamp) -> Self {
        let PaymentView { payment, reservation } = view;
        Self {
            id: payment.id.uuid(),
            reservation_id: payment.reservation_id.uuid(),
            amount: payment.amount.get(),
            status: payment.status().into(),
            // This API pays from the wallet alone.
            balance_after: payment.balance_after().unwrap_or_default().get(),
            paid_at: payment.paid_at,
            refunded_at: payment.refunded_at(),
            reservation: ReservationResponse::new(reservation, at),
        }
    }
}
