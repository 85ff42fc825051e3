//! What the whole crowd shares.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    options::RushOptions,
    stage::Stage,
    tally::Tally,
    waiting::{Deadline, Watch},
};

pub(crate) struct Rush {
    pub(crate) client: Arc<Client>,
    pub(crate) stage: Stage,
    pub(crate) options: RushOptions,
    pub(crate) deadline: Deadline,
    pub(crate) watch: Watch,
    /// Sends the waiting buyers home.
    pub(crate) stop: CancellationToken,
    pub(crate) sold_out: OnceLock<Duration>,
}

impl Rush {
    pub(crate) fn tally(&self) -> &Tally {
        &self.client.tally
    }

    /// Waits, and gives whether that was the whole time: the crowd may be sent home first.
    pub(crate) async fn pause(&self, duration: Duration) -> bool {
        self.stop.run_until_cancelled(sleep(duration)).await.is_some()
    }

    /// Counts a purchase of so many seats.
    pub(crate) fn sold(&self, seats: u64) {
        let mut counts = self.tally().lock();
        let elapsed = counts.elapsed();
        counts.purchases.push(elapsed);
        counts.crowd.seats_sold += seats;
        let is_everything = counts.crowd.seats_sold >= self.stage.seats_wanted;
        drop(counts);
        if is_everything {
            self.everything_is_sold();
        }
    }

    pub(crate) fn everything_is_sold(&self) {
        self.sold_out.get_or_init(|| self.tally().lock().elapsed());
        self.stop.cancel();
    }
}
