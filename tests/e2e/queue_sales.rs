//! Queues that follow their sales: all held, sold out, closed, started; on one instance and on two.

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Api, Buyer},
    eventually,
    fleet::Fleet,
    list,
    queue_stream::QueueStream,
    server::Server,
    show::{PRICE, SEATS_PER_ROW, Show, Terms, add_performance, concert, venue_of},
    text, until,
};

/// A concert with one row of seats that admits one at a time.
fn small() -> Terms {
    Terms { max_active: 1, max_seats: 10, ..Terms::default() }
}

async fn publish(promoter: &Buyer, terms: Terms) -> Show {
    Show::publish_in(promoter, &venue_of(1), terms).await
}

fn labels() -> Vec<String> {
    (1..=SEATS_PER_ROW).map(|number| format!("A-1-{number}")).collect()
}

/// Holds all seats in as many reservations as it takes; gives their ids.
async fn hold_all(buyer: &Buyer, show: &Show) -> Vec<String> {
    let mut reservations = Vec::new();
    for seats in labels().chunks(4) {
        let seats: Vec<_> = seats.iter().map(String::as_str).collect();
        reservations.push(buyer.hold(&show.performance, &seats).await);
    }
    reservations
}

async fn availability(api: &Api, show: &Show) -> (String, bool) {
    let concert = api.get(format!("/v1/concerts/{}", show.concert)).send().await.is(200).clone();
    (text(&concert, "availability").to_owned(), concert["bookable"] == true)
}

async fn is_shown(api: &Api, show: &Show, expected: &str, bookable: bool) {
    until(expected, async || availability(api, show).await == (expected.to_owned(), bookable)).await;
    until("the list of bookable concerts agrees", async || {
        let listed = api.get("/v1/concerts?bookable=true").send().await.is(200).clone();
        list(&listed, "items").iter().any(|concert| concert["id"] == show.concert.as_str()) == bookable
    })
    .await;
}

/// Waits until a place has this status for this reason.
async fn stands(buyer: &Buyer, status: &str, reason: &Value) -> Value {
    eventually(&format!("{status} because of {reason}"), async || {
        let queue = buyer.queue().await;
        (queue["status"] == status && queue["reason"] == *reason).then_some(queue)
    })
    .await
}

async fn join_is_refused(buyer: &Buyer, show: &Show, code: &str) {
    eventually(code, async || {
        let answer: Answer = buyer.ask_join(&show.concert).send().await;
        (answer.status == 409).then(|| answer.refuses(409, code).clone())
    })
    .await;
}

