//! Running an act apart from the connection that asked for it.

use std::sync::Arc;

use boxoffice_application::Identity;
use boxoffice_domain::idempotency::Idempotency;
use futures::{FutureExt, future::BoxFuture};
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::{api::Api, reply::Problem};

impl Api {
    /// Runs an act to its end in its own task. The future of a handler is dropped when its client hangs up
    /// or its time is over; that must not leave an act half done, such as a payment that is stored and of which the
    /// waiting room does not know.
    pub(crate) fn run_detached<T: Send + 'static>(
        &self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> + Send {
        // Boxed here, so that it is not copied into each of the futures around it.
        self.run_boxed(act.boxed())
    }

    /// Starts an act, and waits for nothing of it: the time of the response does not show what it does.
    pub(crate) fn start_detached(&self, act: impl Future<Output = ()> + Send + 'static) -> Result<(), Problem> {
        self.spawn(act.boxed()).map(drop)
    }

    async fn run_boxed<T: Send + 'static>(&self, act: BoxFuture<'static, T>) -> Result<T, Problem> {
        self.spawn(act)?.await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "an act did not come to its end");
            Problem::internal()
        })
    }

    fn spawn<T: Send + 'static>(&self, act: BoxFuture<'static, T>) -> Result<JoinHandle<T>, Problem> {
        let permit = Arc::clone(&self.acts).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::unavailable("Too much is being worked on at the moment."))?;
        let task = async move {
            let _permit = permit;
            act.await
        };
        Ok(self.draining.acts.spawn(task.in_current_span()))
    }

    /// As [`Self::run_detached`]; keeps the idempotency key of the request in use until the end of the act.
    pub(crate) fn run_idempotent<T: Send + 'static>(
        &self,
        identity: Identity,
        idempotency: Option<&Idempotency>,
        act: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> + Send {
        self.run_idempotent_boxed(identity, idempotency, act.boxed())
    }

    async fn run_idempotent_boxed<T: Send + 'static>(
        &self,
        identity: Identity,
        idempotency: Option<&Idempotency>,
        act: BoxFuture<'static, T>,
    ) -> Result<T, Problem> {
        let enter = |asked| self.keys_in_flight.enter(identity.account_id, asked);
        let in_use = idempotency.map(enter).transpose()?;
        let act = async move {
            let _in_use = in_use;
            act.await
        };
        let outcome = self.run_detached(act).await;
        // Done or refused: the account must not be shown older seats than this response implies.
        self.marks.set(identity.account_id);
        outcome
    }
}
