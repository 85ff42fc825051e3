//! The ports of boxoffice over SQL: SQLite as the embedded default, MySQL and MariaDB for more.
//!
//! Both backends are compiled from one source. `mysql` and `sqlite` are short heads: the type of the
//! connection, the migrations, the dialect. Each mounts the same tree `sql/`, in which a capability has the
//! file name that it has in every crate. Which one serves is chosen by the database URL.
//!
//! Writes that buyers wait for are grouped into batches: see `write_lanes` for how they come together, and `sql/batch.rs`
//! for how a batch is loaded, decided and saved. Seat maps are shown from memory: see `seat_cache`. So are searches: see
//! `concert_finder`. What other processes change of either is noticed by `catalog_watch`.

#![expect(clippy::duplicate_mod, reason = "both backends are compiled from one source")]

mod catalog_watch;
mod concert_finder;
mod copy;
mod holds_ended;
mod mysql;
mod row;
mod schema;
mod seat_cache;
mod sqlite;
mod statement;
mod stored;
mod write_lanes;

use std::{path::Path, sync::Arc, time::Duration};

use boxoffice_domain::{
    AccountId, Clock, EntropySource,
    accounts::{AccountEmails, AccountRecords, Accounts, PasswordResets, SecondFactors, Sessions},
    audit::{Audit, Readiness},
    catalog::{Catalog, CatalogImport},
    events::{EventLog, Outbox},
    gateway::GatewayInbox,
    history::History,
    mail::MailQueue,
    maintenance::Maintenance,
    payments::Payments,
    reservations::Reservations,
    retention::Retention,
    wallet::Wallets,
    webhooks::{WebhookDeliveries, Webhooks},
};
use boxoffice_peers::{Peers, leases::Leases};
use url::form_urlencoded;

pub use crate::copy::{CopiedTable, CopyError};
use crate::{concert_finder::ConcertFinder, seat_cache::SeatCache, write_lanes::WriteLanes};

/// How the storage is used.
#[derive(Clone, Debug)]
pub struct PersistenceSettings {
    /// How many write lanes there are, each with one batch at a time. SQLite, which has one writer, has one.
    pub lanes: usize,
    /// How many commands a batch should have: a write lane takes commands only if this many wait in each lane before it.
    /// More batches at once are smaller, and each command pays more of the fixed cost.
    pub batch_commands_wanted: usize,
    /// The most commands of one batch.
    pub batch_commands_max: usize,
    /// The most commands that wait in one write lane; more are refused as busy.
    pub lane_waiting_max: usize,
    /// The most connections for reading. Writing has one for each write lane and a few more; on SQLite it has one.
    pub connections_max: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How often a batch is retried after a lost connection. After a deadlock it is retried for five seconds.
    pub retry_max: u32,
    /// How long ago the seats of a performance may have been read that are shown, in what other processes have
    /// done to them; what this one does is always shown. Zero keeps no seats in memory.
    pub seats_age_max: Duration,
    /// How long ago it may have been looked, when concerts are searched, whether another process has changed any. A look
    /// is one small query for all searches of that time.
    pub searches_age_max: Duration,
    /// The most bytes of the descriptions of concerts that are kept in memory for searches. Those beyond are read for each
    /// page that shows them.
    pub descriptions_bytes_max: usize,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names no known kind of database.
    #[error("a database is `sqlite://PATH` or `mysql://USER:PASSWORD@HOST:PORT/NAME`")]
    UnknownKind,
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema cannot be changed.
    #[error("the database's schema cannot be migrated")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ConnectError {
    fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreachable(error.into())
    }
}

/// Every port that stores in a database.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type names")]
pub struct Database {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub records: Arc<dyn AccountRecords>,
    pub factors: Arc<dyn SecondFactors>,
    pub emails: Arc<dyn AccountEmails>,
    pub resets: Arc<dyn PasswordResets>,
    pub catalog: Arc<dyn Catalog>,
    pub import: Arc<dyn CatalogImport>,
    pub reservations: Arc<dyn Reservations>,
    pub payments: Arc<dyn Payments>,
    pub wallets: Arc<dyn Wallets>,
    pub gateway_inbox: Arc<dyn GatewayInbox>,
    pub outbox: Arc<dyn Outbox>,
    pub event_log: Arc<dyn EventLog>,
    pub history: Arc<dyn History>,
    pub audit: Arc<dyn Audit>,
    pub readiness: Arc<dyn Readiness>,
    pub leases: Arc<dyn Leases>,
    pub maintenance: Arc<dyn Maintenance>,
    pub mails: Arc<dyn MailQueue>,
    pub retention: Arc<dyn Retention>,
    pub webhooks: Arc<dyn Webhooks>,
    pub webhook_deliveries: Arc<dyn WebhookDeliveries>,
    lanes: WriteLanes,
    seat_cache: Arc<SeatCache>,
    finder: Arc<ConcertFinder>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// From now on publishes what is done to seats here, under [`Topic::Seats`](boxoffice_peers::Topic::Seats).
    pub fn publish_to(&self, peers: Arc<dyn Peers>) {
        self.seat_cache.publish_to(peers);
    }

