//! What a batch of writes decides.
//!
//! A [`World`] is everything that the commands of one batch need, as it was loaded and locked. Each
//! [`Command`] is decided in its turn by the domain's own function, over entities that already show what
//! the earlier commands of the batch did. What has to be saved is noted in [`Changes`]. Nothing here knows
//! a database.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, PerformanceId, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::{Idempotency, IdempotencyKey, Made},
    payments::{Payment, PaymentState, PaymentView, SettleRefusal, SettleRequest, Settlement, settle},
    reservations::{
        CancelRefusal, CancelRequest, HoldRefusal, HoldRequest, Reservation, ReservationState, ReservationStatus,
        ReservationView, Seat, SeatLabel, cancel, expire, hold,
    },
    wallet::{
        Charge, ChargeRefusal, ChargeRequest, GatewayVerdict, Wallet, WalletEntry, begin_charge, complete_charge,
    },
};

/// One write that somebody waits for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Hold(HoldRequest),
    Settle(SettleRequest),
    Cancel(CancelRequest),
    Expire { reservation_id: ReservationId },
    BeginCharge(ChargeRequest),
    CompleteCharge { charge_id: ChargeId, account_id: AccountId, verdict: GatewayVerdict },
}

/// What became of a [`Command`].
#[derive(Debug)]
pub(crate) enum Outcome {
    Hold(Result<Made<ReservationView>, RefusedHold>),
    Settle(Result<Made<Settlement>, SettleRefusal>),
    Cancel(Result<Made<ReservationView>, CancelRefusal>),
    Expire(Option<ExpiredSeats>),
    BeginCharge(Result<Made<Charge>, ChargeRefusal>),
    /// The charge as it is now, and whether this command ended it.
    CompleteCharge {
        charge: Option<Charge>,
        ended: bool,
    },
    /// Something that the command cannot do without is not there, though it must be: a defect.
    Missing(&'static str),
}

/// A hold that was refused.
#[derive(Debug)]
pub(crate) struct RefusedHold {
    pub(crate) refusal: HoldRefusal,
    /// The seats that were wanted and are not available, as they are.
    pub(crate) taken: Vec<Seat>,
}

impl From<HoldRefusal> for RefusedHold {
    fn from(refusal: HoldRefusal) -> Self {
        Self { refusal, taken: Vec::new() }
    }
}

/// The seats that a lapsed hold still had when it was tidied away.
#[derive(Debug)]
pub(crate) struct ExpiredSeats {
    pub(crate) performance_id: PerformanceId,
    pub(crate) reservation_id: ReservationId,
    pub(crate) labels: Vec<SeatLabel>,
}

impl Command {
    /// The account whose writes the command has to be in one order with.
    pub(crate) fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Hold(request) => Some(request.account_id),
            Self::Settle(request) => Some(request.account_id),
            Self::Cancel(request) => Some(request.account_id),
            Self::BeginCharge(request) => Some(request.account_id),
            Self::CompleteCharge { account_id, .. } => Some(*account_id),
            Self::Expire { .. } => None,
        }
    }
}

/// A reservation with what is stored of it beside the entity.
#[derive(Clone, Debug)]
pub(crate) struct StoredReservation {
    pub(crate) reservation: Reservation,
    /// The key under which it was cancelled.
    pub(crate) cancelled_under: Option<Idempotency>,
}

/// A seat with its place in the order of the plan.
#[derive(Clone, Debug)]
pub(crate) struct StoredSeat {
    pub(crate) seat: Seat,
    pub(crate) ordinal: i32,
}

/// Seats that an account holds or owns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(crate) seats_count: u32,
    /// When the hold is over; `None` where the seats are owned.
    pub(crate) until: Option<Timestamp>,
}

impl Holding {
    fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

type Holdings = HashMap<(AccountId, ConcertId), HashMap<ReservationId, Holding>>;

/// Everything that the commands of a batch need.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) wallets: HashMap<AccountId, Wallet>,
    pub(crate) terms: HashMap<PerformanceId, PerformanceTerms>,
    pub(crate) reservations: HashMap<ReservationId, StoredReservation>,
    pub(crate) payments: HashMap<ReservationId, Payment>,
    pub(crate) charges: HashMap<ChargeId, Charge>,
    pub(crate) seats: HashMap<PerformanceId, BTreeMap<SeatLabel, StoredSeat>>,
    pub(crate) holdings: Holdings,
    pub(crate) held_under: HashMap<(AccountId, IdempotencyKey), ReservationId>,
    pub(crate) paid_under: HashMap<(AccountId, IdempotencyKey), ReservationId>,
    pub(crate) charged_under: HashMap<(AccountId, IdempotencyKey), ChargeId>,
    pub(crate) changes: Changes,
}

