//! Giving points of a charge back for money: the points leave the wallet before the payment gateway is asked, and come
//! back only if it refuses.

use crate::{
    Points, Timestamp,
    events::Event,
    gateway::RefundVerdict,
    idempotency::Made,
    wallet::{
        Charge, ChargeAmount, ChargeRefund, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefundState, ChargeState,
        EntryKind,
    },
};

use super::{Decision, LoadError, NotDone, SaleState};

impl SaleState {
    /// Takes points out of the wallet and of the charge's rest.
    pub(super) fn begin_charge_refund(
        &mut self,
        now: Timestamp,
        request: &ChargeRefundRequest,
    ) -> Decision<Made<ChargeRefund>, ChargeRefundRefusal> {
        let wallet = self.wallet(request.account_id)?;
        if let Some(first) = self.charge_refunds.made_under(request.account_id, &request.idempotency.key) {
            // The first answer may have been that it is pending, so the caller gets it as it is now.
            return Ok(first.idempotency.replay(&request.idempotency, first.clone())?);
        }
        let charge = self.charges.get(&request.charge_id).filter(|charge| charge.account_id == request.account_id);
        let charge = charge.ok_or(NotDone::Refused(ChargeRefundRefusal::NoSuchCharge))?;
        let amount = refundable(charge, wallet.balance, request).map_err(NotDone::Refused)?;
        let (charge_id, account_id) = (charge.id, charge.account_id);
        let moved = wallet.moved(now, -amount.get(), EntryKind::ChargeRefund { charge_id });
        let (wallet, entry) = moved.ok_or(LoadError::Overflow)?;
        let refunded = charge.refunded.checked_add(amount).ok_or(LoadError::Overflow)?;
        let charge = Charge { refunded, ..charge.clone() };
        let refund = ChargeRefund {
            id: request.refund_id,
            charge_id,
            account_id,
            amount,
            state: ChargeRefundState::Pending,
            created_at: now,
            idempotency: request.idempotency.clone(),
        };
        let balance = wallet.balance;
        self.events.push(Event::ChargeRefundRequested { refund_id: refund.id, charge_id, account_id, amount, balance });
        self.save_wallet(wallet, Some(entry));
        self.save_charge(charge);
        self.save_charge_refund(refund.clone());
        Ok(Made::now(refund))
    }

    pub(super) fn complete_charge_refund(
        &mut self,
        now: Timestamp,
        refund: ChargeRefund,
        verdict: RefundVerdict,
    ) -> Result<Made<ChargeRefund>, LoadError> {
        // A bank may send money back days after the gateway had accepted the refund.
        let is_new = match refund.state {
            ChargeRefundState::Pending => true,
            ChargeRefundState::Completed { .. } => verdict == RefundVerdict::Refused,
            ChargeRefundState::Refused { .. } => false,
        };
        if !is_new {
            return Ok(Made::before(refund));
        }
        let ChargeRefund { id: refund_id, charge_id, account_id, amount, .. } = refund;
        let state = match verdict {
            RefundVerdict::Accepted => {
                self.events.push(Event::ChargeRefunded { refund_id, charge_id, account_id, amount });
                ChargeRefundState::Completed { completed_at: now }
            }
            RefundVerdict::Refused => {
                let balance = self.give_points_back(now, &refund)?;
                let refused = Event::ChargeRefundRefused { refund_id, charge_id, account_id, amount, balance };
                self.events.push(refused);
                ChargeRefundState::Refused { refused_at: now }
            }
        };
        let refund = ChargeRefund { state, ..refund };
        self.save_charge_refund(refund.clone());
        Ok(Made::now(refund))
    }

    /// Puts the points of a refund into the wallet again, and returns the balance.
    fn give_points_back(&mut self, now: Timestamp, refund: &ChargeRefund) -> Result<Points, LoadError> {
        let ChargeRefund { charge_id, account_id, amount, .. } = *refund;
        let charge = self.charges.get(&charge_id).ok_or(LoadError::Charge(charge_id))?;
        let refunded = charge.refunded.checked_sub(amount).ok_or(LoadError::Overflow)?;
        let charge = Charge { refunded, ..charge.clone() };
        let moved = self.wallet(account_id)?.moved(now, amount.get(), EntryKind::ChargeRefund { charge_id });
        let (wallet, entry) = moved.ok_or(LoadError::Overflow)?;
        let balance = wallet.balance;
        self.save_wallet(wallet, Some(entry));
        self.save_charge(charge);
        Ok(balance)
    }
}

