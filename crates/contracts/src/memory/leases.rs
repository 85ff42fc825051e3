//! Leases.

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp};
use boxoffice_peers::leases::{Claim, Leases};

use super::MemoryStore;

#[async_trait]
impl Leases for MemoryStore {
    async fn take(&self, claim: Claim<'_>, now: Timestamp, until: Timestamp) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let free = rows.leases.get(claim.job).is_none_or(|(holder, until)| *holder == claim.holder || *until <= now);
        if free {
            rows.leases.insert(claim.job.to_owned(), (claim.holder, until));
        }
        Ok(free)
    }

    async fn is_held_by_other(&self, claim: Claim<'_>, now: Timestamp) -> Result<bool, StorageError> {
        Ok(self.rows().leases.get(claim.job).is_some_and(|(holder, until)| *holder != claim.holder && now < *until))
    }

    async fn release(&self, claim: Claim<'_>) -> Result<(), StorageError> {
        self.rows().leases.retain(|job, (holder, _)| job != claim.job || *holder != claim.holder);
        Ok(())
    }
}
