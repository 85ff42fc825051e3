//! The queue of a concert: joining it, and polling.

use std::time::Duration;

use boxoffice_domain::{EntropySource, fixtures::TestEntropy};
use boxoffice_rush::{
    Buyer, Connection, Request, Response,
    buyer::{Concert, List, QueueStatus},
    plot::grouped_count,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    drive::{self, Measured, Wanted},
    options::Bench,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{PATIENCE, World, arena},
};

/// How many buyers wait in each queue.
const WAITING: [usize; 3] = [0, 10_000, 1_000_000];
const WAITING_SMOKE: [usize; 2] = [0, 1_000];
const CONNECTIONS: usize = 256;
/// How many join in a second of a round: more than the server takes.
const JOINS_PER_SECOND: f64 = 30_000.0;
/// Fewer than the tokens that a server caches, so that it still knows the latest.
const JOINS_MAX: usize = 60_000;
/// How many of the waiting buyers poll.
const POLLING_MAX: usize = 20_000;
/// How many requests are prepared at once while a queue is filled.
const CHUNK: usize = 20_000;

/// A queue, and some of its buyers.
struct Queue {
    waiting: usize,
    concert_id: Uuid,
    /// The buyers who poll, from all over the queue; the first of them is admitted.
    polling: Vec<Buyer>,
    joins: Vec<Measured>,
    polls: Vec<Measured>,
}

/// Concerts that admit one buyer at a time, one for each queue.
fn catalog(waiting: &[usize]) -> anyhow::Result<Value> {
    let mut venue = arena()?;
    venue["overlaps_allowed"] = json!(true);
    venue["sections"] = json!([{"name": "A", "rows": [{"name": "1", "seats": 10}]}]);
    let concert = |waiting: &usize| {
        json!({
            "key": format!("queue-{waiting}"), "title": waiting.to_string(), "artist": "ORBIT", "description": "",
            "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z",
            "max_seats_per_account": 4, "max_active": 1, "performances": [{
                "key": format!("queue-{waiting}-1"), "venue": venue["key"], "starts_at": "2031-01-01T09:00:00Z",
                "prices": [{"section": "A", "price": 1_000}],
            }],
        })
    };
    Ok(json!({"venues": [venue], "concerts": waiting.iter().map(concert).collect::<Vec<_>>()}))
}

/// Accounts whose tokens the server has not seen.
fn strangers(world: &World, count: usize) -> Vec<Buyer> {
    (0..count).map(|_| Buyer::new(world.signer.sign(TestEntropy.uuid()))).collect()
}

/// Lets buyers join, and gives them with their places.
async fn join(
    world: &World,
    concert_id: Uuid,
    buyers: &[Buyer],
    time_max: Duration,
) -> anyhow::Result<(Measured, Vec<Buyer>)> {
    let requests: Vec<_> = buyers.iter().map(|buyer| buyer.join(concert_id).prepare()).collect();
    let (measured, responses) = world.load(CONNECTIONS, time_max, drive::created).once(&requests).await?;
    let placed = |(index, response): &(usize, Response)| {
        Ok(Buyer { queue_token: response.read::<QueueStatus>()?.token, ..buyers[*index].clone() })
    };
    let placed = responses.iter().map(placed).collect::<anyhow::Result<_>>()?;
    Ok((measured, placed))
}

impl Queue {
    async fn fill(world: &World, concert_id: Uuid, waiting: usize) -> anyhow::Result<Self> {
        // The first is admitted, and does not wait. Its account has to exist.
        let (_, mut polling) = join(world, concert_id, &world.buyers[..1], PATIENCE).await?;
        let step = waiting.div_ceil(POLLING_MAX).max(1);
        let mut missing = waiting;
        while missing > 0 {
            let buyers = strangers(world, missing.min(CHUNK));
            let (_, placed) = join(world, concert_id, &buyers, PATIENCE).await?;
            polling.extend(placed.into_iter().step_by(step));
            missing -= buyers.len();
        }
        Ok(Self { waiting, concert_id, polling, joins: Vec::new(), polls: Vec::new() })
    }

    /// Joins for a while, and leaves again.
    async fn measure_joins(&self, world: &World, time: Duration) -> anyhow::Result<Measured> {
        let buyers = strangers(world, drive::count_for(JOINS_PER_SECOND, time).min(JOINS_MAX));
        let verifying: Vec<_> = buyers.iter().map(|buyer| buyer.poll().prepare()).collect();
        // Without a queue token a poll is refused, once the access token has been verified.
        let refused: Wanted = |response| response.status == 401 && drive::contains(response, "queue_token_missing");
        world.send_all(&verifying, refused).await?;
        let (measured, placed) = join(world, self.concert_id, &buyers, time).await?;
        let leaving: Vec<_> = placed.iter().map(|buyer| buyer.leave().prepare()).collect();
        world.send_all(&leaving, |response| response.status == 204).await?;
        Ok(measured)
    }

    async fn measure_polls(&self, world: &World, time: Duration) -> anyhow::Result<Measured> {
        let requests: Vec<_> = self.polling.iter().map(|buyer| buyer.poll().prepare()).collect();
        world.send_all(&requests, drive::ok).await?;
        world.load(CONNECTIONS, time, drive::ok).repeat(&requests).await
    }
}

/// Several queues of one server, one of them with a million buyers.
#[expect(clippy::cast_precision_loss, reason = "memory and counts are far below 2^53")]
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let sizes: &[usize] = if bench.smoke { &WAITING_SMOKE } else { &WAITING };
    let mut world = World::open(bench, &store, "queue", &catalog(sizes)?, &[("queue_capacity", "2000000")]).await?;
    world.sign_up(1).await?;
    let mut queues = Vec::new();
    let mut bytes_each = 0.0;
    let mut connection = Connection::open(world.server.address).await?;
    let concerts: List<Concert> = connection.send(&Request::get("/v1/concerts").prepare()).await?.read()?;
    for concert in concerts.items {
        // The title says how many buyers are to wait.
        let waiting: usize = concert.title.parse()?;
        let before = world.server.watched()?.cost()?.resident_bytes;
        queues.push(Queue::fill(&world, concert.id, waiting).await?);
        let after = world.server.watched()?.cost()?.resident_bytes;
        // Of the last queue, which is the longest.
        bytes_each = after.saturating_sub(before) as f64 / waiting.max(1) as f64;
    }
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        for queue in &mut queues {
            let joins = queue.measure_joins(&world, bench.time).await?;
            let polls = queue.measure_polls(&world, bench.time).await?;
            if round > 0 {
                queue.joins.push(joins);
                queue.polls.push(polls);
            }
        }
    }
    world.server.stop().await?;
    let setting = format!(
        "{}. All queues are in one server, and admit one buyer at a time. A buyer who joins is new to the queue, and \
         the server has verified the access token just before. Polls come from buyers all over the queue (of an empty \
         queue: from the one who is admitted). Buyers who have joined in a round leave after it. Closed loop.",
        store.described
    );
    let mut section = Section::new("The waiting room", setting);
    for queue in &queues {
        let load = format!("{} waiting, {CONNECTIONS} connections", grouped_count(queue.waiting as u64));
        section.rows.push(Row::of("join", &load, &queue.joins));
        section.rows.push(Row::of("status poll", &load, &queue.polls));
    }
    section.figure("resident memory for each waiting buyer, with the access token", Spread::of([bytes_each]), "bytes");
    Ok(section)
}
