//! One batch of writes: load and lock, decide, save, commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, PerformanceId, ReservationId, StorageError, Timestamp,
    events::Event,
    idempotency::IdempotencyKey,
    payments::Payment,
    reservations::SeatLabel,
    wallet::{Charge, ChargeState, Wallet},
};
use diesel::sql_types::{BigInt, Binary, SqlType, Text, Timestamp as SqlTimestamp};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    super::{Connection, LIVE_INDEX, LOCK_ROWS, or_update},
    Writer,
    pool::Session,
    retry::{BATCH_TIME_MAX, Failure, commit},
};
use crate::{
    batch::{Changes, Command, Holding, Outcome, StoredReservation, StoredSeat, Wanted, World},
    lane::BatchWriter,
    rows::{
        ChargeRow, HoldingRow, PaymentRow, ReservationRow, SeatRow, Stored, TermsRow, WalletEntryRow, WalletRow, count,
        events_bound, id,
    },
    schema,
    statement::{Bind, ROWS_MAX, ROWS_STEP, Statement, padded},
};

type Loaded<T> = Result<T, Failure>;

/// The most keys of one statement that names each pair of them.
const PAIRS_MAX: usize = 64;

/// The most seats of one performance in one list.
const LABELS_MAX: usize = 64;

/// The columns of [`ReservationRow`].
pub(super) const RESERVATION_COLUMNS: &str = "id, account_id, performance_id, concert_id, status, seats_count, \
    total_amount, held_until, payment_id, created_at, updated_at, idempotency_key, fingerprint, cancel_key, \
    cancel_fingerprint, seats";
/// The columns of [`PaymentRow`].
pub(super) const PAYMENT_COLUMNS: &str = "id, account_id, concert_id, reservation_id, amount, balance_after, \
    paid_at, refunded_at, queue_place, idempotency_key, fingerprint";
/// The columns of [`ChargeRow`].
const CHARGE_COLUMNS: &str =
    "id, account_id, amount, status, balance_after, ended_at, created_at, idempotency_key, fingerprint";

pub(super) type ReservationSql = schema::reservations::SqlType;
pub(super) type PaymentSql = schema::payments::SqlType;
type SeatSql = schema::seats::SqlType;
type WalletSql = schema::wallets::SqlType;
type ChargeSql = schema::charges::SqlType;
type TermsSql = (Binary, Binary, Text, Binary, Text, Text, SqlTimestamp, SqlTimestamp, SqlTimestamp, BigInt);
type HoldingSql = (Binary, Binary, Binary, Text, BigInt, SqlTimestamp);

/// What a batch would answer whose commit was not answered: it may be there, or not.
type InDoubt = Option<Vec<Outcome>>;

#[async_trait]
impl BatchWriter for Writer {
    async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Outcome>, StorageError> {
        let batch_id = self.entropy.uuid();
        let mut in_doubt: InDoubt = None;
        let (mut attempt, mut began) = (0, Instant::now());
        loop {
            let was_in_doubt = in_doubt.is_some();
            let attempted = timeout(BATCH_TIME_MAX, self.attempt(batch_id, commands, &mut in_doubt)).await;
            match attempted.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed))) {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) => {
                    // However long the commit took that was not answered, there is time to find out about it.
                    if !was_in_doubt && in_doubt.is_some() {
                        began = Instant::now();
                    }
                    failure.before_retry(attempt, self.retry_max, began).await?;
                }
            }
            attempt += 1;
        }
    }
}

impl Writer {
    async fn attempt(&self, batch_id: Uuid, commands: &[Command], in_doubt: &mut InDoubt) -> Loaded<Vec<Outcome>> {
        let mut session = self.pool.session().await?;
        let attempted = self.attempt_in(&mut session, batch_id, commands, in_doubt).await;
        let outcomes = self.ended(&mut session, attempted).await?;
        count_outcomes(&outcomes);
        Ok(outcomes)
    }

