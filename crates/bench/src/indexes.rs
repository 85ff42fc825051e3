//! Which index serves which query, and what that query would do without it.
//!
//! The queries are the server's own: a server does everything once, and the database logs its queries.

mod acts;
mod fill;
mod log;
mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use boxoffice_rush::plot::grouped;
use mysql_async::{Conn, prelude::Queryable};

use self::{
    acts::{Asked, Recorder},
    fill::Size,
    plan::Plan,
};
use crate::{
    Bench,
    rows::growth::counted,
    server::{self, Backend, Store},
    world::World,
};

const SIZE: Size = Size { seats: 1_000_000, accounts: 20_000, concerts: 2_000 };
const SIZE_SMOKE: Size = Size { seats: 45_000, accounts: 1_000, concerts: 100 };
/// A table with fewer rows may as well be read whole.
const ROWS_FEW: u64 = 50;
/// A query that reads more rows is listed.
const ROWS_MANY: u64 = 1_000;
/// The purpose of queries that read every row.
const AUDIT: &str = "`boxoffice audit`";
/// The most characters that are shown of a query.
const SHOWN_CHARACTERS_MAX: usize = 300;
/// The most characters that are shown of its list of columns.
const COLUMNS_CHARACTERS_MAX: usize = 40;

/// A query, how it goes, and how it goes without each index that it uses.
struct Examined {
    shape: String,
    asked: Asked,
    with: Plan,
    without: Vec<(String, Plan)>,
}

impl Examined {
    fn inserts(&self) -> bool {
        self.shape.starts_with("INSERT ")
    }

    fn audits(&self) -> bool {
        self.asked.purposes == [AUDIT]
    }

    fn purposes(&self) -> String {
        self.asked.purposes.join(", ")
    }
}

/// An index of the schema.
struct Index {
    table: String,
    name: String,
    columns: String,
    unique: bool,
}

/// The report, as Markdown.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<String> {
    let store = Store::start(Backend::MySql, bench).await?;
    let settings = [
        ("hold_seconds", acts::HOLD_SECONDS),
        ("charge_retry_seconds", "1"),
        ("gateway_timeout_milliseconds", "200"),
        ("gateway_scripted_by_amount", "true"),
    ];
    let mut world = World::prepare(bench, &store, "indexes", bench.shape(2), &settings).await?;
    let mut connection = server::connect(&world.server.database_url).await?;
    let size = if bench.smoke { SIZE_SMOKE } else { SIZE };
    fill::fill(&mut connection, &world, size).await?;
    let mut recorder = Recorder::start(&world.server.database_url).await?;
    acts::all(&mut world, &bench.binary, &mut recorder).await?;
    let asked = recorder.stop().await?;
    world.server.stop().await?;
    plan::prepare(&mut connection).await?;
    let indexes = indexes(&mut connection).await?;
    let sizes = sizes(&mut connection).await?;
    let examined = examine(&mut connection, asked, &indexes).await?;
    connection.disconnect().await?;
    Ok(Report { setting: store.described, sizes, indexes, examined }.markdown())
}

async fn indexes(connection: &mut Conn) -> anyhow::Result<Vec<Index>> {
    let read = "SELECT TABLE_NAME, INDEX_NAME, CAST(GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX SEPARATOR ', ') AS CHAR), \
                MAX(NON_UNIQUE) = 0 FROM information_schema.STATISTICS \
                WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> '__diesel_schema_migrations' \
                GROUP BY TABLE_NAME, INDEX_NAME ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME";
    let rows: Vec<(String, String, String, bool)> = connection.query(read).await?;
    Ok(rows.into_iter().map(|(table, name, columns, unique)| Index { table, name, columns, unique }).collect())
}

async fn sizes(connection: &mut Conn) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for table in fill::TABLES {
        let rows: Option<u64> = connection.query_first(format!("SELECT COUNT(*) FROM `{table}`")).await?;
        sizes.insert(table.to_owned(), rows.unwrap_or_default());
    }
    Ok(sizes)
}