/// What a batch has to save. Sorted, so that rows are written in the order in which they were locked.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) reservations_new: BTreeSet<ReservationId>,
    pub(crate) reservations_changed: BTreeSet<ReservationId>,
    pub(crate) payments_new: BTreeSet<ReservationId>,
    pub(crate) payments_changed: BTreeSet<ReservationId>,
    pub(crate) charges_new: BTreeSet<ChargeId>,
    pub(crate) charges_changed: BTreeSet<ChargeId>,
    pub(crate) wallets: BTreeSet<AccountId>,
    pub(crate) entries: Vec<WalletEntry>,
    pub(crate) seats: BTreeSet<(PerformanceId, SeatLabel)>,
    /// Whatever changes anything tells of it: without an event there is nothing to save.
    pub(crate) events: Vec<Event>,
}

impl World {
    /// Decides a command at `now`, and shows the outcome to the commands after it.
    pub(crate) fn decide(&mut self, now: Timestamp, command: &Command) -> Outcome {
        let decided = match command {
            Command::Hold(request) => self.hold(now, request),
            Command::Settle(request) => self.settle(now, request),
            Command::Cancel(request) => self.cancel(now, request),
            Command::Expire { reservation_id } => Ok(self.expire(now, *reservation_id)),
            Command::BeginCharge(request) => self.begin_charge(now, request),
            Command::CompleteCharge { charge_id, account_id, verdict } => {
                self.complete_charge(now, *charge_id, *account_id, *verdict)
            }
        };
        decided.unwrap_or_else(Outcome::Missing)
    }

