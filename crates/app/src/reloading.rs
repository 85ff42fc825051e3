//! SIGHUP: what may change without a restart is read again.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    settings::{Layers, Settings},
    telemetry,
};

/// Reads the settings again on each SIGHUP, without end: takes over what is logged, and names the settings that need a
/// restart. The keys and the certificate are read again all the time.
pub(crate) async fn run(settings: Settings, layers: Layers) {
    let mut hangups = match signal(SignalKind::hangup()).context("cannot listen for SIGHUP") {
        Ok(hangups) => hangups,
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            tracing::warn!(error, "settings are not read again");
            return;
        }
    };
    let mut current = settings;
    while hangups.recv().await.is_some() {
        current = reload(current, &layers);
    }
}

/// The settings as they are in use afterwards.
fn reload(current: Settings, layers: &Layers) -> Settings {
    let read = match Settings::load(layers) {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the settings are wrong, and nothing is changed");
            return current;
        }
    };
    if read.log != current.log
        && let Err(error) = telemetry::change_log(&read.log)
    {
        let error: &(dyn std::error::Error + 'static) = error.as_ref();
        tracing::error!(error, "what is logged stays as it is");
        return current;
    }
    let next = Settings { log: read.log.clone(), ..current };
    let need_restart = next.differences(&read).join(", ");
    if need_restart.is_empty() {
        tracing::info!(log = next.log, "the settings were read again");
    } else {
        tracing::warn!(log = next.log, need_restart, "the settings were read again; some count after a restart only");
    }
    next
}
