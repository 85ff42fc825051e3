//! Holds over HTTP of distinct seats, with batches and without.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    drive::{self, ClosedLoop, Measured},
    options::Bench,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{Shape, World, ids},
};

const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
const PERFORMANCES: usize = 7;
/// More than there is time for in a round.
const HOLDS_PER_CONNECTION_MAX: usize = 15_000;

/// Holds distinct seats for a while, and then cancels.
pub(super) async fn round(world: &World, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let (measured, held) = hold(world, connections, time, None).await?;
    world.cancel_all(&held).await?;
    Ok(measured)
}

/// Holds distinct seats for a while, and then pays and cancels: the usual buyer has let no hold end unpaid.
pub(super) async fn usual_round(world: &mut World, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let (measured, held) = hold(world, connections, time, None).await?;
    world.pay_all(&held).await?;
    world.cancel_all(&held).await?;
    // The last payment of a buyer has ended the admission.
    world.admit_all().await?;
    Ok(measured)
}

/// Holds distinct seats for a while, so many a second or as many as are answered. Gives the reservations with their places.
pub(super) async fn hold(
    world: &World,
    connections: usize,
    time: Duration,
    per_second: Option<f64>,
) -> anyhow::Result<(Measured, Vec<(usize, Uuid)>)> {
    let count = (connections * HOLDS_PER_CONNECTION_MAX).min(world.places.len());
    let requests: Vec<_> = (0..count).map(|place| world.hold(place)).collect();
    let load = ClosedLoop { per_second, ..world.load(connections, time, drive::created) };
    let (measured, responses) = load.once(&requests).await?;
    Ok((measured, ids(&responses)?))
}

/// The same server with batches, and with a transaction for each hold.
pub(super) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let shape = |performances| Shape::new(bench, performances);
    let mut grouped = World::prepare(bench, &store, "grouped", shape(PERFORMANCES), &[]).await?;
    let mut alone = World::prepare(bench, &store, "alone", shape(3), &[("write_batch_max", "1")]).await?;
    for world in [&mut grouped, &mut alone] {
        world.admit_all().await?;
        round(world, 64, bench.time.min(Duration::from_secs(1))).await?;
    }
    let mut rounds = vec![(Vec::new(), Vec::new()); CONNECTIONS.len()];
    for _ in 0..bench.rounds {
        for (connections, (of_grouped, of_alone)) in CONNECTIONS.into_iter().zip(&mut rounds) {
            of_grouped.push(round(&grouped, connections, bench.time).await?);
            of_alone.push(round(&alone, connections, bench.time).await?);
        }
    }
    grouped.server.stop().await?;
    alone.server.stop().await?;
    let setting = format!(
        "{}. Each hold asks for one seat that no other buyer asks for, in {PERFORMANCES} performances. Closed loop; \
         the holds are cancelled between rounds.",
        store.described
    );
    let mut section = Section::new(format!("Holds over HTTP, {}", backend.name()), setting);
    for (connections, (grouped, alone)) in CONNECTIONS.into_iter().zip(&rounds) {
        let load = format!("{connections} connection{}", if connections == 1 { "" } else { "s" });
        section.rows.push(Row::of("hold, grouped", &load, grouped));
        section.rows.push(Row::of("hold, batches of 1", &load, alone));
        let ratios = grouped.iter().zip(alone).map(|(grouped, alone)| grouped.per_second() / alone.per_second());
        section.figure(format!("grouped ÷ batches of 1, {load}"), Spread::of(ratios), "times");
    }
    Ok(section)
}
