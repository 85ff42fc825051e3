//! Private database servers for tests: own port, own data folder, stopped by their process id.
//!
//! A test that only needs a database calls [`fresh_database`]. A test that stops or kills its server starts one of its
//! own with [`DatabaseServer::start`]. The servers are fetched by `tests/servers/install` and each is held by a process
//! of `tests/servers/keep`, which ends it when the process of the tests ends, in whatever way that happens.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxoffice_domain::EntropySource;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use boxoffice_domain::fixtures::TestEntropy;

mod redis;
mod redis_monitor;

pub use redis::{RedisCluster, RedisServer};
pub use redis_monitor::{RedisMonitor, RedisStep};

const READY_SECONDS_MAX: u64 = 60;
const POLL_MILLISECONDS: u64 = 20;
const START_ATTEMPTS_MAX: usize = 5;

/// Below the ports that systems hand out to outgoing connections (from 32768 on): while a server is down, no client
/// of a stampede can happen to take its port.
const PORT_FIRST: u16 = 20_000;
const PORT_COUNT: u16 = 12_000;

/// A make of database server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ServerKind {
    /// `MariaDB`, the one of the Debian release.
    MariaDb,
    /// Real `MySQL`, which differs in more than its name.
    MySql,
}

impl ServerKind {
    /// Every kind, for tests that run on each.
    pub const ALL: [Self; 2] = [Self::MariaDb, Self::MySql];

    /// The name that the scripts in `tests/servers` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The environment variable that names a running server to use instead of a private one.
    pub fn variable(self) -> &'static str {
        match self {
            Self::MariaDb => "TEST_MARIADB_URL",
            Self::MySql => "TEST_MYSQL_URL",
        }
    }

    /// Whether a test can count on a private server of this kind, to stop and to kill.
    ///
    /// False only where the environment names a server and none was fetched: then there is just that one, and it is
    /// not ours to stop. A kind that was forgotten counts as startable, so that its absence fails the test.
    pub fn can_be_started(self) -> bool {
        self.external_url().is_none()
            || Command::new(scripts().join("keep"))
                .args([self.name(), "--check"])
                .status()
                .is_ok_and(|status| status.success())
    }

    fn external_url(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|url| !url.is_empty())
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A database server, private to this process unless the environment names one.
#[derive(Debug)]
pub struct DatabaseServer {
    kind: ServerKind,
    address: Address,
    /// None for a server that the environment names: it is not ours to stop.
    keeper: Option<Arc<Mutex<Keeper>>>,
}

impl DatabaseServer {
    /// Starts a private server with an empty data folder and waits until it answers.
    ///
    /// Its defaults are hostile on purpose: the time zone is not UTC and the SQL mode is not strict.
    pub async fn start(kind: ServerKind) -> io::Result<Self> {
        Self::start_with(kind, &[]).await
    }

    /// As [`Self::start`], with further options of the server's command line.
    pub async fn start_with(kind: ServerKind, options: &[&str]) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS_MAX {
            let port = free_port()?;
            let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
            match Self::start_at(kind, kind.name(), port, options).await {
                Ok(server) => return Ok(server),
                // Another process may have taken the port in the meantime.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// As [`Self::start`], on this port and as the scripts in `tests/servers` name it.
    pub(crate) async fn start_at(
        kind: ServerKind,
        name: &'static str,
        port: u16,
        options: Vec<String>,
    ) -> io::Result<Self> {
        let keeper = blocking(move || Keeper::new(name, port, &options)).await?;
        let server = Self { kind, address: Address::private(port), keeper: Some(Arc::new(Mutex::new(keeper))) };
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
                Some(url) => Ok(Self { kind, address: Address::external(&url)?, keeper: None }),
                None => Self::start(kind).await,
            }
        })
        .await
    }

    /// The make of this server.
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Whether this server is ours, to stop and to kill, and not one that the environment names.
    pub fn is_private(&self) -> bool {
        self.keeper.is_some()
    }

    /// The URL of a database of this server, with user and password.
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// Creates an empty database with the defaults of the server.
    pub async fn create_database(&self, name: &str) -> io::Result<()> {
        self.execute(&format!("CREATE DATABASE `{name}`")).await
    }

    /// Removes a database.
    pub async fn drop_database(&self, name: &str) -> io::Result<()> {
        self.execute(&format!("DROP DATABASE IF EXISTS `{name}`")).await
    }

    /// Asks the server to shut down (SIGTERM) and waits until it is gone. The data stays.
    pub async fn stop(&self) -> io::Result<()> {
        self.ask("stop").await.map(drop)
    }

    /// Kills the server (SIGKILL) and waits until it is gone. The data stays as it was at that instant.
    pub async fn kill(&self) -> io::Result<()> {
        self.ask("kill").await.map(drop)
    }

    /// Starts the server again over the same data and on the same port, and waits until it answers.
    pub async fn start_again(&self) -> io::Result<()> {
        self.ask("start").await?;
        let folder = self.ask("folder").await?;
        timeout(Duration::from_secs(READY_SECONDS_MAX), self.ready(&folder)).await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{} did not answer within {READY_SECONDS_MAX} s", self.kind),
            ))
        })
    }

    /// Waits until this very server answers a query; whatever else may listen on the port does not count.
    async fn ready(&self, folder: &str) -> io::Result<()> {
        loop {
            if let Ok(found) = self.data_folder().await {
                return if Path::new(&found) == Path::new(folder) {
                    Ok(())
                } else {
                    Err(io::Error::new(io::ErrorKind::AddrInUse, "another server has taken the port"))
                };
            }
            if self.ask("alive").await? == "dead" {
                return Err(io::Error::other(format!(
                    "{} ended while it started; its last words are above",
                    self.kind
                )));
            }
            sleep(Duration::from_millis(POLL_MILLISECONDS)).await;
        }
    }

    async fn data_folder(&self) -> io::Result<String> {
        let mut connection = self.connect().await?;
        let folder: Option<String> = connection.query_first("SELECT @@datadir").await.map_err(io::Error::other)?;
        connection.disconnect().await.map_err(io::Error::other)?;
        folder.ok_or_else(|| io::Error::other("a server without a data folder"))
    }

    async fn execute(&self, statement: &str) -> io::Result<()> {
        let mut connection = self.connect().await?;
        connection.query_drop(statement).await.map_err(io::Error::other)?;
        connection.disconnect().await.map_err(io::Error::other)
    }

    async fn connect(&self) -> io::Result<Conn> {
        let options = Opts::from_url(&self.url("")).map_err(io::Error::other)?;
        Conn::new(options).await.map_err(io::Error::other)
    }

    async fn ask(&self, request: &'static str) -> io::Result<String> {
        let Some(keeper) = self.keeper.clone() else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the server that {} names is not ours to start or stop", self.kind.variable()),
            ));
        };
        blocking(move || keeper.lock().unwrap_or_else(PoisonError::into_inner).ask(request)).await
    }
}

