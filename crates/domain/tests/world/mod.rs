//! A small world in memory, which stores the outcomes of the domain's decisions as an adapter does.

mod promises;

use std::{collections::BTreeMap, fmt::Debug};

use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    fixtures::{self, instant},
    payments::{Payment, PaymentState, SettleRequest, settle},
    reservations::{
        CancelRequest, HoldRequest, Reservation, ReservationState, ReservationStatus, Seat, SeatLabel, SeatSelection,
        SeatState, SeatStatus, cancel, expire, hold,
    },
    wallet::{Charge, ChargeRequest, ChargeState, GatewayVerdict, Wallet, WalletEntry, begin_charge, complete_charge},
};
use chrono::TimeDelta;
use proptest::sample::Index;
use uuid::Uuid;

pub(crate) const ACCOUNTS: usize = 3;
pub(crate) const PERFORMANCES: usize = 2;
/// How many seats each performance has.
pub(crate) const SEATS: usize = 3;
/// One seat costs nothing: a payment of zero is a payment too.
const PRICES: [i64; SEATS] = [0, 10, 25];
/// Below the number of seats of both performances, so that the limit binds across them.
const SEATS_PER_ACCOUNT: u32 = 4;
const HOLD_SECONDS: u32 = 5;

/// What may happen next. An index picks one of what there is by then.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Hold { account: usize, performance: usize, seats: Vec<usize> },
    Settle { reservation: Index, stranger: Option<usize> },
    Cancel { reservation: Index, stranger: Option<usize> },
    Expire { reservation: Index },
    BeginCharge { account: usize, amount: i64 },
    CompleteCharge { charge: Index, verdict: GatewayVerdict },
    Wait { seconds: i64 },
    WaitForEnd { reservation: Index, early_microseconds: i64 },
    WaitForStart,
}

/// What whoever gave the command was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused(String),
    /// The command had nothing to act on.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct World {
    now: Timestamp,
    performances: Vec<PerformanceTerms>,
    seats: BTreeMap<(PerformanceId, SeatLabel), Seat>,
    wallets: BTreeMap<AccountId, Wallet>,
    entries: Vec<WalletEntry>,
    reservations: BTreeMap<ReservationId, Reservation>,
    payments: BTreeMap<PaymentId, Payment>,
    charges: BTreeMap<ChargeId, Charge>,
    events: Vec<Event>,
    ids_given: u128,
}

/// All that an API shows of a world.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    seats: Vec<SeatStatus>,
    reservations: Vec<(ReservationId, ReservationStatus, Option<PaymentId>)>,
    wallets: Vec<(Points, Points)>,
    entries: Vec<WalletEntry>,
    payments: Vec<(PaymentId, Points, PaymentState)>,
    charges: Vec<(ChargeId, ChargeState)>,
}

fn account_id(account: usize) -> AccountId {
    AccountId::new(Uuid::from_u64_pair(2, account as u64))
}

fn label(seat: usize) -> SeatLabel {
    SeatLabel::new(&format!("A-1-{}", seat + 1)).unwrap()
}

/// Two performances of one concert; the first of them starts soon.
fn performances() -> Vec<PerformanceTerms> {
    let performance = |(number, starts_at)| PerformanceTerms {
        id: PerformanceId::new(Uuid::from_u64_pair(3, number)),
        concert_id: ConcertId::new(Uuid::from_u64_pair(4, 0)),
        starts_at,
        max_seats_per_account: SEATS_PER_ACCOUNT,
        ..fixtures::terms()
    };
    [(0, instant(60)), (1, instant(86_400))].map(performance).into()
}

fn pick<Id, T: Clone>(things: &BTreeMap<Id, T>, index: Index) -> Option<T> {
    if things.is_empty() { None } else { things.values().nth(index.index(things.len())).cloned() }
}

fn refused(refusal: impl Debug) -> Outcome {
    Outcome::Refused(format!("{refusal:?}"))
}

