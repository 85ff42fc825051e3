//! Copying a whole database into another one, of whatever kind.
//!
//! Tables are copied one after the other, each in the order of its key, in transactions of some hundred rows. So the rows
//! that the target has are always the first ones, and a copy that was interrupted goes on after the last of them.

use async_trait::async_trait;
use boxoffice_domain::StorageError;
use serde_json::Value;

use crate::ConnectError;

/// How many rows a transaction has. The rows of the catalog may have a hundred kilobytes each.
const ROWS_AT_ONCE: u32 = 200;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Integer,
    Text,
    Time,
}

impl Kind {
    /// By the type that it is declared with.
    pub(crate) fn of(declared: &str) -> Option<Self> {
        let declared = declared.to_ascii_lowercase();
        let is_one_of = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if is_one_of(&["binary", "blob"]) {
            Some(Self::Bytes)
        } else if is_one_of(&["datetime", "timestamp"]) {
            Some(Self::Time)
        } else if is_one_of(&["int", "bool"]) {
            Some(Self::Integer)
        } else if is_one_of(&["char", "text"]) {
            Some(Self::Text)
        } else {
            None
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// In the order of their names, which is the same at both ends.
    pub(crate) columns: Vec<Column>,
    /// The columns of the primary key, in its order.
    pub(crate) key: Vec<(i64, Column)>,
}

impl Table {
    pub(crate) fn key_columns(&self) -> Vec<Column> {
        self.key.iter().map(|(_, column)| column.clone()).collect()
    }

    /// The key of a row.
    fn key_of(&self, row: &[Value]) -> Vec<Value> {
        let of = |column: &Column| self.columns.iter().position(|other| other == column).and_then(|at| row.get(at));
        self.key.iter().map(|(_, column)| of(column).cloned().unwrap_or_default()).collect()
    }
}

/// One of the two databases.
#[async_trait]
pub(crate) trait End: Send {
    /// All tables but that of the migrations, in the order of their names.
    async fn tables(&mut self) -> Result<Vec<Table>, StorageError>;
    async fn count(&mut self, table: &Table) -> Result<i64, StorageError>;
    /// The key of the last row.
    async fn last_key(&mut self, table: &Table) -> Result<Option<Vec<Value>>, StorageError>;
    /// The rows after a key, in its order.
    async fn rows(
        &mut self,
        table: &Table,
        from: Option<&[Value]>,
        limit: u32,
    ) -> Result<Vec<Vec<Value>>, StorageError>;
    /// Inserts rows, all of them or none.
    async fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StorageError>;
}

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The two have other tables or columns.
    #[error("the two databases have different schemas, at `{0}`: bring both up to date")]
    Schemas(String),
    /// The target has rows that the source does not have.
    #[error("the target has other rows than the source in `{0}`: empty it, or make another one")]
    OtherRows(String),
    /// A database failed. The copy can be repeated, and goes on.
    #[error("the copy was interrupted; repeat it, and it goes on")]
    Storage(#[from] StorageError),
}

/// What was copied of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// How many rows were copied now.
    pub copied: u64,
    /// How many rows there are at both ends.
    pub total: u64,
}

/// Copies all rows into a database with the same schema, which is empty or has a part of them. Nothing may change either
/// meanwhile. Calls `progress` after each table.
pub(crate) async fn copy(
    from: &mut dyn End,
    to: &mut dyn End,
    progress: &mut (dyn FnMut(&CopiedTable) + Send),
) -> Result<Vec<CopiedTable>, CopyError> {
    let (tables, others) = (from.tables().await?, to.tables().await?);
    if let Some(name) = first_difference(&tables, &others) {
        return Err(CopyError::Schemas(name));
    }
    let mut copied = Vec::with_capacity(tables.len());
    for table in &tables {
        let done = copy_table(from, to, table).await?;
        progress(&done);
        copied.push(done);
    }
    Ok(copied)
}

fn first_difference(tables: &[Table], others: &[Table]) -> Option<String> {
    let alike =
        |one: &Table, other: &Table| one.name == other.name && one.columns == other.columns && one.key == other.key;
    let differing = tables.iter().zip(others).find(|(one, other)| !alike(one, other)).map(|(one, _)| one);
    let longer = if tables.len() > others.len() { tables } else { others };
    let differing = differing.or_else(|| longer.get(tables.len().min(others.len())));
    differing.map(|table| table.name.clone())
}

async fn copy_table(from: &mut dyn End, to: &mut dyn End, table: &Table) -> Result<CopiedTable, CopyError> {
    let other_rows = || CopyError::OtherRows(table.name.clone());
    let mut after = to.last_key(table).await?;
    let mut copied = 0;
    loop {
        let rows = from.rows(table, after.as_deref(), ROWS_AT_ONCE).await?;
        let Some(last) = rows.last() else { break };
        to.insert(table, &rows).await?;
        after = Some(table.key_of(last));
        copied += rows.len() as u64;
    }
    let (total, there) = (from.count(table).await?, to.count(table).await?);
    if total != there {
        return Err(other_rows());
    }
    Ok(CopiedTable { name: table.name.clone(), copied, total: u64::try_from(total).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_column_follows_from_its_declaration() {
        for (declared, kind) in [
            ("BINARY(16)", Some(Kind::Bytes)),
            ("varbinary", Some(Kind::Bytes)),
            ("BLOB", Some(Kind::Bytes)),
            ("bigint", Some(Kind::Integer)),
            ("tinyint", Some(Kind::Integer)),
            ("BOOLEAN", Some(Kind::Integer)),
            ("varchar", Some(Kind::Text)),
            ("mediumtext", Some(Kind::Text)),
            ("TEXT", Some(Kind::Text)),
            ("datetime", Some(Kind::Time)),
            ("TIMESTAMP", Some(Kind::Time)),
            ("geometry", None),
        ] {
            assert_eq!(Kind::of(declared), kind, "{declared}");
        }
    }

    #[test]
    fn the_first_table_that_differs_is_named() {
        let table = |name: &str, column: &str| {
            let column = Column { name: column.to_owned(), kind: Kind::Text };
            Table { name: name.to_owned(), columns: vec![column.clone()], key: vec![(1, column)] }
        };
        let both = [table("a", "id"), table("b", "id")];
        assert_eq!(first_difference(&both, &both), None);
        assert_eq!(first_difference(&both, &both[..1]).as_deref(), Some("b"));
        assert_eq!(first_difference(&both[..1], &both).as_deref(), Some("b"));
        assert_eq!(first_difference(&both, &[table("a", "name"), table("b", "id")]).as_deref(), Some("a"));
    }
}
