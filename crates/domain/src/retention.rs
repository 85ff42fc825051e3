//! Removing what nobody needs any more, a little at a time, so that no table grows without end.
//!
//! Accounts, the catalog and all about money are kept: paid reservations, payments, charges, wallets and their entries.

#![cfg_attr(feature = "mocks", expect(clippy::struct_field_names, reason = "a mock has a field for each method"))]

use async_trait::async_trait;
use uuid::Uuid;

use crate::{ReservationId, SessionId, StorageError, Timestamp};

/// What one step has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed<K> {
    /// How many rows it removed.
    pub count: u32,
    /// The last key that it looked at; `None` if nothing after it can be removed.
    pub next: Option<K>,
}

/// How a reservation ended that was never paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpaidEnd {
    /// Its owner cancelled it.
    Cancelled,
    /// It lapsed, and was marked as expired.
    Lapsed,
}

/// Where a list of reservations goes on: they are sorted by the end of the hold, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the last reservation seen")]
pub struct HeldKey {
    pub held_until: Timestamp,
    pub id: ReservationId,
}

/// Removes rows from a storage.
///
/// Each method looks at no more than `limit` rows after `after`, by an index, and removes those that may go in one short
/// transaction: no buyer waits for it. Called again with the key that it returns, it comes to the end. It may be called
/// twice, or by two processes at once.
///
/// An audit finds nothing wrong afterwards. The storage keeps until when each kind was removed, so that the audit expects
/// what was written later.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Retention: Send + Sync {
    /// Removes sessions that ended or lapsed at `until` or before, in the order of their making.
    async fn remove_sessions(
        &self,
        until: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Removed<SessionId>, StorageError>;

    /// Removes reservations that ended like this and were never paid, whose hold was over at `until` or before, and whose
    /// performance has been. What [`HoldBudget`](crate::sale::HoldBudget) counts of them goes with them.
    async fn remove_unpaid(
        &self,
        end: UnpaidEnd,
        until: Timestamp,
        after: Option<HeldKey>,
        limit: u32,
    ) -> Result<Removed<HeldKey>, StorageError>;

    /// Removes batches of [events](crate::events) of `until` or before, in the order of their ids. Long before, nobody looks
    /// any more whether a commit has happened that was not answered. What a [reader](crate::events::EventLog) has not had yet is
    /// kept, unless it is of `unread_until` or before.
    async fn remove_events(
        &self,
        until: Timestamp,
        unread_until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError>;

    /// Removes [mail](crate::mail) that was queued at `until` or before, in the order of the ids, whether it has ended or
    /// not.
    async fn remove_mails(
        &self,
        until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError>;
}
