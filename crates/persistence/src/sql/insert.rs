//! Multi-row inserts and upserts.

use diesel_async::RunQueryDsl;

use super::{
    super::{Connection, or_update},
    failure::Failure,
};
use crate::statement::{Bind, ROWS_MAX, ROWS_STEP, Row, Statement, padded};

/// Inserts rows, in statements of few sizes.
pub(super) async fn insert<R: Row>(
    connection: &mut Connection,
    rows: impl IntoIterator<Item = Vec<Bind>>,
) -> Result<(), Failure> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows_together(rows.len()));
        Statement::insert_into::<R>().rows(rows).execute(connection).await?;
        rows = rest;
    }
    Ok(())
}

/// Inserts rows, and changes `columns` of those whose `key` exists already.
pub(super) async fn upsert<R: Row>(
    connection: &mut Connection,
    rows: impl IntoIterator<Item = Vec<Bind>>,
    key: &'static str,
    columns: &[&'static str],
) -> Result<(), Failure> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_MAX));
        // Writing a row twice does no harm here, and makes fewer sizes to prepare.
        if let Some(last) = rows.last().cloned() {
            rows.resize(padded(rows.len()), last);
        }
        let insert = Statement::insert_into::<R>().rows(rows);
        or_update(insert, key, columns).execute(connection).await?;
        rows = rest;
    }
    Ok(())
}

/// How many of `count` rows go into the next statement: as many whole steps as there are, then the rest.
fn rows_together(count: usize) -> usize {
    if count < ROWS_STEP { count } else { (count - count % ROWS_STEP).min(ROWS_MAX) }
}
