//! Whole purchases, as many a second as a server can take.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use boxoffice_rush::{
    Buyer, Pool, Request, Response,
    buyer::{QueueStatus, Reservation},
    plot::grouped,
};
use uuid::Uuid;

use crate::{
    Bench,
    drive::{self, Measured, Wanted},
    report::{Curve, Row, Section, Spread},
    server::{Backend, Store},
    world::World,
};

/// The purchases that are begun in a second, until they take too long.
const RATES: [f64; 15] = [
    50.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 1_250.0, 1_500.0, 1_750.0, 2_000.0, 2_250.0, 2_500.0, 3_000.0, 3_500.0,
    4_000.0,
];
/// In a smoke test.
const RATES_SMOKE: [f64; 2] = [20.0, 40.0];
/// How long 99 of 100 purchases may take.
const P99_MAX: Duration = Duration::from_secs(1);
/// A backlog shows late, so a rate is kept up for several times what other rounds take.
pub(super) const TIMES: u32 = 3;
const CONNECTIONS: usize = 256;

/// Reservations of a rate, each with its place.
pub(super) type Made = RefCell<Vec<(usize, Uuid)>>;

/// One buyer, from the queue to the paid seat.
pub(super) async fn purchase(
    world: &World,
    carry: impl AsyncFn(Request) -> std::io::Result<Response>,
    made: &Made,
    index: usize,
) -> anyhow::Result<()> {
    let joined: Wanted = |answer| matches!(answer.status, 200 | 201) && drive::contains(answer, "\"active\"");
    let send = async |request: Request, wanted: Wanted| -> anyhow::Result<Response> {
        let answer = carry(request).await?;
        anyhow::ensure!(wanted(&answer), drive::refusal(&answer));
        Ok(answer)
    };
    let (buyer, place) = (&world.buyers[index], &world.places[index]);
    let status: QueueStatus = send(buyer.join(world.concert_id), joined).await?.read()?;
    let buyer = Buyer { queue_token: status.token, ..buyer.clone() };
    send(buyer.poll(), joined).await?;
    send(buyer.get(format!("/v1/concerts/{}/performances", world.concert_id)), drive::ok).await?;
    let seats = format!("/v1/performances/{}/seats?section={}", place.performance_id, place.section);
    let answer = send(buyer.get(seats), drive::ok).await?;
    anyhow::ensure!(drive::contains(&answer, &format!("\"{}\"", place.label)), "a seat is missing in its section");
    let hold = buyer.hold(place.performance_id, &[&place.label]);
    let reservation_id = send(hold, drive::created).await?.read::<Reservation>()?.id;
    made.borrow_mut().push((index, reservation_id));
    send(buyer.pay(reservation_id).key(reservation_id.to_string()), drive::created).await?;
    Ok(())
}

/// Begins purchases at a rate, and undoes them afterwards.
async fn at_rate(world: &World, per_second: f64, time: Duration) -> anyhow::Result<Measured> {
    // Each buyer buys once at a rate.
    let count = drive::count_for(per_second, time).min(world.buyers.len());
    let pool = Pool::open(world.server.address, CONNECTIONS).await?;
    let made = Made::default();
    let act = |index| {
        let (pool, made) = (&pool, &made);
        async move {
            let carry = async |request: Request| Ok(pool.send(&request.prepare()).await?.0);
            purchase(world, carry, made, index).await.map_err(|error| error.to_string())
        }
    };
    let measured = drive::open_loop(per_second, count, act, &world.processes).await?;
    world.cancel_all(&made.into_inner()).await?;
    Ok(measured)
}

fn sustained(measured: &Measured) -> bool {
    measured.errors.is_empty() && measured.latencies.quantile(0.99) <= P99_MAX
}

/// Rising rates, and then rounds at the highest one that was sustained.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let world = World::prepare(bench, &store, "purchase", bench.shape(7), &[]).await?;
    world.charge_all().await?;
    let time = bench.time * TIMES;
    let rates: &[f64] = if bench.smoke { &RATES_SMOKE } else { &RATES };
    at_rate(&world, rates[0], time).await?;
    let mut measured = Vec::new();
    for rate in rates {
        let round = at_rate(&world, *rate, time).await?;
        let enough = !sustained(&round);
        measured.push((*rate, round));
        if enough {
            break;
        }
    }
    let candidates = measured.iter().rev().filter(|(_, round)| sustained(round)).map(|(rate, _)| *rate);
    let mut confirmed = None;
    for rate in candidates {
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds {
            rounds.push(at_rate(&world, rate, time).await?);
        }
        if rounds.iter().all(sustained) {
            confirmed = Some((rate, rounds));
            break;
        }
    }
    world.server.stop().await?;
    Ok(section_of(backend, &store, &measured, confirmed))
}

fn section_of(
    backend: Backend,
    store: &Store,
    measured: &[(f64, Measured)],
    confirmed: Option<(f64, Vec<Measured>)>,
) -> Section {
    let setting = format!(
        "{}. A purchase is: join the line, ask for the status once, the dates, the seats of one section of 15,002 \
         seats, hold one, pay it. Open loop over {CONNECTIONS} connections: purchases begin at the rate whether or \
         not those before have ended, and each is measured from when it should have begun. No buyer waits in the queue. A \
         rate is sustained when all are done, none is refused, and 99 of 100 take at most {} s, in each round.",
        store.described,
        P99_MAX.as_secs()
    );
    let key = format!("purchase-{}", backend.name().to_lowercase());
    let mut section = Section::new(key, format!("Whole purchases, {}", backend.name()), setting);
    let mut lines = BTreeMap::<String, Vec<_>>::new();
    for (rate, round) in measured {
        section.rows.push(Row::of(
            "whole purchase",
            format!("{} begun a second", grouped(*rate)),
            std::slice::from_ref(round),
        ));
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let point = (*rate, round.latencies.quantile(share).as_secs_f64() * 1e3);
            lines.entry(name.to_owned()).or_default().push(point);
        }
    }
    section.curve =
        Some(Curve { x_unit: "purchases begun a second".to_owned(), y_unit: "milliseconds".to_owned(), lines });
    let highest = confirmed.as_ref().map_or(0.0, |(rate, _)| *rate);
    section.figure("highest sustained rate", Spread::of([highest]), "purchases a second");
    if let Some((rate, rounds)) = confirmed {
        section.rows.push(Row::of("whole purchase, sustained", format!("{} begun a second", grouped(rate)), &rounds));
    }
    section
}
