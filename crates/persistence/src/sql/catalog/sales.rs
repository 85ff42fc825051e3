//! How performances sell.

use boxoffice_domain::{PerformanceId, StorageError, catalog::Sales};
use diesel::sql_types::BigInt;

use super::super::Store;
use crate::{
    statement::Statement,
    stored::{count, points},
};

impl Store {
    /// How a performance sells, in one statement: seats and money are those of one instant. The price of a seat is for its
    /// next buyer; what was paid is in the reservations.
    pub(super) async fn read_sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        let now = self.now();
        let query = Statement::<(BigInt, BigInt, BigInt, BigInt)>::new(
            "SELECT COUNT(CASE WHEN reservation_id IS NULL OR held_until <= ",
        )
        .bind(now)
        .sql(" THEN 1 END), COUNT(CASE WHEN held_until > ")
        .bind(now)
        .sql(" THEN 1 END), COUNT(CASE WHEN reservation_id IS NOT NULL AND held_until IS NULL THEN 1 END), ")
        .sql("CAST((SELECT COALESCE(SUM(total_amount), 0) FROM reservations WHERE id IN ")
        .sql("(SELECT reservation_id FROM seats WHERE performance_id = ")
        .bind(id)
        .sql(" AND reservation_id IS NOT NULL AND held_until IS NULL)) AS SIGNED) ")
        .sql("FROM seats WHERE performance_id = ")
        .bind(id);
        let rows: Vec<(i64, i64, i64, i64)> = self.read(query).await?;
        let [(available, held, sold, revenue)] = rows[..] else { return Ok(None) };
        // A performance without seats cannot be published, so without seats there is no performance.
        if available + held + sold == 0 {
            return Ok(None);
        }
        let (available, held, sold) = (count(available)?, count(held)?, count(sold)?);
        Ok(Some(Sales { available, held, sold, revenue: points(revenue)? }))
    }
}