impl World {
    pub(crate) fn new() -> Self {
        let performances = performances();
        let seat = |seat: usize| Seat {
            label: label(seat),
            price: Points::new(PRICES[seat]).unwrap(),
            state: SeatState::Free,
        };
        let ids = performances.iter().map(|terms| terms.id);
        let seats = ids.flat_map(|id| (0..SEATS).map(move |number| ((id, label(number)), seat(number)))).collect();
        let wallets = (0..ACCOUNTS).map(account_id).map(|id| (id, Wallet::new(id, instant(0)))).collect();
        Self {
            now: instant(0),
            performances,
            seats,
            wallets,
            entries: Vec::new(),
            reservations: BTreeMap::new(),
            payments: BTreeMap::new(),
            charges: BTreeMap::new(),
            events: Vec::new(),
            ids_given: 0,
        }
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Hold { account, performance, seats } => self.hold(*account, *performance, seats),
            Command::Settle { reservation, stranger } => self.settle(*reservation, *stranger),
            Command::Cancel { reservation, stranger } => self.cancel(*reservation, *stranger),
            Command::Expire { reservation } => match pick(&self.reservations, *reservation) {
                Some(reservation) => self.expire(reservation),
                None => Outcome::Nothing,
            },
            Command::BeginCharge { account, amount } => self.begin_charge(*account, *amount),
            Command::CompleteCharge { charge, verdict } => self.complete_charge(*charge, *verdict),
            Command::Wait { seconds } => self.wait_until(Some(self.now + TimeDelta::seconds(*seconds))),
            Command::WaitForEnd { reservation, early_microseconds } => {
                let end = pick(&self.reservations, *reservation).map(|reservation| reservation.held_until);
                self.wait_until(end.map(|end| end - TimeDelta::microseconds(*early_microseconds)))
            }
            Command::WaitForStart => self.wait_until(Some(self.performances[0].starts_at)),
        }
    }

    /// Tidies every lapsed hold away, as the sweeper does.
    pub(crate) fn sweep(&mut self) {
        for reservation in self.reservations.clone().into_values() {
            self.expire(reservation);
        }
        let untidy = |found: &Reservation| matches!(found.state, ReservationState::Held { until } if until <= self.now);
        assert!(!self.reservations.values().any(untidy), "the sweeper leaves nothing behind");
    }

    pub(crate) fn event_kinds(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().map(Event::kind)
    }

    pub(crate) fn visible(&self) -> Visible {
        let reservation = |found: &Reservation| (found.id, found.status(self.now), found.payment_id());
        Visible {
            seats: self.seats.values().map(|seat| seat.state.status(self.now)).collect(),
            reservations: self.reservations.values().map(reservation).collect(),
            wallets: self.wallets.values().map(|wallet| (wallet.balance, wallet.pending)).collect(),
            entries: self.entries.clone(),
            payments: self.payments.values().map(|payment| (payment.id, payment.amount, payment.state)).collect(),
            charges: self.charges.values().map(|charge| (charge.id, charge.state)).collect(),
        }
    }

    fn hold(&mut self, account: usize, performance: usize, seats: &[usize]) -> Outcome {
        let (terms, id) = (&self.performances[performance], self.ids_given);
        let request = HoldRequest {
            reservation_id: ReservationId::new(Uuid::from_u128(id)),
            account_id: account_id(account),
            concert_id: terms.concert_id,
            performance_id: terms.id,
            seats: SeatSelection::new(seats.iter().map(|seat| label(*seat)).collect()).unwrap(),
            hold_seconds: HOLD_SECONDS,
            idempotency: None,
        };
        let loaded = self.load_seats(terms.id, request.seats.labels());
        let had = self.seats_had(request.account_id);
        match hold(self.now, &request, Some(terms), had, loaded) {
            Ok(held) => {
                self.ids_given += 1;
                self.save_seats(request.performance_id, held.seats);
                self.reservations.insert(held.reservation.id, held.reservation);
                self.events.push(held.event);
                Outcome::Done
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn settle(&mut self, index: Index, stranger: Option<usize>) -> Outcome {
        let Some(reservation) = pick(&self.reservations, index) else { return Outcome::Nothing };
        let request = SettleRequest {
            payment_id: PaymentId::new(Uuid::from_u128(self.ids_given)),
            reservation_id: reservation.id,
            account_id: stranger.map_or(reservation.account_id, account_id),
            concert_id: reservation.concert_id,
            queue_place: None,
            idempotency: fixtures::idempotency(),
        };
        let (seats, terms) = (self.seats_of(&reservation), self.terms_of(&reservation));
        let wallet = &self.wallets[&request.account_id];
        match settle(self.now, &request, Some(reservation), terms, seats, wallet) {
            Ok(settled) => {
                self.ids_given += 1;
                self.save_seats(settled.reservation.performance_id, settled.seats);
                self.reservations.insert(settled.reservation.id, settled.reservation);
                self.save_wallet(settled.wallet, Some(settled.entry));
                self.payments.insert(settled.payment.id, settled.payment);
                self.events.push(settled.event);
                Outcome::Done
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn cancel(&mut self, index: Index, stranger: Option<usize>) -> Outcome {
        let Some(reservation) = pick(&self.reservations, index) else { return Outcome::Nothing };
        let request = CancelRequest {
            reservation_id: reservation.id,
            account_id: stranger.map_or(reservation.account_id, account_id),
            idempotency: None,
        };
        let (seats, terms) = (self.seats_of(&reservation), self.terms_of(&reservation));
        let wallet = &self.wallets[&request.account_id];
        let payment = self.payments.values().find(|payment| payment.reservation_id == reservation.id).cloned();
        match cancel(self.now, &request, Some(reservation), terms, seats, wallet, payment) {
            Ok(cancelled) => {
                self.save_seats(cancelled.reservation.performance_id, cancelled.seats);
                self.reservations.insert(cancelled.reservation.id, cancelled.reservation);
                self.save_wallet(cancelled.wallet, cancelled.entry);
                self.payments.extend(cancelled.payment.map(|payment| (payment.id, payment)));
                self.events.push(cancelled.event);
                Outcome::Done
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn expire(&mut self, reservation: Reservation) -> Outcome {
        let seats = self.seats_of(&reservation);
        let Some(expired) = expire(self.now, reservation, seats) else { return Outcome::Nothing };
        self.save_seats(expired.reservation.performance_id, expired.seats);
        self.reservations.insert(expired.reservation.id, expired.reservation);
        self.events.push(expired.event);
        Outcome::Done
    }

    fn begin_charge(&mut self, account: usize, amount: i64) -> Outcome {
        let request = ChargeRequest {
            charge_id: ChargeId::new(Uuid::from_u128(self.ids_given)),
            account_id: account_id(account),
            amount: Points::new(amount).unwrap(),
            balance_max: Points::new(boxoffice_domain::wallet::BALANCE_MAX).unwrap(),
            idempotency: fixtures::idempotency(),
        };
        match begin_charge(self.now, &request, &self.wallets[&request.account_id]) {
            Ok(begun) => {
                self.ids_given += 1;
                self.save_wallet(begun.wallet, None);
                self.charges.insert(begun.charge.id, begun.charge);
                self.events.push(begun.event);
                Outcome::Done
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn complete_charge(&mut self, index: Index, verdict: GatewayVerdict) -> Outcome {
        let Some(charge) = pick(&self.charges, index) else { return Outcome::Nothing };
        let wallet = &self.wallets[&charge.account_id];
        let Some(ended) = complete_charge(self.now, charge, wallet, verdict) else { return Outcome::Nothing };
        self.save_wallet(ended.wallet, ended.entry);
        self.charges.insert(ended.charge.id, ended.charge);
        self.events.push(ended.event);
        Outcome::Done
    }

    fn wait_until(&mut self, instant: Option<Timestamp>) -> Outcome {
        match instant {
            Some(instant) if instant > self.now => {
                self.now = instant;
                Outcome::Done
            }
            _ => Outcome::Nothing,
        }
    }

    /// How many seats of the one concert an account holds and owns.
    fn seats_had(&self, account_id: AccountId) -> u32 {
        let own = self.reservations.values().filter(|reservation| reservation.account_id == account_id);
        let live = own.filter(|reservation| self.is_live(reservation));
        u32::try_from(live.map(|reservation| reservation.seats.len()).sum::<usize>()).unwrap()
    }

    fn is_live(&self, reservation: &Reservation) -> bool {
        matches!(reservation.status(self.now), ReservationStatus::Held | ReservationStatus::Confirmed)
    }

    fn terms_of(&self, reservation: &Reservation) -> &PerformanceTerms {
        self.performances.iter().find(|terms| terms.id == reservation.performance_id).unwrap()
    }

    fn seats_of(&self, reservation: &Reservation) -> Vec<Seat> {
        let labels: Vec<_> = reservation.seats.iter().map(|seat| seat.label.clone()).collect();
        self.load_seats(reservation.performance_id, &labels)
    }

    fn load_seats(&self, performance_id: PerformanceId, labels: &[SeatLabel]) -> Vec<Seat> {
        labels.iter().filter_map(|label| self.seats.get(&(performance_id, label.clone())).cloned()).collect()
    }

    fn save_seats(&mut self, performance_id: PerformanceId, seats: Vec<Seat>) {
        self.seats.extend(seats.into_iter().map(|seat| ((performance_id, seat.label.clone()), seat)));
    }

    fn save_wallet(&mut self, wallet: Wallet, entry: Option<WalletEntry>) {
        self.entries.extend(entry);
        self.wallets.insert(wallet.account_id, wallet);
    }
}
