//! Quotas that the instances share in Redis.

use std::num::NonZeroU32;

use async_trait::async_trait;
use boxoffice_http::{SharedQuota, SharedQuotas};
use boxoffice_waiting_room::RedisQuotas;

/// What `boxoffice_http` asks for, over Redis.
#[derive(Clone, Debug)]
pub(crate) struct QuotasInRedis(pub(crate) RedisQuotas);

#[async_trait]
impl SharedQuotas for QuotasInRedis {
    async fn take(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Option<SharedQuota> {
        match self.0.take(what, client, per_minute).await {
            Ok(answer) => Some(SharedQuota { taken: answer.taken, remaining: answer.remaining, until: answer.until }),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a quota cannot be shared at the moment");
                None
            }
        }
    }
}
