//! The connection to Redis: scripts, commands, and channels.
//!
//! A lost connection is made again in the background; until then every command fails at once.

mod listen;
mod reply;
mod script;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use boxoffice_domain::{OutageReason, StorageError};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::url::Connection;

pub use self::url::RedisUrl;
pub use self::{
    listen::Listener,
    reply::{FromReply, MICROS_MAX, Reply, damaged, micros},
    script::{Argument, Kind, Script},
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

/// How Redis is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// What all keys and channels begin with: installations that share a Redis differ in this.
    pub prefix: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
}

/// The present connection and its number; none while Redis is away.
type Connected = Option<(u64, Connection)>;

/// The connection to Redis, which is made in the background until this is dropped.
pub struct Link {
    url: RedisUrl,
    settings: RedisSettings,
    connected: watch::Sender<Connected>,
    in_flight: Semaphore,
    _connecting: JoinSet<()>,
}

/// What Redis says of itself; of a cluster, what one node says. `None` for what it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisInspection {
    /// Its version.
    pub version: Option<String>,
    /// What it does when its memory is full.
    pub maxmemory_policy: Option<String>,
    /// Whether it writes to an append-only file.
    pub appends: Option<bool>,
}

/// All text in a reply.
fn collect_text(value: &Value, text: &mut String) {
    match value {
        Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Value::SimpleString(simple) | Value::VerbatimString { text: simple, .. } => text.push_str(simple),
        Value::Array(values) | Value::Set(values) => values.iter().for_each(|value| collect_text(value, text)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| collect_text(value, text)),
        _ => {}
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Link {
    /// Begins to connect. Does not wait for the connection.
    pub fn open(url: RedisUrl, settings: RedisSettings) -> Arc<Self> {
        metrics::describe_gauge!(CONNECTED, "Whether there is a connection to Redis: 1 or 0.");
        metrics::describe_counter!(FAILURES, "Commands that Redis did not carry out, by reason.");
        let connected = watch::Sender::new(None);
        let mut connecting = JoinSet::new();
        connecting.spawn(keep_connected(url.clone(), settings.clone(), connected.clone()));
        let in_flight = Semaphore::new(IN_FLIGHT_MAX);
        Arc::new(Self { url, settings, connected, in_flight, _connecting: connecting })
    }

    /// What all keys and channels begin with.
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// How long connecting may take.
    pub fn connect_timeout(&self) -> Duration {
        self.settings.connect_timeout
    }

    /// Whether there is a connection at the moment.
    pub fn is_up(&self) -> bool {
        self.connected.borrow().is_some()
    }

    /// Waits until there is a connection.
    pub async fn up(&self) {
        // This link holds the sender, so that waiting cannot fail.
        let _ = self.connected.subscribe().wait_for(Option::is_some).await;
    }

    /// Runs a script, and loads it if Redis does not know it. `None` if the script replies with nothing.
    #[tracing::instrument(level = "debug", name = "redis.script", skip_all, fields(takes = std::any::type_name::<A>()))]
    pub async fn run<A: Argument>(
        &self,
        script: &Script<A>,
        keys: &[String],
        arguments: &A,
    ) -> Result<Option<Reply>, StorageError> {
        let mut values = Vec::new();
        arguments.values(&mut values);
        let replied = match self.send(Request::One(&script.by_hash(keys, &values))).await {
            Err(Failure::Redis(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(Request::One(&script.by_text(keys, &values))).await
            }
            replied => replied,
        };
        Reply::read(replied.map_err(counted)?)
    }

    /// Sends one command.
    pub async fn query(&self, command: &Cmd) -> Result<Value, StorageError> {
        self.send(Request::One(command)).await.map_err(counted)
    }

    /// Sends several commands at once. In a cluster their keys have to be in one slot.
    pub async fn query_all(&self, commands: &Pipeline) -> Result<Value, StorageError> {
        self.send(Request::All(commands)).await.map_err(counted)
    }

    /// What Redis says of itself.
    pub async fn inspect(&self) -> Result<RedisInspection, StorageError> {
        let mut text = String::new();
        collect_text(&self.query(&redis::cmd("INFO")).await?, &mut text);
        let field = |name: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
        };
        Ok(RedisInspection {
            version: field("redis_version"),
            maxmemory_policy: field("maxmemory_policy"),
            appends: field("aof_enabled").map(|enabled| enabled == "1"),
        })
    }

    async fn send(&self, request: Request<'_>) -> Result<Value, Failure> {
        let _permit = self.in_flight.try_acquire().map_err(|_| Failure::Busy)?;
        let connected = self.connected.borrow().clone();
        let Some((number, mut connection)) = connected else { return Err(Failure::Away) };
        let answer = match timeout(self.settings.command_timeout, query(&mut connection, request)).await {
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

    /// Gives a connection up. That of a cluster is kept: it reconnects by itself, and the other nodes still answer.
    fn lose(&self, number: u64, failure: &Failure) {
        let is_lost = |connected: &mut Connected| connected.take_if(|(present, _)| *present == number).is_some();
        if self.connected.send_if_modified(is_lost) {
            metrics::gauge!(CONNECTED).set(0);
            tracing::warn!(redis = %self.url, error = %failure, "the connection to Redis is lost");
        }
    }
}

/// Connects, and connects again whenever the connection is lost. Never ends.
async fn keep_connected(url: RedisUrl, settings: RedisSettings, connected: watch::Sender<Connected>) {
    let (mut number, mut failures): (u64, u32) = (0, 0);
    metrics::gauge!(CONNECTED).set(0);
    for reason in FAILURE_REASONS {
        metrics::counter!(FAILURES, "reason" => reason).absolute(0);
    }
    loop {
        match connect(&url, &settings).await {
            Ok(connection) => {
                if failures > 0 {
                    tracing::info!(redis = %url, failures, "connected to Redis again");
                }
                failures = 0;
                number += 1;
                connected.send_replace(Some((number, connection)));
                metrics::gauge!(CONNECTED).set(1);
                // The sender is held here, so that this cannot fail.
                let _ = connected.subscribe().wait_for(Option::is_none).await;
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(redis = %url, error, "Redis cannot be reached");
                }
                failures = failures.saturating_add(1);
                sleep(PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures - 1)).min(PAUSE_MAX)).await;
            }
        }
    }
}

async fn connect(url: &RedisUrl, settings: &RedisSettings) -> Result<Connection, String> {
    let attempt = async {
        let mut connection = url.connect(settings.connect_timeout, settings.command_timeout).await?;
        // A server that accepts connections and does not answer is away.
        query(&mut connection, Request::One(&redis::cmd("PING"))).await?;
        Ok(connection)
    };
    match timeout(settings.connect_timeout, attempt).await {
        Ok(connected) => connected.map_err(|error: RedisError| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// What is sent at once and has one answer.
#[derive(Clone, Copy)]
enum Request<'a> {
    One(&'a Cmd),
    All(&'a Pipeline),
}

async fn query(connection: &mut Connection, request: Request<'_>) -> Result<Value, RedisError> {
    match (connection, request) {
        (Connection::One(connection), Request::One(command)) => command.query_async(connection).await,
        (Connection::One(connection), Request::All(commands)) => commands.query_async(connection).await,
        (Connection::Cluster(connection), Request::One(command)) => command.query_async(connection).await,
        (Connection::Cluster(connection), Request::All(commands)) => commands.query_async(connection).await,
    }
}

fn counted(failure: Failure) -> StorageError {
    metrics::counter!(FAILURES, "reason" => failure.reason()).increment(1);
    match failure {
        Failure::Busy => StorageError::Busy,
        failure if failure.is_passing() => StorageError::unavailable(failure.outage(), failure),
        failure => StorageError::Failed(failure.into()),
    }
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

    /// What keeps Redis from working.
    fn outage(&self) -> OutageReason {
        match self {
            Self::Late => OutageReason::TimedOut,
            Self::Redis(error) if error.is_timeout() => OutageReason::TimedOut,
            Self::Redis(error) if error.is_connection_refusal() => OutageReason::Refused,
            Self::Redis(error) => match error.code() {
                Some("OOM" | "MISCONF") => OutageReason::DiskFull,
                Some("READONLY" | "NOREPLICAS") => OutageReason::ReadOnly,
                _ => OutageReason::ConnectionLost,
            },
            Self::Busy | Self::Away => OutageReason::ConnectionLost,
        }
    }

    /// Whether another connection may do better.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Redis(error) => {
                error.is_io_error()
                    || error.is_unrecoverable_error()
                    || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
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