    fn hold(&mut self, now: Timestamp, request: &HoldRequest) -> Result<Outcome, &'static str> {
        self.wallet(request.account_id)?;
        if let Some(again) = &request.idempotency
            && let Some(id) = self.held_under.get(&(request.account_id, again.key.clone()))
        {
            return self.held_before(*id, again);
        }
        let terms = self.terms.get(&request.performance_id);
        let seats_had = self.seats_had(now, request.account_id, request.concert_id);
        let seats = self.seats_of(request.performance_id, request.seats.labels().iter());
        match hold(now, request, terms, seats_had, seats) {
            Err(refusal) => {
                let taken = match &refusal {
                    HoldRefusal::SeatUnavailable(labels) => self.seats_of(request.performance_id, labels.iter()),
                    _ => Vec::new(),
                };
                Ok(Outcome::Hold(Err(RefusedHold { refusal, taken })))
            }
            Ok(held) => {
                let reservation = held.reservation;
                if let Some(idempotency) = &reservation.idempotency {
                    let key = (reservation.account_id, idempotency.key.clone());
                    self.held_under.insert(key, reservation.id);
                }
                self.put_seats(reservation.performance_id, held.seats);
                self.changes.reservations_new.insert(reservation.id);
                self.changes.events.push(held.event);
                let view = self.view(reservation.clone())?;
                self.put_reservation(StoredReservation { reservation, cancelled_under: None });
                Ok(Outcome::Hold(Ok(Made::now(view))))
            }
        }
    }

    fn held_before(&self, id: ReservationId, again: &Idempotency) -> Result<Outcome, &'static str> {
        let stored = self.reservations.get(&id).ok_or("the reservation of a known key")?;
        let first = stored.reservation.idempotency.as_ref().ok_or("the key of a reservation found by it")?;
        if let Err(reused) = first.check(again) {
            return Ok(Outcome::Hold(Err(HoldRefusal::from(reused).into())));
        }
        let view = self.view(stored.reservation.clone().as_made())?;
        Ok(Outcome::Hold(Ok(Made::before(view))))
    }

    fn settle(&mut self, now: Timestamp, request: &SettleRequest) -> Result<Outcome, &'static str> {
        let wallet = self.wallet(request.account_id)?.clone();
        if let Some(id) = self.paid_under.get(&(request.account_id, request.idempotency.key.clone())) {
            return self.paid_before(now, *id, request);
        }
        let Some(stored) = self.reservations.get(&request.reservation_id) else {
            return Ok(Outcome::Settle(Err(SettleRefusal::ReservationNotFound)));
        };
        let reservation = stored.reservation.clone();
        let terms = self.terms.get(&reservation.performance_id).ok_or("the terms of a reservation")?;
        let labels = reservation.seats.iter().map(|seat| &seat.label);
        let seats = self.seats_of(reservation.performance_id, labels);
        match settle(now, request, Some(reservation), terms, seats, &wallet) {
            Err(refusal) => Ok(Outcome::Settle(Err(refusal))),
            Ok(settled) => {
                let reservation = settled.reservation;
                self.paid_under.insert((request.account_id, request.idempotency.key.clone()), reservation.id);
                self.put_seats(reservation.performance_id, settled.seats);
                self.put_wallet(settled.wallet, Some(settled.entry));
                self.changes.payments_new.insert(reservation.id);
                self.payments.insert(reservation.id, settled.payment.clone());
                self.changes.events.push(settled.event);
                self.change_reservation(reservation.clone(), None);
                let settlement = self.settlement(now, settled.payment, reservation)?;
                Ok(Outcome::Settle(Ok(Made::now(settlement))))
            }
        }
    }

    fn paid_before(&self, now: Timestamp, id: ReservationId, request: &SettleRequest) -> Result<Outcome, &'static str> {
        let payment = self.payments.get(&id).ok_or("the payment of a known key")?.clone();
        if let Err(reused) = payment.idempotency.check(&request.idempotency) {
            return Ok(Outcome::Settle(Err(reused.into())));
        }
        let stored = self.reservations.get(&id).ok_or("the reservation of a payment")?;
        let reservation = stored.reservation.clone().as_paid(&payment);
        let settlement = self.settlement(now, payment.as_made(), reservation)?;
        Ok(Outcome::Settle(Ok(Made::before(settlement))))
    }

    fn settlement(
        &self,
        now: Timestamp,
        payment: Payment,
        reservation: Reservation,
    ) -> Result<Settlement, &'static str> {
        let holdings = self.holdings.get(&(reservation.account_id, reservation.concert_id));
        let others =
            holdings.into_iter().flatten().filter(|(id, holding)| **id != reservation.id && holding.is_live(now));
        let other_held_until = others.filter_map(|(_, holding)| holding.until).max();
        let reservation = self.view(reservation)?;
        Ok(Settlement { view: PaymentView { payment, reservation }, other_held_until })
    }

    fn cancel(&mut self, now: Timestamp, request: &CancelRequest) -> Result<Outcome, &'static str> {
        let wallet = self.wallet(request.account_id)?.clone();
        let Some(stored) = self.reservations.get(&request.reservation_id) else {
            return Ok(Outcome::Cancel(Err(CancelRefusal::NotFound)));
        };
        if let Some(replayed) = self.cancelled_before(stored, request)? {
            return Ok(Outcome::Cancel(replayed));
        }
        let reservation = stored.reservation.clone();
        let terms = self.terms.get(&reservation.performance_id).ok_or("the terms of a reservation")?;
        let labels = reservation.seats.iter().map(|seat| &seat.label);
        let seats = self.seats_of(reservation.performance_id, labels);
        let payment = self.payments.get(&reservation.id).cloned();
        if let ReservationState::Confirmed { payment_id } = reservation.state {
            let completed = |payment: &Payment| payment.id == payment_id && payment.state == PaymentState::Completed;
            if !payment.as_ref().is_some_and(completed) {
                return Err("the completed payment of a confirmed reservation");
            }
        }
        match cancel(now, request, Some(reservation), terms, seats, &wallet, payment) {
            Err(refusal) => Ok(Outcome::Cancel(Err(refusal))),
            Ok(cancelled) => {
                let reservation = cancelled.reservation;
                self.put_seats(reservation.performance_id, cancelled.seats);
                if cancelled.entry.is_some() {
                    self.put_wallet(cancelled.wallet, cancelled.entry);
                }
                if let Some(payment) = cancelled.payment {
                    self.changes.payments_changed.insert(reservation.id);
                    self.payments.insert(reservation.id, payment);
                }
                self.changes.events.push(cancelled.event);
                self.change_reservation(reservation.clone(), request.idempotency.clone());
                Ok(Outcome::Cancel(Ok(Made::now(self.view(reservation)?))))
            }
        }
    }

    /// The answer to a repeated cancellation, or that its key names another request.
    fn cancelled_before(
        &self,
        stored: &StoredReservation,
        request: &CancelRequest,
    ) -> Result<Option<Result<Made<ReservationView>, CancelRefusal>>, &'static str> {
        let (Some(first), Some(again)) = (&stored.cancelled_under, &request.idempotency) else {
            return Ok(None);
        };
        if stored.reservation.account_id != request.account_id || first.key != again.key {
            return Ok(None);
        }
        Ok(Some(match first.check(again) {
            Ok(()) => Ok(Made::before(self.view(stored.reservation.clone())?)),
            Err(reused) => Err(reused.into()),
        }))
    }

    fn expire(&mut self, now: Timestamp, id: ReservationId) -> Outcome {
        let Some(stored) = self.reservations.get(&id) else {
            return Outcome::Expire(None);
        };
        let reservation = stored.reservation.clone();
        let labels = reservation.seats.iter().map(|seat| &seat.label);
        let seats = self.seats_of(reservation.performance_id, labels);
        let Some(expired) = expire(now, reservation, seats) else {
            return Outcome::Expire(None);
        };
        let freed = ExpiredSeats {
            performance_id: expired.reservation.performance_id,
            reservation_id: id,
            labels: expired.seats.iter().map(|seat| seat.label.clone()).collect(),
        };
        self.put_seats(expired.reservation.performance_id, expired.seats);
        self.changes.events.push(expired.event);
        self.change_reservation(expired.reservation, None);
        Outcome::Expire(Some(freed))
    }

    fn begin_charge(&mut self, now: Timestamp, request: &ChargeRequest) -> Result<Outcome, &'static str> {
        let wallet = self.wallet(request.account_id)?;
        let key = (request.account_id, request.idempotency.key.clone());
        if let Some(id) = self.charged_under.get(&key) {
            let charge = self.charges.get(id).ok_or("the charge of a known key")?;
            return Ok(Outcome::BeginCharge(match charge.idempotency.check(&request.idempotency) {
                Ok(()) => Ok(Made::before(charge.clone())),
                Err(reused) => Err(reused.into()),
            }));
        }
        match begin_charge(now, request, wallet) {
            Err(refusal) => Ok(Outcome::BeginCharge(Err(refusal))),
            Ok(begun) => {
                self.charged_under.insert(key, begun.charge.id);
                self.changes.charges_new.insert(begun.charge.id);
                self.changes.events.push(begun.event);
                self.charges.insert(begun.charge.id, begun.charge.clone());
                self.put_wallet(begun.wallet, None);
                Ok(Outcome::BeginCharge(Ok(Made::now(begun.charge))))
            }
        }
    }

    fn complete_charge(
        &mut self,
        now: Timestamp,
        charge_id: ChargeId,
        account_id: AccountId,
        verdict: GatewayVerdict,
    ) -> Result<Outcome, &'static str> {
        let Some(charge) = self.charges.get(&charge_id) else {
            return Ok(Outcome::CompleteCharge { charge: None, ended: false });
        };
        let wallet = self.wallet(account_id)?;
        let Some(ended) = complete_charge(now, charge.clone(), wallet, verdict) else {
            return Ok(Outcome::CompleteCharge { charge: Some(charge.clone()), ended: false });
        };
        self.changes.charges_changed.insert(charge_id);
        self.changes.events.push(ended.event);
        self.charges.insert(charge_id, ended.charge.clone());
        self.put_wallet(ended.wallet, ended.entry);
        Ok(Outcome::CompleteCharge { charge: Some(ended.charge), ended: true })
    }

    fn wallet(&self, account_id: AccountId) -> Result<&Wallet, &'static str> {
        self.wallets.get(&account_id).ok_or("the wallet of an account")
    }

    fn put_wallet(&mut self, wallet: Wallet, entry: Option<WalletEntry>) {
        self.changes.wallets.insert(wallet.account_id);
        self.changes.entries.extend(entry);
        self.wallets.insert(wallet.account_id, wallet);
    }

    fn seats_of<'l>(&self, performance_id: PerformanceId, labels: impl Iterator<Item = &'l SeatLabel>) -> Vec<Seat> {
        let Some(seats) = self.seats.get(&performance_id) else {
            return Vec::new();
        };
        labels.filter_map(|label| seats.get(label)).map(|stored| stored.seat.clone()).collect()
    }

    fn put_seats(&mut self, performance_id: PerformanceId, seats: Vec<Seat>) {
        let stored = self.seats.entry(performance_id).or_default();
        for seat in seats {
            self.changes.seats.insert((performance_id, seat.label.clone()));
            if let Some(place) = stored.get_mut(&seat.label) {
                place.seat = seat;
            }
        }
    }

    fn seats_had(&self, now: Timestamp, account_id: AccountId, concert_id: ConcertId) -> u32 {
        let holdings = self.holdings.get(&(account_id, concert_id)).into_iter().flat_map(HashMap::values);
        holdings.filter(|holding| holding.is_live(now)).map(|holding| holding.seats_count).sum()
    }

    fn change_reservation(&mut self, reservation: Reservation, cancelled_under: Option<Idempotency>) {
        if !self.changes.reservations_new.contains(&reservation.id) {
            self.changes.reservations_changed.insert(reservation.id);
        }
        self.put_reservation(StoredReservation { reservation, cancelled_under });
    }

    fn put_reservation(&mut self, stored: StoredReservation) {
        let reservation = &stored.reservation;
        let holdings = self.holdings.entry((reservation.account_id, reservation.concert_id)).or_default();
        let seats_count = u32::try_from(reservation.seats.len()).unwrap_or(u32::MAX);
        match reservation.state {
            ReservationState::Held { until } => {
                holdings.insert(reservation.id, Holding { seats_count, until: Some(until) });
            }
            ReservationState::Confirmed { .. } => {
                holdings.insert(reservation.id, Holding { seats_count, until: None });
            }
            ReservationState::Cancelled { .. } | ReservationState::Expired => {
                holdings.remove(&reservation.id);
            }
        }
        self.reservations.insert(reservation.id, stored);
    }

    fn view(&self, reservation: Reservation) -> Result<ReservationView, &'static str> {
        let performance = self.terms.get(&reservation.performance_id).ok_or("the terms of a reservation")?.clone();
        Ok(ReservationView { reservation, performance })
    }
}

