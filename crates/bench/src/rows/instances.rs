//! What a purchase costs with one, two and three instances over one database and one Redis.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::Duration,
};

use anyhow::Context;
use boxoffice_rush::{Connection, Request, Response};
use boxoffice_testkit::servers::RedisServer;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::purchase::{Made, TIMES, purchase};
use crate::{
    Bench,
    drive::{Measured, Processes, Stopwatch},
    process::Watched,
    report::{Row, Section, Spread},
    server::{Backend, Server, Store},
    world::World,
};

const INSTANCES_MAX: usize = 3;
const NAMES: [&str; INSTANCES_MAX] = ["instance 1", "instance 2", "instance 3"];
/// How many buy at once.
const BUYING: usize = 256;
/// How many times the measured time all buy before it counts.
const WARM_UP_TIMES: u32 = 1;

/// The connections of one buyer, one to each instance, which take turns.
struct Turns(RefCell<VecDeque<Connection>>);

impl Turns {
    async fn open(addresses: &[SocketAddr], first: usize) -> io::Result<Self> {
        let mut connections = VecDeque::new();
        for turn in 0..addresses.len() {
            connections.push_back(Connection::open(addresses[(first + turn) % addresses.len()]).await?);
        }
        Ok(Self(RefCell::new(connections)))
    }

    /// Sends a request to the next instance.
    async fn send(&self, request: &Request) -> io::Result<Response> {
        let connection = self.0.borrow_mut().pop_front();
        let mut connection = connection.ok_or_else(|| io::Error::other("a connection is missing"))?;
        let answer = connection.send(&request.prepare()).await;
        self.0.borrow_mut().push_back(connection);
        answer
    }
}

/// Lets many buy at once for a time, each request over the next instance, and undoes it afterwards.
pub(crate) async fn buy(
    world: &World,
    addresses: &[SocketAddr],
    processes: &Processes,
    time: Duration,
) -> anyhow::Result<Measured> {
    let mut buying = Vec::with_capacity(BUYING);
    for index in 0..BUYING {
        buying.push(Turns::open(addresses, index).await?);
    }
    let (next, made) = (Cell::new(0), Made::default());
    let measured = RefCell::new(Measured::default());
    let watch = Stopwatch::start(processes)?;
    let one = |turns: Turns| {
        let (next, made, measured, watch) = (&next, &made, &measured, &watch);
        async move {
            // Each buyer buys once.
            while watch.elapsed() < time && next.get() < world.buyers.len() {
                let index = next.replace(next.get() + 1);
                let began = Instant::now();
                let bought = purchase(world, async |request| turns.send(&request).await, made, index).await;
                match bought {
                    Ok(()) => measured.borrow_mut().latencies.record(began.elapsed()),
                    Err(error) => measured.borrow_mut().refuse(error.to_string()),
                }
            }
        }
    };
    stream::iter(buying).for_each_concurrent(None, one).await;
    let measured = watch.stop(measured.into_inner())?;
    world.cancel_all(&made.into_inner()).await?;
    Ok(measured)
}

/// Further instances beside the one of a world.
async fn start_beside(bench: &Bench, world: &World, redis: &RedisServer, count: usize) -> anyhow::Result<Vec<Server>> {
    let keys = world.server.folder.join("keys.json");
    let (keys, redis) = (keys.to_str().context("the path of the keys is no text")?, redis.url());
    let mut settings = World::PATIENT.to_vec();
    settings.extend([("keys_file", keys), ("waiting_room", redis.as_str())]);
    let mut beside = Vec::new();
    for index in 0..count {
        let folder = bench.folder.join(format!("instance-{index}"));
        beside.push(Server::start(&bench.binary, &folder, &world.server.database_url, &settings).await?);
    }
    Ok(beside)
}

/// Rounds with one, two and three instances in turn.
pub(crate) async fn run(bench: &Bench, backend: Backend) -> anyhow::Result<Section> {
    let store = Store::start(backend, bench).await?;
    let redis = RedisServer::start().await?;
    let redis_process = Watched::new(redis.process_id().await?)?;
    let url = redis.url();
    let settings = [("waiting_room", url.as_str())];
    let world = World::prepare(bench, &store, "instances", bench.shape(7), &settings).await?;
    world.charge_all().await?;
    let mut measured: [Vec<Measured>; INSTANCES_MAX] = Default::default();
    // The first round warms everything up and does not count.
    for round in 0..=bench.rounds {
        for instances in 1..=INSTANCES_MAX {
            let beside = start_beside(bench, &world, &redis, instances - 1).await?;
            let servers: Vec<_> = std::iter::once(&world.server).chain(&beside).collect();
            let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
            let mut processes = Vec::new();
            for (name, server) in NAMES.into_iter().zip(&servers) {
                processes.push((name, server.watched()?));
            }
            processes.extend(store.process.map(|process| ("database", process)));
            processes.extend([("redis", redis_process), ("generator", Watched::this()?)]);
            let processes = Processes(processes);
            // Those beside the first have just started: they make connections, and read what they keep.
            buy(&world, &addresses, &processes, bench.time * WARM_UP_TIMES).await?;
            let bought = buy(&world, &addresses, &processes, bench.time * TIMES).await?;
            if round > 0 {
                measured[instances - 1].push(bought);
            }
            for server in beside {
                server.stop().await?;
            }
        }
    }
    world.server.stop().await?;
    Ok(section_of(backend, &store, &measured))
}

/// Milliseconds of one core for each purchase, of all that serves.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn cpu_milliseconds_each(measured: &Measured) -> f64 {
    let serving = measured.cpu_seconds.iter().filter(|(name, _)| *name != "generator");
    let seconds: f64 = serving.map(|(_, seconds)| seconds).sum();
    seconds * 1e3 / measured.latencies.count().max(1) as f64
}

fn section_of(backend: Backend, store: &Store, measured: &[Vec<Measured>; INSTANCES_MAX]) -> Section {
    let setting = format!(
        "{}, and a Redis that keeps the queue. {BUYING} buy at once, each one purchase after the other: join \
         the line, ask for the status once, the dates, the seats of one section of 15,002 seats, hold one, pay it. Each \
         request goes to the next instance, without a load balancer. Rounds with one, two and three instances take \
         turns; before each all buy for a while uncounted, since the instances beside the first are new. Counted \
         is the time that instances, database and Redis spend on the cores together.",
        store.described
    );
    let key = format!("instances-{}", backend.name().to_lowercase());
    let mut section = Section::new(key, format!("Several instances, {}", backend.name()), setting);
    let each = |instances: usize| measured[instances - 1].iter().map(cpu_milliseconds_each);
    let load = |instances: usize| format!("{instances} {}", if instances == 1 { "instance" } else { "instances" });
    for instances in 1..=INSTANCES_MAX {
        section.rows.push(Row::of("whole purchase", load(instances), &measured[instances - 1]));
    }
    for instances in 1..=INSTANCES_MAX {
        let name = format!("CPU for each purchase, {}", load(instances));
        section.figure(name, Spread::of(each(instances)), "ms of one core");
    }
    for instances in 2..=INSTANCES_MAX {
        let ratios = each(instances).zip(each(1)).map(|(many, one)| many / one.max(1e-9));
        section.figure(format!("CPU for each purchase, {} ÷ one", load(instances)), Spread::of(ratios), "times");
    }
    section
}
