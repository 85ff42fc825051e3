//! Loads and locks the rows that a batch needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError,
    idempotency::IdempotencyKey,
    payments::Payment,
    reservations::Reservation,
    sale::{HeldAmount, Holding, LoadPlan, SaleState},
    seats::{Seat, SeatLabel},
    wallet::{Charge, ChargeRefund},
};
use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Binary, Timestamp as SqlTimestamp};
use diesel_async::{RunQueryDsl, methods::LoadQuery};

use super::super::{
    super::{Connection, LIVE_INDEX, LOCK_ROWS},
    catalog::terms,
    charge_refunds::ChargeRefundRow,
    failure::Failure,
    payments::PaymentRow,
    reservations::{HoldBudgetRow, HoldingRow, ReservationRow},
    seats::SeatRow,
    wallet::{ChargeRow, LockedWallet, LockedWalletRow},
};
use crate::{
    statement::{Bind, ROWS_MAX, Row, Statement, padded},
    stored::{count, id, points},
};

type Loaded<T> = Result<T, Failure>;

/// The most keys of one statement that names each pair of them.
const PAIRS_MAX: usize = 64;

/// The most seats of one performance in one list.
const LABELS_MAX: usize = 64;

/// Loads what the plan names. All batches lock in the same order: wallets, reservations, seats, each by primary key. All
/// writes of an account wait for the lock on its wallet, so rows that are read after it without a lock, such as the
/// holdings of the account, cannot change meanwhile.
pub(super) async fn load(connection: &mut Connection, mut plan: LoadPlan) -> Loaded<SaleState> {
    let mut state = SaleState::new();
    let mut counted = HashSet::new();
    let ids = binds(&plan.accounts);
    for locked in load_by_key::<LockedWalletRow, LockedWallet>(connection, "account_id", ids, LOCK_ROWS).await? {
        counted.extend(locked.has_hold_budgets.then_some(locked.wallet.account_id));
        state.add_wallet(locked.wallet);
    }
    load_known_keys(connection, &mut plan, &mut state).await?;
    let ids = binds(&plan.reservations);
    for reservation in load_by_key::<ReservationRow, Reservation>(connection, "id", ids, LOCK_ROWS).await? {
        plan.include_reservation(&reservation);
        state.add_reservation(reservation);
    }
    let to_refund = binds(&plan.reservations_to_refund);
    for payment in load_by_key::<PaymentRow, Payment>(connection, "reservation_id", to_refund, "").await? {
        state.add_payment(payment);
    }
    for charge in load_by_key::<ChargeRow, Charge>(connection, "id", binds(&plan.charges), "").await? {
        state.add_charge(charge);
    }
    let refunds = binds(&plan.charge_refunds);
    for refund in load_by_key::<ChargeRefundRow, ChargeRefund>(connection, "id", refunds, "").await? {
        state.add_charge_refund(refund);
    }
    load_holdings(connection, &plan, &mut state).await?;
    load_hold_budgets(connection, &plan, &counted, &mut state).await?;
    load_seats(connection, &plan.seats, &mut state).await?;
    // An import that moves a performance locks its seats: only after them the terms cannot change any more.
    for terms in terms(connection, plan.performances.iter().copied()).await? {
        plan.include_terms(&terms);
        state.add_terms(terms);
    }
    load_held_amounts(connection, &plan, &mut state).await?;
    Ok(state)
}

/// Finds what earlier requests made under the keys of the batch, and adds it to the plan.
async fn load_known_keys(connection: &mut Connection, plan: &mut LoadPlan, state: &mut SaleState) -> Loaded<()> {
    for found in by_key(connection, "reservations", &plan.reservation_keys).await? {
        plan.reservations.insert(id(&found)?);
    }
    let found = by_key(connection, "payments", &plan.payment_keys).await?;
    let found = found.into_iter().map(Bind::Bytes).collect();
    for payment in load_by_key::<PaymentRow, Payment>(connection, "id", found, "").await? {
        plan.include_payment(&payment);
        state.add_payment(payment);
    }
    for found in by_key(connection, "charges", &plan.charge_keys).await? {
        plan.charges.insert(id(&found)?);
    }
    for found in by_key(connection, "charge_refunds", &plan.charge_refund_keys).await? {
        plan.charge_refunds.insert(id(&found)?);
    }
    Ok(())
}

/// The ids of the rows that were made under these keys.
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
                statement.sql("account_id = ").bind(*account_id).sql(" AND idempotency_key = ").bind(key)
            })
            .load(connection)
            .await?;
        found.extend(ids);
    }
    Ok(found)
}

fn binds<I: Copy + Into<Bind>>(ids: &BTreeSet<I>) -> Vec<Bind> {
    ids.iter().copied().map(Into::into).collect()
}

