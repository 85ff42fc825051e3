//! A lone hold over HTTP beside the same transaction from a plain client of the database.

use std::time::Duration;

use anyhow::{Context, ensure};
use boxoffice_domain::{EntropySource, events::Event, fixtures::TestEntropy, seats::SeatLabel};
use chrono::TimeDelta;
use mysql_async::{Conn, Row as Stored, prelude::Queryable};
use serde_json::json;
use tokio::time::Instant;

use super::holds;
use crate::{
    clock,
    drive::{Measured, Stopwatch},
    options::Bench,
    report::{Row, Section, Spread},
    server::{self, Backend, Store},
    world::{Place, Shape, World},
};

/// Both over one connection, in turns.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let mut world = World::prepare(bench, &store, "lone", Shape::new(bench, 1), &[]).await?;
    world.admit_all().await?;
    let mut client = server::connect(&world.server.database_url).await?;
    let warm_up = bench.time.min(Duration::from_secs(1));
    plain_round(&world, &mut client, warm_up).await?;
    holds::round(&world, 1, warm_up).await?;
    let (mut plain, mut http) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        plain.push(plain_round(&world, &mut client, bench.time).await?);
        http.push(holds::round(&world, 1, bench.time).await?);
    }
    client.disconnect().await?;
    world.server.stop().await?;
    let setting = format!("{}; one connection, one hold after the other, in turns", store.described);
    let mut section = Section::new("A lone hold, MariaDB", setting);
    section.rows.push(Row::of("plain transaction", "1 connection", &plain));
    section.rows.push(Row::of("hold over HTTP", "1 connection", &http));
    let p50 = |measured: &Measured| measured.latencies.quantile(0.5).as_secs_f64();
    let ratios = http.iter().zip(&plain).map(|(http, plain)| p50(http) / p50(plain).max(1e-9));
    section.figure("median over HTTP ÷ median of the plain transaction", Spread::of(ratios), "times");
    Ok(section)
}

/// Holds distinct seats for a while, and then frees them.
async fn plain_round(world: &World, client: &mut Conn, time: Duration) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let stopwatch = Stopwatch::start(&world.processes)?;
    for place in 0..world.places.len() {
        if stopwatch.elapsed() >= time {
            break;
        }
        let sent = Instant::now();
        plain_hold(world, client, place).await?;
        measured.latencies.record(sent.elapsed());
    }
    let measured = stopwatch.stop(measured)?;
    client.query_drop("UPDATE reservations SET status = 'cancelled' WHERE status = 'held'").await?;
    let held = measured.latencies.count();
    ensure!(client.affected_rows() == held, "{held} reservations were made, and others are there");
    let free = "UPDATE seats SET reservation_id = NULL, held_until = NULL WHERE held_until IS NOT NULL";
    client.query_drop(free).await?;
    ensure!(client.affected_rows() == held, "{held} seats were held, and others are there");
    Ok(measured)
}

/// The transaction of a hold, with the statements of the server in their order.
async fn plain_hold(world: &World, client: &mut Conn, place: usize) -> anyhow::Result<()> {
    let account_id = world.account_ids[world.buyer_of(place)];
    let Place { performance_id, label, .. } = &world.places[place];
    let (account, performance, concert) =
        (account_id.uuid().into_bytes(), performance_id.into_bytes(), world.concert_id.into_bytes());
    let now = clock::now();
    let held_until = now + TimeDelta::days(1);
    let [now_text, until_text] = [now, held_until].map(|at| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string());

    client.query_drop("START TRANSACTION").await?;
    let wallet = "SELECT account_id, balance, pending, entries_count, updated_at FROM wallets WHERE account_id IN (?) \
                  ORDER BY account_id FOR UPDATE";
    let _wallet: Stored = client.exec_first(wallet, (account,)).await?.context("an account has no wallet")?;
    let terms = "SELECT performances.id, performances.concert_id, concerts.title, venues.id, venues.name, \
                 venues.location, performances.starts_at, concerts.sales_open_at, concerts.sales_close_at, \
                 concerts.max_seats_per_account \
                 FROM performances JOIN concerts ON concerts.id = performances.concert_id \
                 JOIN venues ON venues.id = performances.venue_id WHERE performances.id IN (?)";
    let _terms: Stored = client.exec_first(terms, (performance,)).await?.context("a performance is missing")?;
    let holdings = "SELECT id, account_id, concert_id, status, seats_count, held_until FROM reservations \
                    FORCE INDEX (reservations_live) WHERE concert_id = ? AND status IN ('held', 'confirmed') \
                    AND account_id IN (?)";
    let _holdings: Vec<Stored> = client.exec(holdings, (concert, account)).await?;
    let seat = "SELECT ordinal, price FROM seats WHERE performance_id = ? AND label IN (?) \
                AND reservation_id IS NULL ORDER BY label FOR UPDATE";
    let seat: Option<(i32, i64)> = client.exec_first(seat, (performance, label)).await?;
    let (ordinal, price) = seat.context("a seat that no other client asks for is missing")?;

    let reservation_id = TestEntropy.uuid();
    let reservation = reservation_id.into_bytes();
    let seats = json!([{"label": label, "price": price}]).to_string();
    let insert = "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, \
                  total_amount, held_until, payment_id, created_at, updated_at, idempotency_key, fingerprint, \
                  cancel_key, cancel_fingerprint, seats) \
                  VALUES (?, ?, ?, ?, 'held', 1, ?, ?, NULL, ?, ?, NULL, NULL, NULL, NULL, ?)";
    let row = (reservation, account, performance, concert, price, &until_text, &now_text, &now_text, seats);
    client.exec_drop(insert, row).await?;
    let take = "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until) \
                VALUES (?, ?, ?, ?, ?, ?) \
                ON DUPLICATE KEY UPDATE reservation_id = VALUES(reservation_id), held_until = VALUES(held_until)";
    client.exec_drop(take, (performance, label, ordinal, price, reservation, &until_text)).await?;
    let event = Event::ReservationHeld {
        reservation_id: reservation_id.into(),
        account_id,
        performance_id: (*performance_id).into(),
        seats: vec![SeatLabel::new(label)?],
        held_until,
    };
    let publish = "INSERT INTO outbox_batches (id, events, occurred_at) VALUES (?, ?, ?)";
    client.exec_drop(publish, (TestEntropy.uuid().into_bytes(), serde_json::to_string(&[event])?, &now_text)).await?;
    client.query_drop("COMMIT").await?;
    Ok(())
}