/// How many points a request gives back: never more than the rest of the charge and the balance.
fn refundable(charge: &Charge, balance: Points, request: &ChargeRefundRequest) -> Result<Points, ChargeRefundRefusal> {
    let ChargeState::Completed { .. } = charge.state else { return Err(ChargeRefundRefusal::NotRefundable) };
    let rest = charge.amount.checked_sub(charge.refunded).unwrap_or_default();
    if rest == Points::ZERO {
        return Err(ChargeRefundRefusal::NotRefundable);
    }
    let amount = request.amount.map_or_else(|| rest.min(balance), ChargeAmount::points);
    if amount > rest {
        return Err(ChargeRefundRefusal::ExceedsCharge { rest });
    }
    if amount > balance || amount == Points::ZERO {
        let required = if amount == Points::ZERO { rest } else { amount };
        return Err(ChargeRefundRefusal::InsufficientPoints { balance, required });
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, instant},
        gateway::GatewayVerdict,
        sale::{
            BeginChargeRefundOutcome, Command, CompleteChargeOutcome, CompleteChargeRefundOutcome, Outcome,
            testing::{Sale, points, reused},
        },
        wallet::{ChargeRequest, ChargeStatus},
    };

    /// An account with a charge of 5,000 points that was credited, and with `balance` more.
    fn charged(balance: i64) -> (Sale, Charge) {
        let mut sale = Sale::new(&["A-1-1"], balance);
        let request = ChargeRequest { account_id: sale.account_id, ..fixtures::charge_request(5_000) };
        let ChargeRequest { charge_id, account_id, .. } = request;
        sale.decide::<Outcome>(0, &Command::BeginCharge(request));
        let verdict = GatewayVerdict::Approved;
        let command = Command::CompleteCharge { charge_id, account_id, verdict, reference: None };
        let charge = sale.decide::<CompleteChargeOutcome>(0, &command).unwrap().value;
        (sale, charge)
    }

    fn request(charge: &Charge, amount: Option<i64>) -> ChargeRefundRequest {
        let amount = amount.map(|amount| ChargeAmount::new(points(amount)).unwrap());
        ChargeRefundRequest { amount, ..fixtures::charge_refund_request(charge) }
    }

    fn begin(sale: &mut Sale, request: &ChargeRefundRequest) -> BeginChargeRefundOutcome {
        sale.decide(1, &Command::BeginChargeRefund(request.clone()))
    }

    fn complete(sale: &mut Sale, refund: &ChargeRefund, verdict: RefundVerdict) -> CompleteChargeRefundOutcome {
        let ChargeRefund { id: refund_id, charge_id, account_id, .. } = *refund;
        sale.decide(2, &Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict })
    }

    fn status(sale: &Sale, charge: &Charge) -> (ChargeStatus, i64) {
        let charge = sale.state.charges.get(&charge.id).unwrap();
        (charge.status(), charge.refunded.get())
    }

    #[test]
    fn points_leave_the_wallet_when_a_refund_begins_and_come_back_if_it_is_refused() {
        let (mut sale, charge) = charged(10);
        assert_eq!(status(&sale, &charge), (ChargeStatus::Completed, 0));
        let first = begin(&mut sale, &request(&charge, Some(2_000))).unwrap().value;
        assert_eq!((first.state, sale.wallet().balance), (ChargeRefundState::Pending, points(3_010)));
        assert_eq!(status(&sale, &charge), (ChargeStatus::PartiallyRefunded, 2_000));
        for replayed in [false, true] {
            let made = complete(&mut sale, &first, RefundVerdict::Accepted).unwrap();
            let state = ChargeRefundState::Completed { completed_at: instant(2) };
            assert_eq!((made.replayed, made.value.state), (replayed, state));
        }
        let rest = begin(&mut sale, &request(&charge, None)).unwrap().value;
        assert_eq!((rest.amount, sale.wallet().balance), (points(3_000), points(10)));
        assert_eq!(status(&sale, &charge), (ChargeStatus::Refunded, 5_000));
        for _ in 0..2 {
            let refused = complete(&mut sale, &rest, RefundVerdict::Refused).unwrap().value;
            assert_eq!(refused.state, ChargeRefundState::Refused { refused_at: instant(2) });
            assert_eq!((sale.wallet().balance, status(&sale, &charge).1), (points(3_010), 2_000));
        }
        let kinds: Vec<_> = sale.event_kinds().into_iter().skip(2).collect();
        let requested = "charge_refund_requested";
        assert_eq!(kinds, [requested, "charge_refunded", requested, "charge_refund_refused"]);
        assert_eq!(
            sale.state.entries.iter().map(|entry| entry.amount).collect::<Vec<_>>(),
            [5_000, -2_000, -3_000, 3_000]
        );
    }

    #[test]
    fn a_refund_that_fails_after_it_was_accepted_gives_the_points_back_once() {
        let (mut sale, charge) = charged(0);
        let refund = begin(&mut sale, &request(&charge, None)).unwrap().value;
        complete(&mut sale, &refund, RefundVerdict::Accepted).unwrap();
        for replayed in [false, true] {
            let made = complete(&mut sale, &refund, RefundVerdict::Refused).unwrap();
            assert_eq!(made.replayed, replayed);
            assert_eq!((sale.wallet().balance, status(&sale, &charge).1), (points(5_000), 0));
        }
        let late = complete(&mut sale, &refund, RefundVerdict::Accepted).unwrap();
        assert_eq!(late.value.state, ChargeRefundState::Refused { refused_at: instant(2) });
    }

    #[test]
    fn no_more_is_given_back_than_is_left_of_charge_and_balance() {
        let (mut sale, charge) = charged(0);
        let rest = points(5_000);
        assert_eq!(begin(&mut sale, &request(&charge, Some(5_001))), Err(ChargeRefundRefusal::ExceedsCharge { rest }));
        let held = sale.hold(0, &sale.hold_request(&["A-1-1"])).unwrap().value.reservation;
        let price = held.total_amount;
        sale.add_account(sale.account_id, price.get() + 700);
        sale.paid(1, &held);
        let poor = |required| Err(ChargeRefundRefusal::InsufficientPoints { balance: points(700), required });
        assert_eq!(begin(&mut sale, &request(&charge, Some(701))), poor(points(701)));
        assert_eq!(begin(&mut sale, &request(&charge, None)).unwrap().value.amount, points(700));
        let none = Err(ChargeRefundRefusal::InsufficientPoints { balance: points(0), required: points(4_300) });
        assert_eq!(begin(&mut sale, &request(&charge, None)), none);
        sale.add_account(sale.account_id, 10_000);
        assert_eq!(begin(&mut sale, &request(&charge, None)).unwrap().value.amount, points(4_300));
        assert_eq!(begin(&mut sale, &request(&charge, None)), Err(ChargeRefundRefusal::NotRefundable));
    }

    #[test]
    fn only_a_credited_charge_of_the_account_is_refunded() {
        let (mut sale, charge) = charged(0);
        let stranger = fixtures::charge_request(1).account_id;
        sale.add_account(stranger, 9_000);
        let of_stranger = ChargeRefundRequest { account_id: stranger, ..request(&charge, None) };
        assert_eq!(begin(&mut sale, &of_stranger), Err(ChargeRefundRefusal::NoSuchCharge));
        let open = ChargeRequest { account_id: sale.account_id, ..fixtures::charge_request(100) };
        sale.decide::<Outcome>(1, &Command::BeginCharge(open.clone()));
        let charge_id = open.charge_id;
        let of_open = ChargeRefundRequest { charge_id, ..request(&charge, None) };
        assert_eq!(begin(&mut sale, &of_open), Err(ChargeRefundRefusal::NotRefundable));
        let refund = begin(&mut sale, &request(&charge, None)).unwrap().value;
        let of_stranger = ChargeRefund { account_id: stranger, ..refund.clone() };
        let ChargeRefund { id: refund_id, charge_id, .. } = refund;
        let (account_id, verdict) = (of_stranger.account_id, RefundVerdict::Accepted);
        let command = Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict };
        let error = sale.state.decide(instant(1), &command).unwrap_err();
        assert_eq!(error, LoadError::ChargeOfAnotherAccount(charge.id));
    }

    #[test]
    fn a_repeated_request_gets_the_refund_as_it_is_now() {
        let (mut sale, charge) = charged(0);
        let request = request(&charge, Some(1));
        let first = begin(&mut sale, &request).unwrap();
        assert_eq!(begin(&mut sale, &request), Ok(Made { replayed: true, ..first.clone() }));
        let ended = complete(&mut sale, &first.value, RefundVerdict::Accepted).unwrap();
        assert_eq!(begin(&mut sale, &request), Ok(Made { replayed: true, ..ended }));
        let other = ChargeRefundRequest { idempotency: reused(&request.idempotency), ..request };
        assert!(matches!(begin(&mut sale, &other), Err(ChargeRefundRefusal::KeyReused(_))));
        assert_eq!(sale.wallet().balance, points(4_999));
    }
}
