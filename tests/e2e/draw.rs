//! The draw before a sale opens, checked by the command that any buyer can run.

use std::fs;

use boxoffice_rush::TokenSigner;
use futures::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Numbers,
    client::Buyer,
    eventually, now, seconds_from_now,
    server::{MARIADB, Server},
    show::{Show, Terms},
};

const PEOPLE: usize = 10_000;
const MAX_ACTIVE: usize = 500;
/// The server takes the tokens of a day that are signed here.
const LONG_TOKENS: (&str, &str) = ("ACCESS_TOKEN_SECONDS", "86400");
/// How many requests are under way at once.
const AT_ONCE: usize = 64;

/// So many accounts, the same in every run. They are written past the server, and their access tokens are signed with the
/// server's own key, because hashing ten thousand passwords takes minutes. The login id of each is its id.
async fn accounts(server: &Server, count: usize) -> Vec<Buyer> {
    let signer = TokenSigner::of_server(&server.folder().join("data"), now().timestamp()).expect("the server's keys");
    let mut numbers = Numbers::new(10_000);
    let id = |_| Uuid::from_bytes(std::array::from_fn(|_| u8::try_from(numbers.below(256)).expect("a byte")));
    let ids: Vec<Uuid> = (0..count).map(id).collect();
    let mut database = server.database_connection().await;
    for ids in ids.chunks(1_000) {
        let account = |id: &Uuid| format!("(X'{}', '{id}', 'Haneul', 'customer', '', '2026-01-01')", id.simple());
        let wallet = |id: &Uuid| format!("(X'{}', 0, 0, 0, '2026-01-01')", id.simple());
        let rows = |row: &dyn Fn(&Uuid) -> String| ids.iter().map(row).collect::<Vec<_>>().join(", ");
        let columns = "accounts (id, login_id, name, role, password_hash, created_at)";
        database.query_drop(format!("INSERT INTO {columns} VALUES {}", rows(&account))).await.expect("inserts");
        let columns = "wallets (account_id, balance, pending, entries_count, updated_at)";
        database.query_drop(format!("INSERT INTO {columns} VALUES {}", rows(&wallet))).await.expect("inserts");
    }
    database.disconnect().await.expect("it is closed");
    let buyer = |id: &Uuid| Buyer {
        api: server.api().clone(),
        login_id: id.to_string(),
        refresh_token: String::new(),
        asks: boxoffice_rush::Buyer::new(signer.sign(*id)),
    };
    ids.iter().map(buyer).collect()
}

/// A concert with a draw, which opens in an hour.
fn drawn(max_active: usize) -> Terms {
    Terms { draw: true, opens_in_seconds: 3_600, ..Terms::max_active(max_active) }
}

async fn concert(buyer: &Buyer, show: &Show) -> Value {
    buyer.api.get(format!("/v1/concerts/{}", show.concert)).send().await.is(200).clone()
}

/// Lets the sale open in a second instead, and waits until it has; gives the seed.
async fn open(promoter: &Buyer, show: &Show) -> String {
    let body = json!({"sales_open_at": seconds_from_now(1)});
    promoter.patch(format!("/v1/concerts/{}", show.concert), &body).send().await.is(200);
    eventually("the seed is published", async || {
        concert(promoter, show).await["draw"]["seed"].as_str().map(str::to_owned)
    })
    .await
}

/// So many accounts that have joined before the draw.
async fn joined(server: &Server, count: usize, show: &Show) -> Vec<Buyer> {
    let join = |mut buyer: Buyer| async {
        let joined = buyer.join(&show.concert).await;
        assert_eq!((&joined["status"], &joined["position"]), (&json!("waiting"), &Value::Null));
        buyer
    };
    stream::iter(accounts(server, count).await).map(join).buffered(AT_ONCE).collect().await
}

/// The accounts in the order of their positions: from 1 on, each once.
async fn in_order(buyers: &[Buyer]) -> Vec<&Buyer> {
    let position = |buyer: &Buyer| {
        let buyer = buyer.clone();
        async move { buyer.queue().await["position"].as_u64().expect("a position") }
    };
    let positions: Vec<u64> = stream::iter(buyers).map(position).buffered(AT_ONCE).collect().await;
    let mut ordered: Vec<_> = positions.into_iter().zip(buyers).collect();
    ordered.sort_by_key(|(position, _)| *position);
    assert!(ordered.iter().map(|(position, _)| *position).eq(1..=buyers.len() as u64));
    ordered.into_iter().map(|(_, buyer)| buyer).collect()
}

