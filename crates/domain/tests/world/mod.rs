//! A small sale in memory, to which anything may happen.

mod promises;

use std::{collections::BTreeMap, fmt::Debug};

use boxoffice_domain::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    fixtures::{self, SaleTables, instant},
    gateway::{GatewayVerdict, RefundVerdict},
    payments::{PayRequest, PaymentState},
    reservations::{CancelRequest, HoldRequest, Reservation, ReservationState, ReservationStatus},
    sale::{self, Outcome},
    seats::{Seat, SeatLabel, SeatSelection, SeatState, SeatStatus},
    wallet::{ChargeAmount, ChargeRefundRequest, ChargeRefundState, ChargeRequest, ChargeState, Wallet, WalletEntry},
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
pub(crate) const UNPAID_HOLDS_FREE: u32 = 2;
const HOLD_SECONDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(5).unwrap();

/// What may happen next. An index picks one of what there is by then.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Hold { account: usize, performance: usize, seats: Vec<usize> },
    Pay { reservation: Index, stranger: Option<usize> },
    Cancel { reservation: Index, stranger: Option<usize> },
    Expire { reservation: Index },
    BeginCharge { account: usize, amount: i64 },
    CompleteCharge { charge: Index, verdict: GatewayVerdict },
    BeginChargeRefund { charge: Index, amount: Option<i64>, stranger: Option<usize> },
    CompleteChargeRefund { refund: Index, verdict: RefundVerdict },
    Wait { seconds: i64 },
    WaitForEnd { reservation: Index, early_microseconds: i64 },
    WaitForStart,
}

/// What the caller of the command was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Refused(String),
    /// The command had nothing to act on.
    Nothing,
}

/// Some commands, and time that passes between them.
#[derive(Debug)]
pub(crate) struct World {
    now: Timestamp,
    performances: Vec<PerformanceTerms>,
    tables: SaleTables,
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
    charges: Vec<(ChargeId, ChargeState, Points)>,
    charge_refunds: Vec<(ChargeRefundId, ChargeRefundState)>,
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

fn expire(reservation: &Reservation) -> sale::Command {
    sale::Command::Expire { reservation_id: reservation.id, account_id: reservation.account_id }
}

fn answer<T>(outcome: Result<T, impl Debug>) -> Answer {
    outcome.map_or_else(|refusal| Answer::Refused(format!("{refusal:?}")), |_| Answer::Done)
}

impl World {
    pub(crate) fn new() -> Self {
        let performances = performances();
        let seat = |seat: usize| Seat {
            label: label(seat),
            ordinal: u32::try_from(seat).unwrap(),
            price: Points::new(PRICES[seat]).unwrap(),
            state: SeatState::Free,
        };
        let seats = || (0..SEATS).map(|number| (label(number), seat(number))).collect();
        let tables = SaleTables {
            terms: performances.iter().map(|terms| (terms.id, terms.clone())).collect(),
            seats: performances.iter().map(|terms| (terms.id, seats())).collect(),
            wallets: (0..ACCOUNTS).map(account_id).map(|id| (id, Wallet::new(id, instant(0)))).collect(),
            ..SaleTables::default()
        };
        Self { now: instant(0), performances, tables, ids_given: 0 }
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Answer {
        let command = match command {
            Command::Wait { seconds } => return self.wait_until(Some(self.now + TimeDelta::seconds(*seconds))),
            Command::WaitForEnd { reservation, early_microseconds } => {
                let end = pick(&self.tables.reservations, *reservation).map(|reservation| reservation.held_until);
                return self.wait_until(end.map(|end| end - TimeDelta::microseconds(*early_microseconds)));
            }
            Command::WaitForStart => return self.wait_until(Some(self.performances[0].starts_at)),
            command => self.sale_command(command),
        };
        command.map_or(Answer::Nothing, |command| self.write(&command))
    }

    fn write(&mut self, command: &sale::Command) -> Answer {
        let outcomes = self.tables.write(self.now, std::slice::from_ref(command));
        let outcome = outcomes.into_iter().next().unwrap().expect("everything is loaded");
        let answer = match outcome {
            Outcome::Hold(outcome) => answer(outcome),
            Outcome::Pay(outcome) => answer(outcome),
            Outcome::Cancel(outcome) => answer(outcome),
            Outcome::BeginCharge(outcome) => answer(outcome),
            Outcome::Expire(freed) => freed.map_or(Answer::Nothing, |_| Answer::Done),
            Outcome::CompleteCharge(made) if made.as_ref().is_some_and(|made| !made.replayed) => Answer::Done,
            Outcome::BeginChargeRefund(outcome) => answer(outcome),
            Outcome::CompleteChargeRefund(made) if made.as_ref().is_some_and(|made| !made.replayed) => Answer::Done,
            Outcome::CompleteCharge(_) | Outcome::CompleteChargeRefund(_) => Answer::Nothing,
        };
        // An id that made nothing is given again, so that worlds in which the same is done have the same ids.
        if answer == Answer::Done && !matches!(command, sale::Command::Expire { .. }) {
            self.ids_given += 1;
        }
        answer
    }

    fn sale_command(&self, command: &Command) -> Option<sale::Command> {
        let id = Uuid::from_u128(self.ids_given);
        let reservation = |index: &Index| pick(&self.tables.reservations, *index);
        let actor = |owner, stranger: &Option<usize>| stranger.map_or(owner, account_id);
        Some(match command {
            Command::Hold { account, performance, seats } => sale::Command::Hold(HoldRequest {
                reservation_id: ReservationId::new(id),
                account_id: account_id(*account),
                concert_id: self.performances[*performance].concert_id,
                performance_id: self.performances[*performance].id,
                seats: SeatSelection::new(seats.iter().map(|seat| label(*seat)).collect()).unwrap(),
                hold_seconds: HOLD_SECONDS,
                unpaid_holds_free: UNPAID_HOLDS_FREE,
                idempotency: None,
            }),
            Command::Pay { reservation: index, stranger } => {
                let reservation = reservation(index)?;
                let account_id = actor(reservation.account_id, stranger);
                let payment_id = PaymentId::new(id);
                sale::Command::Pay(PayRequest { payment_id, account_id, ..fixtures::pay_request(&reservation) })
            }
            Command::Cancel { reservation: index, stranger } => {
                let reservation = reservation(index)?;
                let account_id = actor(reservation.account_id, stranger);
                sale::Command::Cancel(CancelRequest { account_id, ..fixtures::cancel_request(&reservation) })
            }
            Command::Expire { reservation: index } => expire(&reservation(index)?),
            Command::BeginCharge { account, amount } => sale::Command::BeginCharge(ChargeRequest {
                charge_id: ChargeId::new(id),
                account_id: account_id(*account),
                amount: ChargeAmount::new(Points::new(*amount).unwrap()).unwrap(),
                ..fixtures::charge_request(1)
            }),
            Command::CompleteCharge { charge, verdict } => {
                let charge = pick(&self.tables.charges, *charge)?;
                let (charge_id, account_id) = (charge.id, charge.account_id);
                sale::Command::CompleteCharge { charge_id, account_id, verdict: *verdict, reference: None }
            }
            Command::BeginChargeRefund { charge, amount, stranger } => {
                let charge = pick(&self.tables.charges, *charge)?;
                let amount = amount.map(|amount| ChargeAmount::new(Points::new(amount).unwrap()).unwrap());
                sale::Command::BeginChargeRefund(ChargeRefundRequest {
                    refund_id: ChargeRefundId::new(id),
                    account_id: actor(charge.account_id, stranger),
                    amount,
                    ..fixtures::charge_refund_request(&charge)
                })
            }
            Command::CompleteChargeRefund { refund, verdict } => {
                let refund = pick(&self.tables.charge_refunds, *refund)?;
                let (refund_id, charge_id, account_id) = (refund.id, refund.charge_id, refund.account_id);
                sale::Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict: *verdict }
            }
            Command::Wait { .. } | Command::WaitForEnd { .. } | Command::WaitForStart => return None,
        })
    }

