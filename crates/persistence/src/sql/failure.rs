//! What a failed statement means.

use std::error::Error;

use boxoffice_domain::StorageError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

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
    /// The label of the kind in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Contention => "contention",
            Self::ConnectionLost => "connection_lost",
            Self::Duplicate => "duplicate",
            Self::Defect => "defect",
        }
    }
}

/// A failed statement, or another failure in its transaction.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A commit that was not answered with success. Whatever the text says, it may have happened, so it counts as one
    /// whose answer was lost. Only a conflict, which some clusters report at commit, stays a conflict.
    pub(super) fn of_commit(error: DieselError) -> Self {
        let failure = Self::from(error);
        let kind = if failure.kind == Kind::Contention { Kind::Contention } else { Kind::ConnectionLost };
        Self { kind, ..failure }
    }

    /// The database did not answer in time. Its connection is not used again.
    pub(super) fn timed_out(_elapsed: tokio::time::error::Elapsed) -> Self {
        Self { kind: Kind::ConnectionLost, cause: "the database did not answer in time".into() }
    }
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind::{
            ClosedConnection, SerializationFailure, UnableToSendCommand, UniqueViolation, Unknown,
        };
        let kind = match &error {
            DieselError::DatabaseError(UniqueViolation, _) => Kind::Duplicate,
            DieselError::DatabaseError(ClosedConnection | UnableToSendCommand, _)
            | DieselError::BrokenTransactionManager => Kind::ConnectionLost,
            DieselError::DatabaseError(SerializationFailure, _) => Kind::Contention,
            DieselError::DatabaseError(Unknown, information) => kind_of(information.message()),
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
        // The transaction was rolled back without an error: see `Writer::begin`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: DatabaseErrorKind, text: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[test]
    fn failures_are_told_apart_by_their_texts() {
        for (text, kind) in [
            ("Deadlock found when trying to get lock; try restarting transaction", Kind::Contention),
            ("Lock wait timeout exceeded; try restarting transaction", Kind::Contention),
            ("SAVEPOINT whole does not exist", Kind::Contention),
            ("WSREP has not yet prepared node for application use", Kind::ConnectionLost),
            ("Input/output error: connection reset by peer", Kind::ConnectionLost),
            ("The table 'outbox_batches' is full", Kind::ConnectionLost),
            ("You have an error in your SQL syntax", Kind::Defect),
        ] {
            assert_eq!(Failure::from(failed(DatabaseErrorKind::Unknown, text)).kind, kind, "{text}");
        }
    }

    #[test]
    fn failures_are_told_apart_by_their_kinds() {
        for (kind, expected, at_commit) in [
            (DatabaseErrorKind::UniqueViolation, Kind::Duplicate, Kind::ConnectionLost),
            (DatabaseErrorKind::ClosedConnection, Kind::ConnectionLost, Kind::ConnectionLost),
            (DatabaseErrorKind::UnableToSendCommand, Kind::ConnectionLost, Kind::ConnectionLost),
            (DatabaseErrorKind::SerializationFailure, Kind::Contention, Kind::Contention),
            (DatabaseErrorKind::NotNullViolation, Kind::Defect, Kind::ConnectionLost),
        ] {
            let failure = Failure::from(failed(kind, "read-only"));
            assert_eq!((failure.kind, Failure::of_commit(failed(kind, "")).kind), (expected, at_commit), "{failure:?}");
        }
        assert_eq!(Failure::from(DieselError::BrokenTransactionManager).kind, Kind::ConnectionLost);
        assert_eq!(Failure::from(DieselError::NotFound).kind, Kind::Defect);
    }
}
