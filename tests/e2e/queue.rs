//! The line: everybody has one place, nobody is dropped, and nobody gets through the gate who may not.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::support::{
    client::{Answer, Ask, Buyer},
    eventually,
    server::Server,
    show::{PRICE, Show, Terms},
    together,
};

const PEOPLE: usize = 1_000;
const MAX_ACTIVE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_join_at_once_are_served_in_the_order_of_their_places() {
    // Nobody polls here but those whose turn it is.
    let server = Server::start(&[("NO_SHOW_SECONDS", "3600")]).await;
    let show = Show::on(&server, Terms::max_active(50)).await;
    let people = Buyer::many(server.api(), PEOPLE).await;
    let joins = together(PEOPLE, |index| {
        let mut buyer = people[index].clone();
        let ask = buyer.ask_join(&show.concert);
        async move {
            let answer = ask.send().await;
            answer.is(201)["token"].as_str().expect("a token").clone_into(&mut buyer.asks.queue_token);
            (buyer, answer.json)
        }
    })
    .await;
    let tokens: BTreeSet<_> = joins.iter().map(|(buyer, _)| &buyer.asks.queue_token).collect();
    assert_eq!(tokens.len(), PEOPLE);
    let (active, mut waiting): (Vec<_>, Vec<_>) = joins.iter().partition(|(_, joined)| joined["status"] == "active");
    assert_eq!(active.len(), MAX_ACTIVE);
    let position = |status: &Value| status["position"].as_u64().expect("a number");
    waiting.sort_by_key(|(_, joined)| position(joined));
    let positions: Vec<_> = waiting.iter().map(|(_, joined)| position(joined)).collect();
    assert_eq!(positions, (1..=950).collect::<Vec<_>>());

    // Asking does not change a place, and joining again gives the same one.
    let (last, joined) = waiting[949];
    assert_eq!(position(&last.queue().await), 950);
    let again = last.ask_join(&show.concert).send().await;
    assert_eq!((&again.is(200)["token"], position(&again.json)), (&joined["token"], 950));
    assert_eq!(joined["joined_at"], again.json["joined_at"]);

    // One in the middle gives up; those behind move up by one.
    let (gone, _) = waiting.remove(500);
    gone.leave().await;
    assert_eq!(position(&last.queue().await), 949);
    assert_eq!(gone.queue_status().await, "expired");

    // Whoever leaves is followed at once, by the next in line.
    let in_order: Vec<_> = active.iter().chain(&waiting).map(|(buyer, _)| buyer).collect();
    for (index, buyer) in in_order.iter().enumerate() {
        if let Some(next) = in_order.get(index + MAX_ACTIVE) {
            let before = next.queue().await;
            assert_eq!((&before["status"], position(&before)), (&json!("waiting"), 1));
            buyer.leave().await;
            assert_eq!(next.queue_status().await, "active");
        } else {
            assert_eq!(buyer.queue_status().await, "active");
            buyer.leave().await;
        }
    }
    server.finish().await;
}

/// Every route that takes a queue token; the first three whatever its status.
fn guarded(buyer: &Buyer, show: &Show, reservation: &str) -> Vec<Ask> {
    let Show { concert, performance, .. } = show;
    vec![
        buyer.get("/v1/queue"),
        buyer.delete("/v1/queue"),
        buyer.get("/v1/queue/events").header("accept", "text/event-stream"),
        buyer.get(format!("/v1/concerts/{concert}/performances")),
        buyer.get(format!("/v1/performances/{performance}")),
        buyer.get(format!("/v1/performances/{performance}/seats")),
        buyer.ask_hold(performance, &["A-1-9"]),
        buyer.ask_pay(reservation),
    ]
}

/// How many of them do not ask for an active token.
const STATUS_ROUTES: usize = 3;

async fn all_refuse(asks: Vec<Ask>, status: u16, code: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for ask in asks {
        let answer = ask.send().await;
        answer.refuses(status, code);
        answers.push(answer);
    }
    answers
}

fn gate(buyer: &Buyer, show: &Show, reservation: &str) -> Vec<Ask> {
    guarded(buyer, show, reservation).split_off(STATUS_ROUTES)
}

