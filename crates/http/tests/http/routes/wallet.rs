//! Points and their history.

use axum::http::StatusCode;
use boxoffice_domain::{
    ChargeId, ReservationId,
    fixtures::instant,
    page::Page,
    wallet::{EntryKind, Wallet, WalletEntry},
};
use serde_json::{Value, json};

use crate::world::{CONCERT, World, get, points, post};

#[tokio::test]
async fn a_wallet_has_a_balance_and_a_history() {
    let mut world = World::new();
    world.wallets.expect_find().returning(|account_id| {
        let mut wallet = Wallet::new(account_id, instant(0));
        wallet.balance = points(7);
        Ok(Some(wallet))
    });
    world.wallets.expect_entries().returning(|account_id, page| {
        let entry = |sequence, amount, kind| WalletEntry {
            account_id,
            sequence,
            kind,
            amount,
            balance_after: points(7),
            created_at: instant(0),
        };
        let charge = EntryKind::Charge { charge_id: ChargeId::new(CONCERT) };
        let refund = EntryKind::Refund { reservation_id: ReservationId::new(CONCERT) };
        assert_eq!(page.after, if page.limit == 2 { None } else { Some(4) });
        Ok(Page { items: vec![entry(5, 3, refund), entry(4, 4, charge)], next: Some(4) })
    });
    let router = world.router();
    let wallet = get("/v1/wallet").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(wallet, json!({"balance": 7, "updated_at": "2027-01-15T08:00:00Z"}));
    let entries = get("/v1/wallet/entries?limit=2").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let [refund, charge] = [&entries["items"][0], &entries["items"][1]];
    assert_eq!(
        (&refund["kind"], &refund["reservation_id"], &refund["charge_id"]),
        (&json!("refund"), &json!(CONCERT), &Value::Null)
    );
    assert_eq!((&charge["kind"], &charge["charge_id"]), (&json!("charge"), &json!(CONCERT)));
    assert_ne!(refund["id"], charge["id"]);
    let again = get(format!("/v1/wallet/entries?limit=3&cursor={}", entries["next_cursor"].as_str().unwrap()));
    assert_eq!(
        again.signed_in("customer").send(&router).await.succeeds(StatusCode::OK)["items"][0]["id"],
        refund["id"]
    );
}

#[tokio::test]
async fn a_charge_has_its_bounds() {
    for amount in [0, -1, 10_000_001] {
        let ask = post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer").key("k");
        let answer = World::new().answer(ask).await;
        assert_eq!(answer.violations(), [("/amount".to_owned(), "range".to_owned())]);
    }
    let ask = post("/v1/wallet/charges", json!({"amount": 1.5})).signed_in("customer").key("k");
    assert_eq!(World::new().answer(ask).await.violations(), [("/amount".to_owned(), "wrong_type".to_owned())]);
}
