//! Events in a stream of Redis.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use boxoffice_domain::{
    Outage, OutageReason, StorageError,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    rfc3339,
};
use boxoffice_peers::redis::Link;
use redis::Pipeline;

/// How many events one transaction appends. Redis does nothing else meanwhile.
const EVENTS_AT_ONCE_MAX: usize = 500;

/// Appends events to a stream of Redis.
///
/// An entry has the fields `id`, `kind`, `subject`, `concert_id` (empty if there is none), `occurred_at` and `document`.
/// Up to 500 events are appended in one transaction, so that batches of several instances do not mix.
///
/// An event is as durable as Redis makes it: what was accepted within the last second may be lost with the server unless
/// `appendfsync` is `always`, and a replica that takes over may lack more. The stream is cut to about its greatest length,
/// whether readers have come that far or not.
pub struct RedisStreamSink {
    link: Arc<Link>,
    stream: String,
    length_max: u64,
}

impl RedisStreamSink {
    /// Appends to the stream called `stream`, which keeps about `length_max` entries. The link bounds how long that may
    /// take, and reconnects by itself.
    pub fn new(link: Arc<Link>, stream: impl Into<String>, length_max: u64) -> Self {
        Self { link, stream: stream.into(), length_max }
    }

    fn append(&self, events: &[PublishedEvent]) -> Pipeline {
        let mut commands = redis::pipe();
        commands.atomic();
        for event in events {
            let concert_id = event.concert_id.map(|id| id.uuid().to_string()).unwrap_or_default();
            commands.cmd("XADD").arg(&self.stream).arg("MAXLEN").arg("~").arg(self.length_max).arg("*");
            commands.arg("id").arg(event.id.to_string()).arg("kind").arg(&event.kind);
            commands.arg("subject").arg(event.subject.to_string()).arg("concert_id").arg(concert_id);
            commands.arg("occurred_at").arg(rfc3339(event.occurred_at)).arg("document").arg(&event.document);
        }
        commands
    }
}

impl fmt::Debug for RedisStreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreamSink")
            .field("link", &self.link)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EventSink for RedisStreamSink {
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        for batch in events.chunks(EVENTS_AT_ONCE_MAX) {
            self.link.query_all(&self.append(batch)).await.map_err(failure)?;
        }
        Ok(())
    }
}

fn failure(error: StorageError) -> EventSinkError {
    match error {
        StorageError::Failed(cause) => EventSinkError::Refused(cause),
        error if Outage::reason_of(&error) == Some(OutageReason::TimedOut) => EventSinkError::TimedOut,
        error => EventSinkError::Unavailable(error.into()),
    }
}
