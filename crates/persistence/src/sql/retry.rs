//! What a failed statement means, and the one way in which a transaction is run and tried again.

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

/// How long one attempt at a batch may take. Locks are waited for up to 10 s; what takes longer than this is a peer
/// that no longer answers, and must not stop all writing behind it.
pub(super) const BATCH_TIME_MAX: Duration = Duration::from_secs(20);
/// How long one attempt at any other transaction may take: a performance has up to 200,000 seats.
const TRANSACTION_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a worker or a health check waits for what it reads. Requests have a limit of their own.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// How long after its first attempt a write is tried again.
const RETRY_TIME_MAX: Duration = Duration::from_secs(5);

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two transactions stood in each other's way, and the database ended this one.
    Contention,
    /// The connection is gone, or the server is going.
    ConnectionLost,
    /// A row with this key is there already.
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

/// Shows the count of retries from the start, so that the first one is seen to be one more.
pub(super) fn count_from_zero() {
    for kind in [Kind::Contention, Kind::ConnectionLost] {
        metrics::counter!("boxoffice_write_retries_total", "reason" => kind.reason()).absolute(0);
    }
}

/// A failed statement, or a failure of what came with it.
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

/// The drivers tell most failures by their text alone. What the server itself says of a statement is a
/// defect; what the driver says, or the server when it goes, is a lost connection.
fn kind_of(message: &str) -> Kind {
    const CONTENTION: [&str; 4] = [
        "try restarting transaction",
        "database is locked",
        "Record has changed since",
        // The transaction has been taken back without a word: see `begin`.
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
        // A node of a Galera cluster that has lost the others, or has not caught up with them yet.
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
    /// A commit that was not answered with success: whatever the text says, it may have happened, so it is
    /// treated like one whose answer was lost. Only a conflict stays one, as nodes have them that agree at commits.
    fn of_commit(error: DieselError) -> Self {
        let failure = Self::from(error);
        let kind = if failure.kind == Kind::Contention { Kind::Contention } else { Kind::ConnectionLost };
        Self { kind, ..failure }
    }

    /// Nothing was heard in time. The connection is given up in the middle, and so is not used again.
    pub(super) fn timed_out(_elapsed: tokio::time::error::Elapsed) -> Self {
        Self { kind: Kind::ConnectionLost, cause: "the database did not answer in time".into() }
    }

    /// Waits before the next attempt, or gives the failure back where there is none. No attempt begins later than
    /// [`RETRY_TIME_MAX`] after the first one: with the database away, each of them waits for a connection.
    ///
    /// After contention, by which somebody else came forward, 10, 20, 40, 40 … ms, as often as there is time. After
    /// anything else 10, 20, 40 … 640 ms, at most `retry_max` times.
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
        tracing::debug!(reason = self.kind.reason(), cause = &*self.cause as &dyn Error, "a write is tried again");
        tokio::time::sleep(Duration::from_millis(10 << attempt.min(doublings_max))).await;
        Ok(())
    }
}

/// Reads for somebody who has no limit of time of its own.
pub(super) async fn in_time<T>(read: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    timeout(READ_TIME_MAX, read).await.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed).into()))
}

/// Commits. Where it fails, it may have happened all the same.
pub(super) async fn commit(connection: &mut Connection) -> Result<(), Failure> {
    connection.batch_execute("COMMIT").await.map_err(Failure::of_commit)
}

/// What a transaction is made of: run again from the start when it is tried again.
pub(super) type Act<T> = dyn for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, Failure>> + Send + Sync;

impl Writer {
    /// Begins a transaction that will write.
    ///
    /// A node of a Galera cluster takes a transaction back that stands in the way of what another node has committed,
    /// and is to say so in answer to the next statement. MariaDB 10.11 does not always: then the session goes on as if
    /// nothing had happened, without what was written and locked, and each statement commits by itself. So nothing
    /// commits by itself there, and a savepoint, which goes with its transaction, tells at the end whether it still
    /// is the same one.
    pub(super) async fn begin(&self, connection: &mut Connection) -> Result<(), Failure> {
        let begin = if self.locks_are_local { "SET autocommit = 0; START TRANSACTION; SAVEPOINT whole" } else { BEGIN };
        Ok(connection.batch_execute(begin).await?)
    }

    /// Fails where the transaction is no longer the one that was begun.
    pub(super) async fn before_commit(&self, connection: &mut Connection) -> Result<(), Failure> {
        if self.locks_are_local {
            connection.batch_execute("RELEASE SAVEPOINT whole").await?;
        }
        Ok(())
    }

    /// Runs `act` in a transaction, and again after contention or a lost connection, within the bound.
    /// A commit whose answer was lost may have happened: `act` must find what it made before.
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

    /// Ends a transaction that has failed, and tells why it did.
    pub(super) async fn failed(&self, session: &mut Session<'_>, failure: Failure) -> Failure {
        let connection = session.connection();
        let failure = match failure.kind {
            // A transaction that was taken back without a word has read and written beside the others.
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
