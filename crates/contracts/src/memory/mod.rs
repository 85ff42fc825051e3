//! A storage in memory: the reference implementation of all storing ports, over the decider that every storage uses.
//!
//! It is the smallest adapter, and a fake for tests about outcomes: what it answers is what a database answers. One lock
//! around everything takes the place of transactions.

mod account_emails;
mod account_records;
mod accounts;
mod audit;
mod catalog;
mod catalog_import;
mod event_log;
mod event_sink;
mod history;
mod leases;
mod mails;
mod payments;
mod reservations;
mod retention;
mod wallet;
mod webhooks;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, PerformanceId, SessionId, StorageError, Timestamp, VenueId, WebhookId,
    accounts::{AccountEmail, AddressHash, Credentials, EmailCode, HourlyCount, ResetTokenHash, SecondFactor, Session},
    audit::Readiness,
    catalog::{CatalogKey, Concert, Owned, PerformanceSummary, Venue},
    events::{EventBatch, Outbox, ReaderCursor},
    fixtures::SaleTables,
    history::StaffAct,
    idempotency::{Idempotency, IdempotencyKey, KeyReused, Made},
    mail::NewMail,
    maintenance::{Maintenance, Notice},
    page::{Page, PageRequest},
    sale::{Command, OtherOutcome, Outcome},
    webhooks::{DeliveryId, Webhook},
};
use uuid::Uuid;

pub use event_sink::MemoryEventSink;

/// A storage in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
    rows: Mutex<Rows>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Credentials>,
    sessions: BTreeMap<SessionId, Session>,
    factors: BTreeMap<AccountId, SecondFactor>,
    /// Without what waits for a code.
    emails: BTreeMap<AccountId, AccountEmail>,
    email_codes: BTreeMap<AccountId, EmailCode>,
    address_mails: BTreeMap<AddressHash, HourlyCount>,
    resets: BTreeMap<ResetTokenHash, account_emails::Reset>,
    venues: Published<VenueId, Venue>,
    /// Who published a venue that was not imported.
    venue_publishers: BTreeMap<VenueId, AccountId>,
    concerts: Published<ConcertId, Concert>,
    /// The name of the venue and the number of available seats are those of the publication.
    performances: Published<PerformanceId, PerformanceSummary>,
    leases: BTreeMap<String, (Uuid, Timestamp)>,
    notice: Option<Notice>,
    batches: Vec<EventBatch>,
    /// Those that were given, and how many.
    positions: HashMap<Uuid, u64>,
    positions_given: u64,
    readers: BTreeMap<String, ReaderCursor>,
    /// For which opening of a sale an event was written.
    openings: BTreeMap<ConcertId, Timestamp>,
    acts: Vec<StaffAct>,
    mails: BTreeMap<Uuid, mails::KeptMail>,
    removed_until: retention::RemovedUntil,
    notifications: BTreeMap<String, wallet::Kept>,
    webhooks: BTreeMap<WebhookId, Webhook>,
    deliveries: BTreeMap<DeliveryId, webhooks::Kept>,
    sale: SaleTables,
}

/// A table of the catalog, with the keys under which its rows were published or imported.
#[derive(Clone)]
struct Published<K, V> {
    rows: BTreeMap<K, V>,
    keys: HashMap<(AccountId, IdempotencyKey), (Idempotency, K)>,
    /// By key and owner.
    imported: BTreeMap<(CatalogKey, Option<AccountId>), K>,
}

impl<K, V> Default for Published<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), keys: HashMap::new(), imported: BTreeMap::new() }
    }
}

impl<K: Copy + Ord, V: Clone> Published<K, V> {
    fn publish(
        &mut self,
        publisher: AccountId,
        idempotency: Option<Idempotency>,
        id: K,
        row: V,
    ) -> Result<Made<V>, KeyReused> {
        if let Some(again) = idempotency {
            let key = (publisher, again.key.clone());
            if let Some((first, id)) = self.keys.get(&key) {
                return first.replay(&again, self.rows[id].clone());
            }
            self.keys.insert(key, (again, id));
        }
        self.rows.insert(id, row.clone());
        Ok(Made::now(row))
    }

