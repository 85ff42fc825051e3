//! A whole purchase, step by step, and its cancellation.

use serde_json::{Value, json};

use crate::support::{
    client::{Api, Buyer, fresh},
    list,
    server::{Backend, MARIADB, MYSQL, PASSWORD, Server},
    show::{PRICE, Show, Terms},
    text,
};

async fn sign_up_and_in(api: &Api) -> Buyer {
    let login_id = fresh("haneul");
    let body = json!({"login_id": login_id, "password": PASSWORD, "name": "  김하늘 "});
    let account = api.post("/v1/accounts", &body).send().await;
    let made = account.is(201);
    assert_eq!(
        (&made["login_id"], &made["name"], &made["role"]),
        (&json!(login_id), &json!("김하늘"), &json!("customer"))
    );
    let buyer = Buyer::sign_in(api, &login_id).await;
    let own = buyer.get("/v1/me").send().await;
    let mut known = made.clone();
    known["email"] = Value::Null;
    known["email_pending"] = Value::Null;
    known["language"] = json!("ko");
    assert_eq!(own.is(200), &known);
    buyer
}

async fn look_around(buyer: &Buyer, show: &Show) {
    let concerts = buyer.api.get("/v1/concerts?bookable=true").send().await;
    let listed = &concerts.is(200)["items"][0];
    assert_eq!((&listed["id"], &listed["bookable"]), (&json!(show.concert), &json!(true)));
    let shown = buyer.api.get(format!("/v1/concerts/{}", show.concert)).send().await.is(200).clone();
    for (field, value) in listed.as_object().expect("a concert") {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!(shown["dates"][0]["id"], json!(show.performance));

    let dates = buyer.get(format!("/v1/concerts/{}/performances?available=true", show.concert)).send().await;
    let date = &dates.is(200)["items"][0];
    assert_eq!((&date["id"], &date["seats_available"]), (&json!(show.performance), &json!(50)));
    assert_eq!((&date["price_min"], &date["price_max"]), (&json!(PRICE), &json!(PRICE)));
    assert_eq!(buyer.get(format!("/v1/performances/{}", show.performance)).send().await.is(200), date);

    let path = format!("/v1/performances/{}/seats?status=available&section=A", show.performance);
    let seats = buyer.get(path).send().await;
    assert_eq!(seats.is(200)["seats"].as_array().map(Vec::len), Some(50));
    let first =
        json!({"label": "A-1-1", "section": "A", "row": "1", "number": 1, "price": PRICE, "status": "available"});
    assert_eq!(seats.json["seats"][0], first);
}

async fn assert_gate_is_closed(buyer: &Buyer, show: &Show) {
    assert_eq!(buyer.queue_status().await, "expired");
    let Show { concert, performance, .. } = show;
    for path in [
        format!("/v1/concerts/{concert}/performances"),
        format!("/v1/performances/{performance}"),
        format!("/v1/performances/{performance}/seats"),
    ] {
        buyer.get(path).send().await.refuses(403, "queue_token_expired");
    }
    buyer.ask_hold(performance, &["A-1-5"]).send().await.refuses(403, "queue_token_expired");
}

async fn statuses(buyer: &Buyer, show: &Show, labels: &[&str]) -> Vec<String> {
    let map = buyer.seats(&show.performance).await;
    let wanted = list(&map, "seats").iter().filter(|seat| labels.contains(&text(seat, "label")));
    wanted.map(|seat| text(seat, "status").to_owned()).collect()
}

async fn whole_journey(backend: Backend) {
    let server = Server::start_on(backend, &[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let promoter = Buyer::sign_in(server.api(), "promoter").await;
    let sales = async || {
        let answer = promoter.get(format!("/v1/performances/{}/sales", show.performance)).send().await;
        answer.is(200).clone()
    };
    let mut buyer = sign_up_and_in(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    look_around(&buyer, &show).await;

    let held = buyer.ask_hold(&show.performance, &["A-1-1", "A-1-2"]).send().await;
    let reservation = held.id();
    let location = format!("/v1/reservations/{reservation}");
    assert_eq!((held.is(201)["status"].as_str(), held.header("location")), (Some("held"), Some(location.as_str())));
    assert_eq!(held.json["seats"], json!([{"label": "A-1-1", "price": PRICE}, {"label": "A-1-2", "price": PRICE}]));
    assert_eq!((&held.json["total_amount"], &held.json["payment_id"]), (&json!(2 * PRICE), &json!(null)));
    assert!(held.json["held_until"].is_string());
    assert_eq!(buyer.reservation(&reservation).await, held.json);
    assert_eq!(statuses(&buyer, &show, &["A-1-1", "A-1-2", "A-1-3"]).await, ["held", "held", "available"]);
    assert_eq!(sales().await, json!({"available": 48, "held": 2, "sold": 0, "revenue": 0}));

    assert_eq!(buyer.balance().await, 0);
    let charge = buyer.ask_charge(5 * PRICE).send().await;
    assert_eq!((&charge.is(201)["status"], &charge.json["balance"]), (&json!("completed"), &json!(5 * PRICE)));
    let charged = buyer.get(charge.header("location").expect("where it is")).send().await;
    assert_eq!(charged.is(200), &charge.json);

    let paid = buyer.ask_pay(&reservation).send().await;
    let payment = paid.id();
    assert_eq!((&paid.is(201)["amount"], &paid.json["balance_after"]), (&json!(2 * PRICE), &json!(3 * PRICE)));
    assert_eq!((&paid.json["status"], &paid.json["refunded_at"]), (&json!("completed"), &json!(null)));
    assert_eq!(paid.json["reservation"], buyer.reservation(&reservation).await);
    assert_eq!(paid.json["reservation"]["status"], "confirmed");
    assert_eq!(buyer.get(format!("/v1/payments/{payment}")).send().await.is(200), &paid.json);
    assert_eq!(buyer.list("/v1/payments").await, std::slice::from_ref(&paid.json));
    assert_eq!(buyer.list("/v1/reservations?status=confirmed").await, [paid.json["reservation"].clone()]);
    assert_eq!(buyer.list("/v1/reservations?status=held").await.len(), 0);
    assert_eq!(sales().await, json!({"available": 48, "held": 0, "sold": 2, "revenue": 2 * PRICE}));
    assert_gate_is_closed(&buyer, &show).await;

    // It takes a new place to see the seats again.
    buyer.be_admitted(&show.concert).await;
    assert_eq!(statuses(&buyer, &show, &["A-1-1", "A-1-2", "A-1-3"]).await, ["sold", "sold", "available"]);
    let cancelled = buyer.ask_cancel(&reservation).send().await;
    assert_eq!((&cancelled.is(200)["status"], &cancelled.json["payment_id"]), (&json!("cancelled"), &json!(payment)));
    assert_eq!(buyer.reservation(&reservation).await, cancelled.json);
    let refunded = buyer.get(format!("/v1/payments/{payment}")).send().await;
    assert_eq!(refunded.is(200)["status"], "refunded");
    assert!(refunded.json["refunded_at"].is_string());
    assert_eq!(buyer.balance().await, 5 * PRICE);
    let entries = buyer.list("/v1/wallet/entries").await;
    let listed: Vec<_> =
        entries.iter().map(|entry| json!([entry["kind"], entry["amount"], entry["balance_after"]])).collect();
    let expected =
        json!([["refund", 2 * PRICE, 5 * PRICE], ["payment", -2 * PRICE, 3 * PRICE], ["charge", 5 * PRICE, 5 * PRICE]]);
    assert_eq!(json!(listed), expected);
    assert_eq!((&entries[0]["reservation_id"], &entries[2]["charge_id"]), (&json!(reservation), &json!(charge.id())));
    assert_eq!(statuses(&buyer, &show, &["A-1-1", "A-1-2"]).await, ["available", "available"]);
    assert_eq!(sales().await, json!({"available": 50, "held": 0, "sold": 0, "revenue": 0}));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_bought_and_cancelled_on_sqlite() {
    whole_journey(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_bought_and_cancelled_on_mariadb() {
    whole_journey(MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_bought_and_cancelled_on_mysql() {
    whole_journey(MYSQL).await;
}
