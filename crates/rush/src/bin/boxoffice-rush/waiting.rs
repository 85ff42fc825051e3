//! What the rush waits for, and for how long.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Context;
use boxoffice_rush::{
    Buyer,
    buyer::{self, Concert, QueueStats, Session},
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    client::Client,
    tally::{Step, Tally},
};

/// The promoter of the concerts that `boxoffice serve --demo` makes, who sees why a queue admits no buyer.
const PROMOTER: (&str, &str) = ("promoter", "promoter-password");

/// The time of the whole rush is over before its end.
#[derive(Debug)]
pub(crate) struct DeadlinePassed {
    pub(crate) after: Duration,
    pub(crate) waited_for: Option<String>,
}

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the deadline of {} s came first", self.after.as_secs_f64())?;
        self.waited_for.as_ref().map_or(Ok(()), |what| write!(f, ": {what}"))
    }
}

impl std::error::Error for DeadlinePassed {}

/// When the rush has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    after: Duration,
    pub(crate) at: Instant,
}

impl Deadline {
    pub(crate) fn from_now(after: Duration) -> Self {
        Self { after, at: Instant::now() + after }
    }

    /// What the rush says if it ends by the deadline.
    pub(crate) fn passed(self, waited_for: Option<String>) -> DeadlinePassed {
        DeadlinePassed { after: self.after, waited_for }
    }

    /// Runs a phase of the rush, at most until the deadline.
    pub(crate) async fn bound<T>(
        self,
        tally: &Tally,
        phase: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.bound_after(Duration::ZERO, tally, phase).await
    }

    /// As [`Self::bound`], until so long after the deadline.
    pub(crate) async fn bound_after<T>(
        self,
        grace: Duration,
        tally: &Tally,
        phase: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        if let Ok(done) = timeout_at(self.at + grace, phase).await {
            return done;
        }
        let counts = tally.lock();
        let waited_for = counts.waits_for.clone().unwrap_or_else(|| format!("it was still {}", counts.phase));
        Err(self.passed(Some(waited_for)).into())
    }
}

/// Sees why queues admit no buyer, if the demo's promoter can be signed in.
pub(crate) struct Watch {
    client: Arc<Client>,
    promoter: Option<Buyer>,
}

impl Watch {
    pub(crate) async fn begin(client: &Arc<Client>) -> anyhow::Result<Self> {
        let (login_id, password) = PROMOTER;
        let response = client.send(Step::SignIn, &buyer::sign_in(login_id, password)).await?;
        let session = response.read::<Session>().ok();
        let promoter = session.map(|session| Buyer::new(session.access_token));
        Ok(Self { client: Arc::clone(client), promoter })
    }

    /// The state of a queue; `None` if the promoter may not see it.
    pub(crate) async fn stats(&self, concert_id: Uuid) -> anyhow::Result<Option<QueueStats>> {
        let Some(promoter) = &self.promoter else { return Ok(None) };
        let request = promoter.get(format!("/v1/concerts/{concert_id}/queue/stats"));
        let response = self.client.send(Step::QueueStats, &request).await?;
        if matches!(response.status, 401 | 403 | 404) {
            return Ok(None);
        }
        response.read().map(Some).context("looking at the queue")
    }
}

/// Why a queue admits no buyer, in words.
pub(crate) fn why(stats: Option<QueueStats>, title: &str) -> String {
    match stats {
        Some(QueueStats { paused: true, .. }) => format!("the queue of `{title}` is paused"),
        Some(QueueStats { active, max_active, .. }) if active >= max_active => {
            format!("all {max_active} admissions to `{title}` are taken")
        }
        _ => format!("the queue of `{title}` admits no buyer at the moment"),
    }
}

/// Why the queue of a concert cannot be joined, in words.
pub(crate) fn why_not_joined(code: &str, concert: &Concert) -> String {
    let Concert { title, sales_open_at, .. } = concert;
    match code {
        "sale_not_open" => format!("the sale of `{title}` opens at {sales_open_at}"),
        code => format!("the queue of `{title}` cannot be joined ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_is_in_the_way() {
        let stats = |active, paused| Some(QueueStats { waiting: 9, active, max_active: 5, paused });
        assert_eq!(why(stats(5, true), "Night"), "the queue of `Night` is paused");
        assert_eq!(why(stats(5, false), "Night"), "all 5 admissions to `Night` are taken");
        assert_eq!(why(stats(4, false), "Night"), why(None, "Night"));
        let waited_for = Some(why(None, "Night"));
        let passed = DeadlinePassed { after: Duration::from_millis(2_500), waited_for }.to_string();
        assert_eq!(passed, "the deadline of 2.5 s came first: the queue of `Night` admits no buyer at the moment");
    }
}
