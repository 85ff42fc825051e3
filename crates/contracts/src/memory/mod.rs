//! A storage in memory: the reference implementation of every storing port, and a fake for tests about outcomes.
//!
//! Seats and points are written by [`SaleTables`], which decides with [`sale`](boxoffice_domain::sale) as every adapter
//! does. One lock around everything stands for transactions.

mod accounts;
mod audit;
mod catalog;
mod catalog_import;
mod leases;
mod payments;
mod reservations;
mod wallet;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, PerformanceId, SessionId, StorageError, Timestamp, VenueId,
    accounts::{Credentials, Session},
    audit::Readiness,
    catalog::{CatalogKey, Concert, Venue},
    events::{EventBatch, Outbox},
    fixtures::SaleTables,
    idempotency::{Fingerprint, Idempotency, IdempotencyKey, KeyReused},
    page::{Page, PageRequest},
    sale::{Command, OtherOutcome, Outcome},
};
use uuid::Uuid;

/// A storage in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
    rows: Mutex<Rows>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Credentials>,
    /// With whether they have ended.
    sessions: BTreeMap<SessionId, (Session, bool)>,
    venues: BTreeMap<VenueId, Venue>,
    concerts: BTreeMap<ConcertId, Concert>,
    performances: BTreeMap<PerformanceId, Performance>,
    venue_keys: Published<VenueId>,
    concert_keys: Published<ConcertId>,
    performance_keys: Published<PerformanceId>,
    /// What was imported, by the promoter's name for it.
    imported_venues: BTreeMap<CatalogKey, VenueId>,
    imported_concerts: BTreeMap<CatalogKey, ConcertId>,
    imported_performances: BTreeMap<CatalogKey, PerformanceId>,
    leases: BTreeMap<String, (Uuid, Timestamp)>,
    batches: Vec<EventBatch>,
    sale: SaleTables,
}

#[derive(Clone)]
struct Performance {
    id: PerformanceId,
    concert_id: ConcertId,
    venue_id: VenueId,
    starts_at: Timestamp,
    price_min: boxoffice_domain::Points,
    price_max: boxoffice_domain::Points,
}

/// What was published under which key, unique for the publishing account.
#[derive(Clone)]
struct Published<T>(Vec<(AccountId, IdempotencyKey, Fingerprint, T)>);

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Published<T> {
    fn find(&self, publisher: AccountId, idempotency: Option<&Idempotency>) -> Result<Option<T>, KeyReused> {
        let named = |(account, key, ..): &&(AccountId, IdempotencyKey, Fingerprint, T)| {
            *account == publisher && idempotency.is_some_and(|again| again.key == *key)
        };
        match (self.0.iter().find(named), idempotency) {
            (Some((.., fingerprint, id)), Some(again)) if *fingerprint == again.fingerprint => Ok(Some(*id)),
            (Some(_), _) => Err(KeyReused),
            (None, _) => Ok(None),
        }
    }

    fn note(&mut self, publisher: AccountId, idempotency: Option<Idempotency>, id: T) {
        self.0.extend(idempotency.map(|Idempotency { key, fingerprint }| (publisher, key, fingerprint, id)));
    }
}

impl MemoryStore {
    /// An empty storage that judges time by `clock`.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn EntropySource>) -> Self {
        Self { clock, entropy, rows: Mutex::default() }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write<T: TryFrom<Outcome, Error = OtherOutcome>>(&self, command: Command) -> Result<T, StorageError> {
        let (mut rows, now) = (self.rows(), self.now());
        let told = rows.sale.events.len();
        let outcomes = rows.sale.write(now, &[command]);
        let events = rows.sale.events[told..].to_vec();
        if !events.is_empty() {
            rows.batches.push(EventBatch { id: self.entropy.uuid(), events, occurred_at: now });
        }
        drop(rows);
        let outcome = outcomes.into_iter().next().ok_or_else(|| StorageError::failed("a batch gave no outcome"))?;
        let outcome = outcome.map_err(|error| StorageError::Failed(error.into()))?;
        T::try_from(outcome).map_err(|other| StorageError::Failed(other.into()))
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn batches(&self, page: PageRequest<Uuid>) -> Result<Page<EventBatch, Uuid>, StorageError> {
        let rows = self.rows();
        let later = rows.batches.iter().filter(|batch| page.after.is_none_or(|after| after < batch.id));
        let items = later.take(page.limit as usize + 1).cloned().collect();
        Ok(Page::from_rows(items, page.limit, |batch: &EventBatch| batch.id))
    }
}

#[async_trait]
impl Readiness for MemoryStore {
    async fn ready(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
