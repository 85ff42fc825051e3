//! The one way in which a transaction is run and retried.

use std::{error::Error, time::Duration};

use boxoffice_domain::{OutageReason, StorageError};
use diesel_async::SimpleAsyncConnection;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout};

use super::{
    super::{BEGIN, Connection, end_frozen_transactions},
    Writer,
    failure::{Failure, Kind},
    pool::Session,
};

/// How long one attempt at a batch may take. A statement waits up to 2 s for a lock. A server that takes longer than
/// this no longer answers, and must not stop all writing behind it.
pub(super) const BATCH_TIME_MAX: Duration = Duration::from_secs(20);
/// How long one attempt at any other transaction may take: a performance has up to 200,000 seats.
const TRANSACTION_TIME_MAX: Duration = Duration::from_mins(1);

/// How long after its first attempt a write is retried.
const RETRY_TIME_MAX: Duration = Duration::from_secs(5);

/// Reports the count of retries as 0 from the start, so that the first retry shows as an increase.
pub(super) fn count_from_zero() {
    let outages = OutageReason::ALL.map(Kind::Unavailable);
    for kind in outages.into_iter().chain([Kind::Contention]) {
        metrics::counter!("boxoffice_write_retries_total", "reason" => kind.reason()).absolute(0);
    }
}

/// The attempts at one write. No attempt begins later than [`RETRY_TIME_MAX`] after the first one: while the database is
/// away, each attempt waits for a connection.
pub(super) struct Attempts {
    retry_max: u32,
    retries: u32,
    began: Instant,
    is_in_doubt: bool,
}

impl Attempts {
    /// The first attempt begins now.
    pub(super) fn begin(retry_max: u32) -> Self {
        Self { retry_max, retries: 0, began: Instant::now(), is_in_doubt: false }
    }

    /// Notes that a commit was not answered. The first one gives further attempts the whole time again: however long it
    /// took, there is time to find out whether it happened.
    pub(super) fn doubt(&mut self) {
        if !self.is_in_doubt {
            self.is_in_doubt = true;
            self.began = Instant::now();
        }
    }

    /// Waits before the next attempt, or returns the failure if there is none.
    ///
    /// After contention, by which another transaction made progress, waits 10, 20, 40, 40 … ms, as often as there is time.
    /// After any other failure waits 10, 20, 40 … 640 ms, at most `retry_max` times.
    pub(super) async fn wait_after(&mut self, failure: Failure) -> Result<(), StorageError> {
        let (doublings_max, retry_max) = match failure.kind {
            Kind::Contention => (2, u32::MAX),
            Kind::Defect | Kind::Unavailable(OutageReason::WrongClock) => (0, 0),
            Kind::Unavailable(_) | Kind::Duplicate => (6, self.retry_max),
        };
        if self.retries >= retry_max || self.began.elapsed() >= RETRY_TIME_MAX {
            return Err(failure.into());
        }
        let reason = failure.kind.reason();
        metrics::counter!("boxoffice_write_retries_total", "reason" => reason).increment(1);
        tracing::debug!(reason, cause = &*failure.cause as &dyn Error, "retrying a write");
        tokio::time::sleep(Duration::from_millis(10 << self.retries.min(doublings_max))).await;
        self.retries += 1;
        Ok(())
    }
}

/// Commits. A failed commit may still have happened.
pub(super) async fn commit(connection: &mut Connection) -> Result<(), Failure> {
    connection.batch_execute("COMMIT").await.map_err(Failure::of_commit)
}

