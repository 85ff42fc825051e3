//! A database of the size at which an index matters, filled by statements of its own.

use boxoffice_domain::EntropySource;
use boxoffice_domain::fixtures::TestEntropy;
use chrono::TimeDelta;
use mysql_async::{Conn, Value, prelude::Queryable};
use serde_json::json;
use uuid::Uuid;

use crate::{
    clock,
    rows::{
        direct::{self, Tables},
        growth,
    },
};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) seats: usize,
    pub(super) accounts: usize,
    /// Concerts that have dates and no seats.
    pub(super) concerts: usize,
}

/// How many reservations an account has, and how many of them it has paid.
const RESERVATIONS_EACH: usize = 10;
const PAID_EACH: usize = 3;
/// How many reservations somebody has paid and given up who never stopped trying: the first of the buyers.
const GIVEN_UP: usize = 2_000;
/// How many accounts are written at a time.
const ACCOUNTS_TOGETHER: usize = 500;
/// How many promoters publish concerts, and how many dates each concert has.
const PROMOTERS: usize = 100;
const DATES_EACH: usize = 4;
const PRICE: i64 = 1_000;
const CHARGE: i64 = 100_000;
/// The tables that grow with what is sold and shown.
pub(super) const TABLES: [&str; 12] = [
    "accounts",
    "sessions",
    "venues",
    "concerts",
    "performances",
    "seats",
    "reservations",
    "wallets",
    "wallet_entries",
    "charges",
    "payments",
    "outbox_batches",
];

/// Fills the database. What is there afterwards keeps every promise that the audit checks.
pub(super) async fn fill(connection: &mut Conn, tables: &Tables, size: Size) -> anyhow::Result<()> {
    let performances = growth::grow(connection, size.seats).await?;
    let concert: Option<Vec<u8>> = connection
        .exec_first("SELECT concert_id FROM performances WHERE id = ?", (direct::id(performances[0]),))
        .await?;
    let labels: Vec<String> =
        connection.exec("SELECT label FROM seats WHERE performance_id = ?", (direct::id(performances[0]),)).await?;
    let sold = Sold { performances, labels, concert_id: Value::Bytes(concert.unwrap_or_default()) };
    // Before all others, so that what is newest of the buyer and what is newest of all lie far apart.
    keep_busy(connection, tables).await?;
    let mut first = 0;
    let mut promoters = Vec::new();
    while first < size.accounts {
        let mut rows = Rows::default();
        let last = (first + ACCOUNTS_TOGETHER).min(size.accounts);
        (first..last).for_each(|account| promoters.push(rows.add_account(account, &sold)));
        promoters.truncate(PROMOTERS);
        rows.insert(connection).await?;
        first = last;
    }
    sell(connection).await?;
    publish(connection, tables, size, &promoters).await?;
    connection.query_drop(format!("ANALYZE TABLE {}", TABLES.join(", "))).await?;
    Ok(())
}

/// Which seats are sold.
struct Sold {
    performances: Vec<Uuid>,
    labels: Vec<String>,
    concert_id: Value,
}

impl Sold {
    /// The seat that is sold as this one of all.
    fn seat(&self, number: usize) -> (Value, &str) {
        let performance = self.performances[number / self.labels.len() % self.performances.len()];
        (direct::id(performance), &self.labels[number % self.labels.len()])
    }
}

/// Rows that are written together.
#[derive(Default)]
struct Rows {
    accounts: Vec<Vec<Value>>,
    sessions: Vec<Vec<Value>>,
    wallets: Vec<Vec<Value>>,
    entries: Vec<Vec<Value>>,
    charges: Vec<Vec<Value>>,
    reservations: Vec<Vec<Value>>,
    payments: Vec<Vec<Value>>,
    events: Vec<serde_json::Value>,
}

fn new_id() -> Value {
    direct::id(TestEntropy.uuid())
}

/// An id as an event tells it.
fn told_id(id: &Value) -> Uuid {
    match id {
        Value::Bytes(bytes) => Uuid::from_slice(bytes).unwrap_or_default(),
        _ => Uuid::nil(),
    }
}

/// A time of this many hours ago.
fn hours_ago(hours: i64) -> Value {
    direct::time(clock::now() - TimeDelta::hours(hours))
}