/// `SELECT … FROM table WHERE key IN (…) ORDER BY key`, with the rows locked if `lock` says so.
async fn load_by_key<R, E>(
    connection: &mut Connection,
    key: &'static str,
    values: Vec<Bind>,
    lock: &'static str,
) -> Loaded<Vec<E>>
where
    R: Row + Send,
    E: TryFrom<R, Error = StorageError>,
    Statement<R::Sql>: LoadQuery<'static, Connection, R>,
{
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let query = Statement::select::<R>().sql(" WHERE ").sql(key).sql(" IN ").list(values);
    let rows: Vec<R> = query.sql(" ORDER BY ").sql(key).sql(lock).load(connection).await?;
    Ok(rows.into_iter().map(E::try_from).collect::<Result<_, _>>()?)
}

async fn load_holdings(connection: &mut Connection, plan: &LoadPlan, state: &mut SaleState) -> Loaded<()> {
    // One list of accounts for each concert: a database plans a list in a fraction of the time of as many alternatives.
    let mut accounts_by_concert: BTreeMap<_, Vec<AccountId>> = BTreeMap::new();
    for (account_id, concert_id) in &plan.holdings {
        accounts_by_concert.entry(*concert_id).or_default().push(*account_id);
    }
    for (concert_id, accounts) in &accounts_by_concert {
        let rows: Vec<HoldingRow> = Statement::select::<HoldingRow>()
            .sql(LIVE_INDEX)
            .sql(" WHERE concert_id = ")
            .bind(*concert_id)
            .sql(" AND status IN ('held', 'confirmed') AND account_id IN ")
            .list(accounts.iter().copied())
            .load(connection)
            .await?;
        for row in rows {
            let held_until = (row.status == "held").then(|| row.held_until.and_utc());
            state.add_holding(Holding {
                account_id: id(&row.account_id)?,
                concert_id: *concert_id,
                reservation_id: id(&row.id)?,
                seats_count: count(row.seats_count)?,
                held_until,
            });
        }
    }
    Ok(())
}

/// How holds ended of the accounts that let some end unpaid. All who write that lock the wallet first.
async fn load_hold_budgets(
    connection: &mut Connection,
    plan: &LoadPlan,
    counted: &HashSet<AccountId>,
    state: &mut SaleState,
) -> Loaded<()> {
    let wanted = plan.holdings.iter().filter(|(account_id, _)| counted.contains(account_id));
    let wanted: Vec<(AccountId, ConcertId)> = wanted.copied().collect();
    for wanted in wanted.chunks(PAIRS_MAX) {
        let repeated = wanted.last().into_iter().cycle();
        let pairs = wanted.iter().chain(repeated).take(padded(wanted.len()));
        let rows: Vec<HoldBudgetRow> = Statement::select::<HoldBudgetRow>()
            .sql(" WHERE ")
            .alternatives(pairs, |statement, (account_id, concert_id)| {
                statement.sql("concert_id = ").bind(*concert_id).sql(" AND account_id = ").bind(*account_id)
            })
            .load(connection)
            .await?;
        for row in rows {
            state.add_hold_budget(row.try_into()?);
        }
    }
    Ok(())
}

/// What accounts hold of all concerts. The lock on their wallets keeps it as it is.
async fn load_held_amounts(connection: &mut Connection, plan: &LoadPlan, state: &mut SaleState) -> Loaded<()> {
    if plan.held_amounts.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Vec<u8>, Vec<u8>, i64, NaiveDateTime)> = Statement::<(Binary, Binary, BigInt, SqlTimestamp)>::new(
        "SELECT account_id, id, total_amount, held_until FROM reservations",
    )
    .sql(LIVE_INDEX)
    .sql(" WHERE status = 'held' AND account_id IN ")
    .list(plan.held_amounts.iter().copied())
    .load(connection)
    .await?;
    for (account_id, reservation_id, amount, held_until) in rows {
        state.add_held_amount(HeldAmount {
            account_id: id(&account_id)?,
            reservation_id: id(&reservation_id)?,
            amount: points(amount)?,
            held_until: held_until.and_utc(),
        });
    }
    Ok(())
}

/// Loads and locks seats, those of several performances in one statement. The lists of a statement have one length, so
/// that there are few different texts.
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
        let rows: Vec<SeatRow> = Statement::select::<SeatRow>()
            .sql(" WHERE ")
            .alternatives(padded, |statement, (performance_id, labels)| {
                let repeated = labels.last().into_iter().cycle();
                let labels = labels.iter().chain(repeated).take(longest);
                statement.sql("performance_id = ").bind(*performance_id).sql(" AND label IN ").list(labels.copied())
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
