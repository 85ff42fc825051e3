//! The failures that all storing ports share.

use std::error::Error;

/// Why a port could not do its work. A refusal by a rule is never one of these.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// More work is waiting than the adapter accepts. Nothing was done; trying again soon is right.
    #[error("the storage takes no more work at the moment")]
    Busy,
    /// The storage cannot be reached, or kept refusing within the bounds of retrying.
    #[error("the storage is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The storage answered something that must not happen: a defect, or damaged data.
    #[error("the storage failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl StorageError {
    /// A failure described in words.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into().into())
    }
}

/// Why an act did not happen: a rule refuses it, or the storage failed. A refusal changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ActError<R: Error + 'static> {
    /// A rule refuses.
    #[error(transparent)]
    Refused(R),
    /// The storage failed; whether the act happened may be unknown.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