impl Rows {
    /// Somebody with a charge, with reservations, and with payments for some of them. Gives the account.
    fn add_account(&mut self, number: usize, sold: &Sold) -> Value {
        let account = new_id();
        let login = direct::words(&format!("filler-{number}"));
        let mut row = vec![account.clone(), login, direct::words("Filler"), direct::words("customer")];
        row.extend([direct::words("$argon2id$none"), hours_ago(48)]);
        self.accounts.push(row);
        let mut row = vec![new_id(), account.clone(), Value::Bytes(vec![7; 32])];
        row.extend([hours_ago(48), hours_ago(-480)]);
        self.sessions.push(row);
        self.add_charge(&account);
        let mut balance = CHARGE;
        for index in 0..RESERVATIONS_EACH {
            let seat = sold.seat(number * PAID_EACH + index % PAID_EACH);
            if index < PAID_EACH {
                balance -= PRICE;
                self.add_paid(&account, &sold.concert_id, seat, index, balance);
            } else {
                let status = if index % 2 == 0 { "cancelled" } else { "expired" };
                self.add_reservation(&account, &sold.concert_id, seat, status, Value::NULL);
            }
        }
        let entries = i64::try_from(1 + PAID_EACH).unwrap_or_default();
        let row = vec![account.clone(), Value::Int(balance), Value::Int(0), Value::Int(entries), hours_ago(24)];
        self.wallets.push(row);
        account
    }

    fn add_charge(&mut self, account: &Value) {
        let charge = new_id();
        let mut row = vec![charge.clone(), account.clone(), Value::Int(CHARGE), direct::words("completed")];
        row.extend([Value::Int(CHARGE), hours_ago(47), hours_ago(47)]);
        row.extend([direct::words("filled-1"), Value::Bytes(vec![1; 16])]);
        self.charges.push(row);
        let mut row = vec![account.clone(), Value::Int(1), direct::words("charge"), Value::Int(CHARGE)];
        row.extend([Value::Int(CHARGE), Value::NULL, Value::NULL, charge.clone(), hours_ago(47)]);
        self.entries.push(row);
        for kind in ["charge_requested", "charge_completed"] {
            self.events.push(json!({"kind": kind, "charge_id": told_id(&charge)}));
        }
    }

    fn add_reservation(
        &mut self,
        account: &Value,
        concert: &Value,
        (performance, label): (Value, &str),
        status: &str,
        payment: Value,
    ) -> Value {
        let reservation = new_id();
        let mut row = vec![reservation.clone(), account.clone(), performance, concert.clone(), direct::words(status)];
        row.extend([Value::Int(1), Value::Int(PRICE), hours_ago(24), payment, hours_ago(25), hours_ago(24)]);
        row.push(direct::seats_text(label, PRICE));
        self.reservations.push(row);
        for status in ["held", status] {
            let kind = format!("reservation_{status}");
            self.events.push(json!({"kind": kind, "reservation_id": told_id(&reservation)}));
        }
        reservation
    }

    fn add_paid(&mut self, account: &Value, concert: &Value, seat: (Value, &str), index: usize, balance: i64) {
        let payment = new_id();
        let reservation = self.add_reservation(account, concert, seat, "confirmed", payment.clone());
        let mut row = vec![payment.clone(), account.clone(), concert.clone(), reservation.clone(), Value::Int(PRICE)];
        let place = i64::try_from(index).unwrap_or_default();
        row.extend([Value::Int(balance), hours_ago(24), Value::NULL, Value::Int(place)]);
        row.extend([direct::words(&format!("filled-{index}")), Value::Bytes(vec![2; 16])]);
        self.payments.push(row);
        let mut row = vec![account.clone(), Value::Int(place + 2), direct::words("payment"), Value::Int(-PRICE)];
        row.extend([Value::Int(balance), reservation, payment, Value::NULL, hours_ago(24)]);
        self.entries.push(row);
    }

    /// A reservation that was paid, given up and refunded.
    fn add_given_up(&mut self, account: &Value, tables: &Tables, index: usize) {
        let (payment, concert) = (new_id(), direct::id(tables.concert_id));
        let seat = &tables.seats[index % tables.seats.len()];
        let seat = (direct::id(seat.performance_id), seat.label.as_str());
        let reservation = self.add_reservation(account, &concert, seat, "cancelled", payment.clone());
        let mut row = vec![payment.clone(), account.clone(), concert, reservation.clone(), Value::Int(PRICE)];
        let number = i64::try_from(index).unwrap_or_default();
        row.extend([Value::Int(CHARGE - PRICE), hours_ago(24), hours_ago(23), Value::Int(number)]);
        row.extend([direct::words(&format!("filled-{index}")), Value::Bytes(vec![2; 16])]);
        self.payments.push(row);
        let mut row = vec![account.clone(), Value::Int(2 * number + 2), direct::words("payment"), Value::Int(-PRICE)];
        row.extend([Value::Int(CHARGE - PRICE), reservation.clone(), payment, Value::NULL, hours_ago(24)]);
        self.entries.push(row);
        let mut row = vec![account.clone(), Value::Int(2 * number + 3), direct::words("refund"), Value::Int(PRICE)];
        row.extend([Value::Int(CHARGE), reservation, Value::NULL, Value::NULL, hours_ago(23)]);
        self.entries.push(row);
    }

