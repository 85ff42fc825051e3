//! Checking that what is stored keeps every promise.

use async_trait::async_trait;

use crate::StorageError;

/// One broken promise found in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The name of the invariant, in `snake_case`.
    pub invariant: &'static str,
    /// Which rows break it, in words.
    pub detail: String,
}

/// Reads the whole storage and compares it with the invariants of [the crate](crate#what-always-holds).
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Audit: Send + Sync {
    /// Every breach found, in one consistent view of the storage; empty where all is well.
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError>;
}

/// Tells whether the storage can serve.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// `Ok` where the storage answers and its schema is the one this build needs.
    async fn ready(&self) -> Result<(), StorageError>;
}
