//! The prepaid points of an account, their history, and the charges that fill it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ChargeId, PaymentId, Points, ReservationId, StorageError, Timestamp,
    events::Event,
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
};

/// The most points of one charge, where nothing else is set.
pub const CHARGE_MAX: i64 = 10_000_000;
/// The most points that charging may bring a wallet to, where nothing else is set.
pub const BALANCE_MAX: i64 = 1_000_000_000_000;

/// The points of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// Whose it is.
    pub account_id: AccountId,
    /// The points it has. Always the sum of its entries.
    pub balance: Points,
    /// The points that charges in progress will add; they count against the limit of the balance.
    pub pending: Points,
    /// How many entries its history has; the next one gets this number plus 1.
    pub entries_count: u64,
    /// When the balance last changed.
    pub updated_at: Timestamp,
}

/// Why a wallet changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields name the cause")]
pub enum EntryKind {
    /// Points were charged.
    Charge { charge_id: ChargeId },
    /// Seats were paid.
    Payment { reservation_id: ReservationId, payment_id: PaymentId },
    /// A paid reservation was cancelled.
    Refund { reservation_id: ReservationId },
}

impl EntryKind {
    /// The name of the kind.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Charge { .. } => "charge",
            Self::Payment { .. } => "payment",
            Self::Refund { .. } => "refund",
        }
    }

    /// The reservation that caused it, if one did.
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Charge { .. } => None,
            Self::Payment { reservation_id, .. } | Self::Refund { reservation_id } => Some(*reservation_id),
        }
    }

    /// The charge that caused it, if one did.
    pub fn charge_id(&self) -> Option<ChargeId> {
        match self {
            Self::Charge { charge_id } => Some(*charge_id),
            Self::Payment { .. } | Self::Refund { .. } => None,
        }
    }
}

/// One line of a wallet's history. Never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletEntry {
    /// Whose wallet.
    pub account_id: AccountId,
    /// Its number in the wallet's history, from 1 without gaps.
    pub sequence: u64,
    /// Why.
    pub kind: EntryKind,
    /// How many points came (positive) or went (negative).
    pub amount: i64,
    /// The balance after it.
    pub balance_after: Points,
    /// When.
    pub created_at: Timestamp,
}

impl Wallet {
    /// The empty wallet of a new account.
    pub fn new(account_id: AccountId, now: Timestamp) -> Self {
        Self { account_id, balance: Points::ZERO, pending: Points::ZERO, entries_count: 0, updated_at: now }
    }

    /// Takes points out; `None` where there are too few.
    #[must_use]
    pub(crate) fn take_out(&self, now: Timestamp, amount: Points, kind: EntryKind) -> Option<(Self, WalletEntry)> {
        let balance = self.balance.checked_sub(amount)?;
        Some(self.moved(now, balance, -amount.get(), kind))
    }

    /// Puts points in. The limit of the balance was seen to when the charge began; a refund gives back what
    /// had been in the wallet before, and is never refused.
    #[must_use]
    pub(crate) fn give_back(&self, now: Timestamp, amount: Points, kind: EntryKind) -> (Self, WalletEntry) {
        // No wallet comes near the limit of the type: a charge is refused far below it, and a refund
        // returns no more than was charged.
        let balance = self.balance.checked_add(amount).expect("a balance is far below 2^63");
        self.moved(now, balance, amount.get(), kind)
    }

    fn moved(&self, now: Timestamp, balance: Points, amount: i64, kind: EntryKind) -> (Self, WalletEntry) {
        let sequence = self.entries_count + 1;
        let wallet = Self { balance, entries_count: sequence, updated_at: now, ..self.clone() };
        let entry = WalletEntry {
            account_id: self.account_id,
            sequence,
            kind,
            amount,
            balance_after: balance,
            created_at: now,
        };
        (wallet, entry)
    }
}

/// How a charge is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    /// The payment gateway has not answered yet.
    Pending,
    /// Approved and credited.
    Completed,
    /// Declined by the payment gateway.
    Declined,
}

