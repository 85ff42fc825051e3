//! The order in which readers get the events, and how far each reader is.

use async_trait::async_trait;

use crate::{StorageError, Timestamp};

use super::EventBatch;

/// The most bytes of the name of a reader.
pub const READER_NAME_BYTES_MAX: usize = 32;

/// How far a reader of events is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderCursor {
    /// The position of the last batch that it has had; 0 before the first.
    pub position: u64,
    /// Since when it reads. Events that happened before are not for it.
    pub starts_at: Timestamp,
}

/// A committed batch, at its place in the one order in which all readers get all batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencedBatch {
    /// Its place: greater than that of each batch from which it follows.
    pub position: u64,
    /// The batch.
    pub batch: EventBatch,
}

/// How much a reader has yet to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderLag {
    /// How many batches; of those without a position, up to about 100,000 are counted.
    pub batches: u64,
    /// When the first of them happened.
    pub oldest_at: Option<Timestamp>,
}

/// Gives committed batches their order, and keeps how far each reader is.
///
/// An instance commits batches side by side, and there are several instances, so neither an id nor a time says in which
/// order batches were committed. Positions do: they are given afterwards, to batches that are committed, and never change.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Gives positions to committed batches that have none, and returns to how many; 0 if there was none. It looks at about
    /// `limit` of them. A batch never gets a position below that of a batch from which it follows, such as the payment of a
    /// seat below its hold. What follows from what is known of reservations, charges and refunds; acts of the staff and events of
    /// accounts that one look sees together have the order of their ids. All that one look sees is sorted by [`in_order`](super::in_order), and a look that sees a batch
    /// also sees what it follows from. Of several calls at once, one gives positions at a time.
    async fn sequence(&self, limit: u32) -> Result<u32, StorageError>;

    /// The batches after a position, in order, no more than `limit`.
    async fn batches_after(&self, position: u64, limit: u32) -> Result<Vec<SequencedBatch>, StorageError>;

    /// How far a reader is. One that is new starts at `now`. Its name has at most [`READER_NAME_BYTES_MAX`] bytes.
    async fn reader(&self, name: &str, now: Timestamp) -> Result<ReaderCursor, StorageError>;

    /// How far a reader is; `None` if it never read.
    async fn find_reader(&self, name: &str) -> Result<Option<ReaderCursor>, StorageError>;

    /// Since when the first of the readers reads; `None` without readers.
    async fn reading_since(&self) -> Result<Option<Timestamp>, StorageError>;

    /// Notes that a reader has had all batches up to a position. It never goes back.
    async fn advance(&self, name: &str, position: u64) -> Result<(), StorageError>;

    /// What there is after a position, with what has no position yet.
    async fn lag(&self, position: u64) -> Result<ReaderLag, StorageError>;

    /// Writes a [`QueueOpened`](super::Event::QueueOpened) for each concert whose sale opened at `since` or later and not
    /// after now, and goes on, if none was written for this opening. Returns how many, of at most `limit`.
    async fn note_openings(&self, since: Timestamp, limit: u32) -> Result<u32, StorageError>;
}