/// The rows that the commands of a batch name by themselves, before anything is loaded.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) accounts: BTreeSet<AccountId>,
    pub(crate) reservations: BTreeSet<ReservationId>,
    /// Reservations whose payments are wanted too.
    pub(crate) paid_reservations: BTreeSet<ReservationId>,
    pub(crate) charges: BTreeSet<ChargeId>,
    pub(crate) performances: BTreeSet<PerformanceId>,
    pub(crate) seats: BTreeMap<PerformanceId, BTreeSet<SeatLabel>>,
    pub(crate) holdings: BTreeSet<(AccountId, ConcertId)>,
    pub(crate) held_under: Vec<(AccountId, IdempotencyKey)>,
    pub(crate) paid_under: Vec<(AccountId, IdempotencyKey)>,
    pub(crate) charged_under: Vec<(AccountId, IdempotencyKey)>,
}

impl Wanted {
    pub(crate) fn by(commands: &[Command]) -> Self {
        let mut wanted = Self::default();
        for command in commands {
            wanted.accounts.extend(command.account_id());
            wanted.add(command);
        }
        wanted.held_under = distinct(wanted.held_under);
        wanted.paid_under = distinct(wanted.paid_under);
        wanted.charged_under = distinct(wanted.charged_under);
        wanted
    }

