//! Whether the storage serves, as a metric.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_http::ReadinessCheck;

use super::Worker;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Asks all the time whether the storage serves: when it does not, load balancers send no request that could show it.
pub(crate) struct ReadinessWatch(pub(crate) Arc<ReadinessCheck>);

#[async_trait]
impl Worker for ReadinessWatch {
    const NAME: &'static str = "readiness";

    /// The check has logged a failure.
    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let ready = self.0.ready().await.is_ok();
        metrics::gauge!("boxoffice_storage_ready").set(u8::from(ready));
        Ok(INTERVAL)
    }
}
