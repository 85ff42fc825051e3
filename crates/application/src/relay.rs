//! The relay: takes events from the outbox to their readers.

use std::{collections::HashMap, sync::Arc};

use boxoffice_domain::{
    Clock, StorageError, Timestamp,
    catalog::Catalog,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    events::{Event, EventLog, ReaderCursor, ReaderLag, SequencedBatch},
};
use chrono::TimeDelta;

use crate::published;

/// About how many batches get positions at once.
const SEQUENCE_MAX: u32 = 4_000;
/// How many batches are read at once.
const READ_MAX: u32 = 64;
/// After how many events a delivery ends. A batch is never split, and has about 300 events at most.
const DELIVERY_EVENTS: usize = 1_000;
/// For how long after an opening it is still said, if no instance ran when it came.
const OPENINGS_MAX: TimeDelta = TimeDelta::days(7);
/// How long before the first reader a sale may have opened: one that is published now may have opened an hour ago.
const OPENINGS_BEFORE: TimeDelta = TimeDelta::days(1);
/// How many openings are noted at once.
const OPENINGS_TOGETHER: u32 = 500;

/// Why a reader did not get further.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The reader did not take the events. They are delivered again.
    #[error("the events were not delivered")]
    Sink(#[from] EventSinkError),
}

/// What all readers need: positions of batches, and the events of openings.
pub struct EventSequencer {
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
}

impl EventSequencer {
    /// Gives positions to batches that have none. Returns whether there may be more at once.
    pub async fn sequence(&self) -> Result<bool, StorageError> {
        Ok(self.log.sequence(SEQUENCE_MAX).await? > SEQUENCE_MAX / 2)
    }

    /// Writes the events of the sales that have opened since a day before the first reader began, if there is a reader.
    /// Returns whether there is.
    pub async fn note_openings(&self) -> Result<bool, StorageError> {
        let Some(since) = self.log.reading_since().await? else { return Ok(false) };
        let since = (since - OPENINGS_BEFORE).max(self.clock.now() - OPENINGS_MAX);
        self.log.note_openings(since, OPENINGS_TOGETHER).await?;
        Ok(true)
    }
}

/// A reader of events, with what it gets them into.
///
/// It delivers at least once: what was delivered and not noted, since the process ended in between, is delivered again.
/// Several may run under one name at the same time, such as those of two instances of which one is slow; each of them
/// delivers in order.
pub struct EventReader {
    name: &'static str,
    log: Arc<dyn EventLog>,
    sink: Arc<dyn EventSink>,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    /// As far as this process knows.
    cursor: Option<ReaderCursor>,
}

/// What a step of a reader has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// How many events it delivered.
    pub events: u64,
    /// Whether there may be more at once.
    pub has_more: bool,
}

impl EventReader {
    /// The reader of this name, which begins where the last one of this name has stopped. A new one gets what happens from its
    /// first step on.
    pub fn new(
        name: &'static str,
        sink: Arc<dyn EventSink>,
        log: Arc<dyn EventLog>,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { name, log, sink, catalog, clock, cursor: None }
    }

    /// Since when it reads. Registers it if it is new.
    pub async fn starts_at(&mut self) -> Result<Timestamp, StorageError> {
        Ok(self.cursor().await?.starts_at)
    }

    /// Whether it has read before.
    pub async fn is_known(&self) -> Result<bool, StorageError> {
        Ok(self.cursor.is_some() || self.log.find_reader(self.name).await?.is_some())
    }

    /// Registers it to read what happened at `starts_at` or later, if it is new.
    pub async fn register(&mut self, starts_at: Timestamp) -> Result<(), StorageError> {
        self.cursor = Some(self.log.reader(self.name, starts_at).await?);
        Ok(())
    }

    /// How much it has yet to deliver.
    pub async fn lag(&mut self) -> Result<ReaderLag, StorageError> {
        let position = self.cursor().await?.position;
        self.log.lag(position).await
    }

    /// Forgets how far it is, since another process delivers now.
    pub fn forget(&mut self) {
        self.cursor = None;
    }

    /// Delivers what comes next.
    pub async fn step(&mut self) -> Result<Relayed, RelayError> {
        let cursor = self.cursor().await?;
        let batches = self.log.batches_after(cursor.position, READ_MAX).await?;
        let has_more = batches.len() == READ_MAX as usize;
        let (mut delivered, mut together, mut last) = (0, Vec::new(), cursor.position);
        for sequenced in batches {
            last = sequenced.position;
            together.extend(self.events_of(sequenced, cursor.starts_at).await?);
            if together.len() >= DELIVERY_EVENTS {
                delivered += self.deliver(std::mem::take(&mut together), last).await?;
            }
        }
        if last > self.cursor().await?.position {
            delivered += self.deliver(together, last).await?;
        }
        Ok(Relayed { events: delivered, has_more })
    }

    /// Delivers events, and notes how far the reader is then.
    async fn deliver(&mut self, events: Vec<PublishedEvent>, position: u64) -> Result<u64, RelayError> {
        if !events.is_empty() {
            self.sink.deliver(&events).await?;
        }
        self.log.advance(self.name, position).await?;
        if let Some(cursor) = &mut self.cursor {
            cursor.position = position;
        }
        Ok(events.len() as u64)
    }

    async fn events_of(
        &self,
        SequencedBatch { batch, .. }: SequencedBatch,
        starts_at: Timestamp,
    ) -> Result<Vec<PublishedEvent>, StorageError> {
        if batch.occurred_at < starts_at {
            return Ok(Vec::new());
        }
        let mut concerts = HashMap::new();
        for performance_id in batch.events.iter().filter_map(Event::performance_id) {
            if !concerts.contains_key(&performance_id)
                && let Some(concert_id) = self.catalog.concert_of(performance_id).await?
            {
                concerts.insert(performance_id, concert_id);
            }
        }
        Ok(published(&batch, |performance_id| concerts.get(&performance_id).copied()))
    }

    async fn cursor(&mut self) -> Result<ReaderCursor, StorageError> {
        if let Some(cursor) = self.cursor {
            return Ok(cursor);
        }
        let cursor = self.log.reader(self.name, self.clock.now()).await?;
        self.cursor = Some(cursor);
        Ok(cursor)
    }
}
