//! The order of the batches of events, and how far their readers are.

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, StorageError, Timestamp,
    events::{Event, EventBatch, EventLog, ReaderCursor, ReaderLag, SequencedBatch, in_order},
};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text, Timestamp as SqlTimestamp, Untyped},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{Connection, LOCK_ROWS},
    Store,
    failure::Failure,
    insert::upsert,
    outbox::{EventBatchRow, write_events},
};
use crate::{
    row::row,
    schema::{event_readers, outbox_batches},
    statement::Statement,
    stored::{Stored, count, id, time},
};

/// The row that says which position was given last, and that who gives positions locks.
const SEQUENCER: &str = "";
/// How many batches one statement gives positions to.
const POSITIONS_TOGETHER: usize = 128;
/// Up to how many batches without a position are counted: before the first reader, all are.
const LAG_COUNTED_MAX: u32 = 100_000;
/// By how much the ids of batches may differ from the order of their commits: by what two clocks may be apart, and by what an
/// attempt at a batch takes.
const DISORDER: TimeDelta = TimeDelta::seconds(10);

row! {
    struct EventReaderRow in event_readers, from (name: String, position: i64, starts_at: Timestamp) {
        #[expect(dead_code, reason = "a row is asked for by its name")]
        name: String = name,
        position: i64 = position,
        starts_at: NaiveDateTime = starts_at,
    }
}

row! {
    /// For which opening of its sale an event was written.
    struct QueueOpeningRow in queue_openings, from (concert_id: ConcertId, opened_at: Timestamp) {
        concert_id: Vec<u8> = concert_id,
        opened_at: NaiveDateTime = opened_at,
    }
}

#[async_trait]
impl EventLog for Store {
    async fn sequence(&self, limit: u32) -> Result<u32, StorageError> {
        let input = (limit, self.now());
        let given = self.writer.transaction(input, |connection, (limit, now)| {
            Box::pin(async move {
                let last = lock_sequencer(connection, *now).await?;
                let batches = without_position(connection, *limit).await?;
                let given = u32::try_from(batches.len()).unwrap_or(u32::MAX);
                give_positions(connection, last, batches).await?;
                Ok(given)
            })
        });
        Ok(given.await?)
    }

    async fn batches_after(&self, position: u64, limit: u32) -> Result<Vec<SequencedBatch>, StorageError> {
        let query = outbox_batches::table
            .filter(outbox_batches::position.gt(number(position)))
            .order(outbox_batches::position)
            .limit(i64::from(limit))
            .select((outbox_batches::position.assume_not_null(), EventBatchRow::as_select()));
        let rows: Vec<(i64, EventBatchRow)> = self.read_in_time(query).await?;
        let sequenced =
            |(position, row)| Ok(SequencedBatch { position: count(position)?, batch: EventBatch::try_from(row)? });
        rows.into_iter().map(sequenced).collect()
    }

    async fn reader(&self, name: &str, now: Timestamp) -> Result<ReaderCursor, StorageError> {
        if let Some(cursor) = self.cursor(name).await? {
            return Ok(cursor);
        }
        let row = (name.to_owned(), now);
        let registered = self.writer.transaction(row, |connection, (name, now)| {
            Box::pin(async move {
                let row = EventReaderRow::bind(name.clone(), 0, *now);
                upsert::<EventReaderRow>(connection, [row], "name", &["name"]).await
            })
        });
        registered.await?;
        self.cursor(name).await?.ok_or_else(|| StorageError::failed("a reader of events was not registered"))
    }

    async fn find_reader(&self, name: &str) -> Result<Option<ReaderCursor>, StorageError> {
        self.cursor(name).await
    }

    async fn reading_since(&self) -> Result<Option<Timestamp>, StorageError> {
        let query: Statement<Nullable<SqlTimestamp>> =
            Statement::new("SELECT MIN(starts_at) FROM event_readers WHERE name <> ").bind(SEQUENCER);
        let first: Vec<Option<NaiveDateTime>> = self.read_in_time(query).await?;
        Ok(first.into_iter().next().flatten().map(|at| at.and_utc()))
    }

