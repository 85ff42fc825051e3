//! Getting in line, and passing the gate behind it.

use std::{error::Error, sync::Arc};

use boxoffice_domain::{
    ActError, Clock, ConcertId, StorageError, Timestamp,
    catalog::{Catalog, NotOnSale},
    payments::Payments,
    reservations::Reservations,
    waiting_room::{
        JoinRequest, QueueStatus, QueueToken, QueueTokens, Recall, RestoreRequest, Standing, Ticket, WaitingRoom,
        WaitingRoomError,
    },
};

use crate::{
    Identity, draw,
    sale_terms::{RememberedTerms, SaleTerms},
};

/// A queue token and where its ticket stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// The token.
    pub token: QueueToken,
    /// Where its ticket stands.
    pub status: QueueStatus,
}

/// Why somebody did not get in line.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is no such concert.
    #[error("the concert does not exist")]
    ConcertNotFound,
    /// The concert is not sold at the moment.
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    /// The line is full, or the waiting room failed.
    #[error(transparent)]
    WaitingRoom(#[from] WaitingRoomError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a queue token does not open the gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Forged, or another account's or concert's.
    #[error("the queue token is not valid here")]
    Invalid,
    /// Its holder is still in line.
    #[error("the queue token is not active yet")]
    NotActive {
        /// 1 for the next to be admitted; `None` before the draw.
        position: Option<u64>,
    },
    /// Its admission is over.
    #[error("the queue token has expired")]
    Expired,
    /// The waiting room failed.
    #[error(transparent)]
    WaitingRoom(#[from] WaitingRoomError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an act behind the gate did not happen.
#[derive(Debug, thiserror::Error)]
pub enum GatedError<R: Error + 'static> {
    /// The queue token does not open the gate.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A rule refuses.
    #[error(transparent)]
    Refused(R),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl<R: Error + 'static> From<ActError<R>> for GatedError<R> {
    fn from(error: ActError<R>) -> Self {
        match error {
            ActError::Refused(refusal) => Self::Refused(refusal),
            ActError::Storage(error) => Self::Storage(error),
        }
    }
}

/// What an admission is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Looking at dates and seats, and paying what is held: possible until the admission and the last hold
    /// are over.
    Continue,
    /// Holding seats anew: possible until the admission is over. A hold lengthens the stay; if it also let
    /// further holds be made, one account could keep its admission for ever.
    Hold,
}

/// Getting in line, and passing the gate behind it.
pub struct WaitingRoomService {
    /// The lines.
    pub room: Arc<dyn WaitingRoom>,
    /// Signs tickets.
    pub tokens: Arc<dyn QueueTokens>,
    /// Knows the concerts.
    pub catalog: Arc<dyn Catalog>,
    /// Knows which places have been spent.
    pub payments: Arc<dyn Payments>,
    /// Knows who holds seats.
    pub reservations: Arc<dyn Reservations>,
    /// What is known of the concerts without reading it.
    pub terms: RememberedTerms,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for WaitingRoomService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitingRoomService").finish_non_exhaustive()
    }
}

impl WaitingRoomService {
    /// Gets in line, or tells the place that the account has there already; with whether it is new.
    pub async fn join(&self, identity: Identity, concert_id: ConcertId) -> Result<(QueueView, bool), JoinError> {
        let terms = self.terms_of(concert_id).await?.ok_or(JoinError::ConcertNotFound)?;
        terms.check_joining(self.clock.now())?;
        let account_id = identity.account_id;
        let draw = terms.draw.map(|draw| draw::number(&draw, account_id));
        let request = JoinRequest { concert_id, account_id, terms: terms.line, draw };
        let joined = self.room.join(request).await?;
        Ok((self.view(joined.status), joined.newly))
    }

    async fn terms_of(&self, concert_id: ConcertId) -> Result<Option<SaleTerms>, StorageError> {
        let now = self.clock.now();
        if let Some(terms) = self.terms.recall(concert_id, now) {
            return Ok(Some(terms));
        }
        let Some(summary) = self.catalog.concert(concert_id).await? else { return Ok(None) };
        self.terms.learn(&summary.concert, now);
        Ok(Some(SaleTerms::from(&summary.concert)))
    }

