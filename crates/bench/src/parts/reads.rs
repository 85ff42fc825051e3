//! Reading the catalog, at rest and while its seats are sold, and whether the responses are true.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::{Context, ensure};
use boxoffice_rush::{
    Buyer, Connection, Latencies, Pool, Prepared, Request, Response,
    buyer::{Identified, SeatMap, SeatStatus},
    plot::grouped,
};
use futures::{StreamExt, future::try_join_all, stream};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    drive::{self, Measured, Processes, Stopwatch},
    options::Bench,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{PATIENCE, Shape, World, shared_catalog},
};

/// How many connections read, each for another account.
const CONNECTIONS: usize = 64;
/// Seats that are sold meanwhile.
const HOLDS_PER_SECOND: f64 = 1_000.0;
const SELLING_CONNECTIONS: usize = 32;
/// Buyers who look at their seat as soon as they hold it.
const CHECKING: usize = 4;
/// The concerts that are imported in a smoke test.
const LISTING_SMOKE: usize = 30;

/// What is asked for again and again.
#[derive(Clone, Copy)]
enum Load {
    List,
    Seats,
    SeatsZipped,
    SeatsByTag,
}

/// Each load with its name, and whether seats are sold meanwhile.
const LOADS: [(Load, &str, bool); 7] = [
    (Load::List, "concert list", false),
    (Load::Seats, "seats, all", false),
    (Load::SeatsZipped, "seats, all, gzip", false),
    (Load::SeatsByTag, "seats by tag: 304", false),
    (Load::Seats, "selling: seats, all", true),
    (Load::SeatsZipped, "selling: seats, all, gzip", true),
    (Load::SeatsByTag, "selling: by tag, 304", true),
];

impl Load {
    async fn read_while_selling(self, world: &World, time: Duration) -> anyhow::Result<Measured> {
        let sale = Sale::open(world).await?;
        let (sold, measured) = tokio::join!(sale.run(time, |_, _| ()), self.read(world, time));
        sold?;
        sale.cancel().await?;
        measured
    }

    async fn read(self, world: &World, time: Duration) -> anyhow::Result<Measured> {
        let of_buyers = |request: &dyn Fn(&Buyer) -> Request| -> Vec<_> {
            world.buyers.iter().take(CONNECTIONS).map(|buyer| request(buyer).prepare()).collect()
        };
        let requests = match self {
            Self::SeatsByTag => return seats_by_tag(world, time).await,
            Self::List => vec![Request::get("/v1/concerts?bookable=true&limit=20").prepare()],
            Self::Seats => of_buyers(&|buyer| buyer.get(seats_path(world))),
            Self::SeatsZipped => of_buyers(&|buyer| buyer.get(seats_path(world)).header("accept-encoding", "gzip")),
        };
        world.load(CONNECTIONS, time, drive::ok).repeat(&requests).await
    }
}

fn seats_path(world: &World) -> String {
    format!("/v1/performances/{}/seats", world.places[0].performance_id)
}

/// Asks for the seats, unless they still have this tag.
fn seats_unless(world: &World, buyer: usize, tag: &str) -> Prepared {
    world.buyers[buyer].get(seats_path(world)).header("if-none-match", tag).prepare()
}

fn tag_of(response: &Response) -> anyhow::Result<String> {
    Ok(response.header("ETag").context("a response has no tag")?.to_owned())
}

/// Each connection asks for the seats unless they are those that it has. Only responses without a body are counted.
async fn seats_by_tag(world: &World, time: Duration) -> anyhow::Result<Measured> {
    let mut clients = Vec::new();
    let connections = Connection::open_many(world.server.address, CONNECTIONS).await?;
    for (index, mut connection) in connections.into_iter().enumerate() {
        let buyer = index % world.buyers.len();
        let response = connection.send(&world.buyers[buyer].get(seats_path(world)).prepare()).await?;
        ensure!(drive::ok(&response), drive::refusal(&response));
        clients.push((connection, buyer, tag_of(&response)?));
    }
    let measured = RefCell::new(Measured::default());
    let stopwatch = Stopwatch::start(&world.processes)?;
    let one = async |(mut connection, buyer, tag): (Connection, usize, String)| {
        let mut request = seats_unless(world, buyer, &tag);
        while stopwatch.elapsed() < time {
            let sent = Instant::now();
            let response = connection.send(&request).await;
            let changed = response.as_ref().ok().filter(|response| drive::ok(response));
            if let Some(Ok(tag)) = changed.map(tag_of) {
                request = seats_unless(world, buyer, &tag);
            } else {
                measured.borrow_mut().record(&response, sent.elapsed(), |response| response.status == 304);
            }
        }
    };
    stream::iter(clients).for_each_concurrent(None, one).await;
    stopwatch.stop(measured.into_inner())
}

