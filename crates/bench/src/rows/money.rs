//! Points over HTTP: charging them, paying with them, getting them back.

use std::{collections::HashMap, time::Duration};

use anyhow::ensure;
use boxoffice_rush::buyer::Payment;
use uuid::Uuid;

use crate::{
    Bench,
    drive::{self, Measured},
    report::{Row, Section},
    server::{Backend, Store},
    world::{SEATS_PER_ACCOUNT, World, ids},
};

const CONNECTIONS: usize = 256;
/// More than enough for every seat that an account may have.
const POINTS_EACH: i64 = 100_000;
/// How many acts of a kind there are for each second of a round; more than are answered.
const ACTS_PER_SECOND: f64 = 20_000.0;

/// Reservations of a round, each with its place.
type Held = Vec<(usize, Uuid)>;

/// Charges one point at a time, each under another key.
async fn charge(world: &World, round: usize, time: Duration) -> anyhow::Result<Measured> {
    let count = drive::count_for(ACTS_PER_SECOND, time);
    let request = |index: usize| {
        let buyer = &world.buyers[index % world.buyers.len()];
        buyer.charge(1).key(format!("{round}-{index}")).prepare()
    };
    let requests: Vec<_> = (0..count).map(request).collect();
    let address = world.server.address;
    let (measured, _) =
        drive::closed_loop(address, CONNECTIONS, time, &requests, drive::created, &world.processes).await?;
    ensure!(measured.errors.is_empty(), "charges were refused: {:?}", measured.errors);
    Ok(measured)
}

/// Pays for as many as there is time for. Gives those that are paid, and those that are not.
async fn pay(world: &World, held: Held, time: Duration) -> anyhow::Result<(Measured, Held, Held)> {
    let requests: Vec<_> = held.iter().map(|(place, id)| world.pay(*place, *id)).collect();
    let address = world.server.address;
    let (measured, answers) =
        drive::closed_loop(address, CONNECTIONS, time, &requests, drive::created, &world.processes).await?;
    ensure!(measured.errors.is_empty(), "payments were refused: {:?}", measured.errors);
    for (index, answer) in &answers {
        let payment: Payment = answer.read()?;
        ensure!(payment.reservation_id == held[*index].1, "another reservation was paid");
    }
    let (paid, unpaid) = split(held, answers.iter().map(|(index, _)| *index));
    Ok((measured, paid, unpaid))
}

/// Cancels as many as there is time for, and then the others.
async fn cancel(world: &World, held: Held, time: Duration) -> anyhow::Result<Measured> {
    let requests: Vec<_> = held.iter().map(|(place, id)| world.cancel(*place, *id)).collect();
    let address = world.server.address;
    let (measured, answers) =
        drive::closed_loop(address, CONNECTIONS, time, &requests, drive::ok, &world.processes).await?;
    ensure!(measured.errors.is_empty(), "cancellations were refused: {:?}", measured.errors);
    let (_, left) = split(held, answers.iter().map(|(index, _)| *index));
    world.cancel_all(&left).await?;
    Ok(measured)
}

/// Those at these indices, and the others.
fn split(held: Held, at: impl Iterator<Item = usize>) -> (Held, Held) {
    let mut others: HashMap<_, _> = held.into_iter().enumerate().collect();
    let chosen = at.filter_map(|index| others.remove(&index)).collect();
    (chosen, others.into_values().collect())
}

/// Holds places, which is not measured.
async fn hold(world: &World, count: usize) -> anyhow::Result<Held> {
    let requests: Vec<_> = (0..count).map(|place| world.hold(place)).collect();
    ids(&world.send_all(&requests, drive::created).await?)
}

/// Charges, payments and cancellations in turn.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut world = World::prepare(&bench.binary, &bench.folder, &store, "money", bench.shape(7), &[]).await?;
    world.charge_all(POINTS_EACH).await?;
    let all = 0..world.buyers.len();
    let each = drive::count_for(ACTS_PER_SECOND, bench.time).min(world.places.len() / 2);
    let [mut charges, mut payments, mut held_cancelled, mut paid_cancelled] = [const { Vec::new() }; 4];
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        // A payment has ended the admission of a buyer who held nothing else.
        world.admit(all.clone()).await?;
        let mut to_pay = hold(&world, 2 * each).await?;
        let to_cancel = to_pay.split_off(each);
        charges.push(charge(&world, round, bench.time).await?);
        let (measured, paid, unpaid) = pay(&world, to_pay, bench.time).await?;
        payments.push(measured);
        world.cancel_all(&unpaid).await?;
        held_cancelled.push(cancel(&world, to_cancel, bench.time).await?);
        paid_cancelled.push(cancel(&world, paid, bench.time).await?);
    }
    world.server.stop().await?;
    let setting = format!(
        "{}. Charges of one point, each of which is two writes and an answer of the simulated payment gateway, which \
         takes no time; payments and cancellations of one seat each. At most {SEATS_PER_ACCOUNT} seats of each of {} \
         accounts. Closed loop.",
        store.described,
        world.buyers.len()
    );
    let key = format!("money-{}", backend.name().to_lowercase());
    let mut section = Section::new(key, format!("Points over HTTP, {}", backend.name()), setting);
    let load = format!("{CONNECTIONS} connections");
    let acts = [
        ("charge", charges),
        ("payment", payments),
        ("cancel what is held", held_cancelled),
        ("cancel what is paid", paid_cancelled),
    ];
    section.rows = acts.map(|(name, rounds)| Row::of(name, &load, &rounds[1..])).into();
    Ok(section)
}
