//! The payment gateway: the outside system that takes real money for a charge.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{AccountId, ChargeId, Points};

/// What the payment gateway decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum GatewayVerdict {
    /// The money was taken.
    Approved,
    /// The money was not taken, and will not be.
    Declined,
}

/// What the payment gateway is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct GatewayRequest {
    /// The charge; the gateway keeps what it decided under this id.
    pub charge_id: ChargeId,
    /// Who pays.
    pub account_id: AccountId,
    /// How much; 1 point is 1 won.
    pub amount: Points,
}

/// Why the payment gateway gave no verdict. Whether it took the money is unknown: ask again under the same charge id.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It did not answer in time.
    #[error("the payment gateway did not answer in time")]
    TimedOut,
    /// It could not be reached, or answered nonsense.
    #[error("the payment gateway failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The outside system that takes real money for a charge.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Takes the money for a charge. Asked again under the same charge id, it takes nothing more and tells
    /// what it decided.
    async fn charge(&self, request: GatewayRequest) -> Result<GatewayVerdict, GatewayError>;
}
