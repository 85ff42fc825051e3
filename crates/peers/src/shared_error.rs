//! One failure of the storage for several callers.

use std::{error::Error, sync::Arc};

use boxoffice_domain::StorageError;

/// A [`StorageError`] that can be cloned.
#[derive(Clone, Debug)]
pub struct SharedError {
    /// Whether trying again later may do better.
    passing: bool,
    cause: Arc<dyn Error + Send + Sync>,
}

impl From<StorageError> for SharedError {
    fn from(error: StorageError) -> Self {
        let (passing, cause) = match error {
            StorageError::Busy => (true, Arc::new(StorageError::Busy) as _),
            StorageError::Unavailable(cause) => (true, Arc::from(cause)),
            StorageError::Failed(cause) => (false, Arc::from(cause)),
        };
        Self { passing, cause }
    }
}

impl From<SharedError> for StorageError {
    fn from(SharedError { passing, cause }: SharedError) -> Self {
        if passing { Self::Unavailable(Box::new(cause)) } else { Self::Failed(Box::new(cause)) }
    }
}
