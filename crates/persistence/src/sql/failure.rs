//! What a failed statement means.

use std::error::Error;

use boxoffice_domain::{Outage, OutageReason, StorageError};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two transactions were in conflict, and the database ended this one.
    Contention,
    /// The database does not work at the moment.
    Unavailable(OutageReason),
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
            Self::Unavailable(reason) => reason.as_str(),
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
        let kind = match failure.kind {
            kind @ (Kind::Contention | Kind::Unavailable(_)) => kind,
            Kind::Duplicate | Kind::Defect => Kind::Unavailable(OutageReason::ConnectionLost),
        };
        Self { kind, ..failure }
    }

    /// Whether another transaction kept a lock for longer than this one waits.
    pub(super) fn is_of_a_lock(&self) -> bool {
        self.cause.to_string().contains("Lock wait timeout")
    }

    /// The database did not answer in time. Its connection is not used again.
    pub(super) fn timed_out(_elapsed: tokio::time::error::Elapsed) -> Self {
        Self { kind: Kind::Unavailable(OutageReason::TimedOut), cause: "the database did not answer in time".into() }
    }
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind::{
            ClosedConnection, SerializationFailure, UnableToSendCommand, UniqueViolation, Unknown,
        };
        let kind = match &error {
            DieselError::DatabaseError(UniqueViolation, _) => Kind::Duplicate,
            DieselError::DatabaseError(ClosedConnection | UnableToSendCommand, information) => {
                Kind::Unavailable(reason_of(information.message()).unwrap_or(OutageReason::ConnectionLost))
            }
            DieselError::BrokenTransactionManager => Kind::Unavailable(OutageReason::ConnectionLost),
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
    if CONTENTION.iter().any(|text| message.contains(text)) {
        Kind::Contention
    } else {
        reason_of(message).map_or(Kind::Defect, Kind::Unavailable)
    }
}

/// What keeps the database from working, by what a driver or a server says; `None` if it says something else.
pub(super) fn reason_of(message: &str) -> Option<OutageReason> {
    const TEXTS: [(&str, OutageReason); 24] = [
        ("database or disk is full", OutageReason::DiskFull),
        // The same with MySQL: `The table 'outbox_batches' is full`.
        ("' is full", OutageReason::DiskFull),
        ("No space left on device", OutageReason::DiskFull),
        ("errno: 28", OutageReason::DiskFull),
        ("Connection refused", OutageReason::Refused),
        ("certificate", OutageReason::Certificate),
        ("UnknownIssuer", OutageReason::Certificate),
        ("read-only", OutageReason::ReadOnly),
        ("readonly database", OutageReason::ReadOnly),
        ("did not answer in time", OutageReason::TimedOut),
        ("timed out", OutageReason::TimedOut),
        ("timeout", OutageReason::TimedOut),
        ("Input/output error", OutageReason::ConnectionLost),
        ("Driver error", OutageReason::ConnectionLost),
        ("Server shutdown in progress", OutageReason::ConnectionLost),
        ("Connection was killed", OutageReason::ConnectionLost),
        ("gone away", OutageReason::ConnectionLost),
        ("Lost connection", OutageReason::ConnectionLost),
        ("disconnected by the server", OutageReason::ConnectionLost),
        ("Query execution was interrupted", OutageReason::ConnectionLost),
        // A node of a Galera cluster that has lost the other nodes, or has not caught up with them.
        ("WSREP has not yet prepared node", OutageReason::ConnectionLost),
        ("disk I/O error", OutageReason::ConnectionLost),
        ("unable to open database file", OutageReason::ConnectionLost),
        ("Connection reset", OutageReason::ConnectionLost),
    ];
    TEXTS.iter().find(|(text, _)| message.contains(text)).map(|(_, reason)| *reason)
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Busy => {
                Self { kind: Kind::Unavailable(OutageReason::ConnectionLost), cause: Box::new(StorageError::Busy) }
            }
            StorageError::Unavailable(cause) => {
                let reason = Outage::reason_of(&*cause).unwrap_or(OutageReason::ConnectionLost);
                Self { kind: Kind::Unavailable(reason), cause }
            }
            StorageError::Failed(cause) => Self { kind: Kind::Defect, cause },
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            Kind::Contention => Self::unavailable(OutageReason::Locked, failure.cause),
            Kind::Unavailable(_) if failure.cause.is::<Outage>() => Self::Unavailable(failure.cause),
            Kind::Unavailable(reason) => Self::unavailable(reason, failure.cause),
            Kind::Duplicate | Kind::Defect => Self::Failed(failure.cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Kind = Kind::Unavailable(OutageReason::ConnectionLost);
    const READ_ONLY: Kind = Kind::Unavailable(OutageReason::ReadOnly);

    fn failed(kind: DatabaseErrorKind, text: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[test]
    fn failures_are_told_apart_by_their_texts() {
        for (text, kind) in [
            ("Deadlock found when trying to get lock; try restarting transaction", Kind::Contention),
            ("Lock wait timeout exceeded; try restarting transaction", Kind::Contention),
            ("SAVEPOINT whole does not exist", Kind::Contention),
            ("WSREP has not yet prepared node for application use", LOST),
            ("Input/output error: connection reset by peer", LOST),
            ("The table 'outbox_batches' is full", Kind::Unavailable(OutageReason::DiskFull)),
            ("Input/output error: Connection refused (os error 111)", Kind::Unavailable(OutageReason::Refused)),
            ("invalid peer certificate: UnknownIssuer", Kind::Unavailable(OutageReason::Certificate)),
            ("Input/output error: timed out", Kind::Unavailable(OutageReason::TimedOut)),
            ("attempt to write a readonly database", READ_ONLY),
            ("You have an error in your SQL syntax", Kind::Defect),
        ] {
            assert_eq!(Failure::from(failed(DatabaseErrorKind::Unknown, text)).kind, kind, "{text}");
        }
    }

    #[test]
    fn failures_are_told_apart_by_their_kinds() {
        for (kind, expected, at_commit) in [
            (DatabaseErrorKind::UniqueViolation, Kind::Duplicate, LOST),
            (DatabaseErrorKind::ClosedConnection, READ_ONLY, LOST),
            (DatabaseErrorKind::UnableToSendCommand, READ_ONLY, LOST),
            (DatabaseErrorKind::SerializationFailure, Kind::Contention, Kind::Contention),
            (DatabaseErrorKind::NotNullViolation, Kind::Defect, LOST),
        ] {
            let failure = Failure::from(failed(kind, "read-only"));
            assert_eq!((failure.kind, Failure::of_commit(failed(kind, "")).kind), (expected, at_commit), "{failure:?}");
        }
        assert_eq!(Failure::from(DieselError::BrokenTransactionManager).kind, LOST);
        assert_eq!(Failure::from(DieselError::NotFound).kind, Kind::Defect);
    }

    #[test]
    fn the_reason_stays_known_however_often_a_failure_is_passed_on() {
        let refused = || Failure::from(failed(DatabaseErrorKind::Unknown, "Connection refused (os error 111)"));
        let again = Failure::from(StorageError::from(refused()));
        assert_eq!(again.kind, Kind::Unavailable(OutageReason::Refused));
        let error = StorageError::from(again);
        let causes: Vec<_> =
            std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect();
        assert_eq!(causes, ["the connection was refused", "Connection refused (os error 111)"]);
    }
}
