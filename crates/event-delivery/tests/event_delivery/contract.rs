//! Both sinks do what every sink must do, and what only one of them says of itself.

use boxoffice_contracts::event_sink::{Subject, event, events};
use boxoffice_domain::{
    ConcertId, EntropySource,
    event_delivery::{EventSink, EventSinkError},
    fixtures::{TestEntropy, instant},
};
use boxoffice_event_delivery::amqp::{AmqpSettings, AmqpSink};
use boxoffice_testkit::{
    rabbitmq::RabbitServer,
    servers::{RedisCluster, RedisServer},
};
use lapin::types::{AMQPValue, ShortString};

use crate::support::{Broker, DEADLINE, Queue, Stream, amqp_settings, amqp_sink, fresh_name, trust};

mod amqp {
    use crate::support::Broker;
    boxoffice_contracts::event_sink_contract!(Broker::open);
}

mod redis {
    use crate::support::Stream;
    boxoffice_contracts::event_sink_contract!(Stream::open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_carries_what_readers_of_a_broker_need() {
    let broker = Broker::open().await;
    let events = [event(TestEntropy.uuid(), "reservation.held", "{\"id\":1}")];
    broker.sink().deliver(&events).await.expect("it is accepted");
    let read = broker.queue().read().await;
    let [(_, properties)] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!(properties.content_type().as_ref().map(ShortString::as_str), Some("application/json"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(properties.timestamp().map(i64::try_from), Some(Ok(instant(7).timestamp())));
    let subject = AMQPValue::LongString(events[0].subject.to_string().into());
    assert_eq!(properties.headers().as_ref().and_then(|headers| headers.inner().get("subject")), Some(&subject));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_gets_the_kinds_that_it_is_bound_for_and_the_rest_is_accepted() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let (exchange, charges) = (fresh_name(), fresh_name());
    let queue = Queue::bind(&server.url(), &exchange, &charges, "charge.*").await;
    let sink = amqp_sink(&server.url(), &exchange, DEADLINE);
    let charge = event(TestEntropy.uuid(), "charge.completed", "{}");
    let (before, after) = (events(20), events(20));
    let batch = [before, vec![charge.clone()], after].concat();
    sink.deliver(&batch).await.expect("all is accepted");
    let arrived: Vec<_> = queue.arrived().await.iter().map(|arrived| arrived.id).collect();
    assert_eq!(arrived, [charge.id]);

    let settings = AmqpSettings { require_queue: true, ..amqp_settings(&server.url(), &exchange, DEADLINE) };
    let strict = AmqpSink::new(settings, trust());
    let error = strict.deliver(&batch).await.expect_err("nobody wants most of it");
    let EventSinkError::Refused(cause) = error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), "no queue is bound for 40 of 41 events");
    strict.deliver(&[charge]).await.expect("there is a queue for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_stream_has_a_field_for_each_part() {
    let stream = Stream::open().await;
    let mut events = events(2);
    events[1].concert_id = None;
    stream.sink().deliver(&events).await.expect("they are accepted");
    let entries = stream.entries().await;
    for (event, entry) in events.iter().zip(&entries) {
        let names: Vec<_> = entry.keys().map(String::as_str).collect();
        assert_eq!(names, ["concert_id", "document", "id", "kind", "occurred_at", "subject"]);
        assert_eq!(entry["occurred_at"], "2027-01-15T08:00:07Z");
        let concert_id = event.concert_id.map(|id: ConcertId| id.uuid().to_string()).unwrap_or_default();
        assert_eq!(entry["concert_id"], concert_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_does_not_grow_beyond_about_its_length() {
    let server = RedisServer::shared().await.expect("Redis starts");
    let stream = Stream::at(&server.url(), DEADLINE, 1_000).await;
    let events = events(5_000);
    stream.sink().deliver(&events).await.expect("they are accepted");
    let arrived = stream.arrived().await;
    assert!((1_000..1_200).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(arrived.last().map(|arrived| arrived.id), events.last().map(|event| event.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_be_in_a_cluster() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let events = events(700);
    for _ in 0..3 {
        // Each name is in another slot.
        let stream = Stream::at(&cluster.url(), DEADLINE, 1_000_000).await;
        stream.sink().deliver(&events).await.expect("they are accepted");
        let arrived: Vec<_> = stream.arrived().await.iter().map(|arrived| arrived.id).collect();
        assert!(arrived == events.iter().map(|event| event.id).collect::<Vec<_>>(), "{} arrived", arrived.len());
    }
}