    async fn insert(self, connection: &mut Conn) -> anyhow::Result<()> {
        let all = [
            ("accounts (id, login_id, name, role, password_hash, created_at)", self.accounts),
            ("sessions (id, account_id, refresh_hash, created_at, expires_at)", self.sessions),
            ("wallets (account_id, balance, pending, entries_count, updated_at)", self.wallets),
            (
                "wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, payment_id, \
                 charge_id, created_at)",
                self.entries,
            ),
            (
                "charges (id, account_id, amount, status, balance_after, ended_at, created_at, idempotency_key, \
                 fingerprint)",
                self.charges,
            ),
            (
                "reservations (id, account_id, performance_id, concert_id, status, seats_count, total_amount, \
                 held_until, payment_id, created_at, updated_at, seats)",
                self.reservations,
            ),
            (
                "payments (id, account_id, concert_id, reservation_id, amount, balance_after, paid_at, refunded_at, \
                 queue_place, idempotency_key, fingerprint)",
                self.payments,
            ),
        ];
        connection.query_drop("START TRANSACTION").await?;
        for (into, rows) in all {
            growth::insert_all(connection, &format!("INSERT INTO {into}"), rows).await?;
        }
        for events in self.events.chunks(direct::EVENTS_TOGETHER) {
            direct::insert_batch(connection, events, clock::now() - TimeDelta::hours(24)).await?;
        }
        connection.query_drop("COMMIT").await?;
        Ok(())
    }
}

/// Gives the first buyer a long history of the concert that it buys from.
async fn keep_busy(connection: &mut Conn, tables: &Tables) -> anyhow::Result<()> {
    let mut rows = Rows::default();
    let account = direct::id(tables.accounts[0].uuid());
    rows.add_charge(&account);
    for index in 0..GIVEN_UP {
        rows.add_given_up(&account, tables, index);
    }
    let entries = rows.entries.len();
    rows.insert(connection).await?;
    let update = "UPDATE wallets SET balance = ?, entries_count = ? WHERE account_id = ?";
    connection.exec_drop(update, (CHARGE, entries, account)).await?;
    Ok(())
}

/// Gives the seats to the reservations that are paid.
async fn sell(connection: &mut Conn) -> anyhow::Result<()> {
    connection.query_drop("ANALYZE TABLE seats, reservations").await?;
    let sell = "UPDATE reservations STRAIGHT_JOIN seats ON seats.performance_id = reservations.performance_id \
                AND seats.label = JSON_UNQUOTE(JSON_EXTRACT(reservations.seats, '$[0].label')) \
                SET seats.reservation_id = reservations.id WHERE reservations.status = 'confirmed'";
    connection.query_drop(sell).await?;
    Ok(())
}

/// A catalogue to leaf through: of every other concert the sale is over.
async fn publish(connection: &mut Conn, tables: &Tables, size: Size, promoters: &[Value]) -> anyhow::Result<()> {
    let venue: Option<Vec<u8>> = connection.query_first("SELECT id FROM venues LIMIT 1").await?;
    let venue = Value::Bytes(venue.unwrap_or_default());
    let (mut venues, mut concerts, mut performances) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..size.concerts {
        let concert = new_id();
        let promoter = promoters[number % promoters.len()].clone();
        let name = direct::words(&format!("Concert {number}"));
        let key = || vec![direct::words(&format!("filled-{number}")), Value::Bytes(vec![3; 16])];
        let mut row = vec![new_id(), promoter.clone(), name.clone(), name.clone(), Value::Int(10)];
        row.extend([direct::words("[]"), hours_ago(48)]);
        row.extend(key());
        venues.push(row);
        let closes = if number % 2 == 0 { -480 } else { 24 };
        let mut row = vec![concert.clone(), promoter.clone(), name.clone(), name, direct::words("")];
        row.extend([hours_ago(48), hours_ago(closes), Value::Int(4), Value::Int(500), Value::Int(1), hours_ago(48)]);
        row.extend(key());
        concerts.push(row);
        for date in 0..DATES_EACH {
            let starts_at = direct::time(tables.now + TimeDelta::days(30 + i64::try_from(date).unwrap_or_default()));
            let mut row = vec![new_id(), promoter.clone(), concert.clone(), venue.clone(), starts_at];
            row.extend([Value::Int(0), Value::Int(PRICE), Value::Int(PRICE), hours_ago(48)]);
            row.extend([direct::words(&format!("filled-{number}-{date}")), Value::Bytes(vec![4; 16])]);
            performances.push(row);
        }
    }
    let into = "INSERT INTO venues (id, publisher_id, name, location, capacity, sections, created_at, \
                idempotency_key, fingerprint)";
    growth::insert_all(connection, into, venues).await?;
    let into = "INSERT INTO concerts (id, promoter_id, title, artist, description, sales_open_at, sales_close_at, \
                max_seats_per_account, max_active, version, created_at, idempotency_key, fingerprint)";
    growth::insert_all(connection, into, concerts).await?;
    let into = "INSERT INTO performances (id, publisher_id, concert_id, venue_id, starts_at, seats_total, price_min, \
                price_max, created_at, idempotency_key, fingerprint)";
    growth::insert_all(connection, into, performances).await
}