    /// What is stored under a catalog key, with its owner.
    fn imported<'r>(&'r self, key: &'r CatalogKey) -> impl Iterator<Item = Owned<&'r V>> {
        let named = self.imported.iter().filter(move |((named, _), _)| named == key);
        named.map(|((_, owner), id)| Owned { owner: *owner, value: &self.rows[id] })
    }

    /// Gives the key of a row to this owner.
    fn adopt(&mut self, id: K, owner: Option<AccountId>) {
        let named = self.imported.iter().find(|(_, known)| **known == id).map(|(named, _)| named.clone());
        if let Some((key, former)) = named {
            self.imported.remove(&(key.clone(), former));
            self.imported.insert((key, owner), id);
        }
    }

    fn import(&mut self, key: &CatalogKey, owner: Option<AccountId>, id: K, row: V) {
        self.imported.retain(|_, known| *known != id);
        self.imported.insert((key.clone(), owner), id);
        self.rows.insert(id, row);
    }
}

/// The items after `request.after`, of a list in the order that `follows` says.
fn page<T, K>(
    list: impl Iterator<Item = T>,
    request: PageRequest<K>,
    key: impl Fn(&T) -> K,
    follows: impl Fn(&K, &K) -> bool,
) -> Page<T, K> {
    let PageRequest { after, limit } = request;
    let later = list.filter(|item| after.as_ref().is_none_or(|after| follows(&key(item), after)));
    Page::from_rows(later.take(limit as usize + 1).collect(), limit, key)
}

impl MemoryStore {
    /// An empty storage that judges time by `clock`.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn EntropySource>) -> Self {
        Self { clock, entropy, rows: Mutex::default() }
    }

    /// As [`Self::new`], for a product that keeps no points: accounts have no wallets, and pay outside.
    pub fn without_wallets(clock: Arc<dyn Clock>, entropy: Arc<dyn EntropySource>) -> Self {
        let store = Self::new(clock, entropy);
        store.rows().sale.without_wallets = true;
        store
    }

    /// The mail that was queued, the oldest first.
    pub fn queued_mails(&self) -> Vec<NewMail> {
        self.rows().mails.iter().filter_map(|(id, mail)| mail.as_queued(*id)).collect()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write<T: TryFrom<Outcome, Error = OtherOutcome>>(&self, command: Command) -> Result<T, StorageError> {
        let (mut rows, now) = (self.rows(), self.now());
        let before = rows.sale.events.len();
        let outcomes = rows.sale.write(now, &[command]);
        let events = rows.sale.events[before..].to_vec();
        if !events.is_empty() {
            rows.add_batch(EventBatch { id: self.entropy.uuid(), events, occurred_at: now });
        }
        drop(rows);
        let outcome = outcomes.into_iter().next().expect("each command has an outcome");
        let outcome = outcome.map_err(|error| StorageError::Failed(error.into()))?;
        T::try_from(outcome).map_err(|other| StorageError::Failed(other.into()))
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn batches(&self, request: PageRequest<Uuid>) -> Result<Page<EventBatch, Uuid>, StorageError> {
        Ok(page(self.rows().batches.iter().cloned(), request, |batch| batch.id, Uuid::gt))
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn notice(&self) -> Result<Option<Notice>, StorageError> {
        Ok(self.rows().notice.clone())
    }

    async fn set_notice(&self, notice: Option<Notice>) -> Result<(), StorageError> {
        let mut rows = self.rows();
        let began_at = rows.notice.as_ref().map(|notice| notice.began_at);
        rows.notice = notice.map(|notice| Notice { began_at: began_at.unwrap_or(notice.began_at), ..notice });
        Ok(())
    }
}

#[async_trait]
impl Readiness for MemoryStore {
    async fn ready(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
