//! What the staff did.

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, StorageError,
    history::{History, StaffAct},
    page::{Page, PageRequest},
};
use uuid::Uuid;

use super::{MemoryStore, page};

#[async_trait]
impl History for MemoryStore {
    async fn acts(
        &self,
        concert_id: Option<ConcertId>,
        request: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError> {
        let mut acts = self.rows().acts.clone();
        acts.retain(|act| concert_id.is_none() || act.concert_id == concert_id);
        acts.sort_unstable_by_key(|act| std::cmp::Reverse(act.id));
        Ok(page(acts.into_iter(), request, |act| act.id, Uuid::lt))
    }
}