/// How far a charge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// The payment gateway has not answered yet.
    Pending,
    /// Approved and credited.
    Completed {
        /// The balance after the credit.
        balance_after: Points,
        /// When.
        completed_at: Timestamp,
    },
    /// Declined by the payment gateway.
    Declined {
        /// When.
        declined_at: Timestamp,
    },
}

impl ChargeState {
    /// How it is shown.
    pub fn status(&self) -> ChargeStatus {
        match self {
            Self::Pending => ChargeStatus::Pending,
            Self::Completed { .. } => ChargeStatus::Completed,
            Self::Declined { .. } => ChargeStatus::Declined,
        }
    }
}

/// Points being added to a wallet, paid for through the payment gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its id, here and at the gateway.
    pub id: ChargeId,
    /// Whose wallet.
    pub account_id: AccountId,
    /// How many points.
    pub amount: Points,
    /// How far it has come.
    pub state: ChargeState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The key under which it was asked for.
    pub idempotency: Idempotency,
}

/// An account wants points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// The id of the charge to be made.
    pub charge_id: ChargeId,
    /// Who wants them.
    pub account_id: AccountId,
    /// How many, at least 1.
    pub amount: Points,
    /// The most points that charging may bring the wallet to.
    pub balance_max: Points,
    /// The caller's key.
    pub idempotency: Idempotency,
}

/// Why a charge was not begun. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeRefusal {
    /// The wallet could hold more than it may.
    #[error("the balance would exceed the most points that a wallet may have")]
    BalanceLimitReached,
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// A charge is recorded, and the payment gateway may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeBegun {
    /// The charge, pending.
    pub charge: Charge,
    /// The wallet as it is now.
    pub wallet: Wallet,
    /// What to tell.
    pub event: Event,
}

/// Decides whether a charge may begin: the balance with all charges in progress stays within the limit, so that a charge that was approved can always be credited.
pub fn begin_charge(now: Timestamp, request: &ChargeRequest, wallet: &Wallet) -> Result<ChargeBegun, ChargeRefusal> {
    let pending = wallet.pending.checked_add(request.amount).ok_or(ChargeRefusal::BalanceLimitReached)?;
    match wallet.balance.checked_add(pending) {
        Some(most) if most <= request.balance_max => {}
        _ => return Err(ChargeRefusal::BalanceLimitReached),
    }
    let charge = Charge {
        id: request.charge_id,
        account_id: request.account_id,
        amount: request.amount,
        state: ChargeState::Pending,
        created_at: now,
        idempotency: request.idempotency.clone(),
    };
    let event = Event::ChargeRequested { charge_id: charge.id, account_id: charge.account_id, amount: charge.amount };
    Ok(ChargeBegun { charge, wallet: Wallet { pending, ..wallet.clone() }, event })
}

/// What the payment gateway decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayVerdict {
    /// The money was taken.
    Approved,
    /// The money was not taken, and will not be.
    Declined,
}

/// A charge has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeEnded {
    /// The charge as it is now.
    pub charge: Charge,
    /// The wallet as it is now.
    pub wallet: Wallet,
    /// The credit in the wallet's history, where it was approved.
    pub entry: Option<WalletEntry>,
    /// What to tell.
    pub event: Event,
}

/// Ends a pending charge by the gateway's verdict; `None` where it has ended before, so that nothing is
/// ever credited twice.
pub fn complete_charge(
    now: Timestamp,
    charge: Charge,
    wallet: &Wallet,
    verdict: GatewayVerdict,
) -> Option<ChargeEnded> {
    if charge.state != ChargeState::Pending {
        return None;
    }
    // The audit compares the sum with the charges; a credit is not withheld because it disagrees.
    let pending = wallet.pending.checked_sub(charge.amount).unwrap_or_default();
    let wallet = Wallet { pending, ..wallet.clone() };
    let (charge_id, account_id, amount) = (charge.id, charge.account_id, charge.amount);
    Some(match verdict {
        GatewayVerdict::Approved => {
            let (wallet, entry) = wallet.give_back(now, amount, EntryKind::Charge { charge_id });
            let state = ChargeState::Completed { balance_after: wallet.balance, completed_at: now };
            let event = Event::ChargeCompleted { charge_id, account_id, amount, balance: wallet.balance };
            ChargeEnded { charge: Charge { state, ..charge }, wallet, entry: Some(entry), event }
        }
        GatewayVerdict::Declined => {
            let state = ChargeState::Declined { declined_at: now };
            let event = Event::ChargeDeclined { charge_id, account_id, amount };
            ChargeEnded { charge: Charge { state, ..charge }, wallet, entry: None, event }
        }
    })
}

