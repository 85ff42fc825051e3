//! The queue of a concert: joining it, polling, and being admitted.

use std::time::Duration;

use anyhow::ensure;
use boxoffice_domain::EntropySource;
use boxoffice_domain::fixtures::TestEntropy;
use boxoffice_rush::{
    Buyer, Connection, Request, Response,
    buyer::{Concert, List, QueueStatus},
    plot::grouped,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Bench,
    drive::{self, Measured},
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{World, shared_catalog},
};

/// How many wait, in lines of one server.
const WAITING: [usize; 3] = [0, 10_000, 1_000_000];
const WAITING_SMOKE: [usize; 2] = [0, 1_000];
const CONNECTIONS: usize = 256;
/// How many join in a second of a round; more than the server takes.
const JOINS_PER_SECOND: f64 = 30_000.0;
/// Fewer than the tokens that a server caches, so that it still knows the latest.
const JOINS_MAX: usize = 60_000;
/// How many of the waiting buyers poll.
const POLLING_MAX: usize = 20_000;
/// How many admissions are handed on.
const TURNS: usize = 200;
/// How many get in line between two looks at what is kept.
const CHUNK: usize = 20_000;

/// A queue, and some of its buyers.
struct Line {
    waiting: usize,
    concert_id: Uuid,
    /// The first of the queue, in order; the first of them is admitted.
    front: Vec<Buyer>,
    /// The buyers who poll, from all over the queue.
    polling: Vec<Buyer>,
    rounds: Rounds,
}

#[derive(Default)]
struct Rounds {
    joins_seen: Vec<Measured>,
    joins_never_seen: Vec<Measured>,
    polls: Vec<Measured>,
    turns: Measured,
}

/// Concerts that admit one at a time, one for each line.
fn catalog(waiting: &[usize]) -> anyhow::Result<Value> {
    let mut venue = shared_catalog("arena.json")?["venues"][0].take();
    venue["sections"] = json!([{"name": "A", "rows": [{"name": "1", "seats": 10}]}]);
    let concert = |waiting: &usize| {
        json!({
            "key": format!("line-{waiting}"), "title": waiting.to_string(), "artist": "ORBIT", "description": "",
            "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z",
            "max_seats_per_account": 4, "max_active": 1, "performances": [{
                "key": format!("line-{waiting}-1"), "venue": venue["key"], "starts_at": "2031-01-01T09:00:00Z",
                "prices": [{"section": "A", "price": 1_000}],
            }],
        })
    };
    Ok(json!({"venues": [venue], "concerts": waiting.iter().map(concert).collect::<Vec<_>>()}))
}

/// A poll without a queue token is refused when the access token has been checked: the least that there is to ask.
fn not_in_line(answer: &Response) -> bool {
    answer.status == 401 && drive::contains(answer, "queue_token_missing")
}

fn gone(answer: &Response) -> bool {
    answer.status == 204
}

/// People whose tokens the server has not seen.
fn strangers(world: &World, count: usize) -> Vec<Buyer> {
    (0..count).map(|_| Buyer::new(world.signer.sign(TestEntropy.uuid()))).collect()
}

/// Lets the server verify the access tokens once.
async fn show(world: &World, people: &[Buyer]) -> anyhow::Result<()> {
    let requests: Vec<_> = people.iter().map(|buyer| buyer.poll().prepare()).collect();
    world.send_all(&requests, not_in_line).await.map(drop)
}

/// Lets people join over as many connections as are given, and gives them with their places.
async fn join(
    world: &World,
    concert_id: Uuid,
    people: &[Buyer],
    connections: usize,
    time_max: Duration,
) -> anyhow::Result<(Measured, Vec<Buyer>)> {
    let requests: Vec<_> = people.iter().map(|buyer| buyer.join(concert_id).prepare()).collect();
    let address = world.server.address;
    let (measured, answers) =
        drive::closed_loop(address, connections, time_max, &requests, drive::created, &world.processes).await?;
    ensure!(measured.errors.is_empty(), "joining was refused: {:?}", measured.errors);
    let placed = |(index, answer): &(usize, Response)| {
        Ok(Buyer { queue_token: answer.read::<QueueStatus>()?.token, ..people[*index].clone() })
    };
    let placed = answers.iter().map(placed).collect::<anyhow::Result<_>>()?;
    Ok((measured, placed))
}

impl Line {
    /// Fills the line of a concert.
    async fn fill(world: &World, concert_id: Uuid, waiting: usize) -> anyhow::Result<Self> {
        const PATIENCE: Duration = crate::world::PATIENCE;
        // The first join one after the other, so that their order is known. One more is admitted, and does not wait.
        let first = strangers(world, 1 + TURNS.min(waiting));
        let (_, front) = join(world, concert_id, &first, 1, PATIENCE).await?;
        let mut polling = front.clone();
        let mut left = waiting.saturating_sub(TURNS);
        let step = left.div_ceil(POLLING_MAX).max(1);
        while left > 0 {
            let people = strangers(world, left.min(CHUNK));
            let (_, placed) = join(world, concert_id, &people, CONNECTIONS, PATIENCE).await?;
            polling.extend(placed.into_iter().step_by(step));
            left -= people.len();
        }
        Ok(Self { waiting, concert_id, front, polling, rounds: Rounds::default() })
    }

