//! One batch of writes: load and lock, decide, save, commit.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, PerformanceId, ReservationId, StorageError, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::IdempotencyKey,
    payments::Payment,
    reservations::Reservation,
    sale::{Changes, Command, Holding, LoadPlan, Outcome, SaleState},
    seats::{Seat, SeatLabel},
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
    rows::{
        ChargeRow, HoldingRow, PaymentRow, ReservationRow, SeatRow, Stored, TermsRow, WalletEntryRow, WalletRow, count,
        events_bound, id,
    },
    schema,
    statement::{Bind, ROWS_MAX, ROWS_STEP, Statement, padded},
    write_lanes::{BatchWriter, Decided},
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
type HoldingSql = (Binary, Binary, Text, BigInt, SqlTimestamp);

/// What a batch would answer whose commit was not answered: it may be there, or not.
type InDoubt = Option<Vec<Decided>>;

#[async_trait]
impl BatchWriter for Writer {
    async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Decided>, StorageError> {
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
    async fn attempt(&self, batch_id: Uuid, commands: &[Command], in_doubt: &mut InDoubt) -> Loaded<Vec<Decided>> {
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
    ) -> Loaded<Vec<Decided>> {
        let connection = session.connection();
        self.begin(connection).await?;
        let mut state = load(connection, LoadPlan::new(commands)).await?;
        // The rows are locked now, so an earlier attempt has ended, one way or the other. The doubt is kept all the same
        // until this attempt commits: it may be broken off too, or have lost its locks.
        if in_doubt.is_some() && is_written(connection, batch_id).await? {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(in_doubt.take().unwrap_or_default());
        }
        let now = self.clock.now();
        let outcomes: Vec<_> = commands.iter().map(|command| state.decide(now, command)).collect();
        if state.changes().is_empty() {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(outcomes);
        }
        save(connection, state.changes(), batch_id, now).await?;
        if self.locks_are_local {
            change_locked_wallets(connection, commands).await?;
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

fn count_outcomes(outcomes: &[Decided]) {
    let (mut holds, mut payments, mut points) = (0, 0, 0);
    for outcome in outcomes.iter().flatten() {
        match outcome {
            Outcome::Hold(Ok(made)) if !made.replayed => holds += 1,
            Outcome::Pay(Ok(made)) if !made.replayed => payments += 1,
            Outcome::CompleteCharge(Some(made)) if !made.replayed => {
                if let Charge { state: ChargeState::Completed { .. }, amount, .. } = made.value {
                    points += u64::try_from(amount.get()).unwrap_or(0);
                }
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

/// Loads what a batch needs. The order of locks is the same for all batches: wallets, reservations, seats, each by
/// primary key. All writes of an account wait for the lock on its wallet, so what is read after it without a lock, such
/// as the seats that the account has already, cannot change meanwhile.
async fn load(connection: &mut Connection, mut plan: LoadPlan) -> Loaded<SaleState> {
    let mut state = SaleState::new();
    for wallet in wallets(connection, &plan.accounts).await? {
        state.add_wallet(wallet);
    }
    load_known_keys(connection, &mut plan, &mut state).await?;
    for reservation in reservations(connection, &plan.reservations).await? {
        plan.include_reservation(&reservation);
        state.add_reservation(reservation);
    }
    let to_refund = plan.reservations_to_refund.iter().map(Stored::bound).collect();
    for payment in payments(connection, "reservation_id", to_refund).await? {
        state.add_payment(payment);
    }
    for charge in charges(connection, &plan.charges).await? {
        state.add_charge(charge);
    }
    for terms in terms(connection, plan.performances.iter().copied()).await? {
        state.add_terms(terms);
    }
    load_holdings(connection, &plan, &mut state).await?;
    load_seats(connection, &plan.seats, &mut state).await?;
    Ok(state)
}

/// Finds what was made before under the keys of the batch, and makes it part of what is loaded.
async fn load_known_keys(connection: &mut Connection, plan: &mut LoadPlan, state: &mut SaleState) -> Loaded<()> {
    for found in by_key(connection, "reservations", &plan.reservation_keys).await? {
        plan.reservations.insert(id(&found)?);
    }
    let found = by_key(connection, "payments", &plan.payment_keys).await?;
    for payment in payments(connection, "id", found.into_iter().map(Bind::Bytes).collect()).await? {
        plan.include_payment(&payment);
        state.add_payment(payment);
    }
    for found in by_key(connection, "charges", &plan.charge_keys).await? {
        plan.charges.insert(id(&found)?);
    }
    Ok(())
}

/// The ids of what was made under these keys.
async fn by_key(
    connection: &mut Connection,
    table: &'static str,
    keys: &[(AccountId, IdempotencyKey)],
) -> Loaded<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for keys in keys.chunks(PAIRS_MAX) {
        let repeated = keys.last().into_iter().cycle();
        let keys = keys.iter().chain(repeated).take(padded(keys.len()));
        let ids: Vec<Vec<u8>> = Statement::<Binary>::new("SELECT id FROM ")
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
        found.extend(ids);
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

async fn wallets(connection: &mut Connection, accounts: &BTreeSet<AccountId>) -> Loaded<Vec<Wallet>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let columns = "account_id, balance, pending, entries_count, updated_at";
    let values = accounts.iter().map(Stored::bound);
    let rows: Vec<WalletRow> =
        select_by_key::<WalletSql>(columns, "wallets", "account_id", values, LOCK_ROWS).load(connection).await?;
    Ok(rows.into_iter().map(Wallet::try_from).collect::<Result<_, _>>()?)
}

async fn reservations(connection: &mut Connection, ids: &BTreeSet<ReservationId>) -> Loaded<Vec<Reservation>> {
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
) -> Loaded<Vec<PerformanceTerms>> {
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

async fn load_holdings(connection: &mut Connection, plan: &LoadPlan, state: &mut SaleState) -> Loaded<()> {
    // One list of accounts for each concert, and not each pair by itself: a database plans a list in a fraction of the
    // time that it takes over as many alternatives.
    let mut accounts_by_concert: BTreeMap<_, Vec<AccountId>> = BTreeMap::new();
    for (account_id, concert_id) in &plan.holdings {
        accounts_by_concert.entry(*concert_id).or_default().push(*account_id);
    }
    for (concert_id, accounts) in &accounts_by_concert {
        let rows: Vec<HoldingRow> =
            Statement::<HoldingSql>::new("SELECT id, account_id, status, seats_count, held_until FROM reservations")
                .sql(LIVE_INDEX)
                .sql(" WHERE concert_id = ")
                .bind(concert_id.bound())
                .sql(" AND status IN ('held', 'confirmed') AND account_id IN ")
                .list(accounts.iter().map(Stored::bound))
                .load(connection)
                .await?;
        for row in rows {
            let held_until = (row.status == "held").then(|| row.held_until.and_utc());
            let holding = Holding { seats_count: count(row.seats_count)?, held_until };
            state.add_holding(id(&row.account_id)?, *concert_id, id(&row.id)?, holding);
        }
    }
    Ok(())
}

/// Loads and locks seats, those of several performances in one statement. Its lists have one length, so that there are
/// few different statements.
async fn load_seats(
    connection: &mut Connection,
    wanted: &BTreeMap<PerformanceId, BTreeSet<SeatLabel>>,
    state: &mut SaleState,
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
            state.add_seat(id(&row.performance_id)?, Seat::try_from(row)?);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------
// Save
// ---------------------------------------------------------------------------------------------------

async fn save(connection: &mut Connection, changes: Changes<'_>, batch_id: Uuid, now: Timestamp) -> Loaded<()> {
    save_money(connection, changes).await?;
    save_reservations(connection, changes).await?;
    let into = "INSERT INTO seats (performance_id, label, ordinal, price, reservation_id, held_until) VALUES ";
    let rows = changes.seats().map(|(performance_id, seat)| SeatRow::bound(performance_id, seat));
    upsert(connection, into, rows, "performance_id, label", &["reservation_id", "held_until"]).await?;
    save_events(connection, changes.events(), batch_id, now).await
}

/// Changes every wallet that is locked. Nodes that know nothing of each other's locks agree about changed rows: the
/// first of two batches of one account commits, and the other one starts again and sees what the first one did.
async fn change_locked_wallets(connection: &mut Connection, commands: &[Command]) -> Loaded<()> {
    let accounts: BTreeSet<_> = commands.iter().filter_map(Command::account_id).collect();
    if !accounts.is_empty() {
        Statement::<diesel::sql_types::Untyped>::new("UPDATE wallets SET turns = turns + 1 WHERE account_id IN ")
            .list(accounts.iter().map(Stored::bound))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn save_money(connection: &mut Connection, changes: Changes<'_>) -> Loaded<()> {
    let into = "INSERT INTO wallets (account_id, balance, pending, entries_count, updated_at) VALUES ";
    let columns = ["balance", "pending", "entries_count", "updated_at"];
    upsert(connection, into, changes.wallets().map(WalletRow::bound), "account_id", &columns).await?;

    let into = "INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, reservation_id, \
                payment_id, charge_id, created_at) VALUES ";
    insert(connection, into, changes.entries().iter().map(WalletEntryRow::bound)).await?;

    let into = "INSERT INTO charges (id, account_id, amount, status, balance_after, ended_at, created_at, \
                idempotency_key, fingerprint) VALUES ";
    insert(connection, into, changes.charges_new().map(ChargeRow::bound)).await?;
    let changed = changes.charges_changed().map(ChargeRow::bound);
    upsert(connection, into, changed, "id", &["status", "balance_after", "ended_at"]).await
}

async fn save_reservations(connection: &mut Connection, changes: Changes<'_>) -> Loaded<()> {
    let into = "INSERT INTO reservations (id, account_id, performance_id, concert_id, status, seats_count, \
                total_amount, held_until, payment_id, created_at, updated_at, idempotency_key, fingerprint, \
                cancel_key, cancel_fingerprint, seats) VALUES ";
    let new = changes.reservations_new().map(ReservationRow::bound).collect::<Result<Vec<_>, _>>()?;
    insert(connection, into, new).await?;
    let changed = changes.reservations_changed().map(ReservationRow::bound).collect::<Result<Vec<_>, _>>()?;
    let columns = ["status", "payment_id", "updated_at", "cancel_key", "cancel_fingerprint"];
    upsert(connection, into, changed, "id", &columns).await?;

    let into = "INSERT INTO payments (id, account_id, concert_id, reservation_id, amount, balance_after, paid_at, \
                refunded_at, queue_place, idempotency_key, fingerprint) VALUES ";
    insert(connection, into, changes.payments_new().map(PaymentRow::bound)).await?;
    upsert(connection, into, changes.payments_changed().map(PaymentRow::bound), "id", &["refunded_at"]).await
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
