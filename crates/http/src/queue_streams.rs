//! How many queue streams are open.

use std::sync::Arc;

use boxoffice_domain::{AccountId, Network};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{HttpSettings, Share, Shares, reply::Problem, request::too_many_at_once};

/// The gauge of the open streams.
const STREAMS: &str = "boxoffice_event_streams";
/// After how many seconds a client that may open no stream should try again. It can poll meanwhile.
const RETRY_SECONDS: u64 = 5;

/// The bounds of the open streams: of all, of each account, and of each network.
#[derive(Debug)]
pub(crate) struct QueueStreams {
    all: Arc<Semaphore>,
    by_account: Shares<AccountId>,
    by_network: Shares<Network>,
}

/// The permit of one open stream, until it is dropped.
pub(crate) struct QueueStreamPermit {
    _shares: (Share<AccountId>, Option<Share<Network>>, OwnedSemaphorePermit),
}

impl QueueStreams {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        metrics::gauge!(STREAMS).set(0);
        Self {
            all: Arc::new(Semaphore::new(settings.event_streams_max)),
            by_account: Shares::new(settings.event_streams_per_account),
            by_network: Shares::new(settings.event_streams_per_network),
        }
    }

    /// A permit for one more stream of this account and network.
    pub(crate) fn open(&self, account_id: AccountId, network: Option<Network>) -> Result<QueueStreamPermit, Problem> {
        let limited = |quota, detail| too_many_at_once("streams", quota, RETRY_SECONDS, detail);
        let of_account = self.by_account.take(account_id);
        let of_account = of_account
            .ok_or_else(|| limited(self.by_account.max(), "The account has as many queue streams as it may have."))?;
        let of_network = network.map(|network| self.by_network.take(network).ok_or(())).transpose();
        let of_network = of_network
            .map_err(|()| limited(self.by_network.max(), "The network has as many queue streams as it may have."))?;
        let of_all = Arc::clone(&self.all).try_acquire_owned();
        let too_many = || Problem::unavailable("Too many queue streams are open.").retry_after(RETRY_SECONDS);
        let of_all = of_all.map_err(|_| too_many())?;
        metrics::gauge!(STREAMS).increment(1);
        Ok(QueueStreamPermit { _shares: (of_account, of_network, of_all) })
    }
}

impl Drop for QueueStreamPermit {
    fn drop(&mut self) {
        metrics::gauge!(STREAMS).decrement(1);
    }
}
