//! Every error that the `OpenAPI` document names.

mod accounts;
mod webhooks;

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use crate::support::{
    client::{Ask, Buyer, document, fresh},
    eventually,
    raw::Raw,
    seconds_from_now, send_together,
    server::{MARIADB, PASSWORD, Server},
    show::{PRICE, Show, Terms, night_file, performance, server_with_buyer, server_with_show, venue_of},
    text, until,
};

/// An id that nothing has.
const NO_ID: &str = "01920000-0000-7000-8000-000000000000";

/// Operations, statuses and codes.
type Codes = BTreeSet<(String, u16, String)>;

/// The codes that routes share. `http/tests/http/declared_codes.rs` provokes them in every route, except those of keys, of
/// limits and of slow bodies, with which one layer refuses for all routes.
const SHARED: &[&str] = &[
    "malformed_request",
    "payload_too_large",
    "unsupported_media_type",
    "validation_failed",
    "not_acceptable",
    "unauthenticated",
    "access_token_expired",
    "queue_token_missing",
    "queue_token_invalid",
    "queue_token_not_active",
    "queue_token_expired",
    "unavailable",
    "internal",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "rate_limited",
    "body_too_slow",
    "second_factor_setup_required",
];

/// What a server with the usual settings refuses.
async fn everyday_refusals() -> Codes {
    let server = Server::start(&[("SIMULATOR_SCRIPTED_BY_AMOUNT", "true"), ("CHARGE_RETRY_SECONDS", "1")]).await;
    let (promoter, other) = (server.promoter("promoter").await, server.promoter("other").await);
    let show = Show::publish(&promoter, Terms::max_active(2)).await;
    let buyers = Buyer::many_in_queue(server.api(), 3, &show.concert).await;
    let [first, second, waiting] = &buyers[..] else { panic!("three") };
    unknown_ids(first, &promoter, &show).await;
    closed_gates(first, waiting, &show).await;
    wrong_requests(first).await;
    refused_sales(first, second, &promoter, &show).await;
    refusals_of_the_gateway(first).await;
    taken_from_sale(&server).await;
    let overlapping = performance(&show.venue, Terms::default().starts_in_seconds);
    let path = format!("/v1/concerts/{}/performances", show.concert);
    promoter.post(path, &overlapping).send().await.refuses(409, "performance_overlaps");

    let taken = json!({"login_id": first.login_id, "password": PASSWORD, "name": "A"});
    server.api().post("/v1/accounts", &taken).send().await.refuses(409, "login_id_taken");
    let wrong = json!({"login_id": first.login_id, "password": "another password"});
    server.api().post("/v1/sessions", &wrong).send().await.refuses(401, "invalid_credentials");
    roles_and_concerts(first, &promoter, &show).await;
    let history = |id: &str| format!("/v1/concerts/{id}/history");
    promoter.get(history(NO_ID)).send().await.refuses(404, "concert_not_found");
    other.get(history(&show.concert)).send().await.refuses(403, "forbidden");
    promoter.get("/v1/history").send().await.refuses(403, "forbidden");
    hold_without_points(&server, &promoter).await;
    let path = format!("/v1/concerts/{}", show.concert);
    other.patch(path.as_str(), &json!({"title": "Mine"})).send().await.refuses(403, "forbidden");
    let stale = promoter.patch(path.as_str(), &json!({"title": "X"})).header("if-match", "\"99-x\"").send().await;
    stale.refuses(412, "precondition_failed");
    accounts::refusals_of_addresses(first, &promoter).await;
    webhooks::refusals(first, &promoter).await;
    accounts::refusals(first, &promoter).await;
    let codes = server.api().codes();
    server.finish().await;
    codes
}

