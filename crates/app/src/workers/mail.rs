//! Mail that waits for the mail server.

use std::time::Duration;

use async_trait::async_trait;
use boxoffice_application::MailSender;
use boxoffice_domain::mail::MailOutcome;
use tokio::time::Instant;

use super::{Worker, as_gauge};

/// How long to rest when nothing is due: a buyer may wait for a code.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long to rest when the mail server is away.
const AWAY_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is counted how many mails wait.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// What `boxoffice_mails_total` counts besides the outcomes.
const POSTPONED: &str = "postponed";

/// Hands over the mail that is due.
#[derive(Debug)]
pub(crate) struct MailWorker {
    sender: MailSender,
    /// Whether the last mail was not taken.
    fails: bool,
    counted_at: Option<Instant>,
}

impl MailWorker {
    pub(crate) fn new(sender: MailSender) -> Self {
        for outcome in MailOutcome::ALL.map(MailOutcome::as_str).into_iter().chain([POSTPONED]) {
            metrics::counter!("boxoffice_mails_total", "outcome" => outcome).absolute(0);
        }
        Self { sender, fails: false, counted_at: None }
    }

    async fn count(&mut self) -> anyhow::Result<()> {
        if self.counted_at.is_none_or(|at| at.elapsed() >= COUNT_INTERVAL) {
            let waiting = self.sender.mails.count_waiting().await?;
            metrics::gauge!("boxoffice_mails_waiting").set(as_gauge(waiting));
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for MailWorker {
    const NAME: &'static str = "mail";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        self.count().await?;
        let posted = self.sender.send_due().await?;
        for outcome in &posted.ended {
            metrics::counter!("boxoffice_mails_total", "outcome" => outcome.as_str()).increment(1);
        }
        metrics::counter!("boxoffice_mails_total", "outcome" => POSTPONED).increment(u64::from(posted.postponed));
        if let Some(error) = &posted.failure
            && !self.fails
        {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "a mail could not be handed over, and is tried again");
            self.fails = true;
        } else if posted.failure.is_none() && posted.ended.contains(&MailOutcome::Sent) && self.fails {
            tracing::info!("mail is handed over again");
            self.fails = false;
        }
        Ok(match posted {
            _ if posted.is_away => AWAY_INTERVAL,
            _ if posted.has_more => Duration::ZERO,
            _ => INTERVAL,
        })
    }

    fn is_done_elsewhere(&mut self) {
        (self.fails, self.counted_at) = (false, None);
        metrics::gauge!("boxoffice_mails_waiting").set(0);
    }
}
