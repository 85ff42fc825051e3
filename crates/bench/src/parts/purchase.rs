//! Whole purchases, as many a second as a server can take.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    time::Duration,
};

use anyhow::ensure;
use boxoffice_rush::{
    Buyer, Pool, Request, Response,
    buyer::{QueueStatus, Reservation},
    plot::{Lines, grouped},
};
use futures::{
    StreamExt,
    future::{ready, try_join_all},
    stream,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    drive::{self, Measured, Processes, Stopwatch, Wanted},
    options::Bench,
    report::{Curve, Row, Section, Spread},
    server::{Backend, Store},
    world::{Shape, World},
};

/// The purchases that are begun in a second, until they take too long.
const RATES: [f64; 15] = [
    50.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 1_250.0, 1_500.0, 1_750.0, 2_000.0, 2_250.0, 2_500.0, 3_000.0, 3_500.0,
    4_000.0,
];
const RATES_SMOKE: [f64; 2] = [20.0, 40.0];
/// How long 99 of 100 purchases may take.
const P99_MAX: Duration = Duration::from_secs(1);
/// A backlog shows late, so each rate is measured for several times what other rounds take.
pub(super) const TIMES: u32 = 3;
/// How many buyers buy at once in a closed loop, and how many connections an open loop has.
pub(super) const CONNECTIONS: usize = 256;

/// Reservations, each with its place.
type Made = RefCell<Vec<(usize, Uuid)>>;

/// One purchase, from the queue to the paid seat.
async fn purchase(world: &World, instances: &Instances, made: &Made, index: usize) -> anyhow::Result<()> {
    let admitted: Wanted = |response| matches!(response.status, 200 | 201) && drive::contains(response, "\"active\"");
    let send = async |request: Request, wanted: Wanted| -> anyhow::Result<Response> {
        let response = instances.send(request).await?;
        ensure!(wanted(&response), drive::refusal(&response));
        Ok(response)
    };
    let (buyer, place) = (&world.buyers[index], &world.places[index]);
    let status: QueueStatus = send(buyer.join(world.concert_id), admitted).await?.read()?;
    let buyer = Buyer { queue_token: status.token, ..buyer.clone() };
    send(buyer.poll(), admitted).await?;
    send(buyer.get(format!("/v1/concerts/{}/performances", world.concert_id)), drive::ok).await?;
    let seats = format!("/v1/performances/{}/seats?section={}", place.performance_id, place.section);
    let seats = send(buyer.get(seats), drive::ok).await?;
    ensure!(drive::contains(&seats, &format!("\"{}\"", place.label)), "a seat is missing in its section");
    let hold = buyer.hold(place.performance_id, &[&place.label]);
    let reservation_id = send(hold, drive::created).await?.read::<Reservation>()?.id;
    made.borrow_mut().push((index, reservation_id));
    send(buyer.pay(reservation_id).key(reservation_id.to_string()), drive::created).await?;
    Ok(())
}

/// Connections to each instance; each request goes to the next instance.
struct Instances {
    pools: Vec<Pool>,
    requests: Cell<usize>,
}

impl Instances {
    async fn open(addresses: &[SocketAddr]) -> io::Result<Self> {
        let pools = try_join_all(addresses.iter().map(|address| Pool::open(*address, CONNECTIONS))).await?;
        Ok(Self { pools, requests: Cell::new(0) })
    }

    async fn send(&self, request: Request) -> io::Result<Response> {
        let index = self.requests.replace(self.requests.get() + 1);
        let (response, _) = self.pools[index % self.pools.len()].send(&request.prepare()).await?;
        Ok(response)
    }
}

/// A closed loop of purchases over the instances, each buyer buying once, which are cancelled afterwards.
pub(super) async fn buy(
    world: &World,
    addresses: &[SocketAddr],
    processes: &Processes,
    time: Duration,
) -> anyhow::Result<Measured> {
    let instances = Instances::open(addresses).await?;
    let (made, measured) = (Made::default(), RefCell::new(Measured::default()));
    let stopwatch = Stopwatch::start(processes)?;
    let in_time = stream::iter(0..world.buyers.len()).take_while(|_| ready(stopwatch.elapsed() < time));
    let one = async |index| {
        let began = Instant::now();
        match purchase(world, &instances, &made, index).await {
            Ok(()) => measured.borrow_mut().latencies.record(began.elapsed()),
            Err(error) => measured.borrow_mut().refuse(error.to_string()),
        }
    };
    in_time.for_each_concurrent(CONNECTIONS, one).await;
    let measured = stopwatch.stop(measured.into_inner())?;
    world.cancel_all(&made.into_inner()).await?;
    Ok(measured)
}

/// An open loop of purchases, each buyer buying once, which are cancelled afterwards.
async fn at_rate(world: &World, per_second: f64, time: Duration) -> anyhow::Result<Measured> {
    let count = drive::count_for(per_second, time).min(world.buyers.len());
    let instances = Instances::open(&[world.server.address]).await?;
    let made = Made::default();
    let act = |index| purchase(world, &instances, &made, index);
    let measured = drive::open_loop(per_second, count, act, &world.processes).await?;
    world.cancel_all(&made.into_inner()).await?;
    Ok(measured)
}

fn sustained(measured: &Measured) -> bool {
    measured.errors.is_empty() && measured.latencies.quantile(0.99) <= P99_MAX
}

/// Rising rates, and then rounds at the highest one that was sustained.
pub(super) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let world = World::prepare(bench, &store, "purchase", Shape::new(bench, 7), &[]).await?;
    world.charge_all().await?;
    let time = bench.time * TIMES;
    let rates: &[f64] = if bench.smoke { &RATES_SMOKE } else { &RATES };
    at_rate(&world, rates[0], time).await?;
    let mut measured = Vec::new();
    for rate in rates {
        let round = at_rate(&world, *rate, time).await?;
        let too_slow = !sustained(&round);
        measured.push((*rate, round));
        if too_slow {
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
        "{}. A purchase is: join the queue, ask for the status once, the dates, the seats of one section of 15,002 \
         seats, hold one, pay it. Open loop over {CONNECTIONS} connections: purchases begin at the rate whether or \
         not those before have ended, and each is measured from when it should have begun. No buyer waits in the \
         queue. A rate is sustained when all are done, none is refused, and 99 of 100 take at most {} s, in each round.",
        store.described,
        P99_MAX.as_secs()
    );
    let mut section = Section::new(format!("Whole purchases, {}", backend.name()), setting);
    let load = |rate: f64| format!("{} begun a second", grouped(rate));
    let mut lines = Lines::new();
    for (rate, round) in measured {
        section.rows.push(Row::of("whole purchase", load(*rate), std::slice::from_ref(round)));
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
        section.rows.push(Row::of("whole purchase, sustained", load(rate), &rounds));
    }
    section
}
