//! Adding points for money: recorded before the payment gateway is asked, credited once when it has approved.

use crate::{
    Points, Timestamp,
    events::Event,
    gateway::{GatewayReference, GatewayVerdict},
    idempotency::Made,
    wallet::{Charge, ChargeRefusal, ChargeRequest, ChargeState, EntryKind, Wallet},
};

use super::{Decision, LoadError, NotDone, SaleState};

impl SaleState {
    /// Records a charge if the balance with all charges in progress stays within the limit, so that a charge that was
    /// approved can always be credited.
    pub(super) fn begin_charge(
        &mut self,
        now: Timestamp,
        request: &ChargeRequest,
    ) -> Decision<Made<Charge>, ChargeRefusal> {
        let wallet = self.wallet(request.account_id)?;
        if let Some(first) = self.charges.made_under(request.account_id, &request.idempotency.key) {
            // The first answer may have been that it is pending, so the caller gets it as it is now.
            return Ok(first.idempotency.replay(&request.idempotency, first.clone())?);
        }
        let amount = request.amount.points();
        let pending = wallet.pending.checked_add(amount);
        let most = pending.and_then(|pending| wallet.balance.checked_add(pending));
        let (Some(pending), Some(_)) = (pending, most.filter(|most| *most <= request.balance_max)) else {
            return Err(NotDone::Refused(ChargeRefusal::BalanceLimitReached));
        };
        let wallet = Wallet { pending, ..wallet.clone() };
        let charge = Charge {
            id: request.charge_id,
            account_id: request.account_id,
            amount,
            state: ChargeState::Pending,
            refunded: Points::ZERO,
            payment_method: request.payment_method.clone(),
            reference: None,
            created_at: now,
            idempotency: request.idempotency.clone(),
        };
        self.events.push(Event::ChargeRequested { charge_id: charge.id, account_id: charge.account_id, amount });
        self.save_wallet(wallet, None);
        self.save_charge(charge.clone());
        Ok(Made::now(charge))
    }

    pub(super) fn complete_charge(
        &mut self,
        now: Timestamp,
        charge: Charge,
        verdict: GatewayVerdict,
        reference: Option<&GatewayReference>,
    ) -> Result<Made<Charge>, LoadError> {
        let is_new = match charge.state {
            ChargeState::Pending => true,
            ChargeState::RequiresAction => verdict != GatewayVerdict::ActionRequired,
            ChargeState::Completed { .. } | ChargeState::Declined { .. } => false,
        };
        if !is_new {
            return Ok(Made::before(charge));
        }
        let reference = reference.cloned().or_else(|| charge.reference.clone());
        let charge = Charge { reference, state: self.advance_charge(now, &charge, verdict)?, ..charge };
        self.save_charge(charge.clone());
        Ok(Made::now(charge))
    }

