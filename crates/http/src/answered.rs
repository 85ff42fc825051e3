//! Who was answered something just now that a kept rendering may not show yet.
//!
//! A seat map is rendered once for many, and shown for a moment. An account that was answered an act
//! meanwhile, or a newer map, must not be shown less than that answer said; everybody else loses nothing.
//! So it is noted when an account was answered, for as long as an older rendering could be around.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::AccountId;
use tokio::time::Instant;

/// The most notes. Where there are more, the oldest one becomes everybody's.
const NOTES_MAX: usize = 65_536;

/// When accounts were last answered.
pub(crate) struct Answered {
    noted_for: Duration,
    notes_max: usize,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    by_account: HashMap<AccountId, Instant>,
    /// All of them, oldest first; of an account that has several, the last one counts.
    in_order: VecDeque<(Instant, AccountId)>,
    /// When somebody was answered for whom there was no room.
    anybody: Option<Instant>,
}

impl Answered {
    /// Keeps notes for this time; for no time at all, it keeps none.
    pub(crate) fn new(noted_for: Duration) -> Self {
        Self { noted_for, notes_max: NOTES_MAX, notes: Mutex::default() }
    }

    /// Notes that an account is being answered now.
    pub(crate) fn note(&self, account_id: AccountId) {
        if self.noted_for.is_zero() {
            return;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((noted_at, former)) = notes.in_order.front().copied() {
            let over = noted_at + self.noted_for < now;
            if !over && notes.in_order.len() < self.notes_max {
                break;
            }
            if !over {
                notes.anybody = Some(noted_at);
            }
            notes.in_order.pop_front();
            if notes.by_account.get(&former) == Some(&noted_at) {
                notes.by_account.remove(&former);
            }
        }
        notes.in_order.push_back((now, account_id));
        notes.by_account.insert(account_id, now);
    }

    /// What an account is shown has to be newer than this.
    pub(crate) fn since(&self, account_id: AccountId) -> Option<Instant> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.by_account.get(&account_id).copied().max(notes.anybody)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    const NOTED_FOR: Duration = Duration::from_millis(250);

    fn account(number: u128) -> AccountId {
        AccountId::new(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_is_known_by_its_last_answer_and_forgotten_after_a_while() {
        let answered = Answered::new(NOTED_FOR);
        answered.note(account(1));
        advance(Duration::from_millis(200)).await;
        let last = Instant::now();
        answered.note(account(1));
        advance(Duration::from_millis(200)).await;
        answered.note(account(2));
        assert_eq!((answered.since(account(1)), answered.since(account(3))), (Some(last), None));
        advance(Duration::from_millis(200)).await;
        answered.note(account(2));
        assert_eq!(answered.since(account(1)), None);
        let notes = answered.notes.lock().unwrap();
        assert_eq!((notes.by_account.len(), notes.in_order.len(), notes.anybody), (1, 2, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_counts_for_everybody() {
        let answered = Answered { notes_max: 2, ..Answered::new(NOTED_FOR) };
        let first = Instant::now();
        for number in 1..=3 {
            answered.note(account(number));
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!((answered.since(account(1)), answered.since(account(9))), (Some(first), Some(first)));
        assert!(answered.since(account(3)) > Some(first));
        assert_eq!(answered.notes.lock().unwrap().by_account.len(), 2);
    }

    #[test]
    fn without_a_time_nothing_is_noted() {
        let answered = Answered::new(Duration::ZERO);
        answered.note(account(1));
        assert_eq!(answered.since(account(1)), None);
    }
}
