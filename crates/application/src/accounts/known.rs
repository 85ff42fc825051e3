//! Accounts that are known to exist.
//!
//! An access token says whose it is, and outlasts an account that a restored backup does not have. So before a request is
//! served, its account has to be known, or is looked up once in a while.

use std::sync::Arc;

use boxoffice_domain::{AccountId, Clock, StorageError, Timestamp, accounts::Accounts};
use chrono::TimeDelta;
use quick_cache::{UnitWeighter, sync::Cache};

/// How long it is believed that an account exists.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);
/// How many accounts are remembered: those of a long queue.
const KNOWN_MAX: u64 = 1_000_000;
const KNOWN_EXPECTED: usize = 1_000;

/// The accounts that existed lately.
pub struct KnownAccounts {
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
    until: Cache<AccountId, Timestamp>,
}

impl KnownAccounts {
    /// None is known yet.
    pub fn new(accounts: Arc<dyn Accounts>, clock: Arc<dyn Clock>) -> Self {
        let until = Cache::with_weighter(KNOWN_EXPECTED, KNOWN_MAX, UnitWeighter);
        Self { accounts, clock, until }
    }

    /// Remembers that an account exists.
    pub fn note(&self, account_id: AccountId) {
        self.until.insert(account_id, self.clock.now() + KNOWN_FOR);
    }

    /// Whether an account exists. While the storage does not answer, every account does: what is asked of it then fails by
    /// itself, and those who only wait are not sent away.
    pub async fn exists(&self, account_id: AccountId) -> Result<bool, StorageError> {
        if self.until.get(&account_id).is_some_and(|until| self.clock.now() < until) {
            return Ok(true);
        }
        match self.accounts.find(account_id).await {
            Ok(None) => Ok(false),
            Ok(Some(_)) => {
                self.note(account_id);
                Ok(true)
            }
            Err(StorageError::Busy | StorageError::Unavailable(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        EntropySource,
        accounts::{Account, LoginId, MockAccounts, Role},
        fixtures::{TestClock, TestEntropy},
        text::Name,
    };

    use super::*;

    fn account(id: AccountId) -> Account {
        let (login_id, name) = (LoginId::new("haneul").unwrap(), Name::new("Haneul").unwrap());
        Account { id, login_id, name, role: Role::Customer, created_at: Timestamp::UNIX_EPOCH }
    }

    #[tokio::test]
    async fn an_account_is_looked_up_once_in_a_while() {
        let (clock, id) = (Arc::new(TestClock::new()), AccountId::new(TestEntropy.uuid()));
        let mut accounts = MockAccounts::new();
        accounts.expect_find().times(2).returning(|id| Ok(Some(account(id))));
        let known = KnownAccounts::new(Arc::new(accounts), clock.clone());
        for seconds in [0, 599, 1, 599] {
            clock.advance_seconds(seconds);
            assert!(known.exists(id).await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_account_that_is_gone_is_looked_up_each_time_and_none_is_gone_while_the_storage_is_away() {
        let (clock, id) = (Arc::new(TestClock::new()), AccountId::new(TestEntropy.uuid()));
        let mut accounts = MockAccounts::new();
        accounts.expect_find().times(2).returning(|_| Ok(None));
        accounts.expect_find().times(1).returning(|_| Err(StorageError::Busy));
        accounts.expect_find().times(1).returning(|_| Err(StorageError::failed("a defect")));
        let known = KnownAccounts::new(Arc::new(accounts), clock);
        assert!(!known.exists(id).await.unwrap());
        assert!(!known.exists(id).await.unwrap());
        assert!(known.exists(id).await.unwrap());
        assert!(known.exists(id).await.is_err());
        known.note(id);
        assert!(known.exists(id).await.unwrap());
    }
}