    /// Marks every lapsed hold, as the worker does.
    pub(crate) fn sweep(&mut self) {
        for reservation in self.tables.reservations.values().cloned().collect::<Vec<_>>() {
            self.write(&expire(&reservation));
        }
        let lapsed = |found: &Reservation| matches!(found.state, ReservationState::Held { until } if until <= self.now);
        assert!(!self.tables.reservations.values().any(lapsed), "the sweeper leaves nothing behind");
    }

    pub(crate) fn event_kinds(&self) -> impl Iterator<Item = &'static str> {
        self.tables.events.iter().map(Event::kind)
    }

    pub(crate) fn visible(&self) -> Visible {
        let reservation = |found: &Reservation| (found.id, found.status(self.now), found.payment_id());
        let tables = &self.tables;
        Visible {
            seats: self.seats().map(|(_, seat)| seat.state.status(self.now)).collect(),
            reservations: tables.reservations.values().map(reservation).collect(),
            wallets: tables.wallets.values().map(|wallet| (wallet.balance, wallet.pending)).collect(),
            entries: tables.entries.clone(),
            payments: tables.payments.values().map(|payment| (payment.id, payment.amount, payment.state)).collect(),
            charges: tables.charges.values().map(|charge| (charge.id, charge.state, charge.refunded)).collect(),
            charge_refunds: tables.charge_refunds.values().map(|refund| (refund.id, refund.state)).collect(),
        }
    }

    fn wait_until(&mut self, instant: Option<Timestamp>) -> Answer {
        match instant {
            Some(instant) if instant > self.now => {
                self.now = instant;
                Answer::Done
            }
            _ => Answer::Nothing,
        }
    }

    fn seats(&self) -> impl Iterator<Item = (PerformanceId, &Seat)> {
        self.tables.seats.iter().flat_map(|(id, seats)| seats.values().map(move |seat| (*id, seat)))
    }
}
