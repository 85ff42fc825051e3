//! Mail that waits to be sent.

use async_trait::async_trait;
use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    AccountId, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    page::{Page, PageRequest},
    seats::SeatLabel,
    text::Name,
};

use super::{EmailAddress, MailLanguage, Notice, Show};

/// A mail that is to be sent, stored in the transaction of its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// That of the mail. A mail about an event has an id that follows from the event, so that it is queued once.
    pub id: Uuid,
    /// Whose mail it is.
    pub account_id: AccountId,
    /// Where it goes; `None`: to the verified address that the account has when it is sent. Without one, it is dropped.
    pub to: Option<EmailAddress>,
    /// What it is about.
    pub notice: Notice,
    /// Since when it waits.
    pub created_at: Timestamp,
}

impl NewMail {
    /// When it is to be sent for the first time. A code lies before everything else that waits, since it is soon not valid
    /// any more, and fifty thousand readers may just be getting mail about one performance.
    pub fn first_attempt_at(&self) -> Timestamp {
        if self.notice.minutes_valid().is_some() { self.created_at - TimeDelta::days(1) } else { self.created_at }
    }
}

/// A mail that is due, with what is known of its account now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is that of the mail when it was queued")]
pub struct DueMail {
    pub id: Uuid,
    pub account_id: AccountId,
    pub to: Option<EmailAddress>,
    /// `None` if this version cannot read it, since a newer one has written it.
    pub notice: Option<Notice>,
    pub created_at: Timestamp,
    /// How often it was tried to send it.
    pub attempts: u32,
    /// `None` if the account was erased.
    pub addressee: Option<Addressee>,
}

/// The account that a mail goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The name of the account.
    pub name: Name,
    /// Its verified address.
    pub address: Option<EmailAddress>,
    /// The language that it chose.
    pub language: Option<MailLanguage>,
}

/// How a mail has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailOutcome {
    /// The mail server has taken it.
    Sent,
    /// The mail server has refused it for good.
    Refused,
    /// It was tried for as long as mail is tried.
    GivenUp,
    /// It was not sent, since it had become useless: its code is not valid any more, or its account has no address.
    Dropped,
}

impl MailOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Refused, Self::GivenUp, Self::Dropped];

    /// Its name, as stored and measured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
            Self::Dropped => "dropped",
        }
    }
}

/// A mail that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EndedMail {
    pub id: Uuid,
    pub outcome: MailOutcome,
}

/// A mail that is tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostponedMail {
    /// The mail.
    pub id: Uuid,
    /// How often it was tried until now.
    pub attempts: u32,
    /// When it is due again.
    pub next_attempt_at: Timestamp,
}

/// What a mail says of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Ticket {
    pub reservation_id: ReservationId,
    pub account_id: AccountId,
    pub seats: Vec<SeatLabel>,
    /// What all of them cost together.
    pub amount: Points,
    pub show: Show,
    /// When the seats were held.
    pub held_at: Timestamp,
}

/// Keeps the mail that waits, and knows what it says and where it goes.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait MailQueue: Send + Sync {
    /// Those of the accounts that have a verified address. It is asked for every sale, so it reads no more than that.
    async fn reachable(&self, accounts: Vec<AccountId>) -> Result<Vec<AccountId>, StorageError>;

    /// What mails say of these reservations. Those that are gone are left out; the order is any.
    async fn tickets(&self, reservations: Vec<ReservationId>) -> Result<Vec<Ticket>, StorageError>;

    /// What mails say of the reservations that own seats of a performance now, and whose accounts have a verified address.
    /// It looks at no more than `page.limit` owned seats, in the order of their labels. A reservation of several seats may be
    /// on several pages, and once on a page.
    async fn tickets_of(
        &self,
        performance_id: PerformanceId,
        page: PageRequest<SeatLabel>,
    ) -> Result<Page<Ticket, SeatLabel>, StorageError>;

    /// Queues mail. One whose id was queued before stays as it is, also if it has ended.
    async fn queue(&self, mails: Vec<NewMail>) -> Result<(), StorageError>;

    /// At most `limit` mails that are due, those first that have been due for longest.
    async fn due(&self, limit: u32) -> Result<Vec<DueMail>, StorageError>;

    /// Notes that mails have ended. Nothing is kept of them but their ids, accounts and outcomes, so that no event has a second mail: what
    /// they said may have been a code. One that has ended already stays as it is.
    async fn end(&self, mails: Vec<EndedMail>) -> Result<(), StorageError>;

    /// Notes when mails are tried again. One that has ended stays as it is.
    async fn postpone(&self, mails: Vec<PostponedMail>) -> Result<(), StorageError>;

    /// How many mails wait.
    async fn count_waiting(&self) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::instant;

    #[test]
    fn an_outcome_has_the_name_that_is_stored_and_measured() {
        assert_eq!(MailOutcome::ALL.map(MailOutcome::as_str), ["sent", "refused", "given_up", "dropped"]);
    }

    #[test]
    fn a_code_is_sent_before_everything_else_that_waits() {
        let mail = |notice| NewMail {
            id: Uuid::from_u128(1),
            account_id: AccountId::new(Uuid::from_u128(2)),
            to: None,
            notice,
            created_at: instant(0),
        };
        let code = Notice::EmailVerification { code: "123456".to_owned(), minutes_valid: 10 };
        let token = Notice::PasswordReset { token: "x".to_owned(), minutes_valid: 30 };
        for notice in [code, token] {
            assert_eq!(mail(notice).first_attempt_at(), instant(-86_400));
        }
        assert_eq!(mail(Notice::PasswordChanged { at: instant(0) }).first_attempt_at(), instant(0));
    }
}