/// Texts that look more or less like a token.
fn forgeries(token: &str) -> Vec<String> {
    let flipped = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("ASCII")
    };
    let (middle, end) = (token.len() / 2, token.len() - 1);
    let mut forgeries = vec!["x".to_owned(), "0".repeat(4_000), token[..end].to_owned(), format!("{token}A")];
    forgeries.extend([flipped(0), flipped(middle), token.to_uppercase()]);
    forgeries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guarded_route_refuses_every_wrong_token_with_its_own_code() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(1)).await;
    let other_show = Show::publish(&promoter, Terms::default()).await;
    let (mut buyer, mut other) = (Buyer::new(server.api()).await, Buyer::new(server.api()).await);
    buyer.be_admitted(&show.concert).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    other.join(&show.concert).await;

    for ask in guarded(&buyer, &show, &reservation) {
        ask.without("queue-token").send().await.refuses(401, "queue_token_missing");
    }
    for forged in forgeries(&buyer.asks.queue_token) {
        let asks = guarded(&buyer, &show, &reservation).into_iter().map(|ask| ask.queue_token(&forged)).collect();
        all_refuse(asks, 401, "queue_token_invalid").await;
    }
    let foreign =
        |token: &str| guarded(&buyer, &show, &reservation).into_iter().map(|ask| ask.queue_token(token)).collect();
    all_refuse(foreign(&other.asks.queue_token), 401, "queue_token_invalid").await;

    // An active token of another concert is good for itself, and opens no gate but its own.
    let mut elsewhere = buyer.clone();
    elsewhere.be_admitted(&other_show.concert).await;
    all_refuse(gate(&elsewhere, &show, &reservation), 401, "queue_token_invalid").await;
    let queue = elsewhere.queue().await;
    assert_eq!((&queue["status"], &queue["concert_id"]), (&json!("active"), &json!(other_show.concert)));

    // Its holder leaves: the token has expired, and the hold stays.
    buyer.leave().await;
    assert_eq!(buyer.queue_status().await, "expired");
    all_refuse(gate(&buyer, &show, &reservation), 403, "queue_token_expired").await;
    buyer.leave().await;
    assert_eq!(buyer.events().await.next().await.expect("an event")["status"], "expired");
    assert_eq!(buyer.reservation(&reservation).await["status"], "held");

    // Who joins anew stands at the end of the line; meanwhile it was the other one's turn.
    assert_eq!(other.queue_status().await, "active");
    let spent = buyer.asks.queue_token.clone();
    assert_eq!(buyer.join(&show.concert).await["status"], "waiting");
    assert_ne!(buyer.asks.queue_token, spent);
    for answer in all_refuse(gate(&buyer, &show, &reservation), 403, "queue_token_not_active").await {
        assert_eq!(answer.json["position"], 1);
    }
    other.leave().await;
    assert_eq!(buyer.queue_status().await, "active");
    buyer.ask_hold(&show.performance, &["A-1-2"]).send().await.is(201);
    // The token of the former visit stays expired.
    let former = buyer.get("/v1/queue").queue_token(&spent).send().await;
    assert_eq!(former.is(200)["status"], "expired");

    // Without an access token no queue token is looked at.
    for ask in guarded(&buyer, &show, &reservation) {
        ask.without("authorization").send().await.refuses(401, "unauthenticated");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_frees_the_slot_for_the_next_at_once() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 4).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
        buyer.charge(PRICE).await;
    }
    for (index, buyer) in buyers.iter().enumerate() {
        let reservation = buyer.hold(&show.performance, &[&format!("A-1-{}", index + 1)]).await;
        buyer.pay(&reservation).await;
        if let Some(next) = buyers.get(index + 1) {
            assert_eq!(next.queue_status().await, "active");
        }
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_are_admitted_as_soon_as_the_promoter_lets_them_in() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 5).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
    }
    let path = format!("/v1/concerts/{}", show.concert);
    assert_eq!(promoter.patch(path, &json!({"max_active": 3})).send().await.is(200)["max_active"], 3);
    let mut statuses = Vec::new();
    for buyer in &buyers {
        statuses.push(buyer.queue_status().await);
    }
    assert_eq!(statuses, ["active", "active", "active", "waiting", "waiting"]);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_tells_waiting_then_active_then_expired() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 3).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
    }
    let mut events = buyers[2].events().await;
    let told = async |events: &mut crate::support::client::Events| {
        let status = events.next().await.expect("the stream goes on");
        (status["status"].as_str().expect("a status").to_owned(), status["position"].as_u64().expect("a position"))
    };
    assert_eq!(told(&mut events).await, ("waiting".to_owned(), 2));
    buyers[0].leave().await;
    assert_eq!(told(&mut events).await, ("waiting".to_owned(), 1));
    assert_eq!(buyers[1].queue_status().await, "active");
    buyers[1].leave().await;
    assert_eq!(told(&mut events).await, ("active".to_owned(), 0));
    buyers[2].leave().await;
    assert_eq!(told(&mut events).await, ("expired".to_owned(), 0));
    assert_eq!(events.next().await, None);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_event_stream_ends_when_the_server_stops() {
    let mut server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 1).await;
    buyers[0].join(&show.concert).await;
    let mut events = buyers[0].events().await;
    assert_eq!(events.next().await.expect("an event")["status"], "active");
    server.terminate();
    assert_eq!(events.next().await, None);
    assert_eq!(server.ended().await.code(), Some(0));
    server.start_again().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_in_time_is_passed_over_and_blocks_nobody() {
    let server = Server::start(&[("NO_SHOW_SECONDS", "3")]).await;
    let show = Show::on(&server, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 3).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
    }
    // The second one never asks again after the first has left, and the third gets in all the same.
    buyers[0].leave().await;
    let third = &buyers[2];
    eventually("the third is admitted", || async { (third.queue_status().await == "active").then_some(()) }).await;
    assert_eq!(buyers[1].queue_status().await, "expired");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_ends_with_its_time() {
    let server = Server::start(&[("ADMISSION_SECONDS", "2"), ("HOLD_SECONDS", "6")]).await;
    let show = Show::on(&server, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 2).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
    }
    let (first, second) = (&buyers[0], &buyers[1]);
    // The first one holds a seat, so it may stay until the hold ends, but hold nothing more.
    let reservation = first.hold(&show.performance, &["A-1-1"]).await;
    eventually("the admission proper is over", || async {
        let answer = first.ask_hold(&show.performance, &["A-1-1"]).send().await;
        (answer.status == 403).then(|| answer.refuses(403, "queue_token_expired").clone())
    })
    .await;
    assert_eq!((first.queue_status().await.as_str(), second.queue_status().await.as_str()), ("active", "waiting"));
    first.charge(PRICE).await;
    first.pay(&reservation).await;
    assert_eq!((first.queue_status().await.as_str(), second.queue_status().await.as_str()), ("expired", "active"));
    eventually("the second's time is over", || async { (second.queue_status().await == "expired").then_some(()) })
        .await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_re_forms_in_its_order_after_a_restart() {
    const REFORM: Duration = Duration::from_secs(5);
    let mut server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::max_active(2)).await;
    let mut people = Buyer::many(server.api(), 6).await;
    for buyer in &mut people[..5] {
        buyer.join(&show.concert).await;
    }
    // The first pays, which spends its token and lets the third in; the fourth and fifth wait.
    people[0].charge(PRICE).await;
    let reservation = people[0].hold(&show.performance, &["A-1-1"]).await;
    people[0].pay(&reservation).await;
    assert_eq!(people[2].queue_status().await, "active");

    server.stop().await;
    server.set("REFORM_SECONDS", "5");
    let began = Instant::now();
    server.start_again().await;
    for buyer in &mut people {
        buyer.api = server.api().clone();
    }
    // They come back in the wrong order, and a new one comes in between.
    for index in [4, 3] {
        assert_eq!(people[index].queue().await["position"], 1);
    }
    assert_eq!(people[5].join(&show.concert).await["position"], 3);
    assert_eq!(people[2].queue().await["position"], 1);
    assert_eq!(people[1].queue().await["position"], 1);
    assert_eq!(people[0].queue_status().await, "expired");
    let again = people[4].ask_join(&show.concert).send().await;
    assert_eq!((&again.is(200)["token"], &again.json["position"]), (&json!(people[4].asks.queue_token), &json!(4)));

    let second = &people[1];
    eventually("the line has re-formed", || async { (second.queue_status().await == "active").then_some(()) }).await;
    assert!(began.elapsed() >= REFORM, "somebody was admitted after {:?}", began.elapsed());
    assert_eq!(people[2].queue_status().await, "active");
    for (position, index) in (1..).zip([3, 4, 5]) {
        let queue = people[index].queue().await;
        assert_eq!((&queue["status"], &queue["position"]), (&json!("waiting"), &json!(position)));
    }
    let seats = people[0].ask("GET", format!("/v1/performances/{}/seats", show.performance));
    seats.send().await.refuses(403, "queue_token_expired");
    server.finish().await;
}