/// A sale that runs beside a measurement.
struct Sale<'a> {
    world: &'a World,
    pool: Pool,
    /// Reservations, each with its place.
    held: RefCell<Vec<(usize, Uuid)>>,
}

impl<'a> Sale<'a> {
    async fn open(world: &'a World) -> anyhow::Result<Self> {
        let pool = Pool::open(world.server.address, SELLING_CONNECTIONS).await?;
        Ok(Self { world, pool, held: RefCell::default() })
    }

    /// Holds the seat of a place, and gives the time of the response.
    async fn hold(&self, place: usize) -> anyhow::Result<Instant> {
        let (response, _) = self.pool.send(&self.world.hold(place)).await?;
        let held_at = Instant::now();
        ensure!(drive::created(&response), drive::refusal(&response));
        self.held.borrow_mut().push((place, response.read::<Identified>()?.id));
        Ok(held_at)
    }

    /// Holds the first half of all places at a steady rate, and reports each to `held`.
    async fn run(&self, time: Duration, held: impl Fn(usize, Instant)) -> anyhow::Result<()> {
        let count = drive::count_for(HOLDS_PER_SECOND, time).min(self.world.places.len() / 2);
        let act = async |place| {
            held(place, self.hold(place).await?);
            Ok(())
        };
        let measured = drive::open_loop(HOLDS_PER_SECOND, count, act, &Processes::default()).await?;
        ensure!(measured.errors.is_empty(), "holds of the sale were refused: {:?}", measured.errors);
        Ok(())
    }

    async fn cancel(self) -> anyhow::Result<()> {
        self.world.cancel_all(&self.held.into_inner()).await
    }
}

/// The result of comparing seat maps with what was held.
#[derive(Default)]
struct Checked {
    /// How often a buyer looked for a seat that it holds.
    own: u32,
    /// How often the seat was not shown as held.
    own_missing: u32,
    /// From the response to a hold until another client had a map that shows it, including the time of sending it.
    shown_after: Latencies,
    /// The longest from the response to a hold until a map without it was asked for: the least age of that map.
    staleness_max: Duration,
}

/// Seats that are held and not shown yet, by their labels, with the time of the hold.
type Unseen = RefCell<HashMap<String, Instant>>;

/// As much of a seat as is read.
#[derive(Deserialize)]
struct Seat {
    label: String,
    status: SeatStatus,
}

/// The labels of the seats that are held or sold.
fn taken(response: &Response) -> anyhow::Result<HashSet<String>> {
    let map: SeatMap<Seat> = response.read()?;
    let taken = map.seats.into_iter().filter(|seat| seat.status != SeatStatus::Available);
    Ok(taken.map(|seat| seat.label).collect())
}

/// Asks for the map again and again until the sale is over and every held seat was shown.
async fn observe(world: &World, unseen: &Unseen, over: &Cell<bool>, checked: &RefCell<Checked>) -> anyhow::Result<()> {
    let mut connection = Connection::open(world.server.address).await?;
    let buyer = world.buyers.len() - 1;
    let (mut request, mut shown) = (world.buyers[buyer].get(seats_path(world)).prepare(), HashSet::new());
    let began = Instant::now();
    while !(over.get() && unseen.borrow().is_empty()) {
        ensure!(began.elapsed() < PATIENCE, "a seat that is held is never shown");
        let sent = Instant::now();
        let response = connection.send(&request).await?;
        let received = Instant::now();
        ensure!(matches!(response.status, 200 | 304), drive::refusal(&response));
        if drive::ok(&response) {
            request = seats_unless(world, buyer, &tag_of(&response)?);
            shown = taken(&response)?;
        }
        // A map that was on its way when the hold was answered may show the seat already.
        let mut checked = checked.borrow_mut();
        unseen.borrow_mut().retain(|label, held_at| {
            let is_shown = shown.contains(label);
            if is_shown {
                checked.shown_after.record(received.saturating_duration_since(*held_at));
            } else {
                checked.staleness_max = checked.staleness_max.max(sent.saturating_duration_since(*held_at));
            }
            !is_shown
        });
    }
    Ok(())
}

