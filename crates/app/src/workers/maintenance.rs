//! Maintenance that an operator has begun or ended.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::MaintenanceMode;

use super::Worker;

/// How often it is looked. So long after a command all instances follow it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Takes over what the command says of maintenance.
pub(crate) struct MaintenanceWatch(pub(crate) Arc<MaintenanceMode>);

#[async_trait]
impl Worker for MaintenanceWatch {
    const NAME: &'static str = "maintenance";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        match self.0.read().await? {
            Some(Some(notice)) => {
                tracing::warn!(message = %notice.message, "maintenance: nothing new is begun, and reading goes on");
            }
            Some(None) => tracing::info!("maintenance is over"),
            None => {}
        }
        metrics::gauge!("boxoffice_maintenance").set(u8::from(self.0.is_on()));
        Ok(INTERVAL)
    }
}
