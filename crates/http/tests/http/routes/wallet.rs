//! Points and their history.

use std::sync::Arc;

use axum::http::StatusCode;
use boxoffice_domain::{
    ChargeId,
    fixtures::charge_request,
    gateway::{
        ClientAction, DeclineReason, GatewayAnswer, GatewayReference, GatewayState, MockPaymentGateway, Notification,
        NotificationRefusal, PaymentGateway, RefundVerdict,
    },
};
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{BALANCE, PRICE, World, ask_cancel, ask_charge, ask_pay, get, post};

#[tokio::test]
async fn a_wallet_has_a_balance_and_a_history() {
    let world = World::new().await;
    let router = world.router();
    let held = world.stage.holds(&world.show, world.customer, &["A-1-1"]).await;
    world.stage.pays(&held).await;
    let read = async |path: &str| get(path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let wallet = json!({"balance": BALANCE - PRICE, "updated_at": "2027-01-15T08:00:00Z"});
    assert_eq!(read("/v1/wallet").await, wallet);
    ask_cancel(held.id.uuid()).send(&router).await.succeeds(StatusCode::OK);

    let (newest, mut page) = (read("/v1/wallet/entries?limit=2").await, read("/v1/wallet/entries?limit=1").await);
    let mut entries = vec![page["items"][0].clone()];
    while let Some(cursor) = page["next_cursor"].as_str() {
        page = read(&format!("/v1/wallet/entries?limit=1&cursor={cursor}")).await;
        entries.push(page["items"][0].clone());
    }
    assert_eq!(newest["items"], json!(entries[..2]));
    let kinds: Vec<_> = entries.iter().map(|entry| (&entry["kind"], &entry["amount"])).collect();
    let expected = [json!("refund"), json!(PRICE), json!("payment"), json!(-PRICE), json!("charge"), json!(BALANCE)];
    assert_eq!(kinds, expected.chunks(2).map(|entry| (&entry[0], &entry[1])).collect::<Vec<_>>());
    assert_eq!((&entries[0]["reservation_id"], &entries[0]["charge_id"]), (&json!(held.id.uuid()), &Value::Null));
    assert!(entries[2]["charge_id"].is_string() && entries[2]["reservation_id"].is_null());
    assert!(entries[0]["id"] != entries[1]["id"] && entries[1]["id"] != entries[2]["id"]);
}

#[tokio::test]
async fn a_charge_has_its_bounds() {
    let router = World::new().await.router();
    for amount in [0, -1, 10_000_001] {
        ask_charge(amount, "k").send(&router).await.violates("/amount", "range");
    }
    let fraction = post("/v1/wallet/charges", json!({"amount": 1.5})).signed_in("customer").key("k");
    fraction.send(&router).await.violates("/amount", "wrong_type");
    let charge = ask_charge(5, "k").send(&router).await.succeeds(StatusCode::CREATED);
    let path = format!("/v1/wallet/charges/{}", charge["id"].as_str().unwrap());
    assert_eq!(get(path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK), charge);
}

#[tokio::test]
async fn a_shop_without_a_gateway_refuses_charges_for_good_and_sells_for_points() {
    let mut world = World::new().await;
    world.gateway = None;
    let router = world.router();
    let refused = ask_charge(5, "k").send(&router).await;
    refused.refuses(Code::ChargingUnavailable);
    assert_eq!(refused.header("retry-after"), None);
    let entries = get("/v1/wallet/entries").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(entries["items"].as_array().map(Vec::len), Some(1));
    let held = world.stage.holds(&world.show, world.customer, &["A-1-1"]).await;
    ask_pay(&world.token().await, held.id.uuid(), "p").send(&router).await.succeeds(StatusCode::CREATED);
}

/// A gateway that answers this to every request about a charge.
fn answering(state: GatewayState) -> Arc<dyn PaymentGateway> {
    let mut gateway = MockPaymentGateway::new();
    let answer = GatewayAnswer { reference: GatewayReference::new("pi_1"), state };
    let again = answer.clone();
    gateway.expect_begin().returning(move |_| Ok(answer.clone()));
    gateway.expect_query().returning(move |_| Ok(Some(again.clone())));
    Arc::new(gateway)
}

#[tokio::test]
async fn a_buyer_who_has_to_act_is_answered_how_and_nobody_else() {
    let mut world = World::new().await;
    let redirect_url = Some("https://bank.example/3ds".to_owned());
    let action = ClientAction { client_secret: "pi_1_secret".to_owned(), redirect_url };
    world.gateway = Some(answering(GatewayState::ActionRequired(action)));
    let router = world.router();
    let charge = ask_charge(5, "k").send(&router).await.succeeds(StatusCode::ACCEPTED);
    let action = json!({"client_secret": "pi_1_secret", "redirect_url": "https://bank.example/3ds"});
    assert_eq!(
        (&charge["status"], &charge["action"], &charge["balance"]),
        (&json!("requires_action"), &action, &Value::Null)
    );
    assert_eq!(ask_charge(5, "k").send(&router).await.succeeds(StatusCode::ACCEPTED), charge);
    let path = format!("/v1/wallet/charges/{}", charge["id"].as_str().unwrap());
    let found = get(path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&found["status"], &found["action"]), (&json!("requires_action"), &Value::Null));
    world.gateway = Some(answering(GatewayState::Approved));
    let done = ask_charge(5, "k").send(&world.router()).await.succeeds(StatusCode::CREATED);
    assert_eq!(
        (&done["status"], &done["balance"], &done["action"]),
        (&json!("completed"), &json!(BALANCE + 5), &Value::Null)
    );
}