async fn unknown_ids(buyer: &Buyer, promoter: &Buyer, show: &Show) {
    for (path, code) in [
        ("/v1/concerts/ID", "concert_not_found"),
        ("/v1/concerts/ID/performances", "concert_not_found"),
        ("/v1/performances/ID", "performance_not_found"),
        ("/v1/performances/ID/seats", "performance_not_found"),
        ("/v1/reservations/ID", "reservation_not_found"),
        ("/v1/payments/ID", "payment_not_found"),
        ("/v1/wallet/charges/ID", "charge_not_found"),
        ("/v1/venues/ID", "venue_not_found"),
        ("/v1/nothing/ID", "not_found"),
    ] {
        buyer.get(path.replace("ID", NO_ID)).send().await.refuses(404, code);
        if code != "not_found" {
            buyer.get(path.replace("ID", "no-id")).send().await.refuses(400, "malformed_request");
        }
    }
    buyer.delete(format!("/v1/me/sessions/{NO_ID}")).send().await.refuses(404, "session_not_found");
    buyer.ask_join(NO_ID).send().await.refuses(404, "concert_not_found");
    buyer.ask_hold(NO_ID, &["A-1-1"]).send().await.refuses(404, "performance_not_found");
    buyer.ask_pay(NO_ID).send().await.refuses(404, "reservation_not_found");
    buyer.ask_cancel(NO_ID).send().await.refuses(404, "reservation_not_found");
    let unknown = buyer.ask_hold(&show.performance, &["A-1-1", "Z-9-9", "A-1-11"]).send().await;
    assert_eq!(unknown.refuses(404, "seat_not_found")["seats"], json!(["Z-9-9", "A-1-11"]));
    let path = format!("/v1/concerts/{}/performances", show.concert);
    promoter.post(path, &performance(NO_ID, 3_600)).send().await.refuses(404, "venue_not_found");
    promoter.get(format!("/v1/performances/{NO_ID}/sales")).send().await.refuses(404, "performance_not_found");
}

/// What only staff may do, and only with a concert that there is.
async fn roles_and_concerts(buyer: &Buyer, promoter: &Buyer, show: &Show) {
    let venue =
        json!({"name": "Hall", "location": "Seoul", "sections": [{"name": "A", "rows": [{"name": "1", "seats": 1}]}]});
    let concert = json!({"title": "T", "artist": "A", "sales_open_at": "2026-01-01T00:00:00Z",
        "sales_close_at": "2026-01-02T00:00:00Z"});
    let performance = performance(&show.venue, 3_600);
    let path = |route: &str, concert: &str| format!("/v1/concerts/{concert}{route}");
    for (method, route, body) in [
        ("POST", "/performances", performance),
        ("PATCH", "", json!({"title": "Mine"})),
        ("GET", "/queue/stats", Value::Null),
        ("POST", "/queue/pause", Value::Null),
        ("POST", "/queue/resume", Value::Null),
        ("DELETE", "/queue", Value::Null),
    ] {
        let ask = |who: &Buyer, concert: &str| {
            let ask = who.ask(method, path(route, concert));
            if body.is_null() { ask } else { ask.json(&body) }
        };
        ask(buyer, &show.concert).send().await.refuses(403, "forbidden");
        ask(promoter, NO_ID).send().await.refuses(404, "concert_not_found");
    }
    buyer.post("/v1/venues", &venue).send().await.refuses(403, "forbidden");
    buyer.post("/v1/concerts", &concert).send().await.refuses(403, "forbidden");
    buyer.get(format!("/v1/performances/{}/sales", show.performance)).send().await.refuses(403, "forbidden");
    for path in ["/v1/venues", "/v1/me/concerts"] {
        buyer.get(path).send().await.refuses(403, "forbidden");
    }
}

/// A hold that the wallet has to cover, and does not.
async fn hold_without_points(server: &Server, promoter: &Buyer) {
    let show = Show::publish(promoter, Terms::default()).await;
    let covered = json!({"holds_need_balance": true});
    promoter.patch(format!("/v1/concerts/{}", show.concert), &covered).send().await.is(200);
    let poor = Buyer::admitted(server.api(), &show.concert).await;
    poor.ask_hold(&show.performance, &["A-1-1"]).send().await.refuses(402, "insufficient_points");
}

async fn closed_gates(active: &Buyer, waiting: &Buyer, show: &Show) {
    let path = format!("/v1/performances/{}/seats", show.performance);
    active.get(path.as_str()).without("authorization").send().await.refuses(401, "unauthenticated");
    active.get(path.as_str()).without("queue-token").send().await.refuses(401, "queue_token_missing");
    active.get(path.as_str()).queue_token("forged").send().await.refuses(401, "queue_token_invalid");
    assert_eq!(waiting.get(path.as_str()).send().await.refuses(403, "queue_token_not_active")["position"], 1);
    waiting.leave().await;
    waiting.get(path.as_str()).send().await.refuses(403, "queue_token_expired");
}