    /// Moves the points of an open charge, and returns its new state.
    fn advance_charge(
        &mut self,
        now: Timestamp,
        charge: &Charge,
        verdict: GatewayVerdict,
    ) -> Result<ChargeState, LoadError> {
        let Charge { id: charge_id, account_id, amount, .. } = *charge;
        let wallet = self.wallet(account_id)?;
        // The audit compares the sum of open charges; a credit is not withheld because it disagrees.
        let pending = wallet.pending.checked_sub(amount).unwrap_or_default();
        let wallet = Wallet { pending, ..wallet.clone() };
        Ok(match verdict {
            GatewayVerdict::ActionRequired => {
                self.events.push(Event::ChargeRequiresAction { charge_id, account_id, amount });
                ChargeState::RequiresAction
            }
            GatewayVerdict::Approved => {
                let credited = wallet.moved(now, amount.get(), EntryKind::Charge { charge_id });
                let (wallet, entry) = credited.ok_or(LoadError::Overflow)?;
                let balance = wallet.balance;
                self.events.push(Event::ChargeCompleted { charge_id, account_id, amount, balance });
                self.save_wallet(wallet, Some(entry));
                ChargeState::Completed { balance_after: balance, completed_at: now }
            }
            GatewayVerdict::Declined(reason) => {
                self.events.push(Event::ChargeDeclined { charge_id, account_id, amount, reason: Some(reason) });
                self.save_wallet(wallet, None);
                ChargeState::Declined { reason, declined_at: now }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, instant},
        gateway::DeclineReason,
        idempotency::KeyReused,
        sale::{
            BeginChargeOutcome, Command, CompleteChargeOutcome,
            testing::{Sale, points, reused},
        },
    };

    const DECLINED: GatewayVerdict = GatewayVerdict::Declined(DeclineReason::Refused);

    fn sale() -> Sale {
        Sale::new(&[], 0)
    }

    fn request(sale: &Sale, amount: i64) -> ChargeRequest {
        ChargeRequest { account_id: sale.account_id, ..fixtures::charge_request(amount) }
    }

    fn begin(sale: &mut Sale, request: &ChargeRequest) -> BeginChargeOutcome {
        sale.decide(0, &Command::BeginCharge(request.clone()))
    }

    fn complete(sale: &mut Sale, request: &ChargeRequest, verdict: GatewayVerdict) -> CompleteChargeOutcome {
        let ChargeRequest { charge_id, account_id, .. } = *request;
        sale.decide(1, &Command::CompleteCharge { charge_id, account_id, verdict, reference: None })
    }

    #[test]
    fn charges_in_progress_count_against_the_limit() {
        let mut sale = sale();
        sale.add_account(sale.account_id, fixtures::selling_rules().balance_points_max.get() - 20);
        let (first, second, third) = (request(&sale, 19), request(&sale, 2), request(&sale, 1));
        begin(&mut sale, &first).unwrap();
        assert_eq!(begin(&mut sale, &second), Err(ChargeRefusal::BalanceLimitReached));
        assert!(begin(&mut sale, &third).is_ok());
        let unlimited = ChargeRequest { balance_max: points(i64::MAX), ..request(&sale, i64::MAX) };
        assert_eq!(begin(&mut sale, &unlimited), Err(ChargeRefusal::BalanceLimitReached));
        // What was declined counts no more.
        complete(&mut sale, &first, DECLINED);
        assert!(begin(&mut sale, &second).is_ok());
    }

    #[test]
    fn a_repeated_charge_gets_the_charge_as_it_is_now() {
        let mut sale = sale();
        let request = request(&sale, 5_000);
        let first = begin(&mut sale, &request).unwrap();
        assert_eq!(begin(&mut sale, &request), Ok(Made { replayed: true, ..first }));
        let ended = complete(&mut sale, &request, GatewayVerdict::Approved).unwrap();
        assert_eq!(begin(&mut sale, &request), Ok(Made { replayed: true, ..ended }));
        let other = ChargeRequest { idempotency: reused(&request.idempotency), ..request };
        assert_eq!(begin(&mut sale, &other), Err(ChargeRefusal::KeyReused(KeyReused)));
        assert_eq!(sale.wallet().balance, points(5_000));
    }

    #[test]
    fn a_charge_that_needs_action_stays_open_until_it_is_decided() {
        let reference = GatewayReference::new("pi_1").unwrap();
        for (verdict, balance) in [(GatewayVerdict::Approved, 5_000), (DECLINED, 0)] {
            let mut sale = sale();
            let request = request(&sale, 5_000);
            begin(&mut sale, &request).unwrap();
            let ChargeRequest { charge_id, account_id, .. } = request;
            let verdict_of = |verdict, reference| Command::CompleteCharge { charge_id, account_id, verdict, reference };
            let action = verdict_of(GatewayVerdict::ActionRequired, Some(reference.clone()));
            for replayed in [false, true] {
                let made = sale.decide::<CompleteChargeOutcome>(1, &action).unwrap();
                assert_eq!((made.replayed, made.value.state), (replayed, ChargeState::RequiresAction));
                assert_eq!((sale.wallet().pending, sale.wallet().balance), (points(5_000), points(0)));
            }
            let ended = sale.decide::<CompleteChargeOutcome>(2, &verdict_of(verdict, None)).unwrap().value;
            assert!(!ended.state.is_open());
            assert_eq!(ended.reference.as_ref(), Some(&reference));
            assert_eq!((sale.wallet().pending, sale.wallet().balance), (points(0), points(balance)));
            let late = sale.decide::<CompleteChargeOutcome>(3, &action).unwrap();
            assert_eq!(late, Made::before(ended));
        }
    }

    #[test]
    fn a_verdict_counts_once_and_only_for_the_charge_of_its_account() {
        let mut sale = sale();
        let request = request(&sale, 5_000);
        let (approved, charge_id) = (GatewayVerdict::Approved, request.charge_id);
        assert_eq!(complete(&mut sale, &request, approved), None, "there is no such charge");
        begin(&mut sale, &request).unwrap();
        let stranger = fixtures::charge_request(1).account_id;
        sale.add_account(stranger, 0);
        let command = Command::CompleteCharge { charge_id, account_id: stranger, verdict: approved, reference: None };
        let error = sale.state.decide(instant(1), &command).unwrap_err();
        assert_eq!(error, LoadError::ChargeOfAnotherAccount(charge_id));
        for replayed in [false, true] {
            assert_eq!(complete(&mut sale, &request, approved).unwrap().replayed, replayed);
        }
        let changes = sale.state.changes();
        assert_eq!((changes.charges_new().count(), changes.charges_changed().count()), (1, 0), "made in this batch");
    }
}
