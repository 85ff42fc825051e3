//! One end of copying a whole database: reading and writing rows of any table.
//!
//! A row travels as a JSON array, which both kinds of databases make: binary values in hexadecimal, times as text, `null` for
//! what is absent.

use async_trait::async_trait;
use boxoffice_domain::StorageError;
use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde_json::Value;

use super::{
    super::{BEGIN, COLUMNS, Connection, establish},
    failure::Failure,
};
use crate::{
    ConnectError,
    copy::{Column, End, Kind, Table},
    statement::{Bind, Null, Statement},
    stored::damaged,
};

/// A connection to one end.
pub(crate) struct Connected(Connection);

/// Connects to one end of a copy.
pub(crate) async fn connect_end(url: String) -> Result<Box<dyn End>, ConnectError> {
    Ok(Box::new(Connected(establish(&url).await.map_err(ConnectError::unreachable)?)))
}

/// The columns of a table as a text of SQL: what a row is made of, or its key.
fn list(columns: &[Column], of: impl Fn(&Column) -> String) -> String {
    columns.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn as_json(column: &Column) -> String {
    match column.kind {
        // SQLite takes the hexadecimal form of what is absent for an empty text.
        Kind::Bytes => format!("CASE WHEN {0} IS NULL THEN NULL ELSE HEX({0}) END", column.name),
        Kind::Integer | Kind::Text | Kind::Time => column.name.clone(),
    }
}

/// `(a > x OR (a = x AND b > y))`, which both databases find by the key.
fn after(statement: Statement<Text>, key: &[Column], values: &[Value]) -> Result<Statement<Text>, StorageError> {
    let mut statement = statement.sql("(");
    for last in 0..key.len() {
        statement = statement.sql(if last > 0 { " OR (" } else { "(" });
        for (index, (column, value)) in key.iter().zip(values).enumerate().take(last + 1) {
            let operator = if index == last { " > " } else { " = " };
            let and = if index > 0 { " AND " } else { "" };
            statement = statement.sql(and).made(column.name.clone()).sql(operator).bind(bind(column.kind, value)?);
        }
        statement = statement.sql(")");
    }
    Ok(statement.sql(")"))
}

/// The value of a column, from its JSON.
fn bind(kind: Kind, value: &Value) -> Result<Bind, StorageError> {
    let wrong = damaged("value of a column");
    Ok(match (kind, value) {
        (Kind::Bytes, Value::Null) => Bind::Null(Null::Bytes),
        (Kind::Integer, Value::Null) => Bind::Null(Null::BigInt),
        (Kind::Text, Value::Null) => Bind::Null(Null::Text),
        (Kind::Time, Value::Null) => Bind::Null(Null::Time),
        (Kind::Bytes, Value::String(hexadecimal)) => Bind::Bytes(hex::decode(hexadecimal).map_err(|_| wrong())?),
        (Kind::Integer, Value::Number(number)) => Bind::BigInt(number.as_i64().ok_or_else(wrong)?),
        (Kind::Integer, Value::Bool(flag)) => Bind::BigInt(i64::from(*flag)),
        (Kind::Text, Value::String(text)) => Bind::Text(text.clone()),
        (Kind::Time, Value::String(text)) => {
            let text = text.replace('T', " ");
            Bind::Time(NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").map_err(|_| wrong())?)
        }
        _ => return Err(wrong()),
    })
}

#[async_trait]
impl End for Connected {
    async fn tables(&mut self) -> Result<Vec<Table>, StorageError> {
        let columns: Statement<(Text, Text, Text, BigInt)> = Statement::new(COLUMNS);
        let columns: Vec<(String, String, String, i64)> = columns.load(&mut self.0).await.map_err(Failure::from)?;
        let mut tables: Vec<Table> = Vec::new();
        for (table, name, declared, key_position) in columns {
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(Table { name: table, columns: Vec::new(), key: Vec::new() });
            }
            let kind = Kind::of(&declared).ok_or_else(damaged("type of a column"))?;
            let column = Column { name, kind };
            if let Some(table) = tables.last_mut() {
                if key_position > 0 {
                    table.key.push((key_position, column.clone()));
                }
                table.columns.push(column);
            }
        }
        for table in &mut tables {
            table.key.sort_by_key(|(position, _)| *position);
            table.columns.sort_by(|one, other| one.name.cmp(&other.name));
        }
        // Databases sort names in different ways.
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tables)
    }

    async fn count(&mut self, table: &Table) -> Result<i64, StorageError> {
        let count = Statement::<BigInt>::new("SELECT COUNT(*) FROM ").made(table.name.clone());
        Ok(count.get_result(&mut self.0).await.map_err(Failure::from)?)
    }

    async fn last_key(&mut self, table: &Table) -> Result<Option<Vec<Value>>, StorageError> {
        let key = table.key_columns();
        let query = Statement::<Text>::new("SELECT JSON_ARRAY(")
            .made(list(&key, as_json))
            .sql(") FROM ")
            .made(table.name.clone())
            .sql(" ORDER BY ")
            .made(list(&key, |column| format!("{} DESC", column.name)))
            .sql(" LIMIT 1");
        let rows: Vec<String> = query.load(&mut self.0).await.map_err(Failure::from)?;
        rows.as_slice().first().map(|row| serde_json::from_str(row).map_err(|_| damaged("row")())).transpose()
    }

    async fn rows(
        &mut self,
        table: &Table,
        from: Option<&[Value]>,
        limit: u32,
    ) -> Result<Vec<Vec<Value>>, StorageError> {
        let key = table.key_columns();
        let mut query = Statement::<Text>::new("SELECT JSON_ARRAY(")
            .made(list(&table.columns, as_json))
            .sql(") FROM ")
            .made(table.name.clone());
        if let Some(from) = from {
            query = after(query.sql(" WHERE "), &key, from)?;
        }
        let query = query.sql(" ORDER BY ").made(list(&key, |column| column.name.clone()));
        let rows: Vec<String> =
            query.sql(" LIMIT ").bind(i64::from(limit)).load(&mut self.0).await.map_err(Failure::from)?;
        rows.iter().map(|row| serde_json::from_str(row).map_err(|_| damaged("row")())).collect()
    }

    async fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StorageError> {
        let bind_row = |row: &Vec<Value>| {
            let values = table.columns.iter().zip(row).map(|(column, value)| bind(column.kind, value));
            values.collect::<Result<Vec<Bind>, StorageError>>()
        };
        let rows = rows.iter().map(bind_row).collect::<Result<Vec<_>, _>>()?;
        let statement = Statement::<diesel::sql_types::Untyped>::new("INSERT INTO ")
            .made(table.name.clone())
            .sql(" (")
            .made(list(&table.columns, |column| column.name.clone()))
            .sql(") VALUES ")
            .rows(rows);
        self.0.batch_execute(BEGIN).await.map_err(Failure::from)?;
        statement.execute(&mut self.0).await.map_err(Failure::from)?;
        Ok(self.0.batch_execute("COMMIT").await.map_err(Failure::from)?)
    }
}