async fn wrong_requests(buyer: &Buyer) {
    buyer.ask_charge(1).without("idempotency-key").send().await.refuses(400, "idempotency_key_required");
    buyer.ask_pay(NO_ID).without("idempotency-key").send().await.refuses(400, "idempotency_key_required");
    buyer.ask("PUT", "/v1/wallet").send().await.refuses(405, "method_not_allowed");
    buyer.get("/v1/wallet").header("accept", "text/html").send().await.refuses(406, "not_acceptable");
    let large = json!({"login_id": "x".repeat(70_000), "password": PASSWORD, "name": "A"});
    buyer.api.post("/v1/accounts", &large).send().await.refuses(413, "payload_too_large");
    buyer.ask_charge(1).raw("text/plain", "1").send().await.refuses(415, "unsupported_media_type");
    buyer.ask_charge(1).raw("application/json", "{\"amount\": ").send().await.refuses(400, "malformed_request");
    buyer.ask_charge(0).send().await.refuses(422, "validation_failed");
    buyer.ask_charge(1).key("reused").send().await.is(201);
    buyer.ask_charge(2).key("reused").send().await.refuses(422, "idempotency_key_reused");
}

async fn refused_sales(first: &Buyer, second: &Buyer, promoter: &Buyer, show: &Show) {
    let held = second.hold(&show.performance, &["A-1-1"]).await;
    let refused = first.ask_hold(&show.performance, &["A-1-2", "A-1-1"]).send().await;
    assert_eq!(refused.refuses(409, "seat_unavailable")["seats"], json!(["A-1-1"]));
    assert_eq!(refused.json["held_by_you"], json!([]));
    let own = second.ask_hold(&show.performance, &["A-1-2", "A-1-1"]).send().await;
    assert_eq!(own.refuses(409, "seat_unavailable")["held_by_you"], json!(["A-1-1"]));
    let five = ["A-2-1", "A-2-2", "A-2-3", "A-2-4", "A-2-5"];
    assert_eq!(first.ask_hold(&show.performance, &five).send().await.refuses(422, "too_many_seats")["limit"], 4);
    let four = second.ask_hold(&show.performance, &five[..4]).send().await;
    assert_eq!(four.refuses(409, "seat_limit_reached")["limit"], 4);
    let poor = second.ask_pay(&held).send().await;
    let refused = poor.refuses(402, "insufficient_points");
    assert_eq!((&refused["balance"], &refused["required"]), (&json!(0), &json!(PRICE)));
    let charge = second.ask_charge(PRICE).send().await.id();
    second.pay(&held).await;
    ask_refund(second, &charge, 1, "spent").send().await.refuses(402, "insufficient_points");
    second.ask_pay(&held).send().await.refuses(409, "reservation_already_paid");
    second.ask_cancel(&held).send().await.is(200);
    second.ask_cancel(&held).send().await.refuses(409, "reservation_cancelled");
    second.ask_pay(&held).send().await.refuses(409, "reservation_cancelled");

    // Sales that have not opened or have closed, and one that closes while an account is admitted.
    let later = Show::publish(promoter, Terms { opens_in_seconds: 3_600, ..Terms::default() }).await;
    first.ask_join(&later.concert).send().await.refuses(409, "sale_not_open");
    let over = Terms { opens_in_seconds: -7_200, closes_in_seconds: -3_600, ..Terms::default() };
    let over = Show::publish(promoter, over).await;
    first.ask_join(&over.concert).send().await.refuses(409, "sale_closed");
    let mut buyer = first.clone();
    let closing = Show::publish(promoter, Terms::default()).await;
    buyer.be_admitted(&closing.concert).await;
    // Without a held seat it would be sent away.
    buyer.hold(&closing.performance, &["A-1-2"]).await;
    let path = format!("/v1/concerts/{}", closing.concert);
    let closed = json!({"sales_open_at": "2020-01-01T00:00:00Z", "sales_close_at": "2020-01-02T00:00:00Z"});
    promoter.patch(path, &closed).send().await.is(200);
    buyer.ask_hold(&closing.performance, &["A-1-1"]).send().await.refuses(409, "sale_closed");
    let moved = json!({"sales_open_at": seconds_from_now(60), "sales_close_at": seconds_from_now(120)});
    promoter.patch(format!("/v1/concerts/{}", closing.concert), &moved).send().await.is(200);
    buyer.ask_hold(&closing.performance, &["A-1-1"]).send().await.refuses(409, "sale_not_open");

    // A concert of which every seat is sold.
    let small = Show::publish_in(promoter, &venue_of(1), Terms { max_seats: 10, ..Terms::default() }).await;
    buyer.be_admitted(&small.concert).await;
    buyer.charge(10 * PRICE).await;
    let mut holds = Vec::new();
    for seats in
        [&["A-1-1", "A-1-2", "A-1-3", "A-1-4"][..], &["A-1-5", "A-1-6", "A-1-7", "A-1-8"], &["A-1-9", "A-1-10"]]
    {
        holds.push(buyer.hold(&small.performance, seats).await);
    }
    for held in &holds {
        buyer.pay(held).await;
    }
    until("the instance knows that all is sold", async || {
        first.ask_join(&small.concert).send().await.json["code"] == "sold_out"
    })
    .await;

    // A performance that starts while an account is admitted.
    let soon = Show::publish(promoter, Terms { starts_in_seconds: 5, ..Terms::default() }).await;
    buyer.be_admitted(&soon.concert).await;
    buyer.charge(PRICE).await;
    let (paid, unpaid) =
        (buyer.hold(&soon.performance, &["A-1-1"]).await, buyer.hold(&soon.performance, &["A-1-2"]).await);
    buyer.pay(&paid).await;
    until("the performance starts", async || {
        buyer.ask_hold(&soon.performance, &["A-1-1"]).send().await.json["code"] == "performance_started"
    })
    .await;
    until("the instance knows that it has started", async || {
        first.ask_join(&soon.concert).send().await.json["code"] == "performance_started"
    })
    .await;
    buyer.ask_cancel(&paid).send().await.refuses(409, "cancellation_closed");
    buyer.ask_pay(&unpaid).send().await.refuses(409, "performance_started");
    buyer.ask_cancel(&unpaid).send().await.is(200);
}

