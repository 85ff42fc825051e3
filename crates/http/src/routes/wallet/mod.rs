//! `/v1/wallet`.

pub(crate) mod balance;
pub(crate) mod charge;
pub(crate) mod entries;
pub(crate) mod find_charge;

use boxoffice_domain::wallet::{Charge, ChargeState, ChargeStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::reply::mirror;

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChargeStatus)]
enum StatusResponse {
    /// The payment gateway has not answered yet.
    Pending,
    /// Approved and credited.
    Completed,
    /// Declined by the payment gateway.
    Declined,
}

mirror!(ChargeStatus => StatusResponse: Pending, Completed, Declined);

/// Points added to a wallet, paid through the payment gateway.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge)]
pub(crate) struct ChargeResponse {
    id: Uuid,
    amount: i64,
    status: StatusResponse,
    /// The balance after the credit; `null` without a credit.
    #[schema(required)]
    balance: Option<i64>,
    created_at: DateTime<Utc>,
}

impl From<Charge> for ChargeResponse {
    fn from(charge: Charge) -> Self {
        let balance = match charge.state {
            ChargeState::Completed { balance_after, .. } => Some(balance_after.get()),
            ChargeState::Pending | ChargeState::Declined { .. } => None,
        };
        Self {
            id: charge.id.uuid(),
            amount: charge.amount.get(),
            status: charge.state.status().into(),
            balance,
            created_at: charge.created_at,
        }
    }
}
