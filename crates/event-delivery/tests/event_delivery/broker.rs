//! What breaks on the way to a broker or to Redis: servers that are killed, networks that are cut or silent, and settings
//! that are wrong.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use boxoffice_contracts::event_sink::{Arrived, Subject, by_subject, events, first_arrivals};
use boxoffice_domain::event_delivery::{
    EventSink,
    EventSinkError::{self, Refused, TimedOut, Unavailable},
    PublishedEvent,
};
use boxoffice_event_delivery::{
    amqp::{AmqpSettings, AmqpSink},
    tls::TlsTrust,
};
use boxoffice_testkit::{
    Authority,
    rabbitmq::RabbitServer,
    servers::RedisServer,
    tcp_proxy::{CutAt, Network, TcpProxy},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    receiver::acceptor,
    support::{DEADLINE, Queue, Stream, amqp_settings, amqp_sink, fresh_name, trust},
};

/// How long a batch may take where something breaks.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends batches one after the other, each until it is accepted, and returns how often one was not.
async fn deliver_all(sink: &dyn EventSink, events: &[PublishedEvent], batch: usize) -> usize {
    deliver_and_count(sink, events, batch, &watch::Sender::new(0)).await
}

/// As [`deliver_all`], and counts the events that were accepted.
async fn deliver_and_count(
    sink: &dyn EventSink,
    events: &[PublishedEvent],
    batch: usize,
    accepted: &watch::Sender<usize>,
) -> usize {
    let mut failures = 0;
    for batch in events.chunks(batch) {
        while let Err(error) = timeout(DEADLINE, sink.deliver(batch)).await.expect("it returns within its time") {
            let lacks_a_queue = matches!(&error, Refused(cause) if cause.to_string().starts_with("no queue is bound"));
            assert!(lacks_a_queue || !matches!(error, Refused(_)), "{error:?}");
            if lacks_a_queue {
                println!("a binding is gone: {error:?}");
            }
            failures += 1;
            sleep(Duration::from_millis(20)).await;
        }
        accepted.send_modify(|accepted| *accepted += batch.len());
    }
    failures
}

