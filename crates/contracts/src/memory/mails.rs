//! Mail that waits.

use std::collections::BTreeSet;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, PerformanceId, ReservationId, StorageError, Timestamp,
    accounts::AccountEmail,
    mail::{
        Addressee, DueMail, EmailAddress, EndedMail, MailOutcome, MailQueue, NewMail, Notice, PostponedMail, Show,
        Ticket,
    },
    page::{Page, PageRequest},
    seats::{SeatLabel, SeatState},
};

use uuid::Uuid;

use super::{MemoryStore, Rows};

/// A mail, as it is kept.
#[derive(Clone, Debug)]
pub(super) struct KeptMail {
    pub(super) account_id: AccountId,
    to: Option<EmailAddress>,
    notice: Option<Notice>,
    pub(super) created_at: Timestamp,
    /// `None` once it has ended.
    next_attempt_at: Option<Timestamp>,
    attempts: u32,
    outcome: Option<MailOutcome>,
}

impl KeptMail {
    /// As it was queued; `None` once it has ended.
    pub(super) fn as_queued(&self, id: Uuid) -> Option<NewMail> {
        let Self { account_id, to, notice, created_at, .. } = self.clone();
        Some(NewMail { id, account_id, to, notice: notice?, created_at })
    }
}

impl Rows {
    fn ticket(&self, id: ReservationId) -> Option<Ticket> {
        let reservation = self.sale.reservations.get(&id)?;
        let performance = self.performances.rows.get(&reservation.performance_id)?;
        let (concert, venue) =
            (self.concerts.rows.get(&performance.concert_id)?, self.venues.rows.get(&performance.venue.id)?);
        Some(Ticket {
            reservation_id: id,
            account_id: reservation.account_id,
            seats: reservation.seats.iter().map(|seat| seat.label.clone()).collect(),
            amount: reservation.total_amount,
            show: Show {
                title: concert.title.clone(),
                artist: concert.artist.clone(),
                venue: venue.name.clone(),
                location: venue.location.clone(),
                starts_at: performance.starts_at,
                time_zone: venue.time_zone,
            },
            held_at: reservation.created_at,
        })
    }

    fn addressee(&self, id: AccountId) -> Option<Addressee> {
        let known = self.accounts.get(&id).filter(|known| known.standing.erased_at.is_none())?;
        let AccountEmail { address, language, .. } = self.emails.get(&id).cloned().unwrap_or_default();
        Some(Addressee { name: known.account.name.clone(), address, language })
    }

    /// Whether the account has a verified address.
    fn is_reachable(&self, id: AccountId) -> bool {
        self.emails.get(&id).is_some_and(|email| email.address.is_some())
    }

    pub(super) fn queue_mail(&mut self, mail: NewMail) {
        let next_attempt_at = Some(mail.first_attempt_at());
        let NewMail { id, account_id, to, notice, created_at } = mail;
        let (notice, attempts, outcome) = (Some(notice), 0, None);
        let kept = KeptMail { account_id, to, notice, created_at, next_attempt_at, attempts, outcome };
        self.mails.entry(id).or_insert(kept);
    }
}

#[async_trait]
impl MailQueue for MemoryStore {
    async fn reachable(&self, mut accounts: Vec<AccountId>) -> Result<Vec<AccountId>, StorageError> {
        let rows = self.rows();
        accounts.retain(|id| rows.is_reachable(*id));
        Ok(accounts)
    }

    async fn tickets(&self, reservations: Vec<ReservationId>) -> Result<Vec<Ticket>, StorageError> {
        let rows = self.rows();
        Ok(reservations.into_iter().filter_map(|id| rows.ticket(id)).collect())
    }

    async fn tickets_of(
        &self,
        performance_id: PerformanceId,
        request: PageRequest<SeatLabel>,
    ) -> Result<Page<Ticket, SeatLabel>, StorageError> {
        let rows = self.rows();
        let seats = rows.sale.seats.get(&performance_id).into_iter().flatten();
        let owned = seats.filter_map(|(label, seat)| match seat.state {
            SeatState::Sold { to } => Some((label.clone(), to)),
            SeatState::Free | SeatState::Held { .. } => None,
        });
        let Page { items, next } = super::page(owned, request, |(label, _)| label.clone(), SeatLabel::gt);
        let reservations: BTreeSet<_> = items.into_iter().map(|(_, id)| id).collect();
        let tickets = reservations.into_iter().filter_map(|id| rows.ticket(id));
        Ok(Page { items: tickets.filter(|ticket| rows.is_reachable(ticket.account_id)).collect(), next })
    }

    async fn queue(&self, mails: Vec<NewMail>) -> Result<(), StorageError> {
        let mut rows = self.rows();
        for mail in mails {
            rows.queue_mail(mail);
        }
        Ok(())
    }

    async fn due(&self, limit: u32) -> Result<Vec<DueMail>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let mut due: Vec<_> = rows
            .mails
            .iter()
            .filter_map(|(id, mail)| mail.next_attempt_at.filter(|at| *at <= now).map(|at| (at, *id, mail)))
            .collect();
        due.sort_by_key(|(at, id, _)| (*at, *id));
        let due = due.into_iter().take(limit as usize).map(|(_, id, mail)| DueMail {
            id,
            account_id: mail.account_id,
            to: mail.to.clone(),
            notice: mail.notice.clone(),
            created_at: mail.created_at,
            attempts: mail.attempts,
            addressee: rows.addressee(mail.account_id),
        });
        Ok(due.collect())
    }

    async fn end(&self, mails: Vec<EndedMail>) -> Result<(), StorageError> {
        let mut rows = self.rows();
        for EndedMail { id, outcome } in mails {
            if let Some(mail) = rows.mails.get_mut(&id).filter(|mail| mail.outcome.is_none()) {
                let (account_id, created_at, attempts) = (mail.account_id, mail.created_at, mail.attempts + 1);
                let (to, notice, next_attempt_at, outcome) = (None, None, None, Some(outcome));
                *mail = KeptMail { account_id, to, notice, created_at, next_attempt_at, attempts, outcome };
            }
        }
        Ok(())
    }

    async fn postpone(&self, mails: Vec<PostponedMail>) -> Result<(), StorageError> {
        let mut rows = self.rows();
        for PostponedMail { id, attempts, next_attempt_at } in mails {
            if let Some(mail) = rows.mails.get_mut(&id).filter(|mail| mail.outcome.is_none()) {
                (mail.attempts, mail.next_attempt_at) = (attempts, Some(next_attempt_at));
            }
        }
        Ok(())
    }

    async fn count_waiting(&self) -> Result<u64, StorageError> {
        Ok(self.rows().mails.values().filter(|mail| mail.outcome.is_none()).count() as u64)
    }
}
