//! Which places were passed over: their holders hear it when they come back.

use std::collections::{HashSet, VecDeque};

use boxoffice_domain::{AccountId, waiting_room::PlaceNumber};

/// How many are kept, the latest ones.
const PASSED_OVER_MAX: usize = 4096;

/// The places that were passed over most recently.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    places: HashSet<(AccountId, PlaceNumber)>,
    /// The same, from the earliest to the latest.
    order: VecDeque<(AccountId, PlaceNumber)>,
}

impl PassedOver {
    pub(super) fn insert(&mut self, account_id: AccountId, number: PlaceNumber) {
        if !self.places.insert((account_id, number)) {
            return;
        }
        self.order.push_back((account_id, number));
        if self.order.len() > PASSED_OVER_MAX
            && let Some(earliest) = self.order.pop_front()
        {
            self.places.remove(&earliest);
        }
    }

    pub(super) fn contains(&self, account_id: AccountId, number: PlaceNumber) -> bool {
        self.places.contains(&(account_id, number))
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{EntropySource, fixtures::TestEntropy};

    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let mut passed_over = PassedOver::default();
        let accounts: Vec<_> = (0..PASSED_OVER_MAX + 2).map(|_| AccountId::new(TestEntropy.uuid())).collect();
        for account_id in &accounts[..=PASSED_OVER_MAX] {
            passed_over.insert(*account_id, PlaceNumber(1));
            passed_over.insert(*account_id, PlaceNumber(1));
        }
        assert!(!passed_over.contains(accounts[0], PlaceNumber(1)), "the earliest was dropped");
        assert!(passed_over.contains(accounts[1], PlaceNumber(1)));
        assert!(passed_over.contains(accounts[PASSED_OVER_MAX], PlaceNumber(1)));
        assert!(!passed_over.contains(accounts[1], PlaceNumber(2)), "another place of the account");
        assert!(!passed_over.contains(accounts[PASSED_OVER_MAX + 1], PlaceNumber(1)));
    }
}
