//! What a purchase costs with one, two and three instances over one database and one Redis.

use anyhow::Context;
use boxoffice_testkit::servers::RedisServer;

use super::purchase::{CONNECTIONS, TIMES, buy};
use crate::{
    drive::{Measured, Processes},
    options::{self, Bench},
    process::Watched,
    report::{Row, Section, Spread},
    server::{Backend, Server, Store},
    world::{Shape, World},
};

const INSTANCES_MAX: usize = 3;
const NAMES: [&str; INSTANCES_MAX] = ["instance 1", "instance 2", "instance 3"];

async fn start_peers(bench: &Bench, world: &World, redis: &RedisServer, count: usize) -> anyhow::Result<Vec<Server>> {
    let keys = world.server.folder.join("keys.json");
    let (keys, redis) = (keys.to_str().context("the path of the keys is no text")?, redis.url());
    let mut settings = World::PATIENT.to_vec();
    settings.extend([("keys_file", keys), ("waiting_room", redis.as_str())]);
    let mut peers = Vec::new();
    for index in 0..count {
        let folder = options::folder().join(format!("instance-{index}"));
        peers.push(Server::start(&bench.binary, &folder, &world.server.database_url, &settings).await?);
    }
    Ok(peers)
}

/// Rounds with one, two and three instances in turn.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let redis = RedisServer::start().await?;
    let redis_process = Watched::new(redis.process_id().await?)?;
    let url = redis.url();
    let settings = [("waiting_room", url.as_str())];
    let world = World::prepare(bench, &store, "instances", Shape::new(bench, 7), &settings).await?;
    world.charge_all().await?;
    let mut measured: [Vec<Measured>; INSTANCES_MAX] = Default::default();
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        for instances in 1..=INSTANCES_MAX {
            let peers = start_peers(bench, &world, &redis, instances - 1).await?;
            let servers: Vec<_> = std::iter::once(&world.server).chain(&peers).collect();
            let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
            let mut processes = Vec::new();
            for (name, server) in NAMES.into_iter().zip(&servers) {
                processes.push((name, server.watched()?));
            }
            processes.extend(store.process.map(|process| ("database", process)));
            processes.extend([("redis", redis_process), ("generator", Watched::this()?)]);
            let processes = Processes(processes);
            // The peers have just started: they make connections, and fill their caches.
            buy(&world, &addresses, &processes, bench.time).await?;
            let bought = buy(&world, &addresses, &processes, bench.time * TIMES).await?;
            if round > 0 {
                measured[instances - 1].push(bought);
            }
            for peer in peers {
                peer.stop().await?;
            }
        }
    }
    world.server.stop().await?;
    Ok(section_of(&store, &measured))
}

/// Milliseconds of one core for each purchase, of all processes but the generator.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn cpu_milliseconds_each(measured: &Measured) -> f64 {
    let serving = measured.costs.iter().filter(|(name, _)| *name != "generator");
    let seconds: f64 = serving.map(|(_, cost)| cost.cpu_seconds).sum();
    seconds * 1e3 / measured.latencies.count().max(1) as f64
}

fn section_of(store: &Store, measured: &[Vec<Measured>; INSTANCES_MAX]) -> Section {
    let setting = format!(
        "{}, and a Redis that keeps the queue. {CONNECTIONS} buyers buy at once, each one purchase after the other: \
         join the queue, ask for the status once, the dates, the seats of one section of 15,002 seats, hold one, pay \
         it. Each request goes to the next instance, without a load balancer. Rounds with one, two and three instances \
         take turns; before each, all buy for a while uncounted, since the other instances have just started. Counted \
         is the time that instances, database and Redis spend on the cores together.",
        store.described
    );
    let mut section = Section::new("Several instances, MariaDB", setting);
    let each = |instances: usize| measured[instances - 1].iter().map(cpu_milliseconds_each);
    let load = |instances: usize| format!("{instances} {}", if instances == 1 { "instance" } else { "instances" });
    for instances in 1..=INSTANCES_MAX {
        section.rows.push(Row::of("whole purchase", load(instances), &measured[instances - 1]));
        let name = format!("CPU for each purchase, {}", load(instances));
        section.figure(name, Spread::of(each(instances)), "ms of one core");
    }
    for instances in 2..=INSTANCES_MAX {
        let ratios = each(instances).zip(each(1)).map(|(many, one)| many / one.max(1e-9));
        section.figure(format!("CPU for each purchase, {} ÷ one", load(instances)), Spread::of(ratios), "times");
    }
    section
}
