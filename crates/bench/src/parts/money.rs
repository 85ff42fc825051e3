//! Points over HTTP: charging them, and paying with them.

use std::{collections::HashSet, time::Duration};

use anyhow::ensure;
use boxoffice_rush::buyer::Payment;
use uuid::Uuid;

use crate::{
    drive::{self, Measured},
    options::Bench,
    report::{Row, Section},
    server::{Backend, Store},
    world::{SEATS_PER_ACCOUNT, Shape, World},
};

const CONNECTIONS: usize = 256;
/// How many acts of a kind there are for each second of a round: more than are answered.
const ACTS_PER_SECOND: f64 = 20_000.0;

/// Charges one point at a time, each under another key.
async fn charge(world: &World, round: u32, time: Duration) -> anyhow::Result<Measured> {
    let request = |index: usize| {
        let buyer = &world.buyers[index % world.buyers.len()];
        buyer.charge(1).key(format!("{round}-{index}")).prepare()
    };
    let requests: Vec<_> = (0..drive::count_for(ACTS_PER_SECOND, time)).map(request).collect();
    let (measured, _) = world.load(CONNECTIONS, time, drive::created).once(&requests).await?;
    Ok(measured)
}

/// Pays for as many reservations as there is time for.
async fn pay(world: &World, held: &[(usize, Uuid)], time: Duration) -> anyhow::Result<(Measured, HashSet<Uuid>)> {
    let requests: Vec<_> = held.iter().map(|(place, id)| world.pay(*place, *id)).collect();
    let (measured, responses) = world.load(CONNECTIONS, time, drive::created).once(&requests).await?;
    let mut paid = HashSet::new();
    for (index, response) in &responses {
        let Payment { reservation_id, .. } = response.read()?;
        ensure!(reservation_id == held[*index].1 && paid.insert(reservation_id), "another reservation was paid");
    }
    Ok((measured, paid))
}

/// Charges and pays, each for a while, and then cancels. Rounds of one world have different numbers.
pub(super) async fn round(
    world: &mut World,
    number: u32,
    time: Duration,
) -> anyhow::Result<[(&'static str, Measured); 2]> {
    // A payment has ended the admission of a buyer who held nothing else.
    world.admit_all().await?;
    let held = world.hold_all(0..drive::count_for(ACTS_PER_SECOND, time).min(world.places.len())).await?;
    let charged = charge(world, number, time).await?;
    let (measured, paid) = pay(world, &held, time).await?;
    // A usual buyer lets no hold end unpaid.
    let unpaid: Vec<_> = held.iter().copied().filter(|(_, id)| !paid.contains(id)).collect();
    world.pay_all(&unpaid).await?;
    world.cancel_all(&held).await?;
    Ok([("charge", charged), ("payment", measured)])
}

/// Charges and payments in turn.
pub(super) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut world = World::prepare(bench, &store, "money", Shape::new(bench, 7), &[]).await?;
    world.charge_all().await?;
    // The first round warms everything up, and is not counted.
    round(&mut world, 0, bench.time).await?;
    let (mut charges, mut payments) = (Vec::new(), Vec::new());
    for number in 1..=bench.rounds {
        let [(_, charged), (_, paid)] = round(&mut world, number, bench.time).await?;
        charges.push(charged);
        payments.push(paid);
    }
    world.server.stop().await?;
    let setting = format!(
        "{}. Charges of one point, each of which is two writes and a response of the simulated payment gateway, which \
         takes no time; payments of one seat each. At most {SEATS_PER_ACCOUNT} seats of each of {} accounts. Closed \
         loop.",
        store.described,
        world.buyers.len()
    );
    let mut section = Section::new(format!("Points over HTTP, {}", backend.name()), setting);
    let load = format!("{CONNECTIONS} connections");
    section.rows = vec![Row::of("charge", &load, &charges), Row::of("payment", &load, &payments)];
    Ok(section)
}