    async fn advance(&self, name: &str, position: u64) -> Result<(), StorageError> {
        let advanced = self.writer.transaction((name.to_owned(), number(position)), |connection, (name, position)| {
            Box::pin(async move {
                let reader = event_readers::table.find(name.as_str()).filter(event_readers::position.lt(*position));
                diesel::update(reader).set(event_readers::position.eq(*position)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(advanced.await?)
    }

    async fn lag(&self, position: u64) -> Result<ReaderLag, StorageError> {
        let given = self.cursor(SEQUENCER).await?.map_or(0, |cursor| cursor.position);
        let counted =
            Statement::<BigInt>::new("SELECT COUNT(*) FROM (SELECT id FROM outbox_batches WHERE position IS NULL");
        let counted = counted.sql(" LIMIT ").bind(i64::from(LAG_COUNTED_MAX)).sql(") AS waiting");
        let waiting: Vec<i64> = self.read_in_time(counted).await?;
        let waiting = waiting.into_iter().next().unwrap_or_default();
        let first = outbox_batches::table.filter(outbox_batches::position.is_null()).order(outbox_batches::id);
        let first: Vec<NaiveDateTime> = self.read_in_time(first.limit(1).select(outbox_batches::occurred_at)).await?;
        let next = outbox_batches::table
            .filter(outbox_batches::position.gt(number(position)))
            .order(outbox_batches::position)
            .limit(1)
            .select(outbox_batches::occurred_at);
        let next: Vec<NaiveDateTime> = self.read_in_time(next).await?;
        Ok(ReaderLag {
            batches: given.saturating_sub(position) + count::<u64>(waiting)?,
            oldest_at: next.into_iter().chain(first).next().map(|at| at.and_utc()),
        })
    }

    async fn note_openings(&self, since: Timestamp, limit: u32) -> Result<u32, StorageError> {
        type Row = (Vec<u8>, NaiveDateTime);
        let now = self.now();
        let query: Statement<(Binary, SqlTimestamp)> = Statement::new(
            "SELECT concerts.id, concerts.sales_open_at FROM concerts \
             LEFT JOIN queue_openings ON queue_openings.concert_id = concerts.id \
                AND queue_openings.opened_at = concerts.sales_open_at \
             WHERE queue_openings.concert_id IS NULL AND concerts.sales_open_at >= ",
        );
        let query = query.bind(since).sql(" AND concerts.sales_open_at <= ").bind(now);
        let query = query.sql(" AND concerts.sales_close_at > ").bind(now).sql(" LIMIT ").bind(i64::from(limit));
        let opened: Vec<Row> = self.read_in_time(query).await?;
        if opened.is_empty() {
            return Ok(0);
        }
        let opened = opened.into_iter().map(|(concert, opened_at)| Ok((id(&concert)?, opened_at.and_utc())));
        let opened: Vec<(ConcertId, Timestamp)> = opened.collect::<Result<_, StorageError>>()?;
        let batch = self.writer.entropy.uuid();
        let noted = self.writer.transaction((opened, batch, now), |connection, (opened, batch, now)| {
            Box::pin(note_openings(connection, opened, *batch, *now))
        });
        Ok(noted.await?)
    }
}

impl Store {
    async fn cursor(&self, name: &str) -> Result<Option<ReaderCursor>, StorageError> {
        let query = event_readers::table.find(name.to_owned()).select(EventReaderRow::as_select());
        let rows: Vec<EventReaderRow> = self.read_in_time(query).await?;
        let cursor = |row: EventReaderRow| {
            Ok(ReaderCursor { position: count(row.position)?, starts_at: row.starts_at.and_utc() })
        };
        rows.into_iter().next().map(cursor).transpose()
    }

    /// The position that every reader of events has had; `None` without readers.
    pub(super) async fn read_by_all(&self) -> Result<Option<i64>, StorageError> {
        let query: Statement<Nullable<BigInt>> =
            Statement::new("SELECT MIN(position) FROM event_readers WHERE name <> ").bind(SEQUENCER);
        let least: Vec<Option<i64>> = self.read_in_time(query).await?;
        Ok(least.into_iter().next().flatten())
    }
}

/// A position as it is stored.
fn number(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// Keeps others from giving positions until the transaction ends. Returns the position that was given last.
async fn lock_sequencer(connection: &mut Connection, now: Timestamp) -> Result<i64, Failure> {
    let lock = || {
        let lock = Statement::<BigInt>::new("SELECT position FROM event_readers WHERE name = ").bind(SEQUENCER);
        lock.sql(LOCK_ROWS)
    };
    let mut locked: Vec<i64> = lock().load(connection).await?;
    if locked.is_empty() {
        let row = EventReaderRow::bind(SEQUENCER.to_owned(), 0, now);
        upsert::<EventReaderRow>(connection, [row], "name", &["name"]).await?;
        locked = lock().load(connection).await?;
    }
    Ok(locked.into_iter().next().unwrap_or_default())
}

/// Committed batches without a position. If there are more than `limit`, only those that follow from none that was left out.
async fn without_position(connection: &mut Connection, limit: u32) -> Result<Vec<EventBatch>, Failure> {
    let query = Statement::<(Binary, Text, SqlTimestamp)>::new(
        "SELECT id, events, occurred_at FROM outbox_batches WHERE position IS NULL ORDER BY id LIMIT ",
    );
    let rows: Vec<EventBatchRow> = query.bind(i64::from(limit)).load(connection).await?;
    let is_all = rows.len() < limit as usize;
    let batches = rows.into_iter().map(EventBatch::try_from).collect::<Result<Vec<_>, _>>()?;
    let mut ordered = in_order(batches);
    let newest = ordered.iter().map(|batch| batch.occurred_at).max();
    if let Some(newest) = newest.filter(|_| !is_all) {
        let whole = ordered.len();
        let is_early = |batch: &EventBatch| batch.occurred_at < newest - DISORDER;
        let early = ordered.iter().filter(|batch| is_early(batch)).count();
        // So many in so short a time that they cannot be looked at together: half of them are far enough from the end.
        let kept = if early > 0 { early } else { whole / 2 };
        ordered.retain(|batch| early == 0 || is_early(batch));
        ordered.truncate(kept.max(1));
    }
    Ok(ordered)
}

async fn give_positions(connection: &mut Connection, last: i64, batches: Vec<EventBatch>) -> Result<(), Failure> {
    if batches.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = batches.into_iter().map(|batch| batch.id).collect();
    let given = last + i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let positions: Vec<(Uuid, i64)> = ids.into_iter().zip(last + 1..).collect();
    for positions in positions.chunks(POSITIONS_TOGETHER) {
        let repeated = positions.last().into_iter().cycle();
        let padded = positions.iter().chain(repeated).take(crate::statement::padded(positions.len()));
        let update = Statement::<Untyped>::new("UPDATE outbox_batches SET position = CASE id");
        let update = update
            .each("", padded, |update, (id, position)| update.sql(" WHEN ").bind(*id).sql(" THEN ").bind(*position));
        let update = update.sql(" END WHERE id IN ").list(positions.iter().map(|(id, _)| *id));
        update.execute(connection).await?;
    }
    let row = event_readers::table.find(SEQUENCER);
    diesel::update(row).set(event_readers::position.eq(given)).execute(connection).await?;
    Ok(())
}

/// Writes the events of the openings for which none was written, with the concerts locked.
async fn note_openings(
    connection: &mut Connection,
    opened: &[(ConcertId, Timestamp)],
    batch: Uuid,
    now: Timestamp,
) -> Result<u32, Failure> {
    let lock = Statement::<Binary>::new("SELECT id FROM concerts WHERE id IN ");
    let lock = lock.list(opened.iter().map(|(concert_id, _)| *concert_id)).sql(" ORDER BY id").sql(LOCK_ROWS);
    let _locked: Vec<Vec<u8>> = lock.load(connection).await?;
    let noted = Statement::select::<QueueOpeningRow>().sql(" WHERE concert_id IN ");
    let noted = noted.list(opened.iter().map(|(concert_id, _)| *concert_id));
    let noted: Vec<QueueOpeningRow> = noted.load(connection).await?;
    let is_noted = |(concert_id, opened_at): &&(ConcertId, Timestamp)| {
        noted.iter().any(|row| row.concert_id == concert_id.stored() && row.opened_at == time(*opened_at))
    };
    let new: Vec<_> = opened.iter().filter(|opened| !is_noted(opened)).copied().collect();
    let rows: Vec<_> =
        new.iter().map(|(concert_id, opened_at)| QueueOpeningRow::bind(*concert_id, *opened_at)).collect();
    upsert::<QueueOpeningRow>(connection, rows, "concert_id", &["opened_at"]).await?;
    let event = |(concert_id, opened_at)| Event::QueueOpened { concert_id, opened_at };
    let events: Vec<_> = new.iter().copied().map(event).collect();
    write_events(connection, batch, &events, now).await?;
    Ok(u32::try_from(events.len()).unwrap_or(u32::MAX))
}
