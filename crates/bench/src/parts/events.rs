//! What it costs the holds that other systems learn of them, and how many events arrive.

use std::time::Duration;

use anyhow::{Context, ensure};
use boxoffice_rush::{
    Buyer, Connection, Request,
    buyer::{self, Session},
    plot::grouped,
};
use boxoffice_testkit::rabbitmq::{Queue, RabbitServer};
use serde_json::json;
use tokio::time::Instant;

use super::holds::{hold, round};
use crate::{
    drive::Measured,
    options::Bench,
    process::Watched,
    receiver,
    report::{Row, Section, Spread},
    server::{Backend, Store},
    world::{Shape, World},
};

const CONNECTIONS: usize = 256;
const PERFORMANCES: usize = 5;
/// How long readers may take for what is left when a round is over.
const CATCH_UP_MAX: Duration = Duration::from_mins(2);
const PASSWORD: &str = "correct horse battery";
/// How the reader comes to have something to work off.
const AWAY: &str = " In between, the broker is stopped during one more flood.";

/// What learns of holds.
struct Reader {
    /// How its row is called.
    name: &'static str,
    /// What it gets.
    gets: &'static str,
    /// The line of the metrics that counts what it has had, up to its value.
    counter: &'static str,
    /// How many holds a second go on while it works off what a flood of holds has left.
    holds_per_second: f64,
}

const BROKER: Reader = Reader {
    name: "hold, events to RabbitMQ",
    gets: "events",
    counter: "boxoffice_events_delivered_total{reader=\"broker\"} ",
    holds_per_second: 2_000.0,
};

const WEBHOOK: Reader = Reader {
    name: "hold, events to a webhook",
    gets: "webhooks",
    counter: "boxoffice_webhook_deliveries_total{outcome=\"delivered\"} ",
    holds_per_second: 1_000.0,
};

/// A server with a reader.
struct Told {
    world: World,
    /// It gets the cancellations, too. A webhook does not: it falls behind without being away.
    broker: Option<RabbitServer>,
}

/// What is measured of a server, in rounds.
#[derive(Default)]
struct Rounds {
    /// Holds as fast as they are answered.
    flood: Vec<Measured>,
    /// Holds at a steady rate, right afterwards.
    steady: Vec<Measured>,
    /// What the reader had a second meanwhile.
    during_flood: Vec<f64>,
    during_steady: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "a round has far fewer than 2^52 holds")]
fn as_float(count: usize) -> f64 {
    count as f64
}

impl Reader {
    /// How many events it has had.
    async fn count(&self, world: &World) -> anyhow::Result<f64> {
        let mut connection = Connection::open(world.server.address).await?;
        let response = connection.send(&Request::get("/metrics").prepare()).await?;
        let text = String::from_utf8(response.body.to_vec())?;
        let value = text.lines().find_map(|line| line.strip_prefix(self.counter));
        Ok(value.context("the server counts no events")?.parse()?)
    }

    /// Holds for a while, and then cancels. Gives how many seats were held, and what the reader had a second meanwhile.
    async fn load(
        &self,
        world: &World,
        time: Duration,
        per_second: Option<f64>,
    ) -> anyhow::Result<(Measured, f64, f64)> {
        let (before, began) = (self.count(world).await?, Instant::now());
        let (measured, held) = hold(world, CONNECTIONS, time, per_second).await?;
        let had = (self.count(world).await? - before) / began.elapsed().as_secs_f64();
        world.cancel_all(&held).await?;
        Ok((measured, as_float(held.len()), had))
    }

