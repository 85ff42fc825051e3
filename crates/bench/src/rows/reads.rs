//! Reading the catalog, at rest and while it is being sold, and whether what is read is true.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::{Context, ensure};
use boxoffice_rush::{Buyer, Connection, Latencies, Pool, Prepared, Request, Response, plot::grouped};
use futures::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Bench,
    drive::{self, Measured, Stopwatch},
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{PATIENCE, World, id, shared_catalog},
};

const CONNECTIONS: usize = 64;
/// How many accounts look.
const LOOKING: usize = 64;
/// Seats that are sold meanwhile.
const HOLDS_PER_SECOND: f64 = 1_000.0;
const SELLING_CONNECTIONS: usize = 32;
/// Buyers who look at their seat as soon as they have it.
const CHECKING: usize = 4;
/// The concerts that are imported in a smoke test.
const LISTING_SMOKE: usize = 30;

/// One of the servers that are compared.
struct Variant {
    name: &'static str,
    world: World,
    rounds: Vec<Vec<Measured>>,
    checked: Checked,
}

/// What is asked for again and again.
#[derive(Clone, Copy)]
enum Load {
    List,
    Concert,
    Dates,
    Seats { gzip: bool },
    SeatsWhileSelling { gzip: bool },
    SeatsByTag,
}

const LOADS: [(Load, &str); 8] = [
    (Load::List, "concert list"),
    (Load::Concert, "concert"),
    (Load::Dates, "dates"),
    (Load::Seats { gzip: false }, "seats, all"),
    (Load::Seats { gzip: true }, "seats, all, gzip"),
    (Load::SeatsByTag, "seats by tag: 304"),
    (Load::SeatsWhileSelling { gzip: false }, "selling: seats, all"),
    (Load::SeatsWhileSelling { gzip: true }, "selling: seats, all, gzip"),
];
/// What the loads by tag while seats are sold come to: all answers, those with a new map, those without.
const BY_TAG: [&str; 3] = ["selling: seats by tag", "selling: by tag, 200", "selling: by tag, 304"];

impl Load {
    fn requests(self, world: &World) -> Vec<Prepared> {
        let path = match self {
            Self::List => return vec![Request::get("/v1/concerts?bookable=true&limit=20").prepare()],
            Self::Concert => return vec![Request::get(format!("/v1/concerts/{}", world.concert_id)).prepare()],
            Self::Dates => format!("/v1/concerts/{}/performances", world.concert_id),
            Self::Seats { .. } | Self::SeatsWhileSelling { .. } | Self::SeatsByTag => seats_path(world),
        };
        let gzip = matches!(self, Self::Seats { gzip: true } | Self::SeatsWhileSelling { gzip: true });
        let looking = world.buyers.iter().take(LOOKING);
        let request = |buyer: &Buyer| {
            let request = buyer.get(&path);
            if gzip { request.header("accept-encoding", "gzip") } else { request }.prepare()
        };
        looking.map(request).collect()
    }
}

fn seats_path(world: &World) -> String {
    format!("/v1/performances/{}/seats", world.performances[0])
}

/// Asks for what is at this path, unless it still has this tag.
fn unless(buyer: &Buyer, path: &str, tag: &str) -> Prepared {
    buyer.get(path).header("if-none-match", tag).prepare()
}

fn tag_of(answer: &Response) -> anyhow::Result<String> {
    Ok(answer.header("ETag").context("an answer has no tag")?.to_owned())
}

/// Clients that have the map of now.
async fn tagged(world: &World) -> anyhow::Result<Vec<(Connection, usize, String)>> {
    let open = drive::open_all(world.server.address, CONNECTIONS).await?;
    let mut tagged = Vec::new();
    for (index, mut connection) in open.into_iter().enumerate() {
        let buyer = index % LOOKING.min(world.buyers.len());
        let answer = connection.send(&world.buyers[buyer].get(seats_path(world)).prepare()).await?;
        ensure!(drive::ok(&answer), drive::refusal(&answer));
        tagged.push((connection, buyer, tag_of(&answer)?));
    }
    Ok(tagged)
}

