//! Who does what only one of several processes should do.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{StorageError, Timestamp};

/// Pieces of work that one process at a time has taken on.
///
/// A lease spares the others work that is being done. It guards nothing: its holder may be slower than it lasts, or its
/// clock may be wrong, and then two do the same, which must do no harm.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes this work on, or goes on with it, until then. Gives whether it is the holder's now: it is where nobody
    /// else has it at `now`. Of many who ask at once, one is told so.
    async fn take(&self, work: &str, holder: Uuid, now: Timestamp, until: Timestamp) -> Result<bool, StorageError>;

    /// Whether somebody else has this work at `now`.
    async fn is_taken_by_another(&self, work: &str, holder: Uuid, now: Timestamp) -> Result<bool, StorageError>;

    /// Lets go of this work, so that another one may take it at once. Nothing happens where the holder has it not.
    async fn release(&self, work: &str, holder: Uuid) -> Result<(), StorageError>;
}
