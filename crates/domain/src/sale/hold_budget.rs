//! How many holds of a concert an account may let end unpaid: a few cost nothing, each further one a wait that doubles.

use crate::{AccountId, ConcertId, Timestamp, seconds_after, time::doubled_seconds};

use super::SaleState;

/// The longest wait after a hold that ended unpaid.
const COOLDOWN_SECONDS_MAX: u32 = 3_600;

/// How an account's holds of one concert ended since it last paid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct HoldBudget {
    pub concert_id: ConcertId,
    pub account_id: AccountId,
    /// How many holds ended unpaid: cancelled, or lapsed and marked as expired.
    pub unpaid_count: u32,
    /// When the last of them ended; `None` if none did.
    pub last_unpaid_at: Option<Timestamp>,
    /// The payment that set the count to 0. A hold that lapsed by then is not counted, whenever it is marked.
    pub paid_at: Option<Timestamp>,
}

impl HoldBudget {
    /// No hold has ended yet.
    pub fn new(account_id: AccountId, concert_id: ConcertId) -> Self {
        Self { concert_id, account_id, unpaid_count: 0, last_unpaid_at: None, paid_at: None }
    }

    /// Counts a hold that ended unpaid at `at`.
    #[must_use]
    pub fn after_unpaid(self, at: Timestamp) -> Self {
        if self.paid_at.is_some_and(|paid_at| at <= paid_at) {
            return self;
        }
        let unpaid_count = self.unpaid_count.saturating_add(1);
        Self { unpaid_count, last_unpaid_at: self.last_unpaid_at.max(Some(at)), ..self }
    }

    /// What is counted after old reservations were removed. Of those that ended unpaid since the payment, `count` are left,
    /// and the last of them ended at `last_unpaid_at`.
    #[must_use]
    pub fn recounted(self, count: u32, last_unpaid_at: Option<Timestamp>) -> Self {
        let unpaid_count = self.unpaid_count.min(count);
        let last_unpaid_at = self.last_unpaid_at.min(last_unpaid_at).filter(|_| unpaid_count > 0);
        Self { unpaid_count, last_unpaid_at, ..self }
    }

    /// From when on the account may hold again: at once for the first `free` holds that ended unpaid, then 1, 2, 4 … minutes
    /// after the last one ended, and at most an hour.
    ///
    /// ```
    /// use boxoffice_domain::{AccountId, ConcertId, fixtures::instant, sale::HoldBudget, uuid::Uuid};
    ///
    /// let mut budget = HoldBudget::new(AccountId::new(Uuid::nil()), ConcertId::new(Uuid::nil()));
    /// for second in [1, 2, 3] {
    ///     budget = budget.after_unpaid(instant(second));
    /// }
    /// assert_eq!(budget.cooldown_ends_at(3), None);
    /// assert_eq!(budget.after_unpaid(instant(4)).cooldown_ends_at(3), Some(instant(64)));
    /// ```
    pub fn cooldown_ends_at(&self, free: u32) -> Option<Timestamp> {
        let doublings = self.unpaid_count.checked_sub(free)?.checked_sub(1)?;
        Some(seconds_after(self.last_unpaid_at?, doubled_seconds(60, doublings, COOLDOWN_SECONDS_MAX)))
    }
}

impl SaleState {
    /// What the storage has counted.
    fn hold_budget(&self, account_id: AccountId, concert_id: ConcertId) -> HoldBudget {
        let counted = self.hold_budgets.get(&(concert_id, account_id)).copied();
        counted.unwrap_or_else(|| HoldBudget::new(account_id, concert_id))
    }

    /// What the storage has counted, and what has lapsed by `now` and is not marked yet.
    pub(super) fn hold_budget_at(&self, now: Timestamp, account_id: AccountId, concert_id: ConcertId) -> HoldBudget {
        let counted = self.hold_budget(account_id, concert_id);
        self.lapsed_holds(now, account_id, concert_id).fold(counted, HoldBudget::after_unpaid)
    }

    pub(super) fn count_unpaid(&mut self, account_id: AccountId, concert_id: ConcertId, at: Timestamp) {
        let counted = self.hold_budget(account_id, concert_id);
        let budget = counted.after_unpaid(at);
        if budget != counted {
            self.save_hold_budget(budget);
        }
    }

    /// Sets the count to 0. Nothing is saved for an account that pays what it holds.
    pub(super) fn count_paid(&mut self, account_id: AccountId, concert_id: ConcertId, now: Timestamp) {
        if self.hold_budget_at(now, account_id, concert_id).unpaid_count > 0 {
            self.save_hold_budget(HoldBudget { paid_at: Some(now), ..HoldBudget::new(account_id, concert_id) });
        }
    }

