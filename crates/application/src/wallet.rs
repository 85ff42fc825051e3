//! Filling a wallet, and reading it.

use std::sync::Arc;

use boxoffice_domain::{
    ChargeId, Clock, EntropySource, SellingRules, StorageError,
    gateway::{GatewayError, GatewayRequest, GatewayVerdict, PaymentGateway},
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    wallet::{
        Charge, ChargeAmount, ChargeError, ChargeRefusal, ChargeRequest, ChargeState, PendingKey, Wallet, WalletEntry,
        Wallets,
    },
};
use chrono::TimeDelta;

use crate::Identity;

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
    /// The payment gateway gave no verdict. The charge stays pending and is resolved later.
    #[error("the payment gateway gave no verdict")]
    Gateway { charge_id: ChargeId, source: GatewayError },
    /// The storage failed. If the gateway had approved, the charge is pending and is resolved later.
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

/// What became of the pending charges that the gateway was asked about again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How many were approved or declined.
    pub ended: u32,
    /// How many still have no verdict.
    pub pending: u32,
    /// How many had none for too long, and were declined.
    pub lapsed: u32,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<PendingKey>,
}

/// Fills wallets, and shows them.
pub struct WalletService {
    pub wallets: Arc<dyn Wallets>,
    /// Takes the money for charges; `None` refuses every charge, and leaves the pending ones as they are.
    pub gateway: Option<Arc<dyn PaymentGateway>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
    /// How high a balance may become.
    pub rules: SellingRules,
    /// How long a charge may be without a verdict.
    pub pending_max: TimeDelta,
}

impl WalletService {
    /// Charges points: records the charge as pending, asks the gateway under its id, then credits it. A failure between
    /// two of these steps leaves a pending charge, which [`Self::resolve_pending`] or a repeated request ends. A charge is
    /// never lost, and never credited twice.
    pub async fn charge(
        &self,
        identity: Identity,
        amount: ChargeAmount,
        idempotency: Idempotency,
    ) -> Result<Made<Charge>, ChargePointsError> {
        let gateway = self.gateway.as_deref().ok_or(ChargePointsError::Unavailable)?;
        let charge_id = ChargeId::new(self.entropy.uuid());
        let request = ChargeRequest {
            charge_id,
            account_id: identity.account_id,
            amount,
            balance_max: self.rules.balance_points_max,
            idempotency,
        };
        let Made { value: mut charge, replayed } = self.wallets.begin_charge(request).await?;
        if charge.state == ChargeState::Pending {
            charge = self.ask_gateway(gateway, &charge).await?;
        }
        match charge.state {
            ChargeState::Declined { .. } => Err(ChargePointsError::Declined(Box::new(charge))),
            ChargeState::Pending | ChargeState::Completed { .. } => Ok(Made { value: charge, replayed }),
        }
    }

    async fn ask_gateway(&self, gateway: &dyn PaymentGateway, charge: &Charge) -> Result<Charge, ChargePointsError> {
        let request = GatewayRequest { charge_id: charge.id, account_id: charge.account_id, amount: charge.amount };
        let verdict = gateway.charge(request).await;
        let verdict = verdict.map_err(|source| ChargePointsError::Gateway { charge_id: charge.id, source })?;
        Ok(self.complete(charge.id, verdict).await?)
    }

    async fn complete(&self, id: ChargeId, verdict: GatewayVerdict) -> Result<Charge, StorageError> {
        let ended = self.wallets.complete_charge(id, verdict).await?;
        ended.ok_or_else(|| StorageError::failed("a charge vanished while the gateway was asked"))
    }

    /// Asks the gateway again about at most `limit` charges that have been pending for `pending_seconds`, from `after` on,
    /// where the last call ended: however many never get a verdict, the others still get theirs. A charge that has been
    /// pending for longer than [`pending_max`](Self::pending_max) and still gets no verdict is declined. Does nothing
    /// without a gateway.
    pub async fn resolve_pending(
        &self,
        pending_seconds: u32,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Resolved, StorageError> {
        let Some(gateway) = self.gateway.as_deref() else { return Ok(Resolved::default()) };
        let now = self.clock.now();
        let before = now - TimeDelta::seconds(i64::from(pending_seconds));
        let charges = self.wallets.pending_charges(before, after, limit).await?;
        let last = charges.last().filter(|_| charges.len() >= limit as usize);
        let next = last.map(|charge| PendingKey { created_at: charge.created_at, id: charge.id });
        let mut resolved = Resolved { next, ..Resolved::default() };
        for charge in charges {
            match self.ask_gateway(gateway, &charge).await {
                Ok(_) => resolved.ended += 1,
                Err(ChargePointsError::Storage(error)) => return Err(error),
                Err(error) if now - charge.created_at <= self.pending_max => {
                    resolved.pending += 1;
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(charge_id = %charge.id, error, "a pending charge still has no verdict");
                }
                Err(error) => resolved.lapsed += u32::from(self.decline_lapsed(&charge, error).await?),
            }
        }
        Ok(resolved)
    }

    /// Declines a charge that got no verdict for too long. Returns `false` if another instance got one meanwhile.
    async fn decline_lapsed(&self, charge: &Charge, error: ChargePointsError) -> Result<bool, StorageError> {
        let charge = self.complete(charge.id, GatewayVerdict::Declined).await?;
        let ChargeState::Declined { .. } = charge.state else { return Ok(false) };
        tracing::warn!(
            charge_id = %charge.id,
            account_id = %charge.account_id,
            amount = %charge.amount,
            pending_hours = self.pending_max.num_hours(),
            error = &error as &dyn std::error::Error,
            "a charge got no verdict in time and was declined; compare it with the gateway's records"
        );
        Ok(true)
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
