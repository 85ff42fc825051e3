//! Running the steps on queues.

use std::sync::Arc;

use boxoffice_domain::{Clock, StorageError};
use boxoffice_peers::redis::{Argument, Link};

use super::{
    known::{KnownQueue, KnownQueues},
    scripts::{Context, Step, StepReply, queue_keys},
};
use crate::rules::Rules;

/// Runs the steps on queues, and notes what they reply.
pub(super) struct Steps {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Rules,
    pub(super) link: Arc<Link>,
    pub(super) queues: KnownQueues,
}

impl Steps {
    /// The channel on which it is published that standings have changed.
    pub(super) fn channel(&self) -> String {
        format!("{}:changed", self.link.prefix())
    }

    /// Runs a step on a queue; `None` if there is no queue.
    pub(super) async fn run<A: Argument>(
        &self,
        queue: &KnownQueue,
        step: &Step<A>,
        arguments: A,
    ) -> Result<Option<StepReply>, StorageError> {
        let settings = &self.rules.settings;
        let micros = |seconds: u32| u64::from(seconds) * 1_000_000;
        let concert = queue.concert_id.to_string();
        let keys = queue_keys(self.link.prefix(), &concert);
        let context = Context {
            now: self.clock.now(),
            capacity: settings.capacity as u64,
            admission_micros: micros(settings.admission_seconds),
            no_show_micros: micros(settings.no_show_seconds),
            reform_micros: micros(settings.reform_seconds),
            restorable_micros: micros(settings.restorable_seconds),
            channel: self.channel(),
            concert,
        };
        let Some(values) = self.link.run(step, &keys, &(context, arguments)).await? else { return Ok(None) };
        let reply = StepReply::read(values)?;
        metrics::counter!("boxoffice_queue_admitted_total").increment(reply.admitted);
        metrics::counter!("boxoffice_queue_no_shows_total").increment(reply.no_shows);
        metrics::counter!("boxoffice_queue_expired_total").increment(reply.expired);
        queue.apply_version(reply.opened_at, reply.version);
        Ok(Some(reply))
    }
}
