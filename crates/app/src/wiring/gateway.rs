//! Which payment gateway stands behind charges.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use boxoffice_domain::{Clock, gateway::PaymentGateway};
use boxoffice_stripe::{Secret, StripeGateway, StripeSettings};

use super::milliseconds;
use crate::{
    adapters::{SimulatedGateway, SimulatorSettings, SystemClock},
    settings::{Gateway, Settings, read_secret},
};

/// How long a simulated buyer takes to act.
const SIMULATED_ACTION: Duration = Duration::from_secs(3);

pub(super) fn gateway(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Arc<dyn PaymentGateway>>> {
    Ok(match settings.gateway {
        Gateway::None => None,
        Gateway::Stripe => Some(Arc::new(stripe(settings, Arc::clone(clock))?)),
        Gateway::Simulator => Some(Arc::new(SimulatedGateway::new(SimulatorSettings {
            mode: settings.simulator_mode,
            delay: milliseconds(settings.simulator_delay_milliseconds),
            timeout: milliseconds(settings.gateway_timeout_milliseconds),
            action_time: Some(SIMULATED_ACTION),
            scripted_by_amount: settings.simulator_scripted_by_amount,
        }))),
    })
}

/// Whether the settings and files of Stripe can be used. It is not asked anything.
pub(crate) fn check_stripe(settings: &Settings) -> anyhow::Result<()> {
    stripe(settings, Arc::new(SystemClock::default())).map(|_| ())
}

fn stripe(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<StripeGateway> {
    let read = |name: &str, path: &Path| read_secret(path).map_err(|what| anyhow!("`{name}` {what}"));
    let key = settings.stripe_secret_key_file.as_deref();
    let key = read("stripe_secret_key_file", key.context("with `gateway = stripe`, set `stripe_secret_key_file`")?)?;
    let webhook = settings.stripe_webhook_secret_file.as_deref();
    let webhook = webhook.map(|path| read("stripe_webhook_secret_file", path)).transpose()?.unwrap_or_default();
    let webhook_secrets = webhook.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect();
    let stripe = StripeSettings {
        api_base_url: settings.stripe_api_base.clone(),
        return_url: settings.stripe_return_url.clone(),
        timeout: milliseconds(settings.gateway_timeout_milliseconds),
        ..StripeSettings::new(Secret::new(key.trim()), webhook_secrets)
    };
    StripeGateway::new(stripe, clock).context("the gateway `stripe` cannot be used")
}