/// A performance that is taken from sale while an account is admitted.
async fn taken_from_sale(server: &Server) {
    let known: BTreeSet<_> = concerts(server).await;
    let file = night_file(server, Some(86_400), PRICE);
    assert_eq!(server.run(&["import", &file], &[]).await.0, 0);
    let new = async || concerts(server).await.difference(&known).next().cloned();
    let concert = eventually("the imported concert is listed", new).await;
    let buyer = Buyer::admitted(server.api(), &concert).await;
    let performance = buyer.list(&format!("/v1/concerts/{concert}/performances")).await.remove(0);
    let performance = text(&performance, "id");
    let held = buyer.hold(performance, &["A-1-1"]).await;
    let file = night_file(server, None, PRICE);
    assert_eq!(server.run(&["import", &file, "--withdraw"], &[]).await.0, 0);
    buyer.ask_hold(performance, &["A-1-2"]).send().await.refuses(409, "performance_withdrawn");
    buyer.ask_pay(&held).send().await.refuses(409, "performance_withdrawn");
    buyer.ask_cancel(&held).send().await.is(200);
}

/// The ids of all concerts.
async fn concerts(server: &Server) -> BTreeSet<String> {
    let listed = Buyer::new(server.api()).await.list("/v1/concerts").await;
    listed.iter().map(|concert| text(concert, "id").to_owned()).collect()
}

async fn refusals_of_the_gateway(buyer: &Buyer) {
    let before = buyer.balance().await;
    let key = fresh("declined");
    for _ in 0..2 {
        let declined = buyer.ask_charge(10_402).key(key.as_str()).send().await;
        let charge = text(declined.refuses(402, "charge_declined"), "charge_id");
        let charge = buyer.get(format!("/v1/wallet/charges/{charge}")).send().await;
        assert_eq!((&charge.is(200)["status"], &charge.json["balance"]), (&json!("declined"), &Value::Null));
    }
    assert_eq!(buyer.balance().await, before);
    let failed = buyer.ask_charge(10_502).send().await;
    let path = format!("/v1/wallet/charges/{}", text(failed.refuses(502, "gateway_failed"), "charge_id"));
    until("the charge is completed", async || buyer.get(path.as_str()).send().await.is(200)["status"] == "completed")
        .await;
    assert_eq!(buyer.balance().await, before + 10_502);
    let charge = buyer.ask_charge(10_000).send().await.id();
    ask_refund(buyer, &charge, 1, "k").without("idempotency-key").send().await.refuses(400, "idempotency_key_required");
    ask_refund(buyer, NO_ID, 1, "k").send().await.refuses(404, "charge_not_found");
    ask_refund(buyer, &charge, 10_001, "k").send().await.refuses(409, "charge_not_refundable");
    ask_refund(buyer, &charge, 402, "refused").send().await.refuses(409, "charge_refund_refused");
    ask_refund(buyer, &charge, 502, "lost").send().await.refuses(502, "gateway_failed");
    assert_eq!(ask_refund(buyer, &charge, 502, "lost").send().await.is(200)["status"], "completed");
    assert_eq!(buyer.balance().await, before + 20_502 - 502);
}