/// From all free over all held to sold out and back. Seats are held and paid `here`, and the others wait `there`.
async fn sell_out(promoter: &Buyer, here: &Api, there: &Api) {
    let show = publish(promoter, small()).await;
    let mut people = Buyer::many_in_queue(here, 3, &show.concert).await;
    for buyer in &mut people[1..] {
        buyer.api = there.clone();
    }
    let [first, second, third] = &people[..] else { panic!("three joined") };
    is_shown(there, &show, "available", true).await;
    first.charge(PRICE * 10).await;
    let reservations = hold_all(first, &show).await;
    is_shown(there, &show, "held", true).await;

    // None is admitted while all seats are held, though there is room.
    let mut stream = QueueStream::open(second).await;
    let held = next_shown(&mut stream, "all_held").await;
    assert_eq!((&held["status"], &held["position"]), (&json!("waiting"), &json!(1)));
    promoter.patch(format!("/v1/concerts/{}", show.concert), &json!({"max_active": 2})).send().await.is(200);
    let waits = stands(second, "waiting", &json!("all_held")).await;
    assert_eq!((&waits["position"], &waits["estimated_wait_seconds"]), (&json!(1), &Value::Null));
    assert_eq!(Buyer::new(there).await.join(&show.concert).await["reason"], "all_held");

    // Seats that are given up admit the next one.
    first.ask_cancel(&reservations[2]).send().await.is(200);
    assert_eq!(stream.status().await["status"], "active");
    let rest = second.hold(&show.performance, &["A-1-9", "A-1-10"]).await;
    second.charge(PRICE * 2).await;
    stands(third, "waiting", &json!("all_held")).await;
    let mut stream = QueueStream::open(third).await;
    next_shown(&mut stream, "all_held").await;

    // With the last payment the queue ends.
    first.pay(&reservations[0]).await;
    first.pay(&reservations[1]).await;
    assert_eq!(third.queue_status().await, "waiting");
    second.pay(&rest).await;
    assert_eq!(next_shown(&mut stream, "sold_out").await["status"], "expired");
    assert_eq!(stream.next().await, None);
    stands(third, "expired", &json!("sold_out")).await;
    for api in [here, there] {
        is_shown(api, &show, "sold_out", false).await;
        join_is_refused(&Buyer::new(api).await, &show, "sold_out").await;
    }

    // What is given back can be had again.
    first.ask_cancel(&reservations[0]).send().await.is(200);
    is_shown(there, &show, "available", true).await;
    let mut again = third.clone();
    let joined = eventually("the queue can be joined again", async || {
        let answer = again.ask_join(&show.concert).send().await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    again.keep_token(&joined);
    stands(&again, "active", &Value::Null).await;
    again.hold(&show.performance, &["A-1-1"]).await;
}

/// The next status of a stream that has this reason.
async fn next_shown(stream: &mut QueueStream, reason: &str) -> Value {
    loop {
        let status = stream.status().await;
        if status["reason"] == reason {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_waits_while_all_is_held_and_ends_when_all_is_sold() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    sell_out(&promoter, server.api(), server.api()).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_follows_a_sale_that_happens_at_another_instance() {
    let fleet = Fleet::start(2, &[]).await;
    let promoter = fleet.promoter().await;
    let [here, there] = [0, 1].map(|index| fleet.instances[index].api().clone());
    sell_out(&promoter, &here, &there).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_hold_admits_the_next() {
    let server = Server::start(&[("HOLD_SECONDS", "10"), ("SWEEP_SECONDS", "60")]).await;
    let show = publish(&server.promoter("promoter").await, small()).await;
    let people = Buyer::many_in_queue(server.api(), 2, &show.concert).await;
    hold_all(&people[0], &show).await;
    stands(&people[1], "waiting", &json!("all_held")).await;
    people[0].leave().await;
    stands(&people[1], "active", &Value::Null).await;
    server.finish().await;
}

/// An account that holds seats as the sale closes pays them; all others learn that it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_ends_when_its_sale_closes_and_held_seats_are_paid() {
    let mut server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = publish(&promoter, Terms { closes_in_seconds: 15, ..small() }).await;
    let people = Buyer::many_in_queue(server.api(), 2, &show.concert).await;
    people[0].charge(PRICE).await;
    let reservation = people[0].hold(&show.performance, &["A-1-1"]).await;
    let mut stream = QueueStream::open(&people[1]).await;
    assert_eq!(stream.status().await["status"], "waiting");
    assert_eq!(next_shown(&mut stream, "sale_closed").await["status"], "expired");
    is_shown(server.api(), &show, "closed", false).await;
    join_is_refused(&people[1], &show, "sale_closed").await;
    assert_eq!(people[0].queue_status().await, "active", "it holds a seat");

    // Also after a restart, in whichever order they ask.
    server.restart().await;
    stands(&people[1], "expired", &json!("sale_closed")).await;
    stands(&people[0], "active", &Value::Null).await;
    people[0].pay(&reservation).await;
    stands(&people[0], "expired", &json!("sale_closed")).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_ends_when_the_last_performance_starts_and_needs_one_to_be_joined() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = publish(&promoter, Terms { starts_in_seconds: 15, ..small() }).await;
    let people = Buyer::many_in_queue(server.api(), 2, &show.concert).await;
    let ended = stands(&people[1], "expired", &json!("performance_started")).await;
    assert_eq!(ended["position"], 0);
    stands(&people[0], "expired", &json!("performance_started")).await;
    is_shown(server.api(), &show, "closed", false).await;
    join_is_refused(&people[1], &show, "performance_started").await;

    // Another performance opens the queue again.
    add_performance(&promoter, &show.concert, &show.venue, 86_400).await;
    is_shown(server.api(), &show, "available", true).await;
    until("the queue can be joined", async || people[1].ask_join(&show.concert).send().await.status == 201).await;

    let body = concert(&Terms::default());
    let without = promoter.post("/v1/concerts", &body).send().await;
    without.is(201);
    assert_eq!(without.json["availability"], "not_yet");
    people[0].ask_join(&without.id()).send().await.refuses(409, "sale_not_open");
    server.finish().await;
}
