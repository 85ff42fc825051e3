//! Three ways to give a seat to only one: a conditional update, a locking read, and both for many at once.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    time::Duration,
};

use futures::future::{join, try_join_all};
use mysql_async::{Conn, Params, Row as Stored, prelude::Queryable};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::direct::{self, Hold, Loop, Tables};
use crate::{
    Bench,
    drive::{Measured, Processes, Stopwatch},
    process::Watched,
    report::{Row, Section},
    server::{Backend, Store},
    world::World,
};

/// How many ask at once.
const WAITING: [usize; 2] = [16, 64];
/// The most requests that are decided together.
const BATCH_MAX: usize = 128;
/// How many seats are sold before the crowd comes.
const TAKEN: usize = 1_000;
/// Of so many requests of the crowd one is for a seat that can be had.
const ONE_FREE_OF: usize = 20;
const SEED: u64 = 20_261_122;

/// A way to decide who gets a seat.
#[derive(Clone, Copy, Debug)]
enum Way {
    Conditional,
    Locking,
    Grouped,
}

impl Way {
    const ALL: [Self; 3] = [Self::Conditional, Self::Locking, Self::Grouped];

    fn name(self) -> &'static str {
        match self {
            Self::Conditional => "conditional UPDATE, a transaction each",
            Self::Locking => "SELECT … FOR UPDATE, a transaction each",
            Self::Grouped => "SELECT … FOR UPDATE, grouped over 1 connection",
        }
    }
}

/// Requests, each for one seat by its index.
struct Workload {
    name: &'static str,
    seats: Vec<usize>,
}

impl Workload {
    /// Nobody asks for what somebody else asks for.
    fn distinct(tables: &Tables) -> Self {
        Self { name: "distinct seats", seats: (0..tables.seats.len()).collect() }
    }

    /// Nearly everybody asks for a seat of one performance that is gone.
    fn crowd(tables: &Tables) -> Self {
        let (taken, free) = of_first_performance(tables);
        let mut random = SmallRng::seed_from_u64(SEED);
        let mut seats = Vec::with_capacity(free.len() * ONE_FREE_OF);
        for free in free {
            seats.push(free);
            seats.extend((1..ONE_FREE_OF).map(|_| taken[random.random_range(0..taken.len())]));
        }
        Self { name: "one performance, 95 % for seats that are gone", seats }
    }
}

/// The seats of one performance: those that are sold beforehand, and the others.
fn of_first_performance(tables: &Tables) -> (Vec<usize>, Vec<usize>) {
    let performance_id = tables.seats[0].performance_id;
    let of_it = tables.seats.iter().enumerate().filter(|(_, seat)| seat.performance_id == performance_id);
    let mut taken: Vec<_> = of_it.map(|(index, _)| index).collect();
    let free = taken.split_off(TAKEN.min(taken.len() / 2));
    (taken, free)
}

/// The ways side by side, on the same tables and the same requests.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let world = World::prepare(&bench.binary, &bench.folder, &store, "locks", bench.shape(7), &[]).await?;
    let tables = Tables::of(&world).await?;
    world.server.stop().await?;
    let mut processes: Vec<_> = store.process.map(|process| ("database", process)).into_iter().collect();
    processes.push(("generator", Watched::this()?));
    let processes = Processes(processes);
    let mut clients = tables.connect(WAITING.into_iter().max().unwrap_or(1)).await?;
    let setting = format!(
        "{}; plain clients; a decision writes the seat, the reservation and its seat, or refuses; refusals count as \
         decided",
        store.described
    );
    let mut section = Section::new("locks", format!("Ways to lock seats, {}", backend.name()), setting);
    for workload in [Workload::distinct(&tables), Workload::crowd(&tables)] {
        compare(bench, &tables, &workload, &mut clients, &processes, &mut section).await?;
        // The crowd comes last: what it finds sold stays sold.
        sell(&tables, &mut clients[0]).await?;
    }
    for client in clients {
        client.disconnect().await?;
    }
    Ok(section)
}

