//! One act of an account after the other, where two of them must not overlap.
//!
//! A payment of the last seats that an account holds ends its admission. A hold that came between the
//! payment's commit and that end would be left behind without an admission to pay it in. So holding and
//! paying take turns, each account by itself; the acts of different accounts know nothing of each other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::AccountId;
use futures::lock::{Mutex as Turn, OwnedMutexGuard};

type Turns = Mutex<HashMap<AccountId, Arc<Turn<()>>>>;

/// Whose turn it is, for each account that is in the middle of something.
#[derive(Debug, Default)]
pub struct AccountTurns(Arc<Turns>);

/// The turn of one account, until it is dropped.
#[derive(Debug)]
pub(crate) struct AccountTurn {
    account_id: AccountId,
    turns: Arc<Turns>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl AccountTurns {
    /// Waits for the account's turn.
    pub(crate) async fn take(&self, account_id: AccountId) -> AccountTurn {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(account_id).or_default())
        };
        // Made before waiting: whoever gives up waiting tidies up all the same.
        let mut taken = AccountTurn { account_id, turns: Arc::clone(&self.0), turn: None };
        taken.turn = Some(turn.lock_owned().await);
        taken
    }
}

impl Drop for AccountTurn {
    fn drop(&mut self) {
        self.turn = None;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else has it or waits for it: both would hold it too.
        if turns.get(&self.account_id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.account_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn turns_are_taken_one_by_one_for_each_account_and_forgotten_afterwards() {
        let turns = AccountTurns::default();
        let (one, other) = (AccountId::new(Uuid::from_u128(1)), AccountId::new(Uuid::from_u128(2)));
        let first = turns.take(one).now_or_never().unwrap();
        assert!(turns.take(one).now_or_never().is_none(), "it is not the second one's turn");
        let _other = turns.take(other).now_or_never().unwrap();
        drop(first);
        drop(turns.take(one).now_or_never().unwrap());
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
