//! How the cost of a hold grows with what is stored.

use std::time::Duration;

use anyhow::ensure;
use boxoffice_domain::EntropySource;
use boxoffice_domain::fixtures::TestEntropy;
use boxoffice_rush::Connection;
use mysql_async::{Conn, prelude::Queryable};
use serde_json::json;
use tokio::time::Instant;

use super::holds;
use crate::{
    Bench,
    drive::{self, Measured},
    report::{Row, Section, Spread},
    server::{self, Backend, Store, ago, fill_numbers},
    world::{World, id},
};

/// How many rows `seats` has before the load, at least; one performance has more than the first of them.
const SEATS: [usize; 3] = [10_000, 1_000_000, 5_000_000];
const SEATS_SMOKE: [usize; 3] = [10_000, 30_000, 60_000];
const CONNECTIONS: usize = 256;
/// The seats of one performance are soon all held, so a round is several times that.
const TIMES: usize = 3;
/// How many reservations an account has that never stopped trying.
const RESERVATIONS_MANY: usize = 10_000;
/// How many an ordinary account has: a page of them.
const RESERVATIONS_FEW: usize = 21;

/// A count as it is text.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
pub(crate) fn counted(count: usize) -> String {
    boxoffice_rush::plot::grouped(count as f64)
}

/// Adds performances of another concert with all their seats, copied from one that is there, until there are this many
/// seats.
pub(crate) async fn grow(connection: &mut Conn, seats_min: usize) -> anyhow::Result<()> {
    let model: Option<(Vec<u8>, usize)> =
        connection.query_first("SELECT id, seats_total FROM performances ORDER BY id LIMIT 1").await?;
    let Some((model, seats_each)) = model else { anyhow::bail!("there is no performance to copy") };
    let mut seats: usize = connection.query_first("SELECT COUNT(*) FROM seats").await?.unwrap_or_default();
    let concert_id = TestEntropy.uuid();
    let copy_concert = "INSERT INTO concerts (id, title, artist, description, sales_open_at, sales_close_at, \
                        max_seats_per_account, max_active, version, created_at) \
                        SELECT ?, title, artist, description, sales_open_at, sales_close_at, max_seats_per_account, \
                        max_active, version, created_at FROM concerts ORDER BY id LIMIT 1";
    let copy_performance = "INSERT INTO performances (id, concert_id, venue_id, starts_at, seats_total, price_min, \
                            price_max, created_at) \
                            SELECT ?, ?, venue_id, starts_at, seats_total, price_min, price_max, created_at \
                            FROM performances WHERE id = ?";
    let copy_seats = "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until) \
                      SELECT ?, label, ordinal, price, NULL, NULL FROM seats WHERE performance_id = ?";
    if seats < seats_min {
        connection.exec_drop(copy_concert, (concert_id.as_bytes(),)).await?;
    }
    while seats < seats_min {
        let performance_id = TestEntropy.uuid();
        connection.exec_drop(copy_performance, (performance_id.as_bytes(), concert_id.as_bytes(), &model)).await?;
        connection.exec_drop(copy_seats, (performance_id.as_bytes(), &model)).await?;
        seats += seats_each;
    }
    connection.query_drop("ANALYZE TABLE seats").await?;
    Ok(())
}

/// The same holds on databases of three sizes.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut worlds = Vec::new();
    for seats_min in if bench.smoke { SEATS_SMOKE } else { SEATS } {
        let name = format!("seats_{seats_min}");
        let world = World::prepare(bench, &store, &name, bench.shape(1), &[]).await?;
        let mut connection = server::connect(&world.server.database_url).await?;
        grow(&mut connection, seats_min).await?;
        let seats: Option<usize> = connection.query_first("SELECT COUNT(*) FROM seats").await?;
        connection.disconnect().await?;
        worlds.push((seats.unwrap_or_default(), world));
    }
    // Only now: an admission lasts for minutes, and so may filling the largest.
    for (_, world) in &mut worlds {
        world.admit(0..world.buyers.len()).await?;
        holds::round(world, CONNECTIONS, bench.time).await?;
    }
    let mut rounds = vec![Vec::new(); worlds.len()];
    for _ in 0..bench.rounds * TIMES {
        for ((_, world), rounds) in worlds.iter_mut().zip(&mut rounds) {
            rounds.push(holds::round(world, CONNECTIONS, bench.time).await?);
        }
    }
    let setting = format!("{}; all databases on one server, a boxoffice for each, in turns", store.described);
    let mut section = Section::new("growth", format!("How the cost of a hold grows, {}", backend.name()), setting);
    for ((seats, _), rounds) in worlds.iter().zip(&rounds) {
        let name = format!("hold, {} seats stored", counted(*seats));
        section.rows.push(Row::of(name, format!("{CONNECTIONS} connections"), rounds));
    }
    if let (Some(least), Some(most)) = (rounds.first(), rounds.last()) {
        let ratio = Spread::of(most.iter().zip(least).map(|(most, least)| most.per_second() / least.per_second()));
        let text = format!("{:.2} ({:.2}–{:.2}); wanted: at least 0.80", ratio.median, ratio.least, ratio.most);
        section.fact("holds a second with the most seats ÷ with the fewest", text);
    }
    if let Some((_, world)) = worlds.last() {
        busy_account(bench, world, &mut section).await?;
    }
    for (_, world) in worlds {
        world.server.stop().await?;
    }
    Ok(section)
}