#[tokio::test]
async fn a_charge_that_is_declined_says_why() {
    let mut world = World::new().await;
    world.gateway = Some(answering(GatewayState::Declined(DeclineReason::ExpiredCard)));
    let router = world.router();
    let refused = ask_charge(5, "k").send(&router).await;
    let problem = refused.refuses(Code::ChargeDeclined);
    let path = format!("/v1/wallet/charges/{}", problem["charge_id"].as_str().unwrap());
    let found = get(path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&found["status"], &found["decline_reason"]), (&json!("declined"), &json!("expired_card")));
}

#[tokio::test]
async fn a_way_to_pay_is_a_plain_name_and_part_of_the_request() {
    let router = World::new().await.router();
    let ask = |method: Value| {
        let body = json!({"amount": 5, "payment_method": method});
        post("/v1/wallet/charges", body).signed_in("customer").key("k")
    };
    for method in [json!(""), json!("pm 1"), json!("pm_1\n"), json!("p".repeat(256))] {
        ask(method).send(&router).await.violates("/payment_method", "wrong_format");
    }
    ask(Value::Null).send(&router).await.violates("/payment_method", "wrong_type");
    ask(json!("pm_card_visa")).send(&router).await.succeeds(StatusCode::CREATED);
    ask(json!("pm_other")).send(&router).await.refuses(Code::IdempotencyKeyReused);
}

