//! Maintenance: for a while nothing new is begun.

use async_trait::async_trait;

use crate::{StorageError, Timestamp, text::Name};

/// That nothing new is begun for now, and what those who want to are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The answer, in the words of the operator.
    pub message: Name,
    /// Since when.
    pub began_at: Timestamp,
}

/// Keeps the notice for all instances.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// The notice, if there is one.
    async fn notice(&self) -> Result<Option<Notice>, StorageError>;

    /// Begins maintenance, changes what is said of it, or ends it with `None`. A change keeps the time of the beginning.
    async fn set_notice(&self, notice: Option<Notice>) -> Result<(), StorageError>;
}