    /// The ticket in a token, if the token is one of ours and this account's.
    pub fn ticket(&self, identity: Identity, token: &str) -> Result<Ticket, GateError> {
        let ticket = self.tokens.open(token).ok_or(GateError::Invalid)?;
        if ticket.account_id == identity.account_id { Ok(ticket) } else { Err(GateError::Invalid) }
    }

    /// Where a ticket stands.
    pub async fn status(&self, ticket: Ticket) -> Result<QueueView, GateError> {
        let status = self.stands(ticket).await?;
        Ok(self.view(status))
    }

    /// Leaves the line, or ends the admission.
    pub async fn leave(&self, ticket: Ticket) -> Result<(), GateError> {
        // A ticket of before a restart is known again first, so that it cannot come back later.
        self.stands(ticket).await?;
        Ok(self.room.leave(&ticket).await?)
    }

    /// Waits until the line of a concert is at another version than `seen`, and gives that version.
    pub async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        self.room.changed(concert_id, seen).await
    }

    /// Passes the gate of `concert_id` with a ticket, or says why not.
    pub async fn admit(&self, ticket: Ticket, concert_id: ConcertId, purpose: Purpose) -> Result<(), GateError> {
        if ticket.concert_id != concert_id {
            return Err(GateError::Invalid);
        }
        self.check(ticket, purpose).await
    }

    /// Whether a ticket is active for its own concert.
    pub async fn check(&self, ticket: Ticket, purpose: Purpose) -> Result<(), GateError> {
        match self.stands(ticket).await?.standing {
            Standing::Waiting { position, .. } => Err(GateError::NotActive { position }),
            Standing::Active { admitted_until, active_until } => {
                let until = match purpose {
                    Purpose::Continue => active_until,
                    Purpose::Hold => admitted_until,
                };
                if self.clock.now() < until { Ok(()) } else { Err(GateError::Expired) }
            }
            Standing::Expired => Err(GateError::Expired),
        }
    }

    /// Ends admissions whose time is over and admits the next; gives when to look again.
    pub async fn tidy(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        self.room.tidy().await
    }

    async fn stands(&self, ticket: Ticket) -> Result<QueueStatus, GateError> {
        match self.room.status(&ticket).await? {
            Recall::Known(status) => Ok(status),
            Recall::Forgotten => self.recall(ticket).await,
        }
    }

    /// Gives the ticket of a line that was lost its place back, unless a payment has spent it, the line was
    /// emptied since, or its concert is gone. Whoever holds seats had been admitted, and is admitted again before the hold is over.
    async fn recall(&self, ticket: Ticket) -> Result<QueueStatus, GateError> {
        let over = QueueStatus { ticket, standing: Standing::Expired };
        if self.payments.has_spent(ticket.account_id, ticket.concert_id, ticket.place).await? {
            return Ok(over);
        }
        let Some(summary) = self.catalog.concert(ticket.concert_id).await? else {
            return Ok(over);
        };
        let concert = summary.concert;
        // Only those who waited had to go when the line was emptied.
        let emptied = concert.emptied_at.is_some_and(|emptied_at| ticket.joined_at < emptied_at);
        if emptied && self.held_until(&ticket).await?.is_none() {
            return Ok(over);
        }
        let draw = concert.draw.map(|draw| draw::number(&draw, ticket.account_id));
        let status = self.room.restore(RestoreRequest { ticket, terms: concert.line_terms(), draw }).await?;
        if status.standing == Standing::Expired {
            return Ok(status);
        }
        let held_until = self.held_until(&ticket).await?;
        if held_until.is_none() {
            return Ok(status);
        }
        self.room.keep_until(ticket.concert_id, ticket.account_id, held_until).await?;
        match self.room.status(&ticket).await? {
            Recall::Known(status) => Ok(status),
            Recall::Forgotten => Ok(status),
        }
    }

    async fn held_until(&self, ticket: &Ticket) -> Result<Option<Timestamp>, StorageError> {
        self.reservations.held_until(ticket.account_id, ticket.concert_id).await
    }

    fn view(&self, status: QueueStatus) -> QueueView {
        QueueView { token: self.tokens.seal(&status.ticket), status }
    }
}
