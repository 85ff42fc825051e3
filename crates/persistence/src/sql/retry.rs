//! What a failed statement means, and the one way in which a transaction is run and retried.

use std::{error::Error, time::Duration};

use boxoffice_domain::StorageError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::SimpleAsyncConnection;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout};

use super::{
    super::{BEGIN, Connection},
    Writer,
    pool::Session,
};

/// How long one attempt at a batch may take. A statement waits up to 10 s for a lock. A server that takes longer than
/// this no longer answers, and must not stop all writing behind it.
pub(super) const BATCH_TIME_MAX: Duration = Duration::from_secs(20);
/// How long one attempt at any other transaction may take: a performance has up to 200,000 seats.
const TRANSACTION_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a worker or a health check waits for a read. Requests have another limit.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// How long after its first attempt a write is retried.
const RETRY_TIME_MAX: Duration = Duration::from_secs(5);

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two transactions were in conflict, and the database ended this one.
    Contention,
    /// The connection is lost, or the server is stopping.
    ConnectionLost,
    /// A row with this key exists already.
    Duplicate,
    /// Anything else: a defect, or damaged data.
    Defect,
}

impl Kind {
    fn reason(self) -> &'static str {
        match self {
            Self::Contention => "contention",
            Self::ConnectionLost => "connection_lost",
            Self::Duplicate => "duplicate",
            Self::Defect => "defect",
        }
    }
}

/// Reports the count of retries as 0 from the start, so that the first retry shows as an increase.
pub(super) fn count_from_zero() {
    for kind in [Kind::Contention, Kind::ConnectionLost] {
        metrics::counter!("boxoffice_write_retries_total", "reason" => kind.reason()).absolute(0);
    }
}

/// A failed statement, or another failure in its transaction.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    cause: Box<dyn Error + Send + Sync>,
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        let kind = match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Kind::Duplicate,
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | DieselError::BrokenTransactionManager => Kind::ConnectionLost,
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Kind::Contention,
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, information) => kind_of(information.message()),
            _ => Kind::Defect,
        };
        Self { kind, cause: error.into() }
    }
}

/// The drivers describe most failures by text alone. An error of the server about a statement is a defect; an error of
/// the driver, or of a server that stops, is a lost connection.
fn kind_of(message: &str) -> Kind {
    const CONTENTION: [&str; 4] = [
        "try restarting transaction",
        "database is locked",
        "Record has changed since",
        // The transaction was rolled back without an error: see `begin`.
        "SAVEPOINT whole does not exist",
    ];
    const LOST: [&str; 13] = [
        "Input/output error",
        "Driver error",
        "Server shutdown in progress",
        "Connection was killed",
        "gone away",
        "Lost connection",
        "disconnected by the server",
        "Query execution was interrupted",
        // A node of a Galera cluster that has lost the other nodes, or has not caught up with them.
        "WSREP has not yet prepared node",
        "disk I/O error",
        "database or disk is full",
        // The same with MySQL: `The table 'outbox_batches' is full`.
        "' is full",
        "read-only",
    ];
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&CONTENTION) {
        Kind::Contention
    } else if says(&LOST) {
        Kind::ConnectionLost
    } else {
        Kind::Defect
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Busy => Self { kind: Kind::ConnectionLost, cause: Box::new(StorageError::Busy) },
            StorageError::Unavailable(cause) => Self { kind: Kind::ConnectionLost, cause },
            StorageError::Failed(cause) => Self { kind: Kind::Defect, cause },
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            Kind::Contention | Kind::ConnectionLost => Self::Unavailable(failure.cause),
            Kind::Duplicate | Kind::Defect => Self::Failed(failure.cause),
        }
    }
}

impl Failure {
    /// A commit that was not answered with success. Whatever the text says, it may have happened, so it counts as one whose
    /// answer was lost. Only a conflict, which some clusters report at commit, stays a conflict.
    fn of_commit(error: DieselError) -> Self {
        let failure = Self::from(error);
        let kind = if failure.kind == Kind::Contention { Kind::Contention } else { Kind::ConnectionLost };
        Self { kind, ..failure }
    }

    /// The database did not answer in time. Its connection is not used again.
    pub(super) fn timed_out(_elapsed: tokio::time::error::Elapsed) -> Self {
        Self { kind: Kind::ConnectionLost, cause: "the database did not answer in time".into() }
    }

    /// Waits before the next attempt, or returns the failure if there is none. No attempt begins later than
    /// [`RETRY_TIME_MAX`] after the first one: while the database is away, each attempt waits for a connection.
    ///
    /// After contention, by which another transaction made progress, waits 10, 20, 40, 40 … ms, as often as there is time.
    /// After any other failure waits 10, 20, 40 … 640 ms, at most `retry_max` times.
    pub(super) async fn before_retry(self, attempt: u32, retry_max: u32, began: Instant) -> Result<(), StorageError> {
        let (doublings_max, attempts_max) = match self.kind {
            Kind::Contention => (2, u32::MAX),
            Kind::ConnectionLost | Kind::Duplicate => (6, retry_max),
            Kind::Defect => (0, 0),
        };
        if attempt >= attempts_max || began.elapsed() >= RETRY_TIME_MAX {
            return Err(self.into());
        }
        metrics::counter!("boxoffice_write_retries_total", "reason" => self.kind.reason()).increment(1);
        tracing::debug!(reason = self.kind.reason(), cause = &*self.cause as &dyn Error, "retrying a write");
        tokio::time::sleep(Duration::from_millis(10 << attempt.min(doublings_max))).await;
        Ok(())
    }
}

