//! Wallets and charges.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, StorageError, Timestamp,
    gateway::GatewayVerdict,
    idempotency::Made,
    page::{Page, PageRequest},
    sale::{BeginChargeOutcome, Command, CompleteChargeOutcome},
    wallet::{Charge, ChargeError, ChargeRequest, ChargeState, PendingKey, Wallet, WalletEntry, Wallets},
};

use super::{MemoryStore, page};

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

    async fn complete_charge(&self, id: ChargeId, verdict: GatewayVerdict) -> Result<Option<Charge>, StorageError> {
        let Some(account_id) = self.rows().sale.charges.get(&id).map(|charge| charge.account_id) else {
            return Ok(None);
        };
        let command = Command::CompleteCharge { charge_id: id, account_id, verdict };
        Ok(self.write::<CompleteChargeOutcome>(command)?.map(|made| made.value))
    }

    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        Ok(self.rows().sale.charges.get(&id).filter(|charge| charge.account_id == account_id).cloned())
    }

    async fn pending_charges(
        &self,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError> {
        let rows = self.rows();
        let pending = rows.sale.charges.values().filter(|charge| charge.state == ChargeState::Pending);
        let mut listed: Vec<_> = pending.filter(|charge| charge.created_at < before).cloned().collect();
        listed.retain(|charge| after.is_none_or(|after| (charge.created_at, charge.id) > (after.created_at, after.id)));
        listed.sort_unstable_by_key(|charge| (charge.created_at, charge.id));
        listed.truncate(limit as usize);
        Ok(listed)
    }
}
