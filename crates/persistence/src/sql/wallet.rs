//! Wallets and charges.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ChargeRefundId, PaymentId, Points, StorageError, Timestamp,
    gateway::{DeclineReason, GatewayReference, GatewayVerdict, PaymentMethod, RefundVerdict},
    idempotency::Made,
    page::{Page, PageRequest},
    sale::{BeginChargeOutcome, BeginChargeRefundOutcome, Command, CompleteChargeOutcome, CompleteChargeRefundOutcome},
    wallet::{
        Charge, ChargeError, ChargeRefund, ChargeRefundError, ChargeRefundRequest, ChargeRequest, ChargeState,
        EntryKind, PendingKey, PendingRefundKey, Wallet, WalletEntry, Wallets,
    },
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::{Store, charge_refunds::ChargeRefundRow};
use crate::{
    row::row,
    schema::{charge_refunds, charges, wallet_entries, wallets},
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
        EntryKind::Charge { .. } | EntryKind::ChargeRefund { .. } | EntryKind::Refund { .. } => None,
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
            ("charge_refund", None, None, Some(charge_id)) => EntryKind::ChargeRefund { charge_id },
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
        refunded: i64 = charge.refunded,
        payment_method: Option<String> = charge.payment_method.as_ref().map(|method| method.as_str().to_owned()),
        reference: Option<String> = charge.reference.as_ref().map(|reference| reference.as_str().to_owned()),
        decline_reason: Option<String> = stored_state(&charge.state).3,
    }
}

type StoredState = (&'static str, Option<Points>, Option<Timestamp>, Option<&'static str>);

fn stored_state(state: &ChargeState) -> StoredState {
    match *state {
        ChargeState::Pending => ("pending", None, None, None),
        ChargeState::RequiresAction => ("requires_action", None, None, None),
        ChargeState::Completed { balance_after, completed_at } => {
            ("completed", Some(balance_after), Some(completed_at), None)
        }
        ChargeState::Declined { reason, declined_at } => ("declined", None, Some(declined_at), Some(reason.as_str())),
    }
}

/// A version that did not know why it was declined wrote no reason.
fn decline_reason(name: Option<&String>) -> Result<DeclineReason, StorageError> {
    let Some(name) = name else { return Ok(DeclineReason::Refused) };
    DeclineReason::named(name).ok_or_else(damaged("reason of a decline"))
}

impl TryFrom<ChargeRow> for Charge {
    type Error = StorageError;

    fn try_from(row: ChargeRow) -> Result<Self, StorageError> {
        let state = match (row.status.as_str(), row.balance_after, row.ended_at) {
            ("pending", None, None) => ChargeState::Pending,
            ("requires_action", None, None) => ChargeState::RequiresAction,
            ("completed", Some(balance_after), Some(ended_at)) => {
                ChargeState::Completed { balance_after: points(balance_after)?, completed_at: ended_at.and_utc() }
            }
            ("declined", None, Some(ended_at)) => {
                let reason = decline_reason(row.decline_reason.as_ref())?;
                ChargeState::Declined { reason, declined_at: ended_at.and_utc() }
            }
            _ => return Err(damaged("charge")()),
        };
        let payment_method = row.payment_method.map(|name| PaymentMethod::new(name).ok_or_else(damaged("way to pay")));
        let reference = row.reference.map(|name| GatewayReference::new(name).ok_or_else(damaged("reference")));
        Ok(Self {
            id: parse_id(&row.id)?,
            account_id: parse_id(&row.account_id)?,
            amount: points(row.amount)?,
            state,
            refunded: points(row.refunded)?,
            payment_method: payment_method.transpose()?,
            reference: reference.transpose()?,
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

    async fn complete_charge(
        &self,
        id: ChargeId,
        verdict: GatewayVerdict,
        reference: Option<GatewayReference>,
    ) -> Result<Option<Charge>, StorageError> {
        let query = charges::table.find(id.stored()).select(charges::account_id);
        let Some(account_id) = self.read::<Vec<u8>>(query).await?.pop() else {
            return Ok(None);
        };
        let account_id = parse_id(&account_id)?;
        let command = Command::CompleteCharge { charge_id: id, account_id, verdict, reference };
        let completed: CompleteChargeOutcome = self.lanes.submit(command).await?;
        Ok(completed.map(|made| made.value))
    }

    async fn begin_charge_refund(&self, request: ChargeRefundRequest) -> Result<Made<ChargeRefund>, ChargeRefundError> {
        let begun: BeginChargeRefundOutcome = self.lanes.submit(Command::BeginChargeRefund(request)).await?;
        begun.map_err(ChargeRefundError::Refused)
    }

    async fn complete_charge_refund(
        &self,
        id: ChargeRefundId,
        verdict: RefundVerdict,
    ) -> Result<Option<ChargeRefund>, StorageError> {
        let query = charge_refunds::table.find(id.stored()).select(ChargeRefundRow::as_select());
        let refund: Option<ChargeRefund> = self.find_one(query).await?;
        let Some(ChargeRefund { id: refund_id, charge_id, account_id, .. }) = refund else { return Ok(None) };
        let command = Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict };
        let completed: CompleteChargeRefundOutcome = self.lanes.submit(command).await?;
        Ok(completed.map(|made| made.value))
    }

    async fn charge(&self, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        self.find_one(charges::table.find(id.stored()).select(ChargeRow::as_select())).await
    }

    async fn charges(&self, page: PageRequest<ChargeId>) -> Result<Page<Charge, ChargeId>, StorageError> {
        let mut query = charges::table
            .order(charges::id)
            .limit(i64::from(page.limit) + 1)
            .select(ChargeRow::as_select())
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(charges::id.gt(after.stored()));
        }
        let rows = self.read_in_time(query).await?;
        let charges = rows.into_iter().map(Charge::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(charges, page.limit, |charge| charge.id))
    }

    async fn charge_refunds(&self, account_id: AccountId, id: ChargeId) -> Result<Vec<ChargeRefund>, StorageError> {
        let query = charge_refunds::table
            .filter(charge_refunds::charge_id.eq(id.stored()))
            .filter(charge_refunds::account_id.eq(account_id.stored()))
            .order(charge_refunds::id)
            .select(ChargeRefundRow::as_select());
        self.read(query).await?.into_iter().map(ChargeRefund::try_from).collect()
    }

    async fn pending_charge_refunds(
        &self,
        before: Timestamp,
        after: Option<PendingRefundKey>,
        limit: u32,
    ) -> Result<Vec<ChargeRefund>, StorageError> {
        let mut query = charge_refunds::table
            .filter(charge_refunds::status.eq("pending"))
            .filter(charge_refunds::created_at.lt(time(before)))
            .order((charge_refunds::created_at, charge_refunds::id))
            .limit(i64::from(limit))
            .select(ChargeRefundRow::as_select())
            .into_boxed();
        if let Some(after) = after {
            let (created_at, id) = (time(after.created_at), after.id.stored());
            let at_once = charge_refunds::created_at.eq(created_at).and(charge_refunds::id.gt(id));
            query = query.filter(charge_refunds::created_at.gt(created_at).or(at_once));
        }
        self.read_in_time(query).await?.into_iter().map(ChargeRefund::try_from).collect()
    }

    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError> {
        let query = charges::table.find(id.stored()).filter(charges::account_id.eq(account_id.stored()));
        self.find_one(query.select(ChargeRow::as_select())).await
    }

    async fn open_charges(
        &self,
        wait_for_buyer: bool,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError> {
        let mut query = charges::table
            .filter(charges::status.eq(if wait_for_buyer { "requires_action" } else { "pending" }))
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
