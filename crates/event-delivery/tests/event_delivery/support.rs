//! Sinks for tests, and readers behind them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use boxoffice_contracts::event_sink::{Arrived, Subject};
use boxoffice_domain::{EntropySource, event_delivery::EventSink, fixtures::TestEntropy};
use boxoffice_event_delivery::{
    amqp::{AmqpSettings, AmqpSink, AmqpUrl},
    redis_stream::RedisStreamSink,
    tls::TlsTrust,
};
use boxoffice_peers::redis::{Link, RedisSettings, RedisUrl};
use boxoffice_testkit::{
    rabbitmq::{self, Message, RabbitServer},
    servers::RedisServer,
};
use lapin::BasicProperties;
use redis::{FromRedisValue, Value};
use tokio::sync::Mutex;

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// The authorities of the system only: no test here asks for more.
pub(crate) fn trust() -> TlsTrust {
    TlsTrust::of_system([]).expect("the cryptography is there")
}

/// A name that no other test uses.
pub(crate) fn fresh_name() -> String {
    format!("test-{}", TestEntropy.uuid().simple())
}

/// A sink that publishes to an exchange of this name.
pub(crate) fn amqp_sink(url: &str, exchange: &str, patience: Duration) -> AmqpSink {
    AmqpSink::new(amqp_settings(url, exchange, patience), trust())
}

pub(crate) fn amqp_settings(url: &str, exchange: &str, patience: Duration) -> AmqpSettings {
    AmqpSettings {
        url: AmqpUrl::parse(url).expect("a URL"),
        exchange: exchange.to_owned(),
        require_queue: false,
        connect_timeout: patience,
        batch_timeout: patience,
    }
}

/// A durable queue, and what was read from it.
pub(crate) struct Queue {
    queue: rabbitmq::Queue,
    read: Mutex<Vec<(Arrived, BasicProperties)>>,
}

impl Queue {
    /// Binds a queue to the exchange for the kinds that match, which it declares as a reader would.
    pub(crate) async fn bind(url: &str, exchange: &str, name: &str, kinds: &str) -> Self {
        Self { queue: rabbitmq::Queue::bind(url, exchange, name, kinds).await, read: Mutex::default() }
    }

    /// Everything that has come so far, with its properties.
    pub(crate) async fn read(&self) -> Vec<(Arrived, BasicProperties)> {
        let mut read = self.read.lock().await;
        for Message { kind, subject, document, properties } in self.queue.take().await {
            let id = properties.message_id().as_ref().expect("an id").as_str().parse().expect("an id");
            read.push((Arrived { id, kind, subject: subject.parse().expect("an id"), document }, properties));
        }
        read.clone()
    }

    pub(crate) async fn arrived(&self) -> Vec<Arrived> {
        self.read().await.into_iter().map(|(arrived, _)| arrived).collect()
    }
}

/// A broker with one queue for everything.
pub(crate) struct Broker {
    sink: AmqpSink,
    queue: Queue,
}

impl Broker {
    pub(crate) async fn open() -> Self {
        let server = RabbitServer::shared().await.expect("RabbitMQ starts");
        let (exchange, queue) = (fresh_name(), fresh_name());
        let queue = Queue::bind(&server.url(), &exchange, &queue, "#").await;
        Self { sink: amqp_sink(&server.url(), &exchange, DEADLINE), queue }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Subject for Broker {
    fn sink(&self) -> &dyn EventSink {
        &self.sink
    }

    async fn arrived(&self) -> Vec<Arrived> {
        self.queue.arrived().await
    }
}

/// A stream of Redis.
pub(crate) struct Stream {
    sink: RedisStreamSink,
    link: Arc<Link>,
    name: String,
}

impl Stream {
    pub(crate) async fn open() -> Self {
        let server = RedisServer::shared().await.expect("Redis starts");
        Self::at(&server.url(), DEADLINE, 1_000_000).await
    }

    pub(crate) async fn at(url: &str, patience: Duration, length_max: u64) -> Self {
        let settings =
            RedisSettings { prefix: "boxoffice".to_owned(), connect_timeout: patience, command_timeout: patience };
        let link = Link::open(RedisUrl::parse(url).expect("a URL"), settings);
        link.up().await;
        let name = fresh_name();
        Self { sink: RedisStreamSink::new(Arc::clone(&link), name.clone(), length_max), link, name }
    }

    /// The fields of all entries.
    pub(crate) async fn entries(&self) -> Vec<BTreeMap<String, String>> {
        let command = redis::cmd("XRANGE").arg(&self.name).arg("-").arg("+").take();
        let Value::Array(entries) = self.link.query(&command).await.expect("an answer") else { panic!("no entries") };
        let fields = |entry| {
            let (_, fields): (String, BTreeMap<String, String>) =
                FromRedisValue::from_redis_value(entry).expect("fields");
            fields
        };
        entries.into_iter().map(fields).collect()
    }
}

impl Subject for Stream {
    fn sink(&self) -> &dyn EventSink {
        &self.sink
    }

    async fn arrived(&self) -> Vec<Arrived> {
        let arrived = |entry: BTreeMap<String, String>| Arrived {
            id: entry["id"].parse().expect("an id"),
            kind: entry["kind"].clone(),
            subject: entry["subject"].parse().expect("an id"),
            document: entry["document"].clone(),
        };
        self.entries().await.into_iter().map(arrived).collect()
    }
}
