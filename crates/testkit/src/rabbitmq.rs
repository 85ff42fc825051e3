//! Private `RabbitMQ` servers. What a durable queue holds survives a kill.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::sync::OnceCell;

use crate::servers::{Keeper, attempts, blocking, free_port};

/// What a client of AMQP 0-9-1 sends first. The broker answers with the frame `connection.start`, or with its own version.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";
const FRAME_HEAD_BYTES: usize = 7;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A `RabbitMQ` server that is private to this process.
#[derive(Debug)]
pub struct RabbitServer {
    port: u16,
    keeper: Keeper,
}

impl RabbitServer {
    /// Starts an empty server and waits until it answers.
    pub async fn start() -> io::Result<Self> {
        let start = || async {
            let (port, nodes_port) = (free_port()?, free_port()?);
            let server = Self { port, keeper: Keeper::new("rabbitmq", port, &[nodes_port.to_string()]).await? };
            server.start_again().await?;
            Ok(server)
        };
        attempts(start).await
    }

    /// One that every test of this process shares. Never stop it: other tests use it.
    pub async fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceCell<RabbitServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The URL of its default virtual host, for a user who may do everything.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// As [`Self::url`], by another way to the server, such as a proxy.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("amqp://guest:guest@{address}/%2f")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The id of its process.
    pub async fn process_id(&self) -> io::Result<u32> {
        self.keeper.ask("pid").await?.parse().map_err(io::Error::other)
    }

    /// Kills the server (SIGKILL) and waits until it is gone. What it has confirmed stays.
    pub async fn kill(&self) -> io::Result<()> {
        self.keeper.ask("kill").await.map(drop)
    }

    /// Stops the server where it is (SIGSTOP): it accepts connections and answers nothing.
    pub async fn pause(&self) -> io::Result<()> {
        self.keeper.ask("pause").await.map(drop)
    }

    /// Lets a paused server go on (SIGCONT).
    pub async fn resume(&self) -> io::Result<()> {
        self.keeper.ask("resume").await.map(drop)
    }

    /// Starts the server again over the same data and on the same port, and waits until it answers.
    pub async fn start_again(&self) -> io::Result<()> {
        self.keeper.start().await?;
        let name = format!("rabbit-{}@", self.port);
        let is_this =
            || async { Ok(greet(self.address()).await?.windows(name.len()).any(|part| part == name.as_bytes())) };
        self.keeper.until_ready(is_this).await
    }
}

/// A message of a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its routing key: the kind of the event.
    pub kind: String,
    /// Its header `subject`.
    pub subject: String,
    /// What it says.
    pub document: String,
    /// Everything that came along.
    pub properties: BasicProperties,
}

/// A durable queue for events, as a reading system has it.
#[derive(Debug)]
pub struct Queue {
    channel: Channel,
    name: String,
    _connection: Connection,
}

impl Queue {
    /// Binds a queue to a topic exchange for the kinds that match. Declares both if they are not there. Panics if the broker
    /// does not do it.
    pub async fn bind(url: &str, exchange: &str, name: &str, kinds: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker answers");
        let channel = connection.create_channel().await.expect("a channel");
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), durable, FieldTable::default()).await.expect("a queue");
        let declare = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared = channel.exchange_declare(exchange.into(), ExchangeKind::Topic, declare, FieldTable::default());
        declared.await.expect("an exchange");
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(name.into(), exchange.into(), kinds.into(), options, FieldTable::default());
        bound.await.expect("the queue is bound");
        Self { channel, name: name.to_owned(), _connection: connection }
    }

    /// Takes all messages that are there. Panics if the broker does not answer, or a message has no subject.
    pub async fn take(&self) -> Vec<Message> {
        let mut taken = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(got) = self.channel.basic_get(self.name.as_str().into(), options).await.expect("an answer") {
            let properties = got.delivery.properties;
            let headers = properties.headers().as_ref().expect("headers").inner();
            let subject = match headers.get("subject").expect("a subject") {
                AMQPValue::LongString(text) => text.to_string(),
                other => panic!("{other:?}"),
            };
            let document = String::from_utf8(got.delivery.data).expect("text");
            taken.push(Message { kind: got.delivery.routing_key.to_string(), subject, document, properties });
        }
        taken
    }
}

/// The first frame of the broker, which has the name of its node among the properties of the server.
async fn greet(address: SocketAddr) -> io::Result<Vec<u8>> {
    blocking(move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(GREETING)?;
        let mut head = [0; FRAME_HEAD_BYTES];
        stream.read_exact(&mut head)?;
        let [1, 0, 0, length @ ..] = head else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame of a broker"));
        };
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?];
        stream.read_exact(&mut frame)?;
        Ok(frame)
    })
    .await
}
