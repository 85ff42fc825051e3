//! What webhooks refuse.

use serde_json::{Value, json};

use super::NO_ID;
use crate::support::{client::Buyer, text};

fn new(url: &str) -> Value {
    json!({"url": url, "kinds": ["*"]})
}

/// What the routes of webhooks refuse.
pub(super) async fn refusals(buyer: &Buyer, promoter: &Buyer) {
    let (public, private) = (new("https://shop.example/"), new("http://127.0.0.1:9/"));
    let span = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"});
    buyer.post("/v1/webhooks", &public).send().await.refuses(403, "forbidden");
    buyer.get("/v1/webhooks").send().await.refuses(403, "forbidden");
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("PATCH", "", json!({"on": true})),
        ("DELETE", "", Value::Null),
        ("POST", "/secrets", Value::Null),
        ("POST", "/test", Value::Null),
        ("GET", "/deliveries", Value::Null),
        ("POST", &format!("/deliveries/{NO_ID}/resend"), Value::Null),
        ("POST", "/resend", span),
    ] {
        for (who, status, code) in [(buyer, 403, "forbidden"), (promoter, 404, "webhook_not_found")] {
            let ask = who.ask(method, format!("/v1/webhooks/{NO_ID}{rest}"));
            let ask = if body.is_null() { ask } else { ask.json(&body) };
            ask.send().await.refuses(status, code);
        }
    }
    promoter.post("/v1/webhooks", &private).send().await.refuses(422, "webhook_url_refused");
    let made = promoter.post("/v1/webhooks", &public).send().await;
    let path = format!("/v1/webhooks/{}", text(made.is(201), "id"));
    promoter.patch(path.as_str(), &json!({"url": private["url"]})).send().await.refuses(422, "webhook_url_refused");
    let resend = promoter.ask("POST", format!("{path}/deliveries/{NO_ID}/resend")).send().await;
    resend.refuses(404, "delivery_not_found");
    promoter.patch(path.as_str(), &json!({"on": false})).send().await.is(200);
    promoter.ask("POST", format!("{path}/test")).send().await.refuses(409, "webhook_off");
    for _ in 1..20 {
        promoter.post("/v1/webhooks", &public).send().await.is(201);
    }
    promoter.post("/v1/webhooks", &public).send().await.refuses(409, "webhooks_limit");
}