#[tokio::test]
async fn points_go_back_for_money_in_parts() {
    let world = World::new().await;
    let router = world.router();
    let charge = ask_charge(500, "c").send(&router).await.succeeds(StatusCode::CREATED);
    let path = format!("/v1/wallet/charges/{}", charge["id"].as_str().unwrap());
    let ask = |body: Value, key: &str| post(format!("{path}/refund"), body).signed_in("customer").key(key);
    let refund = ask(json!({"amount": 200}), "r").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(
        (&refund["amount"], &refund["status"], &refund["charge_id"]),
        (&json!(200), &json!("completed"), &charge["id"])
    );
    let again = ask(json!({"amount": 200}), "r").send(&router).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.succeeds(StatusCode::OK), refund);
    let found = get(path.clone()).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&found["status"], &found["refunded"]), (&json!("partially_refunded"), &json!(200)));
    ask(json!({"amount": 301}), "s").send(&router).await.refuses(Code::ChargeNotRefundable);
    ask(json!({"amount": 0}), "s").send(&router).await.violates("/amount", "range");
    ask(json!({"amount": null}), "s").send(&router).await.violates("/amount", "wrong_type");
    let rest = ask(json!({}), "s").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(rest["amount"], json!(300));
    ask(json!({}), "t").send(&router).await.refuses(Code::ChargeNotRefundable);
    post(format!("{path}/refund"), json!({}))
        .signed_in("stranger")
        .key("t")
        .send(&router)
        .await
        .refuses(Code::ChargeNotFound);
    let entries = get("/v1/wallet/entries?limit=2").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let kinds: Vec<_> =
        entries["items"].as_array().unwrap().iter().map(|entry| (&entry["kind"], &entry["amount"])).collect();
    assert_eq!(kinds, [(&json!("charge_refund"), &json!(-300)), (&json!("charge_refund"), &json!(-200))]);
}

#[tokio::test]
async fn points_that_were_spent_stay_and_a_refusal_of_the_gateway_changes_nothing() {
    let mut world = World::new().await;
    let charge = world.stage.charge(world.customer, PRICE).await;
    for label in ["A-1-1", "A-1-2"] {
        let held = world.stage.holds(&world.show, world.customer, &[label]).await;
        if world.stage.balance(world.customer).await >= PRICE {
            world.stage.pays(&held).await;
        }
    }
    let left = world.stage.balance(world.customer).await;
    let path = format!("/v1/wallet/charges/{}/refund", charge.id);
    let ask = |amount: i64, key: &str| post(path.clone(), json!({"amount": amount})).signed_in("customer").key(key);
    if left < PRICE {
        ask(left + 1, "r").send(&world.router()).await.refuses(Code::InsufficientPoints);
    }
    world.gateway = {
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_refund().returning(|_| Ok(RefundVerdict::Refused));
        Some(Arc::new(gateway))
    };
    let topped_up = world.stage.charge(world.customer, 10).await;
    let path = format!("/v1/wallet/charges/{}/refund", topped_up.id);
    let refused = post(path, json!({})).signed_in("customer").key("r").send(&world.router()).await;
    let problem = refused.refuses(Code::ChargeRefundRefused);
    assert_eq!(problem["charge_id"], json!(topped_up.id.uuid()));
    assert_eq!(world.stage.balance(world.customer).await, left + 10);
}

#[tokio::test]
async fn a_notification_is_taken_if_the_gateway_signed_it() {
    let mut world = World::new().await;
    let charge_id: ChargeId = charge_request(1).charge_id;
    world.gateway = {
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_verify_notification().returning(move |fields, body, _| {
            let is_signed = fields.iter().any(|(name, value)| name == "stripe-signature" && value == b"right");
            if !is_signed || body != br#"{"id": "evt"}"# {
                return Err(NotificationRefusal::Forged);
            }
            Ok(Notification { id: "evt".to_owned(), charge_id: Some(charge_id) })
        });
        Some(Arc::new(gateway))
    };
    let router = world.router();
    let ask = |signature: &str, body: &str| {
        let ask = post("/v1/gateway/stripe/events", Value::Null).header("stripe-signature", signature);
        ask.raw("application/json; charset=utf-8", body)
    };
    ask("wrong", r#"{"id": "evt"}"#).send(&router).await.refuses(Code::MalformedRequest);
    ask("right", r#"{"id":"evt"}"#).send(&router).await.refuses(Code::MalformedRequest);
    assert_eq!(world.stage.storage.gateway_inbox.unhandled(9).await.unwrap(), []);
    for _ in 0..2 {
        let taken = ask("right", r#"{"id": "evt"}"#).send(&router).await;
        assert_eq!(taken.status, StatusCode::NO_CONTENT);
    }
    let kept = world.stage.storage.gateway_inbox.unhandled(9).await.unwrap();
    assert_eq!(kept, [("evt".to_owned(), charge_id)]);
}
