//! Acts that hash a password, which costs more than anything else that a stranger may ask for.

use axum::{
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use crate::{api::Api, fair_queue::Full, reply::Problem, request::ClientAddress};

/// The outcome of a request that was counted, with the header fields that say what is left of the quota.
pub(crate) struct Counted<T> {
    pub outcome: Result<T, Problem>,
    pub fields: HeaderMap,
}

impl<T> Counted<T> {
    /// The response, with these fields.
    pub(crate) fn respond<R: IntoResponse>(self, success: impl FnOnce(T) -> R) -> Response {
        let mut response = self.outcome.map(success).into_response();
        response.headers_mut().extend(self.fields);
        response
    }
}

impl Api {
    /// Runs an act that hashes a password as [`Self::run_detached`] does: within the quota of the client's address, and
    /// when it is the turn of its network.
    pub(crate) async fn run_hashing<T: Send + 'static, E: Into<Problem> + Send + 'static>(
        &self,
        client: ClientAddress,
        act: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<Counted<T>, Problem> {
        let fields = match &self.limits.accounts {
            Some(limit) => limit.take_of_address(client.or_unspecified()).await?,
            None => HeaderMap::new(),
        };
        let outcome = async {
            let busy = |_: Full| Problem::unavailable("Too many passwords are being checked at the moment.");
            let turn = self.limits.hashing.turn(client.network()).await.map_err(busy)?;
            let act = async move {
                let _turn = turn;
                act.await
            };
            self.run_detached(act).await?.map_err(Into::into)
        };
        Ok(Counted { outcome: outcome.await, fields })
    }
}
