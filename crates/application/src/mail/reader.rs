//! Mail that is made of events.

use std::{collections::BTreeSet, error::Error, sync::Arc};

use boxoffice_domain::{
    AccountId, Clock, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    accounts::ClientName,
    async_trait,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    mail::{MailQueue, NewMail, Notice, Show, Ticket},
    page::PageRequest,
    uuid::Uuid,
};
use chrono::{DateTime, TimeDelta};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::published_events::digest_id;

/// Nobody wants to read what happened longer ago. A shop that begins to send mail does not send that of weeks.
const EVENT_AGE_MAX: TimeDelta = TimeDelta::hours(72);
/// How many seats of a performance are looked at together: a hall may have 200,000.
const SEATS_TOGETHER: u32 = 500;

/// A reader of the outbox that queues mail for account holders with a verified address.
///
/// Each event has one mail for an account and a reservation at most, however often it is delivered: the id of the mail
/// follows from that of the event. Events of accounts without an address cost one look at an index for all of a batch.
pub struct MailReader {
    pub mails: Arc<dyn MailQueue>,
    pub clock: Arc<dyn Clock>,
}

/// An event about an account.
struct Cause {
    event_id: Uuid,
    account_id: AccountId,
    occurred_at: Timestamp,
    about: About,
}

enum About {
    Confirmed(ReservationId, Points),
    Refunded(ReservationId, Points),
    PasswordChanged,
    SignedIn(Option<ClientName>),
}

/// An event about all who have tickets of a performance.
struct Upheaval {
    event_id: Uuid,
    performance_id: PerformanceId,
    occurred_at: Timestamp,
    /// The start before and after; `None` if the performance was withdrawn.
    moved: Option<(Timestamp, Timestamp)>,
}

#[async_trait]
impl EventSink for MailReader {
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        let oldest = self.clock.now() - EVENT_AGE_MAX;
        let (mut causes, mut upheavals) = (Vec::new(), Vec::new());
        for event in events.iter().filter(|event| oldest <= event.occurred_at) {
            causes.extend(Cause::of(event));
            upheavals.extend(Upheaval::of(event));
        }
        self.queue_causes(causes).await.map_err(unavailable)?;
        for upheaval in &upheavals {
            self.queue_upheaval(upheaval).await.map_err(unavailable)?;
        }
        Ok(())
    }
}

fn unavailable(error: StorageError) -> EventSinkError {
    EventSinkError::Unavailable(error.into())
}

impl MailReader {
    async fn queue_causes(&self, mut causes: Vec<Cause>) -> Result<(), StorageError> {
        let accounts: BTreeSet<_> = causes.iter().map(|cause| cause.account_id).collect();
        if accounts.is_empty() {
            return Ok(());
        }
        let reachable: BTreeSet<_> = self.mails.reachable(accounts.into_iter().collect()).await?.into_iter().collect();
        causes.retain(|cause| reachable.contains(&cause.account_id));
        let reservations: BTreeSet<_> = causes.iter().filter_map(|cause| cause.about.reservation()).collect();
        let tickets = if reservations.is_empty() {
            Vec::new()
        } else {
            self.mails.tickets(reservations.into_iter().collect()).await?
        };
        let mails: Vec<_> = causes.into_iter().filter_map(|cause| cause.mail(&tickets)).collect();
        if mails.is_empty() { Ok(()) } else { self.mails.queue(mails).await }
    }

    async fn queue_upheaval(&self, upheaval: &Upheaval) -> Result<(), StorageError> {
        let mut page = PageRequest::first(SEATS_TOGETHER);
        loop {
            let tickets = self.mails.tickets_of(upheaval.performance_id, page).await?;
            // Who reserved later has seen how it is now.
            let earlier = tickets.items.into_iter().filter(|ticket| ticket.held_at <= upheaval.occurred_at);
            let mails: Vec<_> = earlier.map(|ticket| upheaval.mail(ticket)).collect();
            if !mails.is_empty() {
                self.mails.queue(mails).await?;
            }
            let Some(after) = tickets.next else { return Ok(()) };
            page = PageRequest { limit: SEATS_TOGETHER, after: Some(after) };
        }
    }
}

/// It follows from the event, so that an event has the same mail each time it is delivered. The mail about an event that many
/// have to know is one for each reservation.
fn mail_id(event_id: Uuid, reservation_id: Option<ReservationId>) -> Uuid {
    let digest = Sha256::new().chain_update(b"mail").chain_update(event_id.as_bytes());
    let digest = match reservation_id {
        Some(id) => digest.chain_update(id.uuid().as_bytes()),
        None => digest,
    };
    digest_id(digest)
}

