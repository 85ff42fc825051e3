//! A storage adapter in one file: the ports that sell seats, over a single JSON file.
//!
//! It shows how an adapter is made: *lock, load what the plan names, decide, save the changes, commit, answer*. Every
//! decision is the domain's; what is here only finds rows and writes them down. Any number of processes may share a file:
//! a transaction holds the lock beside it, and commits by replacing the file as a whole.
//! `cargo run --bin adapter -- seats.json` sells a seat. The tests are the contract, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
};

use boxoffice_contracts::storage::Stage;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, PaymentId, PerformanceId, ReservationId, StorageError, Timestamp, VenueId,
    async_trait,
    catalog::{
        Booking, Catalog, Concert, ConcertSummary, NewPerformance, PerformanceKey, PerformanceSummary,
        PerformanceTerms, PublishError, Sales, SeatMap, UpdateConcertError, Venue, VenueSummary, check_start,
    },
    fixtures::TestClock,
    history::StaffAct,
    idempotency::{Idempotency, IdempotencyKey, Made},
    page::{Page, PageRequest},
    payments::{PayError, PayRequest, Payment, PaymentView, Payments, Receipt},
    reservations::{
        CancelError, CancelRequest, HoldError, HoldRequest, Reservation, ReservationState, ReservationStatus,
        ReservationView, Reservations,
    },
    sale::{
        CancelOutcome, Changes, Command, ExpireOutcome, HoldBudget, HoldOutcome, Holding, LoadPlan, OtherOutcome,
        Outcome, PayOutcome, SaleState,
    },
    seats::{Seat, SeatLabel},
    uuid::Uuid,
    waiting_room::PlaceNumber,
};
use serde::{Deserialize, Serialize};

type Stored<T> = Result<T, StorageError>;

/// All rows, as they are in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Tables {
    venues: BTreeMap<VenueId, Venue>,
    concerts: BTreeMap<ConcertId, Concert>,
    performances: BTreeMap<PerformanceId, PerformanceTerms>,
    bookings: BTreeMap<PerformanceId, Booking>,
    seats: BTreeMap<PerformanceId, BTreeMap<SeatLabel, Seat>>,
    reservations: BTreeMap<ReservationId, Reservation>,
    /// By the reservation that they paid.
    payments: BTreeMap<ReservationId, Payment>,
    hold_budgets: Vec<HoldBudget>,
    /// What was published under the keys of callers, by kind, account and key.
    published: BTreeMap<String, (Idempotency, Uuid)>,
}

/// Loading and saving for a batch is the heart of every adapter; then come what the ports show.
impl Tables {
    /// Loads the rows that the plan names. A database finds them by indexes, and locks them in this order.
    fn load(&self, mut plan: LoadPlan) -> SaleState {
        // This storage keeps no points, so there are no wallets to load, and no charges.
        let mut state = SaleState::without_wallets();
        let made = plan.reservation_keys.iter().filter_map(|(id, key)| self.reservation_by_key(*id, key));
        plan.reservations.extend(made.map(|found| found.id));
        for (account_id, key) in plan.payment_keys.clone() {
            if let Some(payment) = self.payment_by_key(account_id, &key) {
                plan.include_payment(payment);
                state.add_payment(payment.clone());
            }
        }
        for id in plan.reservations.clone() {
            if let Some(reservation) = self.reservations.get(&id) {
                plan.include_reservation(reservation);
                state.add_reservation(reservation.clone());
            }
        }
        let refunded = plan.reservations_to_refund.iter().filter_map(|id| self.payments.get(id));
        refunded.for_each(|payment| state.add_payment(payment.clone()));
        let terms = |id: &PerformanceId| self.performances.get(id);
        plan.performances.iter().filter_map(terms).for_each(|terms| state.add_terms(terms.clone()));
        let wanted = |held: &Holding| plan.holdings.contains(&(held.account_id, held.concert_id));
        self.reservations.values().filter_map(Holding::of).filter(wanted).for_each(|held| state.add_holding(held));
        let wanted = |found: &&HoldBudget| plan.holdings.contains(&(found.account_id, found.concert_id));
        self.hold_budgets.iter().filter(wanted).for_each(|budget| state.add_hold_budget(*budget));
        for (id, labels) in &plan.seats {
            let seats = self.seats.get(id).into_iter().flat_map(|seats| seats.values());
            seats.filter(|seat| labels.contains(&seat.label)).for_each(|seat| state.add_seat(*id, seat.clone()));
        }
        state
    }

