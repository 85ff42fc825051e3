//! Joining the queue of a concert, and passing the gate behind it.

use std::{error::Error, sync::Arc};

use boxoffice_domain::{
    AccountId, ActError, Clock, ConcertId, Network, StorageError, Timestamp,
    accounts::{AccountEmails, Accounts, Role},
    catalog::{Catalog, ConcertSummary, NotOnSale},
    payments::Payments,
    reservations::Reservations,
    seconds_until,
    waiting_room::{
        JoinRequest, QueuePlace, QueueStatus, QueueToken, QueueTokens, Recall, RestoreRequest, SaleEnd, Standing,
        Visit, WaitingRoom, WaitingRoomError,
    },
};
use chrono::TimeDelta;
use futures::{StreamExt, stream};

use crate::{
    Identity, MaintenanceMode, Visitor,
    accounts::KnownAccounts,
    draw,
    sale_terms::{SaleTerms, SaleTermsCache},
    sale_watch::{Followed, SaleWatch},
};

/// How many sales are looked at at once.
const SALES_AT_ONCE: usize = 8;

/// A queue token and where its place stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    pub token: QueueToken,
    pub status: QueueStatus,
}

/// Why an account did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the concert does not exist")]
    ConcertNotFound,
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    #[error("the concert has no performance yet")]
    NoPerformance,
    /// The sale has nothing any more.
    #[error("the queue has ended")]
    Ended(SaleEnd),
    /// The storage does not have it any more, as after a restored backup.
    #[error("the account does not exist")]
    NoAccount,
    #[error("the account is too young to join")]
    AccountTooNew {
        /// In how many seconds it may join.
        seconds_left: u64,
    },
    /// The concert demands one.
    #[error("the account has no verified e-mail address")]
    EmailNotVerified,
    #[error("too many accounts have joined from this network")]
    NetworkFull {
        /// In how many seconds more may join.
        seconds_left: u64,
    },
    #[error(transparent)]
    WaitingRoom(WaitingRoomError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<WaitingRoomError> for JoinError {
    fn from(error: WaitingRoomError) -> Self {
        match error {
            WaitingRoomError::Ended(end) => Self::Ended(end),
            error => Self::WaitingRoom(error),
        }
    }
}

/// Why a queue token does not open the gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("a queue token is needed here")]
    Missing,
    /// Forged, or the token of another account or concert.
    #[error("the queue token is not valid here")]
    Invalid,
    #[error("the queue token is not active yet")]
    NotActive {
        /// 1 for the next to be admitted; `None` before the draw.
        position: Option<u64>,
    },
    #[error("the queue token has expired")]
    Expired,
    /// The storage does not have it any more, as after a restored backup.
    #[error("the account does not exist")]
    NoAccount,
    #[error(transparent)]
    WaitingRoom(#[from] WaitingRoomError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an act behind the gate did not happen.
#[derive(Debug, thiserror::Error)]
pub enum GatedError<R: Error + 'static> {
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Refused(R),
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
    /// Looking at dates and seats: possible until the admission and the last hold are over, and for staff at any time.
    Look,
    /// Paying what is held: possible until the admission and the last hold are over.
    Continue,
    /// Holding further seats: possible until the admission is over. If a hold, which prolongs the stay, also allowed
    /// further holds, one account could keep its admission for ever.
    Hold,
}

/// Joins the queues of concerts, and keeps the gate behind them.
pub struct WaitingRoomService {
    pub waiting_room: Arc<dyn WaitingRoom>,
    pub tokens: Arc<dyn QueueTokens>,
    pub accounts: Arc<dyn Accounts>,
    pub emails: Arc<dyn AccountEmails>,
    /// Those that existed lately.
    pub known: Arc<KnownAccounts>,
    pub catalog: Arc<dyn Catalog>,
    pub payments: Arc<dyn Payments>,
    pub reservations: Arc<dyn Reservations>,
    pub terms: SaleTermsCache,
    /// During maintenance no queue admits an account.
    pub maintenance: Arc<MaintenanceMode>,
    pub sales: SaleWatch,
    pub clock: Arc<dyn Clock>,
    /// How old an account has to be to join; zero for any age, and then none is read.
    pub account_age_min: TimeDelta,
}

impl WaitingRoomService {
    /// Joins the queue of a concert from a network, or returns the place that the account has there already, and whether it
    /// is new.
    pub async fn join(
        &self,
        identity: Identity,
        concert_id: ConcertId,
        network: Option<Network>,
    ) -> Result<(QueueView, bool), JoinError> {
        self.sales.ask(concert_id);
        let terms = self.sale_terms(concert_id).await?.ok_or(JoinError::ConcertNotFound)?;
        terms.check_joining(self.clock.now())?;
        let account_id = identity.account_id;
        self.check_age(account_id).await?;
        if terms.requires_verified_email && self.emails.find_email(account_id).await?.address.is_none() {
            return Err(JoinError::EmailNotVerified);
        }
        let draw = terms.draw.map(|draw| draw::number(&draw, account_id));
        let request = JoinRequest { concert_id, account_id, terms: terms.queue, draw, network };
        let joined = self.waiting_room.join(request).await.map_err(|error| match error {
            WaitingRoomError::NetworkFull { until } => {
                JoinError::NetworkFull { seconds_left: seconds_until(self.clock.now(), until) }
            }
            error => error.into(),
        })?;
        if self.is_gone(&joined.status).await? {
            return Err(JoinError::NoAccount);
        }
        Ok((self.view(joined.status), joined.newly))
    }

    /// Whether a place is admitted whose account does not exist; its admission ends then. Those who wait are not looked up.
    async fn is_gone(&self, status: &QueueStatus) -> Result<bool, WaitingRoomError> {
        let place = &status.place;
        if !matches!(status.standing, Standing::Active { .. }) || self.known.exists(place.account_id).await? {
            return Ok(false);
        }
        self.waiting_room.leave(place).await?;
        Ok(true)
    }

    async fn check_age(&self, account_id: AccountId) -> Result<(), JoinError> {
        if self.account_age_min <= TimeDelta::zero() {
            return Ok(());
        }
        let now = self.clock.now();
        // An account that is not there any more is as one that was just made.
        let made_at = self.accounts.find(account_id).await?.map_or(now, |account| account.created_at);
        let until = made_at + self.account_age_min;
        if now < until { Err(JoinError::AccountTooNew { seconds_left: seconds_until(now, until) }) } else { Ok(()) }
    }

    /// The place in a token, if we signed the token for this account.
    pub fn place(&self, identity: Identity, token: &str) -> Result<QueuePlace, GateError> {
        let place = self.tokens.open(token).ok_or(GateError::Invalid)?;
        if place.account_id == identity.account_id { Ok(place) } else { Err(GateError::Invalid) }
    }

    /// Where a place stands. An admission of an account that does not exist ends.
    pub async fn status(&self, place: QueuePlace) -> Result<QueueView, GateError> {
        let status = self.stands(place, Visit::Poll).await?;
        if self.is_gone(&status).await? {
            return Err(GateError::NoAccount);
        }
        Ok(self.view(status))
    }

    /// Gives up a place, or ends the admission.
    pub async fn leave(&self, place: QueuePlace) -> Result<(), GateError> {
        // A place that is forgotten is restored first, so that it cannot come back later.
        self.stands(place, Visit::Poll).await?;
        Ok(self.waiting_room.leave(&place).await?)
    }

    /// Waits until the queue of a concert is at another version than `seen`, and returns that version.
    pub async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        self.waiting_room.changed(concert_id, seen).await
    }

    /// Passes the gate of `concert_id` with a place, or returns why not.
    pub async fn admit(&self, place: QueuePlace, concert_id: ConcertId, purpose: Purpose) -> Result<(), GateError> {
        if place.concert_id != concert_id {
            return Err(GateError::Invalid);
        }
        match self.stands(place, Visit::Use).await?.standing {
            Standing::Waiting { position, .. } => Err(GateError::NotActive { position }),
            Standing::Active { admitted_until, active_until } => {
                let until = match purpose {
                    Purpose::Look | Purpose::Continue => active_until,
                    Purpose::Hold => admitted_until,
                };
                if self.clock.now() < until { Ok(()) } else { Err(GateError::Expired) }
            }
            Standing::Expired => Err(GateError::Expired),
        }
    }

    /// Whether a visitor is staff of a concert: its promoter, or an admin. Of others, nothing is read.
    pub(crate) async fn is_staff(&self, visitor: Visitor, concert_id: ConcertId) -> Result<bool, StorageError> {
        match visitor.role {
            Role::Customer => Ok(false),
            Role::Admin => Ok(true),
            Role::Promoter => {
                let terms = self.sale_terms(concert_id).await?;
                Ok(terms.is_some_and(|terms| terms.promoter_id == Some(visitor.account_id)))
            }
        }
    }

    async fn sale_terms(&self, concert_id: ConcertId) -> Result<Option<SaleTerms>, StorageError> {
        let now = self.clock.now();
        let read = async {
            let Some(summary) = self.catalog.concert(concert_id).await? else { return Ok(None) };
            let mut stock = None;
            if summary.is_on_sale(now) {
                stock = self.catalog.stocks(&[concert_id], now).await?.remove(&concert_id);
            }
            Ok(Some(SaleTerms::new(&summary, stock.unwrap_or_default(), now)))
        };
        let terms = self.terms.get(concert_id, now, read).await?;
        let paused_too = |mut terms: SaleTerms| {
            terms.queue.paused |= self.maintenance.is_on();
            terms
        };
        Ok(terms.map(paused_too))
    }

    /// Lets the queues that requests were about lately have what their sales have for them. To be called every moment.
    pub async fn follow_sales(&self) -> Result<(), WaitingRoomError> {
        let due = self.sales.due(self.clock.now());
        let followed = stream::iter(due).map(|(concert_id, sale)| async move { self.follow(concert_id, &sale).await });
        // One that fails keeps none of the others from being followed.
        let outcomes: Vec<_> = followed.buffer_unordered(SALES_AT_ONCE).collect().await;
        outcomes.into_iter().collect()
    }

    async fn follow(&self, concert_id: ConcertId, sale: &Followed) -> Result<(), WaitingRoomError> {
        let Some(terms) = self.sale_terms(concert_id).await? else { return Ok(()) };
        let now = self.clock.now();
        if sale.note(terms.queue.sale, terms.available, now) {
            self.waiting_room.set_terms(concert_id, terms.queue).await?;
            sale.sent(terms.queue.sale, now);
        }
        Ok(())
    }

    /// Advances all queues to now; returns when to do so again.
    pub async fn advance(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        self.waiting_room.advance().await
    }

    async fn stands(&self, place: QueuePlace, visit: Visit) -> Result<QueueStatus, GateError> {
        self.sales.ask(place.concert_id);
        match self.waiting_room.status(&place, visit).await? {
            Recall::Known(status) => Ok(status),
            Recall::Forgotten => self.recall(place).await,
        }
    }

    /// Restores a forgotten place, unless a payment has spent it, the queue was emptied since, or its concert is gone. An
    /// account that holds seats had been admitted, and is admitted again before the hold is over.
    async fn recall(&self, place: QueuePlace) -> Result<QueueStatus, GateError> {
        let QueuePlace { concert_id, account_id, number, joined_at } = place;
        let expired = QueueStatus { place, standing: Standing::Expired, reason: None };
        if self.payments.has_spent(account_id, concert_id, number).await? {
            return Ok(expired);
        }
        let Some(ConcertSummary { concert, .. }) = self.catalog.concert(concert_id).await? else {
            return Ok(expired);
        };
        let held_until = self.reservations.held_until(account_id, concert_id).await?;
        // Emptying a queue ends only the places that wait.
        let emptied = concert.emptied_at.is_some_and(|emptied_at| joined_at < emptied_at);
        if emptied && held_until.is_none() {
            return Ok(expired);
        }
        let draw = concert.draw.map(|draw| draw::number(&draw, account_id));
        let mut terms = concert.queue_terms();
        terms.paused |= self.maintenance.is_on();
        let request = RestoreRequest { place, terms, draw, held_until };
        let status = self.waiting_room.restore(request).await?;
        if held_until.is_none() {
            return Ok(status);
        }
        self.waiting_room.keep_until(concert_id, account_id, held_until).await?;
        match self.waiting_room.status(&place, Visit::Use).await? {
            Recall::Known(status) => Ok(status),
            Recall::Forgotten => Ok(status),
        }
    }

    fn view(&self, status: QueueStatus) -> QueueView {
        QueueView { token: self.tokens.seal(&status.place), status }
    }
}
