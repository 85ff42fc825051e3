//! A lone hold over HTTP beside the same transaction from a plain client of the database.

use std::time::Duration;

use anyhow::{Context, ensure};
use boxoffice_domain::fixtures::TestEntropy;
use boxoffice_domain::{EntropySource, events::Event, seats::SeatLabel};
use chrono::TimeDelta;
use mysql_async::{Conn, Row as Stored, prelude::Queryable};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::holds;
use crate::{
    Bench, clock,
    drive::{Measured, Stopwatch},
    report::{Row, Section, Spread},
    server::{self, Backend, Store},
    world::{Place, World},
};

/// Both over one connection, in turns.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut world = World::prepare(bench, &store, "lone", bench.shape(1), &[]).await?;
    world.admit(0..world.buyers.len()).await?;
    let mut client = server::connect(&world.server.database_url).await?;
    let warm = bench.time.min(Duration::from_secs(1));
    plain_round(&world, &mut client, warm).await?;
    holds::round(&mut world, 1, warm).await?;
    let (mut plain, mut http) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        plain.push(plain_round(&world, &mut client, bench.time).await?);
        http.push(holds::round(&mut world, 1, bench.time).await?);
    }
    client.disconnect().await?;
    let setting = format!("{}; one connection, one hold after the other, in turns", store.described);
    let mut section = Section::new("lone", format!("A lone hold, {}", backend.name()), setting);
    section.rows.push(Row::of("plain transaction", "1 connection", &plain));
    section.rows.push(Row::of("hold over HTTP", "1 connection", &http));
    let ratios = http.iter().zip(&plain).map(|(http, plain)| {
        http.latencies.quantile(0.5).as_secs_f64() / plain.latencies.quantile(0.5).as_secs_f64().max(1e-9)
    });
    let ratio = Spread::of(ratios);
    let text = format!("{:.2} ({:.2}–{:.2}); wanted: at most 1.30", ratio.median, ratio.least, ratio.most);
    section.fact("median over HTTP ÷ median of the plain transaction", text);
    world.server.stop().await?;
    Ok(section)
}

/// Holds distinct seats for a while, and then makes them free.
async fn plain_round(world: &World, client: &mut Conn, time: Duration) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let watch = Stopwatch::start(&world.processes)?;
    for place in 0..world.places.len() {
        if watch.elapsed() >= time {
            break;
        }
        let sent = Instant::now();
        plain_hold(world, client, place).await?;
        measured.latencies.record(sent.elapsed());
    }
    let measured = watch.stop(measured)?;
    client.query_drop("UPDATE reservations SET status = 'cancelled' WHERE status = 'held'").await?;
    let promised = measured.latencies.count();
    ensure!(client.affected_rows() == promised, "{promised} holds were promised, and others are there");
    let free = "UPDATE seats SET reservation_id = NULL, held_until = NULL WHERE held_until IS NOT NULL";
    client.query_drop(free).await?;
    ensure!(client.affected_rows() == promised, "{promised} seats were promised, and others are held");
    Ok(measured)
}

/// The transaction of a hold, with the statements of the server in their order.
async fn plain_hold(world: &World, client: &mut Conn, place: usize) -> anyhow::Result<()> {
    let account_id = world.account_ids[world.buyer_of(place)];
    let account = account_id.uuid();
    let Place { performance_id, label, .. } = &world.places[place];
    let (account, performance, concert) = (account.as_bytes(), performance_id.as_bytes(), world.concert_id.as_bytes());
    let now = clock::now();
    let held_until = now + TimeDelta::days(1);
    let (now_text, until_text) = (server::time(now), server::time(held_until));

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
    let (ordinal, price) = seat.context("a seat that no other client asks for cannot be had")?;

    let reservation_id = TestEntropy.uuid();
    let reservation = reservation_id.as_bytes();
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
    let batch_id: Uuid = TestEntropy.uuid();
    client.exec_drop(publish, (batch_id.as_bytes(), serde_json::to_string(&[event])?, &now_text)).await?;
    client.query_drop("COMMIT").await?;
    Ok(())
}
