//! The order of the batches of events, and how far their readers are.

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError, Timestamp,
    events::{Event, EventBatch, EventLog, ReaderCursor, ReaderLag, SequencedBatch, in_order},
    history::StaffAct,
};

use super::{MemoryStore, Rows};

impl Rows {
    /// Writes acts of the staff down, with the events of those that are about a concert.
    pub(super) fn write_down(&mut self, acts: impl IntoIterator<Item = StaffAct>) {
        for act in acts {
            if act.concert_id.is_some() {
                let events = vec![Event::StaffActed { act: act.clone() }];
                self.add_batch(EventBatch { id: act.id, events, occurred_at: act.at });
            }
            self.acts.push(act);
        }
    }

    /// Keeps the batches sorted by their ids.
    pub(super) fn add_batch(&mut self, batch: EventBatch) {
        let index = self.batches.partition_point(|earlier| earlier.id < batch.id);
        self.batches.insert(index, batch);
    }

    fn read_by_all(&self) -> Option<u64> {
        self.readers.values().map(|cursor| cursor.position).min()
    }

    /// Whether every reader has had the batch.
    pub(super) fn was_read(&self, batch: &EventBatch) -> bool {
        let position = self.positions.get(&batch.id);
        self.read_by_all().is_none_or(|all| position.is_some_and(|position| *position <= all))
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn sequence(&self, limit: u32) -> Result<u32, StorageError> {
        let mut rows = self.rows();
        let new = rows.batches.iter().filter(|batch| !rows.positions.contains_key(&batch.id));
        let new = in_order(new.take(limit as usize).cloned().collect());
        for batch in &new {
            rows.positions_given += 1;
            let position = rows.positions_given;
            rows.positions.insert(batch.id, position);
        }
        Ok(u32::try_from(new.len()).expect("no more than the limit"))
    }

    async fn batches_after(&self, position: u64, limit: u32) -> Result<Vec<SequencedBatch>, StorageError> {
        let rows = self.rows();
        let sequenced = rows.batches.iter().filter_map(|batch| {
            let position = *rows.positions.get(&batch.id)?;
            Some(SequencedBatch { position, batch: batch.clone() })
        });
        let mut later: Vec<_> = sequenced.filter(|sequenced| position < sequenced.position).collect();
        later.sort_by_key(|sequenced| sequenced.position);
        later.truncate(limit as usize);
        Ok(later)
    }

    async fn reader(&self, name: &str, now: Timestamp) -> Result<ReaderCursor, StorageError> {
        let new = ReaderCursor { position: 0, starts_at: now };
        Ok(*self.rows().readers.entry(name.to_owned()).or_insert(new))
    }

    async fn find_reader(&self, name: &str) -> Result<Option<ReaderCursor>, StorageError> {
        Ok(self.rows().readers.get(name).copied())
    }

    async fn reading_since(&self) -> Result<Option<Timestamp>, StorageError> {
        Ok(self.rows().readers.values().map(|cursor| cursor.starts_at).min())
    }

    async fn advance(&self, name: &str, position: u64) -> Result<(), StorageError> {
        if let Some(cursor) = self.rows().readers.get_mut(name) {
            cursor.position = cursor.position.max(position);
        }
        Ok(())
    }

    async fn lag(&self, position: u64) -> Result<ReaderLag, StorageError> {
        let rows = self.rows();
        let had = |batch: &EventBatch| rows.positions.get(&batch.id).is_some_and(|at| *at <= position);
        let later: Vec<_> = rows.batches.iter().filter(|batch| !had(batch)).collect();
        let oldest_at = later.iter().map(|batch| batch.occurred_at).min();
        Ok(ReaderLag { batches: later.len() as u64, oldest_at })
    }

    async fn note_openings(&self, since: Timestamp, limit: u32) -> Result<u32, StorageError> {
        let (mut rows, now) = (self.rows(), self.now());
        let opened = rows.concerts.rows.values().filter(|concert| {
            let opened_at = concert.sales.open_at();
            let is_open = since <= opened_at && opened_at <= now && now < concert.sales.close_at();
            is_open && rows.openings.get(&concert.id) != Some(&opened_at)
        });
        let opened: Vec<_> = opened.map(|concert| (concert.id, concert.sales.open_at())).take(limit as usize).collect();
        if opened.is_empty() {
            return Ok(0);
        }
        rows.openings.extend(opened.iter().copied());
        let event = |(concert_id, opened_at)| Event::QueueOpened { concert_id, opened_at };
        let events: Vec<_> = opened.into_iter().map(event).collect();
        let count = u32::try_from(events.len()).expect("no more than the limit");
        rows.add_batch(EventBatch { id: self.entropy.uuid(), events, occurred_at: now });
        Ok(count)
    }
}
