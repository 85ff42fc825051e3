//! What leaves the outbox: events as readers in other systems get them, and the port that delivers them.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{ConcertId, Timestamp};

/// An event as it is delivered to other systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedEvent {
    /// Its id, the same each time it is delivered. Readers drop an event whose id they have seen.
    pub id: Uuid,
    /// What happened, such as `reservation.held`: words of lower-case letters, digits and `_`, separated by dots, at most
    /// 255 bytes.
    pub kind: String,
    /// The reservation or charge that the event is about. Events of one subject are delivered in order.
    pub subject: Uuid,
    /// The concert, if the event belongs to one.
    pub concert_id: Option<ConcertId>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The JSON document that readers get. A sink passes it on byte by byte.
    pub document: String,
}

/// Why events were not delivered. Any of them may have been accepted nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum EventSinkError {
    /// The other side did not answer in time.
    #[error("the events were not accepted in time")]
    TimedOut,
    /// The other side cannot be reached, or was lost meanwhile. This passes by itself.
    #[error("the events could not be delivered")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The other side answered that it does not take them. An operator has to look at it.
    #[error("the events were refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where events are delivered to: a broker, a stream.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Delivers a batch. Returns `Ok` when the other side has accepted all of it durably and in order; an empty batch
    /// needs no other side. Returns within a bounded time.
    ///
    /// After an error any part of the batch may have been accepted. The caller then sends the whole batch again, before
    /// any later event of the same subjects: every event arrives at least once, and the first arrivals are in order.
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError>;
}
