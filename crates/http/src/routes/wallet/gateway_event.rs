//! What the payment gateway sends by itself.
//!
//! It is no part of the API that the OpenAPI document describes: the gateway decides what it sends, and adds to it as it
//! likes. So unknown members are taken here.

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use boxoffice_application::{WalletService, wallet::NotificationError};
use boxoffice_domain::gateway::HeaderField;
use tokio::time::timeout;

use crate::{api::Api, reply::Problem, request::Service};

/// Where Stripe sends its events.
pub(crate) const STRIPE: &str = "/v1/gateway/stripe/events";
/// The longest notification, in bytes: an event with the whole object that it is about.
const BODY_BYTES_MAX: usize = 256 * 1_024;
/// How long keeping it may take. The gateway sends again what was not kept.
const KEEP_TIME_MAX: Duration = Duration::from_secs(5);

impl From<NotificationError> for Problem {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::Refused(refusal) => Self::malformed(format!("Refused: {refusal}.")),
            NotificationError::Storage(error) => error.into(),
        }
    }
}

/// Takes a notification: checks its signature over the bytes of the body, and keeps it. A worker works it off.
#[tracing::instrument(level = "debug", name = "http.wallet.gateway_event", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(wallet): Service<WalletService>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let (bytes, _room) = api.bodies.read(body, BODY_BYTES_MAX).await?;
    let field = |(name, value): (&HeaderName, &HeaderValue)| -> HeaderField {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let fields: Vec<_> = headers.iter().map(field).collect();
    let kept = timeout(KEEP_TIME_MAX, wallet.receive_notification(&fields, &bytes)).await;
    kept.map_err(|_| Problem::unavailable("The notification could not be kept in time."))??;
    Ok(StatusCode::NO_CONTENT)
}
