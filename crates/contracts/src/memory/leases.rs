//! Leases.

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp, leases::Leases};
use uuid::Uuid;

use super::MemoryStore;

#[async_trait]
impl Leases for MemoryStore {
    async fn take(&self, work: &str, holder: Uuid, now: Timestamp, until: Timestamp) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let free = rows.leases.get(work).is_none_or(|(other, ends_at)| *other == holder || *ends_at <= now);
        if free {
            rows.leases.insert(work.to_owned(), (holder, until));
        }
        Ok(free)
    }

    async fn is_taken_by_another(&self, work: &str, holder: Uuid, now: Timestamp) -> Result<bool, StorageError> {
        Ok(self.rows().leases.get(work).is_some_and(|(other, ends_at)| *other != holder && now < *ends_at))
    }

    async fn release(&self, work: &str, holder: Uuid) -> Result<(), StorageError> {
        self.rows().leases.retain(|known, (other, _)| known != work || *other != holder);
        Ok(())
    }
}
