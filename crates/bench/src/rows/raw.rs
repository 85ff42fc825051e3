//! The raw limit: what the database gives when the statements of a hold come straight from a client, and what the
//! write path gives without HTTP.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use boxoffice_domain::fixtures::{TestClock, TestEntropy};
use boxoffice_domain::{
    AccountId, EntropySource, PerformanceId, ReservationId,
    reservations::{CancelRequest, HoldRequest, SeatLabel, SeatSelection},
};
use boxoffice_persistence::{Database, PersistenceSettings};
use mysql_async::{Conn, prelude::Queryable};
use tokio::{task::JoinSet, time::Instant};

use super::{
    direct::{self, Loop, Tables},
    holds,
};
use crate::{
    Bench, clock,
    drive::{Measured, Processes, Stopwatch},
    process::Watched,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::World,
};

/// How many connections send transactions of how many holds.
const PLAIN: [(usize, usize); 5] = [(1, 1), (16, 1), (1, 8), (1, 32), (1, 128)];
/// The most holds that the write path takes together.
const BATCHES: [usize; 4] = [1, 8, 32, 128];
/// How many hold at once without HTTP: more than a batch takes, so that the next one is there when one ends.
const TASKS: usize = 256;

/// The statements of a hold from a plain client where there is one, and the write path without HTTP.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let world = World::prepare(&bench.binary, &bench.folder, &store, "raw", bench.shape(7), &[]).await?;
    let tables = if backend == Backend::Sqlite { None } else { Some(Tables::of(&world).await?) };
    let wishes = Wishes::of(&world)?;
    let database_url = world.server.database_url.clone();
    // What the server would do beside is not to be measured, and an embedded database takes only one process.
    world.server.stop().await?;
    let mut processes: Vec<_> = store.process.map(|process| ("database", process)).into_iter().collect();
    processes.push(("generator", Watched::this()?));
    let processes = Processes(processes);
    let setting = format!("{}; no HTTP and no server process; a hold waits for its whole transaction", store.described);
    let mut section = Section::new("raw", format!("The raw limit of holds, {}", backend.name()), setting);
    if let Some(tables) = &tables {
        section.rows.extend(plain(bench, tables, &processes).await?);
    }
    section.rows.extend(write_path(bench, database_url, wishes, processes).await?);
    Ok(section)
}

/// The same transactions as the server's, from a plain client.
async fn plain(bench: &Bench, tables: &Tables, processes: &Processes) -> anyhow::Result<Vec<Row>> {
    let mut clients = Vec::new();
    for (connections, _) in PLAIN {
        clients.push(tables.connect(connections).await?);
    }
    let mut rounds = vec![Vec::new(); PLAIN.len()];
    for _ in 0..bench.rounds {
        for (((_, batch), clients), rounds) in PLAIN.into_iter().zip(&mut clients).zip(&mut rounds) {
            rounds.push(plain_round(tables, clients, batch, bench.time, processes).await?);
        }
    }
    for client in clients.into_iter().flatten() {
        client.disconnect().await?;
    }
    let row = |((connections, batch), rounds): ((usize, usize), &Vec<Measured>)| {
        let one_or_more = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let load = format!("{}, {} a transaction", one_or_more(connections, "connection"), one_or_more(batch, "hold"));
        Row::of("plain transactions", load, rounds)
    };
    Ok(PLAIN.into_iter().zip(&rounds).map(row).collect())
}

/// Holds distinct seats for a while, and then gives them up.
async fn plain_round(
    tables: &Tables,
    clients: &mut [Conn],
    batch: usize,
    time_max: Duration,
    processes: &Processes,
) -> anyhow::Result<Measured> {
    let how = Loop { requests: tables.seats.len(), batch, time_max, processes };
    let hold = async |connection: &mut Conn, seats| {
        let holds = tables.holds(seats);
        connection.query_drop("START TRANSACTION").await?;
        direct::load(connection, tables, &holds).await?;
        direct::insert_reservations(connection, tables, &holds).await?;
        direct::take_seats(connection, tables, &holds).await?;
        direct::insert_events(connection, tables, &holds).await?;
        connection.query_drop("COMMIT").await?;
        Ok(())
    };
    let measured = direct::closed_loop(clients, how, hold).await?;
    let client = clients.first_mut().context("there is no client")?;
    tables.check(client, usize::try_from(measured.latencies.count())?).await?;
    tables.give_up(client).await?;
    Ok(measured)
}

/// A lone hold over HTTP beside the same transaction from a plain client, each over one connection.
pub(crate) async fn lone(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let mut world = World::prepare(&bench.binary, &bench.folder, &store, "lone", bench.shape(1), &[]).await?;
    world.admit(0..world.buyers.len()).await?;
    let tables = Tables::of(&world).await?;
    let mut clients = tables.connect(1).await?;
    let warm = bench.time.min(Duration::from_secs(1));
    let processes = world.processes.clone();
    plain_round(&tables, &mut clients, 1, warm, &processes).await?;
    holds::round(&mut world, 1, warm).await?;
    let (mut plain, mut http) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        plain.push(plain_round(&tables, &mut clients, 1, bench.time, &processes).await?);
        http.push(holds::round(&mut world, 1, bench.time).await?);
    }
    let setting = format!("{}; one connection, one hold after the other, in turns", store.described);
    let mut section = Section::new("lone", format!("A lone hold, {}", backend.name()), setting);
    section.rows.push(Row::of("plain transaction", "1 connection", &plain));
    section.rows.push(Row::of("hold over HTTP", "1 connection", &http));
    let ratios = http.iter().zip(&plain).map(|(http, plain)| {
        http.latencies.quantile(0.5).as_secs_f64() / plain.latencies.quantile(0.5).as_secs_f64().max(1e-9)
    });
    let ratio = Spread::of(ratios);
    let told = format!("{:.2} ({:.2}–{:.2}); wanted: at most 1.30", ratio.median, ratio.least, ratio.most);
    section.fact("median over HTTP ÷ median of the plain transaction", told);
    world.server.stop().await?;
    Ok(section)
}