/// The exit code and output of `boxoffice verify-draw` for a list.
async fn verified(server: &Server, seed_hash: &str, seed: &str, list: &str) -> (i32, String) {
    let file = server.folder().join("order");
    fs::write(&file, list).expect("a file for the order");
    let file = file.to_str().expect("its path is text");
    let (status, output, error) =
        server.run(&["verify-draw", "--seed-hash", seed_hash, "--seed", seed, file], &[]).await;
    (status, format!("{output}{error}"))
}

fn list_of(order: &[&Buyer]) -> String {
    let line = |(position, buyer): (usize, &&Buyer)| format!("{},{position}\n", buyer.login_id);
    let lines: String = (1..).zip(order).map(line).collect();
    format!("account_id,position\n{lines}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_are_admitted_in_the_order_that_was_drawn() {
    // Only accounts at the front poll here.
    let server = Server::start_on(MARIADB, &[LONG_TOKENS, ("NO_SHOW_SECONDS", "3600")]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, drawn(MAX_ACTIVE)).await;
    let before = concert(&promoter, &show).await["draw"].clone();
    assert_eq!(before["seed"], Value::Null);
    let people = joined(&server, PEOPLE, &show).await;

    // No account is admitted while the whole order is read.
    promoter.post(format!("/v1/concerts/{}/queue/pause", show.concert), &Value::Null).send().await.is(200);
    let seed = open(&promoter, &show).await;
    let after = concert(&promoter, &show).await["draw"].clone();
    let seed_hash = before["seed_hash"].as_str().expect("a hash");
    assert_eq!(after["seed_hash"], seed_hash);
    let mut order = in_order(&people).await;
    let (status, output) = verified(&server, seed_hash, &seed, &list_of(&order)).await;
    assert_eq!((status, output.contains("10000 accounts")), (0, true), "{output}");
    assert!(order.iter().zip(&people).any(|(one, other)| one.login_id != other.login_id), "nothing was drawn");

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

    // An account that joins later stands behind.
    let mut late = Buyer::new(server.api()).await;
    assert_eq!(late.join(&show.concert).await["position"], PEOPLE + 1);
    promoter.post(format!("/v1/concerts/{}/queue/resume", show.concert), &Value::Null).send().await.is(200);
    for (index, buyer) in order.iter().enumerate().take(300) {
        assert_eq!(buyer.queue_status().await, "active");
        let next = order[index + MAX_ACTIVE];
        assert_eq!(next.queue().await["position"], 1);
        buyer.leave().await;
        assert_eq!(next.queue_status().await, "active");
    }
    assert_eq!(late.queue().await["position"], PEOPLE + 1 - MAX_ACTIVE - 300);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_outlasts_restarts_before_and_after_it() {
    let mut server = Server::start_on(MARIADB, &[LONG_TOKENS, ("NO_SHOW_SECONDS", "3600")]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, drawn(1)).await;
    let seed_hash = concert(&promoter, &show).await["draw"]["seed_hash"].clone();
    let mut people = joined(&server, 60, &show).await;

    // Leaving and joining again gives another token, and the same number.
    let again = &mut people[30];
    let former = again.asks.queue_token.clone();
    again.leave().await;
    again.join(&show.concert).await;
    assert_ne!(again.asks.queue_token, former);

    server.restart().await;
    for buyer in &people[..40] {
        assert_eq!(buyer.queue().await["position"], Value::Null);
    }
    promoter.post(format!("/v1/concerts/{}/queue/pause", show.concert), &Value::Null).send().await.is(200);
    let seed = open(&promoter, &show).await;
    // Some return only now, and one joins that was not here before.
    let mut late = Buyer::new(server.api()).await;
    late.join(&show.concert).await;
    for buyer in &people[40..] {
        buyer.queue().await;
    }
    let order = list_of(&in_order(&people).await);
    assert_eq!(late.queue().await["position"], 61);

    server.restart().await;
    late.queue().await;
    for buyer in people.iter().rev() {
        buyer.queue().await;
    }
    assert_eq!(list_of(&in_order(&people).await), order);
    assert_eq!(late.queue().await["position"], 61);
    let (status, output) = verified(&server, seed_hash.as_str().expect("a hash"), &seed, &order).await;
    assert_eq!(status, 0, "{output}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_is_decided_when_the_concert_is_published() {
    let server = Server::start_on(MARIADB, &[LONG_TOKENS]).await;
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