/// Each client asks for the map unless it has it. Gives all answers, those with a map, and those without.
async fn by_tag(
    world: &World,
    clients: Vec<(Connection, usize, String)>,
    time: Duration,
) -> anyhow::Result<[Measured; 3]> {
    let [all, new, same] = std::array::from_fn(|_| RefCell::new(Measured::default()));
    let watch = Stopwatch::start(&world.processes)?;
    let path = seats_path(world);
    let one = |(mut connection, buyer, tag): (Connection, usize, String)| {
        let (all, new, same, watch, path) = (&all, &new, &same, &watch, &path);
        async move {
            let mut request = unless(&world.buyers[buyer], path, &tag);
            while watch.elapsed() < time {
                let sent = Instant::now();
                let answer = connection.send(&request).await;
                let took = sent.elapsed();
                if !all.borrow_mut().note(&answer, took, |answer| matches!(answer.status, 200 | 304)) {
                    continue;
                }
                let is_new = answer.as_ref().is_ok_and(drive::ok);
                let part = if is_new { new } else { same };
                part.borrow_mut().note(&answer, took, |_| true);
                if let (true, Some(tag)) = (is_new, answer.ok().and_then(|answer| tag_of(&answer).ok())) {
                    request = unless(&world.buyers[buyer], path, &tag);
                }
            }
        }
    };
    stream::iter(clients).for_each_concurrent(None, one).await;
    let all = watch.stop(all.into_inner())?;
    // The costs are of all answers together.
    let part = |part: RefCell<Measured>| Measured { elapsed: all.elapsed, ..part.into_inner() };
    let (new, same) = (part(new), part(same));
    Ok([all, new, same])
}

/// A sale that goes on beside what is measured.
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
    async fn sell(&self, place: usize) -> anyhow::Result<Instant> {
        let (answer, _) = self.pool.send(&self.world.hold(place)).await?;
        let held_at = Instant::now();
        ensure!(drive::created(&answer), drive::refusal(&answer));
        self.held.borrow_mut().push((place, id(&answer)?));
        Ok(held_at)
    }

    /// Sells at a steady rate the seats of the first half of all places.
    async fn go_on(&self, time: Duration, sold: impl Fn(usize, Instant)) -> anyhow::Result<()> {
        let count = drive::count_for(HOLDS_PER_SECOND, time).min(self.world.places.len() / 2);
        let none = drive::Processes::default();
        let sold = &sold;
        let act = |place| async move {
            let held_at = self.sell(place).await.map_err(|error| error.to_string())?;
            sold(place, held_at);
            Ok(())
        };
        let measured = drive::open_loop(HOLDS_PER_SECOND, count, act, &none).await?;
        ensure!(measured.errors.is_empty(), "holds of the sale were refused: {:?}", measured.errors);
        Ok(())
    }

    /// Gives up what was sold.
    async fn undo(self) -> anyhow::Result<()> {
        self.world.cancel_all(&self.held.into_inner()).await
    }
}

/// Puts on a load while seats are being sold.
async fn while_selling<T>(
    world: &World,
    time: Duration,
    load: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let sale = Sale::open(world).await?;
    let (sold, loaded) = tokio::join!(sale.go_on(time, |_, _| ()), load);
    sold?;
    sale.undo().await?;
    loaded
}

/// What was found when the maps were compared with what was sold.
#[derive(Default)]
struct Checked {
    /// How often a buyer looked for the own seat.
    own: u64,
    /// How often it was not shown as held.
    own_missing: u64,
    shown: Shown,
}

/// When others were shown what was sold.
#[derive(Default)]
struct Shown {
    /// From the answer to a hold until another client had a map with it, which the time that a map takes is part of.
    after: Latencies,
    /// The longest after the answer to a hold that a map without it was asked for: how old the map was at least.
    staleness_max: Duration,
}

/// Seats that were sold and not shown yet, by their labels, with when they were sold.
type Unseen = RefCell<HashMap<String, Instant>>;

#[derive(Deserialize)]
struct Map<'a> {
    #[serde(borrow)]
    seats: Vec<Seat<'a>>,
}

#[derive(Deserialize)]
struct Seat<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

/// The labels of the seats that are held or sold.
fn gone_of(answer: &Response) -> anyhow::Result<HashSet<String>> {
    let map: Map<'_> = serde_json::from_slice(&answer.body)?;
    let gone = map.seats.into_iter().filter(|seat| seat.status != "available");
    Ok(gone.map(|seat| seat.label.into_owned()).collect())
}

