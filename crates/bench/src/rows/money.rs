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

/// What a round measures, in this order.
const ACTS: [&str; 4] = ["charge", "payment", "cancel what is held", "cancel what is paid"];

/// Charges, pays and cancels, each for a while. Rounds of one world have different numbers.
pub(crate) async fn round(
    world: &mut World,
    number: usize,
    time: Duration,
) -> anyhow::Result<[(&'static str, Measured); 4]> {
    let each = drive::count_for(ACTS_PER_SECOND, time).min(world.places.len() / 2);
    // A payment has ended the admission of a buyer who held nothing else.
    world.admit(0..world.buyers.len()).await?;
    let mut to_pay = hold(world, 2 * each).await?;
    let to_cancel = to_pay.split_off(each);
    let charges = charge(world, number, time).await?;
    let (payments, paid, unpaid) = pay(world, to_pay, time).await?;
    world.cancel_all(&unpaid).await?;
    let held_cancelled = cancel(world, to_cancel, time).await?;
    let paid_cancelled = cancel(world, paid, time).await?;
    let [charge, payment, cancel_held, cancel_paid] = ACTS;
    Ok([(charge, charges), (payment, payments), (cancel_held, held_cancelled), (cancel_paid, paid_cancelled)])
}

/// Charges, payments and cancellations in turn.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut world = World::prepare(bench, &store, "money", bench.shape(7), &[]).await?;
    world.charge_all().await?;
    // The first round warms everything up, and is not counted.
    round(&mut world, 0, bench.time).await?;
    let mut acts = ACTS.map(|name| (name, Vec::new()));
    for number in 1..=bench.rounds {
        let measured = round(&mut world, number, bench.time).await?;
        for ((_, rounds), (_, measured)) in acts.iter_mut().zip(measured) {
            rounds.push(measured);
        }
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
    section.rows = acts.map(|(name, rounds)| Row::of(name, &load, &rounds)).into();
    Ok(section)
}
