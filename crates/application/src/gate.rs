//! What stands before dates, seats, holds and payments.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, ConcertId,
    accounts::Role,
    waiting_room::{QueuePlace, WaitingRoom},
};

use crate::{
    Identity, WaitingRoomService,
    waiting_room::{GateError, Purpose},
};

/// What stands before dates, seats, holds and payments.
#[derive(Clone, Debug)]
pub enum Gate {
    /// The queue of the concert.
    Queue(Arc<WaitingRoomService>),
    /// Nothing: the product has no queues.
    OpenDoor,
}

/// An account before the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub account_id: AccountId,
    /// Its place in a queue; `None` if it shows none, or the product has none.
    pub place: Option<QueuePlace>,
    /// By which it may be staff of the concert.
    pub role: Role,
}

impl From<QueuePlace> for Visitor {
    fn from(place: QueuePlace) -> Self {
        Self { account_id: place.account_id, place: Some(place), role: Role::Customer }
    }
}

impl From<Identity> for Visitor {
    fn from(identity: Identity) -> Self {
        Self { account_id: identity.account_id, place: None, role: identity.role }
    }
}

impl Visitor {
    /// An account with a place in a queue.
    pub fn in_queue(identity: Identity, place: QueuePlace) -> Self {
        Self { place: Some(place), ..identity.into() }
    }
}

impl Gate {
    /// Lets a visitor pass to what is behind the gate of `concert_id`, or returns why not.
    pub(crate) async fn admit(
        &self,
        visitor: Visitor,
        concert_id: ConcertId,
        purpose: Purpose,
    ) -> Result<(), GateError> {
        match self {
            Self::Queue(service) => {
                // With a token the queue is asked also for staff: an account that shops there has made a visit.
                let admitted = match visitor.place {
                    Some(place) => service.admit(place, concert_id, purpose).await,
                    None => Err(GateError::Missing),
                };
                match admitted {
                    // Also while the queue cannot be asked.
                    Err(_) if purpose == Purpose::Look && service.is_staff(visitor, concert_id).await? => Ok(()),
                    admitted => admitted,
                }
            }
            Self::OpenDoor => Ok(()),
        }
    }

    /// The queues, if there are any.
    pub(crate) fn queues(&self) -> Option<&dyn WaitingRoom> {
        match self {
            Self::Queue(service) => Some(service.waiting_room.as_ref()),
            Self::OpenDoor => None,
        }
    }
}
