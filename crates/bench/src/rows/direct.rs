//! The tables of boxoffice, spoken to by plain clients of the database: no HTTP, no server process.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

use anyhow::{Context, ensure};
use boxoffice_domain::fixtures::TestEntropy;
use boxoffice_domain::{AccountId, EntropySource, Points, Timestamp, events::Event, reservations::SeatLabel};
use chrono::{Datelike, TimeDelta, Timelike};
use futures::future::try_join_all;
use mysql_async::{Conn, Params, Row, Value, prelude::Queryable};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    clock,
    drive::{Measured, Processes, Stopwatch},
    server,
    world::World,
};

/// Every statement of every size stays prepared, as it does in the server.
const STATEMENTS_KEPT: usize = 2_048;

/// How many events one batch tells that is written as an aftermath.
pub(crate) const EVENTS_TOGETHER: usize = 128;

/// A seat as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) performance_id: Uuid,
    pub(crate) label: String,
    ordinal: i32,
    price: i64,
}

/// What there is to be held, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    url: String,
    pub(crate) concert_id: Uuid,
    pub(crate) accounts: Vec<AccountId>,
    /// In the order of [`World::places`].
    pub(crate) seats: Vec<Seat>,
    /// The present instant: it stands still, so that nothing lapses while it is measured.
    pub(crate) now: Timestamp,
}

/// A hold that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold<'t> {
    pub(crate) reservation_id: Uuid,
    pub(crate) account_id: AccountId,
    pub(crate) seat: &'t Seat,
}

pub(crate) fn id(uuid: Uuid) -> Value {
    Value::Bytes(uuid.as_bytes().to_vec())
}

