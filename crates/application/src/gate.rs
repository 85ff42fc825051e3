//! What stands before dates, seats, holds and payments.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, ConcertId,
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
    /// Its place in a queue; `None` if the product has none.
    pub place: Option<QueuePlace>,
}

impl From<QueuePlace> for Visitor {
    fn from(place: QueuePlace) -> Self {
        Self { account_id: place.account_id, place: Some(place) }
    }
}

impl From<Identity> for Visitor {
    fn from(identity: Identity) -> Self {
        Self { account_id: identity.account_id, place: None }
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
            Self::Queue(service) => service.admit(visitor.place.ok_or(GateError::Invalid)?, concert_id, purpose).await,
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
