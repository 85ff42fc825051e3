//! Wallets and charges.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ChargeRefundId, StorageError, Timestamp,
    gateway::{GatewayInbox, GatewayReference, GatewayVerdict, RefundVerdict},
    idempotency::Made,
    page::{Page, PageRequest},
    sale::{BeginChargeOutcome, BeginChargeRefundOutcome, Command, CompleteChargeOutcome, CompleteChargeRefundOutcome},
    wallet::{
        Charge, ChargeError, ChargeRefund, ChargeRefundError, ChargeRefundRequest, ChargeRefundState, ChargeRequest,
        ChargeState, PendingKey, PendingRefundKey, Wallet, WalletEntry, Wallets,
    },
};

use super::{MemoryStore, page};

/// A notification of the payment gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    charge_id: ChargeId,
    received_at: Timestamp,
    is_handled: bool,
}

#[async_trait]
impl Wallets for MemoryStore {
    async fn find(&self, account_id: AccountId) -> Result<Option<Wallet>, StorageError> {
        Ok(self.rows().sale.wallets.get(&account_id).cloned())
    }

    async fn entries(
        &self,
        account_id: AccountId,
        request: PageRequest<u64>,
    ) -> Result<Page<WalletEntry, u64>, StorageError> {
        let rows = self.rows();
        let own = rows.sale.entries.iter().rev().filter(|entry| entry.account_id == account_id);
        Ok(page(own.cloned(), request, |entry| entry.sequence, u64::lt))
    }

    async fn begin_charge(&self, request: ChargeRequest) -> Result<Made<Charge>, ChargeError> {
        self.write::<BeginChargeOutcome>(Command::BeginCharge(request))?.map_err(ChargeError::Refused)
    }

    async fn complete_charge(
        &self,
        id: ChargeId,
        verdict: GatewayVerdict,
        reference: Option<GatewayReference>,
    ) -> Result<Option<Charge>, StorageError> {
        let Some(account_id) = self.rows().sale.charges.get(&id).map(|charge| charge.account_id) else {
            return Ok(None);
        };
        let command = Command::CompleteCharge { charge_id: id, account_id, verdict, reference };
        Ok(self.write::<CompleteChargeOutcome>(command)?.map(|made| made.value))
    }

    async fn begin_charge_refund(&self, request: ChargeRefundRequest) -> Result<Made<ChargeRefund>, ChargeRefundError> {
        let begun: BeginChargeRefundOutcome = self.write(Command::BeginChargeRefund(request))?;
        begun.map_err(ChargeRefundError::Refused)
    }

    async fn complete_charge_refund(
        &self,
        id: ChargeRefundId,
        verdict: RefundVerdict,
    ) -> Result<Option<ChargeRefund>, StorageError> {
        let Some(refund) = self.rows().sale.charge_refunds.get(&id).cloned() else { return Ok(None) };
        let ChargeRefund { id: refund_id, charge_id, account_id, .. } = refund;
        let command = Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict };
        Ok(self.write::<CompleteChargeRefundOutcome>(command)?.map(|made| made.value))
    }

    async fn charge(&self, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        Ok(self.rows().sale.charges.get(&id).cloned())
    }

    async fn charges(&self, request: PageRequest<ChargeId>) -> Result<Page<Charge, ChargeId>, StorageError> {
        let rows = self.rows();
        Ok(page(rows.sale.charges.values().cloned(), request, |charge| charge.id, ChargeId::gt))
    }

    async fn charge_refunds(&self, account_id: AccountId, id: ChargeId) -> Result<Vec<ChargeRefund>, StorageError> {
        let rows = self.rows();
        let refunds = rows.sale.charge_refunds.values();
        let of_charge = refunds.filter(|refund| (refund.account_id, refund.charge_id) == (account_id, id));
        Ok(of_charge.cloned().collect())
    }

    async fn pending_charge_refunds(
        &self,
        before: Timestamp,
        after: Option<PendingRefundKey>,
        limit: u32,
    ) -> Result<Vec<ChargeRefund>, StorageError> {
        let rows = self.rows();
        let pending = rows.sale.charge_refunds.values().filter(|refund| refund.state == ChargeRefundState::Pending);
        let mut listed: Vec<_> = pending.filter(|refund| refund.created_at < before).cloned().collect();
        listed.retain(|refund| after.is_none_or(|after| (refund.created_at, refund.id) > (after.created_at, after.id)));
        listed.sort_unstable_by_key(|refund| (refund.created_at, refund.id));
        listed.truncate(limit as usize);
        Ok(listed)
    }

    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        Ok(self.rows().sale.charges.get(&id).filter(|charge| charge.account_id == account_id).cloned())
    }

    async fn open_charges(
        &self,
        wait_for_buyer: bool,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError> {
        let rows = self.rows();
        let wanted = if wait_for_buyer { ChargeState::RequiresAction } else { ChargeState::Pending };
        let pending = rows.sale.charges.values().filter(|charge| charge.state == wanted);
        let mut listed: Vec<_> = pending.filter(|charge| charge.created_at < before).cloned().collect();
        listed.retain(|charge| after.is_none_or(|after| (charge.created_at, charge.id) > (after.created_at, after.id)));
        listed.sort_unstable_by_key(|charge| (charge.created_at, charge.id));
        listed.truncate(limit as usize);
        Ok(listed)
    }
}

#[async_trait]
impl GatewayInbox for MemoryStore {
    async fn keep(&self, id: &str, charge_id: ChargeId, now: Timestamp) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let is_new = !rows.notifications.contains_key(id);
        if is_new {
            rows.notifications.insert(id.to_owned(), Kept { charge_id, received_at: now, is_handled: false });
        }
        Ok(is_new)
    }

    async fn unhandled(&self, limit: u32) -> Result<Vec<(String, ChargeId)>, StorageError> {
        let rows = self.rows();
        let mut open: Vec<_> = rows.notifications.iter().filter(|(_, kept)| !kept.is_handled).collect();
        open.sort_by_key(|(_, kept)| kept.received_at);
        Ok(open.into_iter().take(limit as usize).map(|(id, kept)| (id.clone(), kept.charge_id)).collect())
    }

    async fn mark_handled(&self, id: &str, _now: Timestamp) -> Result<(), StorageError> {
        if let Some(kept) = self.rows().notifications.get_mut(id) {
            kept.is_handled = true;
        }
        Ok(())
    }
}