pub(crate) fn words(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

pub(crate) fn time(at: Timestamp) -> Value {
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(at.year()).unwrap_or_default();
    let (hour, minute, second) = (small(at.hour()), small(at.minute()), small(at.second()));
    Value::Date(year, small(at.month()), small(at.day()), hour, minute, second, at.nanosecond() / 1_000)
}

/// `(?, ?, …)`
pub(crate) fn tuple(count: usize) -> String {
    format!("({})", vec!["?"; count].join(", "))
}

/// The values of a list, the last one repeated up to the next power of two, as the server does it.
fn padded(mut values: Vec<Value>) -> Vec<Value> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

/// The seats of a reservation of one seat, as they are stored.
pub(crate) fn seats_text(label: &str, price: i64) -> Value {
    words(&json!([{"label": label, "price": price}]).to_string())
}

/// Inserts rows with one statement; `after` follows the rows.
pub(crate) async fn insert(
    connection: &mut Conn,
    into: &str,
    rows: Vec<Vec<Value>>,
    after: &str,
) -> anyhow::Result<()> {
    let Some(columns) = rows.first().map(Vec::len) else { return Ok(()) };
    let tuples = vec![tuple(columns); rows.len()].join(", ");
    let values = rows.into_iter().flatten().collect();
    connection.exec_drop(format!("{into} VALUES {tuples}{after}"), Params::Positional(values)).await?;
    Ok(())
}

impl Tables {
    /// Those of a world. Its server may go on or be stopped.
    pub(crate) async fn of(world: &World) -> anyhow::Result<Self> {
        let url = world.server.database_url.clone();
        let mut connection = server::connect(&url).await?;
        let rows: Vec<(Vec<u8>, String, i32, i64)> =
            connection.query("SELECT performance_id, label, ordinal, price FROM seats").await?;
        connection.disconnect().await?;
        let mut stored = HashMap::with_capacity(rows.len());
        for (performance_id, label, ordinal, price) in rows {
            stored.insert((Uuid::from_slice(&performance_id)?, label), (ordinal, price));
        }
        let mut seats = Vec::with_capacity(world.places.len());
        for place in &world.places {
            let key = (place.performance_id.parse()?, place.label.clone());
            let (ordinal, price) = *stored.get(&key).context("a seat of the map is not in the table")?;
            seats.push(Seat { performance_id: key.0, label: key.1, ordinal, price });
        }
        let accounts = world.buyers.iter().map(|buyer| buyer.account_id).collect();
        Ok(Self { url, concert_id: world.concert_id.parse()?, accounts, seats, now: clock::now() })
    }

    /// Connections that keep their statements prepared.
    pub(crate) async fn connect(&self, count: usize) -> anyhow::Result<Vec<Conn>> {
        let url = format!("{}?stmt_cache_size={STATEMENTS_KEPT}", self.url);
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(server::connect(&url).await?);
        }
        Ok(connections)
    }

    /// Until when seats are held: so long that no sweeper comes meanwhile.
    fn held_until(&self) -> Timestamp {
        self.now + TimeDelta::days(1)
    }

    /// The holds of these seats, each by the account whose turn it is.
    pub(crate) fn holds(&self, seats: Range<usize>) -> Vec<Hold<'_>> {
        seats.map(|seat| self.hold(seat, seat)).collect()
    }

    /// A hold of a seat, by the account whose turn it is in this request.
    pub(crate) fn hold(&self, request: usize, seat: usize) -> Hold<'_> {
        let account_id = self.accounts[request % self.accounts.len()];
        Hold { reservation_id: TestEntropy.uuid(), account_id, seat: &self.seats[seat] }
    }

    /// Gives up all that is held, as a cancellation of each would leave it.
    pub(crate) async fn give_up(&self, connection: &mut Conn) -> anyhow::Result<()> {
        let held: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> =
            connection.query("SELECT id, account_id, performance_id FROM reservations WHERE status = 'held'").await?;
        let mut events = Vec::with_capacity(held.len());
        for (reservation_id, account_id, performance_id) in held {
            events.push(Event::ReservationCancelled {
                reservation_id: Uuid::from_slice(&reservation_id)?.into(),
                account_id: Uuid::from_slice(&account_id)?.into(),
                performance_id: Uuid::from_slice(&performance_id)?.into(),
                refunded: Points::ZERO,
            });
        }
        for events in events.chunks(EVENTS_TOGETHER) {
            insert_batch(connection, events, self.now).await?;
        }
        connection.query_drop("UPDATE reservations SET status = 'cancelled' WHERE status = 'held'").await?;
        let free = "UPDATE seats SET reservation_id = NULL, held_until = NULL WHERE held_until IS NOT NULL";
        connection.query_drop(free).await?;
        Ok(())
    }

    /// Checks that as many seats and as many reservations are held, and no fewer than were promised.
    pub(crate) async fn check(&self, connection: &mut Conn, promised: usize) -> anyhow::Result<()> {
        let reservations: Option<usize> =
            connection.query_first("SELECT COUNT(*) FROM reservations WHERE status = 'held'").await?;
        let seats: Option<usize> = connection
            .query_first("SELECT COUNT(DISTINCT reservation_id) FROM seats WHERE held_until IS NOT NULL")
            .await?;
        let kept = reservations == Some(promised) && seats == Some(promised);
        ensure!(kept, "{promised} holds were promised: {reservations:?} reservations, {seats:?} seats are there");
        Ok(())
    }
}

/// The labels that holds ask for, by performance.
pub(crate) fn labels_by_performance<'t>(holds: &[Hold<'t>]) -> BTreeMap<Uuid, Vec<&'t str>> {
    let mut labels: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for hold in holds {
        labels.entry(hold.seat.performance_id).or_default().push(&hold.seat.label);
    }
    for labels in labels.values_mut() {
        labels.sort_unstable();
        labels.dedup();
    }
    labels
}

/// Locks seats of a performance, and gives those that can be had.
pub(crate) async fn lock_seats(
    connection: &mut Conn,
    tables: &Tables,
    performance_id: Uuid,
    labels: &[&str],
) -> anyhow::Result<Vec<String>> {
    let labels = padded(labels.iter().map(|label| words(label)).collect());
    let query = format!(
        "SELECT performance_id, label, ordinal, price, reservation_id, held_until FROM seats \
         WHERE performance_id = ? AND label IN {} ORDER BY label FOR UPDATE",
        tuple(labels.len())
    );
    let values = std::iter::once(id(performance_id)).chain(labels).collect();
    let rows: Vec<Row> = connection.exec(query, Params::Positional(values)).await?;
    let mut free = Vec::with_capacity(rows.len());
    for row in rows {
        if is_free(&row, 4, tables.now)? {
            free.push(row.get(1).context("a seat has no label")?);
        }
    }
    Ok(free)
}

