//! SQL with bound values, for the statements that Diesel's query builder cannot say for both backends:
//! row locks, multi-row inserts and upserts.
//!
//! In contrast to `diesel::sql_query` a statement is kept prepared where its shape comes again: lists are padded to
//! few lengths, and rows come in few numbers.

use std::marker::PhantomData;

use chrono::NaiveDateTime;
use diesel::{
    mysql::Mysql,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{BigInt, Binary, Integer, Nullable, Text, Timestamp, Untyped},
    sqlite::Sqlite,
};

/// The most rows of one multi-row statement: both backends take some 32,000 bound values.
pub(crate) const ROWS_MAX: usize = 512;

/// A statement of several rows is prepared once for each number of them, and kept by both sides. So the numbers are
/// multiples of this, or below it, and there are few.
pub(crate) const ROWS_STEP: usize = 8;

/// How long a list of so many values is made. Close to what there is: the planner looks at each value, also at those
/// that are repeated.
pub(crate) fn padded(count: usize) -> usize {
    if count < ROWS_STEP { count.next_power_of_two() } else { count.next_multiple_of(ROWS_STEP) }
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    /// An id or a fingerprint, of which a batch has thousands.
    Bytes16([u8; 16]),
    /// One of our own words, such as a status.
    Word(&'static str),
    Bytes(Vec<u8>),
    OptionalBytes(Option<Vec<u8>>),
    Integer(i32),
    BigInt(i64),
    OptionalBigInt(Option<i64>),
    Text(String),
    OptionalText(Option<String>),
    Time(NaiveDateTime),
    OptionalTime(Option<NaiveDateTime>),
}

#[derive(Clone, Debug)]
enum Piece {
    Static(&'static str),
    Bind(Bind),
}

/// A statement whose rows, if it has any, are of the SQL type `ST`.
#[derive(Clone, Debug)]
pub(crate) struct Statement<ST = Untyped> {
    pieces: Vec<Piece>,
    kept_prepared: bool,
    row: PhantomData<fn() -> ST>,
}

impl<ST> Statement<ST> {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { pieces: vec![Piece::Static(sql)], kept_prepared: true, row: PhantomData }
    }

    #[must_use]
    pub(crate) fn sql(mut self, sql: &'static str) -> Self {
        self.pieces.push(Piece::Static(sql));
        self
    }

    #[must_use]
    pub(crate) fn bind(mut self, value: Bind) -> Self {
        self.pieces.push(Piece::Bind(value));
        self
    }

    /// `(?, ?, …)`: as many values as there are, the last one repeated until the list is [`padded`].
    #[must_use]
    pub(crate) fn list(mut self, values: impl IntoIterator<Item = Bind>) -> Self {
        let mut values: Vec<Bind> = values.into_iter().collect();
        if let Some(last) = values.last().cloned() {
            values.resize(padded(values.len()), last);
        }
        self.tuple(values);
        self
    }

    /// `(?, …), (?, …), …`: a tuple for each row.
    #[must_use]
    pub(crate) fn rows(mut self, rows: impl IntoIterator<Item = Vec<Bind>>) -> Self {
        let mut count = 0_usize;
        for row in rows {
            if count > 0 {
                self.pieces.push(Piece::Static(", "));
            }
            self.tuple(row);
            count += 1;
        }
        self.kept_prepared &= count < ROWS_STEP || count.is_multiple_of(ROWS_STEP);
        self
    }

    /// `left OR left OR …`: an alternative for each item.
    #[must_use]
    pub(crate) fn alternatives<T>(mut self, items: impl IntoIterator<Item = T>, say: impl Fn(Self, T) -> Self) -> Self {
        let mut count = 0_usize;
        for item in items {
            self.pieces.push(Piece::Static(if count > 0 { " OR (" } else { "(" }));
            self = say(self, item);
            self.pieces.push(Piece::Static(")"));
            count += 1;
        }
        self.kept_prepared &= count == padded(count);
        self
    }

    fn tuple(&mut self, values: Vec<Bind>) {
        for (index, value) in values.into_iter().enumerate() {
            self.pieces.push(Piece::Static(if index > 0 { ", " } else { "(" }));
            self.pieces.push(Piece::Bind(value));
        }
        self.pieces.push(Piece::Static(")"));
    }
}

impl<ST: 'static> QueryId for Statement<ST> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<ST> {
    type SqlType = ST;
}

