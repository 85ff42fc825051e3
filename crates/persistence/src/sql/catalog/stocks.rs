//! What is left of concerts.

use std::collections::HashMap;

use boxoffice_domain::{ConcertId, PerformanceId, StorageError, Timestamp, catalog::Stock};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Timestamp as Time},
};

use super::super::Store;
use crate::{
    schema::performances,
    seat_cache::Count,
    statement::{ROWS_MAX, Statement},
    stored::{Stored, count, id as parse_id, time},
};

/// A performance, how many seats it has, how many are available and held, and when the first hold lapses.
type CountSql = (Binary, BigInt, BigInt, BigInt, Nullable<Time>);
type CountRow = (Vec<u8>, i64, i64, i64, Option<NaiveDateTime>);

impl Store {
    /// What is left of concerts, from memory where it is known well enough.
    pub(super) async fn read_stocks(
        &self,
        ids: &[ConcertId],
        now: Timestamp,
    ) -> Result<HashMap<ConcertId, Stock>, StorageError> {
        let ids: Vec<_> = ids.iter().map(Stored::stored).collect();
        let query = performances::table
            .filter(performances::concert_id.eq_any(ids))
            .filter(performances::starts_at.gt(time(now)))
            .filter(performances::withdrawn_at.is_null())
            .select((performances::concert_id, performances::id));
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.read(query).await?;
        let (mut stocks, mut to_count) = (HashMap::new(), HashMap::new());
        for (concert_id, performance_id) in rows {
            let (concert_id, performance_id) = (parse_id(&concert_id)?, parse_id(&performance_id)?);
            match self.seat_cache.stock(performance_id) {
                Some(stock) => *stocks.entry(concert_id).or_default() += stock,
                None => {
                    to_count.insert(performance_id, concert_id);
                }
            }
        }
        let to_read: Vec<_> = to_count.keys().copied().collect();
        for chunk in to_read.chunks(ROWS_MAX) {
            for (performance_id, stock) in self.count_seats(chunk).await? {
                *stocks.entry(to_count[&performance_id]).or_default() += stock;
            }
        }
        Ok(stocks)
    }

    async fn count_seats(&self, ids: &[PerformanceId]) -> Result<HashMap<PerformanceId, Stock>, StorageError> {
        let began_at = self.seat_cache.begin_counting(ids);
        let now = self.now();
        let query =
            Statement::<CountSql>::new("SELECT performance_id, COUNT(*), COUNT(CASE WHEN reservation_id IS NULL")
                .sql(" OR held_until <= ")
                .bind(now)
                .sql(" THEN 1 END), COUNT(CASE WHEN held_until > ")
                .bind(now)
                .sql(" THEN 1 END), MIN(CASE WHEN held_until > ")
                .bind(now)
                .sql(" THEN held_until END) FROM seats WHERE performance_id IN ")
                .list(ids.iter().copied())
                .sql(" GROUP BY performance_id");
        let rows: Vec<CountRow> = self.read(query).await?;
        // A performance without seats has no row.
        let mut counted: HashMap<_, _> = ids.iter().map(|id| (*id, Count::default())).collect();
        for (id, total, available, held, lapses_at) in rows {
            let stock = Stock { total: count(total)?, available: count(available)?, held: count(held)? };
            counted.insert(parse_id(&id)?, Count { stock, lapses_at: lapses_at.map(|at| at.and_utc()) });
        }
        for (id, count) in &counted {
            self.seat_cache.keep_count(*id, *count, began_at);
        }
        Ok(counted.into_iter().map(|(id, count)| (id, count.stock)).collect())
    }
}
