//! Concerts as searches look at them.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, StorageError, TimeZone, Timestamp,
    catalog::{Concert, ConcertSummary, ListedConcert, PriceRange},
    text::Name,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel_async::methods::LoadQuery;
use futures::future::BoxFuture;

use super::{
    super::{super::Connection, pool::Pool},
    rows::{ConcertRow, time_zone},
};
use crate::{
    concert_finder::ListingReader,
    schema::{concerts, performances, venues},
    stored::{Stored, name, points},
};

/// How many concerts are read at once.
const CONCERTS_AT_ONCE: usize = 1_000;

/// Reads them over connections for reading.
pub(in super::super) struct PooledReader {
    pub(in super::super) pool: Arc<Pool>,
    /// The most bytes of the descriptions of all concerts.
    pub(in super::super) descriptions_bytes_max: usize,
}

impl PooledReader {
    /// The concerts of a query, with the starts, the prices and the venues of their performances.
    fn listed<'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, ConcertRow> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<ListedConcert>, StorageError>> {
        Box::pin(async move {
            type Places = Vec<(Timestamp, PriceRange, TimeZone, Name)>;
            type Performed = (Vec<u8>, NaiveDateTime, i64, i64, String, String);
            let mut session = self.pool.session().await?;
            let rows = session.read(query).await?;
            let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
            let performed = performances::table
                .inner_join(venues::table)
                .filter(performances::concert_id.eq_any(ids))
                .filter(performances::withdrawn_at.is_null())
                .select((
                    performances::concert_id,
                    performances::starts_at,
                    performances::price_min,
                    performances::price_max,
                    venues::name,
                    venues::time_zone,
                ));
            let mut by_concert: HashMap<Vec<u8>, Places> = HashMap::new();
            for (concert_id, starts_at, min, max, venue, zone) in session.read::<Performed>(performed).await? {
                let prices = PriceRange { min: points(min)?, max: points(max)? };
                let performed = (starts_at.and_utc(), prices, time_zone(&zone)?, name(&venue)?);
                by_concert.entry(concert_id).or_default().push(performed);
            }
            let listed = |row: ConcertRow| {
                let performed = by_concert.remove(&row.id).unwrap_or_default();
                let concert: Concert = row.try_into()?;
                let performances: Vec<_> =
                    performed.iter().map(|(starts_at, prices, zone, _)| (*starts_at, *prices, *zone)).collect();
                let summary = ConcertSummary::of(concert, &performances);
                let places = performed.into_iter().map(|(starts_at, .., venue)| (starts_at, venue));
                Ok(ListedConcert::new(summary, places))
            };
            rows.into_iter().map(listed).collect()
        })
    }
}

#[async_trait]
impl ListingReader for PooledReader {
    async fn all(&self) -> Result<Vec<ListedConcert>, StorageError> {
        let (mut all, mut descriptions_bytes) = (Vec::new(), 0);
        let mut after: Option<ConcertId> = None;
        loop {
            let query = concerts::table.order(concerts::id).select(ConcertRow::as_select());
            let mut query = query.limit(i64::try_from(CONCERTS_AT_ONCE).unwrap_or(i64::MAX)).into_boxed();
            if let Some(after) = after {
                query = query.filter(concerts::id.gt(after.stored()));
            }
            let read = self.listed(query).await?;
            let is_last = read.len() < CONCERTS_AT_ONCE;
            after = read.last().map(ListedConcert::id);
            // A page of an answer reads the descriptions that there is no room for.
            all.extend(read.into_iter().map(|listed| {
                let bytes = listed.summary.concert.description.as_str().len();
                if descriptions_bytes + bytes > self.descriptions_bytes_max {
                    return listed.abridged();
                }
                descriptions_bytes += bytes;
                listed
            }));
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn some(&self, ids: &[ConcertId]) -> Result<Vec<ListedConcert>, StorageError> {
        let mut some = Vec::new();
        for ids in ids.chunks(CONCERTS_AT_ONCE) {
            let ids: Vec<_> = ids.iter().map(Stored::stored).collect();
            some.extend(
                self.listed(concerts::table.filter(concerts::id.eq_any(ids)).select(ConcertRow::as_select())).await?,
            );
        }
        Ok(some)
    }
}