/// Looks at the map from outside, again and again, until the sale is over and all that was sold has been seen.
async fn observe(world: &World, unseen: &Unseen, over: &Cell<bool>) -> anyhow::Result<Shown> {
    let mut connection = Connection::open(world.server.address).await?;
    let path = seats_path(world);
    let buyer = world.buyers.last().context("there is no buyer")?;
    let (mut request, mut gone) = (buyer.get(&path).prepare(), HashSet::new());
    let mut seen = Shown::default();
    let began = Instant::now();
    while !(over.get() && unseen.borrow().is_empty()) {
        ensure!(began.elapsed() < PATIENCE, "a seat that was sold is never shown");
        let sent = Instant::now();
        let answer = connection.send(&request).await?;
        let received = Instant::now();
        ensure!(matches!(answer.status, 200 | 304), drive::refusal(&answer));
        if drive::ok(&answer) {
            request = unless(buyer, &path, &tag_of(&answer)?);
            gone = gone_of(&answer)?;
        }
        // A seat whose hold was answered after the map was on its way may be in it already.
        unseen.borrow_mut().retain(|label, held_at| {
            let is_shown = gone.contains(label);
            if is_shown {
                seen.after.record(received.saturating_duration_since(*held_at));
            } else {
                seen.staleness_max = seen.staleness_max.max(sent.saturating_duration_since(*held_at));
            }
            !is_shown
        });
    }
    Ok(seen)
}

/// Holds seats and asks for the map at once: whole, and by the previous tag.
async fn check_own(
    sale: &Sale<'_>,
    places: impl Iterator<Item = usize>,
    time: Duration,
    sold: impl Fn(usize, Instant),
) -> anyhow::Result<(u64, u64)> {
    let world = sale.world;
    let mut connection = Connection::open(world.server.address).await?;
    let path = seats_path(world);
    let (mut own, mut missing) = (0, 0);
    let began = Instant::now();
    for place in places {
        if began.elapsed() >= time {
            break;
        }
        let buyer = &world.buyers[world.buyer_of(place)];
        let tag = tag_of(&connection.send(&buyer.get(&path).prepare()).await?)?;
        let held_at = sale.sell(place).await?;
        for request in [buyer.get(&path).prepare(), unless(buyer, &path, &tag)] {
            let answer = connection.send(&request).await?;
            let shown = drive::ok(&answer) && gone_of(&answer)?.contains(&world.places[place].label);
            own += 1;
            missing += u64::from(!shown);
        }
        sold(place, held_at);
    }
    Ok((own, missing))
}

/// Compares what is shown with what is sold.
async fn check(world: &World, time: Duration, checked: &mut Checked) -> anyhow::Result<()> {
    let sale = Sale::open(world).await?;
    let (unseen, over) = (Unseen::default(), Cell::new(false));
    let sold = |place: usize, held_at: Instant| {
        unseen.borrow_mut().insert(world.places[place].label.clone(), held_at);
    };
    let selling = async {
        // The checking buyers have the second half of the places.
        let of_checker = |index: usize| (world.places.len() / 2 + index..world.places.len()).step_by(CHECKING);
        let checkers = (0..CHECKING).map(|index| check_own(&sale, of_checker(index), time, sold));
        let (sold, own) = tokio::join!(sale.go_on(time, sold), futures::future::join_all(checkers));
        over.set(true);
        sold.map(|()| own)
    };
    let (own, shown) = tokio::join!(selling, observe(world, &unseen, &over));
    for own in own? {
        let (own, missing) = own?;
        checked.own += own;
        checked.own_missing += missing;
    }
    let shown = shown?;
    checked.shown.after.add(&shown.after);
    checked.shown.staleness_max = checked.shown.staleness_max.max(shown.staleness_max);
    sale.undo().await
}

impl Variant {
    async fn prepare(
        bench: &Bench,
        store: &Store,
        name: &'static str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let database = if settings.is_empty() { "cached" } else { "uncached" };
        let mut world = World::prepare(bench, store, database, bench.shape(1), settings).await?;
        let all = 0..world.buyers.len();
        world.admit(all).await?;
        let mut listing = shared_catalog("listing.json")?;
        if let (true, Some(concerts)) = (bench.smoke, listing["concerts"].as_array_mut()) {
            concerts.truncate(LISTING_SMOKE);
        }
        world.import(&bench.binary, &listing).await?;
        let rounds = vec![Vec::new(); LOADS.len() + BY_TAG.len()];
        Ok(Self { name, world, rounds, checked: Checked::default() })
    }

