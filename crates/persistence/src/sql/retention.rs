//! Removing what nobody needs any more.
//!
//! What may go is found without a lock. The transaction that removes it locks the rows by their primary keys, and only what
//! nobody changes any more.

use std::collections::BTreeSet;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, ReservationId, SessionId, StorageError, Timestamp,
    retention::{HeldKey, Removed, Retention, UnpaidEnd},
    sale::HoldBudget,
};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Timestamp as SqlTimestamp, Untyped},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{Connection, DUE_INDEX, LIVE_INDEX, LOCK_ROWS},
    Store,
    failure::Failure,
    insert::upsert,
    reservations::HoldBudgetRow,
};
use crate::{
    row::row,
    schema::{mails, outbox_batches, sessions},
    statement::{Statement, padded},
    stored::{Stored, count, id, time},
};

/// The most accounts of one statement that names each with a concert.
const PAIRS_MAX: usize = 64;

row! {
    /// Until when rows of a kind were removed.
    struct RemovalRow in removals, from (kind: &'static str, removed_until: Timestamp) {
        #[expect(dead_code, reason = "a row is asked for by its kind")]
        kind: String = kind,
        removed_until: NaiveDateTime = removed_until,
    }
}

/// A reservation that may be removed.
#[derive(Clone, Copy, Debug)]
struct Unpaid {
    id: ReservationId,
    account_id: AccountId,
    concert_id: ConcertId,
}

#[async_trait]
impl Retention for Store {
    async fn remove_sessions(
        &self,
        until: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Removed<SessionId>, StorageError> {
        type Row = (Vec<u8>, NaiveDateTime, NaiveDateTime, Option<NaiveDateTime>);
        let mut query = sessions::table
            .order(sessions::id)
            .limit(i64::from(limit))
            .select((sessions::id, sessions::created_at, sessions::expires_at, sessions::ended_at))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(sessions::id.gt(after.stored()));
        }
        let (rows, latest) = (self.read_in_time::<Row>(query).await?, time(until));
        // Those that follow were made later, and have not ended before they began.
        let ends = rows.last().is_some_and(|(_, created_at, ..)| *created_at > latest);
        let next = next_key(&rows, limit, |(bytes, ..)| id(bytes))?.filter(|_| !ends);
        let over = |(_, _, expires_at, ended_at): &&Row| ended_at.unwrap_or(*expires_at).min(*expires_at) <= latest;
        let ids: Vec<Vec<u8>> = rows.iter().filter(over).map(|(bytes, ..)| bytes.clone()).collect();
        let count = remove(self, (ids, latest), |connection, (ids, latest)| {
            Box::pin(async move {
                let over = sessions::expires_at.le(*latest).or(sessions::ended_at.assume_not_null().le(*latest));
                let sessions = sessions::table.filter(sessions::id.eq_any(ids)).filter(over);
                Ok(diesel::delete(sessions).execute(connection).await?)
            })
        });
        Ok(Removed { count: count.await?, next })
    }

