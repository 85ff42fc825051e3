//! The draw before a sale opens, checked by the command that anybody can run.

use std::fs;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::support::{
    client::Buyer,
    eventually, seconds_from_now,
    server::Server,
    show::{Show, Terms},
    strangers::{Stranger, strangers},
};

const PEOPLE: usize = 10_000;
const MAX_ACTIVE: usize = 500;
/// How many requests are under way at once.
const AT_ONCE: usize = 64;

/// A concert with a draw, which opens in an hour.
fn drawn(max_active: u32) -> Terms {
    Terms { draw: true, opens_in_seconds: 3_600, ..Terms::max_active(max_active) }
}

async fn concert(buyer: &Buyer, show: &Show) -> Value {
    buyer.api.get(format!("/v1/concerts/{}", show.concert)).send().await.is(200).clone()
}

/// Lets the sale open in a moment instead, and waits until it has; gives the seed.
async fn open(promoter: &Buyer, show: &Show) -> String {
    let body = json!({"sales_open_at": seconds_from_now(1)});
    promoter.patch(format!("/v1/concerts/{}", show.concert), &body).send().await.is(200);
    eventually("the seed is published", || async {
        concert(promoter, show).await["draw"]["seed"].as_str().map(str::to_owned)
    })
    .await
}

/// Everybody gets in line before the draw.
async fn all_join(people: Vec<Stranger>, show: &Show) -> Vec<Stranger> {
    let join = |mut stranger: Stranger| async {
        let joined = stranger.buyer.join(&show.concert).await;
        assert_eq!((&joined["status"], &joined["position"]), (&json!("waiting"), &Value::Null));
        stranger
    };
    stream::iter(people).map(join).buffered(AT_ONCE).collect().await
}

/// Everybody in the order of the positions that they are told: from 1 on, each once.
async fn in_order(people: &[Stranger]) -> Vec<&Stranger> {
    let position = |stranger: &'_ Stranger| {
        let buyer = stranger.buyer.clone();
        async move { buyer.queue().await["position"].as_u64().expect("a position") }
    };
    let positions: Vec<u64> = stream::iter(people).map(position).buffered(AT_ONCE).collect().await;
    let mut ordered: Vec<_> = positions.into_iter().zip(people).collect();
    ordered.sort_by_key(|(position, _)| *position);
    assert!(ordered.iter().map(|(position, _)| *position).eq(1..=people.len() as u64));
    ordered.into_iter().map(|(_, stranger)| stranger).collect()
}

/// What `boxoffice verify-draw` says of a list: its exit code and output.
async fn verified(server: &Server, seed_hash: &str, seed: &str, list: &str) -> (i32, String) {
    let file = server.folder().join("order");
    fs::write(&file, list).expect("a file for the order");
    let file = file.to_str().expect("its path is text");
    let (status, output, error) =
        server.run(&["verify-draw", "--seed-hash", seed_hash, "--seed", seed, file], &[]).await;
    (status, output + &error)
}

