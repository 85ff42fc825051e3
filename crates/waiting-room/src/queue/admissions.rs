//! The accounts that are admitted, and when each admission ends.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{
    AccountId, Timestamp, seconds_after,
    waiting_room::{PlaceNumber, Visit},
};

use crate::{Settings, rules::CLOSING_SECONDS};

/// Why an admission ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its time is over.
    Lapsed,
    /// Its holder was absent.
    Absent,
    /// Its holder did not use it.
    Idle,
}

#[derive(Debug)]
pub(super) struct Admission {
    pub(super) number: PlaceNumber,
    pub(super) joined_at: Timestamp,
    pub(super) admitted_until: Timestamp,
    /// When the account is passed over unless it is seen before.
    pub(super) no_show_at: Timestamp,
    /// When the admission passes on unless it is used before; `None` for never.
    pub(super) idle_at: Option<Timestamp>,
    pub(super) held_until: Option<Timestamp>,
}

impl Admission {
    pub(super) fn active_until(&self) -> Timestamp {
        self.held_until.map_or(self.admitted_until, |held_until| held_until.max(self.admitted_until))
    }

    pub(super) fn holds(&self, now: Timestamp) -> bool {
        self.held_until.is_some_and(|held_until| now < held_until)
    }

    /// Lets it last no longer than it takes to learn of a hold, or as the hold.
    pub(super) fn close(&mut self, now: Timestamp) {
        self.admitted_until = self.admitted_until.min(seconds_after(now, CLOSING_SECONDS));
    }

    /// Notes that the account is here. Its absence counts from now on, or from the end of its last hold; and so does the
    /// time for which it does not use the admission, if it does now.
    pub(super) fn note(&mut self, visit: Visit, now: Timestamp, settings: &Settings) {
        let counts_from = self.held_until.map_or(now, |held_until| held_until.max(now));
        self.no_show_at = seconds_after(counts_from, settings.no_show_seconds);
        if visit == Visit::Use {
            self.idle_at = settings.idle_at(counts_from);
        }
    }

    /// When it ends, and why.
    fn ending(&self) -> (Timestamp, Ending) {
        let (idle_at, no_show_at) = (self.idle_at.map(|at| (at, Ending::Idle)), (self.no_show_at, Ending::Absent));
        let lapses = (self.active_until(), Ending::Lapsed);
        [no_show_at]
            .into_iter()
            .chain(idle_at)
            .fold(lapses, |first, other| if other.0 < first.0 { other } else { first })
    }

    fn ends_at(&self) -> Timestamp {
        self.ending().0
    }
}

#[derive(Debug, Default)]
pub(super) struct Admissions {
    by_account: BTreeMap<AccountId, Admission>,
    /// The same accounts, by the end of their admission.
    endings: BTreeSet<(Timestamp, AccountId)>,
}

impl Admissions {
    pub(super) fn len(&self) -> usize {
        self.by_account.len()
    }

    pub(super) fn get(&self, account_id: AccountId) -> Option<&Admission> {
        self.by_account.get(&account_id)
    }

    /// Adds an admission. The account must not have one.
    pub(super) fn insert(&mut self, account_id: AccountId, admission: Admission) {
        self.endings.insert((admission.ends_at(), account_id));
        self.by_account.insert(account_id, admission);
    }

    pub(super) fn remove(&mut self, account_id: AccountId) -> Option<Admission> {
        let admission = self.by_account.remove(&account_id)?;
        self.endings.remove(&(admission.ends_at(), account_id));
        Some(admission)
    }

    /// Changes the admission of an account, if it has one.
    pub(super) fn change(&mut self, account_id: AccountId, change: impl FnOnce(&mut Admission)) {
        if let Some(mut admission) = self.remove(account_id) {
            change(&mut admission);
            self.insert(account_id, admission);
        }
    }

    /// Every account that is admitted.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.by_account.keys().copied().collect()
    }

    /// When the first admission ends.
    pub(super) fn first_ending(&self) -> Option<Timestamp> {
        self.endings.first().map(|(ends_at, _)| *ends_at)
    }

    /// The first account whose admission has ended by then, and why.
    pub(super) fn first_overdue(&self, now: Timestamp) -> Option<(AccountId, Ending)> {
        let (_, account_id) = self.endings.first().filter(|(ends_at, _)| *ends_at <= now)?;
        Some((*account_id, self.by_account[account_id].ending().1))
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;

    use super::*;

    fn admission(admitted_until: i64, held_until: Option<i64>) -> Admission {
        Admission {
            number: PlaceNumber(1),
            joined_at: instant(0),
            admitted_until: instant(admitted_until),
            no_show_at: instant(60),
            idle_at: Some(instant(120)),
            held_until: held_until.map(instant),
        }
    }

    #[test]
    fn a_hold_is_over_at_its_end() {
        let holds = |held_until, now| admission(600, held_until).holds(instant(now));
        assert_eq!([holds(Some(10), 9), holds(Some(10), 10), holds(None, 0)], [true, false, false]);
    }

    #[test]
    fn the_first_end_of_an_admission_counts() {
        let ending = |admitted_until, held_until| admission(admitted_until, held_until).ending();
        assert_eq!(ending(61, None), (instant(60), Ending::Absent));
        assert_eq!(ending(60, None), (instant(60), Ending::Lapsed));
        assert_eq!(ending(60, Some(61)), (instant(60), Ending::Absent));
        let idle = |idle_at| Admission { idle_at, ..admission(70, None) }.ending();
        assert_eq!(idle(Some(instant(60))), (instant(60), Ending::Absent));
        assert_eq!(idle(Some(instant(59))), (instant(59), Ending::Idle));
        assert_eq!(idle(None), (instant(60), Ending::Absent));
    }
}
