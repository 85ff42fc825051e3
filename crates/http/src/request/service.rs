//! The services that a product may lack.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_application::{PaymentService, WaitingRoomService, WalletService, WebhookService};

use crate::{
    Services,
    api::Api,
    reply::{Code, Problem},
};

/// A service that a product may lack. The router has its routes only if it is there.
pub(crate) struct Service<S>(pub Arc<S>);

pub(crate) trait Optional: Send + Sync + 'static {
    fn of(services: &Services) -> Option<&Arc<Self>>;
}

impl Optional for PaymentService {
    fn of(services: &Services) -> Option<&Arc<Self>> {
        services.payments.as_ref()
    }
}

impl Optional for WaitingRoomService {
    fn of(services: &Services) -> Option<&Arc<Self>> {
        services.waiting_room()
    }
}

impl Optional for WalletService {
    fn of(services: &Services) -> Option<&Arc<Self>> {
        services.wallet.as_ref()
    }
}

impl Optional for WebhookService {
    fn of(services: &Services) -> Option<&Arc<Self>> {
        services.webhooks.as_ref()
    }
}

impl<S: Optional> FromRequestParts<Api> for Service<S> {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Problem> {
        S::of(&api.services).cloned().map(Self).ok_or_else(|| Problem::new(Code::NotFound))
    }
}