    async fn remove_unpaid(
        &self,
        end: UnpaidEnd,
        until: Timestamp,
        after: Option<HeldKey>,
        limit: u32,
    ) -> Result<Removed<HeldKey>, StorageError> {
        type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, NaiveDateTime, Option<Vec<u8>>);
        let mut query: Statement<(Binary, Binary, Binary, Binary, SqlTimestamp, Nullable<Binary>)> = Statement::new(
            "SELECT id, account_id, concert_id, performance_id, held_until, payment_id FROM reservations",
        );
        let status = match end {
            UnpaidEnd::Cancelled => "cancelled",
            UnpaidEnd::Lapsed => "expired",
        };
        query = query.sql(DUE_INDEX).sql(" WHERE status = ").bind(status).sql(" AND held_until <= ").bind(until);
        if let Some(HeldKey { held_until, id }) = after {
            query = query.sql(" AND held_until >= ").bind(held_until).sql(" AND (held_until > ").bind(held_until);
            query = query.sql(" OR id > ").bind(id).sql(")");
        }
        let query = query.sql(" ORDER BY held_until, id LIMIT ").bind(i64::from(limit));
        let rows: Vec<Row> = self.read_in_time(query).await?;
        let key =
            |(bytes, _, _, _, held_until, _): &Row| Ok(HeldKey { held_until: held_until.and_utc(), id: id(bytes)? });
        let next = next_key(&rows, limit, key)?;
        let unpaid = |row: &&Row| row.5.is_none();
        let performances: BTreeSet<_> = rows.iter().filter(unpaid).map(|row| row.3.clone()).collect();
        let past = if performances.is_empty() { BTreeSet::new() } else { self.past(performances).await? };
        let removable = rows.iter().filter(unpaid).filter(|row| past.contains(&row.3));
        let removable = removable.map(|(reservation, account, concert, ..)| {
            Ok(Unpaid { id: id(reservation)?, account_id: id(account)?, concert_id: id(concert)? })
        });
        let removable: Vec<Unpaid> = removable.collect::<Result<_, StorageError>>()?;
        let count = remove(self, (removable, until), |connection, (removable, until)| {
            Box::pin(remove_reservations(connection, removable, *until))
        });
        Ok(Removed { count: count.await?, next })
    }

    async fn remove_events(
        &self,
        until: Timestamp,
        unread_until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError> {
        let read_by_all = self.read_by_all().await?;
        let mut query = outbox_batches::table
            .order(outbox_batches::id)
            .limit(i64::from(limit))
            .select((outbox_batches::id, outbox_batches::occurred_at, outbox_batches::position))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(outbox_batches::id.gt(after.as_bytes().to_vec()));
        }
        let rows: Vec<(Vec<u8>, NaiveDateTime, Option<i64>)> = self.read_in_time(query).await?;
        let (latest, latest_unread) = (time(until), time(unread_until.min(until)));
        // Those that follow began later.
        let ends = rows.last().is_some_and(|(_, occurred_at, _)| *occurred_at > latest);
        let next = next_key(&rows, limit, |(bytes, ..)| id(bytes))?.filter(|_| !ends);
        let was_read = |position: Option<i64>| read_by_all.is_none_or(|all| position.is_some_and(|at| at <= all));
        let old = rows.iter().filter(|(_, occurred_at, position)| {
            *occurred_at <= if was_read(*position) { latest } else { latest_unread }
        });
        let (mut ids, mut unread) = (Vec::new(), 0_usize);
        for (bytes, _, position) in old {
            ids.push(bytes.clone());
            unread += usize::from(!was_read(*position));
        }
        if unread > 0 {
            tracing::error!(batches = unread, "events are removed that a reader has not had");
        }
        let count = remove(self, (ids, until), |connection, (ids, until)| {
            Box::pin(async move {
                let batches = outbox_batches::table.filter(outbox_batches::id.eq_any(ids));
                let removed = diesel::delete(batches).execute(connection).await?;
                note(connection, "outbox_batches", *until).await?;
                Ok(removed)
            })
        });
        Ok(Removed { count: count.await?, next })
    }

    async fn remove_mails(
        &self,
        until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError> {
        let mut query =
            mails::table.order(mails::id).limit(i64::from(limit)).select((mails::id, mails::created_at)).into_boxed();
        if let Some(after) = after {
            query = query.filter(mails::id.gt(after.as_bytes().to_vec()));
        }
        let rows: Vec<(Vec<u8>, NaiveDateTime)> = self.read_in_time(query).await?;
        let latest = time(until);
        let next = next_key(&rows, limit, |(bytes, _)| id(bytes))?;
        let old = rows.iter().filter(|(_, created_at)| *created_at <= latest);
        let ids: Vec<Vec<u8>> = old.map(|(bytes, _)| bytes.clone()).collect();
        let count = remove(self, (ids, ()), |connection, (ids, ())| {
            Box::pin(async move {
                let mails = mails::table.filter(mails::id.eq_any(ids));
                Ok(diesel::delete(mails).execute(connection).await?)
            })
        });
        Ok(Removed { count: count.await?, next })
    }
}

impl Store {
    /// Which of the performances have been.
    async fn past(&self, performances: BTreeSet<Vec<u8>>) -> Result<BTreeSet<Vec<u8>>, StorageError> {
        let query: Statement<Binary> = Statement::new("SELECT id FROM performances WHERE ends_at <= ").bind(self.now());
        let past: Vec<Vec<u8>> = self.read_in_time(query.sql(" AND id IN ").list(performances)).await?;
        Ok(past.into_iter().collect())
    }
}

/// The key of the last row, if there may be more.
fn next_key<R, K>(
    rows: &[R],
    limit: u32,
    key: impl Fn(&R) -> Result<K, StorageError>,
) -> Result<Option<K>, StorageError> {
    let is_full = rows.len() >= limit as usize;
    rows.last().filter(|_| is_full).map(key).transpose()
}

/// Removes rows in a transaction, if there are any.
async fn remove<R: Send + Sync, U: Send + Sync>(
    store: &Store,
    rows: (Vec<R>, U),
    statements: super::retry::Statements<(Vec<R>, U), usize>,
) -> Result<u32, StorageError> {
    if rows.0.is_empty() {
        return Ok(0);
    }
    let removed = store.writer.transaction(rows, statements).await?;
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}

async fn remove_reservations(
    connection: &mut Connection,
    removable: &[Unpaid],
    until: Timestamp,
) -> Result<usize, Failure> {
    // All who count the holds of an account lock its wallet first.
    let accounts: BTreeSet<_> = removable.iter().map(|unpaid| unpaid.account_id).collect();
    let lock = Statement::<Binary>::new("SELECT account_id FROM wallets WHERE account_id IN ").list(accounts);
    let _locked: Vec<Vec<u8>> = lock.sql(" ORDER BY account_id").sql(LOCK_ROWS).load(connection).await?;
    let removed = Statement::<Untyped>::new("DELETE FROM reservations WHERE id IN ")
        .list(removable.iter().map(|unpaid| unpaid.id))
        .sql(" AND status IN ('cancelled', 'expired') AND payment_id IS NULL")
        .execute(connection)
        .await?;
    let pairs: BTreeSet<_> = removable.iter().map(|unpaid| (unpaid.concert_id, unpaid.account_id)).collect();
    let pairs: Vec<_> = pairs.into_iter().collect();
    for pairs in pairs.chunks(PAIRS_MAX) {
        recount(connection, pairs).await?;
    }
    note(connection, "reservations", until).await?;
    Ok(removed)
}

