//! Private database servers for tests: each has its own port and data folder, and is stopped by its process id.
//!
//! A test that only needs a database calls [`fresh_database`]. A test that stops or kills its server starts one with
//! [`DatabaseServer::start`]. `tests/servers/install` fetches the servers. A process of `tests/servers/keep` holds each,
//! and ends it when the process of the tests ends, however that happens.

use std::{fmt, io, path::Path, process::Command};

use boxoffice_domain::{EntropySource, fixtures::TestEntropy};
use mysql_async::{
    Conn, Opts, Row,
    prelude::{FromRow, Queryable},
};
use tokio::sync::OnceCell;
use url::Url;

mod keeper;
mod redis;
mod redis_monitor;

pub(crate) use keeper::{Keeper, attempts, blocking, until};
pub use keeper::{free_port, scripts};
pub use redis::{RedisCluster, RedisServer};
pub use redis_monitor::{RedisMonitor, RedisStep};

/// A kind of database server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ServerKind {
    /// `MariaDB`, as Debian has it.
    MariaDb,
    /// `MySQL`, which differs in more than its name.
    MySql,
}

impl ServerKind {
    pub const ALL: [Self; 2] = [Self::MariaDb, Self::MySql];

    /// The name that the scripts in `tests/servers` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The environment variable that names a running server to use instead of a private one.
    pub fn variable(self) -> String {
        format!("TEST_{}_URL", self.name().to_uppercase())
    }

    /// Whether a test can start a private server of this kind, to stop and to kill.
    ///
    /// False only if the environment names a server and none was fetched. A kind that was not fetched by mistake counts
    /// as startable, so that its absence fails the test.
    pub fn can_be_started(self) -> bool {
        let is_fetched = || Command::new(scripts().join("keep")).args([self.name(), "--check"]).status();
        self.external_url().is_none() || is_fetched().is_ok_and(|status| status.success())
    }

    fn external_url(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|url| !url.is_empty())
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A database server, private to this process unless the environment names one.
#[derive(Debug)]
pub struct DatabaseServer {
    kind: ServerKind,
    url: Url,
    /// `None` for a server that the environment names, which tests must not stop.
    keeper: Option<Keeper>,
}

impl DatabaseServer {
    /// Starts a private server with an empty data folder and waits until it answers.
    ///
    /// Its defaults are hostile on purpose: the time zone is not UTC and the SQL mode is not strict.
    pub async fn start(kind: ServerKind) -> io::Result<Self> {
        Self::start_with(kind, &[]).await
    }

    /// As [`Self::start`], with further options for the server.
    pub async fn start_with(kind: ServerKind, options: &[&str]) -> io::Result<Self> {
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let options = &options;
        attempts(|| async move { Self::start_at(kind, kind.name(), free_port()?, options).await }).await
    }

    /// As [`Self::start`], on this port; `name` is the kind as the scripts in `tests/servers` call it.
    pub(crate) async fn start_at(
        kind: ServerKind,
        name: &'static str,
        port: u16,
        options: &[String],
    ) -> io::Result<Self> {
        let keeper = Keeper::new(name, port, options).await?;
        // The user that tests/servers/install creates.
        let url = Url::parse(&format!("mysql://boxoffice:boxoffice@127.0.0.1:{port}")).map_err(io::Error::other)?;
        let server = Self { kind, url, keeper: Some(keeper) };
        server.start_again().await?;
        Ok(server)
    }

    /// The server that the environment names, or a private one that every test of this process shares.
    ///
    /// Never stop it: other tests use it.
    pub async fn shared(kind: ServerKind) -> io::Result<&'static Self> {
        static MARIADB: OnceCell<DatabaseServer> = OnceCell::const_new();
        static MYSQL: OnceCell<DatabaseServer> = OnceCell::const_new();
        let cell = match kind {
            ServerKind::MariaDb => &MARIADB,
            ServerKind::MySql => &MYSQL,
        };
        cell.get_or_try_init(|| async {
            match kind.external_url() {
                Some(url) => Ok(Self { kind, url: Url::parse(&url).map_err(io::Error::other)?, keeper: None }),
                None => Self::start(kind).await,
            }
        })
        .await
    }

    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Whether a test may stop and kill this server.
    pub fn is_private(&self) -> bool {
        self.keeper.is_some()
    }

    /// The URL of a database of this server, with user and password.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    pub async fn create_database(&self, name: &str) -> io::Result<()> {
        self.query_first::<Row>(&format!("CREATE DATABASE `{name}`")).await.map(drop)
    }

    /// Asks the server to shut down (SIGTERM) and waits until it is gone. The data stays.
    pub async fn stop(&self) -> io::Result<()> {
        self.keeper()?.ask("stop").await.map(drop)
    }

    /// Kills the server (SIGKILL) and waits until it is gone. The data stays as it was at that instant.
    pub async fn kill(&self) -> io::Result<()> {
        self.keeper()?.ask("kill").await.map(drop)
    }

    /// Stops the server where it is (SIGSTOP): it accepts connections and answers nothing.
    pub async fn pause(&self) -> io::Result<()> {
        self.keeper()?.ask("pause").await.map(drop)
    }

    /// Lets a paused server go on (SIGCONT).
    pub async fn resume(&self) -> io::Result<()> {
        self.keeper()?.ask("resume").await.map(drop)
    }

    /// Starts the server again over the same data and on the same port, and waits until it answers.
    pub async fn start_again(&self) -> io::Result<()> {
        let keeper = self.keeper()?;
        let folder = keeper.start().await?;
        let is_this = || async {
            let found: Option<String> = self.query_first("SELECT @@datadir").await?;
            Ok(found.is_some_and(|found| Path::new(&found) == Path::new(&folder)))
        };
        keeper.until_ready(is_this).await
    }

    /// Runs a statement.
    pub async fn execute(&self, statement: &str) -> io::Result<()> {
        self.query_first::<Row>(statement).await.map(drop)
    }

    /// Runs a statement, and returns its first row.
    pub(crate) async fn query_first<T: FromRow + Send + 'static>(&self, statement: &str) -> io::Result<Option<T>> {
        let options = Opts::from_url(&self.url("")).map_err(io::Error::other)?;
        let mut connection = Conn::new(options).await.map_err(io::Error::other)?;
        let row = connection.query_first(statement).await.map_err(io::Error::other)?;
        connection.disconnect().await.map_err(io::Error::other)?;
        Ok(row)
    }

    fn keeper(&self) -> io::Result<&Keeper> {
        self.keeper.as_ref().ok_or_else(|| {
            let variable = self.kind.variable();
            io::Error::new(io::ErrorKind::Unsupported, format!("tests must not stop the server that {variable} names"))
        })
    }
}

/// An empty database for one test, on the [shared](DatabaseServer::shared) server.
pub async fn fresh_database(kind: ServerKind) -> io::Result<TestDatabase> {
    let server = DatabaseServer::shared(kind).await?;
    let name = format!("boxoffice_test_{}", TestEntropy.uuid().simple());
    server.create_database(&name).await?;
    Ok(TestDatabase { url: server.url(&name), name, server })
}

/// A database that belongs to one test.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    name: String,
    server: &'static DatabaseServer,
}

impl TestDatabase {
    /// The URL of the database, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn server(&self) -> &'static DatabaseServer {
        self.server
    }

    /// Removes the database. A private server takes its databases with it; one that outlives the tests does not.
    pub async fn remove(self) -> io::Result<()> {
        self.server.query_first::<Row>(&format!("DROP DATABASE IF EXISTS `{}`", self.name)).await.map(drop)
    }
}