    /// Writes down what a batch changed.
    fn save(&mut self, changes: Changes<'_>) {
        let reservations = changes.reservations_new().chain(changes.reservations_changed());
        self.reservations.extend(reservations.map(|found| (found.id, found.clone())));
        let payments = changes.payments_new().chain(changes.payments_changed());
        self.payments.extend(payments.map(|found| (found.reservation_id, found.clone())));
        for budget in changes.hold_budgets() {
            self.hold_budgets.retain(|old| (old.account_id, old.concert_id) != (budget.account_id, budget.concert_id));
            self.hold_budgets.push(*budget);
        }
        for (id, seat) in changes.seats() {
            self.seats.entry(id).or_default().insert(seat.label.clone(), seat.clone());
        }
    }

    fn reservation_by_key(&self, account_id: AccountId, key: &IdempotencyKey) -> Option<&Reservation> {
        let mut own = self.reservations.values().filter(|found| found.account_id == account_id);
        own.find(|found| found.idempotency.as_ref().is_some_and(|named| named.key == *key))
    }

    fn payment_by_key(&self, account_id: AccountId, key: &IdempotencyKey) -> Option<&Payment> {
        self.payments.values().find(|found| found.account_id == account_id && found.idempotency.key == *key)
    }

    fn view(&self, found: &Reservation) -> ReservationView {
        ReservationView { reservation: found.clone(), performance: self.performances[&found.performance_id].clone() }
    }

    fn payment_view(&self, payment: &Payment) -> PaymentView {
        PaymentView { payment: payment.clone(), reservation: self.view(&self.reservations[&payment.reservation_id]) }
    }

    fn concert_summary(&self, concert: &Concert) -> ConcertSummary {
        let performances = self.performances.values().filter(|terms| terms.concert_id == concert.id);
        let performances = performances.map(|terms| self.performance_summary(terms, concert.created_at));
        let shown = performances.map(|found| (found.starts_at, found.prices(), found.venue.time_zone));
        ConcertSummary::of(concert.clone(), &shown.collect::<Vec<_>>())
    }

    fn performance_summary(&self, terms: &PerformanceTerms, now: Timestamp) -> PerformanceSummary {
        let seats = self.seats_in_order(terms.id);
        let sales = Sales::of(seats.iter().copied(), now, |id| self.reservations.get(&id)).unwrap_or_default();
        PerformanceSummary {
            id: terms.id,
            concert_id: terms.concert_id,
            venue: terms.venue.clone(),
            starts_at: terms.starts_at,
            duration_minutes: self.bookings[&terms.id].duration_minutes,
            withdrawn: terms.withdrawn_at.is_some(),
            seats_total: u32::try_from(seats.len()).unwrap_or(u32::MAX),
            seats_available: sales.available,
            price_min: seats.iter().map(|seat| seat.price).min().unwrap_or_default(),
            price_max: seats.iter().map(|seat| seat.price).max().unwrap_or_default(),
        }
    }

    /// Whether a new performance can be then, at its venue.
    fn check_new(&self, new: &NewPerformance, concert: &Concert, now: Timestamp) -> Result<(), PublishError> {
        check_start(now, &concert.sales, new.starts_at, false)?;
        let at_venue = self.performances.values().filter(|terms| terms.venue.id == new.venue.id);
        let taken: Vec<_> = at_venue.map(|terms| self.bookings[&terms.id]).collect();
        let conflict = new.booking().conflict(&taken).filter(|_| !new.venue.overlaps_allowed);
        conflict.map_or(Ok(()), |other| Err(PublishError::Overlaps(other)))
    }

    fn seats_in_order(&self, id: PerformanceId) -> Vec<&Seat> {
        let mut seats: Vec<_> = self.seats.get(&id).into_iter().flat_map(|seats| seats.values()).collect();
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        seats
    }