/// Sells what the crowd shall find gone.
async fn sell(tables: &Tables, client: &mut Conn) -> anyhow::Result<()> {
    let (taken, _) = of_first_performance(tables);
    let holds: Vec<_> = taken.into_iter().map(|seat| tables.hold(seat, seat)).collect();
    let rows = holds.iter().map(|hold| {
        (direct::id(hold.reservation_id), direct::id(hold.seat.performance_id), direct::words(&hold.seat.label))
    });
    let sell = "UPDATE seats SET reservation_id = ? WHERE performance_id = ? AND label = ?";
    client.query_drop("START TRANSACTION").await?;
    client.exec_batch(sell, rows).await?;
    client.query_drop("COMMIT").await?;
    Ok(())
}

async fn compare(
    bench: &Bench,
    tables: &Tables,
    workload: &Workload,
    clients: &mut [Conn],
    processes: &Processes,
    section: &mut Section,
) -> anyhow::Result<()> {
    let cases: Vec<_> = WAITING.into_iter().flat_map(|waiting| Way::ALL.map(|way| (waiting, way))).collect();
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..bench.rounds {
        for ((waiting, way), rounds) in cases.iter().zip(&mut rounds) {
            let round = Round { tables, workload, time_max: bench.time, processes };
            let (measured, held) = round.run(*way, &mut clients[..*waiting]).await?;
            tables.check(&mut clients[0], held).await?;
            tables.give_up(&mut clients[0]).await?;
            rounds.push(measured);
        }
    }
    for ((waiting, way), rounds) in cases.into_iter().zip(&rounds) {
        section.rows.push(Row::of(way.name(), format!("{waiting} at once, {}", workload.name), rounds));
    }
    Ok(())
}

/// One round of one way.
struct Round<'r> {
    tables: &'r Tables,
    workload: &'r Workload,
    time_max: Duration,
    processes: &'r Processes,
}

impl Round<'_> {
    /// Gives what was measured, and how many seats were given.
    async fn run(&self, way: Way, clients: &mut [Conn]) -> anyhow::Result<(Measured, usize)> {
        match way {
            Way::Conditional => self.each(clients, conditional).await,
            Way::Locking => self.each(clients, locking).await,
            Way::Grouped => self.grouped(clients).await,
        }
    }

    fn hold(&self, request: usize) -> Hold<'_> {
        self.tables.hold(request, self.workload.seats[request])
    }

    /// A transaction for each request.
    async fn each(
        &self,
        clients: &mut [Conn],
        way: impl AsyncFn(&mut Conn, &Tables, &Hold<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<(Measured, usize)> {
        let held = Cell::new(0);
        let requests = self.workload.seats.len();
        let how = Loop { requests, batch: 1, time_max: self.time_max, processes: self.processes };
        let act = async |client: &mut Conn, requests: std::ops::Range<usize>| {
            client.query_drop("START TRANSACTION").await?;
            if way(client, self.tables, &self.hold(requests.start)).await? {
                client.query_drop("COMMIT").await?;
                held.set(held.get() + 1);
            } else {
                client.query_drop("ROLLBACK").await?;
            }
            Ok(())
        };
        let measured = direct::closed_loop(clients, how, act).await?;
        Ok((measured, held.get()))
    }

    /// All that wait in one transaction, as many as there would be clients otherwise.
    async fn grouped(&self, clients: &mut [Conn]) -> anyhow::Result<(Measured, usize)> {
        let waiting = clients.len();
        let (next, held) = (Cell::new(0), Cell::new(0));
        let measured = RefCell::new(Measured::default());
        let (sender, receiver) = mpsc::channel(waiting);
        let watch = Stopwatch::start(self.processes)?;
        let askers = (0..waiting).map(|_| {
            let (sender, next, held, measured, watch) = (sender.clone(), &next, &held, &measured, &watch);
            async move {
                while watch.elapsed() < self.time_max {
                    let request = next.replace(next.get() + 1);
                    if request >= self.workload.seats.len() {
                        break;
                    }
                    let sent = Instant::now();
                    let (answer, answered) = oneshot::channel();
                    sender.send((request, answer)).await?;
                    let given = answered.await?;
                    held.set(held.get() + usize::from(given));
                    measured.borrow_mut().latencies.record(sent.elapsed());
                }
                anyhow::Ok(())
            }
        });
        let askers: Vec<_> = askers.collect();
        // The lane ends when nobody is left who could send.
        drop(sender);
        let (asked, decided) = join(try_join_all(askers), self.lane(receiver, &mut clients[0])).await;
        decided?;
        asked?;
        Ok((watch.stop(measured.into_inner())?, held.get()))
    }

    /// Takes all that waits, decides it in one transaction, and answers.
    async fn lane(
        &self,
        mut receiver: mpsc::Receiver<(usize, oneshot::Sender<bool>)>,
        client: &mut Conn,
    ) -> anyhow::Result<()> {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while receiver.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            let holds: Vec<_> = waiting.iter().map(|(request, _)| self.hold(*request)).collect();
            let decided = decide(client, self.tables, &holds).await?;
            for ((_, answer), held) in waiting.drain(..).zip(decided) {
                // Who asked is waiting.
                answer.send(held).ok();
            }
        }
        Ok(())
    }
}