fn list_of(order: &[&Stranger]) -> String {
    let line = |(position, stranger): (usize, &&Stranger)| format!("{},{position}\n", stranger.account_id);
    "account_id,position\n".to_owned() + &(1..).zip(order).map(line).collect::<String>()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_are_admitted_in_the_order_that_was_drawn() {
    // Nobody polls here but those whose turn it is.
    let server = Server::start(&[("NO_SHOW_SECONDS", "3600")]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, drawn(500)).await;
    let before = concert(&promoter, &show).await["draw"].clone();
    assert_eq!(before["seed"], Value::Null);
    let people = all_join(strangers(&server, PEOPLE), &show).await;

    // Nobody is admitted while the whole order is written down.
    promoter.post(format!("/v1/concerts/{}/queue/pause", show.concert), &Value::Null).send().await.is(200);
    let seed = open(&promoter, &show).await;
    let after = concert(&promoter, &show).await["draw"].clone();
    let seed_hash = before["seed_hash"].as_str().expect("a hash");
    assert_eq!(after["seed_hash"], seed_hash);
    let mut order = in_order(&people).await;
    let (status, output) = verified(&server, seed_hash, &seed, &list_of(&order)).await;
    assert_eq!((status, output.contains("10000 accounts")), (0, true), "{output}");
    assert!(order.iter().zip(&people).any(|(one, other)| one.account_id != other.account_id), "nothing was drawn");

    // Each way of cheating is found.
    let other_seed = seed.chars().rev().collect::<String>();
    let (status, output) = verified(&server, seed_hash, &other_seed, &list_of(&order)).await;
    assert_eq!((status, output.starts_with("seed: ")), (1, true), "{output}");
    order.swap(7_000, 7_001);
    let (status, output) = verified(&server, seed_hash, &seed, &list_of(&order)).await;
    assert_eq!((status, output.starts_with("line 7003: ")), (1, true), "{output}");
    order.swap(7_000, 7_001);
    let (status, output) = verified(&server, seed_hash, &seed, "").await;
    assert_eq!(status, 2, "{output}");

    // Whoever comes later stands behind, and is admitted in its turn.
    let mut late = Buyer::new(server.api()).await;
    assert_eq!(late.join(&show.concert).await["position"], PEOPLE + 1);
    promoter.post(format!("/v1/concerts/{}/queue/resume", show.concert), &Value::Null).send().await.is(200);
    for (index, stranger) in order.iter().enumerate().take(300) {
        assert_eq!(stranger.buyer.queue_status().await, "active");
        let next = &order[index + MAX_ACTIVE].buyer;
        assert_eq!(next.queue().await["position"], 1);
        stranger.buyer.leave().await;
        assert_eq!(next.queue_status().await, "active");
    }
    assert_eq!(late.queue().await["position"], PEOPLE + 1 - MAX_ACTIVE - 300);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_outlasts_restarts_before_and_after_it() {
    let mut server = Server::start(&[("NO_SHOW_SECONDS", "3600")]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, drawn(1)).await;
    let seed_hash = concert(&promoter, &show).await["draw"]["seed_hash"].clone();
    let mut people = all_join(strangers(&server, 60), &show).await;

    // Leaving and joining again gives another ticket, and the same number.
    let again = &mut people[30].buyer;
    let former = again.asks.queue_token.clone();
    again.leave().await;
    again.join(&show.concert).await;
    assert_ne!(again.asks.queue_token, former);

    server.restart().await;
    for stranger in &people[..40] {
        assert_eq!(stranger.buyer.queue().await["position"], Value::Null);
    }
    promoter.post(format!("/v1/concerts/{}/queue/pause", show.concert), &Value::Null).send().await.is(200);
    let seed = open(&promoter, &show).await;
    // Some come back only now; and one comes who was never here.
    let mut late = Buyer::new(server.api()).await;
    late.join(&show.concert).await;
    for stranger in &people[40..] {
        stranger.buyer.queue().await;
    }
    let order: Vec<String> = in_order(&people).await.iter().map(|stranger| stranger.account_id.clone()).collect();
    assert_eq!(late.queue().await["position"], 61);

    server.restart().await;
    late.queue().await;
    for stranger in people.iter().rev() {
        stranger.buyer.queue().await;
    }
    let ordered = in_order(&people).await;
    assert_eq!(
        ordered.iter().map(|stranger| &stranger.account_id).collect::<Vec<_>>(),
        order.iter().collect::<Vec<_>>()
    );
    assert_eq!(late.queue().await["position"], 61);
    let (status, output) = verified(&server, seed_hash.as_str().expect("a hash"), &seed, &list_of(&ordered)).await;
    assert_eq!(status, 0, "{output}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_is_decided_when_the_concert_is_published() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let plain = Show::publish(&promoter, Terms { draw: false, ..drawn(1) }).await;
    assert_eq!(concert(&promoter, &plain).await["draw"], Value::Null);
    let buyer = Buyer::new(server.api()).await;
    buyer.ask_join(&plain.concert).send().await.refuses(409, "sale_not_open");

    let mut buyer = Buyer::new(server.api()).await;
    let show = Show::publish(&promoter, drawn(1)).await;
    buyer.join(&show.concert).await;
    let guarded = buyer.get(format!("/v1/concerts/{}/performances", show.concert)).send().await;
    assert_eq!(guarded.refuses(403, "queue_token_not_active")["position"], Value::Null);
    let change = async |body: Value| promoter.patch(format!("/v1/concerts/{}", show.concert), &body).send().await;
    change(json!({"draw": false})).await.refuses(422, "validation_failed");
    let past = change(json!({"sales_open_at": seconds_from_now(-1)})).await;
    assert_eq!(past.violations(), [("/sales_open_at", "draw_past")]);
    open(&promoter, &show).await;
    let held = change(json!({"sales_open_at": seconds_from_now(60)})).await;
    assert_eq!(held.violations(), [("/sales_open_at", "draw_held")]);
    assert_eq!(buyer.queue_status().await, "active");
    server.finish().await;
}
