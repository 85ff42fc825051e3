//! Locks of accounts: one act of an account at a time, if two of them must not overlap.
//!
//! The payment of the last seats that an account holds ends its admission. A hold between the commit of the payment and
//! that end would be left behind without an admission to pay it in. So holding and paying lock the account.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::AccountId;
use futures::lock::{Mutex as Lock, OwnedMutexGuard};

type Locks = Mutex<HashMap<AccountId, Arc<Lock<()>>>>;

/// A lock for each account that is in the middle of an act.
#[derive(Debug, Default)]
pub struct AccountLocks(Arc<Locks>);

/// The lock of one account, until it is dropped.
#[derive(Debug)]
pub(crate) struct AccountLocked {
    account_id: AccountId,
    locks: Arc<Locks>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl AccountLocks {
    /// Waits for the lock of an account.
    pub(crate) async fn lock(&self, account_id: AccountId) -> AccountLocked {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(account_id).or_default())
        };
        // Made before waiting, so that a caller that gives up also removes what is no longer needed.
        let mut locked = AccountLocked { account_id, locks: Arc::clone(&self.0), guard: None };
        locked.guard = Some(lock.lock_owned().await);
        locked
    }
}

impl Drop for AccountLocked {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // No other caller has it or waits for it: either would hold it too.
        if locks.get(&self.account_id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.account_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_account_is_locked_once_at_a_time_and_forgotten_afterwards() {
        let locks = AccountLocks::default();
        let (one, other) = (AccountId::new(Uuid::from_u128(1)), AccountId::new(Uuid::from_u128(2)));
        let first = locks.lock(one).now_or_never().unwrap();
        assert!(locks.lock(one).now_or_never().is_none(), "it is locked");
        let _other = locks.lock(other).now_or_never().unwrap();
        drop(first);
        drop(locks.lock(one).now_or_never().unwrap());
        assert_eq!(locks.0.lock().unwrap().len(), 1);
    }
}
