//! Webhooks, as their owners see them.

use axum::http::StatusCode;
use boxoffice_domain::{
    WebhookId,
    fixtures::instant,
    webhooks::{Attempt, AttemptOutcome, Attempted, DeliveryState},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Answer, NOTHING, World, delete, get, patch, post};

fn new() -> Value {
    json!({"url": "https://shop.example/events", "kinds": ["reservation.*", "payment.completed"]})
}

async fn create(world: &World, account: &str) -> Value {
    let created = post("/v1/webhooks", new()).signed_in(account).send(&world.router()).await;
    created.succeeds(StatusCode::CREATED)
}

fn path(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().expect("an id"))
}

async fn send_post(world: &World, path: String, body: Value) -> Answer {
    post(path, body).signed_in("promoter").send(&world.router()).await
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_removed() {
    let world = World::new().await;
    let router = world.router();
    let created = create(&world, "promoter").await;
    let secret = created["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let find = || get(path(&created, "")).signed_in("promoter");
    let found = find().send(&router).await.succeeds(StatusCode::OK);
    let expected = json!({
        "id": created["id"], "owner_id": world.show.promoter_id.uuid(), "url": "https://shop.example/events",
        "kinds": ["reservation.*", "payment.completed"], "on": true, "off_since": null, "off_reason": null,
        "failing_since": null, "former_secret_until": null, "created_at": "2027-01-15T08:00:00Z",
    });
    assert_eq!(found, expected, "without the secret");

    let rotated = send_post(&world, path(&created, "/secrets"), Value::Null).await.succeeds(StatusCode::OK);
    assert_ne!(rotated["secret"], created["secret"]);
    assert_eq!(rotated["former_secret_until"], "2027-01-16T08:00:00Z");
    let change = json!({"url": "http://other.example/", "kinds": ["*"], "on": false});
    let changed = patch(path(&created, ""), change).signed_in("promoter").send(&router).await;
    let changed = changed.succeeds(StatusCode::OK);
    assert_eq!((&changed["on"], &changed["off_reason"]), (&json!(false), &json!("by_hand")));
    assert_eq!((&changed["url"], &changed["kinds"]), (&json!("http://other.example/"), &json!(["*"])));
    let same = patch(path(&created, ""), json!({})).signed_in("promoter").send(&router).await;
    assert_eq!(same.succeeds(StatusCode::OK), changed);

    assert_eq!(delete(path(&created, "")).signed_in("promoter").send(&router).await.status, StatusCode::NO_CONTENT);
    find().send(&router).await.refuses(Code::WebhookNotFound);
    delete(path(&created, "")).signed_in("promoter").send(&router).await.refuses(Code::WebhookNotFound);
}

#[tokio::test]
async fn the_copy_of_an_account_has_its_webhooks_without_their_secrets() {
    let world = World::new().await;
    let router = world.router();
    let own = create(&world, "promoter").await;
    create(&world, "admin").await;
    let found = get(path(&own, "")).signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
    for (account, expected) in [("promoter", json!([found])), ("customer", json!([]))] {
        let copy = get("/v1/me/export").signed_in(account).send(&router).await.succeeds(StatusCode::OK);
        assert_eq!(copy["webhooks"], expected, "{account}");
    }
}

#[tokio::test]
async fn webhooks_are_for_staff_and_those_of_others_for_admins() {
    let world = World::new().await;
    let router = world.router();
    post("/v1/webhooks", new()).signed_in("customer").send(&router).await.refuses(Code::Forbidden);
    get("/v1/webhooks").signed_in("customer").send(&router).await.refuses(Code::Forbidden);
    let own = create(&world, "promoter").await;
    get(path(&own, "")).signed_in("colleague").send(&router).await.refuses(Code::WebhookNotFound);
    get(path(&own, "/deliveries")).signed_in("colleague").send(&router).await.refuses(Code::WebhookNotFound);
    let unknown = json!({"id": NOTHING});
    get(path(&unknown, "")).signed_in("admin").send(&router).await.refuses(Code::WebhookNotFound);
    get(path(&own, "")).signed_in("admin").send(&router).await.succeeds(StatusCode::OK);
    let other = create(&world, "admin").await;
    let listed = async |account: &str| {
        let list = get("/v1/webhooks?limit=5").signed_in(account).send(&router).await.succeeds(StatusCode::OK);
        let items = list["items"].as_array().expect("a list").iter();
        items.map(|webhook| webhook["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed("promoter").await, [own["id"].clone()]);
    // The same account as the admin.
    assert_eq!(listed("colleague").await, [other["id"].clone()]);
    assert_eq!(listed("admin").await, [other["id"].clone(), own["id"].clone()]);
}

#[tokio::test]
async fn what_cannot_be_sent_to_is_refused() {
    let world = World::new().await;
    let router = world.router();
    let with =
        |url: &str, kinds: Value| post("/v1/webhooks", json!({"url": url, "kinds": kinds})).signed_in("promoter");
    let private = with("http://127.0.0.1/", json!(["*"])).send(&router).await;
    private.refuses(Code::WebhookUrlRefused);
    for url in ["ftp://shop.example/", "shop.example", "https://", "https://shop.example/좌석", "https://a b/"] {
        with(url, json!(["*"])).send(&router).await.violates("/url", "webhook_url");
    }
    let public = "https://shop.example/";
    for (kinds, code) in [
        (json!([]), "webhook_kinds_count"),
        (json!(vec!["*"; 21]), "webhook_kinds_count"),
        (json!(["Reservation.held"]), "webhook_kind"),
    ] {
        with(public, kinds).send(&router).await.violates("/kinds", code);
    }
    for _ in 0..20 {
        create(&world, "promoter").await;
    }
    with(public, json!(["*"])).send(&router).await.refuses(Code::WebhooksLimit);
    create(&world, "colleague").await;
}

#[tokio::test]
async fn a_test_event_is_listed_with_what_became_of_it_and_sent_again() {
    let world = World::new().await;
    let router = world.router();
    let webhook = create(&world, "promoter").await;
    let test = send_post(&world, path(&webhook, "/test"), Value::Null).await.succeeds(StatusCode::ACCEPTED);
    assert_eq!((&test["kind"], &test["subject"]), (&json!("webhook.test"), &webhook["id"]));
    assert_eq!((&test["status"], &test["next_attempt_at"]), (&json!("pending"), &json!("2027-01-15T08:00:00Z")));

    let id: Uuid = webhook["id"].as_str().expect("an id").parse().expect("a UUID");
    let delivery_id: Uuid = test["id"].as_str().expect("an id").parse().expect("a UUID");
    let outcome = AttemptOutcome::Answered { status: 201, beginning: "thanks".to_owned() };
    let attempt = Attempt { at: instant(1), outcome, milliseconds: 12 };
    let state = DeliveryState::Delivered;
    let attempted = Attempted { id: delivery_id.into(), attempts_before: 0, attempt, state };
    let deliveries = &world.stage.storage.webhook_deliveries;
    deliveries.record(WebhookId::new(id), vec![attempted]).await.expect("it is recorded");
    let list = async |query: &str| {
        let list = get(path(&webhook, &format!("/deliveries{query}"))).signed_in("promoter").send(&router).await;
        list.succeeds(StatusCode::OK)["items"].clone()
    };
    let all = list("").await;
    let attempt = json!({
        "at": "2027-01-15T08:00:01Z", "status": 201, "answer": "thanks", "failure": null, "milliseconds": 12,
    });
    assert_eq!((&all[0]["status"], &all[0]["last_attempt"]), (&json!("delivered"), &attempt));
    assert_eq!((list("?status=delivered").await, list("?status=pending").await), (all, json!([])));

    let again = format!("/deliveries/{delivery_id}/resend");
    let again = send_post(&world, path(&webhook, &again), Value::Null).await.succeeds(StatusCode::ACCEPTED);
    assert_eq!((&again["status"], &again["attempts_count"]), (&json!("pending"), &json!(0)));
    let unknown = format!("/deliveries/{NOTHING}/resend");
    send_post(&world, path(&webhook, &unknown), Value::Null).await.refuses(Code::DeliveryNotFound);
    let span = json!({"from": "2027-01-15T08:00:00Z", "to": "2027-01-15T08:00:01Z"});
    let resent = send_post(&world, path(&webhook, "/resend"), span).await.succeeds(StatusCode::ACCEPTED);
    assert_eq!(resent, json!({"deliveries": 1, "next_from": null}));
    for (from, to) in
        [("2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z"), ("2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z")]
    {
        let refused = send_post(&world, path(&webhook, "/resend"), json!({"from": from, "to": to})).await;
        refused.violates("/to", "time_range");
    }
    let off = patch(path(&webhook, ""), json!({"on": false})).signed_in("promoter").send(&router).await;
    off.succeeds(StatusCode::OK);
    send_post(&world, path(&webhook, "/test"), Value::Null).await.refuses(Code::WebhookOff);
}
