//! SQL with bound values, for the statements that Diesel's query builder cannot express for both backends:
//! row locks, multi-row inserts and upserts.
//!
//! In contrast to `diesel::sql_query`, statements stay prepared: lists are padded to few lengths, and rows are written
//! in few numbers, so that there are few different texts.

use std::marker::PhantomData;

use chrono::NaiveDateTime;
use diesel::{
    mysql::Mysql,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamp, Untyped},
    sqlite::Sqlite,
};

/// The most rows of one multi-row statement: both backends take some 32,000 bound values.
pub(crate) const ROWS_MAX: usize = 512;

/// A statement of several rows is prepared once for each number of them, and both sides keep it. So the numbers are
/// below this or multiples of it, and there are few.
pub(crate) const ROWS_STEP: usize = 8;

/// The length to which a list of `count` values is padded. It is close to `count`: the planner looks at each value, also
/// at those that are repeated.
pub(crate) fn padded(count: usize) -> usize {
    if count < ROWS_STEP { count.next_power_of_two() } else { count.next_multiple_of(ROWS_STEP) }
}

/// A row of columns of one table.
pub(crate) trait Row {
    /// The SQL types of the columns.
    type Sql: 'static;
    const TABLE: &'static str;
    const COLUMNS: &'static [&'static str];
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    /// An id or a fingerprint. A batch has thousands of them, so they are not on the heap.
    Bytes16([u8; 16]),
    /// A word of the program, such as a status.
    Word(&'static str),
    Bytes(Vec<u8>),
    Bool(bool),
    Integer(i32),
    BigInt(i64),
    Text(String),
    Time(NaiveDateTime),
    Null(Null),
}

/// The type of an absent value. The database prepares a statement for the types of its values. If an absent value did not
/// have the type of its column, each pattern of absent values in a batch would need another prepared statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Null {
    Bytes,
    BigInt,
    Text,
    Time,
}

/// What a column holds, with the type of its absent values.
pub(crate) trait Column {
    const NULL: Null = Null::Bytes;
}

impl Column for bool {}
impl Column for i32 {}
impl Column for i64 {}
impl Column for String {}
impl Column for Vec<u8> {}
impl Column for NaiveDateTime {}
impl Column for Option<Vec<u8>> {}

impl Column for Option<i64> {
    const NULL: Null = Null::BigInt;
}

impl Column for Option<String> {
    const NULL: Null = Null::Text;
}

impl Column for Option<NaiveDateTime> {
    const NULL: Null = Null::Time;
}

impl Bind {
    /// The value for a column.
    pub(crate) fn in_column<C: Column>(self) -> Self {
        if let Self::Null(_) = self { Self::Null(C::NULL) } else { self }
    }
}

impl<T: Into<Self>> From<Option<T>> for Bind {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null(Null::Bytes), T::into)
    }
}

#[derive(Clone, Debug)]
enum Piece {
    Static(&'static str),
    Made(String),
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

    /// Text that is made at run time, such as the name of a column. The statement is not kept prepared.
    #[must_use]
    pub(crate) fn made(mut self, sql: String) -> Self {
        self.pieces.push(Piece::Made(sql));
        self.kept_prepared = false;
        self
    }

    #[must_use]
    pub(crate) fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.pieces.push(Piece::Bind(value.into()));
        self
    }

    /// `SELECT column, … FROM table`.
    pub(crate) fn select<R: Row<Sql = ST>>() -> Self {
        Self::new("SELECT ").columns(R::COLUMNS).sql(" FROM ").sql(R::TABLE)
    }

