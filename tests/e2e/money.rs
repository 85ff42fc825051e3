//! Points: none is lost, made or spent twice, however many requests come at once.

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Buyer, fresh},
    send_together,
    server::Server,
    show::{PRICE, Show, Terms, labels, server_with_buyer, server_with_show},
    until,
};

/// An admitted buyer who may have many seats, and has so many points.
async fn rich_buyer(points: i64) -> (Server, Show, Buyer) {
    let (server, show, buyer) = server_with_buyer(&[], Terms::max_seats(50)).await;
    buyer.charge(points).await;
    (server, show, buyer)
}

/// Holds one seat each.
async fn hold_one_by_one(buyer: &Buyer, show: &Show, count: usize) -> Vec<String> {
    let mut reservations = Vec::new();
    for label in &labels()[..count] {
        reservations.push(buyer.hold(&show.performance, &[label]).await);
    }
    reservations
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// The entries of the wallet, oldest first: each follows from the one before, and the last is the balance.
async fn verified_history(buyer: &Buyer) -> Vec<Value> {
    let mut entries = buyer.list("/v1/wallet/entries").await;
    entries.reverse();
    let mut balance = 0;
    for entry in &entries {
        balance += entry["amount"].as_i64().expect("a number");
        assert_eq!(entry["balance_after"], balance);
        assert!(balance >= 0);
    }
    assert_eq!(buyer.balance().await, balance);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_charges_at_once_all_succeed_and_add_up() {
    // A busy machine does not serve a thousand at once with a connection within the usual three seconds.
    let server = Server::start(&[("DATABASE_CONNECT_SECONDS", "30")]).await;
    let buyer = Buyer::new(server.api()).await;
    let answers = send_together(1_000, |index| buyer.ask_charge(i64::try_from(index).expect("small") + 1)).await;
    let other = answers.iter().find(|answer| answer.status != 201).map(|answer| &answer.text);
    assert_eq!((count(&answers, 201), other), (1_000, None));
    assert_eq!(buyer.balance().await, 1_000 * 1_001 / 2);
    assert_eq!(verified_history(&buyer).await.len(), 1_000);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_and_payments_at_once_add_up() {
    let (server, show, buyer) = rich_buyer(20 * PRICE).await;
    let reservations = hold_one_by_one(&buyer, &show, 20).await;
    let answers =
        send_together(
            120,
            |index| if index % 6 == 0 { buyer.ask_pay(&reservations[index / 6]) } else { buyer.ask_charge(7) },
        )
        .await;
    assert_eq!(count(&answers, 201), 120);
    assert_eq!(buyer.balance().await, 100 * 7);
    let entries = verified_history(&buyer).await;
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "payment").count(), 20);
    assert_eq!(buyer.list("/v1/payments").await.len(), 20);
    assert_eq!(buyer.queue_status().await, "expired");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_different_payments_for_one_reservation_debit_once() {
    let (server, show, buyer) = rich_buyer(50 * PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let answers = send_together(50, |_| buyer.ask_pay(&reservation)).await;
    let (paid, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((paid.len(), refused.len()), (1, 49));
    for answer in refused {
        answer.refuses(409, "reservation_already_paid");
    }
    assert_eq!(buyer.balance().await, 49 * PRICE);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_for_one_of_two_reservations_pay_exactly_one() {
    let (server, show, buyer) = rich_buyer(PRICE).await;
    let reservations = hold_one_by_one(&buyer, &show, 2).await;
    let answers = send_together(2, |index| buyer.ask_pay(&reservations[index])).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(refused.len(), 1);
    let refusal = refused[0].refuses(402, "insufficient_points");
    assert_eq!((&refusal["balance"], &refusal["required"]), (&json!(0), &json!(PRICE)));
    assert_eq!(buyer.balance().await, 0);
    // The account still holds the other one, so its admission goes on.
    assert_eq!(buyer.queue_status().await, "active");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_and_a_cancellation_at_once_leave_no_trace_or_a_refund() {
    const ROUNDS: usize = 20;
    let (server, show, buyer) = rich_buyer(30 * PRICE).await;
    // One more seat is held all the time, so that no payment ends the admission.
    let reservations = hold_one_by_one(&buyer, &show, ROUNDS + 1).await;
    let answers = send_together(2 * ROUNDS, |index| {
        let reservation = &reservations[index / 2];
        if index % 2 == 0 { buyer.ask_pay(reservation) } else { buyer.ask_cancel(reservation) }
    })
    .await;
    for (round, pair) in answers.chunks(2).enumerate() {
        let (paid, cancelled) = (&pair[0], &pair[1]);
        assert_eq!(cancelled.is(200)["status"], "cancelled");
        if paid.status == 201 {
            assert_eq!(cancelled.json["payment_id"], paid.json["id"]);
            let payment = buyer.get(format!("/v1/payments/{}", paid.id())).send().await;
            assert_eq!(payment.is(200)["status"], "refunded");
        } else {
            paid.refuses(409, "reservation_cancelled");
            assert_eq!(cancelled.json["payment_id"], Value::Null);
        }
        assert_eq!(buyer.reservation(&reservations[round]).await["status"], "cancelled");
    }
    assert_eq!(buyer.balance().await, 30 * PRICE);
    assert_eq!(buyer.seats(&show.performance).await["seats_available"], 49);
    verified_history(&buyer).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_cancellations_at_once_one_wins_and_one_refund_is_made() {
    const ROUNDS: usize = 10;
    let (server, show, buyer) = rich_buyer(30 * PRICE).await;
    let reservations = hold_one_by_one(&buyer, &show, ROUNDS + 1).await;
    for reservation in &reservations[..ROUNDS / 2] {
        buyer.pay(reservation).await;
    }
    let answers = send_together(2 * ROUNDS, |index| buyer.ask_cancel(&reservations[index / 2])).await;
    for pair in answers.chunks(2) {
        assert_eq!(count(pair, 200), 1);
        for loser in pair.iter().filter(|answer| answer.status != 200) {
            loser.refuses(409, "reservation_cancelled");
        }
    }
    assert_eq!(buyer.balance().await, 30 * PRICE);
    let refunds = verified_history(&buyer).await.iter().filter(|entry| entry["kind"] == "refund").count();
    assert_eq!(refunds, ROUNDS / 2);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_has_ended_is_not_paid_and_its_seat_sells_again() {
    // No worker sweeps here: a hold ends by its time alone.
    let (server, show) = server_with_show(&[("HOLD_SECONDS", "2"), ("SWEEP_SECONDS", "3600")], Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), 2, &show.concert).await;
    for buyer in &buyers {
        buyer.charge(PRICE).await;
    }
    let late = buyers[0].hold(&show.performance, &["A-1-1"]).await;
    buyers[1].ask_hold(&show.performance, &["A-1-1"]).send().await.refuses(409, "seat_unavailable");
    until("the hold ends", async || buyers[0].reservation(&late).await["status"] == "expired").await;
    buyers[0].ask_pay(&late).send().await.refuses(410, "hold_expired");
    buyers[0].ask_cancel(&late).send().await.refuses(410, "hold_expired");
    let lapsed = buyers[0].reservation(&late).await;
    assert_eq!(lapsed["held_until"], Value::Null);
    assert_eq!(buyers[0].list("/v1/reservations?status=expired").await, [lapsed]);
    assert_eq!(buyers[0].list("/v1/reservations?status=held").await.len(), 0);
    assert_eq!(buyers[1].seats(&show.performance).await["seats_available"], 50);
    assert_eq!(buyers[0].balance().await, PRICE);
    let again = buyers[1].hold(&show.performance, &["A-1-1"]).await;
    buyers[1].pay(&again).await;
    buyers[0].ask_hold(&show.performance, &["A-1-1"]).send().await.refuses(409, "seat_unavailable");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_leaves_hold_token_and_place_as_they_were() {
    let (server, show, buyer) = rich_buyer(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1", "A-1-2"]).await;
    let (held, queue) = (buyer.reservation(&reservation).await, buyer.queue().await);
    let key = fresh("failed");
    let failed = buyer.ask_pay(&reservation).key(key.as_str()).send().await;
    let refusal = failed.refuses(402, "insufficient_points");
    assert_eq!((&refusal["balance"], &refusal["required"]), (&json!(PRICE), &json!(2 * PRICE)));
    assert_eq!(buyer.reservation(&reservation).await, held);
    assert_eq!(buyer.queue().await, queue);
    assert_eq!(buyer.balance().await, PRICE);
    buyer.charge(PRICE).await;
    // Nothing was made under the key, so it may be used again.
    buyer.ask_pay(&reservation).key(key).send().await.is(201);
    assert_eq!((buyer.balance().await, buyer.queue_status().await.as_str()), (0, "expired"));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admission_ends_with_the_payment_of_the_last_held_seats() {
    let (server, show, buyer) = rich_buyer(2 * PRICE).await;
    let reservations = hold_one_by_one(&buyer, &show, 2).await;
    buyer.pay(&reservations[0]).await;
    assert_eq!(buyer.queue_status().await, "active");
    buyer.pay(&reservations[1]).await;
    assert_eq!(buyer.queue_status().await, "expired");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_comes_too_late_is_credited_exactly_once() {
    let settings = [
        ("SIMULATOR_SCRIPTED_BY_AMOUNT", "true"),
        ("GATEWAY_TIMEOUT_MILLISECONDS", "200"),
        ("CHARGE_RETRY_SECONDS", "1"),
    ];
    let server = Server::start(&settings).await;
    let buyer = Buyer::new(server.api()).await;
    // The client repeats one of them, and only the worker asks for the other.
    let answers = send_together(2, |index| buyer.ask_charge(1_504).key(["repeated", "not-repeated"][index])).await;
    for answer in &answers {
        answer.refuses(502, "gateway_failed");
    }
    let again = send_together(20, |_| buyer.ask_charge(1_504).key("repeated")).await;
    for answer in &again {
        assert_eq!(
            (&answer.is(201)["id"], &answer.json["status"]),
            (&answers[0].json["charge_id"], &json!("completed"))
        );
    }
    until("both are credited", async || buyer.balance().await == 2 * 1_504).await;
    assert_eq!(verified_history(&buyer).await.len(), 2);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_charges_balances_and_reservations_are_settings() {
    let limits = [("SEATS_PER_RESERVATION", "5"), ("CHARGE_POINTS_MAX", "100"), ("BALANCE_POINTS_MAX", "150")];
    let (server, show, buyer) = server_with_buyer(&limits, Terms::max_seats(50)).await;
    let refused = buyer.ask_charge(101).send().await;
    assert_eq!(refused.violations(), [("/amount", "range")]);
    buyer.charge(100).await;
    buyer.ask_charge(51).send().await.refuses(409, "balance_limit_reached");
    buyer.charge(50).await;
    assert_eq!(buyer.balance().await, 150);
    let seats = labels();
    let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
    let refused = buyer.ask_hold(&show.performance, &seats[..6]).send().await;
    assert_eq!(refused.refuses(422, "too_many_seats")["limit"], 5);
    buyer.hold(&show.performance, &seats[..5]).await;
    server.finish().await;
}
