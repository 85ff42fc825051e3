//! What is stored of an account beside what the ports of each capability list.

use async_trait::async_trait;
use uuid::Uuid;

use super::Session;
use crate::{
    AccountId, ChargeId, ConcertId, PaymentId, ReservationId, SessionId, StorageError,
    history::StaffAct,
    page::{Page, PageRequest},
    sale::HoldBudget,
    text::Name,
    wallet::Charge,
};

/// A kind of what an account publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant is what its name says")]
pub enum PublishedKind {
    Venue,
    Concert,
}

/// Something of which an account is the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant is what its name says")]
pub enum Belonging {
    Reservation(ReservationId),
    Payment(PaymentId),
}

/// Reads what is stored of an account, for its holder. Every list is in the order of the ids, the oldest first.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AccountRecords: Send + Sync {
    /// All sessions, also those that have ended.
    async fn all_sessions(
        &self,
        account_id: AccountId,
        page: PageRequest<SessionId>,
    ) -> Result<Page<Session, SessionId>, StorageError>;

    /// Whose this is, for the operator; `None` if there is no such thing.
    async fn owner_of(&self, owned: Belonging) -> Result<Option<AccountId>, StorageError>;

    /// All charges.
    async fn all_charges(
        &self,
        account_id: AccountId,
        page: PageRequest<ChargeId>,
    ) -> Result<Page<Charge, ChargeId>, StorageError>;

    /// How many holds of each concert ended unpaid.
    async fn all_hold_budgets(
        &self,
        account_id: AccountId,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<HoldBudget, ConcertId>, StorageError>;

    /// The ids and names of what the account published.
    async fn all_published(
        &self,
        account_id: AccountId,
        kind: PublishedKind,
        page: PageRequest<Uuid>,
    ) -> Result<Page<(Uuid, Name), Uuid>, StorageError>;

    /// What the account did as staff.
    async fn all_acts(
        &self,
        account_id: AccountId,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError>;
}