/// Limits the time of a read that has no other limit.
pub(super) async fn in_time<T>(read: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    timeout(READ_TIME_MAX, read).await.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed).into()))
}

/// Commits. A failed commit may still have happened.
pub(super) async fn commit(connection: &mut Connection) -> Result<(), Failure> {
    connection.batch_execute("COMMIT").await.map_err(Failure::of_commit)
}

/// The statements of a transaction. A retry runs them again from the start.
pub(super) type Act<T> = dyn for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync;

impl Writer {
    /// Begins a transaction that will write.
    ///
    /// A node of a Galera cluster rolls a transaction back that conflicts with a commit of another node, and should report
    /// it in answer to the next statement. MariaDB 10.11 does not always: the session then continues without its writes
    /// and locks, and each statement commits by itself. So autocommit is off there, and a savepoint, which ends with its
    /// transaction, shows at the end whether it still is the same one.
    pub(super) async fn begin(&self, connection: &mut Connection) -> Result<(), Failure> {
        let begin = if self.locks_are_local { "SET autocommit = 0; START TRANSACTION; SAVEPOINT whole" } else { BEGIN };
        Ok(connection.batch_execute(begin).await?)
    }

    /// Fails if the transaction is no longer the one that was begun.
    pub(super) async fn before_commit(&self, connection: &mut Connection) -> Result<(), Failure> {
        if self.locks_are_local {
            connection.batch_execute("RELEASE SAVEPOINT whole").await?;
        }
        Ok(())
    }

    /// Runs `act` in a transaction, and retries it after contention or a lost connection, within the bound. A commit whose
    /// answer was lost may have happened: `act` must find what its earlier run made.
    pub(super) async fn transaction<T: Send>(&self, act: &Act<T>) -> Result<T, Failure> {
        let (mut attempt, began) = (0, Instant::now());
        loop {
            let attempted = timeout(TRANSACTION_TIME_MAX, self.transaction_once(act)).await;
            match attempted.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed))) {
                Ok(value) => return Ok(value),
                Err(failure) if failure.kind == Kind::Duplicate => return Err(failure),
                Err(failure) => failure.before_retry(attempt, self.retry_max, began).await?,
            }
            attempt += 1;
        }
    }

    async fn transaction_once<T: Send>(&self, act: &Act<T>) -> Result<T, Failure> {
        let mut session = self.pool.session().await?;
        let connection = session.connection();
        let result = async {
            self.begin(connection).await?;
            let value = act(connection).await?;
            self.before_commit(connection).await?;
            commit(connection).await?;
            Ok(value)
        }
        .await;
        self.ended(&mut session, result).await
    }

    /// Ends a transaction, which may have failed.
    pub(super) async fn ended<T>(&self, session: &mut Session<'_>, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Ok(value) => {
                session.answered();
                Ok(value)
            }
            Err(failure) => Err(self.failed(session, failure).await),
        }
    }

    /// Ends a transaction that has failed, and returns why.
    pub(super) async fn failed(&self, session: &mut Session<'_>, failure: Failure) -> Failure {
        let connection = session.connection();
        let failure = match failure.kind {
            // After a rollback without an error, it has read and written without its locks.
            Kind::Duplicate | Kind::Defect => self.before_commit(connection).await.err().unwrap_or(failure),
            Kind::Contention | Kind::ConnectionLost => failure,
        };
        if failure.kind == Kind::Contention && connection.batch_execute("ROLLBACK").await.is_ok() {
            session.answered();
        } else {
            // The connection is closed with the transaction open, which takes it back.
            session.failed(&failure);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_their_texts() {
        let deadlock = "Deadlock found when trying to get lock; try restarting transaction";
        assert_eq!(kind_of(deadlock), Kind::Contention);
        assert_eq!(kind_of("Lock wait timeout exceeded; try restarting transaction"), Kind::Contention);
        assert_eq!(kind_of("SAVEPOINT whole does not exist"), Kind::Contention);
        assert_eq!(kind_of("WSREP has not yet prepared node for application use"), Kind::ConnectionLost);
        assert_eq!(kind_of("Input/output error: connection reset by peer"), Kind::ConnectionLost);
        assert_eq!(kind_of("The table 'outbox_batches' is full"), Kind::ConnectionLost);
        assert_eq!(kind_of("You have an error in your SQL syntax"), Kind::Defect);
    }
}