macro_rules! query_fragment {
    ($($backend:ty),*) => {$(
        impl<ST> QueryFragment<$backend> for Statement<ST> {
            fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                if !self.kept_prepared {
                    pass.unsafe_to_cache_prepared();
                }
                for piece in &self.pieces {
                    match piece {
                        Piece::Static(sql) => pass.push_sql(sql),
                        Piece::Bind(Bind::Bytes16(value)) => pass.push_bind_param::<Binary, _>(value)?,
                        Piece::Bind(Bind::Word(value)) => pass.push_bind_param::<Text, _>(*value)?,
                        Piece::Bind(Bind::Bytes(value)) => pass.push_bind_param::<Binary, _>(value)?,
                        Piece::Bind(Bind::OptionalBytes(value)) => {
                            pass.push_bind_param::<Nullable<Binary>, _>(value)?;
                        }
                        Piece::Bind(Bind::Integer(value)) => pass.push_bind_param::<Integer, _>(value)?,
                        Piece::Bind(Bind::BigInt(value)) => pass.push_bind_param::<BigInt, _>(value)?,
                        Piece::Bind(Bind::OptionalBigInt(value)) => {
                            pass.push_bind_param::<Nullable<BigInt>, _>(value)?;
                        }
                        Piece::Bind(Bind::Text(value)) => pass.push_bind_param::<Text, _>(value)?,
                        Piece::Bind(Bind::OptionalText(value)) => {
                            pass.push_bind_param::<Nullable<Text>, _>(value)?;
                        }
                        Piece::Bind(Bind::Time(value)) => pass.push_bind_param::<Timestamp, _>(value)?,
                        Piece::Bind(Bind::OptionalTime(value)) => {
                            pass.push_bind_param::<Nullable<Timestamp>, _>(value)?;
                        }
                    }
                }
                Ok(())
            }
        }
    )*};
}

query_fragment!(Mysql, Sqlite);

#[cfg(test)]
mod tests {
    use super::*;

    fn text<DB>(statement: &Statement) -> String
    where
        DB: diesel::backend::Backend + Default,
        DB::QueryBuilder: Default,
        Statement: QueryFragment<DB>,
    {
        use diesel::query_builder::QueryBuilder;
        let mut builder = DB::QueryBuilder::default();
        statement.to_sql(&mut builder, &DB::default()).unwrap();
        builder.finish()
    }

    #[test]
    fn lists_are_padded_and_rows_are_tuples() {
        let ids = (0..3).map(Bind::BigInt);
        let statement: Statement = Statement::new("SELECT a FROM t WHERE id IN ").list(ids).sql(" FOR UPDATE");
        assert_eq!(text::<Mysql>(&statement), "SELECT a FROM t WHERE id IN (?, ?, ?, ?) FOR UPDATE");
        let rows = (0..2).map(|n| vec![Bind::BigInt(n), Bind::Text(n.to_string())]);
        let statement: Statement = Statement::new("INSERT INTO t VALUES ").rows(rows);
        assert_eq!(text::<Sqlite>(&statement), "INSERT INTO t VALUES (?, ?), (?, ?)");
        let statement: Statement = Statement::new("SELECT a FROM t WHERE ")
            .alternatives(0..2, |statement, n| statement.sql("b = ").bind(Bind::Integer(n)));
        assert_eq!(text::<Sqlite>(&statement), "SELECT a FROM t WHERE (b = ?) OR (b = ?)");
    }
}