/// An empty database of its own for one test, on the [shared](DatabaseServer::shared) server.
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
    /// Where to connect, with user, password and name.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that it is on.
    pub fn server(&self) -> &'static DatabaseServer {
        self.server
    }

    /// Removes the database. A private server takes its databases with it; one that outlives the tests does not.
    pub async fn remove(self) -> io::Result<()> {
        self.server.drop_database(&self.name).await
    }
}

/// Where a server is, before and after the name of a database.
#[derive(Debug)]
struct Address {
    base: String,
    query: String,
}

impl Address {
    fn private(port: u16) -> Self {
        // The user that tests/servers/install creates.
        Self { base: format!("mysql://boxoffice:boxoffice@127.0.0.1:{port}"), query: String::new() }
    }

    /// Takes the URL of a server apart; a database in it is ignored.
    fn external(url: &str) -> io::Result<Self> {
        let refusal =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("not the URL of a database server: {url}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(refusal)?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, format!("?{query}")),
            None => (rest, String::new()),
        };
        let authority = rest.split('/').next().filter(|authority| !authority.is_empty()).ok_or_else(refusal)?;
        Ok(Self { base: format!("{scheme}://{authority}"), query })
    }

    fn url(&self, database: &str) -> String {
        format!("{}/{database}{}", self.base, self.query)
    }
}

/// The process of `tests/servers/keep` that holds one server.
struct Keeper {
    process: Child,
    /// Taken when it is to end: the end of this input ends the server.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    fn new(name: &str, port: u16, options: &[String]) -> io::Result<Self> {
        let mut process = Command::new(scripts().join("keep"))
            .arg(name)
            .arg(port.to_string())
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = process.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        Ok(Self { requests: process.stdin.take(), answers: BufReader::new(answers), process })
    }

    fn ask(&mut self, request: &str) -> io::Result<String> {
        // A keeper that refused at once has closed its input and said why: the answer tells more than the write.
        let asked = self.requests.as_mut().map(|requests| writeln!(requests, "{request}"));
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end() {
            "" => Err(match asked {
                Some(Err(error)) => error,
                _ => io::Error::other("the keeper of the server has ended"),
            }),
            answer => match answer.strip_prefix("failed ") {
                Some(reason) => Err(io::Error::other(reason.to_owned())),
                None => Ok(answer.to_owned()),
            },
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keeper").field("process", &self.process.id()).finish_non_exhaustive()
    }
}

impl Drop for Keeper {
    /// Ends the server, and returns once it and its data folder are gone.
    fn drop(&mut self) {
        drop(self.requests.take());
        // There is nobody left to tell about a failure.
        let _ = self.process.wait();
    }
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers")
}

/// A port of the loopback interface that nobody listens on now, and that no outgoing connection is given.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start together begin at different ports; neighbours of a process id are far apart.
    let first = u64::from(std::process::id()) * 97 % u64::from(PORT_COUNT);
    for _ in 0..PORT_COUNT {
        let offset = first + u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORT_FIRST + u16::try_from(offset % u64::from(PORT_COUNT)).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port on the loopback interface"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_external_url_keeps_its_user_and_options_and_loses_its_database() {
        let address = Address::external("mysql://a:b@host:3306/other?require_ssl=true").unwrap();
        assert_eq!(address.url("mine"), "mysql://a:b@host:3306/mine?require_ssl=true");
        assert_eq!(Address::external("mysql://host").unwrap().url("mine"), "mysql://host/mine");
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        assert!(Address::external("localhost:3306").is_err());
        assert!(Address::external("mysql:///").is_err());
    }
}