/// Why a charge was not begun.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// A rule refuses.
    #[error(transparent)]
    Refused(#[from] ChargeRefusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Where a list of pending charges goes on: they are sorted by their beginning, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the last charge seen")]
pub struct PendingKey {
    pub created_at: Timestamp,
    pub id: ChargeId,
}

/// Keeps wallets and charges.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Wallets: Send + Sync {
    /// The wallet of an account; every account has one.
    async fn find(&self, account_id: AccountId) -> Result<Option<Wallet>, StorageError>;

    /// The history of a wallet, newest first; the key of a page is the entry's `sequence`.
    async fn entries(
        &self,
        account_id: AccountId,
        page: PageRequest<u64>,
    ) -> Result<Page<WalletEntry, u64>, StorageError>;

    /// Decides with [`begin_charge`] and stores the outcome in one transaction. However many charges of one
    /// wallet come at once, each that the rule allows succeeds. Under a known idempotency key, gives the
    /// charge as it is now, or [`KeyReused`].
    async fn begin_charge(&self, request: ChargeRequest) -> Result<Made<Charge>, ChargeError>;

    /// Decides with [`complete_charge`] and stores the outcome, the credit with it, in one transaction.
    /// Gives the charge as it is then, also where it had ended before; `None` where there is none.
    async fn complete_charge(&self, id: ChargeId, verdict: GatewayVerdict) -> Result<Option<Charge>, StorageError>;

    /// A charge of this account; `None` also where it is another's.
    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError>;

    /// At most `limit` charges that are pending and were begun before `before`, the oldest first; with `after`
    /// only those that come after that one in this order.
    async fn pending_charges(
        &self,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, instant};

    fn points(n: i64) -> Points {
        Points::new(n).unwrap()
    }

    #[test]
    fn an_approved_charge_is_credited_exactly_once() {
        let request = fixtures::charge_request(5_000);
        let wallet = Wallet::new(request.account_id, instant(0));
        let begun = begin_charge(instant(0), &request, &wallet).unwrap();
        assert_eq!((begun.wallet.balance.get(), begun.wallet.pending.get()), (0, 5_000));
        let ended = complete_charge(instant(1), begun.charge, &begun.wallet, GatewayVerdict::Approved).unwrap();
        assert_eq!((ended.wallet.balance.get(), ended.wallet.pending.get()), (5_000, 0));
        let entry = ended.entry.unwrap();
        assert_eq!((entry.sequence, entry.amount, entry.balance_after.get()), (1, 5_000, 5_000));
        assert_eq!(complete_charge(instant(2), ended.charge, &ended.wallet, GatewayVerdict::Approved), None);
    }

    #[test]
    fn a_declined_charge_credits_nothing() {
        let request = fixtures::charge_request(5_000);
        let begun = begin_charge(instant(0), &request, &Wallet::new(request.account_id, instant(0))).unwrap();
        let ended = complete_charge(instant(1), begun.charge, &begun.wallet, GatewayVerdict::Declined).unwrap();
        assert_eq!((ended.wallet.balance.get(), ended.wallet.pending.get()), (0, 0));
        assert_eq!(ended.entry, None);
        assert_eq!(ended.charge.state.status(), ChargeStatus::Declined);
    }

    #[test]
    fn charges_in_progress_count_against_the_limit() {
        let request = fixtures::charge_request(10);
        let wallet = Wallet {
            balance: points(BALANCE_MAX - 20),
            pending: points(10),
            ..Wallet::new(request.account_id, instant(0))
        };
        let begun = begin_charge(instant(0), &request, &wallet).unwrap();
        let again = begin_charge(instant(0), &fixtures::charge_request(1), &begun.wallet);
        assert_eq!(again.unwrap_err(), ChargeRefusal::BalanceLimitReached);
    }
}