fn ask_refund(buyer: &Buyer, charge: &str, amount: i64, key: &str) -> Ask {
    buyer.post(format!("/v1/wallet/charges/{charge}/refund"), &json!({"amount": amount})).key(key)
}

/// What only short times and low limits show.
async fn refusals_of_a_narrow_server() -> Codes {
    let settings = [
        ("HOLD_SECONDS", "1"),
        ("UNPAID_HOLDS_FREE", "0"),
        ("ACCESS_TOKEN_SECONDS", "8"),
        ("QUEUE_CAPACITY", "1"),
        ("SIMULATOR_DELAY_MILLISECONDS", "1000"),
    ];
    let (server, show) = server_with_show(&settings, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(server.api(), 3).await;
    let (mut first, mut second) = (buyers.remove(0), buyers.remove(0));
    first.be_admitted(&show.concert).await;
    let reservation = first.hold(&show.performance, &["A-1-1"]).await;
    assert_eq!(second.join(&show.concert).await["position"], 1);
    buyers[0].ask_join(&show.concert).send().await.refuses(503, "unavailable");

    let answers = send_together(2, |index| first.ask_charge([1, 2][index]).key("at-once")).await;
    let (won, lost) = if answers[0].status == 201 { (0, 1) } else { (1, 0) };
    answers[won].is(201);
    answers[lost].refuses(409, "idempotency_key_in_use");

    let late = eventually("the hold ends", async || {
        let answer = first.ask_pay(&reservation).send().await;
        (answer.status != 402).then_some(answer)
    })
    .await;
    late.refuses(410, "hold_expired");
    first.ask_cancel(&reservation).send().await.refuses(410, "hold_expired");
    first.ask_hold(&show.performance, &["A-1-1"]).send().await.refuses(429, "hold_cooldown");
    let refused = eventually("the access token expires", async || {
        let answer = first.get("/v1/me").send().await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.refuses(401, "access_token_expired");
    let codes = server.api().codes();
    server.finish().await;
    codes
}

/// What a shop that sells no points refuses; it says so when it starts, and a simulated gateway is warned of.
async fn refusals_without_a_gateway() -> Codes {
    let mut server = Server::start(&[]).await;
    assert!(server.log().contains("points cost nothing"), "{}", server.log());
    server.stop().await;
    server.set("GATEWAY", "none");
    server.start_again().await;
    assert!(server.log().contains("no payment gateway is set"), "{}", server.log());
    let buyer = Buyer::new(server.api()).await;
    buyer.ask_charge(10_000_000).send().await.refuses(503, "charging_unavailable");
    ask_refund(&buyer, NO_ID, 1, "k").send().await.refuses(503, "charging_unavailable");
    assert_eq!((buyer.balance().await, buyer.list("/v1/wallet/entries").await.len()), (0, 0));
    let codes = server.api().codes();
    server.finish().await;
    codes
}

/// What takes a prepared database: a wallet that is nearly full, and a table that is gone.
async fn refusals_over_a_prepared_database() -> Codes {
    let mut server = Server::start_on(MARIADB, &[("CHARGE_POINTS_MAX", "1000000000000")]).await;
    let buyer = Buyer::new(server.api()).await;
    buyer.charge(999_999_999_999).await;
    let mut connection = server.database_connection().await;
    buyer.ask_charge(2).send().await.refuses(409, "balance_limit_reached");
    buyer.charge(1).await;
    buyer.ask_charge(1).send().await.refuses(409, "balance_limit_reached");
    assert_eq!(buyer.balance().await, 1_000_000_000_000);

    connection.query_drop("RENAME TABLE wallet_entries TO elsewhere").await.expect("it is done");
    let broken = buyer.get("/v1/wallet/entries").may_be_internal().send().await;
    broken.refuses(500, "internal");
    for secret in ["wallet_entries", "elsewhere", "SQL", "table", "mysql"] {
        assert!(!broken.text.contains(secret), "{}", broken.text);
    }
    connection.query_drop("RENAME TABLE elsewhere TO wallet_entries").await.expect("it is done");
    assert_eq!(buyer.list("/v1/wallet/entries").await.len(), 2);
    connection.disconnect().await.expect("it is closed");
    let codes = server.api().codes();
    server.breaks_things = true;
    server.finish().await;
    codes
}

/// What a client gets that sends its body slowly.
async fn refusals_of_a_slow_client() -> Codes {
    let server = Server::start(&[("SLOW_CLIENT_SECONDS", "1")]).await;
    let mut client = Raw::connect(&server).await;
    client.send("POST /v1/accounts HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n").await;
    client.send("Content-Type: application/json\r\n\r\n{").await;
    client.refused(408, "body_too_slow").await;
    server.finish().await;
    Codes::from([("accounts_sign_up".to_owned(), 408, "body_too_slow".to_owned())])
}

/// What takes a change between two statements of one request, as the tests of the use cases make.
fn is_of_a_race(operation: &str, code: &str) -> bool {
    code == "precondition_failed" && operation != "catalog_update_concert"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_the_document_is_produced_with_its_status_by_the_operations_that_list_it() {
    let mut codes = everyday_refusals().await;
    codes.extend(refusals_of_a_slow_client().await);
    codes.extend(refusals_of_a_narrow_server().await);
    codes.extend(accounts::refusals_of_a_limited_server().await);
    codes.extend(accounts::refusals_of_joining().await);
    codes.extend(refusals_without_a_gateway().await);
    codes.extend(accounts::refusals_of_a_server_with_second_factors().await);
    codes.extend(refusals_over_a_prepared_database().await);
    let mut documented = document().codes();
    // A wrong method belongs to no operation.
    documented.insert((405, "method_not_allowed".to_owned()));
    assert_eq!(codes.iter().map(|(_, status, code)| (*status, code.clone())).collect::<BTreeSet<_>>(), documented);
    let own = document()
        .codes_by_operation()
        .into_iter()
        .filter(|(operation, _, code)| !SHARED.contains(&code.as_str()) && !is_of_a_race(operation, code));
    assert_eq!(own.filter(|one| !codes.contains(one)).collect::<Vec<_>>(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_finds_what_belongs_to_an_account() {
    let (server, show) = server_with_show(&[], Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), 2, &show.concert).await;
    let (owner, other) = (&buyers[0], &buyers[1]);
    let charge = owner.ask_charge(2 * PRICE).key("charge").send().await.id();
    let (paid, held) =
        (owner.hold(&show.performance, &["A-1-1"]).await, owner.hold(&show.performance, &["A-1-2"]).await);
    let payment = owner.ask_pay(&paid).key("pay").send().await.id();
    other.charge(10 * PRICE).await;

    other.get(format!("/v1/wallet/charges/{charge}")).send().await.refuses(404, "charge_not_found");
    other.get(format!("/v1/payments/{payment}")).send().await.refuses(404, "payment_not_found");
    for reservation in [&paid, &held] {
        other.get(format!("/v1/reservations/{reservation}")).send().await.refuses(404, "reservation_not_found");
        other.ask_cancel(reservation).send().await.refuses(404, "reservation_not_found");
        other.ask_pay(reservation).send().await.refuses(404, "reservation_not_found");
    }
    // A key of another account names nothing here.
    other.ask_pay(&paid).key("pay").send().await.refuses(404, "reservation_not_found");
    for list in ["/v1/reservations", "/v1/payments"] {
        assert_eq!(other.list(list).await.len(), 0);
    }
    assert_eq!(other.list("/v1/wallet/entries").await.len(), 1);
    assert_eq!(owner.reservation(&held).await["status"], "held");
    assert_eq!((owner.balance().await, other.balance().await), (PRICE, 10 * PRICE));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_cancels_nothing_and_no_client_states_what_it_pays() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.charge(PRICE).await;
    let cancel = format!("/v1/reservations/{reservation}/cancel");
    for method in ["GET", "PUT", "DELETE"] {
        buyer.ask(method, cancel.as_str()).send().await.refuses(405, "method_not_allowed");
    }
    for (name, value) in [("amount", json!(1)), ("price", json!(0)), ("account_id", json!(NO_ID))] {
        let mut body = json!({"reservation_id": reservation});
        body[name] = value;
        let answer = buyer.post("/v1/payments", &body).key(fresh("amount")).send().await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations(), [(format!("/{name}").as_str(), "unknown_field")]);
    }
    let mut body = json!({"performance_id": show.performance, "seats": ["A-1-2"]});
    body["price"] = json!(0);
    buyer.post("/v1/reservations", &body).send().await.refuses(422, "validation_failed");
    assert_eq!(
        (buyer.balance().await, buyer.reservation(&reservation).await["status"].as_str()),
        (PRICE, Some("held"))
    );
    server.finish().await;
}
