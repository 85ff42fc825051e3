//! How often somebody may do something, counted over all instances.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use boxoffice_domain::StorageError;

use super::{
    answer::Fields,
    core::{Core, number},
    script,
};

/// Quotas that all instances over one Redis share.
#[derive(Clone)]
pub struct RedisQuotas {
    core: Arc<Core>,
}

/// What has become of asking for one of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaTaken {
    /// Whether there was one.
    pub taken: bool,
    /// How many are left.
    pub remaining: u32,
    /// Until when all are there again; or where there was none, until when there is one.
    pub until: Duration,
}

impl fmt::Debug for RedisQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQuotas").finish_non_exhaustive()
    }
}

impl RedisQuotas {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Takes one of what `client` may do so often in a minute, of the things called `what`. All of it may be taken at
    /// once; it comes back evenly. What somebody used is forgotten within a minute.
    pub async fn take(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Result<QuotaTaken, StorageError> {
        let key = format!("{}:quota:{what}:{client}", self.core.settings.prefix);
        let answer = self.core.link.run(&script::QUOTA, &[key], &[number(per_minute.get().into())]).await?;
        let mut fields = Fields::of(answer)?;
        Ok(QuotaTaken {
            taken: fields.number()? == 1,
            remaining: u32::try_from(fields.number()?).unwrap_or(u32::MAX),
            until: Duration::from_micros(fields.number()?),
        })
    }
}
