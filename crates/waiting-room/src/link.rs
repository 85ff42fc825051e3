//! The connection to Redis: scripts, commands, and channels. It knows nothing of what they are used for.
//!
//! A lost connection is made again in the background; until then every command fails at once.

mod listen;
mod reply;
mod script;
mod url;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::StorageError;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{sleep, timeout},
};

use self::url::Connection;

pub use self::url::RedisUrl;
pub(crate) use self::{
    listen::Listener,
    reply::{MICROS_MAX, Reply, damaged, micros, texts},
    script::{Argument, Kind, Script, argument, arguments, fields},
};

/// How many commands may be under way at once. Further ones are refused.
const IN_FLIGHT_MAX: usize = 8_192;
/// How long to wait after the first failure to connect; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The metrics of the connection.
const CONNECTED: &str = "boxoffice_redis_connected";
const FAILURES: &str = "boxoffice_redis_failures_total";
const FAILURE_REASONS: [&str; 4] = ["busy", "away", "late", "redis"];

/// The connection to Redis.
pub(crate) struct Link {
    url: RedisUrl,
    connect_timeout: Duration,
    command_timeout: Duration,
    /// The present connection and its number; none while Redis is away.
    connected: watch::Sender<Option<(u64, Connection)>>,
    connections: AtomicU64,
    lost: Notify,
    in_flight: Semaphore,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(url: RedisUrl, connect_timeout: Duration, command_timeout: Duration) -> Self {
        Self {
            url,
            connect_timeout,
            command_timeout,
            connected: watch::Sender::new(None),
            connections: AtomicU64::new(0),
            lost: Notify::new(),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connected.borrow().is_some()
    }

    /// Waits until there is a connection.
    pub(crate) async fn up(&self) {
        // This link holds the sender, so that waiting cannot fail.
        let _ = self.connected.subscribe().wait_for(Option::is_some).await;
    }

    /// Connects, and connects again whenever the connection is lost. Never ends.
    pub(crate) async fn keep_connected(self: Arc<Self>) {
        let mut failures: u32 = 0;
        metrics::gauge!(CONNECTED).set(0);
        for reason in FAILURE_REASONS {
            metrics::counter!(FAILURES, "reason" => reason).absolute(0);
        }
        loop {
            match self.connect().await {
                Ok(connection) => {
                    if failures > 0 {
                        tracing::info!(redis = %self.url, failures, "connected to Redis again");
                    }
                    failures = 0;
                    let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
                    self.connected.send_replace(Some((number, connection)));
                    metrics::gauge!(CONNECTED).set(1);
                    while self.is_up() {
                        self.lost.notified().await;
                    }
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(redis = %self.url, error, "Redis cannot be reached");
                    }
                    failures = failures.saturating_add(1);
                    sleep(PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures - 1)).min(PAUSE_MAX)).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let attempt = async {
            let mut connection = self.url.connect(self.connect_timeout, self.command_timeout).await?;
            // A server that accepts connections and does not answer is away.
            query(&mut connection, &redis::cmd("PING")).await?;
            Ok(connection)
        };
        match timeout(self.connect_timeout, attempt).await {
            Ok(connected) => connected.map_err(|error: RedisError| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Runs a script, and loads it if Redis does not know it. `None` if the script replies with nothing.
    pub(crate) async fn run<A: Argument>(
        &self,
        script: &Script<A>,
        keys: &[String],
        arguments: &A,
    ) -> Result<Option<Reply>, StorageError> {
        let mut values = Vec::new();
        arguments.values(&mut values);
        let replied = match self.send(&script.by_hash(keys, &values)).await {
            Err(error) if error.kind() == Some(ErrorKind::Server(ServerErrorKind::NoScript)) => {
                self.send(&script.by_text(keys, &values)).await
            }
            replied => replied,
        };
        Reply::read(replied.map_err(counted)?)
    }

    /// Sends one command.
    pub(crate) async fn query(&self, command: &Cmd) -> Result<Value, StorageError> {
        self.send(command).await.map_err(counted)
    }

    async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let _permit = self.in_flight.try_acquire().map_err(|_| Failure::Busy)?;
        let connected = self.connected.borrow().clone();
        let Some((number, mut connection)) = connected else { return Err(Failure::Away) };
        let answer = match timeout(self.command_timeout, query(&mut connection, command)).await {
            Ok(answer) => answer.map_err(Failure::Redis),
            Err(_) => Err(Failure::Late),
        };
        if let Err(failure) = &answer
            && matches!(connection, Connection::One(_))
            && failure.is_of_the_connection()
        {
            self.lose(number, failure);
        }
        answer
    }

    /// Gives a connection up. A cluster's is kept: it mends itself, and the other nodes go on.
    fn lose(&self, number: u64, failure: &Failure) {
        let is_it = |connected: &mut Option<(u64, Connection)>| {
            let is_it = connected.as_ref().is_some_and(|(present, _)| *present == number);
            if is_it {
                *connected = None;
            }
            is_it
        };
        if self.connected.send_if_modified(is_it) {
            metrics::gauge!(CONNECTED).set(0);
            tracing::warn!(redis = %self.url, error = %failure, "the connection to Redis is lost");
            self.lost.notify_one();
        }
    }
}

async fn query(connection: &mut Connection, command: &Cmd) -> Result<Value, RedisError> {
    match connection {
        Connection::One(connection) => command.query_async(connection).await,
        Connection::Cluster(connection) => command.query_async(connection).await,
    }
}

fn counted(failure: Failure) -> StorageError {
    metrics::counter!(FAILURES, "reason" => failure.reason()).increment(1);
    failure.into()
}

/// Why a command was not answered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("too many commands are under way")]
    Busy,
    #[error("there is no connection to Redis")]
    Away,
    #[error("Redis did not answer in time")]
    Late,
    #[error(transparent)]
    Redis(RedisError),
}

impl Failure {
    /// One of [`FAILURE_REASONS`].
    fn reason(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Away => "away",
            Self::Late => "late",
            Self::Redis(_) => "redis",
        }
    }

    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Redis(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether another connection may do better.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Redis(error) => {
                error.is_io_error()
                    || error.is_unrecoverable_error()
                    || self.kind() == Some(ErrorKind::Server(ServerErrorKind::ReadOnly))
            }
            Self::Busy | Self::Away => false,
        }
    }

    /// Whether trying again later may do better.
    fn is_passing(&self) -> bool {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, TryAgain};
        let passing = |kind| matches!(kind, ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | TryAgain));
        let Self::Redis(error) = self else { return true };
        self.is_of_the_connection()
            || passing(error.kind())
            || error.is_cluster_error()
            || matches!(error.code(), Some("OOM" | "BUSY" | "NOREPLICAS" | "MISCONF"))
            || error.kind() == ErrorKind::ClusterConnectionNotFound
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            failure if failure.is_passing() => Self::Unavailable(failure.into()),
            failure => Self::Failed(failure.into()),
        }
    }
}
