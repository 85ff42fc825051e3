//! The other processes of this installation: what they have done meanwhile, and what is counted over all of them.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId,
    announcements::{Alone, Announcements},
};

use crate::{answered::Answered, reads::Generation};

/// What this process has to do with others of the same installation.
#[derive(Clone)]
pub struct Neighbours {
    pub(crate) generation: Generation,
    pub(crate) answered: Arc<Answered>,
    pub(crate) quotas: Option<Arc<dyn SharedQuotas>>,
}

/// Counts over all processes how often a client does something.
#[async_trait]
pub trait SharedQuotas: Send + Sync {
    /// Takes one of what `client` may do so often in a minute; `None` where nobody can say, so that each process counts
    /// for itself.
    async fn take(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Option<SharedQuota>;
}

/// What has become of asking for one of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedQuota {
    /// Whether there was one.
    pub taken: bool,
    /// How many are left.
    pub remaining: u32,
    /// Until when all are there again; or where there was none, until when there is one.
    pub until: Duration,
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}

impl Neighbours {
    /// Others, who are told what is published or changed here. Answers are kept for the time that the
    /// [settings](crate::HttpSettings::answers_kept_for) say.
    pub fn new(
        answers_kept_for: Duration,
        announcements: Arc<dyn Announcements>,
        quotas: Option<Arc<dyn SharedQuotas>>,
    ) -> Self {
        let answered = Arc::new(Answered::new(answers_kept_for));
        Self { generation: Generation::new(announcements), answered, quotas }
    }

    /// None: this process is alone.
    pub fn none(answers_kept_for: Duration) -> Self {
        Self::new(answers_kept_for, Arc::new(Alone), None)
    }

    /// Another process has published or changed something in the catalogue: nothing of before is shown any more.
    pub fn catalog_has_changed(&self) {
        self.generation.begin();
    }

    /// Another process has answered an act of this account: it is not shown seats as they were before.
    pub fn has_answered(&self, account_id: AccountId) {
        self.answered.note(account_id);
    }
}
