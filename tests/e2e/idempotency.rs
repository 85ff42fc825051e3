//! Requests that are sent twice and act once.

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Ask, Buyer, fresh},
    seconds_from_now, send_together,
    server::{PASSWORD, Server},
    show::{PRICE, Terms, club, server_with_buyer, server_with_show},
};

/// Sends a request three times under one key, and then another body under it; gives the first answer.
async fn twice_and_otherwise(ask: impl Fn() -> Ask, body: &Value, other: &Value) -> Answer {
    let key = fresh("twice");
    let first = ask().json(body).key(key.as_str()).send().await;
    first.is(201);
    assert!(!first.is_replayed());
    // A key in quotes, as the draft of the header field writes it, is the same key.
    for key in [key.clone(), format!("\"{key}\"")] {
        let again = ask().json(body).key(key).send().await;
        assert_eq!((again.is(201), again.is_replayed()), (&first.json, true));
        assert_eq!(again.header("location"), first.header("location"));
    }
    ask().json(other).key(key).send().await.refuses(422, "idempotency_key_reused");
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_under_a_key_is_made_once() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let account = |name: &str| json!({"login_id": "twice", "password": PASSWORD, "name": name});
    twice_and_otherwise(|| server.api().post("/v1/accounts", &json!({})), &account("A"), &account("B")).await;

    let mut smaller = club();
    smaller["sections"][0]["rows"].as_array_mut().expect("rows").pop();
    let venue = twice_and_otherwise(|| promoter.post("/v1/venues", &json!({})), &club(), &smaller).await.id();

    let (open, close) = (seconds_from_now(-60), seconds_from_now(3_600));
    let concert = |title: &str| json!({"title": title, "artist": "B", "sales_open_at": open, "sales_close_at": close});
    let publish = || promoter.post("/v1/concerts", &json!({}));
    let concert = twice_and_otherwise(publish, &concert("A"), &concert("C")).await.id();

    let starts_at = seconds_from_now(86_400);
    let performance =
        |price: i64| json!({"venue_id": venue, "starts_at": starts_at, "prices": [{"section": "A", "price": price}]});
    let path = format!("/v1/concerts/{concert}/performances");
    let publish = || promoter.post(path.as_str(), &json!({}));
    let performance = twice_and_otherwise(publish, &performance(PRICE), &performance(PRICE + 1)).await.id();
    let listed = server.api().get(format!("/v1/concerts/{concert}")).send().await;
    assert_eq!(listed.is(200)["performances_count"], 1);

    let buyer = Buyer::admitted(server.api(), &concert).await;
    let charge = |amount: i64| json!({ "amount": amount });
    twice_and_otherwise(|| buyer.post("/v1/wallet/charges", &json!({})), &charge(2 * PRICE), &charge(1)).await;
    assert_eq!(buyer.balance().await, 2 * PRICE);

    let seats = |label: &str| json!({"performance_id": performance, "seats": [label]});
    let held =
        twice_and_otherwise(|| buyer.post("/v1/reservations", &json!({})), &seats("A-1-1"), &seats("A-1-2")).await;
    assert_eq!(buyer.seats(&performance).await["seats_available"], 49);

    let other = buyer.hold(&performance, &["A-1-3"]).await;
    let pay = |id: &str| json!({ "reservation_id": id });
    twice_and_otherwise(|| buyer.post("/v1/payments", &json!({})), &pay(&held.id()), &pay(&other)).await;
    assert_eq!(buyer.balance().await, PRICE);

    let (key, path) = (fresh("cancel"), format!("/v1/reservations/{other}/cancel"));
    let cancel = || buyer.post(path.as_str(), &json!({})).key(key.as_str());
    let cancelled = cancel().send().await;
    assert_eq!((cancel().send().await.is(200), cancel().send().await.is_replayed()), (cancelled.is(200), true));
    // A cancellation makes no row of the account: its key belongs to the reservation.
    let other = buyer.ask_cancel(&held.id()).key(key.as_str()).send().await;
    assert_eq!((&other.is(200)["id"], other.is_replayed()), (&held.json["id"], false));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_answer_whatever_happened_since() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let hold = || buyer.ask_hold(&show.performance, &["A-1-1"]).key("hold");
    let held = hold().send().await;
    buyer.charge(PRICE).await;
    let reservation = held.id();
    let pay = || buyer.ask_pay(&reservation).key("pay");
    let paid = pay().send().await;
    paid.is(201);

    // The payment has spent the token.
    buyer.ask_pay(&reservation).send().await.refuses(409, "reservation_already_paid");
    let both_are_replayed = async || {
        for (ask, first) in [(hold(), &held), (pay(), &paid)] {
            let again = ask.send().await;
            assert_eq!((again.is(201), again.is_replayed()), (&first.json, true));
        }
    };
    both_are_replayed().await;
    // The reservation is cancelled and refunded.
    buyer.ask_cancel(&reservation).send().await.is(200);
    both_are_replayed().await;
    // A repetition makes nothing, and restores nothing.
    assert_eq!(
        (buyer.balance().await, buyer.reservation(&reservation).await["status"].as_str()),
        (PRICE, Some("cancelled"))
    );
    // Another body under the key is another request, whether the token is valid or not.
    buyer.ask_hold(&show.performance, &["A-1-2"]).key("hold").send().await.refuses(422, "idempotency_key_reused");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_required_where_points_move_and_each_account_has_its_own() {
    let (server, show) = server_with_show(&[], Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), 2, &show.concert).await;
    let reservation = buyers[0].hold(&show.performance, &["A-1-1"]).await;
    for ask in [buyers[0].ask_charge(1), buyers[0].ask_pay(&reservation)] {
        ask.without("idempotency-key").send().await.refuses(400, "idempotency_key_required");
    }
    for key in ["", "two words", "naïve", &"x".repeat(256)] {
        buyers[0].ask_charge(1).key(key).send().await.refuses(400, "malformed_request");
    }
    for buyer in &buyers {
        let answer = buyer.ask_charge(7).key("the same").send().await;
        answer.refuses(400, "malformed_request");
        let answer = buyer.ask_charge(7).key("x".repeat(255)).send().await;
        assert_eq!((&answer.is(201)["balance"], answer.is_replayed()), (&json!(7), false));
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_requests_act_once() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let asks: [&dyn Fn() -> Ask; 3] =
        [&|| buyer.ask_charge(3 * PRICE), &|| buyer.ask_hold(&show.performance, &["A-1-2"]), &|| {
            buyer.ask_pay(&reservation)
        }];
    for ask in asks {
        let key = fresh("at-once");
        let answers = send_together(50, |_| ask().key(key.as_str())).await;
        assert!(answers.iter().all(|answer| answer.is(201) == &answers[0].json));
        assert_eq!(answers.iter().filter(|answer| answer.is_replayed()).count(), 49);
    }
    assert_eq!(buyer.balance().await, 2 * PRICE);
    assert_eq!(buyer.list("/v1/reservations").await.len(), 2);
    assert_eq!(buyer.list("/v1/payments").await.len(), 1);
    server.finish().await;
}
