//! `/v1/wallet`.

pub(crate) mod balance;
pub(crate) mod charge;
pub(crate) mod entries;
pub(crate) mod find_charge;
pub(crate) mod gateway_event;
pub(crate) mod refund_charge;

use boxoffice_application::wallet::Charged;
use boxoffice_domain::{
    gateway::{ClientAction, DeclineReason},
    wallet::{Charge, ChargeState, ChargeStatus},
};
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
    /// The buyer has to do something with the payment gateway first.
    RequiresAction,
    /// Approved and credited.
    Completed,
    /// Declined by the payment gateway.
    Declined,
    /// Credited, and some of it given back.
    PartiallyRefunded,
    /// Credited, and all of it given back.
    Refunded,
}

mirror!(
    ChargeStatus => StatusResponse: Pending, RequiresAction, Completed, Declined, PartiallyRefunded, Refunded
);

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeclineReason)]
enum ReasonResponse {
    /// The way to pay was refused, and the gateway says no more.
    Refused,
    /// There is too little money.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// A number, date or code of the card is wrong.
    IncorrectDetails,
    /// The buyer could not be authenticated, or did not want to be.
    AuthenticationFailed,
    /// The gateway knows no such way to pay.
    UnknownMethod,
    /// The charge was given up before it was paid.
    Abandoned,
}

mirror!(
    DeclineReason => ReasonResponse:
        Refused, InsufficientFunds, ExpiredCard, IncorrectDetails, AuthenticationFailed, UnknownMethod, Abandoned
);

/// What the buyer has to do before the money is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = ChargeAction)]
struct ActionResponse {
    /// What the gateway's own client needs to go on with the payment; for Stripe the `client_secret` of a `PaymentIntent`.
    client_secret: String,
    /// Where the buyer confirms the payment with a browser; `null` if the gateway's client is needed.
    #[schema(required)]
    redirect_url: Option<String>,
}

impl From<ClientAction> for ActionResponse {
    fn from(ClientAction { client_secret, redirect_url }: ClientAction) -> Self {
        Self { client_secret, redirect_url }
    }
}

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
    /// How many of the points were given back for money, or are about to be.
    refunded: i64,
    /// Why it was declined; `null` if it was not.
    #[schema(required)]
    decline_reason: Option<ReasonResponse>,
    /// What the buyer has to do. It is answered to the request that charges, also when that is repeated under its key, and
    /// `null` elsewhere.
    #[schema(required)]
    action: Option<ActionResponse>,
    created_at: DateTime<Utc>,
}

impl From<Charge> for ChargeResponse {
    fn from(charge: Charge) -> Self {
        let balance = match charge.state {
            ChargeState::Completed { balance_after, .. } => Some(balance_after.get()),
            ChargeState::Pending | ChargeState::RequiresAction | ChargeState::Declined { .. } => None,
        };
        let decline_reason = match charge.state {
            ChargeState::Declined { reason, .. } => Some(reason.into()),
            _ => None,
        };
        Self {
            id: charge.id.uuid(),
            amount: charge.amount.get(),
            status: charge.status().into(),
            balance,
            refunded: charge.refunded.get(),
            decline_reason,
            action: None,
            created_at: charge.created_at,
        }
    }
}

impl From<Charged> for ChargeResponse {
    fn from(Charged { charge, action }: Charged) -> Self {
        Self { action: action.map(Into::into), ..charge.into() }
    }
}
