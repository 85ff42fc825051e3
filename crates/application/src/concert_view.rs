//! Concerts as buyers see them: with whether seats can be had.

use std::collections::HashMap;

use boxoffice_domain::{
    ConcertId, StorageError,
    accounts::Role,
    catalog::{Availability, ConcertKey, ConcertSearch, ConcertSummary},
    page::{Page, PageRequest},
};

use crate::{
    CatalogService, Identity,
    catalog::{CatalogError, may_publish},
};

/// How many pages are read for one of concerts that are bookable, or that are not, if most of what is read is left out.
const PAGES_MAX: usize = 5;

/// A concert, and whether its seats can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcertView {
    pub summary: ConcertSummary,
    pub availability: Availability,
}

impl CatalogService {
    /// The concerts that a search finds now. A page of those that are bookable, or that are not, may have fewer than there
    /// are: which of those on sale are sold out is known only when they have been read.
    pub async fn concerts(
        &self,
        search: &ConcertSearch,
        mut page: PageRequest<ConcertKey>,
    ) -> Result<Page<ConcertView, ConcertKey>, StorageError> {
        let Some(bookable) = search.bookable else {
            let Page { items, next } = self.found(search, page).await?;
            return Ok(Page { items: self.views(items).await?, next });
        };
        let mut chosen = Vec::new();
        for _ in 0..PAGES_MAX {
            let Page { items, next } = self.found(search, page.clone()).await?;
            let views = self.views(items).await?.into_iter().filter(|view| view.availability.is_bookable() == bookable);
            let before = chosen.len();
            chosen.extend(views);
            page.after = next;
            page.limit -= u32::try_from(chosen.len() - before).unwrap_or(page.limit);
            if page.limit == 0 || page.after.is_none() {
                break;
            }
        }
        Ok(Page { items: chosen, next: page.after })
    }

    async fn found(
        &self,
        search: &ConcertSearch,
        page: PageRequest<ConcertKey>,
    ) -> Result<Page<ConcertSummary, ConcertKey>, StorageError> {
        let now = self.clock.now();
        if !search.is_plain() {
            return self.catalog.find_concerts(search, now, page).await;
        }
        let page = PageRequest { limit: page.limit, after: page.after.map(|after| after.id) };
        let Page { items, next } = self.catalog.concerts((search.bookable == Some(true)).then_some(now), page).await?;
        Ok(Page { items, next: next.map(ConcertKey::published) })
    }

    /// The concerts that the caller manages, the newest first: all of them, for an admin.
    pub async fn managed_concerts(
        &self,
        identity: Identity,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertView, ConcertId>, CatalogError> {
        may_publish(identity)?;
        let promoter_id = (identity.role != Role::Admin).then_some(identity.account_id);
        let Page { items, next } = self.catalog.managed_concerts(promoter_id, page).await?;
        Ok(Page { items: self.views(items).await?, next })
    }

    /// A concert as it is now.
    pub async fn view(&self, summary: ConcertSummary) -> Result<ConcertView, StorageError> {
        let views = self.views(vec![summary]).await?;
        views.into_iter().next().ok_or_else(|| StorageError::failed("a concert has no view"))
    }

    async fn views(&self, summaries: Vec<ConcertSummary>) -> Result<Vec<ConcertView>, StorageError> {
        let now = self.clock.now();
        let on_sale = summaries.iter().filter(|summary| summary.is_on_sale(now));
        let on_sale: Vec<_> = on_sale.map(|summary| summary.concert.id).collect();
        let stocks = if on_sale.is_empty() { HashMap::new() } else { self.catalog.stocks(&on_sale, now).await? };
        let view = |summary: ConcertSummary| {
            let stock = stocks.get(&summary.concert.id).copied().unwrap_or_default();
            ConcertView { availability: summary.availability(now, stock), summary }
        };
        Ok(summaries.into_iter().map(view).collect())
    }
}