    /// Joins for a while, and leaves again.
    async fn joins(&self, world: &World, seen: bool, time: Duration) -> anyhow::Result<Measured> {
        let people = strangers(world, drive::count_for(JOINS_PER_SECOND, time).min(JOINS_MAX));
        if seen {
            show(world, &people).await?;
        }
        let (measured, placed) = join(world, self.concert_id, &people, CONNECTIONS, time).await?;
        let leaving: Vec<_> = placed.iter().map(|buyer| buyer.leave().prepare()).collect();
        world.send_all(&leaving, gone).await?;
        Ok(measured)
    }

    async fn polls(&self, world: &World, time: Duration) -> anyhow::Result<Measured> {
        let requests: Vec<_> = self.polling.iter().map(|buyer| buyer.poll().prepare()).collect();
        world.send_all(&requests, drive::ok).await?;
        let (address, processes) = (world.server.address, &world.processes);
        drive::repeat(address, CONNECTIONS, time, &requests, drive::ok, processes).await
    }

    /// The admitted buyer leaves, and the next one polls until it is admitted.
    async fn turns(&mut self, world: &World) -> anyhow::Result<()> {
        let mut leaving = Connection::open(world.server.address).await?;
        let mut asking = Connection::open(world.server.address).await?;
        for pair in self.front.windows(2) {
            let began = Instant::now();
            let leave = async { leaving.send(&pair[0].leave().prepare()).await };
            let next = async {
                let request = pair[1].poll().prepare();
                loop {
                    let answer = asking.send(&request).await?;
                    if drive::ok(&answer) && drive::contains(&answer, "\"active\"") {
                        return Ok::<_, std::io::Error>(began.elapsed());
                    }
                    ensure_waiting(&answer)?;
                }
            };
            let (left, took) = tokio::join!(leave, next);
            ensure!(gone(&left?), "leaving was refused");
            self.rounds.turns.latencies.record(took?);
        }
        Ok(())
    }
}

fn ensure_waiting(answer: &Response) -> std::io::Result<()> {
    let waits = drive::ok(answer) && drive::contains(answer, "\"waiting\"");
    if waits { Ok(()) } else { Err(std::io::Error::other(drive::refusal(answer))) }
}

/// The concerts by their titles, which tell how many are to wait.
async fn concerts(world: &World) -> anyhow::Result<Vec<(usize, Uuid)>> {
    let mut connection = Connection::open(world.server.address).await?;
    let concerts: List<Concert> = connection.send(&Request::get("/v1/concerts").prepare()).await?.read()?;
    concerts.items.iter().map(|concert| Ok((concert.title.parse()?, concert.id))).collect()
}

/// Lines of one server, one of them with a million people.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let sizes: &[usize] = if bench.smoke { &WAITING_SMOKE } else { &WAITING };
    let settings = [("queue_capacity", "2000000")];
    let world = World::open(bench, &store, "line", &catalog(sizes)?, &settings).await?;
    let mut lines = Vec::new();
    let mut bytes_each = 0.0;
    for (waiting, concert_id) in concerts(&world).await? {
        let before = world.server.watched()?.cost()?.resident_bytes;
        lines.push(Line::fill(&world, concert_id, waiting).await?);
        let after = world.server.watched()?.cost()?.resident_bytes;
        bytes_each = each(after.saturating_sub(before), waiting);
    }
    // The first round warms everything up, and is not counted.
    for _ in 0..=bench.rounds {
        for line in &mut lines {
            line.rounds.joins_seen.push(line.joins(&world, true, bench.time).await?);
            line.rounds.joins_never_seen.push(line.joins(&world, false, bench.time).await?);
            line.rounds.polls.push(line.polls(&world, bench.time).await?);
        }
    }
    for line in lines.iter_mut().filter(|line| line.waiting > 0) {
        line.turns(&world).await?;
    }
    world.server.stop().await?;
    Ok(section_of(&store, &lines, bytes_each))
}

#[expect(clippy::cast_precision_loss, reason = "memory and counts are far below 2^53")]
fn each(bytes: u64, count: usize) -> f64 {
    bytes as f64 / count.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn section_of(store: &Store, lines: &[Line], bytes_each: f64) -> Section {
    let setting = format!(
        "{}. All lines are in one server, and admit one at a time. A buyer who joins is new to the queue; *seen before* has \
         asked something else with the same access token just before, so that the token is known, and *never seen* \
         has not, so that its signature is checked. Polls come from buyers all over the queue (of an empty queue: from \
         the one who is admitted). Buyers who have joined in a round leave after it. Closed loop.",
        store.described
    );
    let mut section = Section::new("line", "The waiting room", setting);
    for line in lines {
        let load = format!("{} in line, {CONNECTIONS} connections", grouped(line.waiting as f64));
        section.rows.push(Row::of("join, seen before", &load, &line.rounds.joins_seen[1..]));
        section.rows.push(Row::of("join, never seen", &load, &line.rounds.joins_never_seen[1..]));
        section.rows.push(Row::of("status poll", &load, &line.rounds.polls[1..]));
    }
    for line in lines.iter().filter(|line| line.waiting > 0) {
        let ms = |share: f64| Spread::of([line.rounds.turns.latencies.quantile(share).as_secs_f64() * 1e3]);
        let waiting = grouped(line.waiting as f64);
        section.figure(format!("from leaving until the next one is told, {waiting} in line, median"), ms(0.5), "ms");
        section.figure(format!("the same, longest of {TURNS}"), ms(1.0), "ms");
    }
    section.figure("resident memory for each who waits, its access token with it", Spread::of([bytes_each]), "bytes");
    section
}
