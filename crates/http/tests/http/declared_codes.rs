//! The codes that the document lists for an operation are those with which it refuses: each code that routes share is
//! provoked wherever it can be. What belongs to single routes is in `tests/e2e/errors.rs`.

use std::sync::Arc;

use axum::{
    body::{Bytes, to_bytes},
    http::Method,
};
use boxoffice_domain::{
    accounts::{
        MockAccountEmails, MockAccountRecords, MockAccounts, MockPasswordHasher, MockPasswordResets, MockSecondFactors,
        MockSessions,
    },
    catalog::MockCatalog,
    history::MockHistory,
    payments::MockPayments,
    reservations::MockReservations,
    waiting_room::{MockWaitingRoom, WaitingRoom},
    wallet::MockWallets,
    webhooks::{MockWebhookDeliveries, MockWebhooks},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{
    Ask, NOTHING, World, get,
    operations::{Operation, operations, sample},
    token,
};

/// Longer than the longest body that an operation takes.
fn too_long(operation: &Operation) -> Vec<u8> {
    let bytes = match operation.id.as_str() {
        "catalog_publish_venue" => 113 << 20,
        "catalog_publish_performance" => 10 << 20,
        _ => 256 << 10,
    };
    vec![b' '; bytes]
}

/// A request for what the world has, in which nothing is wrong that routes check alike.
async fn right(world: &World, operation: &Operation, token: &str) -> Ask {
    let (concert, performance) = (world.show.concert.id.to_string(), world.show.performance_id.to_string());
    let venue = world.show.venue.id.to_string();
    let id = match operation.path.as_str() {
        path if path.starts_with("/v1/performances") => &performance,
        path if path.starts_with("/v1/venues") => &venue,
        _ => &concert,
    };
    let ask = get(operation.path.replace(&NOTHING.to_string(), id)).method(operation.method.clone());
    let ask = match operation.id.as_str() {
        "history_list" => ask.signed_in("admin"),
        _ if is_for_staff(operation) => ask.signed_in("promoter"),
        _ => ask.queued(token),
    };
    let ask = if operation.method == Method::GET { ask } else { ask.key("key") };
    let Some(schema) = &operation.body else { return ask };
    let mut body = sample(&operations().0, schema);
    if let Some(id) = body.get_mut("performance_id") {
        *id = json!(performance);
    }
    if let Some(closes_at) = body.get_mut("sales_close_at") {
        *closes_at = json!("2026-06-01T11:00:00Z");
    }
    if let Some(token) = body.get_mut("refresh_token") {
        *token = json!("A".repeat(64));
    }
    if let Some(to) = body.get_mut("to") {
        *to = json!("2026-05-02T11:00:00Z");
    }
    if let Some(id) = body.get_mut("reservation_id") {
        *id = json!(world.stage.holds(&world.show, world.customer, &["A-1-1"]).await.id.uuid());
    }
    ask.raw("application/json", body.to_string())
}

fn is_for_staff(operation: &Operation) -> bool {
    let rest = [
        "catalog_update_concert",
        "catalog_sales",
        "catalog_venues",
        "catalog_managed_concerts",
        "history_of_concert",
        "accounts_begin_second_factor",
    ];
    let of_queue = ["waiting_room_pause", "waiting_room_resume", "waiting_room_stats", "waiting_room_empty"];
    operation.id.starts_with("catalog_publish")
        || operation.id.starts_with("webhooks_")
        || rest.iter().chain(&of_queue).any(|id| operation.id == *id)
}

/// A world and a request in which one thing is wrong: that for which the code is.
async fn wrong(code: Code, operation: &Operation) -> (World, Ask) {
    let mut world = World::new().await;
    let token = match code {
        Code::QueueTokenNotActive => world.waiting_at(1).await.0,
        Code::QueueTokenExpired => {
            let place = world.join(world.customer).await;
            world.queues.leave(&place).await.unwrap();
            token(&place)
        }
        _ => world.token().await,
    };
    let ask = right(&world, operation, &token).await;
    let plain = |ask: Ask| ask.without("content-type");
    let ask = match code {
        Code::MalformedRequest => plain(ask).raw("application/json", "{"),
        Code::PayloadTooLarge => plain(ask).raw("application/json", too_long(operation)),
        Code::UnsupportedMediaType => plain(ask).raw("text/plain", "A-1-1"),
        Code::ValidationFailed => plain(ask).raw("application/json", json!({"no_such_name": 1}).to_string()),
        Code::NotAcceptable => ask.header("accept", "image/png"),
        Code::Unauthenticated => ask.without("authorization"),
        Code::AccessTokenExpired => ask.signed_in("expired"),
        Code::QueueTokenMissing => ask.without("queue-token"),
        Code::QueueTokenInvalid => ask.without("queue-token").header("queue-token", "forged"),
        Code::Unavailable => {
            world.settings.concurrent_requests_max = 0;
            world.draining.leave();
            ask
        }
        // Whatever the route asks for panics.
        Code::Internal => {
            let storage = &mut world.stage.storage;
            storage.accounts = Arc::new(MockAccounts::new());
            storage.sessions = Arc::new(MockSessions::new());
            storage.catalog = Arc::new(MockCatalog::new());
            storage.reservations = Arc::new(MockReservations::new());
            storage.payments = Arc::new(MockPayments::new());
            storage.wallets = Arc::new(MockWallets::new());
            storage.history = Arc::new(MockHistory::new());
            storage.records = Arc::new(MockAccountRecords::new());
            storage.factors = Arc::new(MockSecondFactors::new());
            storage.emails = Arc::new(MockAccountEmails::new());
            storage.resets = Arc::new(MockPasswordResets::new());
            storage.webhooks = Arc::new(MockWebhooks::new());
            storage.webhook_deliveries = Arc::new(MockWebhookDeliveries::new());
            world.waiting_room = Arc::new(MockWaitingRoom::new());
            world.passwords = Arc::new(MockPasswordHasher::new());
            ask
        }
        _ => ask,
    };
    (world, ask)
}

#[tokio::test]
async fn every_operation_lists_the_shared_codes_that_it_answers_with_and_no_others() {
    let mut wrongly = Vec::new();
    for operation in operations().1 {
        for code in [
            Code::MalformedRequest,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
            Code::NotAcceptable,
            Code::Unauthenticated,
            Code::AccessTokenExpired,
            Code::QueueTokenMissing,
            Code::QueueTokenInvalid,
            Code::QueueTokenNotActive,
            Code::QueueTokenExpired,
            Code::Unavailable,
            Code::Internal,
        ] {
            // Its response does not wait for what it asks for.
            if (operation.id.as_str(), code) == ("accounts_begin_password_reset", Code::Internal) {
                continue;
            }
            let (world, ask) = wrong(code, &operation).await;
            let response = world.router().oneshot(ask.into_request()).await.unwrap();
            // The body of a queue stream has no end.
            let is_problem = response.status() == code.status();
            let body =
                if is_problem { to_bytes(response.into_body(), usize::MAX).await.unwrap() } else { Bytes::new() };
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (is_answered, name) = (problem["code"] == code.as_str(), code.as_str());
            if is_answered != operation.codes.iter().any(|listed| listed == name) {
                let what =
                    if is_answered { "answers with and does not list" } else { "lists and does not answer with" };
                wrongly.push(format!("{} {what} {name}", operation.id));
            }
        }
    }
    assert_eq!(wrongly, Vec::<String>::new());
}
