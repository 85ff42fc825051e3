//! What transactions have changed of the catalog, noted for the other processes.

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp};
use diesel::sql_types::{BigInt, Binary, Text, Untyped};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{
        super::{AND_COUNT, Connection},
        Writer,
        failure::Failure,
    },
    listing::PooledReader,
};
use crate::{
    catalog_watch::{CatalogChange, ChangesReader, Noted, Numbers, ROWS_KEPT_FOR, with_change},
    statement::Statement,
    stored::{count, id, json},
};

/// In whose row a transaction notes what it changes, and when.
#[derive(Clone, Copy)]
pub(super) struct Noting {
    process: Uuid,
    now: Timestamp,
}

impl Writer {
    pub(super) fn noting(&self) -> Noting {
        Noting { process: self.process, now: self.clock.now() }
    }
}

impl Noting {
    /// Notes a change. To be called last: until the transaction ends, others of this process wait here.
    pub(super) async fn note(self, connection: &mut Connection, change: CatalogChange) -> Result<(), Failure> {
        let Self { process, now } = self;
        remove_old(connection, now).await?;
        let counted: Statement =
            Statement::new("INSERT INTO catalog_changes (process, number, recent, changed_at) VALUES (")
                .bind(process)
                .sql(", 1, '[]', ")
                .bind(now)
                .sql(")")
                .sql(AND_COUNT);
        counted.execute(connection).await?;
        let recent = Statement::<Text>::new("SELECT recent FROM catalog_changes WHERE process = ").bind(process);
        let recent: Vec<String> = recent.load(connection).await?;
        // What cannot be read is missing for the readers, and stands for a change of anything.
        let recent = recent.into_iter().next().map(|recent| parsed(&recent)).unwrap_or_default();
        let recent = json(&with_change(recent, change))?;
        let update = Statement::<Untyped>::new("UPDATE catalog_changes SET recent = ").bind(recent);
        let update = update.sql(", changed_at = ").bind(now).sql(" WHERE process = ").bind(process);
        update.execute(connection).await?;
        Ok(())
    }
}

/// Removes the rows of processes that have long changed nothing; most of them have ended.
async fn remove_old(connection: &mut Connection, now: Timestamp) -> Result<(), Failure> {
    let old = Statement::<Binary>::new("SELECT process FROM catalog_changes WHERE changed_at < ");
    let old: Vec<Vec<u8>> = old.bind(now - ROWS_KEPT_FOR).load(connection).await?;
    if !old.is_empty() {
        let remove = Statement::<Untyped>::new("DELETE FROM catalog_changes WHERE process IN ").list(old);
        remove.execute(connection).await?;
    }
    Ok(())
}

fn parsed(recent: &str) -> Vec<CatalogChange> {
    serde_json::from_str(recent).unwrap_or_default()
}

#[async_trait]
impl ChangesReader for PooledReader {
    async fn noted(&self, known: Option<&Numbers>) -> Result<Noted, StorageError> {
        let mut session = self.pool.session().await?;
        let rows = Statement::<(Binary, BigInt)>::new("SELECT process, number FROM catalog_changes");
        let rows: Vec<(Vec<u8>, i64)> = session.read(rows).await?;
        let mut noted = Noted::default();
        let mut changed = Vec::new();
        for (process, number) in rows {
            let (process_id, number) = (id(&process)?, count(number)?);
            noted.numbers.insert(process_id, number);
            if known.is_some_and(|known| known.get(&process_id) != Some(&number)) {
                changed.push(process);
            }
        }
        if changed.is_empty() {
            return Ok(noted);
        }
        let rows = Statement::<(Binary, BigInt, Text)>::new("SELECT process, number, recent FROM catalog_changes");
        let rows = rows.sql(" WHERE process IN ").list(changed);
        let rows: Vec<(Vec<u8>, i64, String)> = session.read(rows).await?;
        for (process, number, recent) in rows {
            let process_id = id(&process)?;
            noted.numbers.insert(process_id, count(number)?);
            noted.recent.insert(process_id, parsed(&recent));
        }
        Ok(noted)
    }
}
