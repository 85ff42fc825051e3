//! How the database finds what it is asked for, with an index and without it.

use std::time::Duration;

use mysql_async::{Conn, Error, Row, prelude::Queryable};
use tokio::time::Instant;

/// How often a query is timed.
const TIMES: usize = 5;
/// A query that takes longer without its index is broken off.
const MILLISECONDS_MAX: u64 = 5_000;
/// The database's number for a query that was broken off because of that.
const BROKEN_OFF: u16 = 3_024;

/// One table of a plan.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) table: String,
    /// As the database calls it: `const`, `ref`, `range`, `index`, `ALL`.
    pub(super) access: String,
    /// The indexes that are used.
    pub(super) keys: Vec<String>,
    pub(super) extra: String,
}

impl Step {
    /// Whether a whole table or a whole index is read.
    pub(super) fn scans(&self) -> bool {
        matches!(self.access.as_str(), "ALL" | "index")
    }

    pub(super) fn text(&self) -> String {
        let keys = if self.keys.is_empty() { "no index".to_owned() } else { self.keys.join(" + ") };
        let sorted = if self.extra.contains("filesort") { ", sorted afterwards" } else { "" };
        format!("{}: {} by {keys}{sorted}", self.table, self.access)
    }
}

/// How a query went.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The rows that were read, of all tables and indexes; `None` for what was only explained.
    pub(super) rows_read: Option<u64>,
    /// The median of a few runs; `None` for what was only explained, or broken off.
    pub(super) took: Option<Duration>,
    pub(super) broken_off: bool,
}

impl Plan {
    pub(super) fn uses(&self, index: &str) -> bool {
        self.steps.iter().flat_map(|step| &step.keys).any(|key| key == index)
    }
}

/// A connection on which nothing else is asked.
pub(super) async fn prepare(connection: &mut Conn) -> anyhow::Result<()> {
    connection.query_drop(format!("SET SESSION max_execution_time = {MILLISECONDS_MAX}")).await?;
    Ok(())
}

/// Explains a statement, and runs it if it only reads or locks.
pub(super) async fn of(connection: &mut Conn, sql: &str) -> anyhow::Result<Plan> {
    let rows: Vec<Row> = connection.query(format!("EXPLAIN FORMAT=TRADITIONAL {sql}")).await?;
    let text = |row: &Row, name: &str| row.get::<Option<String>, _>(name).flatten().unwrap_or_default();
    let step = |row: &Row| Step {
        table: text(row, "table"),
        access: text(row, "type"),
        keys: text(row, "key").split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
        extra: text(row, "Extra"),
    };
    let steps = rows.iter().map(step).filter(|step| !step.access.is_empty()).collect();
    let mut plan = Plan { steps, rows_read: None, took: None, broken_off: false };
    if sql.starts_with("SELECT ") || sql.starts_with("WITH ") {
        run(connection, sql, &mut plan).await?;
    }
    Ok(plan)
}

async fn run(connection: &mut Conn, sql: &str, plan: &mut Plan) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(TIMES);
    connection.query_drop("FLUSH STATUS").await?;
    for time in 0..TIMES {
        connection.query_drop("START TRANSACTION").await?;
        let began = Instant::now();
        let ran = connection.query_drop(sql).await;
        times.push(began.elapsed());
        connection.query_drop("ROLLBACK").await?;
        match ran {
            Ok(()) => {}
            Err(Error::Server(error)) if error.code == BROKEN_OFF => {
                plan.broken_off = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        if time == 0 {
            plan.rows_read = Some(rows_read(connection).await?);
        }
    }
    times.sort_unstable();
    plan.took = Some(times[TIMES / 2]);
    Ok(())
}

async fn rows_read(connection: &mut Conn) -> anyhow::Result<u64> {
    let counters: Vec<(String, u64)> = connection.query("SHOW SESSION STATUS LIKE 'Handler_read%'").await?;
    // A search by key that is counted for itself is counted again with the row that it finds.
    let rows = ["_next", "_prev", "_rnd_next", "_key"];
    Ok(counters.iter().filter(|(name, _)| rows.iter().any(|end| name.ends_with(end))).map(|(_, count)| count).sum())
}

/// Hides an index from the planner, or shows it again.
pub(super) async fn set_visible(connection: &mut Conn, table: &str, index: &str, visible: bool) -> anyhow::Result<()> {
    let word = if visible { "VISIBLE" } else { "INVISIBLE" };
    connection.query_drop(format!("ALTER TABLE `{table}` ALTER INDEX `{index}` {word}")).await?;
    Ok(())
}