/// Who wants which seat.
#[derive(Debug)]
struct Wishes {
    concert_id: boxoffice_domain::ConcertId,
    accounts: Vec<AccountId>,
    seats: Vec<(PerformanceId, SeatLabel)>,
}

impl Wishes {
    fn of(world: &World) -> anyhow::Result<Self> {
        let mut seats = Vec::with_capacity(world.places.len());
        for place in &world.places {
            seats.push((place.performance_id.parse()?, SeatLabel::new(&place.label)?));
        }
        let accounts = world.buyers.iter().map(|buyer| buyer.account_id).collect();
        Ok(Self { concert_id: world.concert_id.parse()?, accounts, seats })
    }

    fn account(&self, wish: usize) -> AccountId {
        self.accounts[wish % self.accounts.len()]
    }

    fn request(&self, wish: usize) -> anyhow::Result<HoldRequest> {
        let (performance_id, label) = self.seats[wish].clone();
        Ok(HoldRequest {
            reservation_id: TestEntropy.uuid().into(),
            account_id: self.account(wish),
            concert_id: self.concert_id,
            performance_id,
            seats: SeatSelection::new(vec![label])?,
            hold_seconds: NonZeroU32::new(86_400).unwrap_or(NonZeroU32::MIN),
            idempotency: None,
        })
    }
}

/// Holds by the port of the storage, in this process, with batches of several sizes.
async fn write_path(
    bench: &Bench,
    database_url: String,
    wishes: Wishes,
    processes: Processes,
) -> anyhow::Result<Vec<Row>> {
    let (rounds, time) = (bench.rounds, bench.time);
    let measured = tokio::task::spawn_blocking(move || {
        // The storage needs several threads, where the generator has one.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(write_path_rounds(&database_url, Arc::new(wishes), rounds, time, &processes))
    });
    let row = |(batch, rounds): (usize, Vec<Measured>)| {
        Row::of("write path alone", format!("{TASKS} tasks, batches of at most {batch}"), &rounds)
    };
    Ok(BATCHES.into_iter().zip(measured.await??).map(row).collect())
}

async fn write_path_rounds(
    database_url: &str,
    wishes: Arc<Wishes>,
    rounds_count: usize,
    time: Duration,
    processes: &Processes,
) -> anyhow::Result<Vec<Vec<Measured>>> {
    let clock = Arc::new(TestClock::at(clock::now()));
    let mut databases = Vec::new();
    for batch_commands_max in BATCHES {
        let settings = PersistenceSettings { batch_commands_max, ..PersistenceSettings::default() };
        let database = boxoffice_persistence::connect(database_url, settings, clock.clone(), Arc::new(TestEntropy));
        databases.push(database.await?);
    }
    let mut rounds = vec![Vec::new(); BATCHES.len()];
    for _ in 0..rounds_count {
        for (database, rounds) in databases.iter().zip(&mut rounds) {
            rounds.push(write_path_round(database, &wishes, time, processes).await?);
        }
    }
    for database in databases {
        database.shutdown().await;
    }
    Ok(rounds)
}

/// A hold that was made: of which wish, as what, and how long it took.
type Held = (usize, ReservationId, Duration);

async fn write_path_round(
    database: &Database,
    wishes: &Arc<Wishes>,
    time: Duration,
    processes: &Processes,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start(processes)?;
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (database, wishes, next) = (database.clone(), wishes.clone(), next.clone());
        tasks.spawn(async move { hold_in_turn(&database, &wishes, &next, until).await });
    }
    let mut held = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        held.extend(ended??);
    }
    let mut measured = watch.stop(Measured::default())?;
    for (_, _, took) in &held {
        measured.latencies.record(*took);
    }
    give_up(database, wishes, held).await?;
    Ok(measured)
}

async fn hold_in_turn(
    database: &Database,
    wishes: &Wishes,
    next: &AtomicUsize,
    until: Instant,
) -> anyhow::Result<Vec<Held>> {
    let mut held = Vec::new();
    while Instant::now() < until {
        let wish = next.fetch_add(1, Ordering::Relaxed);
        if wish >= wishes.seats.len() {
            break;
        }
        let sent = Instant::now();
        let made = database.reservations.hold(wishes.request(wish)?).await?;
        held.push((wish, made.value.reservation.id, sent.elapsed()));
    }
    Ok(held)
}

async fn give_up(database: &Database, wishes: &Arc<Wishes>, held: Vec<Held>) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for held in held.chunks(held.len().div_ceil(TASKS).max(1)) {
        let (database, wishes, held) = (database.clone(), wishes.clone(), held.to_owned());
        tasks.spawn(async move {
            for (wish, reservation_id, _) in held {
                let account_id = wishes.account(wish);
                let request = CancelRequest { reservation_id, account_id, idempotency: None };
                database.reservations.cancel(request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
