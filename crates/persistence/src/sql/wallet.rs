//! Wallets and charges.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, StorageError, Timestamp,
    idempotency::Made,
    page::{Page, PageRequest},
    sale::{BeginChargeOutcome, Command, CompleteChargeOutcome},
    wallet::{Charge, ChargeError, ChargeRequest, GatewayVerdict, PendingKey, Wallet, WalletEntry, Wallets},
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Store, retry::in_time};
use crate::{
    rows::{ChargeRow, Stored, WalletEntryRow, WalletRow, id as parse_id, time},
    schema::{charges, wallet_entries, wallets},
};

#[async_trait]
impl Wallets for Store {
    async fn find(&self, account_id: AccountId) -> Result<Option<Wallet>, StorageError> {
        let mut session = self.reader().await?;
        let row = wallets::table.find(account_id.stored()).first::<WalletRow>(session.connection()).await.optional();
        session.finished(row)?.map(Wallet::try_from).transpose()
    }

    async fn entries(
        &self,
        account_id: AccountId,
        page: PageRequest<u64>,
    ) -> Result<Page<WalletEntry, u64>, StorageError> {
        let mut query = wallet_entries::table
            .filter(wallet_entries::account_id.eq(account_id.stored()))
            .order(wallet_entries::sequence.desc())
            .limit(i64::from(page.limit) + 1)
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(wallet_entries::sequence.lt(i64::try_from(after).unwrap_or(i64::MAX)));
        }
        let mut session = self.reader().await?;
        let rows = query.load::<WalletEntryRow>(session.connection()).await;
        let rows = session.finished(rows)?;
        let entries = rows.into_iter().map(WalletEntry::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(entries, page.limit, |entry| entry.sequence))
    }

    async fn begin_charge(&self, request: ChargeRequest) -> Result<Made<Charge>, ChargeError> {
        let begun: BeginChargeOutcome = self.lanes.submit(Command::BeginCharge(request)).await?;
        begun.map_err(ChargeError::Refused)
    }

    async fn complete_charge(&self, id: ChargeId, verdict: GatewayVerdict) -> Result<Option<Charge>, StorageError> {
        let mut session = self.reader().await?;
        let query = charges::table.find(id.stored()).select(charges::account_id);
        let found = query.first::<Vec<u8>>(session.connection()).await.optional();
        let found = session.finished(found)?;
        drop(session);
        let Some(account_id) = found else {
            return Ok(None);
        };
        let account_id = parse_id(&account_id)?;
        let command = Command::CompleteCharge { charge_id: id, account_id, verdict };
        let completed: CompleteChargeOutcome = self.lanes.submit(command).await?;
        Ok(completed.map(|made| made.value))
    }

    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        let query = charges::table.find(id.stored()).filter(charges::account_id.eq(account_id.stored()));
        let mut session = self.reader().await?;
        let row = query.first::<ChargeRow>(session.connection()).await.optional();
        session.finished(row)?.map(Charge::try_from).transpose()
    }

    async fn pending_charges(
        &self,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError> {
        let mut query = charges::table
            .filter(charges::status.eq("pending"))
            .filter(charges::created_at.lt(time(before)))
            .order((charges::created_at, charges::id))
            .limit(i64::from(limit))
            .into_boxed();
        if let Some(after) = after {
            let created_at = time(after.created_at);
            query = query.filter(
                charges::created_at
                    .gt(created_at)
                    .or(charges::created_at.eq(created_at).and(charges::id.gt(after.id.stored()))),
            );
        }
        in_time(async {
            let mut session = self.reader().await?;
            let rows = query.load::<ChargeRow>(session.connection()).await;
            session.finished(rows)?.into_iter().map(Charge::try_from).collect()
        })
        .await
    }
}