/// Ends the transactions of other processes of this installation that keep locks and stand still, such as those of a machine
/// that was lost: the database would keep them for hours.
async fn end_frozen(connection: &mut Connection) {
    match end_frozen_transactions(connection).await {
        Ok(ended) => {
            for (host, seconds) in ended {
                tracing::warn!(host, seconds, "ended a transaction that kept locks and stood still");
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "it cannot be found out who keeps locks: the user of the database needs the privilege PROCESS"
        ),
    }
}

/// The statements of a transaction over its input. A retry runs them again from the start.
pub(super) type Statements<I, T> = for<'c> fn(&'c mut Connection, &'c I) -> BoxFuture<'c, Result<T, Failure>>;

impl Writer {
    /// Begins a transaction that will write.
    ///
    /// A node of a Galera cluster rolls a transaction back that conflicts with a commit of another node, and should report
    /// it in answer to the next statement. MariaDB 10.11 does not always: the session then continues without its writes
    /// and locks, and each statement commits by itself. So autocommit is off there, and a savepoint, which ends with its
    /// transaction, shows at the end whether it still is the same one.
    pub(super) async fn begin(&self, connection: &mut Connection) -> Result<(), Failure> {
        if !self.clock.is_trusted() {
            return Err(StorageError::wrong_clock().into());
        }
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

    /// Runs statements in a transaction, and retries it after contention or a lost connection, within the bound. A commit
    /// whose answer was lost may have happened: the statements must find what their earlier run made.
    pub(super) async fn transaction<I: Send + Sync, T: Send>(
        &self,
        input: I,
        statements: Statements<I, T>,
    ) -> Result<T, Failure> {
        let mut attempts = Attempts::begin(self.retry_max);
        loop {
            let attempted = timeout(TRANSACTION_TIME_MAX, self.transaction_once(&input, statements)).await;
            match attempted.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed))) {
                Ok(value) => return Ok(value),
                Err(failure) if failure.kind == Kind::Duplicate => return Err(failure),
                Err(failure) => attempts.wait_after(failure).await?,
            }
        }
    }

    async fn transaction_once<I: Send + Sync, T: Send>(
        &self,
        input: &I,
        statements: Statements<I, T>,
    ) -> Result<T, Failure> {
        let mut session = self.pool.session().await?;
        let connection = session.connection();
        let result = async {
            self.begin(connection).await?;
            let value = statements(connection, input).await?;
            self.before_commit(connection).await?;
            commit(connection).await?;
            self.outage.note(None);
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
            Kind::Contention | Kind::Unavailable(_) => failure,
        };
        self.outage.note(Some(failure.kind));
        if failure.kind == Kind::Unavailable(OutageReason::WrongClock) {
            // Nothing was begun.
            session.answered();
            return failure;
        }
        if failure.kind == Kind::Contention && connection.batch_execute("ROLLBACK").await.is_ok() {
            if failure.is_of_a_lock() {
                end_frozen(connection).await;
            }
            session.answered();
        } else {
            // The connection is closed with the transaction open, which rolls it back.
            session.failed(&failure);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long each wait before a retry is, in milliseconds, until there is no further attempt.
    async fn waits(kind: Kind, retry_max: u32) -> Vec<u128> {
        let (mut attempts, mut waits) = (Attempts::begin(retry_max), Vec::new());
        loop {
            let failed_at = Instant::now();
            if attempts.wait_after(Failure { kind, cause: "a failure".into() }).await.is_err() {
                return waits;
            }
            waits.push(failed_at.elapsed().as_millis());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_retried_within_its_bounds() {
        let lost = [10, 20, 40, 80, 160, 320, 640, 640];
        for kind in [Kind::Unavailable(OutageReason::ConnectionLost), Kind::Duplicate] {
            assert_eq!(waits(kind, 8).await, lost, "{kind:?}");
            assert_eq!(waits(kind, 0).await, [0; 0], "{kind:?}");
        }
        for kind in [Kind::Defect, Kind::Unavailable(OutageReason::WrongClock)] {
            assert_eq!(waits(kind, 8).await, [0; 0], "{kind:?}");
        }
        // As often as there is time: the last wait begins before 5 s are over.
        let contended = waits(Kind::Contention, 0).await;
        assert_eq!(contended[..4], [10, 20, 40, 40]);
        assert_eq!(contended.iter().sum::<u128>(), 5_030);
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_time_is_over_which_restarts_with_the_first_doubt() {
        let lost = || Failure { kind: Kind::Unavailable(OutageReason::ConnectionLost), cause: "a failure".into() };
        let mut attempts = Attempts::begin(8);
        tokio::time::advance(RETRY_TIME_MAX).await;
        assert!(attempts.wait_after(lost()).await.is_err());
        attempts.doubt();
        assert!(attempts.wait_after(lost()).await.is_ok());
        tokio::time::advance(RETRY_TIME_MAX).await;
        attempts.doubt();
        assert!(attempts.wait_after(lost()).await.is_err());
    }
}
