//! Running what changes something to its end.

use std::sync::Arc;

use boxoffice_application::Identity;
use boxoffice_domain::idempotency::Idempotency;
use futures::{FutureExt, future::BoxFuture};
use tracing::Instrument;

use crate::{api::Api, problem::Problem};

impl Api {
    /// Runs an act to its end in a task of its own. The future of a handler is dropped when its caller hangs
    /// up or its time is over; an act must not be left half done by that, paid for in the storage and not
    /// yet told to the waiting room.
    pub(crate) fn act<T: Send + 'static>(
        &self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> + Send {
        // On the heap from the beginning: as it is, it would be copied into each of the futures around it.
        self.boxed_act(act.boxed())
    }

    async fn boxed_act<T: Send + 'static>(&self, act: BoxFuture<'static, T>) -> Result<T, Problem> {
        let permit = Arc::clone(&self.acts).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::unavailable("Too much is being worked on at the moment."))?;
        let task = async move {
            let _permit = permit;
            act.await
        };
        self.draining.acts.spawn(task.in_current_span()).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "an act did not come to its end");
            Problem::internal()
        })
    }

    /// As [`Self::act`], keeping the idempotency key of the request in use until the end.
    pub(crate) fn keyed_act<T: Send + 'static>(
        &self,
        identity: Identity,
        idempotency: Option<&Idempotency>,
        act: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> + Send {
        self.boxed_keyed_act(identity, idempotency, act.boxed())
    }

    async fn boxed_keyed_act<T: Send + 'static>(
        &self,
        identity: Identity,
        idempotency: Option<&Idempotency>,
        act: BoxFuture<'static, T>,
    ) -> Result<T, Problem> {
        let in_use = idempotency.map(|asked| self.keys_in_flight.enter(identity.account_id, asked)).transpose()?;
        let act = async move {
            let _in_use = in_use;
            act.await
        };
        let acted = self.act(act).await;
        // Done or refused: from now on the account must not be shown seats as they were before.
        self.answered.note(identity.account_id);
        acted
    }
}
