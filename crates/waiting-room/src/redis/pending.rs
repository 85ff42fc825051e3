//! What happened to accounts that were admitted while Redis was away, to be done there when it is back.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use boxoffice_domain::{AccountId, ConcertId, Timestamp, waiting_room::QueuePlace};

/// How many accounts are remembered.
const PENDING_MAX: usize = 100_000;

/// What has not been done in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The account holds seats until then.
    Keep(Option<Timestamp>),
    /// The account has paid, with this place or an earlier one.
    Spend {
        /// In microseconds, as the numbers of places are.
        number_max: u64,
    },
}

/// The acts that are to be done, one for each account and concert.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<HashMap<(ConcertId, AccountId), Act>>);

impl Pending {
    fn acts(&self) -> MutexGuard<'_, HashMap<(ConcertId, AccountId), Act>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an act. `false` if there are too many.
    pub(super) fn remember(&self, concert_id: ConcertId, account_id: AccountId, act: Act) -> bool {
        let mut acts = self.acts();
        match acts.get(&(concert_id, account_id)) {
            // A payment is the end of the admission: nothing takes it back.
            Some(Act::Spend { .. }) => return true,
            None if acts.len() >= PENDING_MAX => return false,
            Some(Act::Keep(_)) | None => {}
        }
        acts.insert((concert_id, account_id), act);
        true
    }

    pub(super) fn all(&self) -> Vec<(ConcertId, AccountId, Act)> {
        self.acts().iter().map(|((concert_id, account_id), act)| (*concert_id, *account_id, *act)).collect()
    }

    /// Forgets an act that was done, unless there is a newer one of that account.
    pub(super) fn forget(&self, concert_id: ConcertId, account_id: AccountId, done: Act) {
        let mut acts = self.acts();
        if acts.get(&(concert_id, account_id)) == Some(&done) {
            acts.remove(&(concert_id, account_id));
        }
    }

    /// Whether a payment has spent this place.
    pub(super) fn has_spent(&self, place: &QueuePlace) -> bool {
        let act = self.acts().get(&(place.concert_id, place.account_id)).copied();
        matches!(act, Some(Act::Spend { number_max }) if place.number.0 <= number_max)
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{fixtures::instant, waiting_room::PlaceNumber};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_payment_outlasts_what_comes_after_it_and_spends_no_later_place() {
        let (concert_id, account_id) = (ConcertId::new(Uuid::from_u128(1)), AccountId::new(Uuid::from_u128(2)));
        let pending = Pending::default();
        let held = Act::Keep(Some(instant(9)));
        assert!(pending.remember(concert_id, account_id, held));
        let place = |number| QueuePlace { concert_id, account_id, number: PlaceNumber(number), joined_at: instant(0) };
        assert!(!pending.has_spent(&place(5)));
        let spent = Act::Spend { number_max: 5 };
        assert!(pending.remember(concert_id, account_id, spent));
        assert!(pending.remember(concert_id, account_id, held));
        assert!(pending.has_spent(&place(5)) && !pending.has_spent(&place(6)));
        pending.forget(concert_id, account_id, held);
        assert_eq!(pending.all(), [(concert_id, account_id, spent)]);
        pending.forget(concert_id, account_id, spent);
        assert_eq!(pending.all(), []);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let concert_id = ConcertId::new(Uuid::from_u128(1));
        let pending = Pending::default();
        let remember = |number: usize| {
            pending.remember(concert_id, AccountId::new(Uuid::from_u128(number as u128)), Act::Keep(None))
        };
        assert!((0..PENDING_MAX).all(remember));
        assert!(!remember(PENDING_MAX) && remember(0));
    }
}
