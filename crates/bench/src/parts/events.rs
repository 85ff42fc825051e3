//! What it costs the holds that other systems learn of them, and how many events arrive.

use std::time::Duration;

use anyhow::{Context, ensure};
use boxoffice_rush::{Connection, Request};
use boxoffice_testkit::rabbitmq::{Queue, RabbitServer};
use tokio::time::Instant;

use super::holds::round;
use crate::{
    drive::Measured,
    options::Bench,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{Shape, World},
};

const CONNECTIONS: usize = 256;
const PERFORMANCES: usize = 5;
/// How many events a reader has had.
const DELIVERED: &str = "boxoffice_events_delivered_total";
/// How long the relay may take for what is left when a round is over.
const CATCH_UP_MAX: Duration = Duration::from_mins(2);

/// What happened to the events of a round.
struct Delivered {
    /// A second, while seats were held.
    during: f64,
    /// A second, from the beginning until the reader had all of them.
    until_all: f64,
}

/// The sum of a metric of the server over its labels.
async fn metric(world: &World, name: &str) -> anyhow::Result<f64> {
    let mut connection = Connection::open(world.server.address).await?;
    let response = connection.send(&Request::get("/metrics").prepare()).await?;
    let text = String::from_utf8(response.body.to_vec())?;
    let of_name = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values = of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// Holds for a while with a reader of the events, and waits until that has had all.
async fn watched_round(world: &World, bench: &Bench, delivered: &str) -> anyhow::Result<(Measured, Delivered)> {
    let before = metric(world, delivered).await?;
    let began = Instant::now();
    let (measured, held) = super::holds::hold(world, CONNECTIONS, bench.time).await?;
    let (at_end, took) = (metric(world, delivered).await?, began.elapsed());
    let count = held.len();
    #[expect(clippy::cast_precision_loss, reason = "a round has far fewer than 2^52 holds")]
    let wanted = before + count as f64;
    while metric(world, delivered).await? < wanted {
        ensure!(began.elapsed() < CATCH_UP_MAX, "the events of {count} holds have not arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let until_all = (wanted - before) / began.elapsed().as_secs_f64();
    world.cancel_all(&held).await?;
    // The cancellations are not measured, and must not be in the way of the next round.
    while metric(world, delivered).await? < wanted + (wanted - before) {
        ensure!(began.elapsed() < 2 * CATCH_UP_MAX, "the events of {count} cancellations have not arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((measured, Delivered { during: (at_end - before) / took.as_secs_f64(), until_all }))
}

/// The same server without a reader of events, and with a broker.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let broker = RabbitServer::start().await?;
    let _queue = Queue::bind(&broker.url(), "boxoffice", "bench", "#").await;
    let url = broker.url();
    let shape = Shape::new(bench, PERFORMANCES);
    let mut quiet = World::prepare(bench, &store, "quiet", shape, &[]).await?;
    let mut told = World::prepare(bench, &store, "broker", shape, &[("events", &url)]).await?;
    for world in [&mut quiet, &mut told] {
        world.admit_all().await?;
    }
    let warm = bench.time.min(Duration::from_secs(1));
    round(&quiet, CONNECTIONS, warm).await?;
    watched_round(&told, &Bench { time: warm, ..bench.clone() }, DELIVERED).await.context("the broker has nothing")?;
    let (mut without, mut with, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        without.push(round(&quiet, CONNECTIONS, bench.time).await?);
        let (measured, delivered) = watched_round(&told, bench, DELIVERED).await?;
        with.push(measured);
        events.push(delivered);
    }
    quiet.server.stop().await?;
    told.server.stop().await?;
    let setting = format!(
        "{}, and RabbitMQ on the same cores, with one durable queue for everything, which keeps each event on its disk before \
         it is delivered. Two servers take turns, one without readers of events. Each hold asks for one seat that no other \
         buyer asks for, as fast as the server answers, which is more events than anybody sells tickets; the relay has what \
         the cores have left. Each hold is one event.",
        store.described
    );
    let mut section = Section::new("Events to a broker, MariaDB", setting);
    let load = format!("{CONNECTIONS} connections");
    section.rows.push(Row::of("hold, no readers", &load, &without));
    section.rows.push(Row::of("hold, events to RabbitMQ", &load, &with));
    section.figure(
        "events delivered while holds go on",
        Spread::of(events.iter().map(|events| events.during)),
        "a second",
    );
    section.figure(
        "events delivered from the first hold until the queue has all",
        Spread::of(events.iter().map(|events| events.until_all)),
        "a second",
    );
    let ratios = with.iter().zip(&without).map(|(with, without)| with.per_second() / without.per_second());
    section.figure("holds with a broker ÷ without readers", Spread::of(ratios), "times");
    Ok(section)
}
