//! A pool of connections.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{OutageReason, StorageError};
use diesel::ConnectionError;
use diesel_async::{SimpleAsyncConnection, methods::LoadQuery};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    super::{Connection, establish},
    failure::{Failure, Kind, reason_of},
};
/// How long a connection may be idle and still counts as good. A database does not restart in less time, and asking
/// whether it is there costs little in comparison.
const TRUSTED_IDLE: Duration = Duration::from_millis(500);

/// Keeps connections to one database.
pub(super) struct Pool {
    connections: bb8::Pool<Manager>,
    generation: Arc<AtomicU64>,
    failures: ConnectFailures,
    name: &'static str,
}

type FailedAt = (Instant, Arc<ConnectionError>);

/// The last failure to connect. While connections are tried, nobody who waits for one learns why there is none.
#[derive(Clone, Debug)]
struct ConnectFailures {
    last: Arc<Mutex<Option<FailedAt>>>,
    /// How long it says why there is no connection.
    says_for: Duration,
}

impl ConnectFailures {
    /// The failure of the attempts that were made while a caller waited, if there were any.
    fn lately(&self) -> Option<Arc<ConnectionError>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < self.says_for).map(|(_, error)| Arc::clone(error))
    }
}

impl bb8::ErrorSink<ConnectionError> for ConnectFailures {
    fn sink(&self, error: ConnectionError) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::new(error)));
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<ConnectionError>> {
        Box::new(self.clone())
    }
}

/// The database cannot be connected to.
fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> StorageError {
    let error = error.into();
    let reason = reason_of(&error.to_string()).unwrap_or(OutageReason::ConnectionLost);
    StorageError::unavailable(reason, error)
}

/// Makes connections, and says which are broken.
pub(super) struct Manager {
    url: String,
    /// Counts how often the database was lost. A connection of an earlier generation is not used again.
    generation: Arc<AtomicU64>,
}

/// A connection in the pool.
pub(super) struct Link {
    connection: Connection,
    generation: u64,
    /// Whether a statement or a transaction has not ended. If its caller stopped waiting, the connection must not be
    /// used again.
    in_the_middle: bool,
    /// When it last answered.
    answered_at: Instant,
}

impl bb8::ManageConnection for Manager {
    type Connection = Link;
    type Error = ConnectionError;

    async fn connect(&self) -> Result<Link, Self::Error> {
        let generation = self.generation.load(Ordering::Relaxed);
        let connection = establish(&self.url).await?;
        Ok(Link { connection, generation, in_the_middle: false, answered_at: Instant::now() })
    }

    async fn is_valid(&self, _link: &mut Link) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.in_the_middle || link.generation < self.generation.load(Ordering::Relaxed)
    }
}

impl Pool {
    /// A pool of connections to the database at `url`, which are made when they are needed.
    pub(super) fn open(url: &str, connections_max: u32, connect_timeout: Duration, name: &'static str) -> Self {
        let generation = Arc::new(AtomicU64::new(0));
        let manager = Manager { url: url.to_owned(), generation: Arc::clone(&generation) };
        let failures = ConnectFailures { last: Arc::default(), says_for: connect_timeout + TRUSTED_IDLE };
        let connections = bb8::Pool::builder()
            .error_sink(Box::new(failures.clone()))
            .max_size(connections_max.max(1))
            .connection_timeout(connect_timeout)
            .test_on_check_out(false)
            .build_unchecked(manager);
        metrics::gauge!("boxoffice_pool_connections_max", "pool" => name).set(connections_max.max(1));
        metrics::counter!("boxoffice_pool_timeouts_total", "pool" => name).absolute(0);
        Self { connections, generation, failures, name }
    }

    /// Takes a connection out of the pool until the session is dropped.
    pub(super) async fn session(&self) -> Result<Session<'_>, StorageError> {
        loop {
            let link = self.connections.get().await.map_err(|error| match error {
                bb8::RunError::User(error) => unavailable(error),
                bb8::RunError::TimedOut => {
                    metrics::counter!("boxoffice_pool_timeouts_total", "pool" => self.name).increment(1);
                    self.failures.lately().map_or_else(
                        || StorageError::unavailable(OutageReason::TimedOut, "no connection became free in time"),
                        unavailable,
                    )
                }
            })?;
            let (pool, state) = (self.name, self.connections.state());
            for (name, count) in [("open", state.connections), ("idle", state.idle_connections)] {
                metrics::gauge!("boxoffice_pool_connections", "pool" => pool, "state" => name).set(count);
            }
            if link.generation < self.generation.load(Ordering::Relaxed) {
                continue;
            }
            let mut session = Session { link, generation: &self.generation };
            if session.answers().await {
                return Ok(session);
            }
        }
    }
}

/// A connection taken out of the pool.
pub(super) struct Session<'p> {
    link: bb8::PooledConnection<'p, Manager>,
    generation: &'p AtomicU64,
}

impl Session<'_> {
    /// Whether the connection is good. A database that restarted while the connection was idle must not cost the next
    /// caller its request.
    async fn answers(&mut self) -> bool {
        if self.link.answered_at.elapsed() < TRUSTED_IDLE {
            return true;
        }
        let answered = self.connection().batch_execute("SELECT 1").await;
        match self.ended(answered.map_err(Failure::from)) {
            Ok(()) => true,
            Err(failure) => {
                tracing::debug!(?failure, "an idle connection was lost");
                // Whatever the failure was, this connection and those of its generation are not used again.
                self.generation.fetch_max(self.link.generation + 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// The connection, for one statement or one transaction. Its result goes to [`Self::ended`].
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.link.in_the_middle = true;
        &mut self.link.connection
    }

    /// The rows of a query.
    pub(super) fn read<'s, 'q: 's, R: Send + 's>(
        &'s mut self,
        query: impl LoadQuery<'q, Connection, R> + Send + 'q,
    ) -> BoxFuture<'s, Result<Vec<R>, Failure>> {
        let read = async move {
            let rows = diesel_async::RunQueryDsl::load(query, self.connection()).await;
            self.ended(rows.map_err(Failure::from))
        };
        Box::pin(read.instrument(tracing::debug_span!("persistence.read")))
    }

    /// Ends what [`Self::connection`] began.
    pub(super) fn ended<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        match &result {
            Ok(_) => self.answered(),
            Err(failure) => self.failed(failure),
        }
        result
    }

    /// Notes that the statement or transaction has ended.
    pub(super) fn answered(&mut self) {
        self.link.in_the_middle = false;
        self.link.answered_at = Instant::now();
    }

    /// Notes a failure. After a lost connection, the other connections are not trusted either.
    pub(super) fn failed(&self, failure: &Failure) {
        if let Kind::Unavailable(_) = failure.kind {
            self.generation.fetch_max(self.link.generation + 1, Ordering::Relaxed);
        }
    }
}
