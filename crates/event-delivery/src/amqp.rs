//! Events at a broker that speaks AMQP 0-9-1.

mod connection;
mod transport;
mod url;

use std::{mem, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::event_delivery::{EventSink, EventSinkError, PublishedEvent};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::BasicPublishOptions,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use self::connection::Broker;
pub use self::url::AmqpUrl;
use crate::tls::TlsTrust;

/// What the delivery mode of AMQP calls a message that the broker keeps on its disk.
const PERSISTENT: u8 = 2;
/// How often at most a log line says that no queue takes some events.
const UNROUTABLE_PAUSE: Duration = Duration::from_mins(1);
/// Events that were accepted though no queue is bound for their kind.
const UNROUTABLE: &str = "boxoffice_events_unroutable_total";

/// How a broker is used.
#[derive(Clone, Debug)]
pub struct AmqpSettings {
    /// Where the broker is.
    pub url: AmqpUrl,
    /// The topic exchange that events are published to, usually `boxoffice`. It is declared as durable.
    pub exchange: String,
    /// Whether a batch is refused if no queue is bound for one of its events. Otherwise such an event is accepted and gone.
    pub require_queue: bool,
    /// How long connecting may take, with signing in and declaring the exchange.
    pub connect_timeout: Duration,
    /// How long a batch may take, with connecting first if there is no connection.
    pub batch_timeout: Duration,
}

/// Publishes events to a topic exchange.
///
/// A message is persistent, has the kind of its event as routing key, the event's id as message id, its time as timestamp
/// and its subject in the header `subject`. A batch is published at once and accepted when the broker has confirmed each
/// message: a message for durable queues is then on their disks.
///
/// An event that no queue is bound for is accepted and gone, since nobody wants it: it is counted in
/// `boxoffice_events_unroutable_total`, and a log line says so at most once a minute. Queues have to be bound before the
/// events that they are for. With `require_queue` such a batch is refused instead, so that its caller keeps it
/// until there is a queue.
///
/// A lost connection is made again by the next batch, after a pause that grows with the failures.
#[derive(Debug)]
pub struct AmqpSink {
    settings: AmqpSettings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    broker: Broker,
    /// Whether a batch was begun that did not come to its end, for instance because its caller stopped waiting.
    in_doubt: bool,
    unroutable: Unroutable,
}

/// Events that no queue took, since the log said so last.
#[derive(Debug, Default)]
struct Unroutable {
    count: u64,
    said_at: Option<Instant>,
}

impl AmqpSink {
    /// Connects when the first batch is delivered.
    pub fn new(settings: AmqpSettings, trust: TlsTrust) -> Self {
        metrics::describe_counter!(UNROUTABLE, "Events that the broker took though no queue is bound for their kind.");
        metrics::counter!(UNROUTABLE).absolute(0);
        let broker = Broker::new(settings.clone(), trust);
        Self { settings, state: Mutex::new(State { broker, in_doubt: false, unroutable: Unroutable::default() }) }
    }
}

#[async_trait]
impl EventSink for AmqpSink {
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        if events.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.settings.batch_timeout;
        // One batch at a time: two that fail at once would repeat each other's events in another order.
        let mut state = timeout_at(deadline, self.state.lock()).await.map_err(|_| EventSinkError::TimedOut)?;
        if mem::replace(&mut state.in_doubt, true) {
            // What is still to be confirmed would otherwise be mixed up with this batch.
            state.broker.disconnect();
        }
        let published = match timeout_at(deadline, state.publish(&self.settings, events)).await {
            Ok(published) => published,
            Err(_) => Err(EventSinkError::TimedOut),
        };
        match published {
            Ok(()) => state.in_doubt = false,
            Err(_) => state.broker.disconnect(),
        }
        published
    }
}

impl State {
    async fn publish(&mut self, settings: &AmqpSettings, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        let exchange = settings.exchange.as_str();
        let channel = self.broker.channel().await?;
        let mut confirms = Vec::with_capacity(events.len());
        for event in events {
            confirms.push(publish(&channel, exchange, event).await?);
        }
        let (mut refused, mut unroutable) = (0, 0);
        for confirm in confirms {
            match confirm.await.map_err(failure)? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => unroutable += 1,
                Confirmation::Nack(_) | Confirmation::NotRequested => refused += 1,
            }
        }
        if unroutable > 0 && settings.require_queue {
            let reason = format!("no queue is bound for {unroutable} of {} events", events.len());
            return Err(EventSinkError::Refused(reason.into()));
        }
        self.unroutable.add(unroutable, exchange);
        if refused > 0 {
            let reason = format!("the broker did not confirm {refused} of {} events", events.len());
            return Err(EventSinkError::Refused(reason.into()));
        }
        Ok(())
    }
}

impl Unroutable {
    fn add(&mut self, count: u64, exchange: &str) {
        if count == 0 {
            return;
        }
        metrics::counter!(UNROUTABLE).increment(count);
        self.count += count;
        if self.said_at.is_none_or(|said_at| said_at.elapsed() >= UNROUTABLE_PAUSE) {
            tracing::warn!(exchange, events = self.count, "no queue is bound for these events: they are gone");
            *self = Self { count: 0, said_at: Some(Instant::now()) };
        }
    }
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    event: &PublishedEvent,
) -> Result<PublisherConfirm, EventSinkError> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut headers = FieldTable::default();
    headers.insert("subject".into(), AMQPValue::LongString(event.subject.to_string().into()));
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers)
        .with_message_id(short(&event.id.to_string())?)
        .with_timestamp(u64::try_from(event.occurred_at.timestamp()).unwrap_or(0));
    let (exchange, kind) = (short(exchange)?, short(&event.kind)?);
    channel.basic_publish(exchange, kind, options, event.document.as_bytes(), properties).await.map_err(failure)
}

/// Names and routing keys of AMQP have at most 255 bytes.
fn short(text: &str) -> Result<ShortString, EventSinkError> {
    ShortString::try_new(text).map_err(|error| EventSinkError::Refused(error.into()))
}

/// Whether trying again later may do better.
fn failure(error: lapin::Error) -> EventSinkError {
    use AMQPErrorKind::{Hard, Soft};
    use AMQPSoftError::{ACCESSREFUSED, NOTFOUND, PRECONDITIONFAILED};
    let refused = match error.kind() {
        lapin::ErrorKind::ProtocolError(answer) => matches!(
            answer.kind(),
            Soft(ACCESSREFUSED | NOTFOUND | PRECONDITIONFAILED) | Hard(AMQPHardError::NOTALLOWED)
        ),
        _ => false,
    };
    if refused { EventSinkError::Refused(error.into()) } else { EventSinkError::Unavailable(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_speaks_of_unroutable_events_once_a_minute_and_of_all_of_them() {
        let mut unroutable = Unroutable::default();
        unroutable.add(0, "boxoffice");
        assert_eq!(unroutable.said_at, None);
        unroutable.add(3, "boxoffice");
        assert_eq!((unroutable.count, unroutable.said_at), (0, Some(Instant::now())));
        tokio::time::advance(Duration::from_secs(59)).await;
        unroutable.add(2, "boxoffice");
        assert_eq!(unroutable.count, 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        unroutable.add(1, "boxoffice");
        assert_eq!((unroutable.count, unroutable.said_at), (0, Some(Instant::now())));
    }
}
