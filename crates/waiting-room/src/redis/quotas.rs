//! How often somebody may do something, counted over all instances.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    time::Duration,
};

use boxoffice_domain::StorageError;

use crate::link::{Link, Script, arguments, damaged};

arguments! {
    Quota {
        per_minute: u32,
    }
}

static QUOTA: LazyLock<Script<Quota>> = LazyLock::new(|| Script::new(&["quota"], include_str!("scripts/quota.lua")));

/// Quotas that all instances over one Redis share.
#[derive(Clone)]
pub struct RedisQuotas {
    link: Arc<Link>,
    prefix: Arc<str>,
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
    pub(super) fn new(link: Arc<Link>, prefix: &str) -> Self {
        Self { link, prefix: prefix.into() }
    }

    /// Takes one of what `client` may do so often in a minute, of the things called `what`. All of it may be taken at
    /// once; it comes back evenly. What somebody used is forgotten within a minute.
    pub async fn take(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Result<QuotaTaken, StorageError> {
        let key = format!("{}:quota:{what}:{client}", self.prefix);
        let quota = Quota { per_minute: per_minute.get() };
        let mut reply = self.link.run(&QUOTA, &[key], &quota).await?.ok_or_else(damaged)?;
        Ok(QuotaTaken {
            taken: reply.flag("taken")?,
            remaining: u32::try_from(reply.number("remaining")?).unwrap_or(u32::MAX),
            until: Duration::from_micros(reply.number("micros")?),
        })
    }
}
