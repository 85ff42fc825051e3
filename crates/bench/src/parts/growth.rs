//! How the cost of a hold grows with what is stored.

use std::time::Duration;

use anyhow::Context;
use boxoffice_domain::{EntropySource, fixtures::TestEntropy};
use boxoffice_rush::plot::grouped_count;
use mysql_async::{Conn, prelude::Queryable};
use serde_json::json;
use uuid::Uuid;

use super::holds;
use crate::{
    drive::{self, Measured},
    options::Bench,
    report::{Row, Section, Spread},
    server::{self, Backend, Store},
    world::{Shape, World},
};

/// How many rows `seats` has before the load, at least; one performance has more than the first of them.
const SEATS: [usize; 3] = [10_000, 1_000_000, 5_000_000];
const SEATS_SMOKE: [usize; 3] = [10_000, 30_000, 60_000];
const CONNECTIONS: usize = 256;
/// The seats of one performance are soon all held, so there are several times as many rounds.
const TIMES: u32 = 3;
/// An account that never stopped trying, and an ordinary one, whose reservations are a page.
const RESERVATIONS: [usize; 2] = [10_000, 21];

/// A database with this many seats, and the rounds on it.
struct Size {
    seats: usize,
    world: World,
    rounds: Vec<Measured>,
    /// The rows that the database read for each hold and its cancellation, in each round.
    rows_read: Vec<f64>,
}

impl Size {
    async fn prepare(bench: &Bench, store: &Store, seats_min: usize) -> anyhow::Result<Self> {
        let name = format!("seats_{seats_min}");
        let world = World::prepare(bench, store, &name, Shape::new(bench, 1), &[]).await?;
        let mut connection = server::connect(&world.server.database_url).await?;
        let seats = add_seats(&mut connection, seats_min).await?;
        connection.disconnect().await?;
        Ok(Self { seats, world, rounds: Vec::new(), rows_read: Vec::new() })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    async fn measure(&mut self, time: Duration) -> anyhow::Result<()> {
        let mut connection = server::connect(&self.world.server.database_url).await?;
        let before = rows_read(&mut connection).await?;
        let measured = holds::round(&self.world, CONNECTIONS, time).await?;
        let read = rows_read(&mut connection).await? - before;
        connection.disconnect().await?;
        self.rows_read.push(read as f64 / measured.latencies.count().max(1) as f64);
        self.rounds.push(measured);
        Ok(())
    }
}

/// How many rows and entries of indexes the database server has read since its start.
async fn rows_read(connection: &mut Conn) -> anyhow::Result<u64> {
    let counters: Vec<(String, u64)> = connection.query("SHOW GLOBAL STATUS LIKE 'Handler_read%'").await?;
    Ok(counters.iter().map(|(_, count)| count).sum())
}

/// Adds performances of another concert with all their seats, copied from one that is there, until there are this many
/// seats. Gives how many there are then.
async fn add_seats(connection: &mut Conn, seats_min: usize) -> anyhow::Result<usize> {
    let model: Option<(Vec<u8>, usize)> =
        connection.query_first("SELECT id, seats_total FROM performances ORDER BY id LIMIT 1").await?;
    let (model, seats_each) = model.context("there is no performance to copy")?;
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
    Ok(seats)
}

/// The same holds on databases of three sizes.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let mut sizes = Vec::new();
    for seats_min in if bench.smoke { SEATS_SMOKE } else { SEATS } {
        sizes.push(Size::prepare(bench, &store, seats_min).await?);
    }
    // Only now: an admission lasts for minutes, and filling the largest table may take as long.
    for Size { world, .. } in &mut sizes {
        world.admit_all().await?;
        holds::round(world, CONNECTIONS, bench.time).await?;
    }
    for _ in 0..bench.rounds * TIMES {
        for size in &mut sizes {
            size.measure(bench.time).await?;
        }
    }
    let setting = format!("{}; all databases on one server, a boxoffice for each, in turns", store.described);
    let mut section = Section::new("How the cost of a hold grows, MariaDB", setting);
    for Size { seats, rounds, rows_read, .. } in &sizes {
        let seats = format!("{} seats stored", grouped_count(*seats as u64));
        section.rows.push(Row::of(format!("hold, {seats}"), format!("{CONNECTIONS} connections"), rounds));
        let rows_read = Spread::of(rows_read.iter().copied());
        section.figure(format!("rows read for each hold and its cancellation, {seats}"), rows_read, "rows");
    }
    if let [fewest, .., most] = &sizes[..] {
        let pairs = most.rounds.iter().zip(&fewest.rounds);
        let ratios = pairs.map(|(most, fewest)| most.per_second() / fewest.per_second());
        section.figure("holds a second with the most seats ÷ with the fewest", Spread::of(ratios), "times");
        measure_lists(bench, &most.world, &mut section).await?;
    }
    for size in sizes {
        size.world.server.stop().await?;
    }
    Ok(section)
}

/// An account with very many reservations beside an ordinary one: the cost of its lists.
async fn measure_lists(bench: &Bench, world: &World, section: &mut Section) -> anyhow::Result<()> {
    let mut connection = server::connect(&world.server.database_url).await?;
    for (buyer, count) in RESERVATIONS.into_iter().enumerate() {
        add_cancelled(&mut connection, world, buyer, count).await?;
    }
    connection.query_drop("ANALYZE TABLE reservations").await?;
    connection.disconnect().await?;
    let lists = [
        ("first page of the reservations", "/v1/reservations"),
        ("first page of those held", "/v1/reservations?status=held"),
    ];
    for (name, path) in lists {
        let mut rounds = [const { Vec::new() }; RESERVATIONS.len()];
        for _ in 0..bench.rounds {
            for (buyer, rounds) in world.buyers.iter().zip(&mut rounds) {
                let list = buyer.get(path).prepare();
                rounds.push(world.load(1, bench.time, drive::ok).repeat(&[list]).await?);
            }
        }
        for (count, rounds) in RESERVATIONS.into_iter().zip(rounds) {
            let name = format!("{name}, of an account with {} reservations", grouped_count(count as u64));
            section.rows.push(Row::of(name, "1 connection", &rounds));
        }
    }
    Ok(())
}

/// Gives a buyer cancelled reservations of the concert that it buys from.
async fn add_cancelled(connection: &mut Conn, world: &World, buyer: usize, count: usize) -> anyhow::Result<()> {
    let at = "(UTC_TIMESTAMP(6) - INTERVAL 24 HOUR)";
    let insert = format!(
        "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, total_amount, \
         held_until, created_at, updated_at, seats) SELECT UNHEX(MD5(CONCAT('cancelled-{buyer}-', seq))), ?, ?, ?, \
         'cancelled', 1, 1000, {at}, {at}, {at}, ? FROM seq_1_to_{count}"
    );
    let place = &world.places[buyer];
    let seats = json!([{"label": place.label, "price": 1_000}]).to_string();
    let ids = [world.account_ids[buyer].uuid(), place.performance_id, world.concert_id];
    let [account_id, performance_id, concert_id] = ids.map(Uuid::into_bytes);
    connection.exec_drop(insert, (account_id, performance_id, concert_id, seats)).await?;
    Ok(())
}
