//! Wallets and charges.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, PaymentId, Points, StorageError, Timestamp,
    gateway::GatewayVerdict,
    idempotency::Made,
    page::{Page, PageRequest},
    sale::{BeginChargeOutcome, Command, CompleteChargeOutcome},
    wallet::{Charge, ChargeError, ChargeRequest, ChargeState, EntryKind, PendingKey, Wallet, WalletEntry, Wallets},
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::Store;
use crate::{
    row::row,
    schema::{charges, wallet_entries, wallets},
    stored::{Stored, count, damaged, id as parse_id, idempotency, optional_id, points, time},
};

row! {
    pub(super) struct WalletRow in wallets, from (wallet: &Wallet) {
        account_id: Vec<u8> = wallet.account_id,
        balance: i64 = wallet.balance,
        pending: i64 = wallet.pending,
        entries_count: i64 = wallet.entries_count,
        updated_at: NaiveDateTime = wallet.updated_at,
    }
}

impl TryFrom<WalletRow> for Wallet {
    type Error = StorageError;

    fn try_from(row: WalletRow) -> Result<Self, StorageError> {
        Ok(Self {
            account_id: parse_id(&row.account_id)?,
            balance: points(row.balance)?,
            pending: points(row.pending)?,
            entries_count: count(row.entries_count)?,
            updated_at: row.updated_at.and_utc(),
        })
    }
}

row! {
    /// What a batch locks.
    pub(super) struct LockedWalletRow in wallets {
        account_id: Vec<u8>,
        balance: i64,
        pending: i64,
        entries_count: i64,
        updated_at: NaiveDateTime,
        has_hold_budgets: bool,
    }
}

/// A wallet, and whether holds of its account have ended unpaid.
pub(super) struct LockedWallet {
    pub(super) wallet: Wallet,
    pub(super) has_hold_budgets: bool,
}

impl TryFrom<LockedWalletRow> for LockedWallet {
    type Error = StorageError;

    fn try_from(row: LockedWalletRow) -> Result<Self, StorageError> {
        let LockedWalletRow { account_id, balance, pending, entries_count, updated_at, has_hold_budgets } = row;
        let wallet = WalletRow { account_id, balance, pending, entries_count, updated_at };
        Ok(Self { wallet: wallet.try_into()?, has_hold_budgets })
    }
}

row! {
    pub(super) struct WalletEntryRow in wallet_entries, from (entry: &WalletEntry) {
        account_id: Vec<u8> = entry.account_id,
        sequence: i64 = entry.sequence,
        kind: String = entry.kind.as_str(),
        amount: i64 = entry.amount,
        balance_after: i64 = entry.balance_after,
        reservation_id: Option<Vec<u8>> = entry.kind.reservation_id(),
        payment_id: Option<Vec<u8>> = payment_id(&entry.kind),
        charge_id: Option<Vec<u8>> = entry.kind.charge_id(),
        created_at: NaiveDateTime = entry.created_at,
    }
}

fn payment_id(kind: &EntryKind) -> Option<PaymentId> {
    match kind {
        EntryKind::Payment { payment_id, .. } => Some(*payment_id),
        EntryKind::Charge { .. } | EntryKind::Refund { .. } => None,
    }
}

impl TryFrom<WalletEntryRow> for WalletEntry {
    type Error = StorageError;

