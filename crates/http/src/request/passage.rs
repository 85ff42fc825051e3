//! What a request holds while it is worked on.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::{Body, Bytes},
    http::Method,
};
use boxoffice_application::Identity;
use boxoffice_domain::AccountId;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::{body::Room, too_many_at_once};
use crate::{Share, api::Api, audit::Sender, reply::Problem};

/// The passage of a request through the server. It holds the permits of the request until the response is made.
///
/// A request with a body takes its permit when the body has arrived, so a client that sends slowly keeps nobody out. The
/// share of its account it takes as soon as the account is known.
pub(crate) struct Passage {
    api: Api,
    /// The longest body that the route takes; 0 if it takes none.
    body_bytes_max: AtomicUsize,
    permit: OnceLock<OwnedSemaphorePermit>,
    begun: Notify,
    room: Mutex<Room>,
    account: OnceLock<Share<AccountId>>,
    /// What is known of who sent the request.
    pub(crate) sender: Sender,
}

impl Passage {
    pub(crate) fn new(api: Api) -> Self {
        Self {
            api,
            body_bytes_max: AtomicUsize::new(0),
            permit: OnceLock::new(),
            begun: Notify::new(),
            room: Mutex::default(),
            account: OnceLock::new(),
            sender: Sender::default(),
        }
    }

    /// Lets the route read a body of so many bytes.
    pub(crate) fn take_body(&self, bytes_max: usize) {
        self.body_bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Takes the permit: from now on the request is worked on.
    pub(crate) fn begin(&self) -> Result<(), Problem> {
        let permit = self.api.requests.clone().try_acquire_owned();
        let busy = || Problem::unavailable("Too many requests are being worked on at the moment.");
        self.permit.set(permit.map_err(|_| busy())?).ok();
        self.begun.notify_one();
        Ok(())
    }

    /// Waits until the request is worked on.
    pub(crate) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Reads the body, and begins.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let (bytes, room) = self.api.bodies.read(body, self.body_bytes_max.load(Ordering::Relaxed)).await?;
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = room;
        if self.permit.get().is_none() {
            self.begin()?;
        }
        Ok(bytes)
    }

    /// Takes the account's share of the requests at once, and for a request that changes something, one of its quota.
    pub(crate) fn enter(&self, identity: Identity, method: &Method) -> Result<(), Problem> {
        let account_id = identity.account_id;
        self.sender.set_account(account_id);
        self.sender.set_session(identity.session_id);
        tracing::Span::current().record("account", tracing::field::display(account_id));
        let in_flight = &self.api.limits.in_flight;
        let share = in_flight.take(account_id).ok_or_else(|| {
            let detail = "Too many requests of this account are being worked on at the moment.";
            too_many_at_once("in_flight", in_flight.max(), 1, detail)
        })?;
        self.account.set(share).ok();
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        self.api.limits.acts.as_ref().map_or(Ok(()), |acts| acts.take_of_account(account_id))
    }
}