/// Holds seats, and asks for the map at once: whole, and by the previous tag.
async fn check_own(
    sale: &Sale<'_>,
    places: impl Iterator<Item = usize>,
    time: Duration,
    held: impl Fn(usize, Instant),
    checked: &RefCell<Checked>,
) -> anyhow::Result<()> {
    let world = sale.world;
    let mut connection = Connection::open(world.server.address).await?;
    let began = Instant::now();
    for place in places {
        if began.elapsed() >= time {
            break;
        }
        let buyer = world.buyer_of(place);
        let whole = world.buyers[buyer].get(seats_path(world)).prepare();
        let tag = tag_of(&connection.send(&whole).await?)?;
        let held_at = sale.hold(place).await?;
        for request in [whole, seats_unless(world, buyer, &tag)] {
            let response = connection.send(&request).await?;
            let shown = drive::ok(&response) && taken(&response)?.contains(&world.places[place].label);
            let mut checked = checked.borrow_mut();
            checked.own += 1;
            checked.own_missing += u32::from(!shown);
        }
        held(place, held_at);
    }
    Ok(())
}

/// Compares what is shown with what is held.
async fn check(world: &World, time: Duration, checked: &RefCell<Checked>) -> anyhow::Result<()> {
    let sale = Sale::open(world).await?;
    let (unseen, over) = (Unseen::default(), Cell::new(false));
    let held = |place: usize, held_at: Instant| {
        unseen.borrow_mut().insert(world.places[place].label.clone(), held_at);
    };
    let selling = async {
        // The checking buyers have the second half of the places.
        let of_checker = |index: usize| (world.places.len() / 2 + index..world.places.len()).step_by(CHECKING);
        let checkers = (0..CHECKING).map(|index| check_own(&sale, of_checker(index), time, held, checked));
        let done = tokio::try_join!(sale.run(time, held), try_join_all(checkers));
        over.set(true);
        done
    };
    tokio::try_join!(selling, observe(world, &unseen, &over, checked))?;
    sale.cancel().await
}

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let mut world = World::prepare(bench, &store, "reads", Shape::new(bench, 1), &[]).await?;
    world.admit_all().await?;
    let mut listing = shared_catalog("listing.json")?;
    if let (true, Some(concerts)) = (bench.smoke, listing["concerts"].as_array_mut()) {
        concerts.truncate(LISTING_SMOKE);
    }
    world.import(&bench.binary, &listing).await?;
    Load::List.read(&world, bench.time.min(Duration::from_secs(1))).await?;
    let mut rounds = vec![Vec::new(); LOADS.len()];
    let checked = RefCell::new(Checked::default());
    for _ in 0..bench.rounds {
        for ((load, _, selling), rounds) in LOADS.into_iter().zip(&mut rounds) {
            rounds.push(if selling {
                load.read_while_selling(&world, bench.time).await?
            } else {
                load.read(&world, bench.time).await?
            });
        }
        check(&world, bench.time, &checked).await?;
    }
    world.server.stop().await?;
    Ok(section_of(&store, &rounds, &checked.into_inner()))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn section_of(store: &Store, rounds: &[Vec<Measured>], checked: &Checked) -> Section {
    let setting = format!(
        "{}. The 1,000 concerts of `tests/catalog/listing.json` and one more, in a hall of 15,002 seats. The list is \
         the first 20 bookable concerts. Seats are asked for by {CONNECTIONS} admitted accounts. *By tag*: each client \
         sends the tag of the map that it has. *Selling*: meanwhile {} holds a second begin in that performance (open \
         loop), and the costs of selling are in those of reading. Closed loop.",
        store.described,
        grouped(HOLDS_PER_SECOND)
    );
    let mut section = Section::new("Reading over HTTP", setting);
    for ((load, name, _), rounds) in LOADS.into_iter().zip(rounds) {
        section.rows.push(Row::of(name, format!("{CONNECTIONS} connections"), rounds));
        if !matches!(load, Load::SeatsByTag) {
            let each = |measured: &Measured| measured.body_bytes as f64 / measured.latencies.count().max(1) as f64;
            section.figure(format!("body of each response, {name}"), Spread::of(rounds.iter().map(each)), "bytes");
        }
    }
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let Checked { own, own_missing, shown_after, staleness_max } = checked;
    let figures = [
        ("looks for the own seat after its 201", f64::from(*own), "times"),
        ("own seat not shown as held after its 201", f64::from(*own_missing), "times"),
        ("seats that others looked for", shown_after.count() as f64, "seats"),
        ("from the 201 until another client is shown it, median", ms(shown_after.quantile(0.5)), "ms"),
        ("from the 201 until another client is shown it, longest", ms(shown_after.max()), "ms"),
        ("from the 201 until a map without it is asked for, longest", ms(*staleness_max), "ms"),
    ];
    for (what, value, unit) in figures {
        section.figure(what, Spread::of([value]), unit);
    }
    section
}