    fn try_from(row: WalletEntryRow) -> Result<Self, StorageError> {
        let reservation_id = optional_id(row.reservation_id.as_ref())?;
        let payment_id = optional_id(row.payment_id.as_ref())?;
        let charge_id = optional_id(row.charge_id.as_ref())?;
        let kind = match (row.kind.as_str(), reservation_id, payment_id, charge_id) {
            ("charge", None, None, Some(charge_id)) => EntryKind::Charge { charge_id },
            ("payment", Some(reservation_id), Some(payment_id), None) => {
                EntryKind::Payment { reservation_id, payment_id }
            }
            ("refund", Some(reservation_id), None, None) => EntryKind::Refund { reservation_id },
            _ => return Err(damaged("wallet entry")()),
        };
        Ok(Self {
            account_id: parse_id(&row.account_id)?,
            sequence: count(row.sequence)?,
            kind,
            amount: row.amount,
            balance_after: points(row.balance_after)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

row! {
    pub(super) struct ChargeRow in charges, from (charge: &Charge) {
        id: Vec<u8> = charge.id,
        account_id: Vec<u8> = charge.account_id,
        amount: i64 = charge.amount,
        status: String = stored_state(&charge.state).0,
        balance_after: Option<i64> = stored_state(&charge.state).1,
        ended_at: Option<NaiveDateTime> = stored_state(&charge.state).2,
        created_at: NaiveDateTime = charge.created_at,
        idempotency_key: String = &charge.idempotency.key,
        fingerprint: Vec<u8> = charge.idempotency.fingerprint,
    }
}

fn stored_state(state: &ChargeState) -> (&'static str, Option<Points>, Option<Timestamp>) {
    match *state {
        ChargeState::Pending => ("pending", None, None),
        ChargeState::Completed { balance_after, completed_at } => {
            ("completed", Some(balance_after), Some(completed_at))
        }
        ChargeState::Declined { declined_at } => ("declined", None, Some(declined_at)),
    }
}

impl TryFrom<ChargeRow> for Charge {
    type Error = StorageError;

    fn try_from(row: ChargeRow) -> Result<Self, StorageError> {
        let state = match (row.status.as_str(), row.balance_after, row.ended_at) {
            ("pending", None, None) => ChargeState::Pending,
            ("completed", Some(balance_after), Some(ended_at)) => {
                ChargeState::Completed { balance_after: points(balance_after)?, completed_at: ended_at.and_utc() }
            }
            ("declined", None, Some(ended_at)) => ChargeState::Declined { declined_at: ended_at.and_utc() },
            _ => return Err(damaged("charge")()),
        };
        Ok(Self {
            id: parse_id(&row.id)?,
            account_id: parse_id(&row.account_id)?,
            amount: points(row.amount)?,
            state,
            created_at: row.created_at.and_utc(),
            idempotency: idempotency(&row.idempotency_key, &row.fingerprint)?,
        })
    }
}

#[async_trait]
impl Wallets for Store {
    async fn find(&self, account_id: AccountId) -> Result<Option<Wallet>, StorageError> {
        self.find_one(wallets::table.find(account_id.stored()).select(WalletRow::as_select())).await
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
            .select(WalletEntryRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(wallet_entries::sequence.lt(i64::try_from(after).unwrap_or(i64::MAX)));
        }
        let rows = self.read(query).await?;
        let entries = rows.into_iter().map(WalletEntry::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(entries, page.limit, |entry| entry.sequence))
    }

    async fn begin_charge(&self, request: ChargeRequest) -> Result<Made<Charge>, ChargeError> {
        let begun: BeginChargeOutcome = self.lanes.submit(Command::BeginCharge(request)).await?;
        begun.map_err(ChargeError::Refused)
    }

    async fn complete_charge(&self, id: ChargeId, verdict: GatewayVerdict) -> Result<Option<Charge>, StorageError> {
        let query = charges::table.find(id.stored()).select(charges::account_id);
        let Some(account_id) = self.read::<Vec<u8>>(query).await?.pop() else {
            return Ok(None);
        };
        let account_id = parse_id(&account_id)?;
        let command = Command::CompleteCharge { charge_id: id, account_id, verdict };
        let completed: CompleteChargeOutcome = self.lanes.submit(command).await?;
        Ok(completed.map(|made| made.value))
    }

    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        let query = charges::table.find(id.stored()).filter(charges::account_id.eq(account_id.stored()));
        self.find_one(query.select(ChargeRow::as_select())).await
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
            .select(ChargeRow::as_select())
            .into_boxed();
        if let Some(after) = after {
            let (created_at, id) = (time(after.created_at), after.id.stored());
            let at_once = charges::created_at.eq(created_at).and(charges::id.gt(id));
            query = query.filter(charges::created_at.gt(created_at).or(at_once));
        }
        self.read_in_time(query).await?.into_iter().map(Charge::try_from).collect()
    }
}
