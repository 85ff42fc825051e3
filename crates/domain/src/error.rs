//! The failures that all storing ports share.

use std::{error::Error, sync::Arc};

/// Why a port could not do its work. A refusal by a rule is never one of these.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// More work is waiting than the adapter accepts. Nothing was done; trying again soon is right.
    #[error("the storage takes no more work at the moment")]
    Busy,
    /// The storage cannot be reached, or kept refusing within the bounds of retrying.
    #[error("the storage is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The storage answered something that must not happen: a defect, or damaged data.
    #[error("the storage failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// What keeps a storage from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutageReason {
    /// There is no room left.
    DiskFull,
    /// Nothing accepts connections there.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// Another transaction kept a row for too long.
    Locked,
    /// Its certificate is not accepted.
    Certificate,
    /// It lets nothing be written.
    ReadOnly,
    /// The clock of this process does not agree with that of the storage.
    WrongClock,
    /// The connection was lost, or for another reason.
    ConnectionLost,
}

impl OutageReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DiskFull,
        Self::Refused,
        Self::TimedOut,
        Self::Locked,
        Self::Certificate,
        Self::ReadOnly,
        Self::WrongClock,
        Self::ConnectionLost,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Refused => "connection_refused",
            Self::TimedOut => "timed_out",
            Self::Locked => "locked",
            Self::Certificate => "certificate",
            Self::ReadOnly => "read_only",
            Self::WrongClock => "wrong_clock",
            Self::ConnectionLost => "connection_lost",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::DiskFull => "there is no room left",
            Self::Refused => "the connection was refused",
            Self::TimedOut => "there was no answer in time",
            Self::Locked => "another transaction kept a row for too long",
            Self::Certificate => "the certificate is not accepted",
            Self::ReadOnly => "nothing can be written there",
            Self::WrongClock => "the clock of this process is wrong",
            Self::ConnectionLost => "the connection was lost",
        }
    }
}

/// A cause whose reason is known. It is among the causes of a [`StorageError::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[error("{}", reason.in_words())]
pub struct Outage {
    /// What keeps the storage from working.
    pub reason: OutageReason,
    /// What the driver says.
    #[source]
    pub cause: Box<dyn Error + Send + Sync>,
}

impl Outage {
    /// The reason that an error or one of its causes gives.
    pub fn reason_of(error: &(dyn Error + 'static)) -> Option<OutageReason> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(outage) = error.downcast_ref::<Self>() {
                return Some(outage.reason);
            }
            next = match error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                Some(shared) => Some(&**shared),
                None => error.source(),
            };
        }
        None
    }
}

impl StorageError {
    /// A storage that does not work for this reason.
    pub fn unavailable(reason: OutageReason, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Box::new(Outage { reason, cause: cause.into() }))
    }

    /// That nothing is done by a clock that is not [trusted](crate::Clock::is_trusted).
    pub fn wrong_clock() -> Self {
        Self::unavailable(OutageReason::WrongClock, "it differs too much from the clock of the database")
    }

    /// A failure described in words.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into().into())
    }
}

/// Why an act did not happen: a rule refuses it, or the storage failed. A refusal changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ActError<R: Error + 'static> {
    /// A rule refuses.
    #[error(transparent)]
    Refused(R),
    /// The storage failed; whether the act happened may be unknown.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_outage_is_found_among_its_causes() {
        let error = || StorageError::unavailable(OutageReason::DiskFull, "errno 28");
        assert_eq!(Outage::reason_of(&error()), Some(OutageReason::DiskFull));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(error());
        let outer = StorageError::Unavailable(Box::new(shared));
        assert_eq!(Outage::reason_of(&outer), Some(OutageReason::DiskFull));
        assert_eq!(Outage::reason_of(&StorageError::Unavailable("away".into())), None);
        assert_eq!(error().source().map(ToString::to_string).as_deref(), Some("there is no room left"));
    }
}