/// Counts what is left of the holds that ended unpaid. A budget of which nothing is left goes.
async fn recount(connection: &mut Connection, pairs: &[(ConcertId, AccountId)]) -> Result<(), Failure> {
    type Sql = (
        Binary,
        Binary,
        BigInt,
        Nullable<SqlTimestamp>,
        Nullable<SqlTimestamp>,
        BigInt,
        BigInt,
        Nullable<SqlTimestamp>,
    );
    type Row = (Vec<u8>, Vec<u8>, i64, Option<NaiveDateTime>, Option<NaiveDateTime>, i64, i64, Option<NaiveDateTime>);
    const BEFORE_INDEX: &str = "SELECT hold_budgets.concert_id, hold_budgets.account_id, hold_budgets.unpaid_count, \
        hold_budgets.last_unpaid_at, hold_budgets.paid_at, COUNT(reservations.id), \
        COUNT(CASE WHEN reservations.status <> 'held' AND (hold_budgets.paid_at IS NULL \
            OR reservations.updated_at > hold_budgets.paid_at) THEN 1 END), \
        MAX(CASE WHEN reservations.status <> 'held' AND (hold_budgets.paid_at IS NULL \
            OR reservations.updated_at > hold_budgets.paid_at) THEN reservations.updated_at END) \
        FROM hold_budgets LEFT JOIN reservations";
    const AFTER_INDEX: &str = " ON reservations.account_id = hold_budgets.account_id \
        AND reservations.concert_id = hold_budgets.concert_id AND reservations.status <> 'confirmed' \
        AND reservations.payment_id IS NULL WHERE ";
    const GROUPS: &str = " GROUP BY hold_budgets.concert_id, hold_budgets.account_id, hold_budgets.unpaid_count, \
        hold_budgets.last_unpaid_at, hold_budgets.paid_at";
    let named = named(Statement::<Sql>::new(BEFORE_INDEX).sql(LIVE_INDEX).sql(AFTER_INDEX), pairs);
    let rows: Vec<Row> = named.sql(GROUPS).load(connection).await?;
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for (concert, account, unpaid, last_unpaid_at, paid_at, left, left_unpaid, last_left_at) in rows {
        let counted = HoldBudget {
            concert_id: id(&concert)?,
            account_id: id(&account)?,
            unpaid_count: count(unpaid)?,
            last_unpaid_at: last_unpaid_at.map(|at| at.and_utc()),
            paid_at: paid_at.map(|at| at.and_utc()),
        };
        let recounted = counted.recounted(count(left_unpaid)?, last_left_at.map(|at| at.and_utc()));
        if left == 0 {
            gone.push((counted.concert_id, counted.account_id));
        } else if recounted != counted {
            changed.push(HoldBudgetRow::bind(&recounted));
        }
    }
    upsert::<HoldBudgetRow>(connection, changed, "concert_id, account_id", &["unpaid_count", "last_unpaid_at"]).await?;
    if !gone.is_empty() {
        let delete = Statement::<Untyped>::new("DELETE FROM hold_budgets WHERE ");
        self::named(delete, &gone).execute(connection).await?;
    }
    Ok(())
}

/// The budgets of these accounts.
fn named<ST>(statement: Statement<ST>, pairs: &[(ConcertId, AccountId)]) -> Statement<ST> {
    let repeated = pairs.last().into_iter().cycle();
    let pairs = pairs.iter().chain(repeated).take(padded(pairs.len()));
    statement
        .sql("(")
        .alternatives(pairs, |statement, (concert_id, account_id)| {
            let statement = statement.sql("hold_budgets.concert_id = ").bind(*concert_id);
            statement.sql(" AND hold_budgets.account_id = ").bind(*account_id)
        })
        .sql(")")
}

/// Notes until when rows of a kind were removed, so that the audit does not miss them. It never goes back: rows may have been
/// kept for a shorter time before.
async fn note(connection: &mut Connection, kind: &'static str, until: Timestamp) -> Result<(), Failure> {
    let known = Statement::select::<RemovalRow>().sql(" WHERE kind = ").bind(kind).sql(LOCK_ROWS);
    let known: Vec<RemovalRow> = known.load(connection).await?;
    if known.iter().all(|known| known.removed_until < time(until)) {
        upsert::<RemovalRow>(connection, [RemovalRow::bind(kind, until)], "kind", &["removed_until"]).await?;
    }
    Ok(())
}
