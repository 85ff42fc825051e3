//! Points and their history.

use axum::http::StatusCode;
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