/// Looks at each query with all indexes, and then without one index after the other.
async fn examine(
    connection: &mut Conn,
    asked: BTreeMap<String, Asked>,
    indexes: &[Index],
) -> anyhow::Result<Vec<Examined>> {
    let mut examined = Vec::with_capacity(asked.len());
    for (shape, asked) in asked {
        let with = plan::of(connection, &asked.sql).await?;
        examined.push(Examined { shape, asked, with, without: Vec::new() });
    }
    for index in indexes.iter().filter(|index| index.name != "PRIMARY") {
        let using = examined.iter_mut().filter(|query| !query.inserts() && query.with.uses(&index.name));
        let using: Vec<_> = using.collect();
        if using.is_empty() {
            continue;
        }
        plan::set_visible(connection, &index.table, &index.name, false).await?;
        let result = examine_without(connection, using, &index.name).await;
        plan::set_visible(connection, &index.table, &index.name, true).await?;
        result?;
    }
    Ok(examined)
}

async fn examine_without(connection: &mut Conn, using: Vec<&mut Examined>, index: &str) -> anyhow::Result<()> {
    for query in using {
        // An index that cannot be seen cannot be asked for by name either.
        let sql = query.asked.sql.replace(&format!(" FORCE INDEX ({index})"), "");
        query.without.push((index.to_owned(), plan::of(connection, &sql).await?));
    }
    Ok(())
}

struct Report {
    setting: String,
    sizes: BTreeMap<String, u64>,
    indexes: Vec<Index>,
    examined: Vec<Examined>,
}

impl Report {
    fn markdown(mut self) -> String {
        // Queries that buyers wait for come first.
        self.examined.sort_by_key(|query| (query.inserts(), query.audits(), query.shape.clone()));
        let mut text = String::from("# Indexes\n\n");
        let _ = writeln!(
            text,
            "Made by `boxoffice-bench --only indexes`. {}; everything in memory.\n\n\
             A server was made to do everything that it can do on a database of this size, and the queries are those \
             that the database logged meanwhile. Each was explained and run as it was logged, with the longest list of \
             its kind, and again with each secondary index hidden that it had used. Rows are those that the database \
             counted while it ran the query (`Handler_read_*`), times the median of five runs with their answers. \
             What changes rows was only explained. A primary key cannot be hidden: it is the order of the table. One \
             buyer, who asks for the lists, has thousands of paid and cancelled reservations.\n",
            self.setting
        );
        text.push_str("| table | rows |\n| --- | ---: |\n");
        for (table, rows) in &self.sizes {
            let _ = writeln!(text, "| `{table}` | {} |", counted(usize::try_from(*rows).unwrap_or(usize::MAX)));
        }
        self.write_indexes(&mut text);
        self.write_scans(&mut text);
        self.write_queries(&mut text);
        text
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Examined)> {
        self.examined.iter().enumerate().map(|(index, query)| (index + 1, query))
    }

    fn write_indexes(&self, text: &mut String) {
        text.push_str(
            "\n## Indexes, and the queries that use them\n\n| index | columns | queries |\n| --- | --- | --- |\n",
        );
        for index in &self.indexes {
            let reads = |query: &Examined| {
                let aliases =
                    query.with.steps.iter().filter(|step| step.table == index.table || index.name != "PRIMARY");
                !query.inserts() && aliases.flat_map(|step| &step.keys).any(|key| *key == index.name)
            };
            let using: Vec<_> =
                self.numbered().filter(|(_, query)| reads(query)).map(|(number, _)| number.to_string()).collect();
            let queries = match (using.is_empty(), index.unique) {
                (false, _) => using.join(", "),
                (true, true) => "none reads it; it refuses what would be there twice".to_owned(),
                (true, false) => "**none**".to_owned(),
            };
            let unique = if index.unique { ", unique" } else { "" };
            let _ = writeln!(text, "| `{}.{}`{unique} | {} | {queries} |", index.table, index.name, index.columns);
        }
    }