/// What an event says, and a warning if that cannot be read: it is our own document.
fn read<T>(event: &PublishedEvent, data: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
    let document = serde_json::from_str::<Value>(&event.document)
        .inspect_err(|error| {
            tracing::warn!(event_id = %event.id, error = error as &dyn Error, "an event has no document");
        })
        .ok()?;
    data(&document["data"])
}

fn account_of(data: &Value) -> Option<AccountId> {
    data["account_id"].as_str()?.parse().ok()
}

impl Cause {
    fn of(event: &PublishedEvent) -> Option<Self> {
        let points = |value: &Value| Points::new(value.as_i64()?).ok();
        let reservation_id = ReservationId::new(event.subject);
        let (account_id, about) = read_if(
            event,
            &["reservation.confirmed", "payment.refunded", "account.password_changed", "account.signed_in_elsewhere"],
            |data| {
                let about = match event.kind.as_str() {
                    "reservation.confirmed" => About::Confirmed(reservation_id, points(&data["amount"])?),
                    "payment.refunded" => About::Refunded(reservation_id, points(&data["refunded"])?),
                    "account.password_changed" => About::PasswordChanged,
                    _ => About::SignedIn(data["client"].as_str().and_then(ClientName::new)),
                };
                Some((account_of(data)?, about))
            },
        )?;
        Some(Self { event_id: event.id, account_id, occurred_at: event.occurred_at, about })
    }

    /// The mail about it; `None` if the reservation is gone.
    fn mail(self, tickets: &[Ticket]) -> Option<NewMail> {
        let Self { event_id, account_id, occurred_at, about } = self;
        let ticket = |id| tickets.iter().find(|ticket| ticket.reservation_id == id).cloned();
        let notice = match about {
            About::Confirmed(reservation_id, amount) => {
                let Ticket { seats, show, .. } = ticket(reservation_id)?;
                Notice::PurchaseConfirmed { reservation_id, show, seats, amount }
            }
            About::Refunded(reservation_id, refunded) => {
                let Ticket { seats, show, .. } = ticket(reservation_id)?;
                Notice::ReservationRefunded { reservation_id, show, seats, refunded }
            }
            About::PasswordChanged => Notice::PasswordChanged { at: occurred_at },
            About::SignedIn(client) => Notice::NewSignIn { at: occurred_at, client },
        };
        Some(NewMail { id: mail_id(event_id, None), account_id, to: None, notice, created_at: occurred_at })
    }
}

/// Reads the documents of these kinds only: most events are of others.
fn read_if<T>(event: &PublishedEvent, kinds: &[&str], data: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
    if kinds.contains(&event.kind.as_str()) { read(event, data) } else { None }
}

impl About {
    fn reservation(&self) -> Option<ReservationId> {
        match self {
            Self::Confirmed(id, _) | Self::Refunded(id, _) => Some(*id),
            Self::PasswordChanged | Self::SignedIn(_) => None,
        }
    }
}

impl Upheaval {
    /// Prices and owners of a performance, and whether it is on sale again, change nothing for those who have tickets.
    fn of(event: &PublishedEvent) -> Option<Self> {
        let time = |value: &Value| Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc());
        let moved = match event.kind.as_str() {
            "performance.cancelled" => None,
            "performance.changed" => {
                let moved = |data: &Value| {
                    let starts_at = &data["changes"]["starts_at"];
                    time(&starts_at["before"]).zip(time(&starts_at["after"]))
                };
                Some(read(event, moved)?)
            }
            _ => return None,
        };
        let performance_id = PerformanceId::new(event.subject);
        Some(Self { event_id: event.id, performance_id, occurred_at: event.occurred_at, moved })
    }

    fn mail(&self, ticket: Ticket) -> NewMail {
        let Ticket { reservation_id, account_id, seats, show, .. } = ticket;
        let notice = match self.moved {
            Some((before, after)) => Notice::PerformanceChanged {
                reservation_id,
                before: Show { starts_at: before, ..show.clone() },
                after: Show { starts_at: after, ..show },
            },
            None => Notice::PerformanceCancelled { reservation_id, show, seats },
        };
        let id = mail_id(self.event_id, Some(reservation_id));
        NewMail { id, account_id, to: None, notice, created_at: self.occurred_at }
    }
}
