//! Handing mail over that waits.

use std::{error::Error, fmt, sync::Arc};

use boxoffice_domain::{
    Clock, StorageError, Timestamp,
    mail::{
        DueMail, EmailAddress, EndedMail, Mail, MailError, MailLanguage, MailOutcome, MailQueue, Mailer, Notice,
        PostponedMail,
    },
    text::Name,
    uuid::Uuid,
};
use chrono::TimeDelta;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

/// How many mails are looked at together.
const MAILS_TOGETHER: u32 = 128;
/// How many are handed over at once, and so, how many may be sent a second time after a crash.
const AT_ONCE: usize = 8;
/// After so many failures in a row, the mail server is away, and the others need not be tried.
const FAILURES_MAX: u32 = 8;
/// How long after each attempt that failed the next one is; from then on always as long as the last.
const RETRY_MINUTES: [i64; 7] = [1, 5, 30, 120, 300, 720, 1_440];
/// How long a mail is tried.
const TRIED_MAX: TimeDelta = TimeDelta::days(3);

/// A mail to be written.
#[derive(Debug)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Letter<'m> {
    pub id: Uuid,
    pub to: EmailAddress,
    /// The name of the account.
    pub name: Name,
    /// The language that the account chose.
    pub language: Option<MailLanguage>,
    pub notice: &'m Notice,
}

/// Writes a mail: the same one for the same letter.
pub type WriteMail = dyn Fn(&Letter<'_>) -> Mail + Send + Sync;

/// Hands over the mail that is due.
///
/// What was handed over is noted afterwards, so a crash in between sends up to eight mails a second time, under the same
/// `Message-ID`.
pub struct MailSender {
    pub mails: Arc<dyn MailQueue>,
    pub mailer: Arc<dyn Mailer>,
    pub write: Box<WriteMail>,
    pub clock: Arc<dyn Clock>,
}

/// What became of the mails that were due.
#[derive(Debug, Default)]
pub struct Posted {
    /// How many have ended like this.
    pub ended: Vec<MailOutcome>,
    /// How many are tried again.
    pub postponed: u32,
    /// Why the first of them was not sent.
    pub failure: Option<MailError>,
    /// Whether the mail server is away: not all were tried.
    pub is_away: bool,
    /// Whether more mails may be due.
    pub has_more: bool,
}

/// What is done about one mail.
enum Fate {
    Ended(EndedMail),
    Postponed(PostponedMail, Option<MailError>),
}

impl fmt::Debug for MailSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSender").finish_non_exhaustive()
    }
}

impl MailSender {
    /// Looks at some of the mails that are due, and sends them. Every mail whose sending has begun is sent to the end and
    /// noted, also if the storage fails meanwhile.
    pub async fn send_due(&self) -> Result<Posted, StorageError> {
        let due = self.mails.due(MAILS_TOGETHER).await?;
        let mut posted = Posted { has_more: due.len() >= MAILS_TOGETHER as usize, ..Posted::default() };
        let (mut due, mut sending) = (due.into_iter(), FuturesUnordered::new());
        let (mut failures, mut noted) = (0, Ok(()));
        loop {
            let begins = if posted.is_away || noted.is_err() { 0 } else { AT_ONCE.saturating_sub(sending.len()) };
            sending.extend(due.by_ref().take(begins).map(|mail| self.send(mail)));
            let Some(fate) = sending.next().await else { return noted.map(|()| posted) };
            let mut fates = vec![fate];
            while let Some(Some(fate)) = sending.next().now_or_never() {
                fates.push(fate);
            }
            for fate in &fates {
                match fate {
                    Fate::Ended(EndedMail { outcome: MailOutcome::Sent | MailOutcome::Refused, .. }) => failures = 0,
                    Fate::Postponed(_, Some(_)) => failures += 1,
                    Fate::Ended(_) | Fate::Postponed(..) => {}
                }
            }
            posted.is_away |= failures >= FAILURES_MAX;
            if let Err(error) = self.note(fates, &mut posted).await {
                noted = Err(error);
            }
        }
    }

    async fn note(&self, fates: Vec<Fate>, posted: &mut Posted) -> Result<(), StorageError> {
        let (mut ended, mut postponed) = (Vec::new(), Vec::new());
        for fate in fates {
            match fate {
                Fate::Ended(mail) => ended.push(mail),
                Fate::Postponed(mail, failure) => {
                    postponed.push(mail);
                    posted.failure = posted.failure.take().or(failure);
                }
            }
        }
        if !ended.is_empty() {
            self.mails.end(ended.clone()).await?;
            posted.ended.extend(ended.iter().map(|mail| mail.outcome));
        }
        if !postponed.is_empty() {
            posted.postponed += u32::try_from(postponed.len()).unwrap_or(u32::MAX);
            self.mails.postpone(postponed).await?;
        }
        Ok(())
    }

    async fn send(&self, due: DueMail) -> Fate {
        let end = |outcome| Fate::Ended(EndedMail { id: due.id, outcome });
        let now = self.clock.now();
        let Some(notice) = &due.notice else {
            // During an upgrade, an instance of the newer version may take over.
            return retried(&due, None, now);
        };
        let Some(addressee) = due.addressee.clone().filter(|_| !is_over(&due, notice, now)) else {
            return end(MailOutcome::Dropped);
        };
        let Some(to) = due.to.clone().or(addressee.address) else {
            return end(MailOutcome::Dropped);
        };
        let letter = Letter { id: due.id, to, name: addressee.name, language: addressee.language, notice };
        let mail = (self.write)(&letter);
        match self.mailer.send(&mail).await {
            Ok(()) => end(MailOutcome::Sent),
            Err(MailError::Permanent(error)) => {
                let (mail_id, kind) = (due.id, notice.kind());
                tracing::info!(%mail_id, kind, error = &*error as &dyn Error, "the mail server refused a mail for good");
                end(MailOutcome::Refused)
            }
            Err(error) => retried(&due, Some(error), self.clock.now()),
        }
    }
}

/// Whether what the mail says is good no longer.
fn is_over(due: &DueMail, notice: &Notice, at: Timestamp) -> bool {
    let valid = |minutes: u32| due.created_at + TimeDelta::minutes(i64::from(minutes));
    notice.minutes_valid().is_some_and(|minutes| valid(minutes) <= at)
}

/// When a mail is tried again that could not be sent; it ends if it would be too late then.
fn retried(due: &DueMail, failure: Option<MailError>, now: Timestamp) -> Fate {
    let index = (due.attempts as usize).min(RETRY_MINUTES.len() - 1);
    let next_attempt_at = now + TimeDelta::minutes(RETRY_MINUTES[index]);
    if due.notice.as_ref().is_some_and(|notice| is_over(due, notice, next_attempt_at)) {
        return Fate::Ended(EndedMail { id: due.id, outcome: MailOutcome::Dropped });
    }
    if due.created_at + TRIED_MAX < next_attempt_at {
        let (mail_id, kind) = (due.id, due.notice.as_ref().map(Notice::kind));
        let error = failure.as_ref().map(|error| error as &dyn Error);
        tracing::warn!(%mail_id, kind, error, "a mail was given up that could not be handed over for three days");
        return Fate::Ended(EndedMail { id: due.id, outcome: MailOutcome::GivenUp });
    }
    let attempts = due.attempts.saturating_add(1);
    Fate::Postponed(PostponedMail { id: due.id, attempts, next_attempt_at }, failure)
}
