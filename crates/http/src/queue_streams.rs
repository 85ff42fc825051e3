//! How many queue streams are open.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most streams of one account, so that no account uses up those of all.
const STREAMS_PER_ACCOUNT_MAX: u32 = 3;
/// The gauge of the open streams.
const STREAMS: &str = "boxoffice_event_streams";

/// The bounds of the open streams: of all, and of each account.
#[derive(Debug)]
pub(crate) struct QueueStreams {
    all: Arc<Semaphore>,
    by_account: Arc<Mutex<HashMap<AccountId, u32>>>,
}

/// The permit of one open stream, until it is dropped.
pub(crate) struct QueueStreamPermit {
    account_id: AccountId,
    by_account: Arc<Mutex<HashMap<AccountId, u32>>>,
    _of_all: OwnedSemaphorePermit,
}

impl QueueStreams {
    pub(crate) fn new(streams_max: usize) -> Self {
        metrics::gauge!(STREAMS).set(0);
        Self { all: Arc::new(Semaphore::new(streams_max)), by_account: Arc::default() }
    }

    /// A permit for one more stream; `None` if there are too many.
    pub(crate) fn open(&self, account_id: AccountId) -> Option<QueueStreamPermit> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_account.entry(account_id).or_default();
        if *count >= STREAMS_PER_ACCOUNT_MAX {
            return None;
        }
        *count += 1;
        metrics::gauge!(STREAMS).increment(1);
        Some(QueueStreamPermit { account_id, by_account: Arc::clone(&self.by_account), _of_all: of_all })
    }
}

impl Drop for QueueStreamPermit {
    fn drop(&mut self) {
        metrics::gauge!(STREAMS).decrement(1);
        let mut by_account = self.by_account.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = by_account.entry(self.account_id) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}