    /// What was published under the key, or takes note of what is being published.
    fn publish_once(
        &mut self,
        kind: &str,
        publisher: AccountId,
        idempotency: Option<Idempotency>,
        id: Uuid,
    ) -> Result<Made<Uuid>, PublishError> {
        let Some(again) = idempotency else { return Ok(Made::now(id)) };
        let entry = format!("{kind}/{publisher}/{}", again.key.as_str());
        if let Some((first, id)) = self.published.get(&entry) {
            return Ok(first.replay(&again, *id)?);
        }
        self.published.insert(entry, (again, id));
        Ok(Made::now(id))
    }
}

/// A storage in one file.
struct FileStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

/// Transactions. They block their thread; an adapter for more than a counter runs them apart from the async runtime.
impl FileStore {
    /// The rows as they were last committed. A reader does not wait for the lock.
    fn read(&self) -> Result<Tables, StorageError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| StorageError::Failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tables::default()),
            Err(error) => Err(StorageError::Unavailable(error.into())),
        }
    }

    /// Carries out `act` on the rows, alone, and commits what it changed. If it fails, nothing is changed.
    fn transaction<T, E: From<StorageError>>(&self, act: impl FnOnce(&mut Tables) -> Result<T, E>) -> Result<T, E> {
        let unavailable = |error: io::Error| StorageError::Unavailable(error.into());
        let lock = File::create(self.path.with_extension("lock")).map_err(unavailable)?;
        lock.lock().map_err(unavailable)?;
        let mut tables = self.read()?;
        let made = act(&mut tables)?;
        let bytes = serde_json::to_vec(&tables).map_err(|error| StorageError::Failed(error.into()))?;
        let draft = self.path.with_extension("draft");
        fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &self.path)).map_err(unavailable)?;
        Ok(made)
    }

    /// A batch of one command: locked, loaded, decided, saved, committed, answered.
    fn write<T: TryFrom<Outcome, Error = OtherOutcome>>(&self, command: Command) -> Result<T, StorageError> {
        let outcome = self.transaction(|tables| {
            let mut state = tables.load(LoadPlan::new(std::slice::from_ref(&command)));
            // The time is read once everything is locked.
            let outcome = state.decide(self.clock.now(), &command);
            tables.save(state.changes());
            outcome.map_err(|error| StorageError::Failed(error.into()))
        })?;
        T::try_from(outcome).map_err(|error| StorageError::Failed(error.into()))
    }
}

/// A page of `list`, which is in order and begins after the last page.
fn page<T, K>(list: impl Iterator<Item = T>, limit: u32, key: impl Fn(&T) -> K) -> Page<T, K> {
    Page::from_rows(list.take(limit as usize + 1).collect(), limit, key)
}