    fn columns(self, columns: &[&'static str]) -> Self {
        self.each(", ", columns, |statement, column| statement.sql(column))
    }

    /// What `say` makes of each item, with `separator` between them.
    #[must_use]
    pub(crate) fn each<T>(
        mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        say: impl Fn(Self, T) -> Self,
    ) -> Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.pieces.push(Piece::Static(separator));
            }
            self = say(self, item);
        }
        self
    }

    /// `(?, ?, …)`: as many values as there are, the last one repeated until the list is [`padded`].
    #[must_use]
    pub(crate) fn list(mut self, values: impl IntoIterator<Item: Into<Bind>>) -> Self {
        let mut values: Vec<Bind> = values.into_iter().map(Into::into).collect();
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

impl Statement {
    /// `INSERT INTO table (column, …) VALUES `.
    pub(crate) fn insert_into<R: Row>() -> Self {
        Self::new("INSERT INTO ").sql(R::TABLE).sql(" (").columns(R::COLUMNS).sql(") VALUES ")
    }

    /// `UPDATE table SET column = value, …`: changes `columns` to what they are in `row`.
    pub(crate) fn update<R: Row>(row: Vec<Bind>, columns: &[&'static str]) -> Self {
        let changed = R::COLUMNS.iter().zip(row).filter(|(column, _)| columns.contains(column));
        Self::new("UPDATE ")
            .sql(R::TABLE)
            .sql(" SET ")
            .each(", ", changed, |statement, (column, value)| statement.sql(column).sql(" = ").bind(value))
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
                        Piece::Made(sql) => pass.push_sql(sql),
                        Piece::Bind(Bind::Bytes16(value)) => pass.push_bind_param::<Binary, _>(value)?,
                        Piece::Bind(Bind::Word(value)) => pass.push_bind_param::<Text, _>(*value)?,
                        Piece::Bind(Bind::Bytes(value)) => pass.push_bind_param::<Binary, _>(value)?,
                        Piece::Bind(Bind::Bool(value)) => pass.push_bind_param::<Bool, _>(value)?,
                        Piece::Bind(Bind::Integer(value)) => pass.push_bind_param::<Integer, _>(value)?,
                        Piece::Bind(Bind::BigInt(value)) => pass.push_bind_param::<BigInt, _>(value)?,
                        Piece::Bind(Bind::Text(value)) => pass.push_bind_param::<Text, _>(value)?,
                        Piece::Bind(Bind::Time(value)) => pass.push_bind_param::<Timestamp, _>(value)?,
                        Piece::Bind(Bind::Null(null)) => match null {
                            Null::Bytes => pass.push_bind_param::<Nullable<Binary>, _>(&None::<Vec<u8>>)?,
                            Null::BigInt => pass.push_bind_param::<Nullable<BigInt>, _>(&None::<i64>)?,
                            Null::Text => pass.push_bind_param::<Nullable<Text>, _>(&None::<String>)?,
                            Null::Time => pass.push_bind_param::<Nullable<Timestamp>, _>(&None::<NaiveDateTime>)?,
                        },
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
    fn an_absent_value_has_the_type_of_its_column() {
        let absent = Bind::from(None::<i64>);
        assert!(matches!(absent.clone().in_column::<Option<i64>>(), Bind::Null(Null::BigInt)));
        assert!(matches!(absent.clone().in_column::<Option<String>>(), Bind::Null(Null::Text)));
        assert!(matches!(absent.clone().in_column::<Option<NaiveDateTime>>(), Bind::Null(Null::Time)));
        assert!(matches!(absent.in_column::<Option<Vec<u8>>>(), Bind::Null(Null::Bytes)));
        assert!(matches!(Bind::from(7_i64).in_column::<Option<i64>>(), Bind::BigInt(7)));
    }

    #[test]
    fn lists_are_padded_and_rows_are_tuples() {
        let ids = (0..3).map(Bind::BigInt);
        let statement: Statement = Statement::new("SELECT a FROM t WHERE id IN ").list(ids).sql(" FOR UPDATE");
        assert_eq!(text::<Mysql>(&statement), "SELECT a FROM t WHERE id IN (?, ?, ?, ?) FOR UPDATE");
        let rows = (0_i64..2).map(|n| vec![n.into(), n.to_string().into()]);
        let statement: Statement = Statement::new("INSERT INTO t VALUES ").rows(rows);
        assert_eq!(text::<Sqlite>(&statement), "INSERT INTO t VALUES (?, ?), (?, ?)");
        let statement: Statement = Statement::new("SELECT a FROM t WHERE ")
            .alternatives(0..2, |statement, n| statement.sql("b = ").bind(Bind::Integer(n)));
        assert_eq!(text::<Sqlite>(&statement), "SELECT a FROM t WHERE (b = ?) OR (b = ?)");
    }
}