    /// A flood; another one while the reader is away, if that can be; and right afterwards steady holds while it works off what
    /// is left.
    async fn round(&self, told: &Told, time: Duration, rounds: &mut Rounds) -> anyhow::Result<()> {
        let world = &told.world;
        let (before, began) = (self.count(world).await?, Instant::now());
        let (flood, mut held, during_flood) = self.load(world, time, None).await?;
        if let Some(broker) = &told.broker {
            broker.pause().await?;
            held += self.load(world, time, None).await?.1;
            broker.resume().await?;
        }
        let (steady, steady_held, during_steady) = self.load(world, time, Some(self.holds_per_second)).await?;
        let wanted = if told.broker.is_some() { 2.0 } else { 1.0 } * (held + steady_held);
        while self.count(world).await? < before + wanted {
            ensure!(began.elapsed() < 2 * time + CATCH_UP_MAX, "the events have not arrived");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rounds.flood.push(flood);
        rounds.steady.push(steady);
        rounds.during_flood.push(during_flood);
        rounds.during_steady.push(during_steady);
        Ok(())
    }

    /// Compares a server without readers of events with one that has this.
    async fn compare(
        &self,
        bench: &Bench,
        mut quiet: World,
        mut told: Told,
        section: &mut Section,
    ) -> anyhow::Result<()> {
        for world in [&mut quiet, &mut told.world] {
            world.admit_all().await?;
        }
        let warm = bench.time.min(Duration::from_secs(1));
        round(&quiet, CONNECTIONS, warm).await?;
        self.round(&told, warm, &mut Rounds::default()).await.context("nothing has arrived")?;
        let (mut without, mut with) = (Rounds::default(), Rounds::default());
        for _ in 0..bench.rounds {
            without.flood.push(round(&quiet, CONNECTIONS, bench.time).await?);
            let (measured, held) = hold(&quiet, CONNECTIONS, bench.time, Some(self.holds_per_second)).await?;
            quiet.cancel_all(&held).await?;
            without.steady.push(measured);
            self.round(&told, bench.time, &mut with).await?;
        }
        quiet.server.stop().await?;
        told.world.server.stop().await?;
        self.report(&without, &with, section);
        Ok(())
    }

    fn report(&self, without: &Rounds, with: &Rounds, section: &mut Section) {
        let steady = format!("{} a second", grouped(self.holds_per_second));
        let flood = format!("{CONNECTIONS} connections");
        section.rows.push(Row::of("hold, no readers", &flood, &without.flood));
        section.rows.push(Row::of(self.name, &flood, &with.flood));
        section.rows.push(Row::of("hold, no readers", &steady, &without.steady));
        section.rows.push(Row::of(self.name, &steady, &with.steady));
        let gets = self.gets;
        for (name, values) in [
            (format!("{gets} delivered while {steady} are held"), &with.during_steady),
            (format!("{gets} delivered beside holds that take all they can"), &with.during_flood),
        ] {
            section.figure(name, Spread::of(values.iter().copied()), "a second");
        }
        let ratios = with.flood.iter().zip(&without.flood);
        let ratios = ratios.map(|(with, without)| with.per_second() / without.per_second());
        section.figure("holds that take all they can, with ÷ without a reader", Spread::of(ratios), "times");
    }
}

fn setting(store: &Store, reader: &str, is_away: bool) -> String {
    format!(
        "{}, and {reader} on the same cores. Two servers take turns, one without readers of events. Each hold asks for one seat \
         that no other buyer asks for, and is one event: first as fast as the server answers, so that the reader has what the \
         cores have left; then at a steady rate, while the reader works off what has come before.{}",
        store.described,
        if is_away { AWAY } else { "" }
    )
}

/// The same server without a reader of events, and with a broker.
pub(super) async fn to_broker(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let broker = RabbitServer::start().await?;
    let _queue = Queue::bind(&broker.url(), "boxoffice", "bench", "#").await;
    let url = broker.url();
    let shape = Shape::new(bench, PERFORMANCES);
    let quiet = World::prepare(bench, &store, "quiet", shape, &[]).await?;
    let mut world = World::prepare(bench, &store, "broker", shape, &[("events", &url)]).await?;
    world.processes.0.push(("broker", Watched::new(broker.process_id().await?)?));
    let what =
        "RabbitMQ with one durable queue for everything, which keeps each event on its disk before it is delivered,";
    let mut section = Section::new("Events to a broker, MariaDB", setting(&store, what, true));
    BROKER.compare(bench, quiet, Told { world, broker: Some(broker) }, &mut section).await?;
    Ok(section)
}

/// The same server without a reader of events, and with a webhook.
pub(super) async fn to_webhooks(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let shape = Shape::new(bench, PERFORMANCES);
    let quiet = World::prepare(bench, &store, "quiet", shape, &[]).await?;
    let world = World::prepare(bench, &store, "webhook", shape, &[("webhooks_private_addresses", "true")]).await?;
    make_webhook(bench, &world).await?;
    let what = "an endpoint in the generator that accepts each request at once";
    let mut section = Section::new("Events to a webhook, MariaDB", setting(&store, what, false));
    WEBHOOK.compare(bench, quiet, Told { world, broker: None }, &mut section).await?;
    Ok(section)
}

/// Has the holds sent to an endpoint.
async fn make_webhook(bench: &Bench, world: &World) -> anyhow::Result<()> {
    let password = [("BOXOFFICE_PASSWORD", PASSWORD)];
    world.server.run_with(&bench.binary, &["account", "operator", "--role", "admin"], &password).await?;
    let mut connection = Connection::open(world.server.address).await?;
    let session: Session = connection.send(&buyer::sign_in("operator", PASSWORD).prepare()).await?.read()?;
    let endpoint = format!("http://{}/", receiver::start()?);
    let body = json!({"url": endpoint, "kinds": ["reservation.held"]});
    let admin = Buyer::new(session.access_token);
    let made = connection.send(&admin.request("POST", "/v1/webhooks").json(&body).prepare()).await?;
    ensure!(made.status == 201, "the webhook was not made: {}", made.status);
    Ok(())
}