/// An account with very many reservations beside an ordinary one: what its lists and its holds take.
async fn busy_account(bench: &Bench, world: &World, section: &mut Section) -> anyhow::Result<()> {
    let mut connection = server::connect(&world.server.database_url).await?;
    fill_numbers(&mut connection, RESERVATIONS_MANY).await?;
    let buyers = [(0, RESERVATIONS_MANY), (1, RESERVATIONS_FEW)];
    for (buyer, count) in buyers {
        add_cancelled(&mut connection, world, buyer, count).await?;
    }
    connection.query_drop("ANALYZE TABLE reservations").await?;
    connection.disconnect().await?;
    let acts = ["hold", "first page of the reservations", "first page of those held"];
    let mut rounds = vec![[Vec::new(), Vec::new()]; acts.len()];
    for _ in 0..bench.rounds {
        for ((buyer, _), side) in buyers.into_iter().zip([0, 1]) {
            rounds[0][side].push(holds_of(bench, world, buyer).await?);
            let paths = ["/v1/reservations", "/v1/reservations?status=held"];
            for (path, rounds) in paths.into_iter().zip(&mut rounds[1..]) {
                let requests = [world.buyers[buyer].get(path).prepare()];
                let address = world.server.address;
                let asked = drive::repeat(address, 1, bench.time, &requests, drive::ok, &world.processes);
                rounds[side].push(asked.await?);
            }
        }
    }
    for (act, rounds) in acts.into_iter().zip(&rounds) {
        for ((_, count), rounds) in buyers.into_iter().zip(rounds) {
            let name = format!("{act}, of an account with {} reservations", counted(count));
            section.rows.push(Row::of(name, "1 connection", rounds));
        }
    }
    Ok(())
}

/// Gives a buyer cancelled reservations of the concert that it buys from.
async fn add_cancelled(connection: &mut Conn, world: &World, buyer: usize, count: usize) -> anyhow::Result<()> {
    let at = ago(24);
    let insert = format!(
        "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, total_amount, \
         held_until, created_at, updated_at, seats) SELECT UNHEX(MD5(CONCAT('cancelled-{buyer}-', n))), ?, ?, ?, \
         'cancelled', 1, 1000, {at}, {at}, {at}, ? FROM numbers WHERE n < {count}"
    );
    let (account_id, place) = (world.account_ids[buyer].uuid(), &world.places[buyer]);
    let seats = json!([{"label": place.label, "price": 1_000}]).to_string();
    let ids = [account_id, place.performance_id, world.concert_id].map(|id| id.as_bytes().to_vec());
    let [account_id, performance_id, concert_id] = ids;
    connection.exec_drop(insert, (account_id, performance_id, concert_id, seats)).await?;
    Ok(())
}

/// Holds one seat again and again, and cancels each time without measuring that.
async fn holds_of(bench: &Bench, world: &World, buyer: usize) -> anyhow::Result<Measured> {
    let mut connection = Connection::open(world.server.address).await?;
    let hold = world.hold_for(buyer, buyer);
    let mut measured = Measured::default();
    let mut spent = Duration::ZERO;
    while spent < bench.time {
        let sent = Instant::now();
        let answer = connection.send(&hold).await?;
        let took = sent.elapsed();
        ensure!(drive::created(&answer), "a hold was answered with {}", answer.status);
        measured.latencies.record(took);
        spent += took;
        let cancel = world.cancel(buyer, id(&answer)?);
        ensure!(drive::ok(&connection.send(&cancel).await?), "a hold could not be given up");
    }
    measured.elapsed = spent;
    Ok(measured)
}
