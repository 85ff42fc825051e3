//! Giving points of a charge back for money.

use boxoffice_domain::{
    ChargeId, ChargeRefundId, StorageError,
    gateway::{GatewayError, GatewayRefund, PaymentGateway, RefundVerdict},
    idempotency::{Idempotency, Made},
    wallet::{
        ChargeAmount, ChargeRefund, ChargeRefundError, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefundState,
        PendingRefundKey,
    },
};
use chrono::TimeDelta;

use super::WalletService;
use crate::Identity;

/// Why points were not given back for money.
#[derive(Debug, thiserror::Error)]
pub enum RefundPointsError {
    #[error(transparent)]
    Refused(#[from] ChargeRefundRefusal),
    /// There is no payment gateway. Nothing was recorded.
    #[error("there is no payment gateway")]
    Unavailable,
    /// The gateway gives nothing back, and the points are in the wallet again.
    #[error("the payment gateway refused the refund")]
    Declined(Box<ChargeRefund>),
    /// The payment gateway gave no answer. The refund stays pending and is resolved later.
    #[error("the payment gateway gave no answer")]
    Gateway { charge_id: ChargeId, source: GatewayError },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ChargeRefundError> for RefundPointsError {
    fn from(error: ChargeRefundError) -> Self {
        match error {
            ChargeRefundError::Refused(refusal) => Self::Refused(refusal),
            ChargeRefundError::Storage(error) => Self::Storage(error),
        }
    }
}

/// What became of the refunds that the gateway was asked about again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResolvedRefunds {
    /// How many were accepted or refused.
    pub ended: u32,
    /// How many still have no verdict.
    pub pending: u32,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<PendingRefundKey>,
}

impl WalletService {
    /// Gives points of a charge back for money: takes them out of the wallet, then asks the gateway under the refund's id. A
    /// failure between the two leaves a pending refund, which [`Self::resolve_refunds`] or a repeated request ends. The
    /// points come back only if the gateway refuses.
    pub async fn refund(
        &self,
        identity: Identity,
        charge_id: ChargeId,
        amount: Option<ChargeAmount>,
        idempotency: Idempotency,
    ) -> Result<Made<ChargeRefund>, RefundPointsError> {
        let gateway = self.gateway.as_deref().ok_or(RefundPointsError::Unavailable)?;
        let refund_id = ChargeRefundId::new(self.entropy.uuid());
        let account_id = identity.account_id;
        let request = ChargeRefundRequest { refund_id, charge_id, account_id, amount, idempotency };
        let Made { value: mut refund, replayed } = self.wallets.begin_charge_refund(request).await?;
        if refund.state == ChargeRefundState::Pending {
            refund = self.ask_for_refund(gateway, &refund).await?;
        }
        match refund.state {
            ChargeRefundState::Refused { .. } => Err(RefundPointsError::Declined(Box::new(refund))),
            ChargeRefundState::Pending | ChargeRefundState::Completed { .. } => Ok(Made { value: refund, replayed }),
        }
    }

    pub(super) async fn ask_for_refund(
        &self,
        gateway: &dyn PaymentGateway,
        refund: &ChargeRefund,
    ) -> Result<ChargeRefund, RefundPointsError> {
        let vanished = || StorageError::failed("a charge vanished while it was refunded");
        let charge = self.wallets.charge(refund.charge_id).await?.ok_or_else(vanished)?;
        let asked = GatewayRefund { refund_id: refund.id, charge: charge.gateway_request(), amount: refund.amount };
        let source = |source| RefundPointsError::Gateway { charge_id: charge.id, source };
        let verdict = match gateway.refund(&asked).await {
            // It was not begun, and never will be.
            Err(GatewayError::Unsupported) => RefundVerdict::Refused,
            verdict => verdict.map_err(source)?,
        };
        let ended = self.wallets.complete_charge_refund(refund.id, verdict).await?;
        Ok(ended.ok_or_else(vanished)?)
    }

    /// Asks the gateway again about at most `limit` refunds that have been pending for `pending_seconds`, from `after` on.
    /// Does nothing without a gateway.
    pub async fn resolve_refunds(
        &self,
        pending_seconds: u32,
        after: Option<PendingRefundKey>,
        limit: u32,
    ) -> Result<ResolvedRefunds, StorageError> {
        let Some(gateway) = self.gateway.as_deref() else { return Ok(ResolvedRefunds::default()) };
        let before = self.clock.now() - TimeDelta::seconds(i64::from(pending_seconds));
        let refunds = self.wallets.pending_charge_refunds(before, after, limit).await?;
        let last = refunds.last().filter(|_| refunds.len() >= limit as usize);
        let next = last.map(|refund| PendingRefundKey { created_at: refund.created_at, id: refund.id });
        let mut resolved = ResolvedRefunds { next, ..ResolvedRefunds::default() };
        for refund in refunds {
            match self.ask_for_refund(gateway, &refund).await {
                Ok(_) => resolved.ended += 1,
                Err(RefundPointsError::Storage(error)) => return Err(error),
                Err(error) => {
                    resolved.pending += 1;
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(refund_id = %refund.id, error, "a refund still has no verdict");
                }
            }
        }
        Ok(resolved)
    }
}