/// Whether the two columns from this one on say that a seat can be had.
pub(crate) fn is_free(row: &Row, column: usize, now: Timestamp) -> anyhow::Result<bool> {
    let held_until = row.as_ref(column + 1).context("a seat has no `held_until`")?;
    let lapsed = match (held_until, time(now)) {
        (
            Value::Date(year, month, day, hour, minute, second, micros),
            Value::Date(now_year, now_month, now_day, now_hour, now_minute, now_second, now_micros),
        ) => {
            (*year, *month, *day, *hour, *minute, *second, *micros)
                <= (now_year, now_month, now_day, now_hour, now_minute, now_second, now_micros)
        }
        _ => false,
    };
    Ok(lapsed || row.as_ref(column) == Some(&Value::NULL))
}

/// Writes reservations of one seat each.
pub(crate) async fn insert_reservations(
    connection: &mut Conn,
    tables: &Tables,
    holds: &[Hold<'_>],
) -> anyhow::Result<()> {
    let row = |hold: &Hold<'_>| {
        let mut row = vec![id(hold.reservation_id), id(hold.account_id.uuid()), id(hold.seat.performance_id)];
        row.extend([id(tables.concert_id), words("held"), Value::Int(1), Value::Int(hold.seat.price)]);
        row.extend([time(tables.held_until()), Value::NULL, time(tables.now), time(tables.now)]);
        row.extend([Value::NULL, Value::NULL, Value::NULL, Value::NULL]);
        row.push(seats_text(&hold.seat.label, hold.seat.price));
        row
    };
    let into = "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, \
                total_amount, held_until, payment_id, created_at, updated_at, idempotency_key, fingerprint, \
                cancel_key, cancel_fingerprint, seats)";
    insert(connection, into, holds.iter().map(row).collect(), "").await
}

/// Writes down whose the seats are now.
pub(crate) async fn take_seats(connection: &mut Conn, tables: &Tables, holds: &[Hold<'_>]) -> anyhow::Result<()> {
    let row = |hold: &Hold<'_>| {
        let seat = hold.seat;
        let mut row = vec![id(seat.performance_id), words(&seat.label), Value::Int(seat.ordinal.into())];
        row.extend([Value::Int(seat.price), id(hold.reservation_id), time(tables.held_until())]);
        row
    };
    let into = "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until)";
    let after = " ON DUPLICATE KEY UPDATE reservation_id = VALUES(reservation_id), held_until = VALUES(held_until)";
    insert(connection, into, holds.iter().map(row).collect(), after).await
}

/// What a hold writes to one seat that is free.
pub(crate) fn seat_taken(tables: &Tables, hold: &Hold<'_>) -> Vec<Value> {
    let key = [id(hold.seat.performance_id), words(&hold.seat.label)];
    [id(hold.reservation_id), time(tables.held_until())].into_iter().chain(key).collect()
}