/// The update finds the seat free, or finds none.
async fn conditional(client: &mut Conn, tables: &Tables, hold: &Hold<'_>) -> anyhow::Result<bool> {
    let update = "UPDATE seats SET reservation_id = ?, held_until = ? WHERE performance_id = ? AND label = ? \
                  AND (reservation_id IS NULL OR held_until <= ?)";
    let mut values = direct::seat_taken(tables, hold);
    values.push(direct::time(tables.now));
    client.exec_drop(update, Params::Positional(values)).await?;
    if client.affected_rows() != 1 {
        return Ok(false);
    }
    direct::insert_reservations(client, tables, std::slice::from_ref(hold)).await?;
    Ok(true)
}

/// The seat is locked and looked at, then written.
async fn locking(client: &mut Conn, tables: &Tables, hold: &Hold<'_>) -> anyhow::Result<bool> {
    let seat = hold.seat;
    let select = "SELECT reservation_id, held_until FROM seats WHERE performance_id = ? AND label = ? FOR UPDATE";
    let key = (direct::id(seat.performance_id), direct::words(&seat.label));
    let found: Option<Stored> = client.exec_first(select, key).await?;
    let Some(found) = found else { anyhow::bail!("a seat is missing") };
    if !direct::is_free(&found, 0, tables.now)? {
        return Ok(false);
    }
    direct::insert_reservations(client, tables, std::slice::from_ref(hold)).await?;
    let update = "UPDATE seats SET reservation_id = ?, held_until = ? WHERE performance_id = ? AND label = ?";
    client.exec_drop(update, Params::Positional(direct::seat_taken(tables, hold))).await?;
    Ok(true)
}

/// The seats of all are locked together, given in the order of the requests, and written together.
async fn decide(client: &mut Conn, tables: &Tables, holds: &[Hold<'_>]) -> anyhow::Result<Vec<bool>> {
    client.query_drop("START TRANSACTION").await?;
    let mut free = HashSet::new();
    for (performance_id, labels) in direct::labels_by_performance(holds) {
        let labels = direct::lock_seats(client, tables, performance_id, &labels).await?;
        free.extend(labels.into_iter().map(|label| (performance_id, label)));
    }
    let decided: Vec<_> =
        holds.iter().map(|hold| free.remove(&(hold.seat.performance_id, hold.seat.label.clone()))).collect();
    let given: Vec<_> = holds.iter().zip(&decided).filter(|(_, held)| **held).map(|(hold, _)| *hold).collect();
    if given.is_empty() {
        client.query_drop("ROLLBACK").await?;
        return Ok(decided);
    }
    direct::insert_reservations(client, tables, &given).await?;
    direct::take_seats(client, tables, &given).await?;
    client.query_drop("COMMIT").await?;
    Ok(decided)
}