    async fn attempt_in(
        &self,
        session: &mut Session<'_>,
        batch_id: Uuid,
        commands: &[Command],
        in_doubt: &mut InDoubt,
    ) -> Loaded<Vec<Outcome>> {
        let connection = session.connection();
        self.begin(connection).await?;
        let mut world = load(connection, Wanted::by(commands)).await?;
        // The rows are locked now, so an earlier attempt has ended, one way or the other. The doubt is kept all the same
        // until this attempt commits: it may be broken off too, or have lost its locks.
        if in_doubt.is_some() && is_written(connection, batch_id).await? {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(in_doubt.take().unwrap_or_default());
        }
        let now = self.clock.now();
        let outcomes: Vec<Outcome> = commands.iter().map(|command| world.decide(now, command)).collect();
        if world.changes.events.is_empty() {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(outcomes);
        }
        save(connection, &world, batch_id, now).await?;
        if self.locks_are_local {
            take_turns(connection, &world).await?;
        }
        self.before_commit(connection).await?;
        // Noted before it is begun: it may be broken off while nobody knows whether it happened.
        let doubtful = in_doubt.insert(outcomes);
        let began = Instant::now();
        commit(connection).await?;
        metrics::histogram!("boxoffice_commit_seconds").record(began.elapsed().as_secs_f64());
        Ok(std::mem::take(doubtful))
    }
}

fn count_outcomes(outcomes: &[Outcome]) {
    let (mut holds, mut payments, mut points) = (0, 0, 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Hold(Ok(made)) if !made.replayed => holds += 1,
            Outcome::Settle(Ok(made)) if !made.replayed => payments += 1,
            Outcome::CompleteCharge { charge: Some(charge), ended: true }
                if matches!(charge.state, ChargeState::Completed { .. }) =>
            {
                points += u64::try_from(charge.amount.get()).unwrap_or(0);
            }
            _ => {}
        }
    }
    metrics::counter!("boxoffice_holds_total").increment(holds);
    metrics::counter!("boxoffice_payments_total").increment(payments);
    metrics::counter!("boxoffice_points_charged_total").increment(points);
}

async fn is_written(connection: &mut Connection, batch_id: Uuid) -> Loaded<bool> {
    let written: Vec<Vec<u8>> = Statement::<Binary>::new("SELECT id FROM outbox_batches WHERE id = ")
        .bind(Bind::Bytes16(batch_id.into_bytes()))
        .load(connection)
        .await?;
    Ok(!written.is_empty())
}

// ---------------------------------------------------------------------------------------------------
// Load
// ---------------------------------------------------------------------------------------------------

/// Loads what a batch needs. The order of locks is the same for all: wallets, reservations, seats, each by
/// primary key. All writes of an account wait for the lock on its wallet, so what is read after it without
/// a lock of its own, such as the seats that the account has already, cannot change meanwhile.
async fn load(connection: &mut Connection, mut wanted: Wanted) -> Loaded<World> {
    let mut world = World { wallets: wallets(connection, &wanted.accounts).await?, ..World::default() };
    load_known_keys(connection, &mut wanted, &mut world).await?;
    for stored in reservations(connection, &wanted.reservations).await? {
        wanted.add_reservation(&stored.reservation);
        world.reservations.insert(stored.reservation.id, stored);
    }
    let paid = wanted.paid_reservations.iter().map(Stored::bound).collect();
    for payment in payments(connection, "reservation_id", paid).await? {
        world.payments.insert(payment.reservation_id, payment);
    }
    for charge in charges(connection, &wanted.charges).await? {
        world.charges.insert(charge.id, charge);
    }
    load_terms(connection, &wanted.performances, &mut world).await?;
    load_holdings(connection, &wanted.holdings, &mut world).await?;
    load_seats(connection, &wanted.seats, &mut world).await?;
    Ok(world)
}

/// Finds what was made before under the keys of the batch, and makes it part of what is loaded.
async fn load_known_keys(connection: &mut Connection, wanted: &mut Wanted, world: &mut World) -> Loaded<()> {
    for (account_id, key, found) in by_key(connection, "reservations", &wanted.held_under).await? {
        let reservation_id: ReservationId = id(&found)?;
        world.held_under.insert((account_id, key), reservation_id);
        wanted.reservations.insert(reservation_id);
    }
    let found = by_key(connection, "payments", &wanted.paid_under).await?;
    let ids = found.into_iter().map(|(_, _, found)| Bind::Bytes(found)).collect();
    for payment in payments(connection, "id", ids).await? {
        let key = (payment.account_id, payment.idempotency.key.clone());
        world.paid_under.insert(key, payment.reservation_id);
        wanted.reservations.insert(payment.reservation_id);
        world.payments.insert(payment.reservation_id, payment);
    }
    for (account_id, key, found) in by_key(connection, "charges", &wanted.charged_under).await? {
        let charge_id: ChargeId = id(&found)?;
        world.charged_under.insert((account_id, key), charge_id);
        wanted.charges.insert(charge_id);
    }
    Ok(())
}

type Keyed = (AccountId, IdempotencyKey, Vec<u8>);