    fn write_scans(&self, text: &mut String) {
        text.push_str(
            "\n## Queries that read a whole table or index, or many rows\n\nThe audit is not among them: it checks every \
             row. A page in the order of a key counts as the whole key, and stops where the page is full.\n\n",
        );
        let large = |table: &str| self.sizes.get(table).is_none_or(|rows| *rows > ROWS_FEW);
        let mut scans = String::new();
        for (number, query) in self.numbered().filter(|(_, query)| !query.audits() && !query.inserts()) {
            let scanned = query.with.steps.iter().filter(|step| step.scans() && large(&step.table));
            let tables: BTreeSet<_> = scanned.map(|step| format!("`{}`", step.table)).collect();
            let rows = query.with.rows_read.unwrap_or_default();
            if !tables.is_empty() || rows > ROWS_MANY {
                let of = tables.into_iter().collect::<Vec<_>>().join(", ");
                let of = if of.is_empty() { "a range".to_owned() } else { format!("the whole of {of}") };
                let rows = counted(usize::try_from(rows).unwrap_or(usize::MAX));
                let _ = writeln!(scans, "- {number}, for {}: {of}, {rows} rows read", query.purposes());
            }
        }
        text.push_str(if scans.is_empty() { "None.\n" } else { &scans });
    }

    fn write_queries(&self, text: &mut String) {
        text.push_str(
            "\n## Queries\n\n| | query | asked for | plan | rows | ms | without | plan | rows | ms |\n\
             | ---: | --- | --- | --- | ---: | ---: | --- | --- | ---: | ---: |\n",
        );
        for (number, query) in self.numbered().filter(|(_, query)| !query.inserts()) {
            let shown = shortened(&query.shape);
            let with = columns(&query.with);
            let _ = write!(text, "| {number} | `{shown}` | {} | {with} |", query.purposes());
            if query.without.is_empty() {
                text.push_str(" | | | |\n");
            }
            for (index, (name, plan)) in query.without.iter().enumerate() {
                let first = if index > 0 { "| | | | | | |" } else { "" };
                let _ = writeln!(text, "{first} `{name}` | {} |", columns(plan));
            }
        }
        text.push_str("\n## Inserts\n\n| | statement | for |\n| ---: | --- | --- |\n");
        for (number, query) in self.numbered().filter(|(_, query)| query.inserts()) {
            let _ = writeln!(text, "| {number} | `{}` | {} |", query.shape, query.purposes());
        }
    }
}

/// Plan, rows and milliseconds, as columns of a table.
fn columns(plan: &Plan) -> String {
    let steps: Vec<_> = plan.steps.iter().map(plan::Step::text).collect();
    let rows = plan.rows_read.map(|rows| counted(usize::try_from(rows).unwrap_or(usize::MAX))).unwrap_or_default();
    let took = match plan.took {
        _ if plan.broken_off => "broken off".to_owned(),
        Some(took) => grouped(took.as_secs_f64() * 1e3),
        None => String::new(),
    };
    format!("{} | {rows} | {took}", steps.join("<br>"))
}

/// What follows the definitions of a `WITH`.
fn without_definitions(shape: &str) -> &str {
    if !shape.starts_with("WITH ") {
        return shape;
    }
    let mut depth = 0_usize;
    for (at, letter) in shape.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            'S' if depth == 0 && shape[at..].starts_with("SELECT ") => return &shape[at..],
            _ => {}
        }
    }
    shape
}

/// A query as it is shown: without the definitions of a `WITH`, and without a long list of columns.
fn shortened(shape: &str) -> String {
    let mut text = without_definitions(shape).replace('|', "\\|");
    if let (Some("SELECT "), Some(from)) = (text.get(..7), text.find(" FROM "))
        && from > COLUMNS_CHARACTERS_MAX
    {
        text.replace_range(7..from, "…");
    }
    if text.chars().count() > SHOWN_CHARACTERS_MAX {
        text = text.chars().take(SHOWN_CHARACTERS_MAX).chain("…".chars()).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_shown_without_what_it_defines() {
        let asked = "WITH a AS (SELECT b FROM c JOIN d(e, ?) AS f), g AS (SELECT h FROM i) SELECT j FROM a WHERE k = ?";
        assert_eq!(shortened(asked), "SELECT j FROM a WHERE k = ?");
        assert_eq!(shortened("SELECT j FROM a"), "SELECT j FROM a");
    }
}
