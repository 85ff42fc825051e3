//! The queue: each account has one place, none is dropped, and only admitted accounts pass the gate.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::support::{
    client::{Answer, Ask, Buyer},
    eventually,
    queue_stream::QueueStream,
    server::Server,
    show::{PRICE, Show, Terms, server_with_show},
    text, together, until,
};

const PEOPLE: usize = 1_000;
const MAX_ACTIVE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_join_at_once_are_served_in_the_order_of_their_places() {
    // Only accounts at the front poll here.
    let (server, show) = server_with_show(&[("NO_SHOW_SECONDS", "3600")], Terms::max_active(MAX_ACTIVE)).await;
    let people = Buyer::many(server.api(), PEOPLE).await;
    let joins = together(PEOPLE, |index| {
        let mut buyer = people[index].clone();
        let ask = buyer.ask_join(&show.concert);
        async move {
            let answer = ask.send().await;
            answer.is(201);
            buyer.keep_token(&answer);
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

    // A poll does not change a place, and joining again gives the same one.
    let (last, joined) = waiting[949];
    assert_eq!(position(&last.queue().await), 950);
    let again = last.ask_join(&show.concert).send().await;
    assert_eq!((&again.is(200)["token"], position(&again.json)), (&joined["token"], 950));
    assert_eq!(joined["joined_at"], again.json["joined_at"]);

    // One in the middle leaves; those behind move up by one.
    let (gone, _) = waiting.remove(500);
    gone.leave().await;
    assert_eq!(position(&last.queue().await), 949);
    assert_eq!(gone.queue_status().await, "expired");

    // When one leaves, the next in the queue is admitted at once.
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

/// Every route that takes a queue token; the first three accept every status.
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
async fn every_guarded_route_refuses_each_wrong_token_with_its_own_code() {
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
    // The token of another account is as wrong as a forged one.
    for wrong in forgeries(&buyer.asks.queue_token).into_iter().chain([other.asks.queue_token.clone()]) {
        let asks = guarded(&buyer, &show, &reservation).into_iter().map(|ask| ask.queue_token(&wrong)).collect();
        all_refuse(asks, 401, "queue_token_invalid").await;
    }

    // An active token of another concert is valid, and opens no gate but its own.
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
    assert_eq!(QueueStream::open(&buyer).await.status().await["status"], "expired");
    assert_eq!(buyer.reservation(&reservation).await["status"], "held");

    // After joining again it stands at the end of the queue; meanwhile the other one was admitted.
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
    // The previous token stays expired.
    let former = buyer.get("/v1/queue").queue_token(&spent).send().await;
    assert_eq!(former.is(200)["status"], "expired");

    // Without an access token no queue token is checked.
    for ask in guarded(&buyer, &show, &reservation) {
        ask.without("authorization").send().await.refuses(401, "unauthenticated");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_admits_the_next_at_once() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 4, &show.concert).await;
    for (index, buyer) in buyers.iter().enumerate() {
        buyer.charge(PRICE).await;
        let reservation = buyer.hold(&show.performance, &[&format!("A-1-{}", index + 1)]).await;
        buyer.pay(&reservation).await;
        if let Some(next) = buyers.get(index + 1) {
            assert_eq!(next.queue_status().await, "active");
        }
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_stream_shows_waiting_then_active_then_expired() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 3, &show.concert).await;
    let mut stream = QueueStream::open(&buyers[2]).await;
    let mut shows = async |status: &str, position: u64| {
        let shown = stream.status().await;
        assert_eq!((text(&shown, "status"), shown["position"].as_u64()), (status, Some(position)));
    };
    shows("waiting", 2).await;
    buyers[0].leave().await;
    shows("waiting", 1).await;
    assert_eq!(buyers[1].queue_status().await, "active");
    buyers[1].leave().await;
    shows("active", 0).await;
    buyers[2].leave().await;
    shows("expired", 0).await;
    assert_eq!(stream.next().await, None);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_queue_stream_ends_when_the_server_stops() {
    let (mut server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    let mut stream = QueueStream::open(&buyer).await;
    assert_eq!(stream.status().await["status"], "active");
    server.terminate();
    assert_eq!(stream.next().await, None);
    assert_eq!(server.ended().await.code(), Some(0));
    server.start_again().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_does_not_come_in_time_is_passed_over() {
    let (server, show) = server_with_show(&[("NO_SHOW_SECONDS", "3")], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 3, &show.concert).await;
    // The second one never polls after the first has left, and the third is admitted all the same.
    buyers[0].leave().await;
    let third = &buyers[2];
    until("the third is admitted", async || third.queue_status().await == "active").await;
    assert_eq!(buyers[1].queue_status().await, "expired");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_here_and_goes_away_is_passed_over() {
    let settings = [("NO_SHOW_SECONDS", "3"), ("POLL_SECONDS_MAX", "1")];
    let (server, show) = server_with_show(&settings, Terms::max_active(2)).await;
    let buyers = Buyer::many_in_queue(server.api(), 3, &show.concert).await;
    // The first one comes, and goes; the second one holds a seat, and goes; the third waits.
    for buyer in &buyers[..2] {
        assert_eq!(buyer.queue().await["poll_after_seconds"], 1);
    }
    buyers[1].hold(&show.performance, &["A-1-1"]).await;
    let third = &buyers[2];
    until("the third is admitted", async || third.queue_status().await == "active").await;
    assert_eq!(buyers[0].queue_status().await, "expired");
    // One that keeps a queue stream open is here.
    let mut stream = QueueStream::open(third).await;
    assert_eq!(stream.status().await["status"], "active");
    let opened = Instant::now();
    until("it would be passed over without the stream", async || opened.elapsed() > Duration::from_secs(5)).await;
    assert_eq!((third.queue_status().await, buyers[1].queue_status().await), ("active".into(), "active".into()));
    server.finish().await;
}

/// Before the opening and after the close no other account sees them, whatever token it has.
#[tokio::test(flavor = "multi_thread")]
async fn staff_see_performances_seats_and_sales_without_a_token() {
    let server = Server::start(&[]).await;
    let (promoter, other) = (server.promoter("promoter").await, server.promoter("other").await);
    for (opens_in_seconds, closes_in_seconds) in [(3_600, 7_200), (-7_200, -3_600)] {
        let show = Show::publish(&promoter, Terms { opens_in_seconds, closes_in_seconds, ..Terms::default() }).await;
        let Show { concert, performance, .. } = &show;
        let paths = [
            format!("/v1/concerts/{concert}/performances"),
            format!("/v1/performances/{performance}"),
            format!("/v1/performances/{performance}/seats"),
        ];
        for path in &paths {
            promoter.get(path).without("queue-token").send().await.is(200);
            other.get(path).without("queue-token").send().await.refuses(401, "queue_token_missing");
        }
        let sales = format!("/v1/performances/{performance}/sales");
        assert_eq!(promoter.get(&sales).send().await.is(200)["available"], 50);
        other.get(&sales).send().await.refuses(403, "forbidden");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_ends_with_its_time() {
    let (server, show) =
        server_with_show(&[("ADMISSION_SECONDS", "2"), ("HOLD_SECONDS", "6")], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 2, &show.concert).await;
    let (first, second) = (&buyers[0], &buyers[1]);
    // The first one holds a seat, so it may stay until the hold ends, but hold nothing more.
    let reservation = first.hold(&show.performance, &["A-1-1"]).await;
    eventually("the admission proper is over", async || {
        let answer = first.ask_hold(&show.performance, &["A-1-1"]).send().await;
        (answer.status == 403).then(|| answer.refuses(403, "queue_token_expired").clone())
    })
    .await;
    assert_eq!((first.queue_status().await.as_str(), second.queue_status().await.as_str()), ("active", "waiting"));
    first.charge(PRICE).await;
    first.pay(&reservation).await;
    assert_eq!((first.queue_status().await.as_str(), second.queue_status().await.as_str()), ("expired", "active"));
    until("the second's time is over", async || second.queue_status().await == "expired").await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_re_forms_in_its_order_after_a_restart() {
    const REFORM: Duration = Duration::from_secs(5);
    let (mut server, show) = server_with_show(&[], Terms::max_active(2)).await;
    let mut people = Buyer::many(server.api(), 6).await;
    for buyer in &mut people[..5] {
        buyer.join(&show.concert).await;
    }
    // The first pays, which spends its token and admits the third; the fourth and fifth wait.
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
    // They return in the wrong order, and a new one joins in between.
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
    until("the queue has re-formed", async || second.queue_status().await == "active").await;
    assert!(began.elapsed() >= REFORM, "an account was admitted after {:?}", began.elapsed());
    assert_eq!(people[2].queue_status().await, "active");
    for (position, index) in (1..).zip([3, 4, 5]) {
        let queue = people[index].queue().await;
        assert_eq!((&queue["status"], &queue["position"]), (&json!("waiting"), &json!(position)));
    }
    let seats = people[0].ask("GET", format!("/v1/performances/{}/seats", show.performance));
    seats.send().await.refuses(403, "queue_token_expired");
    server.finish().await;
}
