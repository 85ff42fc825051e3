//! Filling a wallet, giving points back for money, and reading it.

mod gateway_messages;
mod open_charges;
mod reconciliation;
mod refunds;

use std::sync::Arc;

use boxoffice_domain::{
    ChargeId, Clock, EntropySource, SellingRules, StorageError,
    gateway::{ClientAction, GatewayAnswer, GatewayError, GatewayInbox, GatewayState, PaymentGateway, PaymentMethod},
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    wallet::{
        Charge, ChargeAmount, ChargeError, ChargeRefusal, ChargeRequest, ChargeState, Wallet, WalletEntry, Wallets,
    },
};
use chrono::TimeDelta;

use crate::Identity;

pub use self::{
    gateway_messages::NotificationError,
    open_charges::Resolved,
    reconciliation::{Difference, ReconcileError, Reconciliation},
    refunds::{RefundPointsError, ResolvedRefunds},
};

/// Why points were not charged.
#[derive(Debug, thiserror::Error)]
pub enum ChargePointsError {
    #[error(transparent)]
    Refused(#[from] ChargeRefusal),
    /// There is no payment gateway. Nothing was recorded.
    #[error("there is no payment gateway")]
    Unavailable,
    /// No money was taken.
    #[error("the payment gateway declined the charge")]
    Declined(Box<Charge>),
    /// The payment gateway gave no answer. The charge stays open and is resolved later.
    #[error("the payment gateway gave no answer")]
    Gateway { charge_id: ChargeId, source: GatewayError },
    /// The storage failed. If the gateway had approved, the charge is open and is resolved later.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ChargeError> for ChargePointsError {
    fn from(error: ChargeError) -> Self {
        match error {
            ChargeError::Refused(refusal) => Self::Refused(refusal),
            ChargeError::Storage(error) => Self::Storage(error),
        }
    }
}

/// A charge, and what its buyer has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    pub charge: Charge,
    /// Present only while the charge requires action, and only where the gateway was asked.
    pub action: Option<ClientAction>,
}

/// Fills wallets, and shows them.
pub struct WalletService {
    pub wallets: Arc<dyn Wallets>,
    pub inbox: Arc<dyn GatewayInbox>,
    /// Takes the money for charges; `None` refuses every charge, and leaves the open ones as they are.
    pub gateway: Option<Arc<dyn PaymentGateway>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
    /// How high a balance may become.
    pub rules: SellingRules,
    /// How long a charge may be without a verdict.
    pub pending_max: TimeDelta,
    /// How long a buyer has to act.
    pub action_max: TimeDelta,
}

impl WalletService {
    /// Charges points: records the charge as pending, asks the gateway under its id, then credits it. A failure between
    /// two of these steps leaves an open charge, which [`Self::resolve_pending`] or a repeated request ends. A charge is
    /// never lost, and never credited twice.
    pub async fn charge(
        &self,
        identity: Identity,
        amount: ChargeAmount,
        payment_method: Option<PaymentMethod>,
        idempotency: Idempotency,
    ) -> Result<Made<Charged>, ChargePointsError> {
        let gateway = self.gateway.as_deref().ok_or(ChargePointsError::Unavailable)?;
        let charge_id = ChargeId::new(self.entropy.uuid());
        let request = ChargeRequest {
            charge_id,
            account_id: identity.account_id,
            amount,
            payment_method,
            balance_max: self.rules.balance_points_max,
            idempotency,
        };
        let Made { value: charge, replayed } = self.wallets.begin_charge(request).await?;
        let charged = if charge.state.is_open() {
            let answer = if replayed { ask_again(gateway, &charge).await } else { begin(gateway, &charge).await };
            let source = |source| ChargePointsError::Gateway { charge_id: charge.id, source };
            self.record(charge.clone(), answer.map_err(source)?).await?
        } else {
            Charged { charge, action: None }
        };
        match charged.charge.state {
            ChargeState::Declined { .. } => Err(ChargePointsError::Declined(Box::new(charged.charge))),
            ChargeState::Pending | ChargeState::RequiresAction | ChargeState::Completed { .. } => {
                Ok(Made { value: charged, replayed })
            }
        }
    }

    /// Records what the gateway answered about an open charge.
    async fn record(&self, charge: Charge, answer: GatewayAnswer) -> Result<Charged, StorageError> {
        let Some(verdict) = answer.state.verdict() else { return Ok(Charged { charge, action: None }) };
        let recorded = self.wallets.complete_charge(charge.id, verdict, answer.reference).await?;
        let charge = recorded.ok_or_else(|| StorageError::failed("a charge vanished while the gateway was asked"))?;
        let action = match answer.state {
            GatewayState::ActionRequired(action) if charge.state == ChargeState::RequiresAction => Some(action),
            _ => None,
        };
        Ok(Charged { charge, action })
    }

    pub async fn balance(&self, identity: Identity) -> Result<Option<Wallet>, StorageError> {
        self.wallets.find(identity.account_id).await
    }

    /// The history of the caller's wallet, newest first.
    pub async fn entries(
        &self,
        identity: Identity,
        page: PageRequest<u64>,
    ) -> Result<Page<WalletEntry, u64>, StorageError> {
        self.wallets.entries(identity.account_id, page).await
    }

    pub async fn find_charge(&self, identity: Identity, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        self.wallets.find_charge(identity.account_id, id).await
    }
}

async fn begin(gateway: &dyn PaymentGateway, charge: &Charge) -> Result<GatewayAnswer, GatewayError> {
    gateway.begin(&charge.gateway_request()).await
}

/// How an open charge stands at the gateway, which may not have heard of it yet. To look for a payment without its name may
/// take the gateway long, and to begin the charge again tells the same: so that is what is done until the name is known.
async fn ask_again(gateway: &dyn PaymentGateway, charge: &Charge) -> Result<GatewayAnswer, GatewayError> {
    if charge.reference.is_none() {
        return begin(gateway, charge).await;
    }
    let answer = gateway.query(&charge.gateway_request()).await?;
    answer.ok_or_else(|| GatewayError::Failed("the gateway has lost a payment that it had begun".into()))
}