    fn add(&mut self, command: &Command) {
        match command {
            Command::Hold(request) => {
                self.performances.insert(request.performance_id);
                let seats = self.seats.entry(request.performance_id).or_default();
                seats.extend(request.seats.labels().iter().cloned());
                self.holdings.insert((request.account_id, request.concert_id));
                let key = request.idempotency.as_ref().map(|idempotency| idempotency.key.clone());
                self.held_under.extend(key.map(|key| (request.account_id, key)));
            }
            Command::Settle(request) => {
                self.reservations.insert(request.reservation_id);
                self.holdings.insert((request.account_id, request.concert_id));
                self.paid_under.push((request.account_id, request.idempotency.key.clone()));
            }
            Command::Cancel(request) => {
                self.reservations.insert(request.reservation_id);
                self.paid_reservations.insert(request.reservation_id);
            }
            Command::Expire { reservation_id } => {
                self.reservations.insert(*reservation_id);
            }
            Command::BeginCharge(request) => {
                self.charged_under.push((request.account_id, request.idempotency.key.clone()));
            }
            Command::CompleteCharge { charge_id, .. } => {
                self.charges.insert(*charge_id);
            }
        }
    }

    /// Adds what the reservations that were loaded make necessary.
    pub(crate) fn add_reservation(&mut self, reservation: &Reservation) {
        self.performances.insert(reservation.performance_id);
        let needs_seats = !matches!(reservation.state, ReservationState::Cancelled { .. } | ReservationState::Expired);
        if needs_seats {
            let seats = self.seats.entry(reservation.performance_id).or_default();
            seats.extend(reservation.seats.iter().map(|seat| seat.label.clone()));
        }
    }
}

fn distinct(mut keys: Vec<(AccountId, IdempotencyKey)>) -> Vec<(AccountId, IdempotencyKey)> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}

/// The status in which a reservation is stored; what is shown depends on the time too.
pub(crate) fn stored_status(state: &ReservationState) -> ReservationStatus {
    match state {
        ReservationState::Held { .. } => ReservationStatus::Held,
        ReservationState::Confirmed { .. } => ReservationStatus::Confirmed,
        ReservationState::Cancelled { .. } => ReservationStatus::Cancelled,
        ReservationState::Expired => ReservationStatus::Expired,
    }
}