    fn save_hold_budget(&mut self, budget: HoldBudget) {
        let key = (budget.concert_id, budget.account_id);
        self.hold_budgets.mark(key);
        self.hold_budgets.add(key, budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::instant,
        reservations::{HoldRefusal, HoldRequest, Reservation},
        sale::{Command, ExpireOutcome, HoldOutcome, testing::Sale},
    };

    /// Two seats, points for both, and holds that may end unpaid once without a wait.
    fn sale() -> Sale {
        Sale::new(&["A-1-1", "A-1-2"], 200_000)
    }

    fn hold(sale: &mut Sale, seconds: i64, label: &str) -> HoldOutcome {
        let request = sale.hold_request(&[label]);
        let reservation_id = crate::ReservationId::new(uuid::Uuid::from_u128(u128::try_from(seconds).unwrap() + 1));
        sale.hold(seconds, &HoldRequest { unpaid_holds_free: 1, reservation_id, idempotency: None, ..request })
    }

    fn held(sale: &mut Sale, seconds: i64, label: &str) -> Reservation {
        hold(sale, seconds, label).unwrap().value.reservation
    }

    fn wait(seconds_left: u64) -> HoldOutcome {
        Err(HoldRefusal::Cooldown { seconds_left })
    }

    #[test]
    fn the_wait_doubles_from_a_minute_to_an_hour() {
        let mut budget = HoldBudget::new(fixture_account(), fixture_concert());
        let mut waits = Vec::new();
        for _ in 0..70 {
            budget = budget.after_unpaid(instant(9));
            waits.push(budget.cooldown_ends_at(2).map(|ends_at| (ends_at - instant(9)).num_minutes()));
        }
        let expected = [None, None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(60), Some(60)];
        assert_eq!(waits[..10], expected);
        assert_eq!(waits[69], Some(60));
        assert_eq!(budget.cooldown_ends_at(u32::MAX), None);
        assert_eq!(HoldBudget { unpaid_count: u32::MAX, ..budget }.after_unpaid(instant(9)).unpaid_count, u32::MAX);
    }

    fn fixture_account() -> AccountId {
        crate::fixtures::charge_request(1).account_id
    }

    fn fixture_concert() -> ConcertId {
        crate::fixtures::terms().concert_id
    }

    #[test]
    fn what_is_removed_is_counted_no_more() {
        let none = HoldBudget::new(fixture_account(), fixture_concert());
        let three = [1, 2, 3].into_iter().fold(none, |budget, second| budget.after_unpaid(instant(second)));
        assert_eq!(three.recounted(3, Some(instant(3))), three);
        // A version that does not count may have run beside this one.
        assert_eq!(three.recounted(5, Some(instant(9))), three);
        let two = HoldBudget { unpaid_count: 2, last_unpaid_at: Some(instant(2)), ..none };
        assert_eq!(three.recounted(2, Some(instant(2))), two);
        assert_eq!(three.recounted(0, None), none);
        let paid = HoldBudget { paid_at: Some(instant(5)), ..none };
        assert_eq!(paid.recounted(0, None), paid);
    }

    #[test]
    fn cancelling_again_and_again_makes_the_account_wait() {
        let mut sale = sale();
        for second in [0, 1] {
            let held = held(&mut sale, second, "A-1-1");
            sale.cancelled(second, &held);
        }
        // The second one ended in second 1, so it is a minute from there.
        assert_eq!(hold(&mut sale, 2, "A-1-1"), wait(59));
        assert_eq!(hold(&mut sale, 60, "A-1-2"), wait(1));
        let third = held(&mut sale, 61, "A-1-2");
        sale.cancelled(62, &third);
        assert_eq!(hold(&mut sale, 63, "A-1-2"), wait(119));
    }

    #[test]
    fn a_lapsed_hold_counts_from_its_end_marked_or_not() {
        for marked in [false, true] {
            let mut sale = sale();
            let holds = [held(&mut sale, 0, "A-1-1"), held(&mut sale, 1, "A-1-2")];
            let mark = |sale: &mut Sale| {
                for held in &holds {
                    let command = Command::Expire { reservation_id: held.id, account_id: held.account_id };
                    let freed: ExpireOutcome = sale.decide(400, &command);
                    assert!(freed.is_some());
                }
            };
            if marked {
                mark(&mut sale);
            }
            // They ended in seconds 300 and 301.
            assert_eq!(hold(&mut sale, 360, "A-1-1"), wait(1));
            assert!(hold(&mut sale, 361, "A-1-1").is_ok());
        }
    }

    #[test]
    fn paying_ends_the_wait_also_for_what_had_lapsed_and_was_not_marked() {
        let mut sale = sale();
        for second in [0, 1] {
            let lapsed = held(&mut sale, second, "A-1-1");
            let command = Command::Cancel(crate::fixtures::cancel_request(&lapsed));
            sale.decide::<crate::sale::CancelOutcome>(second, &command).unwrap();
        }
        let lapsed = held(&mut sale, 61, "A-1-1");
        let kept = held(&mut sale, 200, "A-1-2");
        sale.paid(400, &kept);
        let expected = HoldBudget { paid_at: Some(instant(400)), ..HoldBudget::new(kept.account_id, kept.concert_id) };
        assert_eq!(sale.state.changes().hold_budgets().collect::<Vec<_>>(), [&expected]);
        let command = Command::Expire { reservation_id: lapsed.id, account_id: lapsed.account_id };
        assert!(sale.decide::<ExpireOutcome>(401, &command).is_some());
        assert_eq!(sale.state.changes().hold_budgets().collect::<Vec<_>>(), [&expected]);
        assert!(hold(&mut sale, 402, "A-1-1").is_ok());
    }

    #[test]
    fn an_account_that_pays_what_it_holds_has_nothing_counted() {
        let (mut sale, held) = Sale::held(55_000);
        sale.paid(1, &held);
        sale.cancelled(2, &held);
        assert_eq!(sale.state.changes().hold_budgets().count(), 0);
    }

    #[test]
    fn what_is_counted_is_of_one_account_and_one_concert() {
        let mut sale = sale();
        for (account_id, concert_id) in
            [(fixture_account(), fixture_concert()), (AccountId::new(uuid::Uuid::from_u128(9)), sale.terms.concert_id)]
        {
            let budget = HoldBudget { unpaid_count: 9, ..HoldBudget::new(account_id, concert_id) };
            sale.state.add_hold_budget(budget.after_unpaid(instant(0)));
        }
        assert!(hold(&mut sale, 1, "A-1-1").is_ok());
    }
}
