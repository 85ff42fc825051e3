//! The terms under which performances are sold.

use boxoffice_domain::{PerformanceId, StorageError, catalog::PerformanceTerms};
use chrono::NaiveDateTime;
use diesel::{
    prelude::Queryable,
    sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamp},
};
use diesel_async::RunQueryDsl;

use super::{
    super::{super::Connection, failure::Failure},
    rows::{VenueSummaryRow, moved, sales_window},
};
use crate::{
    statement::Statement,
    stored::{count, id, name},
};

/// What the rules of selling need of a performance, its concert and its venue.
#[derive(Debug, Queryable)]
struct TermsRow {
    id: Vec<u8>,
    concert_id: Vec<u8>,
    title: String,
    venue: VenueSummaryRow,
    starts_at: NaiveDateTime,
    sales_open_at: NaiveDateTime,
    sales_close_at: NaiveDateTime,
    max_seats_per_account: i64,
    holds_need_balance: bool,
    withdrawn_at: Option<NaiveDateTime>,
    moved_at: Option<NaiveDateTime>,
    cancel_until: Option<NaiveDateTime>,
}

type TermsSql = (
    Binary,
    Binary,
    Text,
    (Binary, Text, Text, Text),
    Timestamp,
    Timestamp,
    Timestamp,
    BigInt,
    Bool,
    Nullable<Timestamp>,
    Nullable<Timestamp>,
    Nullable<Timestamp>,
);

impl TryFrom<TermsRow> for PerformanceTerms {
    type Error = StorageError;

    fn try_from(row: TermsRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: id(&row.id)?,
            concert_id: id(&row.concert_id)?,
            title: name(&row.title)?,
            venue: row.venue.try_into()?,
            starts_at: row.starts_at.and_utc(),
            sales: sales_window(row.sales_open_at, row.sales_close_at)?,
            max_seats_per_account: count(row.max_seats_per_account)?,
            holds_need_balance: row.holds_need_balance,
            withdrawn_at: row.withdrawn_at.map(|at| at.and_utc()),
            moved: moved(row.moved_at, row.cancel_until)?,
        })
    }
}

/// The terms of these performances.
pub(in super::super) async fn terms(
    connection: &mut Connection,
    ids: impl IntoIterator<Item = PerformanceId>,
) -> Result<Vec<PerformanceTerms>, Failure> {
    let ids: Vec<_> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = Statement::<TermsSql>::new(include_str!("terms.sql")).list(ids);
    let rows: Vec<TermsRow> = query.load(connection).await?;
    Ok(rows.into_iter().map(PerformanceTerms::try_from).collect::<Result<_, _>>()?)
}
