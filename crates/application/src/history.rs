//! What the staff did, for those who answer for it.

use boxoffice_domain::{
    ConcertId,
    accounts::Role,
    history::StaffAct,
    page::{Page, PageRequest},
};
use uuid::Uuid;

use crate::{CatalogService, Identity, catalog::CatalogError};

impl CatalogService {
    /// What was done to a concert that the caller manages, its performances and its queue; the newest first.
    pub async fn history_of(
        &self,
        identity: Identity,
        id: ConcertId,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, CatalogError> {
        self.managed(identity, id).await?;
        Ok(self.history.acts(Some(id), page).await?)
    }

    /// What was done to everything, for admins; the newest first.
    pub async fn history(
        &self,
        identity: Identity,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, CatalogError> {
        if identity.role != Role::Admin {
            return Err(CatalogError::Forbidden);
        }
        Ok(self.history.acts(None, page).await?)
    }
}