    /// Applies what a peer has published under [`Topic::Seats`](boxoffice_peers::Topic::Seats), so that seat maps show it.
    /// Returns the accounts whose requests these were.
    pub fn apply_seats(&self, text: &str) -> Vec<AccountId> {
        self.seat_cache.apply_published(text)
    }

    /// Has every seat map read again: announcements may have been missed.
    pub fn forget_seats(&self) {
        self.seat_cache.forget_all();
    }

    /// Applies what a peer has published under [`Topic::Catalog`](boxoffice_peers::Topic::Catalog), so that searches show
    /// it: the id of the concert that has changed. Any other text stands for a change of any concert.
    pub fn apply_catalog(&self, text: &str) {
        self.finder.mark(text.parse().ok());
    }

    /// Accepts no more writes, and waits until the accepted ones are answered.
    pub async fn shutdown(&self) {
        self.lanes.shutdown().await;
    }
}

/// The parameter of a URL that names the file of an authority.
const CA_FILE: &str = "ca_file";

/// The URL of a MySQL or MariaDB server, to which every connection uses TLS, and which has to show a certificate of the
/// authority in this file (PEM or DER) for its name.
pub fn with_ca_file(url: &str, path: &Path) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    let path = form_urlencoded::byte_serialize(path.as_os_str().as_encoded_bytes());
    format!("{url}{separator}{CA_FILE}={}", path.collect::<String>())
}

/// The kinds of databases.
enum Kind {
    Mysql,
    Sqlite,
}

/// The kind of a database, and the URL as its driver takes it.
fn parse(url: &str) -> Result<(Kind, String), ConnectError> {
    if url.starts_with("mysql://") {
        return Ok((Kind::Mysql, url.to_owned()));
    }
    match url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
        Some(path) if !path.is_empty() => Ok((Kind::Sqlite, path.to_owned())),
        _ => Err(ConnectError::UnknownKind),
    }
}

/// Opens a database whose schema is up to date. Needs a Tokio runtime of several threads.
pub async fn connect(
    url: &str,
    settings: PersistenceSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
) -> Result<Database, ConnectError> {
    match parse(url)? {
        (Kind::Mysql, url) => mysql::connect(url, settings, clock, entropy).await,
        (Kind::Sqlite, url) => sqlite::connect(url, settings, clock, entropy).await,
    }
}

/// What there is at the address of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The name and the version of the server.
    pub server: String,
    /// The newest migration that was applied; `None` if the database is empty.
    pub schema: Option<String>,
    /// The newest migration that this build has.
    pub needed: String,
    /// Whether the user has the privilege to see which transactions keep locks (`PROCESS`). An instance needs it to end the
    /// transactions of an instance that stands still.
    pub may_see_locks: bool,
}

/// Looks what there is. Makes nothing, except for the file of an embedded database that is missing.
pub async fn inspect(url: &str) -> Result<Inspection, ConnectError> {
    match parse(url)? {
        (Kind::Mysql, url) => mysql::inspect(url).await,
        (Kind::Sqlite, url) => sqlite::inspect(url).await,
    }
}

/// Copies all rows of a database into another one with the same schema, which is empty or has a part of them from an earlier
/// call that was interrupted. Nothing may change either meanwhile. Calls `progress` after each table.
pub async fn copy(
    from: &str,
    to: &str,
    progress: &mut (dyn FnMut(&CopiedTable) + Send),
) -> Result<Vec<CopiedTable>, CopyError> {
    let (mut from, mut to) = (end(from).await?, end(to).await?);
    copy::copy(from.as_mut(), to.as_mut(), progress).await
}

async fn end(url: &str) -> Result<Box<dyn copy::End>, ConnectError> {
    match parse(url)? {
        (Kind::Mysql, url) => mysql::connect_end(url).await,
        (Kind::Sqlite, url) => sqlite::connect_end(url).await,
    }
}

/// Brings the schema up to date, and returns the names of the migrations that were missing.
pub async fn migrate(url: &str) -> Result<Vec<String>, ConnectError> {
    match parse(url)? {
        (Kind::Mysql, url) => mysql::migrate(url).await,
        (Kind::Sqlite, url) => sqlite::migrate(url).await,
    }
}

/// Reverts the last `migrations_count` migrations, and returns their names, the last one first.
pub async fn migrate_down(url: &str, migrations_count: usize) -> Result<Vec<String>, ConnectError> {
    match parse(url)? {
        (Kind::Mysql, url) => mysql::migrate_down(url, migrations_count).await,
        (Kind::Sqlite, url) => sqlite::migrate_down(url, migrations_count).await,
    }
}
