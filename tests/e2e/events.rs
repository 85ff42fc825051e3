//! Events on their way to other systems, while what they pass is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use boxoffice_testkit::{
    rabbitmq::{Message, Queue, RabbitServer},
    servers::RedisServer,
};
use serde_json::Value;

use crate::support::{
    all, answered, answered_in_queue,
    client::{Buyer, fresh},
    server::{Backend, MARIADB, Server},
    show::{PRICE, Show, Terms, labels},
    text, until,
};

const BUYERS: usize = 25;
/// How often each buyer holds, and pays or cancels.
const ROUNDS: usize = 12;

/// Holds a seat and pays, cancels, or does both. Gives the reservation and the kinds of its events, in order.
pub(crate) async fn buy(buyer: &mut Buyer, show: &Show, seat: &str, round: usize) -> (String, Vec<&'static str>) {
    let key = fresh("hold");
    let ask = |buyer: &Buyer| buyer.ask_hold(&show.performance, &[seat]).key(&key);
    let (id, key) = (answered_in_queue(buyer, &show.concert, ask).await, fresh("payment"));
    let mut kinds = vec!["reservation.held"];
    let is_paid = !round.is_multiple_of(3);
    if is_paid {
        answered_in_queue(buyer, &show.concert, |buyer| buyer.ask_pay(&id).key(&key)).await;
        kinds.extend(["reservation.confirmed", "payment.completed"]);
    }
    // Its seat is wanted in the next round. The server may have been killed before it answered that it was cancelled.
    let cancelled = answered(|| buyer.ask_cancel(&id)).await;
    if cancelled.status != 200 {
        cancelled.refuses(409, "reservation_cancelled");
    }
    kinds.push("reservation.cancelled");
    kinds.extend(is_paid.then_some("payment.refunded"));
    (id, kinds)
}

/// The first arrival of each event, by its subject, in order. Fails if an id has two meanings.
pub(crate) fn first_arrivals(messages: &[(String, Value)]) -> BTreeMap<String, Vec<String>> {
    let (mut seen, mut by_subject) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for (kind, document) in messages {
        assert_eq!(document["kind"], kind.as_str());
        if seen.insert(text(document, "id").to_owned()) {
            by_subject.entry(text(document, "subject").to_owned()).or_default().push(kind.clone());
        }
    }
    by_subject
}

pub(crate) async fn take(queue: &Queue, into: &mut Vec<(String, Value)>) {
    for Message { kind, document, subject, .. } in queue.take().await {
        let document: Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(document["subject"], subject.as_str());
        into.push((kind, document));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_stampede_arrives_in_order_while_broker_and_server_are_killed() {
    let broker = RabbitServer::start().await.expect("RabbitMQ starts");
    drop(Queue::bind(&broker.url(), "boxoffice", "warehouse", "#").await);
    let mut server = Server::start_on(MARIADB, &[("EVENTS", &broker.url()), ("EVENTS_REQUIRE_QUEUE", "true")]).await;
    server.breaks_things = true;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let (show, buyers) = (Arc::new(show), Buyer::many(server.api(), BUYERS).await);
    for buyer in &buyers {
        buyer.charge(PRICE).await;
    }
    let done = Arc::new(AtomicUsize::new(0));
    let tasks = buyers.into_iter().zip(labels()).map(|(mut buyer, seat)| {
        let (done, show) = (Arc::clone(&done), Arc::clone(&show));
        tokio::spawn(async move {
            let mut bought = Vec::new();
            for round in 0..ROUNDS {
                bought.push(buy(&mut buyer, &show, &seat, round).await);
                done.fetch_add(1, Ordering::SeqCst);
            }
            bought
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for (part, kills_broker) in [(1, true), (2, false), (3, true)] {
        until("some are done", async || done.load(Ordering::SeqCst) >= part * BUYERS * ROUNDS / 5).await;
        if kills_broker {
            broker.kill().await.expect("it is killed");
            broker.start_again().await.expect("it starts");
            drop(Queue::bind(&broker.url(), "boxoffice", "warehouse", "#").await);
        } else {
            server.kill();
            server.start_again().await;
        }
    }
    let mut expected = BTreeMap::new();
    for (id, kinds) in all(tasks).await.into_iter().flatten() {
        expected.insert(id, kinds);
    }
    assert_eq!(expected.len(), BUYERS * ROUNDS);

    let queue = Queue::bind(&broker.url(), "boxoffice", "warehouse", "#").await;
    let mut messages = Vec::new();
    until("every event has arrived", async || {
        take(&queue, &mut messages).await;
        let arrived = first_arrivals(&messages);
        expected.iter().all(|(id, kinds)| arrived.get(id).is_some_and(|arrived| arrived.len() >= kinds.len()))
    })
    .await;
    let arrived = first_arrivals(&messages);
    for (id, kinds) in &expected {
        assert_eq!(&arrived[id], kinds, "reservation {id}");
    }
    let charges = arrived.values().filter(|kinds| *kinds == &["charge.requested", "charge.completed"]);
    assert_eq!(charges.count(), BUYERS);
    assert_eq!(arrived[&show.concert], ["concert.published", "queue.opened"]);
    assert_eq!(arrived[&show.performance], ["performance.published"]);
    assert!(messages.iter().all(|(kind, document)| {
        let is_of_concert = !kind.starts_with("charge.");
        (document["concert_id"] == show.concert.as_str()) == is_of_concert
    }));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_in_a_stream_of_redis_and_what_staff_does_is_among_them() {
    let redis = RedisServer::start().await.expect("Redis starts");
    let server = Server::start_on(Backend::Sqlite, &[("EVENTS", &redis.url()), ("EVENTS_NAME", "shop:events")]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let path = format!("/v1/concerts/{}", show.concert);
    let etag = promoter.get(&path).send().await.header("etag").expect("a version").to_owned();
    let change = promoter.patch(&path, &serde_json::json!({"artist": "Another"})).header("if-match", etag);
    change.send().await.is(200);
    for act in ["pause", "resume"] {
        promoter.ask("POST", format!("{path}/queue/{act}")).send().await.is(200);
    }
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let mut documents = Vec::new();
    until("the events are there", async || {
        let read: Vec<(String, BTreeMap<String, String>)> =
            redis::cmd("XRANGE").arg("shop:events").arg("-").arg("+").query_async(&mut connection).await.expect("it");
        let parse = |(_, entry): (String, BTreeMap<String, String>)| {
            let document: Value = serde_json::from_str(&entry["document"]).expect("JSON");
            (entry["kind"].clone(), document)
        };
        documents = read.into_iter().map(parse).collect();
        documents.len() >= 6
    })
    .await;
    let arrived = first_arrivals(&documents);
    let mut of_concert = arrived[&show.concert].clone();
    // The opening is noticed within a second.
    of_concert.retain(|kind| kind != "queue.opened");
    assert_eq!(of_concert, ["concert.published", "concert.changed", "queue.paused", "queue.resumed"]);
    assert_eq!(arrived[&show.performance], ["performance.published"]);
    let (_, changed) = documents.iter().find(|(kind, _)| kind == "concert.changed").expect("a change");
    assert_eq!(changed["data"]["changes"]["artist"]["after"], "Another");
    server.finish().await;
}