/// Tells of the holds.
pub(crate) async fn insert_events(connection: &mut Conn, tables: &Tables, holds: &[Hold<'_>]) -> anyhow::Result<()> {
    let mut events = Vec::with_capacity(holds.len());
    for hold in holds {
        events.push(Event::ReservationHeld {
            reservation_id: hold.reservation_id.into(),
            account_id: hold.account_id,
            performance_id: hold.seat.performance_id.into(),
            seats: vec![SeatLabel::new(&hold.seat.label)?],
            held_until: tables.held_until(),
        });
    }
    insert_batch(connection, &events, tables.now).await
}

/// Tells of what happened, as one batch of the server does.
pub(crate) async fn insert_batch(
    connection: &mut Conn,
    events: &[impl Serialize],
    occurred_at: Timestamp,
) -> anyhow::Result<()> {
    let row = vec![id(TestEntropy.uuid()), words(&serde_json::to_string(events)?), time(occurred_at)];
    insert(connection, "INSERT INTO outbox_batches (id, events, occurred_at)", vec![row], "").await
}

/// The locks and reads that come before a hold is decided, in the order in which the server takes them.
pub(crate) async fn load(connection: &mut Conn, tables: &Tables, holds: &[Hold<'_>]) -> anyhow::Result<()> {
    let mut accounts: Vec<_> = holds.iter().map(|hold| hold.account_id.uuid()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let ids = padded(accounts.iter().copied().map(id).collect());
    let list = tuple(ids.len());
    let wallets = format!(
        "SELECT account_id, balance, pending, entries_count, updated_at FROM wallets WHERE account_id IN {list} \
         ORDER BY account_id FOR UPDATE"
    );
    let locked: Vec<Row> = connection.exec(wallets, Params::Positional(ids.clone())).await?;
    ensure!(locked.len() == accounts.len(), "an account has no wallet");
    let wanted = labels_by_performance(holds);
    load_terms(connection, wanted.keys().copied().map(id).collect()).await?;
    let holdings = format!(
        "SELECT id, account_id, concert_id, status, seats_count, held_until FROM reservations \
         FORCE INDEX (reservations_live) WHERE concert_id = ? AND status IN ('held', 'confirmed') AND account_id IN {list}"
    );
    let values = std::iter::once(id(tables.concert_id)).chain(ids).collect();
    let _holdings: Vec<Row> = connection.exec(holdings, Params::Positional(values)).await?;
    for (performance_id, labels) in wanted {
        let free = lock_seats(connection, tables, performance_id, &labels).await?;
        ensure!(free.len() == labels.len(), "a seat that nobody else asks for cannot be had");
    }
    Ok(())
}

async fn load_terms(connection: &mut Conn, performances: Vec<Value>) -> anyhow::Result<()> {
    let performances = padded(performances);
    let query = format!(
        "SELECT performances.id, performances.concert_id, concerts.title, venues.id, venues.name, venues.location, \
         performances.starts_at, concerts.sales_open_at, concerts.sales_close_at, concerts.max_seats_per_account \
         FROM performances JOIN concerts ON concerts.id = performances.concert_id \
         JOIN venues ON venues.id = performances.venue_id WHERE performances.id IN {}",
        tuple(performances.len())
    );
    let terms: Vec<Row> = connection.exec(query, Params::Positional(performances)).await?;
    ensure!(!terms.is_empty(), "a performance is missing");
    Ok(())
}

/// How a closed loop goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loop<'p> {
    /// How many requests there are.
    pub(crate) requests: usize,
    /// How many of them one transaction takes.
    pub(crate) batch: usize,
    pub(crate) time_max: Duration,
    pub(crate) processes: &'p Processes,
}

/// Lets each connection do one batch of requests after the other. What is measured are the requests; each takes as
/// long as its batch.
pub(crate) async fn closed_loop(
    connections: &mut [Conn],
    how: Loop<'_>,
    act: impl AsyncFn(&mut Conn, Range<usize>) -> anyhow::Result<()>,
) -> anyhow::Result<Measured> {
    let next = Cell::new(0);
    let measured = RefCell::new(Measured::default());
    let watch = Stopwatch::start(how.processes)?;
    let works = connections.iter_mut().map(async |connection| {
        while watch.elapsed() < how.time_max {
            let first = next.replace(next.get() + how.batch);
            if first + how.batch > how.requests {
                break;
            }
            let sent = Instant::now();
            act(connection, first..first + how.batch).await?;
            let (took, mut measured) = (sent.elapsed(), measured.borrow_mut());
            (0..how.batch).for_each(|_| measured.latencies.record(took));
        }
        anyhow::Ok(())
    });
    try_join_all(works).await?;
    watch.stop(measured.into_inner())
}
