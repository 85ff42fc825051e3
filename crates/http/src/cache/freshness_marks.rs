//! How new the seats have to be that an account is shown.
//!
//! A seat map is rendered once for many, and shown for a moment. An account that has got a newer response about seats must
//! not be shown less than that implied. So each such response sets a freshness mark for its account, which lasts as long
//! as an older rendering may be shown to other accounts.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::AccountId;
use tokio::time::Instant;

/// The most marks. If there are more, the oldest one counts for all accounts.
const MARKS_MAX: usize = 65_536;

/// When accounts last got a response about seats.
#[derive(Debug)]
pub struct FreshnessMarks {
    kept_for: Duration,
    marks_max: usize,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    by_account: HashMap<AccountId, Instant>,
    /// All of them, the oldest first; of an account that has several, the last one counts.
    in_order: VecDeque<(Instant, AccountId)>,
    /// The last one that there was no room for.
    all: Option<Instant>,
}

impl FreshnessMarks {
    /// Keeps marks for this time, that of [`HttpSettings::answers_kept_for`](crate::HttpSettings); for no time, it keeps
    /// none.
    pub fn new(kept_for: Duration) -> Self {
        Self { kept_for, marks_max: MARKS_MAX, marks: Mutex::default() }
    }

    /// Sets the mark of an account to now: it is not shown seats as they were before.
    pub fn set(&self, account_id: AccountId) {
        if self.kept_for.is_zero() {
            return;
        }
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((marked_at, former)) = marks.in_order.front().copied() {
            let over = marked_at + self.kept_for < now;
            if !over && marks.in_order.len() < self.marks_max {
                break;
            }
            if !over {
                marks.all = Some(marked_at);
            }
            marks.in_order.pop_front();
            if marks.by_account.get(&former) == Some(&marked_at) {
                marks.by_account.remove(&former);
            }
        }
        marks.in_order.push_back((now, account_id));
        marks.by_account.insert(account_id, now);
    }

    /// The mark of an account: what it is shown has to have been read after it.
    pub(crate) fn of(&self, account_id: AccountId) -> Option<Instant> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.by_account.get(&account_id).copied().max(marks.all)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    const KEPT_FOR: Duration = Duration::from_millis(250);

    fn account(number: u128) -> AccountId {
        AccountId::new(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_mark_of_an_account_counts_and_ends_after_a_while() {
        let marks = FreshnessMarks::new(KEPT_FOR);
        marks.set(account(1));
        advance(Duration::from_millis(200)).await;
        let last = Instant::now();
        marks.set(account(1));
        advance(Duration::from_millis(200)).await;
        marks.set(account(2));
        assert_eq!((marks.of(account(1)), marks.of(account(3))), (Some(last), None));
        advance(Duration::from_millis(200)).await;
        marks.set(account(2));
        assert_eq!(marks.of(account(1)), None);
        let marks = marks.marks.lock().unwrap();
        assert_eq!((marks.by_account.len(), marks.in_order.len(), marks.all), (1, 2, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_that_there_is_no_room_for_counts_for_all_accounts() {
        let marks = FreshnessMarks { marks_max: 2, ..FreshnessMarks::new(KEPT_FOR) };
        let first = Instant::now();
        for number in 1..=3 {
            marks.set(account(number));
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!((marks.of(account(1)), marks.of(account(9))), (Some(first), Some(first)));
        assert!(marks.of(account(3)) > Some(first));
        assert_eq!(marks.marks.lock().unwrap().by_account.len(), 2);
    }

    #[test]
    fn without_a_time_no_mark_is_kept() {
        let marks = FreshnessMarks::new(Duration::ZERO);
        marks.set(account(1));
        assert_eq!(marks.of(account(1)), None);
    }
}