#[async_trait]
impl Reservations for FileStore {
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError> {
        self.write::<HoldOutcome>(Command::Hold(request))?.map_err(HoldError::Refused)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError> {
        self.write::<CancelOutcome>(Command::Cancel(request))?.map_err(CancelError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: ReservationId) -> Result<Option<ReservationView>, StorageError> {
        let tables = self.read()?;
        let found = tables.reservations.get(&id).filter(|found| found.account_id == account_id);
        Ok(found.map(|found| tables.view(found)))
    }

    async fn find_by_key(&self, account_id: AccountId, key: &IdempotencyKey) -> Stored<Option<ReservationView>> {
        let tables = self.read()?;
        Ok(tables.reservation_by_key(account_id, key).map(|found| tables.view(found)))
    }

    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        request: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError> {
        let (tables, now) = (self.read()?, self.clock.now());
        let listed = tables.reservations.values().rev().filter(|found| {
            found.account_id == account_id
                && status.is_none_or(|status| found.status(now) == status)
                && request.after.is_none_or(|after| found.id < after)
        });
        Ok(page(listed.map(|found| tables.view(found)), request.limit, |view| view.reservation.id))
    }

    async fn held_until(&self, account_id: AccountId, concert_id: ConcertId) -> Stored<Option<Timestamp>> {
        let (tables, now) = (self.read()?, self.clock.now());
        let held = tables.reservations.values().filter(|found| {
            (found.account_id, found.concert_id) == (account_id, concert_id)
                && found.status(now) == ReservationStatus::Held
        });
        Ok(held.map(|found| found.held_until).max())
    }

    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError> {
        let (tables, now) = (self.read()?, self.clock.now());
        let due = tables.reservations.values().filter_map(|found| match found.state {
            ReservationState::Held { until } if until <= now => Some((until, found.id, found.account_id)),
            _ => None,
        });
        let oldest_first: BTreeSet<_> = due.collect();
        let mut expired = 0;
        for (_, reservation_id, account_id) in oldest_first.into_iter().take(limit as usize) {
            expired +=
                u32::from(self.write::<ExpireOutcome>(Command::Expire { reservation_id, account_id })?.is_some());
        }
        Ok(expired)
    }
}

#[async_trait]
impl Payments for FileStore {
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError> {
        self.write::<PayOutcome>(Command::Pay(request))?.map_err(PayError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        let tables = self.read()?;
        let found = tables.payments.values().find(|found| (found.account_id, found.id) == (account_id, id));
        Ok(found.map(|found| tables.payment_view(found)))
    }

    async fn find_by_key(&self, account_id: AccountId, key: &IdempotencyKey) -> Stored<Option<PaymentView>> {
        let tables = self.read()?;
        Ok(tables.payment_by_key(account_id, key).map(|found| tables.payment_view(found)))
    }

    async fn list(&self, account_id: AccountId, page: PageRequest<PaymentId>) -> Stored<Page<PaymentView, PaymentId>> {
        let tables = self.read()?;
        let own = tables.payments.values().filter(|found| found.account_id == account_id);
        let own: BTreeMap<_, _> = own.map(|found| (found.id, found)).collect();
        let listed = own.into_values().rev().filter(|found| page.after.is_none_or(|after| found.id < after));
        Ok(self::page(listed.map(|found| tables.payment_view(found)), page.limit, |view| view.payment.id))
    }

    async fn has_spent(&self, account_id: AccountId, concert_id: ConcertId, place: PlaceNumber) -> Stored<bool> {
        let spent = self.read()?.payments.into_values().any(|found| {
            (found.account_id, found.concert_id, found.queue_place) == (account_id, concert_id, Some(place))
        });
        Ok(spent && self.held_until(account_id, concert_id).await?.is_none())
    }
}

#[async_trait]
impl Catalog for FileStore {
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
        _act: StaffAct,
    ) -> Result<Made<Venue>, PublishError> {
        self.transaction(|tables| {
            let Made { value: id, replayed } = tables.publish_once("venue", publisher, idempotency, venue.id.uuid())?;
            Ok(Made { value: tables.venues.entry(VenueId::new(id)).or_insert(venue).clone(), replayed })
        })
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
        _act: StaffAct,
    ) -> Result<Made<Concert>, PublishError> {
        let promoter_id = concert.promoter_id.ok_or_else(|| StorageError::failed("the concert has no promoter"))?;
        self.transaction(|tables| {
            let Made { value: id, replayed } =
                tables.publish_once("concert", promoter_id, idempotency, concert.id.uuid())?;
            Ok(Made { value: tables.concerts.entry(ConcertId::new(id)).or_insert(concert).clone(), replayed })
        })
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        new: NewPerformance,
        idempotency: Option<Idempotency>,
        _act: StaffAct,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        self.transaction(|tables| {
            let concert = tables.concerts.get(&new.concert_id).ok_or(PublishError::ConcertNotFound)?.clone();
            let Made { value: id, replayed } =
                tables.publish_once("performance", publisher, idempotency, new.id.uuid())?;
            if !replayed {
                tables.check_new(&new, &concert, self.clock.now())?;
                tables.bookings.insert(new.id, new.booking());
                tables.seats.insert(new.id, new.seats().map(|seat| (seat.label.clone(), seat)).collect());
                let terms = PerformanceTerms::new(&concert, new.id, new.venue.summary(), new.starts_at);
                tables.performances.insert(new.id, terms);
            }
            let terms = &tables.performances[&PerformanceId::new(id)];
            Ok(Made { value: tables.performance_summary(terms, self.clock.now()), replayed })
        })
    }

    async fn update_concert(&self, concert: Concert, _act: StaffAct) -> Result<(), UpdateConcertError> {
        self.transaction(|tables| {
            let performances = tables.performances.values().filter(|terms| terms.concert_id == concert.id);
            let (now, starts) = (self.clock.now(), performances.map(|terms| terms.starts_at));
            let replaces = |stored: &Concert| *stored == concert || concert.replaces(stored, now, starts);
            if !tables.concerts.get(&concert.id).is_some_and(replaces) {
                return Err(UpdateConcertError::VersionMismatch);
            }
            for terms in tables.performances.values_mut().filter(|terms| terms.concert_id == concert.id) {
                *terms = PerformanceTerms::new(&concert, terms.id, terms.venue.clone(), terms.starts_at);
            }
            tables.concerts.insert(concert.id, concert);
            Ok(())
        })
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        Ok(self.read()?.venues.remove(&id))
    }

    async fn venues(&self, request: PageRequest<VenueId>) -> Result<Page<VenueSummary, VenueId>, StorageError> {
        let newest_first = self.read()?.venues.into_values().rev().map(|venue| venue.summary());
        let earlier = newest_first.filter(|venue| request.after.is_none_or(|after| venue.id < after));
        Ok(page(earlier, request.limit, |venue| venue.id))
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError> {
        let tables = self.read()?;
        Ok(tables.concerts.get(&id).map(|concert| tables.concert_summary(concert)))
    }

    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        request: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let tables = self.read()?;
        let later = tables.concerts.values().filter(|concert| request.after.is_none_or(|after| concert.id > after));
        let listed = later.map(|concert| tables.concert_summary(concert));
        let listed = listed.filter(|summary| bookable_at.is_none_or(|at| summary.is_on_sale(at)));
        Ok(page(listed, request.limit, |summary| summary.concert.id))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available: Option<bool>,
        request: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError> {
        let (tables, now) = (self.read()?, self.clock.now());
        let of_concert = tables.performances.values().filter(|terms| terms.concert_id == concert_id);
        let listed = of_concert.map(|terms| tables.performance_summary(terms, now));
        let in_order: BTreeMap<_, _> = listed.map(|summary| (summary.key(), summary)).collect();
        let later = in_order.into_values().filter(|summary| request.after.is_none_or(|after| summary.key() > after));
        let can_be_had = |summary: &PerformanceSummary| summary.seats_available > 0 && now < summary.starts_at;
        let listed = later.filter(|summary| available.is_none_or(|available| available == can_be_had(summary)));
        Ok(page(listed, request.limit, PerformanceSummary::key))
    }

    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError> {
        let (tables, now) = (self.read()?, self.clock.now());
        Ok(tables.performances.get(&id).map(|terms| tables.performance_summary(terms, now)))
    }

    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError> {
        Ok(self.read()?.performances.get(&id).map(|terms| terms.concert_id))
    }

    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError> {
        let tables = self.read()?;
        let seats = tables.seats_in_order(id);
        Ok((!seats.is_empty()).then(|| SeatMap::of(self.clock.now(), id, &seats)))
    }

    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        let tables = self.read()?;
        Ok(Sales::of(tables.seats_in_order(id), self.clock.now(), |id| tables.reservations.get(&id)))
    }
}

/// The stage of the contract over a file: the shorthands that `main` and the tests need.
fn stage(path: PathBuf) -> Stage {
    let clock = Arc::new(TestClock::new());
    Stage::of_seats(Arc::new(FileStore { path, clock: clock.clone() }), clock)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: adapter FILE")?);
    let stage = stage(path.clone());
    let show = stage.show().await;
    stage.pays(&stage.holds(&show, stage.account().await, &["A-1-1"]).await).await;
    println!("{:?} in {}", stage.sales(&show).await, path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(PathBuf, Stage);

    impl Home {
        fn stage(&self) -> &Stage {
            &self.1
        }

        async fn close(self) {
            fs::remove_dir_all(self.0).unwrap();
        }
    }

    async fn open() -> Home {
        let folder = std::env::temp_dir().join(format!("boxoffice-adapter-{}", Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        Home(folder.clone(), stage(folder.join("seats.json")))
    }

    boxoffice_contracts::storage_contract!(open, catalog payments races reservations);
}