async fn by_key(
    connection: &mut Connection,
    table: &'static str,
    keys: &[(AccountId, IdempotencyKey)],
) -> Loaded<Vec<Keyed>> {
    let mut found = Vec::new();
    for keys in keys.chunks(PAIRS_MAX) {
        let repeated = keys.last().into_iter().cycle();
        let keys = keys.iter().chain(repeated).take(padded(keys.len()));
        let rows: Vec<(Vec<u8>, String, Vec<u8>)> =
            Statement::<(Binary, Text, Binary)>::new("SELECT account_id, idempotency_key, id FROM ")
                .sql(table)
                .sql(" WHERE ")
                .alternatives(keys, |statement, (account_id, key)| {
                    statement
                        .sql("account_id = ")
                        .bind(account_id.bound())
                        .sql(" AND idempotency_key = ")
                        .bind(Bind::Text(key.as_str().to_owned()))
                })
                .load(connection)
                .await?;
        for (account_id, key, row_id) in rows {
            let key =
                IdempotencyKey::new(&key).map_err(|_| StorageError::failed("a stored idempotency key is damaged"))?;
            found.push((id(&account_id)?, key, row_id));
        }
    }
    Ok(found)
}

/// `SELECT columns FROM table WHERE key IN (…) ORDER BY key`, with the rows locked if asked for.
fn select_by_key<ST: SqlType>(
    columns: &'static str,
    from: &'static str,
    key: &'static str,
    values: impl IntoIterator<Item = Bind>,
    lock: &'static str,
) -> Statement<ST> {
    Statement::new("SELECT ")
        .sql(columns)
        .sql(" FROM ")
        .sql(from)
        .sql(" WHERE ")
        .sql(key)
        .sql(" IN ")
        .list(values)
        .sql(" ORDER BY ")
        .sql(key)
        .sql(lock)
}

async fn wallets(connection: &mut Connection, accounts: &BTreeSet<AccountId>) -> Loaded<HashMap<AccountId, Wallet>> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let columns = "account_id, balance, pending, entries_count, updated_at";
    let values = accounts.iter().map(Stored::bound);
    let rows: Vec<WalletRow> =
        select_by_key::<WalletSql>(columns, "wallets", "account_id", values, LOCK_ROWS).load(connection).await?;
    let wallets = rows.into_iter().map(Wallet::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(wallets.into_iter().map(|wallet| (wallet.account_id, wallet)).collect())
}

async fn reservations(connection: &mut Connection, ids: &BTreeSet<ReservationId>) -> Loaded<Vec<StoredReservation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values = ids.iter().map(Stored::bound);
    let rows: Vec<ReservationRow> =
        select_by_key::<ReservationSql>(RESERVATION_COLUMNS, "reservations", "id", values, LOCK_ROWS)
            .load(connection)
            .await?;
    Ok(rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
}

async fn payments(connection: &mut Connection, key: &'static str, values: Vec<Bind>) -> Loaded<Vec<Payment>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<PaymentRow> =
        select_by_key::<PaymentSql>(PAYMENT_COLUMNS, "payments", key, values, "").load(connection).await?;
    Ok(rows.into_iter().map(Payment::try_from).collect::<Result<_, _>>()?)
}

async fn charges(connection: &mut Connection, ids: &BTreeSet<ChargeId>) -> Loaded<Vec<Charge>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values = ids.iter().map(Stored::bound);
    let rows: Vec<ChargeRow> =
        select_by_key::<ChargeSql>(CHARGE_COLUMNS, "charges", "id", values, "").load(connection).await?;
    Ok(rows.into_iter().map(Charge::try_from).collect::<Result<_, _>>()?)
}

