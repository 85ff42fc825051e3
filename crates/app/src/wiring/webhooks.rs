//! Webhooks: the sender behind them, and the sink of events that feeds them.

use std::sync::Arc;

use anyhow::Context;
use boxoffice_application::{WebhookFanOut, WebhookService};
use boxoffice_domain::event_delivery::EventSink;
use boxoffice_event_delivery::{
    tls::TlsTrust,
    webhooks::{SystemResolver, WebhookSender, WebhookSettings},
};

use super::Adapters;
use crate::settings::Settings;

/// Makes webhooks and sends to them, trusting the authorities that the system trusts.
pub(super) fn webhook_service(settings: &Settings, adapters: &Adapters) -> anyhow::Result<WebhookService> {
    let trust = TlsTrust::of_system([]).context("webhooks cannot be sent over TLS")?;
    let sending =
        WebhookSettings { allow_private_addresses: settings.webhooks_private_addresses, ..WebhookSettings::default() };
    Ok(WebhookService {
        webhooks: Arc::clone(&adapters.database.webhooks),
        deliveries: Arc::clone(&adapters.database.webhook_deliveries),
        transport: Arc::new(WebhookSender::new(sending, trust, Arc::new(SystemResolver))),
        clock: Arc::clone(&adapters.clock),
        entropy: Arc::clone(&adapters.entropy),
    })
}

/// Takes the events of the outbox for all webhooks.
pub(crate) fn webhook_fan_out(adapters: &Adapters) -> Arc<dyn EventSink> {
    Arc::new(WebhookFanOut {
        webhooks: Arc::clone(&adapters.database.webhooks),
        deliveries: Arc::clone(&adapters.database.webhook_deliveries),
        catalog: Arc::clone(&adapters.database.catalog),
        clock: Arc::clone(&adapters.clock),
    })
}