    async fn measure(&self, load: Load, time: Duration) -> anyhow::Result<Measured> {
        let world = &self.world;
        let requests = load.requests(world);
        let repeated = drive::repeat(world.server.address, CONNECTIONS, time, &requests, drive::ok, &world.processes);
        match load {
            Load::SeatsByTag => {
                let [all, ..] = by_tag(world, tagged(world).await?, time).await?;
                Ok(all)
            }
            Load::SeatsWhileSelling { .. } => while_selling(world, time, repeated).await,
            _ => repeated.await,
        }
    }

    async fn measure_by_tag(&self, time: Duration) -> anyhow::Result<[Measured; 3]> {
        let clients = tagged(&self.world).await?;
        while_selling(&self.world, time, by_tag(&self.world, clients, time)).await
    }
}

/// Two servers, one of which keeps nothing of what it reads.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let mut variants = [
        Variant::prepare(bench, &store, "cached", &[]).await?,
        Variant::prepare(bench, &store, "not cached", &[("cache_milliseconds", "0")]).await?,
    ];
    for variant in &variants {
        variant.measure(Load::List, bench.time.min(Duration::from_secs(1))).await?;
    }
    for _ in 0..bench.rounds {
        for (index, (load, _)) in LOADS.into_iter().enumerate() {
            for variant in &mut variants {
                let measured = variant.measure(load, bench.time).await?;
                variant.rounds[index].push(measured);
            }
        }
        for variant in &mut variants {
            let measured = variant.measure_by_tag(bench.time).await?;
            for (rounds, measured) in variant.rounds[LOADS.len()..].iter_mut().zip(measured) {
                rounds.push(measured);
            }
            check(&variant.world, bench.time, &mut variant.checked).await?;
        }
    }
    let section = section_of(&store, &variants);
    for variant in variants {
        variant.world.server.stop().await?;
    }
    Ok(section)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn section_of(store: &Store, variants: &[Variant]) -> Section {
    let setting = format!(
        "{}. Two servers with the 1,000 concerts of `tests/catalog/listing.json` and one more, in a hall of 15,002 \
         seats: one as it comes (*cached*), one with `cache_milliseconds = 0`. The list is the first 20 bookable \
         concerts. Dates and seats are asked for by {LOOKING} admitted accounts. *By tag*: each client sends the tag \
         of the map that it has. *Selling*: meanwhile {} holds a second begin in that performance \
         (open loop), and the costs of selling are in those of reading. Closed loop.",
        store.described,
        grouped(HOLDS_PER_SECOND)
    );
    let mut section = Section::new("reads", "Reading over HTTP", setting);
    let names = LOADS.iter().map(|(_, name)| *name).chain(BY_TAG);
    for (index, name) in names.enumerate() {
        for variant in variants {
            let load = format!("{}, {CONNECTIONS} connections", variant.name);
            section.rows.push(Row::of(name, load, &variant.rounds[index]));
        }
        let rounds = variants.iter().flat_map(|variant| &variant.rounds[index]);
        let with_body: Vec<_> = rounds.filter(|measured| measured.body_bytes > 0).collect();
        // Of all answers by tag some have a body and some have none; a mean of them says nothing.
        if !with_body.is_empty() && name != BY_TAG[0] {
            let each = |measured: &&Measured| measured.body_bytes as f64 / measured.latencies.count() as f64;
            let each = Spread::of(with_body.iter().map(each));
            section.figure(format!("body of each answer, {name}"), each, "bytes");
        }
    }
    for Variant { name, checked, .. } in variants {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let after = &checked.shown.after;
        let figures = [
            ("looks for the own seat after its 201", checked.own as f64, "times"),
            ("of these, it was not shown as held", checked.own_missing as f64, "times"),
            ("seats that others looked for", after.count() as f64, "seats"),
            ("from the 201 until another client is shown it, median", ms(after.quantile(0.5)), "ms"),
            ("from the 201 until another client is shown it, longest", ms(after.max()), "ms"),
            ("from the 201 until a map without it is asked for, longest", ms(checked.shown.staleness_max), "ms"),
        ];
        for (what, value, unit) in figures {
            section.figure(format!("{name}: {what}"), Spread::of([value]), unit);
        }
    }
    section
}
