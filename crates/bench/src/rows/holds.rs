//! Holds over HTTP: distinct seats, and the crowd before one performance.

use std::{collections::HashMap, time::Duration};

use anyhow::ensure;
use boxoffice_rush::Response;

use crate::{
    Bench,
    drive::{self, Measured},
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{SEATS_PER_ACCOUNT, World, ids},
};

/// Before one performance: of this many requests, one asks for a seat that is free.
const ONE_FREE_OF: usize = 20;
/// How many seats are held before the crowd comes.
const TAKEN: usize = 400;
/// How many requests of the crowd there are for each second; more than are answered.
const CROWD_PER_SECOND: f64 = 80_000.0;
pub(crate) const CROWD_CONNECTIONS: usize = 256;
const CONNECTIONS: [usize; 4] = [1, 8, 64, CROWD_CONNECTIONS];

/// How many holds of one round may be asked for, by the number of connections: more than there is time for.
fn places_of(world: &World, connections: usize) -> usize {
    let wanted = match connections {
        1 => 15_000,
        8 => 45_000,
        _ => usize::MAX,
    };
    wanted.min(world.places.len())
}

/// Holds distinct seats for a while, and then cancels.
pub(crate) async fn round(world: &mut World, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let requests: Vec<_> = (0..places_of(world, connections)).map(|place| world.hold(place)).collect();
    let address = world.server.address;
    let (measured, answers) =
        drive::closed_loop(address, connections, time, &requests, drive::created, &world.processes).await?;
    ensure!(measured.errors.is_empty(), "holds of distinct seats were refused: {:?}", measured.errors);
    world.cancel_all(&ids(&answers)?).await?;
    Ok(measured)
}

/// A crowd before one performance: nearly every request is for a seat that is gone.
async fn crowd(world: &mut World, time: Duration) -> anyhow::Result<Measured> {
    let (taken, free) = places_before(world);
    let requests: Vec<_> = taken.iter().map(|place| world.hold(*place)).collect();
    let held = ids(&world.send_all(&requests, drive::created).await?)?;
    let held: Vec<_> = held.into_iter().map(|(index, id)| (taken[index], id)).collect();
    let mut free = free.into_iter();
    let mut asked = Vec::new();
    while asked.len() < drive::count_for(CROWD_PER_SECOND, time) {
        let place = if asked.len() % ONE_FREE_OF == 0 {
            let Some(place) = free.next() else { break };
            (world.buyer_of(place), place)
        } else {
            (asked.len() % world.buyers.len(), taken[asked.len() % taken.len()])
        };
        asked.push(place);
    }
    let requests: Vec<_> = asked.iter().map(|(buyer, place)| world.hold_for(*buyer, *place)).collect();
    let wanted = |answer: &Response| {
        drive::created(answer) || (answer.status == 409 && drive::contains(answer, "seat_unavailable"))
    };
    let (address, processes) = (world.server.address, &world.processes);
    let (measured, answers) =
        drive::closed_loop(address, CROWD_CONNECTIONS, time, &requests, wanted, processes).await?;
    ensure!(measured.errors.is_empty(), "the crowd got other answers: {:?}", measured.errors);
    let created: Vec<_> = answers.into_iter().filter(|(_, answer)| drive::created(answer)).collect();
    let created = ids(&created)?.into_iter().map(|(index, id)| (asked[index].1, id));
    world.cancel_all(&held.into_iter().chain(created).collect::<Vec<_>>()).await?;
    Ok(measured)
}

/// Places of the first performance: those that are taken, and those that the crowd may get. None of their buyers gets
/// so many that the limit, and not the seat, would be what a request is refused for.
fn places_before(world: &World) -> (Vec<usize>, Vec<usize>) {
    let mut of_buyers = HashMap::<usize, usize>::new();
    let mut places = Vec::new();
    for place in (0..world.places.len()).filter(|place| world.places[*place].performance_id == world.performances[0]) {
        let count = of_buyers.entry(world.buyer_of(place)).or_default();
        if *count + 1 < SEATS_PER_ACCOUNT {
            *count += 1;
            places.push(place);
        }
    }
    let free = places.split_off(TAKEN.min(places.len() / 2));
    (places, free)
}

/// The same server with batches, and with a transaction for each hold.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut grouped = World::prepare(bench, &store, "grouped", bench.shape(7), &[]).await?;
    let one_by_one = [("write_batch_max", "1")];
    let mut alone = World::prepare(bench, &store, "alone", bench.shape(3), &one_by_one).await?;
    for world in [&mut grouped, &mut alone] {
        let all = 0..world.buyers.len();
        world.admit(all).await?;
        round(world, 64, bench.time.min(Duration::from_secs(1))).await?;
    }
    let mut distinct = vec![(Vec::new(), Vec::new()); CONNECTIONS.len()];
    let mut crowded = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        for (connections, (grouped_rounds, alone_rounds)) in CONNECTIONS.into_iter().zip(&mut distinct) {
            grouped_rounds.push(round(&mut grouped, connections, bench.time).await?);
            alone_rounds.push(round(&mut alone, connections, bench.time).await?);
        }
        crowded.0.push(crowd(&mut grouped, bench.time).await?);
        crowded.1.push(crowd(&mut alone, bench.time).await?);
    }
    grouped.server.stop().await?;
    alone.server.stop().await?;
    Ok(section_of(backend, &store, &distinct, &crowded))
}

/// Rounds with batches, and those with batches of 1.
type Compared = (Vec<Measured>, Vec<Measured>);

fn section_of(backend: Backend, store: &Store, distinct: &[Compared], crowded: &Compared) -> Section {
    let setting = format!(
        "{}. Each hold asks for one seat. Distinct: that no other buyer asks for, in {} performances. Crowd: {} of {} \
         requests ask for seats of one performance that are held, and are refused, which is what is wanted here. \
         Closed loop; what was held is given up between rounds.",
        store.described,
        7,
        ONE_FREE_OF - 1,
        ONE_FREE_OF
    );
    let key = format!("holds-{}", backend.name().to_lowercase());
    let mut section = Section::new(key, format!("Holds over HTTP, {}", backend.name()), setting);
    for (connections, (grouped, alone)) in CONNECTIONS.into_iter().zip(distinct) {
        let load = format!("{connections} connection{}", if connections == 1 { "" } else { "s" });
        section.rows.push(Row::of("hold, grouped", &load, grouped));
        section.rows.push(Row::of("hold, batches of 1", &load, alone));
        let ratios = grouped.iter().zip(alone).map(|(grouped, alone)| grouped.per_second() / alone.per_second());
        section.figure(format!("grouped ÷ batches of 1, {load}"), Spread::of(ratios), "times");
    }
    let load = format!("crowd, {CROWD_CONNECTIONS} connections");
    section.rows.push(Row::of("hold, grouped", &load, &crowded.0));
    section.rows.push(Row::of("hold, batches of 1", &load, &crowded.1));
    section
}