/// Every event has arrived, and the first arrivals of each subject are in order.
fn assert_complete(arrived: Vec<Arrived>, events: &[PublishedEvent]) {
    let (in_all, firsts) = (arrived.len(), first_arrivals(arrived));
    println!("{} events, {} repeats", firsts.len(), in_all - firsts.len());
    assert_eq!(firsts.len(), events.len());
    assert!(by_subject(firsts) == by_subject(events.iter().map(Arrived::from)), "events are out of order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_nothing_that_it_has_accepted() {
    let server = RabbitServer::start().await.expect("RabbitMQ starts");
    let (exchange, name) = (fresh_name(), fresh_name());
    drop(Queue::bind(&server.url(), &exchange, &name, "#").await);
    // Once, without this, a broker that had been killed accepted everything and the queue got nothing of it. It was not seen
    // again; a lost binding would look like that. So the reader binds its queue again, and no event is accepted without one.
    let settings = AmqpSettings { require_queue: true, ..amqp_settings(&server.url(), &exchange, PATIENCE) };
    let sink = AmqpSink::new(settings, trust());
    let (events, (counting, mut accepted)) = (Arc::new(events(20_000)), watch::channel(0));
    let sending = tokio::spawn({
        let events = Arc::clone(&events);
        async move { deliver_and_count(&sink, &events, 100, &counting).await }
    });
    for so_many in [2_000, 8_000] {
        accepted.wait_for(|accepted| *accepted >= so_many).await.expect("it is still sending");
        server.kill().await.expect("it is killed");
        server.start_again().await.expect("it starts");
        drop(Queue::bind(&server.url(), &exchange, &name, "#").await);
    }
    let failures = sending.await.expect("all is sent");
    assert!(failures > 0);
    let arrived = Queue::bind(&server.url(), &exchange, &name, "#").await.arrived().await;
    assert_complete(arrived, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_to_a_broker_only_repeat_events() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    for at in [CutAt::Request, CutAt::Work, CutAt::Answer] {
        let (exchange, name) = (fresh_name(), fresh_name());
        let queue = Queue::bind(&server.url(), &exchange, &name, "#").await;
        let proxy = TcpProxy::start(server.address()).expect("the proxy starts");
        let sink = amqp_sink(&server.url_at(proxy.address()), &exchange, PATIENCE);
        let events = events(2_000);
        // Documents are numbered: this one is once in each attempt.
        proxy.cut_when(b"\"number\":777}", at, 2);
        let failures = deliver_all(&sink, &events[..1_000], 50).await;
        assert!(failures > 0 && proxy.cuts() > 0, "{at:?}");
        proxy.cut_nothing();
        proxy.cut_all();
        deliver_all(&sink, &events[1_000..], 50).await;
        assert_complete(queue.arrived().await, &events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_nobody_waits_for_any_more_does_no_harm_to_the_next() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let (exchange, name) = (fresh_name(), fresh_name());
    let queue = Queue::bind(&server.url(), &exchange, &name, "#").await;
    let sink = amqp_sink(&server.url(), &exchange, DEADLINE);
    let events = events(1_000);
    for (number, batch) in (0..).zip(events.chunks(100)) {
        // Given up in the middle: some after connecting, some among the confirms.
        let _ = timeout(Duration::from_millis(4 * number), sink.deliver(batch)).await;
        deliver_all(&sink, batch, 100).await;
    }
    assert_complete(queue.arrived().await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_is_not_waited_for_longer_than_allowed() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let (exchange, name) = (fresh_name(), fresh_name());
    let queue = Queue::bind(&server.url(), &exchange, &name, "#").await;
    let proxy = TcpProxy::start(server.address()).expect("the proxy starts");
    let sink = amqp_sink(&server.url_at(proxy.address()), &exchange, Duration::from_millis(500));
    let events = events(30);
    deliver_all(&sink, &events[..10], 10).await;
    proxy.set(Network::Swallowing).await;
    for _ in 0..3 {
        let begun = Instant::now();
        let error = sink.deliver(&events[10..20]).await.expect_err("nothing answers");
        assert!(matches!(error, TimedOut), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    proxy.set(Network::Refusing).await;
    proxy.cut_all();
    let error = sink.deliver(&events[10..20]).await.expect_err("nothing listens");
    assert!(matches!(error, Unavailable(_) | TimedOut), "{error:?}");
    proxy.set(Network::Whole).await;
    deliver_all(&sink, &events[10..], 10).await;
    assert_complete(queue.arrived().await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_refused_without_showing_the_password() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let refusal = async |url: String, exchange: &str| -> EventSinkError {
        let sink = amqp_sink(&url, exchange, DEADLINE);
        let error = sink.deliver(&events(1)).await.expect_err("it is refused");
        assert!(matches!(error, Refused(_)), "{error:?}");
        let shown = format!("{error:?} {sink:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("guest:guest"), "{shown}");
        error
    };
    // Exchanges of these names are there from the start, of another type.
    refusal(server.url(), "amq.direct").await;
    refusal(server.url(), &"x".repeat(256)).await;
    refusal(server.url().replace("guest:guest", "guest:s3cret"), &fresh_name()).await;
    refusal(server.url().replace("%2f", "nowhere"), &fresh_name()).await;
}

/// A proxy that ends TLS in front of a broker, as many installations have it.
async fn secure_before(target: std::net::SocketAddr, authority: &Authority, host: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = acceptor(authority, host);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut secure = acceptor.accept(stream).await.ok()?;
                copy_bidirectional(&mut secure, &mut TcpStream::connect(target).await.ok()?).await.ok()
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_reached_over_tls_if_its_certificate_is_right() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let authority = Authority::create();
    let exchange = fresh_name();
    let queue = Queue::bind(&server.url(), &exchange, &fresh_name(), "#").await;
    let known = TlsTrust::of_system([authority.der()]).expect("a certificate");
    let events = events(3);
    for (host, trust, is_accepted) in
        [("localhost", known.clone(), true), ("localhost", trust(), false), ("elsewhere.example", known, false)]
    {
        let port = secure_before(server.address(), &authority, host).await;
        let settings = amqp_settings(&format!("amqps://guest:guest@localhost:{port}/%2f"), &exchange, DEADLINE);
        let delivered = AmqpSink::new(settings, trust).deliver(&events).await;
        assert_eq!(delivered.is_ok(), is_accepted, "{host}: {delivered:?}");
    }
    assert_complete(queue.arrived().await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_goes_away_is_an_error_until_it_is_back() {
    let server = RedisServer::start().await.expect("Redis starts");
    let stream = Stream::at(&server.url(), PATIENCE, 1_000_000).await;
    let events = events(3_000);
    deliver_all(stream.sink(), &events[..1_000], 100).await;
    server.pause().await.expect("it is paused");
    let error = stream.sink().deliver(&events[1_000..1_010]).await.expect_err("nothing answers");
    assert!(matches!(error, TimedOut), "{error:?}");
    server.resume().await.expect("it goes on");
    deliver_all(stream.sink(), &events[1_000..], 100).await;
    assert_complete(stream.arrived().await, &events);

    server.kill().await.expect("it is killed");
    let error = stream.sink().deliver(&events).await.expect_err("nothing listens");
    assert!(matches!(error, Unavailable(_)), "{error:?}");
    server.start_again().await.expect("it starts, empty");
    deliver_all(stream.sink(), &events, 100).await;
    assert_complete(stream.arrived().await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_behind_a_cut_network_only_repeats_events() {
    let server = RedisServer::shared().await.expect("Redis starts");
    let proxy = TcpProxy::start(server.address()).expect("the proxy starts");
    let stream = Stream::at(&format!("redis://{}", proxy.address()), PATIENCE, 1_000_000).await;
    let events = events(2_000);
    // A batch that is small enough to reach Redis in one piece.
    proxy.cut_when(b"\"number\":777}", CutAt::Answer, 2);
    assert!(deliver_all(stream.sink(), &events, 20).await > 0);
    let arrived = stream.arrived().await;
    let ids: BTreeSet<_> = arrived.iter().map(|arrived| arrived.id).collect();
    assert_eq!((ids.len(), arrived.len()), (2_000, 2_020), "Redis carried the transaction out whose answer was lost");
    assert_complete(arrived, &events);
}

/// No limit is asserted: the machine of a test has other things to do.
#[tokio::test(flavor = "multi_thread")]
async fn how_fast_events_are_delivered() {
    let server = RabbitServer::shared().await.expect("RabbitMQ starts");
    let (exchange, name) = (fresh_name(), fresh_name());
    let _queue = Queue::bind(&server.url(), &exchange, &name, "#").await;
    let amqp = amqp_sink(&server.url(), &exchange, DEADLINE);
    let stream = Stream::open().await;
    let events = events(10_000);
    for (name, sink) in [("RabbitMQ", &amqp as &dyn EventSink), ("Redis", stream.sink())] {
        for batch in [1, 100, 1_000] {
            let (count, begun) = (if batch == 1 { 500_u16 } else { 10_000 }, Instant::now());
            deliver_all(sink, &events[..usize::from(count)], batch).await;
            println!(
                "{name}: {:.0} events a second in batches of {batch}",
                f64::from(count) / begun.elapsed().as_secs_f64()
            );
        }
    }
}