/// The terms of these performances.
pub(super) async fn terms(
    connection: &mut Connection,
    ids: impl IntoIterator<Item = PerformanceId>,
) -> Loaded<Vec<boxoffice_domain::catalog::PerformanceTerms>> {
    let values: Vec<Bind> = ids.into_iter().map(|id| id.bound()).collect();
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<TermsRow> = Statement::<TermsSql>::new(
        "SELECT performances.id, performances.concert_id, concerts.title, venues.id, venues.name, venues.location, \
         performances.starts_at, concerts.sales_open_at, concerts.sales_close_at, concerts.max_seats_per_account \
         FROM performances JOIN concerts ON concerts.id = performances.concert_id \
         JOIN venues ON venues.id = performances.venue_id WHERE performances.id IN ",
    )
    .list(values)
    .load(connection)
    .await?;
    Ok(rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
}

async fn load_terms(connection: &mut Connection, ids: &BTreeSet<PerformanceId>, world: &mut World) -> Loaded<()> {
    for terms in terms(connection, ids.iter().copied()).await? {
        world.terms.insert(terms.id, terms);
    }
    Ok(())
}

async fn load_holdings(
    connection: &mut Connection,
    wanted: &BTreeSet<(AccountId, ConcertId)>,
    world: &mut World,
) -> Loaded<()> {
    // One list of accounts for each concert, and not each pair by itself: a database plans a list in a fraction of the
    // time that it takes over as many alternatives.
    let mut accounts_by_concert: BTreeMap<ConcertId, Vec<AccountId>> = BTreeMap::new();
    for (account_id, concert_id) in wanted {
        accounts_by_concert.entry(*concert_id).or_default().push(*account_id);
    }
    for (concert_id, accounts) in &accounts_by_concert {
        let rows: Vec<HoldingRow> = Statement::<HoldingSql>::new(
            "SELECT id, account_id, concert_id, status, seats_count, held_until FROM reservations",
        )
        .sql(LIVE_INDEX)
        .sql(" WHERE concert_id = ")
        .bind(concert_id.bound())
        .sql(" AND status IN ('held', 'confirmed') AND account_id IN ")
        .list(accounts.iter().map(Stored::bound))
        .load(connection)
        .await?;
        for row in rows {
            let until = (row.status == "held").then(|| row.held_until.and_utc());
            let holding = Holding { seats_count: count(row.seats_count)?, until };
            let holdings = world.holdings.entry((id(&row.account_id)?, id(&row.concert_id)?)).or_default();
            holdings.insert(id(&row.id)?, holding);
        }
    }
    Ok(())
}

/// Loads and locks seats, those of several performances in one statement. Its lists have one length, so that there are
/// few different statements.
async fn load_seats(
    connection: &mut Connection,
    wanted: &BTreeMap<PerformanceId, BTreeSet<SeatLabel>>,
    world: &mut World,
) -> Loaded<()> {
    let labels: Vec<(PerformanceId, Vec<&SeatLabel>)> =
        wanted.iter().map(|(performance_id, labels)| (*performance_id, labels.iter().collect())).collect();
    let pieces: Vec<(PerformanceId, &[&SeatLabel])> = labels
        .iter()
        .flat_map(|(performance_id, labels)| labels.chunks(LABELS_MAX).map(|labels| (*performance_id, labels)))
        .collect();
    for pieces in pieces.chunks(ROWS_MAX / LABELS_MAX) {
        let longest = pieces.iter().map(|(_, labels)| labels.len()).max().unwrap_or(1);
        let repeated = pieces.last().into_iter().cycle();
        let padded = pieces.iter().chain(repeated).take(pieces.len().next_power_of_two());
        let rows: Vec<SeatRow> = Statement::<SeatSql>::new(
            "SELECT performance_id, label, ordinal, price, reservation_id, held_until FROM seats WHERE ",
        )
        .alternatives(padded, |statement, (performance_id, labels)| {
            let repeated = labels.last().into_iter().cycle();
            let labels = labels.iter().chain(repeated).take(longest);
            statement
                .sql("performance_id = ")
                .bind(performance_id.bound())
                .sql(" AND label IN ")
                .list(labels.map(|label| Bind::Text(label.as_str().to_owned())))
        })
        .sql(" ORDER BY performance_id, label")
        .sql(LOCK_ROWS)
        .load(connection)
        .await?;
        for row in rows {
            let performance_id: PerformanceId = id(&row.performance_id)?;
            let stored = StoredSeat::try_from(row)?;
            world.seats.entry(performance_id).or_default().insert(stored.seat.label.clone(), stored);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------
// Save
// ---------------------------------------------------------------------------------------------------

async fn save(connection: &mut Connection, world: &World, batch_id: Uuid, now: Timestamp) -> Loaded<()> {
    let changes = &world.changes;
    save_money(connection, world, changes).await?;
    save_reservations(connection, world, changes).await?;
    save_seats(connection, world, changes).await?;
    save_events(connection, &changes.events, batch_id, now).await
}

/// Changes every wallet that is locked. Nodes that know nothing of each other's locks agree about changed rows: the
/// first of two batches of one account commits, and the other one starts again and sees what the first one did.
async fn take_turns(connection: &mut Connection, world: &World) -> Loaded<()> {
    let accounts: BTreeSet<_> = world.wallets.keys().collect();
    if !accounts.is_empty() {
        Statement::<diesel::sql_types::Untyped>::new("UPDATE wallets SET turns = turns + 1 WHERE account_id IN ")
            .list(accounts.into_iter().map(Stored::bound))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn save_money(connection: &mut Connection, world: &World, changes: &Changes) -> Loaded<()> {
    let rows = changes.wallets.iter().filter_map(|id| world.wallets.get(id)).map(WalletRow::bound);
    let into = "INSERT INTO wallets (account_id, balance, pending, entries_count, updated_at) VALUES ";
    let columns = ["balance", "pending", "entries_count", "updated_at"];
    upsert(connection, into, rows, "account_id", &columns).await?;

    let into = "INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, \
                payment_id, charge_id, created_at) VALUES ";
    insert(connection, into, changes.entries.iter().map(WalletEntryRow::bound)).await?;

    let into = "INSERT INTO charges (id, account_id, amount, status, balance_after, ended_at, created_at, \
                idempotency_key, fingerprint) VALUES ";
    let row = |id: &ChargeId| world.charges.get(id).map(ChargeRow::bound);
    insert(connection, into, changes.charges_new.iter().filter_map(row)).await?;
    let changed = changes.charges_changed.difference(&changes.charges_new).filter_map(row);
    upsert(connection, into, changed, "id", &["status", "balance_after", "ended_at"]).await
}

async fn save_reservations(connection: &mut Connection, world: &World, changes: &Changes) -> Loaded<()> {
    let into = "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, \
                total_amount, held_until, payment_id, created_at, updated_at, idempotency_key, fingerprint, \
                cancel_key, cancel_fingerprint, seats) VALUES ";
    let rows = |ids: &BTreeSet<ReservationId>| {
        let stored = ids.iter().filter_map(|id| world.reservations.get(id));
        stored.map(ReservationRow::bound).collect::<Result<Vec<_>, _>>()
    };
    insert(connection, into, rows(&changes.reservations_new)?).await?;
    let changed = rows(&changes.reservations_changed)?;
    let columns = ["status", "payment_id", "updated_at", "cancel_key", "cancel_fingerprint"];
    upsert(connection, into, changed, "id", &columns).await?;

    let into = "INSERT INTO payments (id, account_id, concert_id, reservation_id, amount, balance_after, paid_at, \
                refunded_at, queue_place, idempotency_key, fingerprint) VALUES ";
    let row = |id: &ReservationId| {
        let concert_id = world.reservations.get(id)?.reservation.concert_id;
        world.payments.get(id).map(|payment| PaymentRow::bound(payment, concert_id))
    };
    insert(connection, into, changes.payments_new.iter().filter_map(row)).await?;
    let changed = changes.payments_changed.difference(&changes.payments_new).filter_map(row);
    upsert(connection, into, changed, "id", &["refunded_at"]).await
}

async fn save_seats(connection: &mut Connection, world: &World, changes: &Changes) -> Loaded<()> {
    let rows = changes.seats.iter().filter_map(|(performance_id, label)| {
        let stored = world.seats.get(performance_id)?.get(label)?;
        Some(SeatRow::bound(*performance_id, stored))
    });
    let into = "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until) VALUES ";
    upsert(connection, into, rows, "performance_id, label", &["reservation_id", "held_until"]).await
}

async fn save_events(connection: &mut Connection, events: &[Event], batch_id: Uuid, now: Timestamp) -> Loaded<()> {
    let into = "INSERT INTO outbox_batches (id, events, occurred_at) VALUES ";
    insert(connection, into, [events_bound(batch_id, events, now)?]).await
}

/// Inserts rows, in statements of few sizes.
pub(super) async fn insert(
    connection: &mut Connection,
    into: &'static str,
    rows: impl IntoIterator<Item = Vec<Bind>>,
) -> Loaded<()> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows_together(rows.len()));
        Statement::<diesel::sql_types::Untyped>::new(into).rows(rows).execute(connection).await?;
        rows = rest;
    }
    Ok(())
}

/// Inserts rows, or changes `columns` of those whose `key` is there already.
pub(super) async fn upsert(
    connection: &mut Connection,
    into: &'static str,
    rows: impl IntoIterator<Item = Vec<Bind>>,
    key: &'static str,
    columns: &[&'static str],
) -> Loaded<()> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_MAX));
        // Writing a row twice does no harm here, and fewer sizes are prepared.
        if let Some(last) = rows.last().cloned() {
            rows.resize(padded(rows.len()), last);
        }
        let insert = Statement::new(into).rows(rows);
        or_update(insert, key, columns).execute(connection).await?;
        rows = rest;
    }
    Ok(())
}

/// How many of so many rows go into the next statement: as many steps as there are, then what is left.
fn rows_together(count: usize) -> usize {
    if count < ROWS_STEP { count } else { (count - count % ROWS_STEP).min(ROWS_MAX) }
}
